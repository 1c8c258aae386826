//! BABE, GRANDPA and the sessions that hand them their validators.

use crate::*;
use frame_support::traits::{ConstU32, ConstU64};
use gonka_runtime_common::{
	MAX_VALIDATORS, Time,
	power::{Rotation, Sessions},
};
use sp_consensus_babe::{AllowedSlots, BabeEpochConfiguration};
use sp_runtime::traits::{ConvertInto, OpaqueKeys};

/// A quarter of the slots have a primary author; in the others a secondary one steps in, with a VRF output, so that
/// every block brings randomness.
pub const BABE_CONFIGURATION: BabeEpochConfiguration =
	BabeEpochConfiguration { c: (1, 4), allowed_slots: AllowedSlots::PrimaryAndSecondaryVRFSlots };

impl pallet_babe::Config for Runtime {
	type DisabledValidators = Session;
	type EpochChangeTrigger = pallet_babe::ExternalTrigger;
	type EpochDuration = ConstU64<{ Time::THIS.session }>;
	// Equivocations are not punished yet: there is no collateral to slash.
	type EquivocationReportSystem = ();
	type ExpectedBlockTime = ConstU64<{ Time::THIS.slot_ms }>;
	type KeyOwnerProof = sp_core::Void;
	type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
	type MaxNominators = ConstU32<0>;
	type WeightInfo = ();
}

impl pallet_grandpa::Config for Runtime {
	type EquivocationReportSystem = ();
	type KeyOwnerProof = sp_core::Void;
	type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
	type MaxNominators = ConstU32<0>;
	// Set ids of that many sessions are kept for proofs of old equivocations.
	type MaxSetIdSessionEntries = ConstU64<168>;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
}

impl pallet_authorship::Config for Runtime {
	type EventHandler = ();
	type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
}

impl pallet_authority_discovery::Config for Runtime {
	type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
}

impl pallet_session::Config for Runtime {
	type Currency = Balances;
	type DisablingStrategy = ();
	type KeyDeposit = frame_support::traits::ConstU128<0>;
	type Keys = SessionKeys;
	type NextSessionRotation = Babe;
	type RuntimeEvent = RuntimeEvent;
	type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
	type SessionManager = Sessions<Runtime>;
	type ShouldEndSession = Rotation<Runtime>;
	type ValidatorId = AccountId;
	type ValidatorIdOf = ConvertInto;
	type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
}
