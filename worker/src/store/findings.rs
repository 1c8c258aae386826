//! Findings of audits, by slot. Prompts and completions are not stored.

use super::{Result, decode};
use codec::{Decode, Encode};
use gonka_primitives::{EpochIndex, Hash, audit::Finding};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// Slot → [`StoredFinding`].
const FINDINGS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("findings");

/// A stored finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredFinding {
	/// Epoch in which it was made.
	pub epoch: EpochIndex,
	/// The finding.
	pub finding: Finding,
	/// Number of the receipt in its settlement, if the host showed it.
	pub receipt: Option<u64>,
}

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(FINDINGS)?;
	Ok(())
}

/// Returns the finding of a slot.
pub fn get(tx: &ReadTransaction, slot: &Hash) -> Result<Option<StoredFinding>> {
	tx.open_table(FINDINGS)?.get(slot)?.map(|stored| decode(stored.value())).transpose()
}

/// Stores a finding, unless the slot has one.
pub fn put(tx: &WriteTransaction, slot: &Hash, new: &StoredFinding) -> Result<()> {
	let mut findings = tx.open_table(FINDINGS)?;
	if findings.get(slot)?.is_none() {
		findings.insert(slot, new.encode().as_slice())?;
	}
	Ok(())
}

/// Deletes findings of epochs before `epoch`.
pub fn prune(tx: &WriteTransaction, epoch: EpochIndex) -> Result<()> {
	let is_recent = |stored: &[u8]| decode::<StoredFinding>(stored).is_ok_and(|stored| stored.epoch >= epoch);
	tx.open_table(FINDINGS)?.retain(|_, stored| is_recent(stored))?;
	Ok(())
}
