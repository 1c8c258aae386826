//! What must hold between any two blocks.

use crate::{
	Commitments, Config, CurrentEpoch, Hosts, LastSettled, Outcomes, Pallet, Power, Progress, RacerCount, Racers,
	Served, Standings, Traffic, Workers,
};
use polkadot_sdk::{
	frame_support::{ensure, traits::Get},
	sp_runtime::TryRuntimeError,
};

impl<T: Config> Pallet<T> {
	/// 1. `Workers` is the inverse of `Hosts`.
	/// 2. There are at most `MaxHosts` hosts, and the counter is right.
	/// 3. No validator has power 0, none stands twice, and the sum fits a `u64`.
	/// 4. Commitments ascend by segment, and each segment is one that was called. Who committed has a standing and a
	///    number of its own, below the count of those that raced.
	/// 5. A settlement under way lists validators and heaviest weights in descending order.
	/// 6. What was served is the sum over the hosts: the work, and the weight in each bucket.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut hosts = 0u32;
		for (account, host) in Hosts::<T>::iter() {
			ensure!(Workers::<T>::get(host.worker) == Some(account), "1: worker key of a host points elsewhere");
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
			let racers = RacerCount::<T>::get(epoch.index);
			ensure!(Racers::<T>::iter_prefix(epoch.index).count() == racers as usize, "4: count of racers");
			ensure!(Commitments::<T>::iter_prefix(epoch.index).count() == racers as usize, "4: who raced");
			for (host, standing) in Standings::<T>::iter_prefix(epoch.index) {
				ensure!(Racers::<T>::get(epoch.index, standing.racer) == Some(host), "4: a racer's number");
			}
		}
		if let Some(progress) = Progress::<T>::get() {
			ensure!(progress.heaviest.is_sorted_by(|a, b| a >= b), "5: heaviest out of order");
			ensure!(progress.validators.is_sorted_by(|(_, a), (_, b)| a >= b), "5: validators out of order");
		}
		if let Some((epoch, settled)) =
			LastSettled::<T>::get().and_then(|epoch| Some((epoch, Outcomes::<T>::get(epoch)?)))
		{
			let traffic = Served::<T>::get(epoch);
			let mut sum = Traffic::default();
			for standing in Standings::<T>::iter_prefix_values(epoch).filter(|standing| standing.work > 0) {
				sum.add(settled.counted(&standing), 0, standing.work);
			}
			let len = sum.weights.len();
			ensure!(
				sum.work == traffic.work && traffic.weights.get(..len) == Some(&sum.weights[..]),
				"6: what was served"
			);
			ensure!(traffic.weights.iter().skip(len).all(|weight| *weight == 0), "6: weight above what was served");
		}
		Ok(())
	}
}
