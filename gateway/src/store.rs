//! The gateway's books on disk. One thread owns the database and commits everything that waits in one transaction,
//! so a thousand requests a second cost a few dozen `fsync`s, not a thousand. A write returns once it is durable.

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

/// Most writes in one transaction.
const BATCH: usize = 1024;

/// Why the books cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
	/// The database refused.
	#[error("the gateway's books: {0}")]
	Database(#[from] Box<redb::Error>),
	/// The writing thread has ended.
	#[error("the gateway's books are closed")]
	Stopped,
}

fn database(error: impl Into<redb::Error>) -> StoreError {
	StoreError::Database(Box::new(error.into()))
}

/// What was promised on a channel.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Vouchers {
	/// Totals that the worker has on its disk.
	pub confirmed: Totals,
	/// A voucher that was signed and perhaps sent, with the receipts it adds to `confirmed`.
	pub pending: Option<(SignedVoucher, Vec<Hash>)>,
}

/// One change. Those of one [`Store::write`] happen together or not at all.
#[derive(Clone, Debug)]
pub enum Write {
	/// Sequence numbers below `next` are taken; those from `first` on were given out by this store.
	Sequences {
		/// The channel.
		channel: ChannelId,
		/// The first number this store gave out.
		first: u64,
		/// The next free number; never moves down.
		next: u64,
	},
	/// An envelope is about to be sent.
	Envelope(Hash, SignedEnvelope),
	/// Nothing is due for an envelope.
	Forget(ChannelId, Hash),
	/// A receipt was found good: it takes the place of its envelope.
	Receipt(ChannelId, SignedReceipt),
	/// An envelope is never paid for (again).
	Close(ChannelId, Hash),
	/// The promises of a channel; the receipts named are settled and can go.
	Vouchers(ChannelId, Vouchers, Vec<Hash>),
}

/// All that is known of a channel.
#[derive(Clone, Debug, Default)]
pub struct Saved {
	/// First and next sequence number.
	pub sequences: Option<(u64, u64)>,
	/// What was promised.
	pub vouchers: Vouchers,
	/// Envelopes that were sent and have no receipt.
	pub envelopes: HashMap<Hash, SignedEnvelope>,
	/// Good receipts that `vouchers.confirmed` does not cover.
	pub receipts: BTreeMap<Hash, SignedReceipt>,
	/// Envelopes that are never paid for (again).
	pub closed: HashSet<Hash>,
}

/// A simulated power cut, for tests: the commit of that number, counted from 0, is the last one.
#[derive(Clone, Copy, Debug)]
pub struct PowerCut {
	/// The number of the commit.
	pub commit: u64,
	/// Whether that commit reaches the disk.
	pub durable: bool,
}

type Job = (Vec<Write>, oneshot::Sender<()>);

/// The books. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(mpsc::UnboundedSender<Job>);

impl Store {
	/// Opens or creates the books and reads what they hold. Fails if another process has them open.
	pub fn open(path: &Path) -> Result<(Self, HashMap<ChannelId, Saved>), StoreError> {
		Self::open_until(path, None)
	}

	/// As [`Store::open`]; dies at `cut`.
	pub fn open_until(path: &Path, cut: Option<PowerCut>) -> Result<(Self, HashMap<ChannelId, Saved>), StoreError> {
		let db = Database::create(path).map_err(database)?;
		let write = db.begin_write().map_err(database)?;
		apply(&write, &[])?;
		write.commit().map_err(database)?;
		let saved = load(&db)?;
		let (sender, receiver) = mpsc::unbounded_channel();
		std::thread::Builder::new()
			.name("books".to_owned())
			.spawn(move || run(db, receiver, cut))
			.map_err(|error| database(redb::Error::Io(error)))?;
		Ok((Self(sender), saved))
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
			// Nobody is answered: the callers see the books closed, and no money moves any more.
			tracing::error!(%error, "cannot write the gateway's books; no more requests are served");
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
	// redb's durability is `Immediate` unless told otherwise: commit returns after fsync.
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
				// Requests run side by side, so their writes may come in any order.
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
			Write::Vouchers(channel, state, settled) => {
				vouchers.insert(channel, state.encode().as_slice()).map_err(database)?;
				for hash in settled {
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
		for _ in 0..100 {
			match Store::open(path) {
				Ok(open) => return open,
				Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
			}
		}
		panic!("the books stay locked");
	}

	#[tokio::test]
	async fn what_was_written_is_there_after_reopening() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("books");
		let (store, saved) = Store::open(&path).unwrap();
		assert!(saved.is_empty());
		assert!(Store::open(&path).is_err(), "a second process must not open the same books");
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
	async fn a_power_cut_answers_nobody() {
		for durable in [false, true] {
			let dir = tempfile::tempdir().unwrap();
			let path = dir.path().join("books");
			let (store, _) = Store::open_until(&path, Some(PowerCut { commit: 1, durable })).unwrap();
			store.write(vec![Write::Close(1, [1; 32])]).await.unwrap();
			assert!(store.write(vec![Write::Close(1, [2; 32])]).await.is_err());
			assert!(store.write(vec![Write::Close(1, [3; 32])]).await.is_err());
			drop(store);
			assert_eq!(reopen(&path).1[&1].closed.len(), if durable { 2 } else { 1 });
		}
	}
}
