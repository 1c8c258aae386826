//! Copies of the effective weights of epochs in which polls were opened. A copy is kept as long as one of its polls is
//! open.

use crate::*;
use alloc::vec::Vec;
use frame_support::{traits::Get, weights::WeightMeter};

/// Maximum number of new polls recorded in a block.
pub(crate) const NOTED: u32 = 8;
/// Maximum number of open polls, and of barred hosts, checked in a block.
const SWEPT: usize = 4;

impl<T: Config> Pallet<T> {
	/// Records new polls. Returns the number of polls checked.
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
				// No host has votes in it.
				continue;
			}
			let epoch = tally.epoch;
			if !snapshots.iter().any(|snapshot| snapshot.epoch == epoch) {
				// If the list is full, the weights last as long as the electorate keeps them.
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

	/// Copies a batch of weights. Returns their number.
	pub(crate) fn copy_weights() -> u32 {
		let mut snapshots = Snapshots::<T>::get();
		let Some(snapshot) = snapshots.iter_mut().find(|snapshot| !snapshot.complete) else { return 0 };
		let limit = T::CopyBatch::get();
		let page = T::Electorate::page(snapshot.epoch, snapshot.after.as_ref(), limit);
		let copied = page.len() as u32;
		for (host, weight) in page {
			if weight > 0 {
				SnapshotWeights::<T>::insert(snapshot.epoch, &host, weight);
			}
			snapshot.after = Some(host);
		}
		snapshot.complete = copied < limit;
		Snapshots::<T>::put(snapshots);
		copied
	}

	/// Checks a few open polls and removes a batch of counted votes of one that has ended.
	pub(crate) fn close_polls(meter: &mut WeightMeter) {
		let batch = T::CopyBatch::get();
		let cost = T::WeightInfo::close(batch);
		if meter.try_consume(cost).is_err() {
			return;
		}
		let polls = match PollCursor::<T>::take() {
			Some(after) => OpenPolls::<T>::iter_from(OpenPolls::<T>::hashed_key_for(after)),
			None => OpenPolls::<T>::iter(),
		};
		let mut polls: Vec<_> = polls.take(SWEPT).collect();
		if polls.len() == SWEPT {
			PollCursor::<T>::set(polls.last().map(|(index, _)| *index));
		}
		polls.retain(|(index, _)| T::Polls::as_ongoing(*index).is_none());
		// One poll at a time: the next check finds what is left of it.
		let Some((index, poll)) = polls.into_iter().next() else { return };
		let counted: Vec<_> = CountedVotes::<T>::drain_prefix(index).take(batch as usize).collect();
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

	/// Removes a batch of weights that no poll needs.
	pub(crate) fn drop_weights(meter: &mut WeightMeter) {
		let batch = T::CopyBatch::get();
		let Some((last, _)) = T::Electorate::last_weighed() else { return };
		let mut snapshots = Snapshots::<T>::get();
		// New polls use the weights of the last epoch, and polls of this block are not recorded yet.
		let unused = snapshots.iter().position(|snapshot| snapshot.polls == 0 && snapshot.epoch < last);
		let noted = NextPoll::<T>::get() >= T::PollCount::get();
		let Some(position) = unused.filter(|_| noted) else { return };
		if meter.try_consume(T::WeightInfo::close(batch)).is_err() {
			return;
		}
		let snapshot = snapshots.remove(position);
		let removed = SnapshotWeights::<T>::clear_prefix(snapshot.epoch, batch, None);
		if removed.maybe_cursor.is_none() {
			Snapshots::<T>::put(snapshots);
		}
	}

	/// Removes entries of barred hosts that concern no open poll and no new one.
	pub(crate) fn sweep_barred(meter: &mut WeightMeter) {
		if meter.try_consume(T::WeightInfo::sweep()).is_err() {
			return;
		}
		let Some((last, _)) = T::Electorate::last_weighed() else { return };
		if NextPoll::<T>::get() < T::PollCount::get() {
			return;
		}
		let oldest = Snapshots::<T>::get().iter().map(|snapshot| snapshot.epoch).fold(last, EpochIndex::min);
		let hosts = match BarredCursor::<T>::take() {
			Some(after) => Barred::<T>::iter_from(Barred::<T>::hashed_key_for(after)),
			None => Barred::<T>::iter(),
		};
		let seen: Vec<_> = hosts.take(SWEPT).collect();
		if seen.len() == SWEPT {
			BarredCursor::<T>::set(seen.last().map(|(host, _)| host.clone()));
		}
		for (host, _) in seen.into_iter().filter(|(_, until)| *until < oldest) {
			Barred::<T>::remove(host);
		}
	}
}
