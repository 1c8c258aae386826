//! Power for BABE and GRANDPA through pallet-session, which has no weights itself.
//!
//! The handlers here replace the two pallets among the session keys. They call the pallets' own handlers and then replace
//! the weight 1, which these give every validator, by its power.

use crate::Time;
use alloc::vec::Vec;
use core::marker::PhantomData;
use gonka_primitives::{Hash, traits::Beacon};
use polkadot_sdk::{
	frame_support::{
		WeakBoundedVec,
		dispatch::DispatchClass,
		traits::{Contains, Get, OneSessionHandler, Randomness},
		weights::{RuntimeDbWeight, Weight},
	},
	frame_system::{self, pallet_prelude::BlockNumberFor},
	pallet_babe, pallet_grandpa,
	pallet_session::{self, historical},
	sp_consensus_babe::AuthorityId as BabeId,
	sp_consensus_grandpa::AuthorityId as GrandpaId,
	sp_runtime::BoundToRuntimeAppPublic,
	sp_staking::SessionIndex,
};

/// Chooses validators by the power of the last weighed epoch, once per PoC epoch.
pub struct Sessions<T>(PhantomData<T>);

impl<T: pallet_poc::Config> pallet_session::SessionManager<T::AccountId> for Sessions<T> {
	/// `Some` also when only power changed: clients learn of new power by a new GRANDPA set only.
	fn new_session(_: SessionIndex) -> Option<Vec<T::AccountId>> {
		pallet_poc::Pallet::<T>::queue_power()
	}

	fn start_session(_: SessionIndex) {
		pallet_poc::Pallet::<T>::enact_power();
	}

	fn end_session(_: SessionIndex) {}
}

impl<T> historical::SessionManager<T::AccountId, ()> for Sessions<T>
where
	T: pallet_poc::Config + historical::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
	/// `Some` also when only keys changed: their owners can be proven later only if the new keys are on record.
	fn new_session(index: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
		let validators = <Self as pallet_session::SessionManager<_>>::new_session(index).or_else(|| {
			let mut queued = pallet_session::QueuedKeys::<T>::get();
			let keys = pallet_session::Pallet::<T>::load_keys;
			let changed = queued.iter().any(|(who, old)| keys(who).as_ref() != Some(old));
			queued.retain(|(who, _)| keys(who).is_some());
			(changed && !queued.is_empty()).then(|| queued.into_iter().map(|(who, _)| who).collect())
		})?;
		Some(validators.into_iter().map(|who| (who, ())).collect())
	}

	/// All accounts with keys in the genesis: the first validators must be on record, so that their equivocations can be
	/// proven later.
	fn new_session_genesis(_: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
		Some(pallet_session::NextKeys::<T>::iter_keys().map(|who| (who, ())).collect())
	}

	fn start_session(index: SessionIndex) {
		<Self as pallet_session::SessionManager<_>>::start_session(index);
	}

	/// Removes the records of a session whose equivocations can no longer be reported.
	fn end_session(index: SessionIndex) {
		if let Some(oldest) = index.checked_sub(Time::THIS.reportable_sessions()) {
			historical::Pallet::<T>::prune_up_to(oldest);
		}
	}
}

/// Rotates sessions when BABE's epochs end. pallet-session would charge a whole block for a rotation, which would leave no
/// room for transactions. This handler rotates itself, registers the actual dispatch weight, and returns `false` to
/// pallet-session.
pub struct Rotation<T>(PhantomData<T>);

impl<T> pallet_session::ShouldEndSession<BlockNumberFor<T>> for Rotation<T>
where
	T: pallet_babe::Config + pallet_session::Config,
{
	fn should_end_session(now: BlockNumberFor<T>) -> bool {
		if pallet_babe::Pallet::<T>::should_end_session(now) {
			pallet_session::Pallet::<T>::rotate_session();
			let queued = pallet_session::QueuedKeys::<T>::decode_len().unwrap_or_default() as u64;
			let weight = rotation_weight(T::DbWeight::get(), queued);
			frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
		}
		false
	}
}

/// Dispatch weight of rotating a session: reading and writing the lists of keys and powers, and for each validator its keys
/// twice, its entries in the lists of three key types and its record.
fn rotation_weight(db: RuntimeDbWeight, validators: u64) -> Weight {
	let each = Weight::from_parts(90_000_000, 0).saturating_add(db.reads(4));
	Weight::from_parts(500_000_000, 0)
		.saturating_add(db.reads_writes(30, 25))
		.saturating_add(each.saturating_mul(validators))
}

/// The accounts with session keys.
pub struct HasSessionKeys<T>(PhantomData<T>);

impl<T: pallet_session::Config> Contains<T::ValidatorId> for HasSessionKeys<T> {
	fn contains(who: &T::ValidatorId) -> bool {
		pallet_session::Pallet::<T>::load_keys(who).is_some()
	}
}

/// pallet-babe's session handler, with power as weights.
pub struct WeightedBabe<T>(PhantomData<T>);

impl<T> BoundToRuntimeAppPublic for WeightedBabe<T> {
	type Public = BabeId;
}

impl<T> OneSessionHandler<T::AccountId> for WeightedBabe<T>
where
	T: pallet_babe::Config + pallet_session::Config + pallet_poc::Config,
{
	type Key = BabeId;

	fn on_genesis_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, BabeId)>>(validators: I) {
		let validators: Vec<_> = validators.collect();
		let authorities = weigh::<T, _>(&pallet_poc::SessionPower::<T>::get(), &validators);
		pallet_babe::Pallet::<T>::on_genesis_session(validators.into_iter());
		let authorities = WeakBoundedVec::force_from(authorities, Some("BABE authorities"));
		pallet_babe::Authorities::<T>::put(&authorities);
		pallet_babe::NextAuthorities::<T>::put(authorities);
	}

	fn on_new_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, BabeId)>>(_: bool, validators: I, queued: I) {
		let validators: Vec<_> = validators.collect();
		let current = weigh::<T, _>(&pallet_poc::SessionPower::<T>::get(), &validators);
		let queued: Vec<_> = queued.collect();
		let mut next = weigh::<T, _>(&pallet_poc::QueuedPower::<T>::get(), &queued);
		if next.is_empty() {
			// An empty next set would stop block production for ever.
			next.clone_from(&current);
		}
		pallet_babe::Pallet::<T>::enact_epoch_change(
			WeakBoundedVec::force_from(current, Some("BABE authorities")),
			WeakBoundedVec::force_from(next, Some("next BABE authorities")),
			Some(pallet_session::Pallet::<T>::current_index()),
		);
	}

	fn on_disabled(validator: u32) {
		pallet_babe::Pallet::<T>::on_disabled(validator);
	}
}

/// pallet-grandpa's session handler, with power as weights.
pub struct WeightedGrandpa<T>(PhantomData<T>);

impl<T> BoundToRuntimeAppPublic for WeightedGrandpa<T> {
	type Public = GrandpaId;
}

impl<T> OneSessionHandler<T::AccountId> for WeightedGrandpa<T>
where
	T: pallet_grandpa::Config + pallet_session::Config + pallet_poc::Config,
{
	type Key = GrandpaId;

	fn on_genesis_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, GrandpaId)>>(validators: I) {
		let validators: Vec<_> = validators.collect();
		let authorities = weigh::<T, _>(&pallet_poc::SessionPower::<T>::get(), &validators);
		pallet_grandpa::Pallet::<T>::on_genesis_session(validators.into_iter());
		pallet_grandpa::Authorities::<T>::put(WeakBoundedVec::<_, T::MaxAuthorities>::force_from(
			authorities,
			Some("GRANDPA authorities"),
		));
	}

	fn on_new_session<'a, I: 'a + Iterator<Item = (&'a T::AccountId, GrandpaId)>>(
		changed: bool,
		validators: I,
		queued: I,
	) {
		let validators: Vec<_> = validators.collect();
		let weighted = weigh::<T, _>(&pallet_poc::SessionPower::<T>::get(), &validators);
		let queued: Vec<_> = queued.collect();
		pallet_grandpa::Pallet::<T>::on_new_session(changed, validators.into_iter(), queued.into_iter());
		let now = frame_system::Pallet::<T>::block_number();
		pallet_grandpa::PendingChange::<T>::mutate(|pending| {
			// The change was scheduled in this block: the digest at the block's end announces these weights.
			if let Some(change) = pending.as_mut().filter(|change| change.scheduled_at == now) {
				let authorities: &mut [_] = change.next_authorities.as_mut();
				for ((_, weight), (_, power)) in authorities.iter_mut().zip(weighted) {
					*weight = power;
				}
			}
		});
	}

	fn on_disabled(validator: u32) {
		pallet_grandpa::Pallet::<T>::on_disabled(validator);
	}
}

fn weigh<T: pallet_poc::Config, K: Clone>(
	power: &[(T::AccountId, u64)],
	validators: &[(&T::AccountId, K)],
) -> Vec<(K, u64)> {
	validators.iter().map(|(who, key)| (key.clone(), pallet_poc::Pallet::<T>::power_of(power, who))).collect()
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
