//! Tables of the hosts that serve a model, from which checkers and arbiters are drawn by effective weight.
//!
//! A table has a row for each host that declared the model, in storage order, with the cumulative weight up to the
//! row. A binary search finds the host of a ticket below the total weight.

use crate::{
	types::{Build, Row},
	*,
};
use alloc::{collections::BTreeMap, vec::Vec};
use gonka_primitives::{
	audit::{MAX_TICKETS, skip_excluded},
	traits::{EffectiveWeights, HostRegistry},
};

/// Number of tickets drawn for an audit before neighbours in the table are tried.
const TICKETS: u32 = 3;
/// Maximum number of hosts tried for an audit.
pub(crate) const ATTEMPTS: u32 = 6;

impl<T: Config> Pallet<T> {
	/// Adds the next hosts of the epoch weighed last to its tables.
	pub(crate) fn build_table() -> Weight {
		let (building, weighed) = (Building::<T>::get(), pallet_poc::LastWeighed::<T>::get());
		let new = |epoch| Build { epoch, after: None, filled: false };
		let is_new = |epoch: &EpochIndex| LastBuilt::<T>::get().is_none_or(|built| built < *epoch);
		let Some(mut build) = building.or_else(|| weighed.filter(is_new).map(new)) else {
			return <T as Config>::WeightInfo::build(0, 0);
		};
		let limit = T::TableBatch::get();
		let page = <Poc<T> as EffectiveWeights<T::AccountId>>::page(build.epoch, build.after.as_ref(), limit);
		let (hosts, mut rows) = (page.len() as u32, 0u32);
		let mut tables = BTreeMap::<ModelId, Option<(u32, u64)>>::new();
		for (host, weight) in page {
			let models = pallet_poc::Hosts::<T>::get(&host).filter(|_| weight > 0).map(|host| host.models);
			for model in models.into_iter().flatten() {
				let table = tables.entry(model).or_insert_with(|| {
					Profiles::<T>::contains_key(model).then(|| Tables::<T>::get(build.epoch, model))
				});
				let Some((count, total)) = table else { continue };
				*total = total.saturating_add(weight);
				TableRows::<T>::insert((build.epoch, model, *count), Row { host: host.clone(), cumulative: *total });
				(*count, rows) = (count.saturating_add(1), rows.saturating_add(1));
				build.filled = true;
			}
			build.after = Some(host);
		}
		for (model, table) in tables {
			if let Some(table) = table {
				Tables::<T>::insert(build.epoch, model, table);
			}
		}
		if hosts < limit {
			Building::<T>::kill();
			LastBuilt::<T>::put(build.epoch);
			// If no host has weight, the tables before remain in use.
			if build.filled {
				TableEpoch::<T>::put(build.epoch);
				Self::deposit_event(Event::TableBuilt { epoch: build.epoch });
			}
		} else {
			Building::<T>::put(build);
		}
		<T as Config>::WeightInfo::build(hosts, rows)
	}

	/// The number of the row of a ticket: the first row whose cumulative weight is above it.
	pub(crate) fn find_row(epoch: EpochIndex, model: ModelId, rows: u32, ticket: u64) -> u32 {
		let (mut low, mut high) = (0u32, rows.saturating_sub(1));
		while low < high {
			let middle = low.midpoint(high);
			match TableRows::<T>::get((epoch, model, middle)) {
				Some(row) if row.cumulative > ticket => high = middle,
				_ => low = middle.saturating_add(1),
			}
		}
		low
	}

	/// Tries hosts that serve the model, first by tickets, then neighbours in the table, until `take` returns true for
	/// one. Returns the number of hosts tried.
	pub(crate) fn assign_audit(
		(epoch, model): (EpochIndex, ModelId),
		ticket: impl Fn(u32, u64) -> u64,
		mut take: impl FnMut(&T::AccountId) -> bool,
	) -> u32 {
		let (rows, total) = Tables::<T>::get(epoch, model);
		let mut index = 0u32;
		for attempt in 0..ATTEMPTS {
			index = if attempt < TICKETS {
				Self::find_row(epoch, model, rows, ticket(attempt, total))
			} else {
				index.saturating_add(1).checked_rem(rows).unwrap_or(0)
			};
			let Some(row) = TableRows::<T>::get((epoch, model, index)) else { return attempt };
			if take(&row.host) {
				return attempt.saturating_add(1);
			}
		}
		ATTEMPTS
	}

	/// Draws up to `seats` seats by weight, each by itself. Returns the hosts in the order of their first seats, with the
	/// number of their seats. A host that is not `eligible` is excluded once a ticket falls on it.
	pub(crate) fn draw_seats(
		(epoch, model): (EpochIndex, ModelId),
		seats: u32,
		ticket: impl Fn(u32, u64) -> u64,
		eligible: impl Fn(&T::AccountId) -> bool,
	) -> Vec<(T::AccountId, u32)> {
		let (rows, mut left) = Tables::<T>::get(epoch, model);
		let (mut drawn, mut excluded) = (Vec::<(T::AccountId, u32)>::new(), Vec::new());
		let mut taken = 0u32;
		for attempt in 0..MAX_TICKETS {
			if left == 0 || taken >= seats {
				break;
			}
			let unit = skip_excluded(ticket(attempt, left), &excluded);
			let index = Self::find_row(epoch, model, rows, unit);
			let Some(row) = TableRows::<T>::get((epoch, model, index)) else { break };
			if let Some((_, own)) = drawn.iter_mut().find(|(who, _)| *who == row.host) {
				(*own, taken) = (own.saturating_add(1), taken.saturating_add(1));
			} else if eligible(&row.host) {
				drawn.push((row.host, 1));
				taken = taken.saturating_add(1);
			} else {
				let before = index.checked_sub(1).and_then(|before| TableRows::<T>::get((epoch, model, before)));
				let first = before.map_or(0, |row| row.cumulative);
				let weight = row.cumulative.saturating_sub(first);
				left = left.saturating_sub(weight);
				excluded.push((first, weight));
				excluded.sort_unstable();
			}
		}
		drawn
	}

	/// Whether a host may check and arbitrate: it is registered and not muted.
	pub(crate) fn can_check(host: &T::AccountId) -> bool {
		let worker = <Poc<T> as HostRegistry<T::AccountId>>::worker(host);
		worker.is_some() && !Records::<T>::get(host).is_some_and(|record| record.is_muted(Self::epoch()))
	}

	/// The work of a settlement by model, and whether an epoch has a table to audit the model.
	pub(crate) fn audited(epoch: EpochIndex, work: &[(ModelId, u64)]) -> Vec<(ModelId, u64, bool)> {
		let can_be = |model| Profiles::<T>::contains_key(model) && Tables::<T>::get(epoch, model).1 > 0;
		work.iter().map(|(model, work)| (*model, *work, can_be(*model))).collect()
	}
}
