//! BABE, GRANDPA, the sessions that give them their validators, and what the shared configurations ask of the chain.

use crate::{
	offences::{Checked, PowerShare, Reports},
	power::{BabeBeacon, ProvenSessions},
	*,
};
use frame_support::{
	traits::{ConstU32, ConstU64},
	weights::{Weight, constants::WEIGHT_REF_TIME_PER_MILLIS},
};
use gonka_runtime_common::{MAX_VALIDATORS, Time};
use pallet_liveness::math::MAX_SEATS;
use sp_consensus_babe::{AllowedSlots, BabeEpochConfiguration};

pub use gonka_runtime_common::WeightToFee;

/// Length of a slot, in milliseconds.
pub const SLOT_MS: u64 = Time::THIS.slot_ms;
/// Maximum dispatch weight of a block: a third of a slot. The proof size is not limited, since a solo chain needs no proofs.
pub const MAX_BLOCK: Weight = Weight::from_parts(WEIGHT_REF_TIME_PER_MILLIS.saturating_mul(SLOT_MS) / 3, u64::MAX);
/// Maximum number of vouchers in a settlement, and of releases of fees in a block.
pub const MAX_VOUCHERS: u32 = 256;
/// Minimum time between blocks, in milliseconds: half a slot.
pub type MinimumPeriod = ConstU64<{ SLOT_MS / 2 }>;
/// The pallet that checks the time of a block.
pub type Clock = Babe;
/// New code takes effect at once.
pub type SetCode = ();
/// The random value of each block.
pub type ChainBeacon = BabeBeacon<Runtime>;
/// Finds the seat by whose right a block was written.
pub type FindSeat = Babe;
/// Sessions are BABE's epochs.
pub type SessionEnd = Babe;
/// The estimate of the next session's begin.
pub type NextRotation = Babe;
/// Chooses the validators, and puts them on record.
pub type SessionManager = pallet_session::historical::NoteHistoricalRoot<Runtime, ProvenSessions<Runtime>>;

/// A quarter of the slots have a primary author. The others have a secondary one with a VRF output, so that every block
/// has randomness. Both are chosen in proportion to power: see `power.rs`.
pub const BABE_CONFIGURATION: BabeEpochConfiguration =
	BabeEpochConfiguration { c: (1, 4), allowed_slots: AllowedSlots::PrimaryAndSecondaryVRFSlots };

/// Number of blocks for which a report stays in the pool: as long as it can be proven.
pub type ReportLongevity = ConstU64<{ Time::THIS.reportable_sessions() as u64 * Time::THIS.session }>;

impl pallet_babe::Config for Runtime {
	type DisabledValidators = Session;
	type EpochChangeTrigger = pallet_babe::ExternalTrigger;
	type EpochDuration = ConstU64<{ Time::THIS.session }>;
	type EquivocationReportSystem =
		Checked<pallet_babe::EquivocationReportSystem<Self, Reports<Self>, Historical, ReportLongevity>>;
	type ExpectedBlockTime = ConstU64<{ Time::THIS.slot_ms }>;
	type KeyOwnerProof = sp_session::MembershipProof;
	type MaxAuthorities = ConstU32<{ MAX_SEATS as u32 }>;
	type MaxNominators = ConstU32<0>;
	type WeightInfo = ();
}

impl pallet_grandpa::Config for Runtime {
	type EquivocationReportSystem =
		Checked<pallet_grandpa::EquivocationReportSystem<Self, Reports<Self>, Historical, ReportLongevity>>;
	type KeyOwnerProof = sp_session::MembershipProof;
	type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
	type MaxNominators = ConstU32<0>;
	// A session has at most one set.
	type MaxSetIdSessionEntries = ConstU64<{ Time::THIS.reportable_sessions() as u64 }>;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
}

impl pallet_authority_discovery::Config for Runtime {
	type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
}

impl pallet_session::historical::Config for Runtime {
	type FullIdentification = sp_runtime::Perbill;
	type FullIdentificationOf = PowerShare<Self>;
	type RuntimeEvent = RuntimeEvent;
}

impl<C> frame_system::offchain::CreateTransactionBase<C> for Runtime
where
	RuntimeCall: From<C>,
{
	type Extrinsic = UncheckedExtrinsic;
	type RuntimeCall = RuntimeCall;
}

/// Transactions without an account, by which nodes report equivocations.
impl<C> frame_system::offchain::CreateBare<C> for Runtime
where
	RuntimeCall: From<C>,
{
	fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
		UncheckedExtrinsic::new_bare(call)
	}
}

/// GRANDPA, which the emergency track can help out of a stall.
pub struct ChainFinality;

impl pallet_governance::Finality<BlockNumber> for ChainFinality {
	fn end_stall(delay: BlockNumber, finalized: BlockNumber) -> sp_runtime::DispatchResult {
		Grandpa::note_stalled(RuntimeOrigin::root(), delay, finalized)
	}
}
