//! The invariants between blocks.

use crate::*;
use alloc::collections::{BTreeMap, BTreeSet};
use gonka_primitives::audit::MILLION;
use polkadot_sdk::sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks all invariants.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::try_state_audits()?;
		Self::try_state_tables()?;
		Self::try_state_cases()?;
		Self::try_state_records()
	}

	/// # Invariants of audits
	/// 1. `Posted` has exactly the settlements of `Batches`, under their windows.
	/// 2. While reports are accepted, a settlement's `pending` is its number of audits without a finding.
	/// 3. No host checks itself, no list is empty, and each audit's settlement was posted in the window before the draw.
	fn try_state_audits() -> Result<(), TryRuntimeError> {
		let mut open = BTreeMap::<_, u32>::new();
		for (window, checker, list) in Assigned::<T>::iter() {
			ensure!(!list.is_empty(), "audits 3: empty list");
			for audit in list {
				ensure!(audit.host != checker, "audits 3: checks itself");
				let batch = Batches::<T>::get(&audit.host, audit.window);
				let drawn = batch.is_none_or(|batch| batch.drawn && batch.posted.saturating_add(1) == window);
				ensure!(drawn, "audits 3: another window");
				if !audit.done {
					let count = open.entry((audit.host, audit.window)).or_default();
					*count = count.saturating_add(1);
				}
			}
		}
		let mut batches = 0usize;
		for (host, window, batch) in Batches::<T>::iter() {
			batches = batches.saturating_add(1);
			ensure!(Posted::<T>::contains_key(batch.posted, (&host, window)), "audits 1: not posted");
			ensure!(batch.drawn || batch.pending == 0, "audits 2: pending before the draw");
			if Self::is_open(batch.posted.saturating_add(1)) {
				let count = open.get(&(host, window)).copied().unwrap_or_default();
				ensure!(batch.pending == count, "audits 2: pending");
			}
		}
		ensure!(Posted::<T>::iter_keys().count() == batches, "audits 1: no such settlement");
		Ok(())
	}

	/// # Invariants of tables
	/// 1. Rows are numbered from 0 without gaps, ascend by cumulative weight, and end with the total.
	fn try_state_tables() -> Result<(), TryRuntimeError> {
		let oldest = OldestTable::<T>::get();
		let is_whole =
			|epoch: &EpochIndex| *epoch > oldest || Self::oldest_needed().is_none_or(|needed| oldest >= needed);
		let mut rows = 0usize;
		for (epoch, model, (count, total)) in Tables::<T>::iter().filter(|(epoch, ..)| is_whole(epoch)) {
			let mut last = 0u64;
			for index in 0..count {
				let row = TableRows::<T>::get((epoch, model, index)).ok_or("tables 1: row missing")?;
				ensure!(row.cumulative > last, "tables 1: weights do not ascend");
				last = row.cumulative;
			}
			ensure!(last == total, "tables 1: total");
			rows = rows.saturating_add(count as usize);
		}
		let all = TableRows::<T>::iter_keys().filter(|(epoch, ..)| is_whole(epoch)).count();
		ensure!(all == rows, "tables 1: row beyond");
		Ok(())
	}

	/// # Invariants of cases
	/// 1. `OpenCases` has each host of `Cases` exactly once.
	/// 2. Numbers were assigned and are unique.
	/// 3. Arbiters are drawn together with the seed. They differ from each other and from the host of the case.
	/// 4. The scope is not empty, and its windows ascend.
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
	/// 1. No reputation is above 1, no number of receipts above `AuditRules::first`, no epoch in the future.
	fn try_state_records() -> Result<(), TryRuntimeError> {
		let (epoch, rules) = (Self::epoch(), T::AuditRules::get());
		for record in Records::<T>::iter_values() {
			ensure!(record.reputation <= MILLION && record.receipts <= rules.first, "records 1: out of range");
			ensure!(record.epoch <= epoch, "records 1: epoch");
		}
		Ok(())
	}
}
