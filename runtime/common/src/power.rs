//! Sessions whose validators have power.
//!
//! `pallet-session` has no weights itself, so each runtime has session handlers of its own, which give power to its consensus.
//! `pallet-liveness` deals the seats in block production.

use crate::Time;
use alloc::{collections::BTreeMap, vec::Vec};
use core::marker::PhantomData;
use gonka_primitives::{BlockNumber, EpochIndex, check::Offence as Kind, traits::OnOffence};
use pallet_liveness::{Pallet as Liveness, WeightInfo as _, math::expected};
use polkadot_sdk::{
	frame_support::{
		dispatch::DispatchClass,
		traits::{Contains, Get},
		weights::{RuntimeDbWeight, Weight},
	},
	frame_system::{self, pallet_prelude::BlockNumberFor},
	pallet_session,
	sp_runtime::traits::UniqueSaturatedInto,
	sp_staking::SessionIndex,
};

/// Chooses validators by power whenever it changed: when an epoch is weighed, after rounds of confirmations, and when a
/// validator lost it.
pub struct Sessions<T>(PhantomData<T>);

impl<T> pallet_session::SessionManager<T::AccountId> for Sessions<T>
where
	T: pallet_poc::Config
		+ pallet_collateral::Config
		+ pallet_liveness::Config
		+ pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
	/// `Some` also when only power changed.
	fn new_session(index: SessionIndex) -> Option<Vec<T::AccountId>> {
		let new = pallet_poc::Pallet::<T>::queue_power();
		let epoch = new.as_ref().and_then(|_| pallet_poc::LastWeighed::<T>::get());
		pallet_collateral::Pallet::<T>::plan_session(index, epoch);
		new
	}

	/// All accounts with keys in the genesis.
	fn new_session_genesis(index: SessionIndex) -> Option<Vec<T::AccountId>> {
		pallet_collateral::Pallet::<T>::plan_session(index, None);
		Some(pallet_session::NextKeys::<T>::iter_keys().collect())
	}

	fn start_session(_: SessionIndex) {
		pallet_poc::Pallet::<T>::enact_power();
	}

	/// Notes the blocks that each validator wrote as a duty. The expected number follows from power and not from seats,
	/// since absent validators have fewer of these. Also removes the records of a session that is over for good.
	fn end_session(index: SessionIndex) {
		let written = Liveness::<T>::end_session();
		let blocks = written.iter().fold(0u32, |sum, (_, blocks)| sum.saturating_add(*blocks));
		let power: BTreeMap<_, _> = pallet_poc::SessionPower::<T>::get().into_iter().collect();
		let total = power.values().fold(0u64, |sum, power| sum.saturating_add(*power));
		for (who, written) in written {
			let due = expected(power.get(&who).copied().unwrap_or(0), total, blocks);
			pallet_poc::Pallet::<T>::note_blocks(&who, due, written);
		}
		if let Some(oldest) = index.checked_sub(Time::THIS.reportable_sessions()) {
			pallet_collateral::Pallet::<T>::forget_sessions(oldest);
		}
	}
}

/// Rotates sessions when `S` says so. pallet-session would charge a whole block for a rotation, which would leave no
/// room for transactions. This handler rotates itself, registers the actual dispatch weight, and returns `false` to
/// pallet-session.
pub struct Rotation<T, S>(PhantomData<(T, S)>);

impl<T, S> pallet_session::ShouldEndSession<BlockNumberFor<T>> for Rotation<T, S>
where
	T: pallet_session::Config + pallet_liveness::Config,
	S: pallet_session::ShouldEndSession<BlockNumberFor<T>>,
{
	fn should_end_session(now: BlockNumberFor<T>) -> bool {
		if S::should_end_session(now) {
			pallet_session::Pallet::<T>::rotate_session();
			let queued = pallet_session::QueuedKeys::<T>::decode_len().unwrap_or_default() as u64;
			let liveness = <T as pallet_liveness::Config>::WeightInfo::change_session(queued as u32);
			let weight = rotation_weight(T::DbWeight::get(), queued).saturating_add(liveness);
			frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
		}
		false
	}
}

/// Dispatch weight of rotating a session: reading and writing the lists of keys and powers, and for each validator its keys
/// twice, its entries in the lists of three key types, its record with its share of the power, and its standing.
fn rotation_weight(db: RuntimeDbWeight, validators: u64) -> Weight {
	let each = Weight::from_parts(110_000_000, 6 * 1_024).saturating_add(db.reads_writes(9, 1));
	Weight::from_parts(500_000_000, 64 * 1_024)
		.saturating_add(db.reads_writes(35, 30))
		.saturating_add(each.saturating_mul(validators))
}

/// The accounts with session keys.
pub struct HasSessionKeys<T>(PhantomData<T>);

impl<T: pallet_session::Config> Contains<T::ValidatorId> for HasSessionKeys<T> {
	fn contains(who: &T::ValidatorId) -> bool {
		pallet_session::Pallet::<T>::load_keys(who).is_some()
	}
}

/// The accounts among validators with keys.
pub fn accounts<A: Clone, K>(validators: &[(&A, K)]) -> Vec<A> {
	validators.iter().map(|(who, _)| (*who).clone()).collect()
}

/// The number of this block.
pub fn now<T: frame_system::Config>() -> BlockNumber {
	frame_system::Pallet::<T>::block_number().unique_saturated_into()
}

/// The validators with their power.
pub fn weigh<T: pallet_poc::Config, K>(
	power: &[(T::AccountId, u64)],
	validators: &[(&T::AccountId, K)],
) -> Vec<(T::AccountId, u64)> {
	validators.iter().map(|(who, _)| ((*who).clone(), pallet_poc::Pallet::<T>::power_of(power, who))).collect()
}

/// Takes the pay of the epoch before the one in which fraud was proven. It is granted later in that epoch, when the
/// penalty has been burnt.
pub struct TakeWaitingPay<T>(PhantomData<T>);

impl<T: pallet_poc::Config> OnOffence<T::AccountId> for TakeWaitingPay<T> {
	fn on_offence(host: &T::AccountId, epoch: EpochIndex, offence: Kind) {
		if let (Kind::Fabrication | Kind::FalseAccusation, Some(before)) = (offence, epoch.checked_sub(1)) {
			pallet_poc::Pallet::<T>::forfeit(before, host);
		}
	}
}
