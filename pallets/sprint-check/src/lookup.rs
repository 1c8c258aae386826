//! Lookups of the calls: duties, leaf sets, tags.

use crate::*;
use alloc::vec::Vec;
use gonka_sprint::{
	committee::{LEAVES_PER_SET, Tag, locate_segment, partner, sets_of},
	sample,
};
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

	/// The positions of the leaves of a host's set, through all segments of the sprint.
	pub(crate) fn positions(epoch: &Epoch, host: &T::AccountId, set: u32, counts: &[(u8, u64)]) -> Vec<u64> {
		let total = counts.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
		epoch.beacon.map_or_else(Vec::new, |beacon| sample(&beacon, &host.clone().into(), set, total, LEAVES_PER_SET))
	}

	/// The leaves of a host's set, as `(segment, position within it)`.
	pub(crate) fn leaves_of(epoch: &Epoch, host: &T::AccountId, set: u32) -> Vec<(u8, u64)> {
		let counts = Self::counts(epoch, host);
		let positions = Self::positions(epoch, host, set, &counts);
		positions.into_iter().filter_map(|position| locate_segment(&counts, position)).collect()
	}

	/// A host's number of leaves, by segment of the sprint.
	pub(crate) fn counts(epoch: &Epoch, host: &T::AccountId) -> Vec<(u8, u64)> {
		let commitments = Poc::<T>::sprint_commitments(epoch, host);
		commitments.into_iter().map(|(segment, commitment)| (segment, commitment.count)).collect()
	}

	/// A host's commitment to a segment, confirmation segments included.
	pub(crate) fn commitment(epoch: EpochIndex, host: &T::AccountId, segment: u8) -> Option<Commitment> {
		let all = pallet_poc::Commitments::<T>::get(epoch, host);
		all.iter().find(|(other, _)| *other == segment).map(|(_, commitment)| *commitment)
	}

	/// The tag that `checker` revealed of a host's set.
	pub(crate) fn tag_of(epoch: EpochIndex, checker: &T::AccountId, host: &T::AccountId, set: u8) -> Option<Tag> {
		let participant = pallet_poc::Standings::<T>::get(epoch, host)?.participant;
		Self::find_tag(&Reveals::<T>::get(epoch, checker)?, participant, set)
	}

	pub(crate) fn find_tag(revealed: &[Revealed], participant: u32, set: u8) -> Option<Tag> {
		revealed.iter().find(|one| one.participant == participant && one.set == set).map(|one| one.tag)
	}
}
