//! Settlements as they were signed.

use super::{Result, decode, market::SETTLEMENTS};
use codec::{Decode, Encode};
use gonka_primitives::{EpochIndex, Signature, market::Settlement};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SettlementState {
	/// To be sent until the chain has it.
	Pending,
	/// The chain has it.
	Included,
	/// It can no longer be included: its receipts go into a later one.
	Abandoned,
}

/// A settlement with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredSettlement {
	/// What was signed.
	pub settlement: Settlement,
	/// The worker key's signature.
	pub signature: Signature,
	/// The epoch in which it was signed.
	pub epoch: EpochIndex,
	/// What became of it.
	pub state: SettlementState,
}

/// Keeps a settlement, or what became of it, under its window.
pub fn put(tx: &WriteTransaction, stored: &StoredSettlement) -> Result<()> {
	tx.open_table(SETTLEMENTS)?.insert(stored.settlement.window, stored.encode().as_slice())?;
	Ok(())
}

/// The settlement of the latest window that has one.
pub fn latest(tx: &ReadTransaction) -> Result<Option<StoredSettlement>> {
	tx.open_table(SETTLEMENTS)?.last()?.map(|(_, stored)| decode(stored.value())).transpose()
}

/// Forgets settlements of windows before `window`, but never the latest.
pub fn prune(tx: &WriteTransaction, window: u32) -> Result<()> {
	let mut settlements = tx.open_table(SETTLEMENTS)?;
	let latest = settlements.last()?.map_or(0, |(window, _)| window.value());
	settlements.retain_in(..window.min(latest), |_, _| false)?;
	Ok(())
}
