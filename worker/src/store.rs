//! What must survive a crash, in one file: `worker.redb` under the base path.
//!
//! All writes go through one thread. It takes whatever waits, runs it in one transaction and makes that durable with
//! one `fsync`, so that many requests share the disk's latency. A write is answered after its commit: what
//! [`Store::write`] has returned survives `kill -9` and power loss.
//!
//! - [`check`]: what checking others found, and messages of checks and disputes;
//! - [`evidence`]: what shows that answers are the model's;
//! - [`findings`]: what was found about others' answers;
//! - [`market`]: sequence numbers, receipts, vouchers;
//! - [`race`]: leaves and commitments of the sprint;
//! - [`settlements`]: what was claimed on chain.

pub mod check;
pub mod evidence;
pub mod findings;
pub mod market;
pub mod race;
pub mod settlements;
mod writer;

use codec::{Decode, Encode};
use gonka_primitives::Hash;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::{path::Path, sync::Arc};
use tokio::sync::oneshot;

/// A key of one of the fixed facts about the store → its SCALE encoding.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Raised when the tables change.
const SCHEMA: u32 = 1;

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
	/// Another process has the file open.
	#[error("{0} is in use by another worker: stop that one, or give this one another --base-path")]
	InUse(String),
	/// The file belongs to another chain, host or version.
	#[error("{0}")]
	Foreign(String),
	/// The disk or the file is at fault.
	#[error("the store failed: {0}")]
	Failed(String),
}

macro_rules! failed_from {
	($($error:ty),*) => {
		$(impl From<$error> for StoreError {
			fn from(error: $error) -> Self {
				Self::Failed(error.to_string())
			}
		})*
	};
}
failed_from!(
	redb::TransactionError,
	redb::TableError,
	redb::StorageError,
	redb::CommitError,
	redb::SetDurabilityError,
	codec::Error
);

/// A result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How soon a write must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
	/// Before it is answered.
	Now,
	/// With the next write that must be on disk before it is answered.
	Later,
}

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
	db: Arc<Database>,
	writer: Arc<writer::Writer>,
}

impl Store {
	/// Opens or makes the file. It belongs to one chain (`genesis`) and one host for good.
	pub fn open(path: &Path, genesis: &Hash, host: &Hash) -> Result<Self> {
		let db = Database::create(path).map_err(|error| match error {
			redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
			other => StoreError::Failed(format!("{}: {other}", path.display())),
		})?;
		let tx = db.begin_write()?;
		for (key, value, what) in [
			("schema", SCHEMA.encode(), "was written by another version of this program"),
			("genesis", genesis.encode(), "belongs to another chain"),
			("host", host.encode(), "belongs to another host"),
		] {
			let mut meta = tx.open_table(META)?;
			let known = meta.get(key)?.map(|known| known.value().to_vec());
			match known {
				Some(known) if known != value => {
					let hint = "give another --base-path, or move the file away";
					return Err(StoreError::Foreign(format!("{} {what}: {hint}", path.display())));
				},
				Some(_) => {},
				None => {
					meta.insert(key, value.as_slice())?;
				},
			}
		}
		market::create_tables(&tx)?;
		race::create_tables(&tx)?;
		check::create_tables(&tx)?;
		evidence::create_tables(&tx)?;
		findings::create_tables(&tx)?;
		tx.commit()?;
		let db = Arc::new(db);
		Ok(Self { writer: Arc::new(writer::Writer::start(db.clone())), db })
	}

	/// Runs `job` in a write transaction that it may share with others, and returns what it returned once that is
	/// committed. A job that fails spoils the whole transaction, so it fails for faults of the disk alone; a refusal is
	/// part of `T`, and a job that refuses must not have written.
	pub async fn write<T, F>(&self, durability: Durability, job: F) -> Result<T>
	where
		T: Send + 'static,
		F: FnOnce(&WriteTransaction) -> Result<T> + Send + 'static,
	{
		self.enqueue(durability, job).await.unwrap_or_else(|_| Err(stopped()))
	}

	/// [`Store::write`] for threads outside the async runtime.
	pub fn write_blocking<T, F>(&self, durability: Durability, job: F) -> Result<T>
	where
		T: Send + 'static,
		F: FnOnce(&WriteTransaction) -> Result<T> + Send + 'static,
	{
		self.enqueue(durability, job).blocking_recv().unwrap_or_else(|_| Err(stopped()))
	}

	fn enqueue<T, F>(&self, durability: Durability, job: F) -> oneshot::Receiver<Result<T>>
	where
		T: Send + 'static,
		F: FnOnce(&WriteTransaction) -> Result<T> + Send + 'static,
	{
		let (answer, receiver) = oneshot::channel();
		self.writer.enqueue(durability, Box::new(writer::Typed { job: Some(job), result: None, answer }));
		receiver
	}

	/// Runs `job` over what is committed.
	pub fn read<T>(&self, job: impl FnOnce(&ReadTransaction) -> Result<T>) -> Result<T> {
		job(&self.db.begin_read()?)
	}
}

fn stopped() -> StoreError {
	StoreError::Failed("the writer has stopped".into())
}

/// Decodes a stored value.
fn decode<T: Decode>(mut bytes: &[u8]) -> Result<T> {
	Ok(T::decode(&mut bytes)?)
}
