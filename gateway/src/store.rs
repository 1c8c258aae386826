//! The ledger on disk. One thread owns the database and commits all waiting writes in one transaction, in the order in which
//! they were submitted, so a thousand requests a second cost a few dozen `fsync`s, not a thousand. Writes for which nobody waits
//! wait for others, for up to 50 ms.

use crate::numbers::Reservation;
use codec::{Decode, Encode};
use gonka_primitives::{
	ChannelId, Hash,
	market::{Envelope, SignedEnvelope, SignedReceipt, SignedVoucher, Totals},
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::{
	collections::{BTreeMap, HashMap},
	path::Path,
	sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};

/// The number after that of the last envelope.
const RECORDED: TableDefinition<u64, u64> = TableDefinition::new("recorded");
const RESERVED: TableDefinition<u64, &[u8]> = TableDefinition::new("reserved");
/// A table of earlier versions instead of the two above: the first and the next number.
const SEQUENCES: TableDefinition<u64, (u64, u64)> = TableDefinition::new("sequences");
/// A table of earlier versions: envelopes that are never paid for, or never again.
const CLOSED: TableDefinition<(u64, [u8; 32]), ()> = TableDefinition::new("closed");
const VOUCHERS: TableDefinition<u64, &[u8]> = TableDefinition::new("vouchers");
const ENVELOPES: TableDefinition<(u64, [u8; 32]), &[u8]> = TableDefinition::new("envelopes");
const RECEIPTS: TableDefinition<(u64, [u8; 32]), &[u8]> = TableDefinition::new("receipts");
/// The ids of API keys, by envelope.
const DEBTORS: TableDefinition<(u64, [u8; 32]), &str> = TableDefinition::new("debtors");

/// Maximum number of jobs in one transaction.
const BATCH: usize = 1024;
/// Number of waiting jobs from which on new requests wait for the disk.
const BACKLOG: usize = 4 * BATCH;
/// Maximum time for which writes wait for others while nobody waits for them. A crash loses them, as it loses those that are being
/// written.
const LINGER: Duration = Duration::from_millis(50);

/// Why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
	/// The database failed.
	#[error("the gateway's ledger cannot be read or written: {0}")]
	Database(#[from] Box<redb::Error>),
	/// The writing thread has ended.
	#[error("the gateway's ledger is closed after an error; see the log")]
	Stopped,
}

fn database(error: impl Into<redb::Error>) -> StoreError {
	StoreError::Database(Box::new(error.into()))
}

/// The vouchers of a channel.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Vouchers {
	/// Totals of the last voucher that the worker has on its disk.
	pub confirmed: Totals,
	/// A voucher that is signed and perhaps sent, with the receipts that it adds to `confirmed`.
	pub pending: Option<(SignedVoucher, Vec<Hash>)>,
}

/// A change. The changes of one [`Store::submit`] happen together or not at all.
#[derive(Clone, Debug)]
pub enum Write {
	/// Reserves sequence numbers. Those below the given one need no record any more.
	Reserve(ChannelId, Reservation, u64),
	/// Adds an envelope, whose number is above that of all before.
	Envelope(Hash, SignedEnvelope),
	/// Sets the id of the API key to which the receipt for an envelope is to be charged; none if it is not.
	Debtor(ChannelId, Hash, Option<Arc<str>>),
	/// Removes an envelope for which nothing is due, now or ever.
	Forget(ChannelId, Hash),
	/// Replaces an envelope by its correct receipt.
	Receipt(ChannelId, SignedReceipt),
	/// Sets the vouchers of a channel and removes the receipts that they cover.
	Vouchers(ChannelId, Vouchers, Vec<Hash>),
}

/// The contents of the store for one channel.
#[derive(Clone, Debug, Default)]
pub struct Saved {
	/// The sequence numbers that are reserved.
	pub reserved: Reservation,
	/// The number after that of the last envelope.
	pub recorded: u64,
	/// The vouchers.
	pub vouchers: Vouchers,
	/// Envelopes without a receipt.
	pub envelopes: HashMap<Hash, SignedEnvelope>,
	/// The ids of the API keys to which receipts for envelopes are to be charged.
	pub debtors: HashMap<Hash, Arc<str>>,
	/// Correct receipts that `vouchers.confirmed` does not cover.
	pub receipts: BTreeMap<Hash, SignedReceipt>,
}

/// A simulated power cut, for tests: the commit of that number, counted from 0, is the last.
#[derive(Clone, Copy, Debug)]
pub struct PowerCut {
	/// The number of the commit.
	pub commit: u64,
	/// Whether that commit reaches the disk.
	pub durable: bool,
}

type Job = (Vec<Write>, oneshot::Sender<()>);

/// The jobs that wait for the disk.
#[derive(Debug, Default)]
struct Queue {
	jobs: Vec<Job>,
	/// When they are due: at once if somebody waits for one of them, else some time after the first.
	due: Option<Instant>,
	/// Whether no store is left that could add one.
	is_complete: bool,
	/// Whether the thread has ended.
	is_closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
	queue: Mutex<Queue>,
	changed: Condvar,
}

impl Shared {
	fn lock(&self) -> MutexGuard<'_, Queue> {
		self.queue.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// Receives a value once a write is on disk, and an error if it never will be.
pub type Written = oneshot::Receiver<()>;

/// The store.
#[derive(Debug)]
pub struct Store {
	shared: Arc<Shared>,
	/// Has no sender once the thread has ended.
	open: watch::Receiver<()>,
}

impl Drop for Store {
	fn drop(&mut self) {
		self.shared.lock().is_complete = true;
		self.shared.changed.notify_one();
	}
}

impl Store {
	/// Opens or creates the store and reads its contents. Fails if another process has it open.
	pub fn open(path: &Path) -> Result<(Self, HashMap<ChannelId, Saved>), StoreError> {
		Self::open_until(path, None)
	}

	/// Does what [`Store::open`] does, with a disk that fails at `cut`.
	pub fn open_until(path: &Path, cut: Option<PowerCut>) -> Result<(Self, HashMap<ChannelId, Saved>), StoreError> {
		let db = Database::create(path).map_err(database)?;
		let write = db.begin_write().map_err(database)?;
		apply(&write, &[])?;
		migrate(&write)?;
		write.commit().map_err(database)?;
		let saved = load(&db)?;
		let (running, open) = watch::channel(());
		let shared = Arc::new(Shared::default());
		let store = Self { shared: shared.clone(), open };
		std::thread::Builder::new()
			.name("ledger".to_owned())
			.spawn(move || {
				let writer = Writer { shared, _running: running };
				run(db, &writer.shared, cut);
			})
			.map_err(|error| database(redb::Error::Io(error)))?;
		Ok((store, saved))
	}

	/// Waits until the store can no longer be written. It never ends while the disk works.
	pub fn closed(&self) -> impl Future<Output = ()> + use<> {
		let mut open = self.open.clone();
		async move { while open.changed().await.is_ok() {} }
	}

	/// Whether the store can no longer be written.
	pub fn is_closed(&self) -> bool {
		self.shared.lock().is_closed
	}

	/// Writes all of `writes` or nothing, after everything that was submitted before. They wait for others, unless
	/// [`Store::write_now`] follows.
	pub fn submit(&self, writes: Vec<Write>) -> Result<Written, StoreError> {
		self.queue(writes, LINGER)
	}

	/// Writes all of `writes` or nothing, at once. Returns once they and all that were submitted before are on disk.
	pub async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
		self.queue(writes, Duration::ZERO)?.await.map_err(|_| StoreError::Stopped)
	}

	/// Has everything written that was submitted.
	pub fn write_now(&self) {
		self.shared.lock().due = Some(Instant::now());
		self.shared.changed.notify_one();
	}

	fn queue(&self, writes: Vec<Write>, linger: Duration) -> Result<Written, StoreError> {
		let (sender, written) = oneshot::channel();
		let now = Instant::now();
		let due = now.checked_add(linger).unwrap_or(now);
		let mut queue = self.shared.lock();
		if queue.is_closed {
			return Err(StoreError::Stopped);
		}
		queue.jobs.push((writes, sender));
		if queue.due.is_none_or(|other| due < other) || queue.jobs.len() == BATCH {
			queue.due = Some(due);
			self.shared.changed.notify_one();
		}
		Ok(written)
	}

	/// Returns once few writes wait for the disk, or the store is closed.
	pub async fn keep_up(&self) {
		let waiting = self.shared.lock().jobs.len();
		if waiting > BACKLOG {
			// A store that is closed is noticed by the next write.
			let _ = self.write(Vec::new()).await;
		}
	}
}

/// Waits for jobs. Returns none once there will be no more.
fn next_batch(shared: &Shared) -> Vec<Job> {
	let mut queue = shared.lock();
	loop {
		let now = Instant::now();
		let is_due = queue.is_complete || queue.jobs.len() >= BATCH || queue.due.is_some_and(|due| due <= now);
		if is_due && (queue.is_complete || !queue.jobs.is_empty()) {
			let count = queue.jobs.len().min(BATCH);
			let rest = queue.jobs.split_off(count);
			// Those that are left have waited.
			queue.due = (!rest.is_empty()).then_some(now);
			return std::mem::replace(&mut queue.jobs, rest);
		}
		let pause = queue.due.map_or(Duration::MAX, |due| due.saturating_duration_since(now));
		queue = shared.changed.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0;
	}
}

/// The writing thread. Dropping it closes the store.
struct Writer {
	shared: Arc<Shared>,
	_running: watch::Sender<()>,
}

impl Drop for Writer {
	fn drop(&mut self) {
		let mut queue = self.shared.lock();
		queue.is_closed = true;
		queue.jobs.clear();
	}
}

fn run(db: Database, shared: &Shared, cut: Option<PowerCut>) {
	let mut commits = 0u64;
	loop {
		let batch = next_batch(shared);
		if batch.is_empty() {
			return;
		}
		let last = cut.filter(|cut| cut.commit == commits);
		if last.is_some_and(|cut| !cut.durable) {
			return;
		}
		if let Err(error) = commit(&db, &batch) {
			// The callers see that the store is closed, and no more money moves.
			tracing::error!(%error, "cannot write the ledger");
			return;
		}
		if last.is_some() {
			return;
		}
		for (_, done) in batch {
			let _ = done.send(());
		}
		commits = commits.saturating_add(1);
	}
}

fn commit(db: &Database, batch: &[Job]) -> Result<(), StoreError> {
	// redb's default durability is `Immediate`: commit returns after fsync.
	let transaction = db.begin_write().map_err(database)?;
	for (writes, _) in batch {
		apply(&transaction, writes)?;
	}
	transaction.commit().map_err(database)
}

fn apply(transaction: &WriteTransaction, writes: &[Write]) -> Result<(), StoreError> {
	let mut recorded = transaction.open_table(RECORDED).map_err(database)?;
	let mut reserved = transaction.open_table(RESERVED).map_err(database)?;
	let mut vouchers = transaction.open_table(VOUCHERS).map_err(database)?;
	let mut envelopes = transaction.open_table(ENVELOPES).map_err(database)?;
	let mut receipts = transaction.open_table(RECEIPTS).map_err(database)?;
	let mut debtors = transaction.open_table(DEBTORS).map_err(database)?;
	for write in writes {
		match write {
			Write::Reserve(channel, reservation, next) => {
				reserved.insert(channel, reservation.encode().as_slice()).map_err(database)?;
				recorded.insert(channel, next).map_err(database)?;
			},
			Write::Envelope(hash, signed) => {
				let Envelope { channel, sequence, .. } = signed.envelope;
				envelopes.insert((channel, *hash), signed.encode().as_slice()).map_err(database)?;
				recorded.insert(channel, sequence.saturating_add(1)).map_err(database)?;
			},
			Write::Debtor(channel, hash, Some(key)) => {
				debtors.insert((*channel, *hash), &**key).map_err(database)?;
			},
			Write::Debtor(channel, hash, None) => {
				debtors.remove((*channel, *hash)).map_err(database)?;
			},
			Write::Forget(channel, hash) => {
				envelopes.remove((*channel, *hash)).map_err(database)?;
				debtors.remove((*channel, *hash)).map_err(database)?;
			},
			Write::Receipt(channel, signed) => {
				let key = (*channel, signed.receipt.envelope);
				envelopes.remove(key).map_err(database)?;
				debtors.remove(key).map_err(database)?;
				receipts.insert(key, signed.encode().as_slice()).map_err(database)?;
			},
			Write::Vouchers(channel, state, covered) => {
				vouchers.insert(channel, state.encode().as_slice()).map_err(database)?;
				for hash in covered {
					receipts.remove((*channel, *hash)).map_err(database)?;
				}
			},
		}
	}
	Ok(())
}

/// Brings the sequence numbers of earlier versions into the present form. Which numbers below the first one were paid, they did
/// not record, so no more are.
fn migrate(transaction: &WriteTransaction) -> Result<(), StoreError> {
	let mut writes = Vec::new();
	for row in transaction.open_table(SEQUENCES).map_err(database)?.iter().map_err(database)? {
		let (channel, numbers) = row.map_err(database)?;
		let (_, end) = numbers.value();
		writes.push(Write::Reserve(channel.value(), Reservation { end, ..Reservation::default() }, end));
	}
	transaction.delete_table(SEQUENCES).map_err(database)?;
	transaction.delete_table(CLOSED).map_err(database)?;
	apply(transaction, &writes)
}

fn load(db: &Database) -> Result<HashMap<ChannelId, Saved>, StoreError> {
	let read = db.begin_read().map_err(database)?;
	let mut saved: HashMap<ChannelId, Saved> = HashMap::new();
	for row in read.open_table(RESERVED).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		saved.entry(key.value()).or_default().reserved = decode(value.value())?;
	}
	for row in read.open_table(RECORDED).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		saved.entry(key.value()).or_default().recorded = value.value();
	}
	for row in read.open_table(VOUCHERS).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		saved.entry(key.value()).or_default().vouchers = decode(value.value())?;
	}
	for row in read.open_table(ENVELOPES).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		let (channel, hash) = key.value();
		saved.entry(channel).or_default().envelopes.insert(hash, decode(value.value())?);
	}
	for row in read.open_table(DEBTORS).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		let (channel, hash) = key.value();
		saved.entry(channel).or_default().debtors.insert(hash, value.value().into());
	}
	for row in read.open_table(RECEIPTS).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		let (channel, hash) = key.value();
		saved.entry(channel).or_default().receipts.insert(hash, decode(value.value())?);
	}
	Ok(saved)
}

fn decode<T: Decode>(mut bytes: &[u8]) -> Result<T, StoreError> {
	T::decode(&mut bytes).map_err(|error| database(redb::Error::Corrupted(error.to_string())))
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::market::{FinishReason, Price, Receipt, Voucher};

	fn envelope(channel: ChannelId, sequence: u64) -> SignedEnvelope {
		SignedEnvelope {
			envelope: Envelope {
				channel,
				model: 0,
				sequence,
				body: [0; 32],
				seed: 0,
				price: Price::default(),
				max_tokens: 1,
				max_fee: 0,
				expires: 0,
			},
			signature: [0; 64],
		}
	}

	fn receipt(envelope: Hash) -> SignedReceipt {
		SignedReceipt {
			receipt: Receipt {
				envelope,
				output: [0; 32],
				fingerprint: [0; 32],
				prompt_tokens: 1,
				completion_tokens: 1,
				finish: FinishReason::Stop,
				fee: 2,
			},
			signature: [0; 64],
		}
	}

	fn reopen(path: &Path) -> (Store, HashMap<ChannelId, Saved>) {
		for _ in 0..6000 {
			match Store::open(path) {
				Ok(open) => return open,
				Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
			}
		}
		panic!("the store stays locked");
	}

	#[tokio::test]
	async fn a_reopened_store_has_all_that_was_written() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("ledger");
		let (store, saved) = Store::open(&path).unwrap();
		assert!(saved.is_empty());
		assert!(Store::open(&path).is_err(), "a second process must not open the same store");
		let reservation = Reservation { end: 9, unrecorded: vec![(0, 3)], void: vec![(4, [9; 32])] };
		store
			.write(vec![
				Write::Reserve(7, reservation.clone(), 3),
				Write::Envelope([1; 32], envelope(7, 4)),
				Write::Envelope([2; 32], envelope(7, 5)),
			])
			.await
			.unwrap();
		store.write(vec![Write::Receipt(7, receipt([1; 32]))]).await.unwrap();
		let voucher = SignedVoucher { voucher: Voucher { channel: 7, totals: Totals::default() }, signature: [0; 64] };
		let vouchers = Vouchers { confirmed: Totals::default(), pending: Some((voucher, vec![[1; 32]])) };
		store.write(vec![Write::Vouchers(7, vouchers.clone(), vec![])]).await.unwrap();
		drop(store);

		let (store, saved) = reopen(&path);
		let saved = &saved[&7];
		assert_eq!((&saved.reserved, saved.recorded), (&reservation, 6));
		assert_eq!(saved.envelopes.keys().collect::<Vec<_>>(), [&[2; 32]]);
		assert_eq!(saved.receipts.keys().collect::<Vec<_>>(), [&[1; 32]]);
		assert_eq!(saved.vouchers, vouchers);
		store.write(vec![Write::Vouchers(7, Vouchers::default(), vec![[1; 32]])]).await.unwrap();
		drop(store);
		assert!(reopen(&path).1[&7].receipts.is_empty());
	}

	#[tokio::test]
	async fn the_numbers_of_an_earlier_version_are_taken_over() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("ledger");
		let db = Database::create(&path).unwrap();
		let write = db.begin_write().unwrap();
		write.open_table(SEQUENCES).unwrap().insert(7, (3, 6)).unwrap();
		write.open_table(CLOSED).unwrap().insert((7, [1; 32]), ()).unwrap();
		write.commit().unwrap();
		drop(db);
		for _ in 0..2 {
			let saved = reopen(&path).1.remove(&7).unwrap();
			assert_eq!((saved.reserved, saved.recorded), (Reservation { end: 6, ..Reservation::default() }, 6));
		}
	}

	#[tokio::test]
	async fn no_write_returns_successfully_after_a_power_cut() {
		for durable in [false, true] {
			let dir = tempfile::tempdir().unwrap();
			let path = dir.path().join("ledger");
			let (store, _) = Store::open_until(&path, Some(PowerCut { commit: 1, durable })).unwrap();
			let write = |number| store.write(vec![Write::Envelope([number; 32], envelope(1, number.into()))]);
			write(1).await.unwrap();
			assert!(write(2).await.is_err());
			assert!(write(3).await.is_err());
			drop(store);
			assert_eq!(reopen(&path).1[&1].envelopes.len(), if durable { 2 } else { 1 });
		}
	}
}
