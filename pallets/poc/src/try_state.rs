//! The invariants between blocks.

use crate::{
	CandidateCount, Commitments, Config, CurrentEpoch, FIRST_CANDIDATE, FIRST_NEW, Hosts, KnownCount, LastWeighed,
	NewCount, Pallet, Participants, Power, Served, Standings, Traffic, WeighProgress, WeighedEpochs, Workers,
};
use gonka_primitives::host::MAX_REVISIONS;
use polkadot_sdk::{
	frame_support::{ensure, traits::Get},
	sp_runtime::TryRuntimeError,
};

impl<T: Config> Pallet<T> {
	/// Checks the invariants:
	/// 1. `Workers` is the inverse map of `Hosts`.
	/// 2. There are at most `MaxHosts` hosts, and the counter is right. None registered before it joined, or with a
	///    revision too many.
	/// 3. No validator has power 0 or two entries, and the sum of power fits a `u64`.
	/// 4. Commitments ascend by segment, and each segment was called. Each host with commitments has a standing and a number
	///    of its own, below the number of its kind.
	/// 5. A weighing in progress lists validators and heaviest weights in descending order, and candidates by priority.
	/// 6. The served work, and the weight in each bucket, are the sums over the hosts.
	/// 7. A host's proven weight is part of its backed weight, and its votes are part of that. It revealed at least as many
	///    sets as it met, and no more than it had to check.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut hosts = 0u32;
		for (account, host) in Hosts::<T>::iter() {
			ensure!(Workers::<T>::get(host.worker) == Some(account), "1: worker key of a host points elsewhere");
			ensure!(host.joined <= host.registered && host.revision < MAX_REVISIONS, "2: a host's registrations");
			hosts = hosts.saturating_add(1);
		}
		ensure!(Workers::<T>::iter().count() == hosts as usize, "1: a worker key without a host");
		ensure!(hosts == Hosts::<T>::count() && hosts <= T::MaxHosts::get(), "2: host count");
		let power = Power::<T>::get();
		ensure!(power.iter().all(|(_, power)| *power > 0), "3: a validator without power");
		ensure!(power.iter().try_fold(0u64, |sum, (_, power)| sum.checked_add(*power)).is_some(), "3: power overflows");
		let mut names: alloc::vec::Vec<_> = power.iter().map(|(who, _)| who).collect();
		names.sort();
		ensure!(names.is_sorted_by(|a, b| a < b), "3: a validator twice");
		if let Some(epoch) = CurrentEpoch::<T>::get() {
			for commitments in Commitments::<T>::iter_prefix_values(epoch.index) {
				ensure!(commitments.is_sorted_by(|(a, _), (b, _)| a < b), "4: commitments out of order");
				let called = |segment: u8| epoch.schedule.start_of(segment, &epoch.confirmations).is_some();
				ensure!(commitments.iter().all(|(segment, _)| called(*segment)), "4: no such segment");
			}
			let [candidates, known, new] = [
				CandidateCount::<T>::get(epoch.index),
				KnownCount::<T>::get(epoch.index),
				NewCount::<T>::get(epoch.index),
			];
			let participants = candidates.saturating_add(known).saturating_add(new);
			ensure!(
				Participants::<T>::iter_prefix(epoch.index).count() == participants as usize,
				"4: count of participants"
			);
			ensure!(
				Commitments::<T>::iter_prefix(epoch.index).count() == participants as usize,
				"4: count of hosts with commitments"
			);
			for (host, standing) in Standings::<T>::iter_prefix(epoch.index) {
				let sets = (standing.duties.met, standing.duties.revealed, Self::sets_due(&epoch, &standing));
				ensure!(standing.votes <= standing.proven && standing.proven <= standing.backed, "7: proven weight");
				ensure!(sets.0 <= sets.1 && sets.1 <= sets.2, "7: leaf sets");
				let (first, count) = match standing.participant {
					FIRST_NEW.. => (FIRST_NEW, new),
					FIRST_CANDIDATE.. => (FIRST_CANDIDATE, candidates),
					_ => (0, known),
				};
				ensure!(
					standing.participant.saturating_sub(first) < count
						&& Participants::<T>::get(epoch.index, standing.participant) == Some(host),
					"4: a participant's number"
				);
			}
		}
		if let Some(progress) = WeighProgress::<T>::get() {
			let mut sums = [&progress.backed, &progress.proven, &progress.votes].into_iter();
			ensure!(sums.all(|sum| sum.heaviest.is_sorted_by(|a, b| a >= b)), "5: heaviest out of order");
			ensure!(progress.validators.is_sorted_by(|(_, a), (_, b)| a >= b), "5: validators out of order");
			let priorities: alloc::vec::Vec<_> =
				progress.candidates.iter().map(|(who, weight)| progress.priority(who, *weight)).collect();
			ensure!(priorities.is_sorted_by(|a, b| a >= b), "5: candidates out of order");
		}
		if let Some((epoch, weighed)) =
			LastWeighed::<T>::get().and_then(|epoch| Some((epoch, WeighedEpochs::<T>::get(epoch)?)))
		{
			let traffic = Served::<T>::get(epoch);
			let mut sum = Traffic::default();
			for standing in Standings::<T>::iter_prefix_values(epoch).filter(|standing| standing.work > 0) {
				sum.add(weighed.counted(&standing), 0, standing.work);
			}
			let len = sum.weights.len();
			ensure!(sum.work == traffic.work && traffic.weights.get(..len) == Some(&sum.weights[..]), "6: served work");
			ensure!(traffic.weights.iter().skip(len).all(|weight| *weight == 0), "6: weight in a bucket without work");
		}
		Ok(())
	}
}
