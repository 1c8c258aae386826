//! The highest block that this worker has seen. A node that shows a lower one is still syncing: what its state lacks may
//! be on chain.

use super::Result;
use gonka_primitives::BlockNumber;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// The highest block.
const SEEN: TableDefinition<(), u32> = TableDefinition::new("seen");

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(SEEN)?;
	Ok(())
}

/// Notes a block whose state was read. Returns whether it is below one that was noted before.
pub fn note(tx: &WriteTransaction, block: BlockNumber) -> Result<bool> {
	let mut seen = tx.open_table(SEEN)?;
	let highest = seen.get(())?.map(|block| block.value());
	if highest.is_none_or(|highest| highest < block) {
		seen.insert((), block)?;
	}
	Ok(highest.is_some_and(|highest| block < highest))
}

/// Returns whether a block is below one that was noted.
pub fn is_behind(tx: &ReadTransaction, block: BlockNumber) -> Result<bool> {
	Ok(tx.open_table(SEEN)?.get(())?.is_some_and(|highest| block < highest.value()))
}
