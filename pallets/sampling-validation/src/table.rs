//! Who checks: the hosts that serve a model, by effective weight.
//!
//! A table has a row for each host that declared the model, in the order of the hosts' keys, with the weight of all rows
//! up to it. So a ticket below the total finds its host in as many look-ups as the number of rows has bits.

use crate::{
	types::{Build, Row},
	*,
};
use alloc::{collections::BTreeMap, vec::Vec};
use gonka_primitives::traits::{HostRegistry, HostWeights};

/// Tickets that are drawn for a place before its neighbours are asked.
const TICKETS: u32 = 3;
/// Hosts that are asked for a place, at most.
pub(crate) const ATTEMPTS: u32 = 6;

impl<T: Config> Pallet<T> {
	/// Enters the next hosts of the epoch settled last.
	pub(crate) fn build_table() -> Weight {
		let (building, settled) = (Building::<T>::get(), pallet_poc::LastSettled::<T>::get());
		let new = |epoch| Build { epoch, after: None, filled: false };
		let is_new = |epoch: &EpochIndex| Built::<T>::get().is_none_or(|built| built < *epoch);
		let Some(mut build) = building.or_else(|| settled.filter(is_new).map(new)) else {
			return <T as Config>::WeightInfo::build(0, 0);
		};
		let limit = T::TableBatch::get();
		let page = <Poc<T> as HostWeights<T::AccountId>>::page(build.epoch, build.after.as_ref(), limit);
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
				Table::<T>::insert((build.epoch, model, *count), Row { host: host.clone(), cumulative: *total });
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
			Built::<T>::put(build.epoch);
			// Without anybody with weight, those of the table before go on.
			if build.filled {
				TableEpoch::<T>::put(build.epoch);
				Self::deposit_event(Event::TableBuilt { epoch: build.epoch });
			}
		} else {
			Building::<T>::put(build);
		}
		<T as Config>::WeightInfo::build(hosts, rows)
	}

	/// The number of the row that a ticket names: the first whose cumulative weight is above it.
	pub(crate) fn find_row(epoch: EpochIndex, model: ModelId, rows: u32, ticket: u64) -> u32 {
		let (mut low, mut high) = (0u32, rows.saturating_sub(1));
		while low < high {
			let middle = low.midpoint(high);
			match Table::<T>::get((epoch, model, middle)) {
				Some(row) if row.cumulative > ticket => high = middle,
				_ => low = middle.saturating_add(1),
			}
		}
		low
	}

	/// Asks up to `attempts` hosts that serve the model, by weight, then their neighbours in the table, until `take` is true
	/// of one. Returns how many were asked.
	pub(crate) fn ask(
		(epoch, model): (EpochIndex, ModelId),
		(tickets, attempts): (u32, u32),
		ticket: impl Fn(u32, u64) -> u64,
		mut take: impl FnMut(&T::AccountId) -> bool,
	) -> u32 {
		let (rows, total) = Tables::<T>::get(epoch, model);
		let mut index = 0u32;
		for attempt in 0..attempts {
			index = if attempt < tickets {
				Self::find_row(epoch, model, rows, ticket(attempt, total))
			} else {
				index.saturating_add(1).checked_rem(rows).unwrap_or(0)
			};
			let Some(row) = Table::<T>::get((epoch, model, index)) else { return attempt };
			if take(&row.host) {
				return attempt.saturating_add(1);
			}
		}
		attempts
	}

	/// The same for a sample.
	pub(crate) fn ask_for_sample(
		table: (EpochIndex, ModelId),
		ticket: impl Fn(u32, u64) -> u64,
		take: impl FnMut(&T::AccountId) -> bool,
	) -> u32 {
		Self::ask(table, (TICKETS, ATTEMPTS), ticket, take)
	}

	/// Whether somebody would hear what a host says.
	pub(crate) fn is_heard(host: &T::AccountId) -> bool {
		let worker = <Poc<T> as HostRegistry<T::AccountId>>::worker(host);
		worker.is_some() && !Records::<T>::get(host).is_some_and(|record| record.is_muted(Self::epoch()))
	}

	/// The work of a settlement by model, with whether the model can be sampled by an epoch's table.
	pub(crate) fn sampled(epoch: EpochIndex, work: &[(ModelId, u64)]) -> Vec<(ModelId, u64, bool)> {
		let can_be = |model| Profiles::<T>::contains_key(model) && Tables::<T>::get(epoch, model).1 > 0;
		work.iter().map(|(model, work)| (*model, *work, can_be(*model))).collect()
	}
}
