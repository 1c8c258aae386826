//! Signed settlements.

use super::{Result, decode, market::SETTLEMENTS};
use codec::{Decode, Encode};
use gonka_primitives::{EpochIndex, Signature, market::Settlement};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};

/// State of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SettlementState {
	/// It is sent until it is on chain.
	Pending,
	/// It is on chain.
	Included,
	/// It is not sent any more; receipts that it does not settle go into a later one.
	Abandoned,
}

/// A settlement with its signature and state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredSettlement {
	/// The settlement.
	pub settlement: Settlement,
	/// Signature of the worker key.
	pub signature: Signature,
	/// Epoch in which it was signed.
	pub epoch: EpochIndex,
	/// Its state.
	pub state: SettlementState,
}

/// Stores a settlement, or its new state, under its window.
pub fn put(tx: &WriteTransaction, stored: &StoredSettlement) -> Result<()> {
	tx.open_table(SETTLEMENTS)?.insert(stored.settlement.window, stored.encode().as_slice())?;
	Ok(())
}

/// Returns the settlement of the latest window that has one.
pub fn latest(tx: &ReadTransaction) -> Result<Option<StoredSettlement>> {
	tx.open_table(SETTLEMENTS)?.last()?.map(|(_, stored)| decode(stored.value())).transpose()
}

/// Deletes settlements of windows before `window`, except the latest one.
pub fn prune(tx: &WriteTransaction, window: u32) -> Result<()> {
	let mut settlements = tx.open_table(SETTLEMENTS)?;
	let latest = settlements.last()?.map_or(0, |(window, _)| window.value());
	settlements.retain_in(..window.min(latest), |_, _| false)?;
	Ok(())
}
