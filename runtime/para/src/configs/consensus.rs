//! Aura, the sessions that give it collators, the relay chain, and what the shared configurations ask of the chain.

use crate::*;
use cumulus_pallet_parachain_system::RelayNumberStrictlyIncreases;
use cumulus_primitives_core::{AggregateMessageOrigin, relay_chain::MAX_POV_SIZE};
use frame_support::{
	parameter_types,
	traits::{ConstBool, ConstU32, ConstU64, EnqueueWithOrigin},
	weights::{Weight, WeightToFee as Fee, constants::WEIGHT_REF_TIME_PER_SECOND},
};
use gonka_runtime_common::{Time, power::Sessions};
use pallet_liveness::math::MAX_SEATS;
use pallet_session::PeriodicSessions;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_runtime::DispatchError;

pub use crate::seats::FirstSeat as FindSeat;

/// Length of a slot, in milliseconds: that of the relay chain, whose slots a collator's must match.
pub const SLOT_MS: u64 = 6_000;
/// Number of blocks in a slot. Elastic scaling would allow three, with three cores, but blocks of one slot build on the same
/// relay chain's block and have the same random value: draws would have to wait for the next slot first.
pub const BLOCKS_PER_SLOT: u32 = 1;
/// Number of relay chain's blocks between its best one and the one to build on. With more than none, collators would know the
/// random values of blocks to come.
pub const RELAY_PARENT_OFFSET: u32 = 0;
/// Maximum number of blocks that the relay chain has not included yet.
const UNINCLUDED: u32 = (3 + RELAY_PARENT_OFFSET) * BLOCKS_PER_SLOT;

/// Maximum dispatch weight of a block: the 2 s for which the relay chain's validators execute it, and the 85 % of the maximum
/// proof that collators fill.
pub const MAX_BLOCK: Weight = Weight::from_parts(2 * WEIGHT_REF_TIME_PER_SECOND, MAX_POV_SIZE as u64 / 100 * 85);
/// Maximum number of vouchers in a settlement, and of releases of fees in a block. More would not fit the proof: a release can
/// prove as much as 17 kB.
pub const MAX_VOUCHERS: u32 = 64;
/// Minimum time between blocks. Aura checks that the time lies in the slot, which a block must not share.
pub type MinimumPeriod = ConstU64<0>;
/// The pallet that checks the time of a block.
pub type Clock = Aura;
/// New code takes effect when the relay chain has accepted it.
pub type SetCode = cumulus_pallet_parachain_system::ParachainSetCode<Runtime>;
/// The random value of each block.
pub type ChainBeacon = RelayBeacon;
/// Sessions have a fixed number of blocks.
pub type SessionEnd = PeriodicSessions<ConstU32<{ Time::THIS.session as u32 }>, ConstU32<0>>;
/// The estimate of the next session's begin.
pub type NextRotation = SessionEnd;
/// Chooses the collators.
pub type SessionManager = Sessions<Runtime>;

/// Base units for a byte of proof: a block's whole proof costs as much as all of its computation.
const PROOF_BYTE_FEE: Balance = (MAX_BLOCK.ref_time() / 1_000 / MAX_BLOCK.proof_size()) as Balance;

/// Charges for computation, as the solo chain does, or for the proof, whichever costs more.
pub struct WeightToFee;

impl Fee for WeightToFee {
	type Balance = Balance;

	fn weight_to_fee(weight: &Weight) -> Balance {
		let proof = Balance::from(weight.proof_size()).saturating_mul(PROOF_BYTE_FEE);
		gonka_runtime_common::WeightToFee::weight_to_fee(weight).max(proof)
	}
}

/// The relay chain's finality. The chain cannot help it out of a stall.
pub struct ChainFinality;

impl pallet_governance::Finality<BlockNumber> for ChainFinality {
	fn end_stall(_: BlockNumber, _: BlockNumber) -> sp_runtime::DispatchResult {
		Err(DispatchError::Unavailable)
	}
}

/// Decides which of the relay chain's blocks a block may build on, and how many blocks may wait for inclusion.
pub type ConsensusHook =
	cumulus_pallet_aura_ext::FixedVelocityConsensusHook<Runtime, { SLOT_MS as u32 }, BLOCKS_PER_SLOT, UNINCLUDED>;

parameter_types! {
	pub const RelayOrigin: AggregateMessageOrigin = AggregateMessageOrigin::Parent;
	/// Dispatch weight reserved for messages at a block's begin, from the relay chain and from parachains each.
	pub ReservedForMessages: Weight = MAX_BLOCK.saturating_div(4);
}

impl cumulus_pallet_parachain_system::Config for Runtime {
	// Each block has a relay chain's block, and so a random value, of its own.
	type CheckAssociatedRelayNumber = RelayNumberStrictlyIncreases;
	type ConsensusHook = ConsensusHook;
	type DmpQueue = EnqueueWithOrigin<MessageQueue, RelayOrigin>;
	type OnSystemEvent = RelayBeacon;
	type OutboundXcmpMessageSource = XcmpQueue;
	type RelayParentOffset = ConstU32<RELAY_PARENT_OFFSET>;
	type ReservedDmpWeight = ReservedForMessages;
	type ReservedXcmpWeight = ReservedForMessages;
	type RuntimeEvent = RuntimeEvent;
	// Not ready for use: a chain that switches it on stalls.
	type SchedulingSignatureVerifier = ();
	type SelfParaId = ParachainInfo;
	type WeightInfo = cumulus_pallet_parachain_system::weights::SubstrateWeight<Runtime>;
	type XcmpMessageHandler = XcmpQueue;
}

impl staging_parachain_info::Config for Runtime {}
impl cumulus_pallet_aura_ext::Config for Runtime {}
impl beacon::pallet::Config for Runtime {}

impl cumulus_pallet_weight_reclaim::Config for Runtime {
	type WeightInfo = ();
}

impl pallet_aura::Config for Runtime {
	type AllowMultipleBlocksPerSlot = ConstBool<{ BLOCKS_PER_SLOT > 1 }>;
	type AuthorityId = AuraId;
	// It would ask about the number of a seat. Offenders lose their seats with the next session instead.
	type DisabledValidators = ();
	type MaxAuthorities = ConstU32<{ MAX_SEATS as u32 }>;
	type SlotDuration = ConstU64<SLOT_MS>;
}
