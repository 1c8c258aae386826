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
//! - [`seen`]: the highest block that was seen;
//! - [`settlements`]: signed settlements;
//! - [`sprint`]: leaves and commitments.

pub mod check;
mod error;
pub mod evidence;
pub mod findings;
pub mod market;
pub mod seen;
pub mod settlements;
pub mod sprint;
mod writer;

pub use error::StoreError;

use codec::{Decode, Encode};
use gonka_primitives::Hash;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::{path::Path, sync::Arc};
use tokio::sync::{oneshot, watch};

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
	/// Closed when the writing thread ends.
	open: watch::Receiver<()>,
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
		seen::create_tables(&tx)?;
		tx.commit()?;
		Ok(Self::over(db))
	}

	fn over(db: Database) -> Self {
		let db = Arc::new(db);
		let (writer, open) = writer::Writer::start(db.clone());
		Self { db, writer: Arc::new(writer), open }
	}

	/// Waits until the store can no longer be written: after a fault of the disk only opening it again helps.
	pub async fn closed(&self) {
		let mut open = self.open.clone();
		while open.changed().await.is_ok() {}
	}

	/// Returns whether the store can no longer be written.
	pub fn is_closed(&self) -> bool {
		self.open.has_changed().is_err()
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

#[cfg(test)]
mod tests {
	use super::*;
	use redb::{StorageBackend, backends::InMemoryBackend};
	use std::{
		io,
		sync::atomic::{AtomicBool, Ordering::Relaxed},
	};

	/// A disk that may be full.
	#[derive(Debug, Default)]
	struct Disk {
		bytes: InMemoryBackend,
		full: Arc<AtomicBool>,
	}

	impl Disk {
		fn check(&self) -> io::Result<()> {
			if self.full.load(Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
		}
	}

	impl StorageBackend for Disk {
		fn len(&self) -> io::Result<u64> {
			StorageBackend::len(&self.bytes)
		}
		fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
			StorageBackend::read(&self.bytes, offset, out)
		}
		fn set_len(&self, len: u64) -> io::Result<()> {
			self.check()?;
			StorageBackend::set_len(&self.bytes, len)
		}
		fn sync_data(&self) -> io::Result<()> {
			self.check()?;
			StorageBackend::sync_data(&self.bytes)
		}
		fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
			self.check()?;
			StorageBackend::write(&self.bytes, offset, data)
		}
	}

	#[tokio::test]
	async fn a_store_whose_disk_failed_is_closed() {
		let disk = Disk::default();
		let full = disk.full.clone();
		let store = Store::over(redb::Builder::new().create_with_backend(disk).unwrap());
		let write = |block| store.write(Durability::Now, move |tx| seen::note(tx, block));
		write(1).await.unwrap();
		// An error of a job is no fault of the disk.
		let failed = store.write(Durability::Now, |_| Err::<(), _>(StoreError::Inconsistent("a test"))).await;
		assert!(matches!(failed, Err(StoreError::Inconsistent(_))));
		write(2).await.unwrap();
		assert!(!store.is_closed());
		full.store(true, Relaxed);
		let error = write(3).await.unwrap_err();
		assert!(error.is_fatal() && !error.is_temporary(), "{error}");
		store.closed().await;
		assert!(store.is_closed());
		full.store(false, Relaxed);
		assert!(matches!(write(4).await, Err(StoreError::Stopped)));
	}
}
