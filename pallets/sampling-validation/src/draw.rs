//! From settlements to checkers' lists, and the end of these lists.

use crate::{
	types::{Assignment, Draw},
	*,
};
use alloc::vec::Vec;
use gonka_primitives::{
	market::Totals,
	merkle_sum::SumNode,
	sampling::{MILLION, Pick, batch_seed, checker_ticket, locate, position, sample_count},
	traits::{Beacon, OnSettled},
};

impl<T: Config> OnSettled<T::AccountId> for Pallet<T> {
	/// Keeps a settlement with work that can be sampled.
	fn on_settled(host: &T::AccountId, window: u32, root: &SumNode<Totals>, work: &[(ModelId, u64)]) {
		if !work.iter().any(|(model, _)| Profiles::<T>::contains_key(model)) {
			return;
		}
		// The market takes no longer lists.
		let Ok(work) = work.to_vec().try_into() else { return };
		let posted = Self::running();
		Batches::<T>::insert(host, window, Batch { posted, root: *root, work, drawn: false, pending: 0 });
		Posted::<T>::insert(posted, (host, window), ());
	}
}

impl<T: Config> Pallet<T> {
	/// Goes on with the window's draw. Its seed is that of the second block: the author of a window's last block knows what
	/// the first would give, and may have a settlement of its own in it.
	pub(crate) fn draw_samples() -> Weight {
		let window = Self::running();
		if Self::now().checked_rem(T::WindowLength::get()) == Some(1) {
			// What the last window could not do is not sampled.
			Drawing::<T>::kill();
			if let Some(epoch) = TableEpoch::<T>::get() {
				Drawing::<T>::put(Draw { window, seed: T::Beacon::randomness(), epoch, after: None });
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
		let (mut batches, mut probes) = (0u32, 0u32);
		for (host, settled) in &keys {
			if probes >= T::MaxProbes::get() {
				break;
			}
			batches = batches.saturating_add(1);
			probes = probes.saturating_add(Self::draw_from(&draw, host, *settled));
			draw.after = Some((host.clone(), *settled));
		}
		if batches < T::MaxBatches::get() && batches as usize == keys.len() {
			Drawing::<T>::kill();
		} else {
			Drawing::<T>::put(draw);
		}
		<T as Config>::WeightInfo::draw(batches, probes)
	}

	/// Draws the samples of one settlement. Returns how many checkers were asked.
	fn draw_from(draw: &Draw<T::AccountId>, host: &T::AccountId, window: u32) -> u32 {
		let Some(mut batch) = Batches::<T>::get(host, window) else { return 0 };
		let (rules, receipts) = (T::Rules::get(), batch.root.sum.receipts);
		let mut rate = rules.base_rate;
		let mut first = 0u64;
		Self::touch(host, |record| {
			rate = rules.rate(record.reputation);
			first = u64::from(rules.first.saturating_sub(record.receipts)).min(receipts);
			record.receipts = record.receipts.saturating_add(u32::try_from(first).unwrap_or(u32::MAX));
		});
		let seed = batch_seed(&draw.seed, &host.clone().into(), window);
		let work = Self::sampled(draw.epoch, &batch.work);
		let sampled = work.iter().filter(|part| part.2).fold(0u64, |sum, part| sum.saturating_add(part.1));
		let count = |receipts, rate| sample_count(&seed, receipts, rate, sampled, batch.root.sum.work);
		let rest = count(receipts.saturating_sub(first), rate);
		// Which receipts are a model's is known if it did them all. Else as many are drawn by work.
		let (by_number, by_work) = match work.as_slice() {
			[(_, _, true)] => (first, rest),
			_ => (0, count(first, MILLION).saturating_add(rest)),
		};
		let most = by_number.saturating_add(by_work).min(rules.most.into()) as u32;
		let mut probes = 0u32;
		for k in 0..most {
			let picked = match work.as_slice() {
				[(model, ..)] if u64::from(k) < by_number => Some((*model, Pick::Receipt(k.into()))),
				work => locate(work, position(&seed, k, sampled)).map(|(model, unit)| (model, Pick::Work(unit))),
			};
			let Some((model, pick)) = picked else { continue };
			let sample = Assignment { host: host.clone(), window, model, pick, done: false };
			let ticket = |attempt, total| checker_ticket(&seed, k, attempt, total);
			let asked = Self::ask_for_sample((draw.epoch, model), ticket, |checker| {
				let is_taken =
					checker != host && Self::is_heard(checker) && Self::assign(draw.window, checker, &sample);
				batch.pending = batch.pending.saturating_add(is_taken.into());
				is_taken
			});
			probes = probes.saturating_add(asked);
		}
		batch.drawn = true;
		Self::deposit_event(Event::Sampled { host: host.clone(), window, samples: batch.pending });
		Batches::<T>::insert(host, window, batch);
		probes
	}

	/// False if the checker's list is full.
	fn assign(window: u32, checker: &T::AccountId, sample: &Assignment<T::AccountId>) -> bool {
		Assigned::<T>::try_mutate(window, checker, |all| all.try_push(sample.clone())).is_ok()
	}

	/// Whether samples that were drawn in `window` can be answered for.
	pub(crate) fn is_open(window: u32) -> bool {
		Self::running() <= Self::last_window(window)
	}

	/// The last window in which samples drawn in `window` can be answered for.
	pub(crate) fn last_window(window: u32) -> u32 {
		window.saturating_add(T::Rules::get().verdict_windows)
	}

	/// Closes the lists whose deadline has passed: what is left there was missed.
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
				let (total, met) = (list.len() as u32, list.iter().filter(|sample| sample.done).count() as u32);
				Poc::<T>::note_samples(&checker, total, met);
				Self::touch(&checker, |record| record.missed |= met < total);
				Self::deposit_event(Event::ListClosed { checker, window, total, met });
			}
			// To see that a window is empty costs as much as a list.
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
