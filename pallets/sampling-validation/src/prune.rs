//! The pruning of settlements that are too old for cases, and of tables that no draw needs.

use crate::*;
use alloc::vec::Vec;

/// Maximum number of items of one kind that a block removes.
const BATCH: u64 = 64;

impl<T: Config> Pallet<T> {
	/// Removes a few old items.
	pub(crate) fn prune(meter: &mut WeightMeter) {
		let cost = <T as Config>::WeightInfo::prune();
		// The lookups cost as much as an item.
		if meter.try_consume(cost).is_err() {
			return;
		}
		let oldest = OldestPosted::<T>::get();
		if oldest.saturating_add(T::KeptWindows::get()) < Self::running() {
			let limit = room(meter, cost);
			let keys: Vec<_> = Posted::<T>::iter_key_prefix(oldest).take(limit as usize).collect();
			for (host, window) in &keys {
				Batches::<T>::remove(host, window);
				Posted::<T>::remove(oldest, (host, window));
			}
			if keys.len() < limit as usize {
				OldestPosted::<T>::put(oldest.saturating_add(1));
			}
			meter.consume(cost.saturating_mul(keys.len() as u64));
		}
		let oldest = OldestTable::<T>::get();
		if Self::oldest_needed().is_some_and(|needed| oldest < needed) {
			let limit = room(meter, cost.saturating_mul(2));
			if limit == 0 {
				return;
			}
			let rows = TableRows::<T>::clear_prefix((oldest,), limit, None);
			let tables = Tables::<T>::clear_prefix(oldest, limit, None);
			if rows.maybe_cursor.is_none() && tables.maybe_cursor.is_none() {
				OldestTable::<T>::put(oldest.saturating_add(1));
			}
			meter.consume(cost.saturating_mul(rows.loops.saturating_add(tables.loops).into()));
		}
	}

	/// The oldest epoch whose tables are still drawn from.
	pub(crate) fn oldest_needed() -> Option<EpochIndex> {
		let newest = TableEpoch::<T>::get()?;
		Some(Drawing::<T>::get().map_or(newest, |draw| draw.epoch.min(newest)))
	}
}

/// Number of items that fit into the rest of the block.
fn room(meter: &WeightMeter, cost: Weight) -> u32 {
	meter.remaining().checked_div_per_component(&cost).unwrap_or(0).min(BATCH) as u32
}
