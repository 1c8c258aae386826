//! The weights of the epochs in which polls were opened: kept as long as one of the polls is open.

use crate::*;
use alloc::vec::Vec;
use frame_support::{traits::Get, weights::WeightMeter};

/// New polls looked at per block.
pub(crate) const NOTED: u32 = 8;
/// Open polls and barred hosts looked at per block.
const SWEPT: usize = 4;

impl<T: Config> Pallet<T> {
	/// Notes polls that were opened; how many were looked at.
	pub(crate) fn note_polls() -> u32 {
		let next = NextPoll::<T>::get();
		let end = T::PollCount::get().min(next.saturating_add(NOTED));
		if next >= end {
			return 0;
		}
		let mut snapshots = Snapshots::<T>::get();
		for index in next..end {
			let Some((tally, class)) = T::Polls::as_ongoing(index) else { continue };
			if tally.electorate == 0 {
				// Nobody has votes in it.
				continue;
			}
			let epoch = tally.epoch;
			if !snapshots.iter().any(|snapshot| snapshot.epoch == epoch) {
				// Without a place its weights last as long as the electorate keeps them.
				let _ = snapshots.try_push(Snapshot { epoch, polls: 0, after: None, complete: false });
			}
			if let Some(snapshot) = snapshots.iter_mut().find(|snapshot| snapshot.epoch == epoch) {
				snapshot.polls = snapshot.polls.saturating_add(1);
			}
			OpenPolls::<T>::insert(index, Poll { epoch, class });
		}
		Snapshots::<T>::put(snapshots);
		NextPoll::<T>::put(end);
		end.saturating_sub(next)
	}

	/// Copies weights, a batch a block; how many.
	pub(crate) fn copy_weights() -> u32 {
		let mut snapshots = Snapshots::<T>::get();
		let Some(snapshot) = snapshots.iter_mut().find(|snapshot| !snapshot.complete) else { return 0 };
		let limit = T::CopyBatch::get();
		let page = T::Electorate::page(snapshot.epoch, snapshot.after.as_ref(), limit);
		let copied = page.len() as u32;
		for (host, weight) in page {
			if weight > 0 {
				Weights::<T>::insert(snapshot.epoch, &host, weight);
			}
			snapshot.after = Some(host);
		}
		snapshot.complete = copied < limit;
		Snapshots::<T>::put(snapshots);
		copied
	}

	/// Looks at a few open polls, and forgets what was counted in those that have ended.
	pub(crate) fn close_polls(meter: &mut WeightMeter) {
		let batch = T::CopyBatch::get();
		let cost = T::WeightInfo::close(batch);
		if meter.try_consume(cost).is_err() {
			return;
		}
		let polls = match SweptTo::<T>::take() {
			Some(after) => OpenPolls::<T>::iter_from(OpenPolls::<T>::hashed_key_for(after)),
			None => OpenPolls::<T>::iter(),
		};
		let mut polls: Vec<_> = polls.take(SWEPT).collect();
		if polls.len() == SWEPT {
			SweptTo::<T>::set(polls.last().map(|(index, _)| *index));
		}
		polls.retain(|(index, _)| T::Polls::as_ongoing(*index).is_none());
		// One at a time: what is left of it is found again.
		let Some((index, poll)) = polls.into_iter().next() else { return };
		let counted: Vec<_> = Counted::<T>::drain_prefix(index).take(batch as usize).collect();
		for (who, _) in &counted {
			Self::forget_ballot(who, poll.class, index);
		}
		if counted.len() < batch as usize {
			OpenPolls::<T>::remove(index);
			Snapshots::<T>::mutate(|snapshots| {
				if let Some(snapshot) = snapshots.iter_mut().find(|snapshot| snapshot.epoch == poll.epoch) {
					snapshot.polls = snapshot.polls.saturating_sub(1);
				}
			});
		}
	}

	/// Removes weights that no poll needs any more.
	pub(crate) fn drop_weights(meter: &mut WeightMeter) {
		let batch = T::CopyBatch::get();
		let Some((last, _)) = T::Electorate::last_settled() else { return };
		let mut snapshots = Snapshots::<T>::get();
		// Polls may still be opened with the last epoch's, and those of this block are not noted yet.
		let unused = snapshots.iter().position(|snapshot| snapshot.polls == 0 && snapshot.epoch < last);
		let noted = NextPoll::<T>::get() >= T::PollCount::get();
		let Some(position) = unused.filter(|_| noted) else { return };
		if meter.try_consume(T::WeightInfo::close(batch)).is_err() {
			return;
		}
		let snapshot = snapshots.remove(position);
		let removed = Weights::<T>::clear_prefix(snapshot.epoch, batch, None);
		if removed.maybe_cursor.is_none() {
			Snapshots::<T>::put(snapshots);
		}
	}

	/// Forgets hosts that are barred from no poll that is open or can be opened.
	pub(crate) fn sweep_barred(meter: &mut WeightMeter) {
		if meter.try_consume(T::WeightInfo::sweep()).is_err() {
			return;
		}
		let Some((last, _)) = T::Electorate::last_settled() else { return };
		if NextPoll::<T>::get() < T::PollCount::get() {
			return;
		}
		let oldest = Snapshots::<T>::get().iter().map(|snapshot| snapshot.epoch).fold(last, EpochIndex::min);
		let hosts = match SweptBarred::<T>::take() {
			Some(after) => Barred::<T>::iter_from(Barred::<T>::hashed_key_for(after)),
			None => Barred::<T>::iter(),
		};
		let seen: Vec<_> = hosts.take(SWEPT).collect();
		if seen.len() == SWEPT {
			SweptBarred::<T>::set(seen.last().map(|(host, _)| host.clone()));
		}
		for (host, _) in seen.into_iter().filter(|(_, until)| *until < oldest) {
			Barred::<T>::remove(host);
		}
	}
}
