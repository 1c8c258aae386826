//! The pallet's invariants.

use crate::*;
use alloc::collections::BTreeMap;
use frame_support::{ensure, traits::Get};
use polkadot_sdk::sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// # Invariants
	/// 1. The tally of an open poll is the sum over the accounts that are counted in it, by the ballot of each: its own, or
	///    its delegate's.
	/// 2. A delegator is listed by its delegate, which does not delegate; each listed delegator delegates to the lister.
	/// 3. Ballots ascend by poll and are of their class. Each is counted, or its poll has ended.
	/// 4. A snapshot has the number of open polls of its epoch. Epochs are listed once.
	/// 5. No host that is barred from a poll is counted in it.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut ballots = BTreeMap::new();
		for (who, class, stance) in Stances::<T>::iter() {
			match stance {
				Stance::Delegating(target) => {
					let Stance::Voting { delegators, .. } = Stances::<T>::get(&target, class) else {
						return Err("2: a delegation to a delegator".into());
					};
					ensure!(delegators.contains(&who), "2: a delegator that its delegate does not list");
				},
				Stance::Voting { ballots: own, delegators } => {
					ensure!(own.is_sorted_by(|(a, _), (b, _)| a < b), "3: ballots out of order");
					for delegator in &delegators {
						let back = Stances::<T>::get(delegator, class) == Stance::Delegating(who.clone());
						ensure!(back, "2: a delegator that does not delegate");
					}
					for (index, ballot) in own {
						if let Some((_, poll_class)) = T::Polls::as_ongoing(index) {
							ensure!(poll_class == class, "3: a ballot in another class");
							ensure!(CountedVotes::<T>::contains_key(index, &who), "3: a ballot that is not counted");
						}
						for voter in core::iter::once(&who).chain(delegators.iter()) {
							ensure!(
								ballots.insert((index, voter.clone()), ballot).is_none(),
								"1: two ballots of one account"
							);
						}
					}
				},
			}
		}
		let mut polls = BTreeMap::<_, u32>::new();
		for index in OpenPolls::<T>::iter_keys().chain(NextPoll::<T>::get()..T::PollCount::get()) {
			if let Some(poll) = OpenPolls::<T>::get(index) {
				let count = polls.entry(poll.epoch).or_default();
				*count = count.saturating_add(1);
			}
			let Some((tally, class)) = T::Polls::as_ongoing(index) else { continue };
			let mut sum = Tally { ayes: 0, nays: 0, support: 0, ..tally.clone() };
			for (who, power) in CountedVotes::<T>::iter_prefix(index) {
				let ballot = ballots.get(&(index, who.clone())).ok_or("1: an account is counted without a ballot")?;
				sum.add(ballot, power);
				let barred = Barred::<T>::get(&who).is_some_and(|until| tally.epoch <= until);
				ensure!(!barred || power == 0, "5: a barred host is counted");
			}
			ensure!(sum == tally, "1: the tally is not the sum");
			let poll = OpenPolls::<T>::get(index);
			ensure!(poll.is_none_or(|poll| poll.epoch == tally.epoch && poll.class == class), "4: another poll");
		}
		let snapshots = Snapshots::<T>::get();
		for snapshot in &snapshots {
			let expected = polls.remove(&snapshot.epoch).unwrap_or_default();
			ensure!(snapshot.polls == expected, "4: count of open polls");
			let same = snapshots.iter().filter(|other| other.epoch == snapshot.epoch).count();
			ensure!(same == 1, "4: an epoch twice");
		}
		ensure!(polls.is_empty() || snapshots.is_full(), "4: a poll without a snapshot");
		Ok(())
	}
}
