//! Authors of blocks, the presence of validators, and the sessions that change them.

use super::consensus::{FindSeat, NextRotation, SessionEnd, SessionManager};
use crate::*;
use frame_support::traits::{ConstU32, ConstU128, Get};
use gonka_runtime_common::{MAX_VALIDATORS, Time, power::Rotation};
use sp_runtime::traits::{ConvertInto, OpaqueKeys};

impl pallet_authorship::Config for Runtime {
	type EventHandler = ();
	type FindAuthor = Liveness;
}

/// Number of epochs that have been weighed.
pub struct Weighings;
impl Get<u32> for Weighings {
	fn get() -> u32 {
		pallet_poc::LastWeighed::<Runtime>::get().map_or(0, |epoch| epoch.saturating_add(1))
	}
}

impl pallet_liveness::Config for Runtime {
	type FindSeat = FindSeat;
	type LongStallSessions = ConstU32<{ Time::THIS.long_stall_sessions }>;
	type MaxValidators = ConstU32<MAX_VALIDATORS>;
	type StallSessions = ConstU32<{ Time::THIS.stall_sessions }>;
	type Weighings = Weighings;
	type WeightInfo = gonka_runtime_common::weights::pallet_liveness::WeightInfo<Runtime>;
}

impl pallet_session::Config for Runtime {
	type Currency = Balances;
	// The strategies count validators, and one validator may have a third of the power. Offenders lose power with the next
	// session instead.
	type DisablingStrategy = ();
	type KeyDeposit = ConstU128<0>;
	type Keys = SessionKeys;
	type NextSessionRotation = NextRotation;
	type RuntimeEvent = RuntimeEvent;
	type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
	type SessionManager = SessionManager;
	type ShouldEndSession = Rotation<Runtime, SessionEnd>;
	type ValidatorId = AccountId;
	type ValidatorIdOf = ConvertInto;
	type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
}
