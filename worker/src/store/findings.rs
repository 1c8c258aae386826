//! What was found about samples, by slot; nothing of what was looked at.

use super::{Result, decode};
use codec::{Decode, Encode};
use gonka_primitives::{EpochIndex, Hash, sampling::Finding};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// Slot → [`StoredFinding`].
const FINDINGS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("findings");

/// A finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredFinding {
	/// The epoch in which it was made.
	pub epoch: EpochIndex,
	/// What was found.
	pub finding: Finding,
	/// The receipt's number in its settlement, if that was shown.
	pub receipt: Option<u64>,
}

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(FINDINGS)?;
	Ok(())
}

/// The finding of a slot.
pub fn get(tx: &ReadTransaction, slot: &Hash) -> Result<Option<StoredFinding>> {
	tx.open_table(FINDINGS)?.get(slot)?.map(|stored| decode(stored.value())).transpose()
}

/// Keeps a finding. The first of a slot stays.
pub fn put(tx: &WriteTransaction, slot: &Hash, new: &StoredFinding) -> Result<()> {
	let mut findings = tx.open_table(FINDINGS)?;
	if findings.get(slot)?.is_none() {
		findings.insert(slot, new.encode().as_slice())?;
	}
	Ok(())
}

/// Forgets findings of epochs before `epoch`.
pub fn prune(tx: &WriteTransaction, epoch: EpochIndex) -> Result<()> {
	let is_young = |stored: &[u8]| decode::<StoredFinding>(stored).is_ok_and(|stored| stored.epoch >= epoch);
	tx.open_table(FINDINGS)?.retain(|_, stored| is_young(stored))?;
	Ok(())
}
