//! The draw of audits from settlements, and the closing of checkers' lists.

use crate::{
	types::{Assignment, Draw},
	*,
};
use alloc::vec::Vec;
use gonka_primitives::{
	audit::{MILLION, Pick, audit_count, batch_seed, checker_ticket, locate, position},
	market::Totals,
	merkle_sum::SumNode,
	traits::OnSettlement,
};

impl<T: Config> OnSettlement<T::AccountId> for Pallet<T> {
	/// Whether the model has a profile.
	fn is_audited(model: ModelId) -> bool {
		Profiles::<T>::contains_key(model)
	}

	/// Keeps a settlement whose work can be audited.
	fn on_settlement(host: &T::AccountId, window: u32, root: &SumNode<Totals>, work: &[(ModelId, u64)]) {
		if !work.iter().any(|(model, _)| Profiles::<T>::contains_key(model)) {
			return;
		}
		// The market accepts no longer list of work.
		let Ok(work) = work.to_vec().try_into() else { return };
		let posted = Self::running();
		Batches::<T>::insert(host, window, Batch { posted, root: *root, work, drawn: false, pending: 0 });
		Posted::<T>::insert(posted, (host, window), ());
	}
}

impl<T: Config> Pallet<T> {
	/// Continues the window's draw. The seed is taken some blocks after the window began: an author knows the beacons of
	/// its own blocks in advance, and may have settled accordingly.
	pub(crate) fn draw_audits() -> Weight {
		let window = Self::running();
		let offset = T::AuditRules::get().draw_blocks.saturating_sub(1);
		if Self::now().checked_rem(T::WindowLength::get()) == Some(offset) {
			// Settlements that the last window did not get to are not audited.
			Drawing::<T>::kill();
			if let Some(epoch) = TableEpoch::<T>::get() {
				Drawing::<T>::put(Draw { window, seed: Poc::<T>::beacon(), epoch, after: None });
			}
		}
		let draw = Drawing::<T>::get().filter(|draw| draw.window == window);
		let Some((mut draw, posted)) = draw.zip(window.checked_sub(1)) else {
			return <T as Config>::WeightInfo::draw(0, 0);
		};
		let keys = match &draw.after {
			Some(after) => Posted::<T>::iter_key_prefix_from(posted, Posted::<T>::hashed_key_for(posted, after)),
			None => Posted::<T>::iter_key_prefix(posted),
		};
		let keys: Vec<_> = keys.take(T::MaxBatches::get() as usize).collect();
		let (mut batches, mut lookups) = (0u32, 0u32);
		for (host, settled) in &keys {
			if lookups >= T::MaxLookups::get() {
				break;
			}
			batches = batches.saturating_add(1);
			lookups = lookups.saturating_add(Self::draw_from(&draw, host, *settled));
			draw.after = Some((host.clone(), *settled));
		}
		if batches < T::MaxBatches::get() && batches as usize == keys.len() {
			Drawing::<T>::kill();
		} else {
			Drawing::<T>::put(draw);
		}
		<T as Config>::WeightInfo::draw(batches, lookups)
	}

	/// Draws the audits of one settlement. Returns the number of checkers tried.
	fn draw_from(draw: &Draw<T::AccountId>, host: &T::AccountId, window: u32) -> u32 {
		let Some(mut batch) = Batches::<T>::get(host, window) else { return 0 };
		let (rules, receipts) = (T::AuditRules::get(), batch.root.sum.receipts);
		let mut rate = rules.base_rate;
		let mut first = 0u64;
		Self::update_record(host, |record| {
			rate = rules.rate(record.reputation);
			first = u64::from(rules.first.saturating_sub(record.receipts)).min(receipts);
			record.receipts = record.receipts.saturating_add(u32::try_from(first).unwrap_or(u32::MAX));
		});
		let seed = batch_seed(&draw.seed, &host.clone().into(), window);
		let work = Self::audited(draw.epoch, &batch.work);
		let audited = work.iter().filter(|part| part.2).fold(0u64, |sum, part| sum.saturating_add(part.1));
		let count = |receipts, rate| audit_count(&seed, receipts, rate, audited, batch.root.sum.work);
		let rest = count(receipts.saturating_sub(first), rate);
		// The model of a receipt is known only if one model did all. With several, as many are drawn by work.
		let (by_number, by_work) = match work.as_slice() {
			[(_, _, true)] => (first, rest),
			_ => (0, count(first, MILLION).saturating_add(rest)),
		};
		let audits = by_number.saturating_add(by_work).min(rules.max_audits.into()) as u32;
		let mut lookups = 0u32;
		for k in 0..audits {
			let picked = match work.as_slice() {
				[(model, ..)] if u64::from(k) < by_number => Some((*model, Pick::Receipt(k.into()))),
				work => locate(work, position(&seed, k, audited)).map(|(model, unit)| (model, Pick::Work(unit))),
			};
			let Some((model, pick)) = picked else { continue };
			let audit = Assignment { host: host.clone(), window, model, pick, done: false };
			let ticket = |attempt, total| checker_ticket(&seed, k, attempt, total);
			let tried = Self::assign_audit((draw.epoch, model), ticket, |checker| {
				let is_taken =
					checker != host && Self::can_check(checker) && Self::assign(draw.window, checker, &audit);
				batch.pending = batch.pending.saturating_add(is_taken.into());
				is_taken
			});
			lookups = lookups.saturating_add(tried);
		}
		batch.drawn = true;
		Self::deposit_event(Event::AuditsDrawn { host: host.clone(), window, audits: batch.pending });
		Batches::<T>::insert(host, window, batch);
		lookups
	}

	/// Assigns an audit to a checker. Returns false if its list is full.
	fn assign(window: u32, checker: &T::AccountId, audit: &Assignment<T::AccountId>) -> bool {
		Assigned::<T>::try_mutate(window, checker, |all| all.try_push(audit.clone())).is_ok()
	}

	/// Whether reports about audits that were drawn in `window` are accepted.
	pub(crate) fn is_open(window: u32) -> bool {
		Self::running() <= Self::last_window(window)
	}

	/// The last window in which reports about audits drawn in `window` are accepted.
	pub(crate) fn last_window(window: u32) -> u32 {
		window.saturating_add(T::AuditRules::get().report_windows)
	}

	/// Closes the lists whose deadline has passed. Audits without a finding are missed duties.
	pub(crate) fn close_lists() -> Weight {
		let limit = T::CloseBatch::get();
		let (mut used, first) = (0u32, OldestAssigned::<T>::get());
		let mut window = first;
		while used < limit && !Self::is_open(window) {
			let left = limit.saturating_sub(used);
			let lists: Vec<_> = Assigned::<T>::iter_prefix(window).take(left as usize).collect();
			let closed = lists.len() as u32;
			for (checker, list) in lists {
				Assigned::<T>::remove(window, &checker);
				let (total, met) = (list.len() as u32, list.iter().filter(|audit| audit.done).count() as u32);
				Poc::<T>::note_audits(&checker, total, met);
				Self::update_record(&checker, |record| record.missed |= met < total);
				Self::deposit_event(Event::AuditsClosed { checker, window, total, met });
			}
			// Finding that a window is empty costs as much as a list.
			used = used.saturating_add(closed.max(1));
			if closed < left {
				window = window.saturating_add(1);
			}
		}
		if window != first {
			OldestAssigned::<T>::put(window);
		}
		<T as Config>::WeightInfo::close(used)
	}
}
