//! What must hold between any two blocks.

use crate::*;
use alloc::collections::{BTreeMap, BTreeSet};
use gonka_primitives::sampling::MILLION;
use polkadot_sdk::sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks all invariants.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::try_state_samples()?;
		Self::try_state_tables()?;
		Self::try_state_cases()?;
		Self::try_state_records()
	}

	/// # Invariants of samples
	/// 1. Every settlement is in `Posted`, under its window, and nothing else is.
	/// 2. While samples can be answered for, a settlement's `pending` are those that nobody answered for.
	/// 3. Nobody checks itself, no list is empty, and each sample's settlement was posted the window before it was drawn.
	fn try_state_samples() -> Result<(), TryRuntimeError> {
		let mut open = BTreeMap::<_, u32>::new();
		for (window, checker, list) in Assigned::<T>::iter() {
			ensure!(!list.is_empty(), "samples 3: empty list");
			for sample in list {
				ensure!(sample.host != checker, "samples 3: checks itself");
				let batch = Batches::<T>::get(&sample.host, sample.window);
				let drawn = batch.is_none_or(|batch| batch.drawn && batch.posted.saturating_add(1) == window);
				ensure!(drawn, "samples 3: another window");
				if !sample.done {
					let count = open.entry((sample.host, sample.window)).or_default();
					*count = count.saturating_add(1);
				}
			}
		}
		let mut batches = 0usize;
		for (host, window, batch) in Batches::<T>::iter() {
			batches = batches.saturating_add(1);
			ensure!(Posted::<T>::contains_key(batch.posted, (&host, window)), "samples 1: not posted");
			ensure!(batch.drawn || batch.pending == 0, "samples 2: pending before the draw");
			if Self::is_open(batch.posted.saturating_add(1)) {
				let count = open.get(&(host, window)).copied().unwrap_or_default();
				ensure!(batch.pending == count, "samples 2: pending");
			}
		}
		ensure!(Posted::<T>::iter_keys().count() == batches, "samples 1: no such settlement");
		Ok(())
	}

	/// # Invariants of tables
	/// 1. Rows are numbered from 0, ascend by cumulative weight, and end with the total. None stands beyond.
	fn try_state_tables() -> Result<(), TryRuntimeError> {
		let oldest = OldestTable::<T>::get();
		let is_whole =
			|epoch: &EpochIndex| *epoch > oldest || Self::oldest_needed().is_none_or(|needed| oldest >= needed);
		let mut rows = 0usize;
		for (epoch, model, (count, total)) in Tables::<T>::iter().filter(|(epoch, ..)| is_whole(epoch)) {
			let mut last = 0u64;
			for index in 0..count {
				let row = Table::<T>::get((epoch, model, index)).ok_or("tables 1: row missing")?;
				ensure!(row.cumulative > last, "tables 1: weights do not ascend");
				last = row.cumulative;
			}
			ensure!(last == total, "tables 1: total");
			rows = rows.saturating_add(count as usize);
		}
		let all = Table::<T>::iter_keys().filter(|(epoch, ..)| is_whole(epoch)).count();
		ensure!(all == rows, "tables 1: row beyond");
		Ok(())
	}

	/// # Invariants of cases
	/// 1. `OpenCases` has each host of `Cases` once, and nobody else.
	/// 2. Numbers were given out and are unique.
	/// 3. Arbiters are drawn with the seed; they are different hosts, and not the one that the case is about.
	/// 4. There is something to draw from, and its windows ascend.
	fn try_state_cases() -> Result<(), TryRuntimeError> {
		let open: BTreeSet<_> = OpenCases::<T>::get().into_iter().map(|(host, _)| host).collect();
		ensure!(open.len() == OpenCases::<T>::get().len(), "cases 1: twice");
		let (mut cases, mut ids) = (0usize, BTreeSet::new());
		for (host, case) in Cases::<T>::iter() {
			cases = cases.saturating_add(1);
			ensure!(open.contains(&host), "cases 1: not open");
			ensure!(case.id < NextCase::<T>::get() && ids.insert(case.id), "cases 2: number");
			ensure!(case.seed.is_some() != case.arbiters.is_empty(), "cases 3: seed");
			let arbiters: BTreeSet<_> = case.arbiters.iter().map(|arbiter| &arbiter.who).collect();
			ensure!(arbiters.len() == case.arbiters.len() && !arbiters.contains(&host), "cases 3: arbiters");
			let ascending = case.scope.is_sorted_by(|a, b| a.window < b.window);
			ensure!(!case.scope.is_empty() && ascending, "cases 4: scope");
		}
		ensure!(cases == open.len(), "cases 1: no such case");
		Ok(())
	}

	/// # Invariants of records
	/// 1. No reputation is above 1, no count of receipts above what is counted, no write in the future.
	fn try_state_records() -> Result<(), TryRuntimeError> {
		let (epoch, rules) = (Self::epoch(), T::Rules::get());
		for record in Records::<T>::iter_values() {
			ensure!(record.reputation <= MILLION && record.receipts <= rules.first, "records 1: out of range");
			ensure!(record.epoch <= epoch, "records 1: epoch");
		}
		Ok(())
	}
}
