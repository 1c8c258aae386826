//! Power for BABE and GRANDPA through pallet-session, which has no weights itself.
//!
//! The handlers here replace the two pallets among the session keys. BABE gets a list of seats, dealt in proportion to power.
//! GRANDPA's own handler is called, and then the weight 1, which it gives every validator, is replaced by its power.
//! `pallet-liveness` deals the seats and decides when GRANDPA's set changes.

use crate::offences::{Validator, share};
use alloc::vec::Vec;
use core::marker::PhantomData;
use gonka_primitives::{BlockNumber, Hash, traits::Beacon};
use gonka_runtime_common::{
	Time,
	power::{Sessions, accounts, now, weigh},
};
use pallet_liveness::{Change, Pallet as Liveness, Plan, math::SEAT_WEIGHT};
use polkadot_sdk::{
	frame_support::{
		WeakBoundedVec,
		traits::{OneSessionHandler, Randomness},
	},
	frame_system::{self, pallet_prelude::BlockNumberFor},
	pallet_babe, pallet_grandpa,
	pallet_session::{self, historical},
	sp_consensus_babe::AuthorityId as BabeId,
	sp_consensus_grandpa::AuthorityId as GrandpaId,
	sp_runtime::{BoundToRuntimeAppPublic, Perbill, traits::UniqueSaturatedInto},
	sp_staking::SessionIndex,
};

/// Sessions whose validators can be proven to have had their keys and their share of the power.
pub struct ProvenSessions<T>(PhantomData<T>);

impl<T> pallet_session::SessionManager<T::AccountId> for ProvenSessions<T>
where
	T: frame_system::Config,
	Sessions<T>: pallet_session::SessionManager<T::AccountId>,
{
	fn new_session(index: SessionIndex) -> Option<Vec<T::AccountId>> {
		Sessions::<T>::new_session(index)
	}

	fn new_session_genesis(index: SessionIndex) -> Option<Vec<T::AccountId>> {
		Sessions::<T>::new_session_genesis(index)
	}

	fn start_session(index: SessionIndex) {
		Sessions::<T>::start_session(index);
	}

	fn end_session(index: SessionIndex) {
		Sessions::<T>::end_session(index);
	}
}

impl<T> historical::SessionManager<T::AccountId, Perbill> for ProvenSessions<T>
where
	T: pallet_poc::Config
		+ pallet_collateral::Config
		+ pallet_liveness::Config
		+ historical::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
	/// `Some` also when only keys changed: their owners can be proven later only if the new keys are on record.
	fn new_session(index: SessionIndex) -> Option<Vec<Validator<T::AccountId>>> {
		let new = <Self as pallet_session::SessionManager<_>>::new_session(index);
		let validators = new.or_else(|| {
			let mut queued = pallet_session::QueuedKeys::<T>::get();
			let keys = pallet_session::Pallet::<T>::load_keys;
			let changed = queued.iter().any(|(who, old)| keys(who).as_ref() != Some(old));
			queued.retain(|(who, _)| keys(who).is_some());
			(changed && !queued.is_empty()).then(|| queued.into_iter().map(|(who, _)| who).collect())
		})?;
		Some(with_shares::<T>(validators))
	}

	/// The first validators must be on record, so that their equivocations can be proven later.
	fn new_session_genesis(index: SessionIndex) -> Option<Vec<Validator<T::AccountId>>> {
		<Self as pallet_session::SessionManager<_>>::new_session_genesis(index).map(with_shares::<T>)
	}

	fn start_session(index: SessionIndex) {
		<Self as pallet_session::SessionManager<_>>::start_session(index);
	}

	/// Also removes the records of a session whose equivocations can no longer be reported.
	fn end_session(index: SessionIndex) {
		<Self as pallet_session::SessionManager<_>>::end_session(index);
		if let Some(oldest) = index.checked_sub(Time::THIS.reportable_sessions()) {
			historical::Pallet::<T>::prune_up_to(oldest);
		}
	}
}

/// The planned validators with their shares of the queued power.
fn with_shares<T: pallet_poc::Config>(validators: Vec<T::AccountId>) -> Vec<Validator<T::AccountId>> {
	let (power, number) = (pallet_poc::QueuedPower::<T>::get(), validators.len());
	let with_share = |who| {
		let share = share::<T>(&power, number, &who);
		(who, share)
	};
	validators.into_iter().map(with_share).collect()
}

/// pallet-babe's session handler, with a list of seats.
pub struct WeightedBabe<T>(PhantomData<T>);

impl<T> BoundToRuntimeAppPublic for WeightedBabe<T> {
	type Public = BabeId;
}

impl<T> OneSessionHandler<T::AccountId> for WeightedBabe<T>
where
	T: pallet_babe::Config
		+ pallet_session::Config
		+ pallet_poc::Config
		+ pallet_liveness::Config
		+ frame_system::Config<Hash: AsRef<[u8]>>,
{
	type Key = BabeId;

	fn on_genesis_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, BabeId)>>(validators: I) {
		let validators: Vec<_> = validators.collect();
		let power = weigh::<T, _>(&pallet_poc::SessionPower::<T>::get(), &validators);
		let authorities = seats(&validators, &Liveness::<T>::deal(power, &Hash::default()));
		Liveness::<T>::start_session(accounts(&validators), 1);
		pallet_babe::Pallet::<T>::on_genesis_session(validators.into_iter());
		let authorities = WeakBoundedVec::force_from(authorities, Some("BABE authorities"));
		pallet_babe::Authorities::<T>::put(&authorities);
		pallet_babe::NextAuthorities::<T>::put(authorities);
	}

	fn on_new_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, BabeId)>>(_: bool, validators: I, queued: I) {
		let validators: Vec<_> = validators.collect();
		Liveness::<T>::start_session(accounts(&validators), now::<T>());
		// The set that was announced a session ago.
		let current = pallet_babe::NextAuthorities::<T>::get();
		let queued: Vec<_> = queued.collect();
		let power = weigh::<T, _>(&pallet_poc::QueuedPower::<T>::get(), &queued);
		let dealt = Liveness::<T>::deal(power, &BabeBeacon::<T>::randomness());
		let next = if queued.is_empty() {
			// An empty next set would stop block production for ever.
			current.clone()
		} else {
			WeakBoundedVec::force_from(seats(&queued, &dealt), Some("next BABE authorities"))
		};
		let session = pallet_session::Pallet::<T>::current_index();
		pallet_babe::Pallet::<T>::enact_epoch_change(current, next, Some(session));
	}

	fn on_disabled(validator: u32) {
		pallet_babe::Pallet::<T>::on_disabled(validator);
	}
}

/// BABE's list: each validator's key once for each of its seats. Secondary authors are drawn from the list without regard to
/// weight. A primary slot is won by a key's VRF output, which is the same for all seats of a validator: its first seat
/// carries the weight of all, and the others have the least that BABE allows.
fn seats<A>(validators: &[(&A, BabeId)], dealt: &[u16]) -> Vec<(BabeId, u64)> {
	let mut list = Vec::new();
	for ((_, key), count) in validators.iter().zip(dealt) {
		let first = u64::from(*count).saturating_mul(SEAT_WEIGHT);
		list.extend((0..*count).map(|seat| (key.clone(), if seat == 0 { first } else { 1 })));
	}
	list
}

/// pallet-grandpa's session handler, with power as weights of votes.
pub struct WeightedGrandpa<T>(PhantomData<T>);

impl<T> BoundToRuntimeAppPublic for WeightedGrandpa<T> {
	type Public = GrandpaId;
}

impl<T> OneSessionHandler<T::AccountId> for WeightedGrandpa<T>
where
	T: pallet_grandpa::Config + pallet_session::Config + pallet_poc::Config + pallet_liveness::Config,
{
	type Key = GrandpaId;

	fn on_genesis_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, GrandpaId)>>(validators: I) {
		let validators: Vec<_> = validators.collect();
		let power = weigh::<T, _>(&pallet_poc::SessionPower::<T>::get(), &validators);
		let authorities = votes(&validators, &power);
		Liveness::<T>::note_first_voters(power);
		pallet_grandpa::Pallet::<T>::on_genesis_session(validators.into_iter());
		pallet_grandpa::Authorities::<T>::put(WeakBoundedVec::<_, T::MaxAuthorities>::force_from(
			authorities,
			Some("GRANDPA authorities"),
		));
	}

	/// Announces or forces a change when `pallet-liveness` says so. Whether the session's validators changed does not matter:
	/// a change that was held back is due as long as the set is another one.
	fn on_new_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, GrandpaId)>>(_: bool, validators: I, queued: I) {
		let validators: Vec<_> = validators.collect();
		let mut power = Self::power(&validators);
		// Another change that waits must come first. Nodes reject an empty set.
		let free = !validators.is_empty()
			&& !pallet_grandpa::PendingChange::<T>::exists()
			&& pallet_grandpa::NextForced::<T>::get()
				.is_none_or(|next| next <= frame_system::Pallet::<T>::block_number());
		let due = *votes(&validators, &power) != *pallet_grandpa::Authorities::<T>::get();
		let plan = if free { Liveness::<T>::plan(due) } else { Plan::Keep };
		if let Plan::Force(finalized) = plan {
			Liveness::<T>::mark_missing();
			power = Self::power(&validators);
			let delay = BlockNumberFor::<T>::from(Time::THIS.force_delay);
			pallet_grandpa::Stalled::<T>::put((delay, BlockNumberFor::<T>::from(finalized)));
		}
		// Nodes drop a change that is not final, and do not count it, when one is forced.
		let dropped = free && pallet_grandpa::Stalled::<T>::exists() && Liveness::<T>::drops_change();
		if dropped {
			pallet_grandpa::CurrentSetId::<T>::mutate(|id| *id = id.saturating_sub(1));
		}
		let weighted = votes(&validators, &power);
		if !validators.is_empty() {
			let announce = plan == Plan::Announce;
			pallet_grandpa::Pallet::<T>::on_new_session(
				announce,
				validators.into_iter(),
				queued.collect::<Vec<_>>().into_iter(),
			);
		}
		Self::put_power(power, weighted, dropped);
	}

	fn on_disabled(validator: u32) {
		pallet_grandpa::Pallet::<T>::on_disabled(validator);
	}
}

impl<T> WeightedGrandpa<T>
where
	T: pallet_grandpa::Config + pallet_poc::Config + pallet_liveness::Config,
{
	/// The power of the session's validators, of whom absent ones count less.
	fn power<K: Clone>(validators: &[(&T::AccountId, K)]) -> Vec<(T::AccountId, u64)> {
		let mut power = weigh::<T, _>(&pallet_poc::SessionPower::<T>::get(), validators);
		Liveness::<T>::reduce(&mut power);
		power
	}

	/// Gives a change that was scheduled in this block its weights. The digest at the block's end announces them.
	fn put_power(power: Vec<(T::AccountId, u64)>, weighted: Vec<(GrandpaId, u64)>, dropped: bool) {
		let now = frame_system::Pallet::<T>::block_number();
		pallet_grandpa::PendingChange::<T>::mutate(|pending| {
			let Some(change) = pending.as_mut().filter(|change| change.scheduled_at == now) else { return };
			let authorities: &mut [_] = change.next_authorities.as_mut();
			for ((_, weight), (_, power)) in authorities.iter_mut().zip(weighted) {
				*weight = power;
			}
			let at = now.unique_saturated_into();
			let delay: BlockNumber = change.delay.unique_saturated_into();
			let change = Change { at: delay.saturating_add(at), forced: change.forced.is_some() };
			Liveness::<T>::note_change(change, power, dropped);
		});
	}
}

/// GRANDPA's list: each validator's key with its power.
fn votes<A>(validators: &[(&A, GrandpaId)], power: &[(A, u64)]) -> Vec<(GrandpaId, u64)> {
	validators.iter().zip(power).map(|((_, key), (_, power))| (key.clone(), *power)).collect()
}

/// The hash of the parent block's VRF output. The parent's author could withhold the block, but not choose the value.
pub struct BabeBeacon<T>(PhantomData<T>);

impl<T: pallet_babe::Config + frame_system::Config<Hash: AsRef<[u8]>>> Beacon for BabeBeacon<T> {
	fn randomness() -> Hash {
		let subject = b"gonka/beacon";
		match pallet_babe::ParentBlockRandomness::<T>::random(subject).0 {
			Some(value) => gonka_primitives::hashing::blake2_256(&[value.as_ref()]),
			// Only the very first blocks have a parent without VRF output.
			None => gonka_primitives::hashing::blake2_256(&[
				&pallet_babe::Randomness::<T>::get(),
				frame_system::Pallet::<T>::parent_hash().as_ref(),
			]),
		}
	}
}
