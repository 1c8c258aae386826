//! The store: one file, `worker.redb` in the base path, with all that must survive a crash.
//!
//! All writes go through one thread. It takes all waiting writes, runs them in one transaction, and makes that durable
//! with one `fsync`, so that many requests share the disk's latency. A write returns after its commit: what
//! [`Store::write`] has returned survives `kill -9` and power loss.
//!
//! - [`check`]: results of checks, and messages of checks and disputes;
//! - [`evidence`]: what shows auditors that completions are the model's;
//! - [`findings`]: findings of audits;
//! - [`market`]: sequence numbers, receipts, vouchers;
//! - [`settlements`]: signed settlements;
//! - [`sprint`]: leaves and commitments.

pub mod check;
mod error;
pub mod evidence;
pub mod findings;
pub mod market;
pub mod settlements;
pub mod sprint;
mod writer;

pub use error::StoreError;

use codec::{Decode, Encode};
use gonka_primitives::Hash;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::{path::Path, sync::Arc};
use tokio::sync::oneshot;

/// Name of a fixed fact about the store → its SCALE encoding.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Version of the tables. Increase it when they change.
const SCHEMA: u32 = 2;

/// Result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// When a write must be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
	/// Before it returns.
	Now,
	/// With the next write that must be durable before it returns.
	Later,
}

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
	db: Arc<Database>,
	writer: Arc<writer::Writer>,
}

impl Store {
	/// Opens the file, or creates it. It belongs to one chain (`genesis`) and one host for ever.
	///
	/// # Errors
	/// [`StoreError::InUse`], and [`StoreError::Foreign`] if it belongs to another chain, host or program version.
	pub fn open(path: &Path, genesis: &Hash, host: &Hash) -> Result<Self> {
		let db = Database::create(path).map_err(|error| match error {
			redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.into()),
			other => other.into(),
		})?;
		let tx = db.begin_write()?;
		for (key, value, reason) in [
			("schema", SCHEMA.encode(), "was written by another version of this program"),
			("genesis", genesis.encode(), "belongs to another chain"),
			("host", host.encode(), "belongs to another host"),
		] {
			let mut meta = tx.open_table(META)?;
			let known = meta.get(key)?.map(|known| known.value().to_vec());
			match known {
				Some(known) if known != value => return Err(StoreError::Foreign { path: path.into(), reason }),
				Some(_) => {},
				None => {
					meta.insert(key, value.as_slice())?;
				},
			}
		}
		market::create_tables(&tx)?;
		sprint::create_tables(&tx)?;
		check::create_tables(&tx)?;
		evidence::create_tables(&tx)?;
		findings::create_tables(&tx)?;
		tx.commit()?;
		let db = Arc::new(db);
		Ok(Self { writer: Arc::new(writer::Writer::start(db.clone())), db })
	}

	/// Runs `job` in a write transaction that it may share with other jobs, and returns its result once that is
	/// committed. An error of a job undoes the whole transaction, so only faults of the store are errors. A job that
	/// rejects its input says so in `T`, and must not have written.
	pub async fn write<T, F>(&self, durability: Durability, job: F) -> Result<T>
	where
		T: Send + 'static,
		F: FnOnce(&WriteTransaction) -> Result<T> + Send + 'static,
	{
		self.enqueue(durability, job).await.unwrap_or(Err(StoreError::Stopped))
	}

	/// Like [`Store::write`], for threads outside the async runtime.
	pub fn write_blocking<T, F>(&self, durability: Durability, job: F) -> Result<T>
	where
		T: Send + 'static,
		F: FnOnce(&WriteTransaction) -> Result<T> + Send + 'static,
	{
		self.enqueue(durability, job).blocking_recv().unwrap_or(Err(StoreError::Stopped))
	}

	fn enqueue<T, F>(&self, durability: Durability, job: F) -> oneshot::Receiver<Result<T>>
	where
		T: Send + 'static,
		F: FnOnce(&WriteTransaction) -> Result<T> + Send + 'static,
	{
		let (reply, receiver) = oneshot::channel();
		self.writer.enqueue(durability, Box::new(writer::Typed { job: Some(job), result: None, reply }));
		receiver
	}

	/// Runs `job` on the committed state.
	pub fn read<T>(&self, job: impl FnOnce(&ReadTransaction) -> Result<T>) -> Result<T> {
		job(&self.db.begin_read()?)
	}
}

/// Decodes a stored value.
fn decode<T: Decode>(mut bytes: &[u8]) -> Result<T> {
	Ok(T::decode(&mut bytes)?)
}
