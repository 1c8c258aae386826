//! The ledger on disk. One thread owns the database and commits all waiting writes in one transaction, so a thousand
//! requests a second cost a few dozen `fsync`s, not a thousand. A write returns once it is durable.

use codec::{Decode, Encode};
use gonka_primitives::{
	ChannelId, Hash,
	market::{SignedEnvelope, SignedReceipt, SignedVoucher, Totals},
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::{
	collections::{BTreeMap, HashMap, HashSet},
	path::Path,
};
use tokio::sync::{mpsc, oneshot};

const SEQUENCES: TableDefinition<u64, (u64, u64)> = TableDefinition::new("sequences");
const VOUCHERS: TableDefinition<u64, &[u8]> = TableDefinition::new("vouchers");
const ENVELOPES: TableDefinition<(u64, [u8; 32]), &[u8]> = TableDefinition::new("envelopes");
const RECEIPTS: TableDefinition<(u64, [u8; 32]), &[u8]> = TableDefinition::new("receipts");
const CLOSED: TableDefinition<(u64, [u8; 32]), ()> = TableDefinition::new("closed");

/// Maximum number of jobs in one transaction.
const BATCH: usize = 1024;

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

/// A change. The changes of one [`Store::write`] happen together or not at all.
#[derive(Clone, Debug)]
pub enum Write {
	/// Sequence numbers below `next` are used; this store gave out those from `first` on.
	Sequences {
		/// The channel.
		channel: ChannelId,
		/// The first number that this store gave out.
		first: u64,
		/// The next free number; it never decreases.
		next: u64,
	},
	/// Adds an envelope that is about to be sent.
	Envelope(Hash, SignedEnvelope),
	/// Removes an envelope for which nothing is due.
	Forget(ChannelId, Hash),
	/// Replaces an envelope by its correct receipt.
	Receipt(ChannelId, SignedReceipt),
	/// Marks an envelope that is never paid for, or never again.
	Close(ChannelId, Hash),
	/// Sets the vouchers of a channel and removes the receipts that they cover.
	Vouchers(ChannelId, Vouchers, Vec<Hash>),
}

/// The contents of the store for one channel.
#[derive(Clone, Debug, Default)]
pub struct Saved {
	/// The first and the next sequence number.
	pub sequences: Option<(u64, u64)>,
	/// The vouchers.
	pub vouchers: Vouchers,
	/// Envelopes without a receipt.
	pub envelopes: HashMap<Hash, SignedEnvelope>,
	/// Correct receipts that `vouchers.confirmed` does not cover.
	pub receipts: BTreeMap<Hash, SignedReceipt>,
	/// Envelopes that are never paid for, or never again.
	pub closed: HashSet<Hash>,
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

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub struct Store(mpsc::UnboundedSender<Job>);

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
		write.commit().map_err(database)?;
		let saved = load(&db)?;
		let (sender, receiver) = mpsc::unbounded_channel();
		std::thread::Builder::new()
			.name("ledger".to_owned())
			.spawn(move || run(db, receiver, cut))
			.map_err(|error| database(redb::Error::Io(error)))?;
		Ok((Self(sender), saved))
	}

	/// Waits until the store can no longer be written. It never ends while the disk works.
	pub async fn closed(&self) {
		self.0.closed().await;
	}

	/// Whether the store can no longer be written.
	pub fn is_closed(&self) -> bool {
		self.0.is_closed()
	}

	/// Writes all of `writes` or nothing; returns once they are on disk.
	pub async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
		let (sender, receiver) = oneshot::channel();
		self.0.send((writes, sender)).map_err(|_| StoreError::Stopped)?;
		receiver.await.map_err(|_| StoreError::Stopped)
	}
}

fn run(db: Database, mut jobs: mpsc::UnboundedReceiver<Job>, cut: Option<PowerCut>) {
	let mut commits = 0u64;
	while let Some(first) = jobs.blocking_recv() {
		let mut batch = vec![first];
		while batch.len() < BATCH {
			match jobs.try_recv() {
				Ok(job) => batch.push(job),
				Err(_) => break,
			}
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
	let mut sequences = transaction.open_table(SEQUENCES).map_err(database)?;
	let mut vouchers = transaction.open_table(VOUCHERS).map_err(database)?;
	let mut envelopes = transaction.open_table(ENVELOPES).map_err(database)?;
	let mut receipts = transaction.open_table(RECEIPTS).map_err(database)?;
	let mut closed = transaction.open_table(CLOSED).map_err(database)?;
	for write in writes {
		match write {
			Write::Sequences { channel, first, next } => {
				let before = sequences.get(channel).map_err(database)?.map(|pair| pair.value().1);
				// Requests run in parallel, so their writes may arrive in any order.
				let next = before.map_or(*next, |before| before.max(*next));
				sequences.insert(channel, (*first, next)).map_err(database)?;
			},
			Write::Envelope(hash, signed) => {
				let key = (signed.envelope.channel, *hash);
				envelopes.insert(key, signed.encode().as_slice()).map_err(database)?;
			},
			Write::Forget(channel, hash) => {
				envelopes.remove((*channel, *hash)).map_err(database)?;
			},
			Write::Receipt(channel, signed) => {
				let key = (*channel, signed.receipt.envelope);
				envelopes.remove(key).map_err(database)?;
				receipts.insert(key, signed.encode().as_slice()).map_err(database)?;
			},
			Write::Close(channel, hash) => {
				envelopes.remove((*channel, *hash)).map_err(database)?;
				closed.insert((*channel, *hash), ()).map_err(database)?;
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

fn load(db: &Database) -> Result<HashMap<ChannelId, Saved>, StoreError> {
	let read = db.begin_read().map_err(database)?;
	let mut saved: HashMap<ChannelId, Saved> = HashMap::new();
	for row in read.open_table(SEQUENCES).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		saved.entry(key.value()).or_default().sequences = Some(value.value());
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
	for row in read.open_table(RECEIPTS).map_err(database)?.iter().map_err(database)? {
		let (key, value) = row.map_err(database)?;
		let (channel, hash) = key.value();
		saved.entry(channel).or_default().receipts.insert(hash, decode(value.value())?);
	}
	for row in read.open_table(CLOSED).map_err(database)?.iter().map_err(database)? {
		let (channel, hash) = row.map_err(database)?.0.value();
		saved.entry(channel).or_default().closed.insert(hash);
	}
	Ok(saved)
}

fn decode<T: Decode>(mut bytes: &[u8]) -> Result<T, StoreError> {
	T::decode(&mut bytes).map_err(|error| database(redb::Error::Corrupted(error.to_string())))
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::market::{Envelope, FinishReason, Price, Receipt, Voucher};

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
		store
			.write(vec![
				Write::Sequences { channel: 7, first: 3, next: 6 },
				Write::Envelope([1; 32], envelope(7, 4)),
				Write::Envelope([2; 32], envelope(7, 5)),
			])
			.await
			.unwrap();
		store.write(vec![Write::Sequences { channel: 7, first: 3, next: 5 }]).await.unwrap();
		store.write(vec![Write::Receipt(7, receipt([1; 32])), Write::Close(7, [9; 32])]).await.unwrap();
		let voucher = SignedVoucher { voucher: Voucher { channel: 7, totals: Totals::default() }, signature: [0; 64] };
		let vouchers = Vouchers { confirmed: Totals::default(), pending: Some((voucher, vec![[1; 32]])) };
		store.write(vec![Write::Vouchers(7, vouchers.clone(), vec![])]).await.unwrap();
		drop(store);

		let (store, saved) = reopen(&path);
		let saved = &saved[&7];
		assert_eq!(saved.sequences, Some((3, 6)));
		assert_eq!(saved.envelopes.keys().collect::<Vec<_>>(), [&[2; 32]]);
		assert_eq!(saved.receipts.keys().collect::<Vec<_>>(), [&[1; 32]]);
		assert_eq!(saved.vouchers, vouchers);
		assert!(saved.closed.contains(&[9; 32]));
		store.write(vec![Write::Vouchers(7, Vouchers::default(), vec![[1; 32]])]).await.unwrap();
		drop(store);
		assert!(reopen(&path).1[&7].receipts.is_empty());
	}

	#[tokio::test]
	async fn no_write_returns_successfully_after_a_power_cut() {
		for durable in [false, true] {
			let dir = tempfile::tempdir().unwrap();
			let path = dir.path().join("ledger");
			let (store, _) = Store::open_until(&path, Some(PowerCut { commit: 1, durable })).unwrap();
			store.write(vec![Write::Close(1, [1; 32])]).await.unwrap();
			assert!(store.write(vec![Write::Close(1, [2; 32])]).await.is_err());
			assert!(store.write(vec![Write::Close(1, [3; 32])]).await.is_err());
			drop(store);
			assert_eq!(reopen(&path).1[&1].closed.len(), if durable { 2 } else { 1 });
		}
	}
}
