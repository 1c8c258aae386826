//! Errors of the store.

use std::{path::PathBuf, sync::Arc};

/// Why a request to the store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
	/// Another process has the file open.
	#[error("{} is in use by another worker: stop that one, or give this one another --base-path", .0.display())]
	InUse(PathBuf),
	/// The file belongs to another chain, host or version.
	#[error("{} {reason}: give another --base-path, or move the file away", path.display())]
	Foreign {
		/// The file.
		path: PathBuf,
		/// The difference.
		reason: &'static str,
	},
	/// The disk or the file failed.
	#[error("the store failed: {0}; check the disk of --base-path")]
	Database(Arc<redb::Error>),
	/// A stored value cannot be decoded.
	#[error("the store has a value that cannot be decoded ({0}): was it written by another version of this program?")]
	Decode(#[from] codec::Error),
	/// Stored values contradict each other.
	#[error("the store contradicts itself: {0}; this is a bug: report it with the log")]
	Inconsistent(&'static str),
	/// The store's thread has stopped.
	#[error("the store's thread has stopped")]
	Stopped,
}

impl StoreError {
	/// Returns whether the same request may succeed later.
	pub fn is_temporary(&self) -> bool {
		matches!(self, Self::Database(_)) && !self.is_fatal()
	}

	/// Returns whether every later request fails as well, until the store is opened again.
	pub fn is_fatal(&self) -> bool {
		matches!(self, Self::Database(error) if matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo))
	}
}

macro_rules! from_database_errors {
	($($error:ty),*) => {
		$(impl From<$error> for StoreError {
			fn from(error: $error) -> Self {
				Self::Database(Arc::new(error.into()))
			}
		})*
	};
}

from_database_errors!(
	redb::DatabaseError,
	redb::TransactionError,
	redb::TableError,
	redb::StorageError,
	redb::CommitError,
	redb::SetDurabilityError
);
