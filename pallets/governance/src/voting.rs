//! Votes and delegations.
//!
//! `CountedVotes` holds for each poll the accounts whose power its tally contains, with that power. An account is in it once
//! or not at all, whether it voted or delegated, and exactly what was added is removed. So nothing is counted twice.

use crate::*;
use alloc::vec::Vec;
use frame_support::{
	ensure,
	pallet_prelude::{DispatchError, DispatchResult},
	traits::PollStatus,
};

impl<T: Config> Pallet<T> {
	/// The votes of `who` in polls of `epoch`.
	fn power(epoch: EpochIndex, who: &T::AccountId) -> Votes {
		if Barred::<T>::get(who).is_some_and(|until| epoch <= until) {
			return 0;
		}
		let copied = Snapshots::<T>::get().iter().any(|snapshot| snapshot.epoch == epoch && snapshot.complete);
		let weight = if copied { SnapshotWeights::<T>::get(epoch, who) } else { T::Electorate::weight(epoch, who) };
		weight.into()
	}

	/// The votes of `who` in an open poll, without its delegators. 0 if the electorate was 0 at the opening, even if the
	/// poll's epoch was weighed afterwards.
	pub fn power_in(tally: &Tally<T>, who: &T::AccountId) -> Votes {
		if tally.electorate == 0 { 0 } else { Self::power(tally.epoch, who) }
	}

	/// The votes of `who` in polls that are opened now, without its delegators.
	pub fn current_power(who: &T::AccountId) -> Votes {
		T::Electorate::last_weighed().map_or(0, |(epoch, _)| Self::power(epoch, who))
	}

	/// Casts or changes the vote of `who`. Returns the number of accounts counted.
	pub(crate) fn try_vote(who: &T::AccountId, index: PollIndex, ballot: Ballot) -> Result<u32, DispatchError> {
		ensure!(types::is_well_formed(&ballot), Error::<T>::Malformed);
		let (_, class) = T::Polls::as_ongoing(index).ok_or(Error::<T>::NotOngoing)?;
		Self::mutate_stance(who, class, |stance| {
			let Stance::Voting { ballots, delegators } = stance else {
				return Err(Error::<T>::AlreadyDelegating.into());
			};
			let old = match ballots.binary_search_by_key(&index, |(poll, _)| *poll) {
				Ok(position) => ballots.get_mut(position).map(|(_, old)| core::mem::replace(old, ballot)),
				Err(position) => {
					ballots.try_insert(position, (index, ballot)).map_err(|_| Error::<T>::MaxVotesReached)?;
					None
				},
			};
			let group: Vec<_> = core::iter::once(who).chain(delegators.iter()).collect();
			let power = Self::count(index, &group, old, Some(ballot))?;
			ensure!(power > 0, Error::<T>::NoPower);
			Self::deposit_event(Event::Voted { who: who.clone(), vote: ballot, poll_index: index });
			Ok(group.len() as u32)
		})
	}

	/// Removes the vote of `who` in an open or ended poll. Returns the number of accounts counted.
	pub(crate) fn try_remove_vote(
		who: &T::AccountId,
		class: Option<Class>,
		index: PollIndex,
	) -> Result<u32, DispatchError> {
		let class = class.or_else(|| Some(T::Polls::as_ongoing(index)?.1)).ok_or(Error::<T>::ClassNeeded)?;
		Self::mutate_stance(who, class, |stance| {
			let Stance::Voting { ballots, delegators } = stance else { return Err(Error::<T>::NotVoter.into()) };
			let position = ballots.binary_search_by_key(&index, |(poll, _)| *poll);
			let (_, vote) = ballots.remove(position.map_err(|_| Error::<T>::NotVoter)?);
			let group: Vec<_> = core::iter::once(who).chain(delegators.iter()).collect();
			Self::count(index, &group, Some(vote), None)?;
			Self::deposit_event(Event::VoteRemoved { who: who.clone(), vote, poll_index: index });
			Ok(group.len() as u32)
		})
	}

	/// Delegates the votes of `who` in `class` to `target`.
	pub(crate) fn try_delegate(who: &T::AccountId, class: Class, target: T::AccountId) -> DispatchResult {
		ensure!(*who != target, Error::<T>::Nonsense);
		ensure!(T::Polls::classes().contains(&class), Error::<T>::BadClass);
		let power = Self::current_power(who);
		// Otherwise accounts without weight could fill a delegate's list.
		ensure!(power > 0, Error::<T>::NoPower);
		match Stances::<T>::get(who, class) {
			Stance::Delegating(_) => return Err(Error::<T>::AlreadyDelegating.into()),
			Stance::Voting { ballots, .. } => {
				let votes = ballots.iter().any(|(index, _)| T::Polls::as_ongoing(*index).is_some());
				ensure!(!votes, Error::<T>::AlreadyVoting);
			},
		}
		match Stances::<T>::get(&target, class) {
			Stance::Delegating(_) => return Err(Error::<T>::TargetDelegates.into()),
			Stance::Voting { delegators, .. } if delegators.is_full() => {
				// A heavier host replaces the lightest, so that many small ones cannot keep it away.
				let lightest = delegators.iter().map(|other| (Self::current_power(other), other)).min();
				let (_, lightest) =
					lightest.filter(|(lowest, _)| *lowest < power).ok_or(Error::<T>::TooManyDelegators)?;
				Self::withdraw_from_class(lightest, class);
			},
			Stance::Voting { .. } => {},
		}
		// Delegations to `who` end: delegation goes one step only.
		Self::withdraw_from_class(who, class);
		Self::mutate_stance(&target, class, |stance| {
			let Stance::Voting { ballots, delegators } = stance else {
				return Err(Error::<T>::TargetDelegates.into());
			};
			delegators.try_push(who.clone()).map_err(|_| Error::<T>::TooManyDelegators)?;
			for (index, ballot) in ballots {
				if T::Polls::as_ongoing(*index).is_some() {
					Self::count(*index, &[who], None, Some(*ballot))?;
				}
			}
			Ok(())
		})?;
		Stances::<T>::insert(who, class, Stance::Delegating(target.clone()));
		Self::deposit_event(Event::Delegated { who: who.clone(), target, class });
		Ok(())
	}

	/// Removes the votes of `who` in `class`, those of its delegators, and delegations by it and to it. Returns the number of
	/// polls with its votes and the number of its delegators.
	pub(crate) fn withdraw_from_class(who: &T::AccountId, class: Class) -> (u32, u32) {
		// Removing counted votes does not fail: an account that is not counted is left out.
		match Stances::<T>::take(who, class) {
			Stance::Delegating(target) => {
				Self::deposit_event(Event::Undelegated { who: who.clone(), class });
				let polls = Self::mutate_stance(&target, class, |stance| {
					let Stance::Voting { ballots, delegators } = stance else { return Ok(0) };
					delegators.retain(|other| other != who);
					for (index, ballot) in ballots.iter() {
						Self::count(*index, &[who], Some(*ballot), None)?;
					}
					Ok(ballots.len() as u32)
				});
				(polls.unwrap_or_default(), 0)
			},
			Stance::Voting { ballots, delegators } => {
				let group: Vec<_> = core::iter::once(who).chain(delegators.iter()).collect();
				let removed = (ballots.len() as u32, delegators.len() as u32);
				for (poll_index, vote) in ballots {
					let _ = Self::count(poll_index, &group, Some(vote), None);
					Self::deposit_event(Event::VoteRemoved { who: who.clone(), vote, poll_index });
				}
				for delegator in delegators {
					Stances::<T>::remove(&delegator, class);
					Self::deposit_event(Event::Undelegated { who: delegator, class });
				}
				removed
			},
		}
	}

	/// Counts `group` in a poll by the ballot `new` instead of `old`. Returns the votes that are counted now. In a poll that
	/// has ended, votes can only be removed.
	fn count(
		index: PollIndex,
		group: &[&T::AccountId],
		old: Option<Ballot>,
		new: Option<Ballot>,
	) -> Result<Votes, DispatchError> {
		T::Polls::try_access_poll(index, |status| {
			let mut tally = match status {
				PollStatus::Ongoing(tally, _) => Some(tally),
				_ => None,
			};
			ensure!(new.is_none() || tally.is_some(), Error::<T>::NotOngoing);
			let mut sum: Votes = 0;
			for (position, who) in group.iter().enumerate() {
				let counted = CountedVotes::<T>::take(index, who);
				let Some(tally) = tally.as_mut() else { continue };
				if let Some((power, old)) = counted.zip(old) {
					tally.remove(&old, power);
				}
				let Some(new) = new else { continue };
				let power = Self::power_in(tally, who);
				// The voter comes first and is listed even without power: delegators with power may follow.
				if power > 0 || position == 0 {
					tally.add(&new, power);
					CountedVotes::<T>::insert(index, who, power);
					sum = sum.saturating_add(power);
				}
			}
			Ok(sum)
		})
	}

	/// Changes a stance. Removes one without ballots and delegations.
	fn mutate_stance<R>(
		who: &T::AccountId,
		class: Class,
		change: impl FnOnce(&mut StanceOf<T>) -> Result<R, DispatchError>,
	) -> Result<R, DispatchError> {
		let mut stance = Stances::<T>::get(who, class);
		let result = change(&mut stance)?;
		if stance == Stance::default() {
			Stances::<T>::remove(who, class);
		} else {
			Stances::<T>::insert(who, class, stance);
		}
		Ok(result)
	}

	/// Removes a ballot in a poll that has ended.
	pub(crate) fn forget_ballot(who: &T::AccountId, class: Class, index: PollIndex) {
		let _ = Self::mutate_stance(who, class, |stance| {
			if let Stance::Voting { ballots, .. } = stance {
				ballots.retain(|(poll, _)| *poll != index);
			}
			Ok(())
		});
	}
}

impl<T: Config> OnOffence<T::AccountId> for Pallet<T> {
	/// Removes a convicted host's votes from open polls and ends all delegations by it and to it. At most
	/// `MaxVotes · (MaxDelegators + 1)` accounts a class are removed from tallies; the block is charged for it.
	fn on_offence(host: &T::AccountId, epoch: EpochIndex, offence: Offence) {
		// Offences that do not take a host's weight do not take its votes.
		if matches!(offence, Offence::FalseDigest | Offence::MissedDuties) {
			return;
		}
		let last = T::Electorate::last_weighed().map_or(epoch, |(last, _)| last.max(epoch));
		Barred::<T>::insert(host, last);
		for class in T::Polls::classes() {
			let (polls, delegators) = Self::withdraw_from_class(host, class);
			let weight = T::WeightInfo::withdraw_from_class(polls, delegators);
			frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
		}
		Self::deposit_event(Event::Barred { host: host.clone(), until: last });
	}
}
