//! The invariants between blocks.

use crate::{judgements::Money, *};
use alloc::collections::{BTreeMap, BTreeSet};
use gonka_primitives::audit::MILLION;
use polkadot_sdk::{frame_support::traits::fungible::hold::Inspect, sp_runtime::TryRuntimeError};

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
	/// 1. `OpenCases` has each host whose case is heard exactly once, `Terms` each other host of `Cases`.
	/// 2. Numbers were assigned and are unique.
	/// 3. Arbiters are drawn together with the seed. They differ from each other and from the host of the case, and have
	///    seats.
	/// 4. The scope is not empty, and its windows ascend. No judgement covers them.
	/// 5. At most half of the heard cases, rounded up, are appeals, and their deposits are on hold.
	fn try_state_cases() -> Result<(), TryRuntimeError> {
		let queue = OpenCases::<T>::get();
		let open: BTreeMap<_, _> = queue.iter().map(|hearing| (&hearing.host, hearing.appeal)).collect();
		ensure!(open.len() == queue.len(), "cases 1: twice");
		let terms: BTreeMap<_, _> = Terms::<T>::iter_keys().map(|(until, host)| (host, until)).collect();
		ensure!(terms.len() == Terms::<T>::iter_keys().count(), "cases 1: two terms");
		let (mut cases, mut ids) = (0usize, BTreeSet::new());
		for (host, case) in Cases::<T>::iter() {
			cases = cases.saturating_add(1);
			if case.is_heard() {
				ensure!(open.get(&host) == Some(&case.appeal().is_some()), "cases 1: not heard");
			} else {
				let until = case.judgement.as_ref().map(|judgement| judgement.until);
				ensure!(until.is_some() && terms.get(&host).copied() == until, "cases 1: no term");
			}
			ensure!(case.id < NextCase::<T>::get() && ids.insert(case.id), "cases 2: number");
			ensure!(case.seed.is_some() != case.arbiters.is_empty(), "cases 3: seed");
			let arbiters: BTreeSet<_> = case.arbiters.iter().map(|arbiter| &arbiter.who).collect();
			ensure!(arbiters.len() == case.arbiters.len() && !arbiters.contains(&host), "cases 3: arbiters");
			ensure!(case.arbiters.iter().all(|arbiter| arbiter.seats > 0), "cases 3: no seat");
			let ascending = case.scope.is_sorted_by(|a, b| a.window < b.window);
			ensure!(!case.scope.is_empty() && ascending, "cases 4: scope");
			let record = Self::record(&host);
			ensure!(case.scope.iter().all(|part| record.is_open(part.window)), "cases 4: judged before");
			if let Some(appeal) = case.appeal() {
				let held = Money::<T>::balance_on_hold(&HoldReason::Appeal.into(), &host);
				ensure!(held == appeal.deposit, "cases 5: deposit");
			}
		}
		let appeals = open.values().filter(|appeal| **appeal).count();
		ensure!(appeals <= T::MaxCases::get().div_ceil(2) as usize, "cases 5: too many appeals");
		ensure!(cases == open.len().saturating_add(terms.len()), "cases 1: no such case");
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
