//! Lookups of the calls: duties, leaf sets, tags.

use crate::*;
use alloc::vec::Vec;
use gonka_sprint::committee::{Tag, leaf_set, partner, set_size, sets_of};
use polkadot_sdk::{frame_system, sp_runtime::traits::UniqueSaturatedInto};

impl<T: Config> Pallet<T> {
	/// The block that is executed; in the pool, the block after the best one.
	pub(crate) fn now() -> BlockNumber {
		frame_system::Pallet::<T>::block_number().unique_saturated_into()
	}

	/// The running epoch, if it is `index`.
	pub(crate) fn running(index: EpochIndex) -> Result<Epoch, ValidityError> {
		Poc::<T>::running_epoch().filter(|epoch| epoch.index == index).ok_or(ValidityError::OutOfPhase)
	}

	/// The running or the previous epoch, if it is `index`. Claims of older epochs can no longer be played or closed.
	pub(crate) fn playable(index: EpochIndex) -> Result<Epoch, ValidityError> {
		let running = Poc::<T>::running_epoch().ok_or(ValidityError::OutOfPhase)?;
		ensure!(!Self::is_over(index, running.index), ValidityError::OutOfPhase);
		if running.index == index { Ok(running) } else { Poc::<T>::epoch_of(index).ok_or(ValidityError::OutOfPhase) }
	}

	/// Whether `epoch` is older than the epoch before `running`.
	pub(crate) fn is_over(epoch: EpochIndex, running: EpochIndex) -> bool {
		epoch.saturating_add(1) < running
	}

	pub(crate) fn took_part(epoch: EpochIndex, host: &T::AccountId) -> bool {
		pallet_poc::Standings::<T>::contains_key(epoch, host)
	}

	/// Whether `host` can still lose its pay of `epoch`. Without it, a host of little weight could miss turns for free.
	pub(crate) fn has_stake(epoch: EpochIndex, host: &T::AccountId) -> bool {
		let is_paid = |standing: pallet_poc::Standing| {
			!standing.forfeited && !standing.is_weightless() && standing.offence.is_none()
		};
		pallet_poc::Standings::<T>::get(epoch, host).is_some_and(is_paid)
	}

	/// The leaf sets of `host` that `checker` has to check.
	pub(crate) fn sets(epoch: &Epoch, checker: &T::AccountId, host: &T::AccountId) -> Vec<u32> {
		let committee = Poc::<T>::committee(epoch, host);
		let member = committee.iter().position(|other| other == checker);
		member.map_or_else(Vec::new, |member| sets_of(member as u32, committee.len() as u32))
	}

	/// Whether these two are the checkers of that set of `host`.
	pub(crate) fn are_partners(
		epoch: &Epoch,
		host: &T::AccountId,
		set: u8,
		one: &T::AccountId,
		other: &T::AccountId,
	) -> bool {
		let committee = Poc::<T>::committee(epoch, host);
		let member = |who| committee.iter().position(|other| other == who).map(|member| member as u32);
		let (one, other) = (member(one), member(other));
		other.is_some() && one.and_then(|one| partner(one, set.into(), committee.len() as u32)) == other
	}

	/// The leaves of a host's set of a round, as `(segment, position in its commitment)`. None if the host did not commit
	/// to the round's segment.
	pub(crate) fn leaves_of(epoch: &Epoch, round: u8, host: &T::AccountId, set: u32) -> Vec<(u8, u64)> {
		let counts = Self::counts(epoch, round, host);
		let of = |beacon| leaf_set(&beacon, &host.clone().into(), set, &counts, set_size(round));
		epoch.beacon_of(round).map_or_else(Vec::new, of)
	}

	/// A host's number of leaves, by segment of a round.
	pub(crate) fn counts(epoch: &Epoch, round: u8, host: &T::AccountId) -> Vec<(u8, u64)> {
		let commitments = Poc::<T>::commitments_of(epoch, round, host);
		commitments.into_iter().map(|(segment, commitment)| (segment, commitment.count)).collect()
	}

	/// A host's commitment to a segment, confirmation segments included.
	pub(crate) fn commitment(epoch: EpochIndex, host: &T::AccountId, segment: u8) -> Option<Commitment> {
		let all = pallet_poc::Commitments::<T>::get(epoch, host);
		all.iter().find(|(other, _)| *other == segment).map(|(_, commitment)| *commitment)
	}

	/// The tag that `checker` revealed of a host's set of a round.
	pub(crate) fn tag_of(
		epoch: EpochIndex,
		round: u8,
		checker: &T::AccountId,
		host: &T::AccountId,
		set: u8,
	) -> Option<Tag> {
		let participant = pallet_poc::Standings::<T>::get(epoch, host)?.participant;
		Self::find_tag(&Reveals::<T>::get(epoch, (checker, round))?, participant, set)
	}

	pub(crate) fn find_tag(revealed: &[Revealed], participant: u32, set: u8) -> Option<Tag> {
		revealed.iter().find(|one| one.participant == participant && one.set == set).map(|one| one.tag)
	}
}
