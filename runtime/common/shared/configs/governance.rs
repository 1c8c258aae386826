//! Referenda, their origins, and the community fund.

use super::{consensus::ChainFinality, system::RuntimeBlockWeights};
use crate::*;
use alloc::borrow::Cow;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
	PalletId, parameter_types,
	traits::{
		AsEnsureOriginWithArg, ConstU32, ConstU128, Contains, EitherOf, EitherOfDiverse, EqualPrivilegeOnly,
		GetCallMetadata, InstanceFilter, LinearStoragePrice, MapSuccess,
		fungible::HoldConsideration,
		tokens::{PayFromAccount, UnityAssetBalanceConversion},
	},
	weights::Weight,
};
use frame_system::{EnsureRoot, EnsureRootWithSuccess, EnsureSigned};
use gonka_primitives::storage_deposit as deposit;
use gonka_runtime_common::{WEIGH_BATCH, tracks};
use pallet_governance::{EnsureTrack, Origin, Tally, Votes};
use pallet_referenda::Track;
use scale_info::TypeInfo;
use sp_runtime::{
	Perbill, Permill,
	traits::{BlakeTwo256, IdentityLookup, Replace},
};

parameter_types! {
	pub const ParametersTrack: Origin = Origin::Parameters;
	pub const ModelsTrack: Origin = Origin::Models;
	pub const TreasuryTrack: Origin = Origin::Treasury;
	pub const EmergencyTrack: Origin = Origin::Emergency;
	pub PollCount: u32 = pallet_referenda::ReferendumCount::<Runtime>::get();
	pub SchedulerWeight: Weight = Perbill::from_percent(50) * RuntimeBlockWeights::get().max_block;
	pub const PreimageHold: RuntimeHoldReason = RuntimeHoldReason::Preimage(pallet_preimage::HoldReason::Preimage);
	pub const TreasuryId: PalletId = PalletId(*b"py/trsry");
	pub const NoBurn: Permill = Permill::zero();
	pub const AllOfIt: Balance = Balance::MAX;
}

/// Root, or the models track.
pub type EnsureModels = EitherOfDiverse<EnsureRoot<AccountId>, EnsureTrack<ModelsTrack>>;
/// Root, or the emergency track.
pub type EnsureEmergency = EitherOfDiverse<EnsureRoot<AccountId>, EnsureTrack<EmergencyTrack>>;

impl pallet_governance::Config for Runtime {
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::Helper;
	type CopyBatch = ConstU32<WEIGH_BATCH>;
	type Electorate = Poc;
	type EmergencyOrigin = EnsureEmergency;
	type Finality = ChainFinality;
	type MaxDelegators = ConstU32<32>;
	// A day of mainnet's blocks.
	type MaxStallDelay = ConstU32<14_400>;
	type MaxVotes = ConstU32<16>;
	type PollCount = PollCount;
	type Polls = Referenda;
	type VoteLockingPeriod = ConstU32<0>;
	type WeightInfo = gonka_runtime_common::weights::pallet_governance::WeightInfo<Runtime>;
}

/// The pallets that move money.
const MONEY: [&str; 7] =
	["Balances", "Vesting", "Treasury", "Emission", "InferenceMarket", "Collateral", "PolkadotXcm"];

/// The calls that can never be paused: all except those that move money, and all that do not exist.
///
/// The others keep the chain running, change it, or are duties whose absence costs hosts collateral and pay. Calls within a
/// batch, of a proxy or of a multisig can be paused by themselves.
pub struct Unpausable;

impl Contains<pallet_tx_pause::RuntimeCallNameOf<Runtime>> for Unpausable {
	fn contains((pallet, call): &pallet_tx_pause::RuntimeCallNameOf<Runtime>) -> bool {
		// The SDK's benchmark pauses a call that does not exist.
		if cfg!(feature = "runtime-benchmarks") && pallet.iter().all(|byte| *byte == 1) {
			return false;
		}
		let known = RuntimeCall::get_module_names().iter().find(|name| name.as_bytes() == pallet.as_slice());
		let Some(pallet) = known.filter(|name| MONEY.contains(name)) else { return true };
		!RuntimeCall::get_call_names(pallet).iter().any(|name| name.as_bytes() == call.as_slice())
	}
}

impl pallet_tx_pause::Config for Runtime {
	type MaxNameLen = ConstU32<64>;
	type PauseOrigin = EnsureEmergency;
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type UnpauseOrigin = EnsureEmergency;
	type WeightInfo = gonka_runtime_common::weights::pallet_tx_pause::WeightInfo<Runtime>;
	type WhitelistedCalls = Unpausable;
}

/// The tracks with their origins.
pub struct Tracks;

impl Tracks {
	/// The origin with which a track dispatches; `None` if there is no such track.
	pub fn origin_of(track: u16) -> Option<OriginCaller> {
		Some(match track {
			tracks::UPGRADE => OriginCaller::system(frame_system::RawOrigin::Root),
			tracks::PARAMETERS => Origin::Parameters.into(),
			tracks::MODELS => Origin::Models.into(),
			tracks::TREASURY => Origin::Treasury.into(),
			tracks::EMERGENCY => Origin::Emergency.into(),
			_ => return None,
		})
	}
}

impl pallet_referenda::TracksInfo<Balance, BlockNumber> for Tracks {
	type Id = u16;
	type RuntimeOrigin = OriginCaller;

	fn tracks() -> impl Iterator<Item = Cow<'static, Track<u16, Balance, BlockNumber>>> {
		tracks::tracks()
	}

	fn track_for(origin: &OriginCaller) -> Result<u16, ()> {
		match origin {
			OriginCaller::system(frame_system::RawOrigin::Root) => Ok(tracks::UPGRADE),
			OriginCaller::ConvictionVoting(Origin::Parameters) => Ok(tracks::PARAMETERS),
			OriginCaller::ConvictionVoting(Origin::Models) => Ok(tracks::MODELS),
			OriginCaller::ConvictionVoting(Origin::Treasury) => Ok(tracks::TREASURY),
			OriginCaller::ConvictionVoting(Origin::Emergency) => Ok(tracks::EMERGENCY),
			_ => Err(()),
		}
	}
}

impl pallet_referenda::Config for Runtime {
	type AlarmInterval = ConstU32<1>;
	type BlockNumberProvider = System;
	type CancelOrigin = EnsureEmergency;
	type Currency = Balances;
	type KillOrigin = EnsureEmergency;
	type MaxQueued = ConstU32<100>;
	type Preimages = Preimage;
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type Scheduler = Scheduler;
	// The community fund gets slashed deposits, so that the issuance does not change.
	type Slash = Treasury;
	type SubmissionDeposit = ConstU128<{ tracks::SUBMISSION_DEPOSIT }>;
	type SubmitOrigin = AsEnsureOriginWithArg<EnsureSigned<AccountId>>;
	type Tally = Tally<Runtime>;
	type Tracks = Tracks;
	type UndecidingTimeout = ConstU32<{ tracks::UNDECIDING_TIMEOUT }>;
	type Votes = Votes;
	type WeightInfo = gonka_runtime_common::weights::pallet_referenda::WeightInfo<Runtime>;
}

impl pallet_preimage::Config for Runtime {
	type Consideration = HoldConsideration<
		AccountId,
		Balances,
		PreimageHold,
		LinearStoragePrice<ConstU128<{ deposit(1, 0) }>, ConstU128<{ deposit(0, 1) }>, Balance>,
	>;
	type Currency = Balances;
	type ManagerOrigin = EnsureRoot<AccountId>;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = gonka_runtime_common::weights::pallet_preimage::WeightInfo<Runtime>;
}

impl pallet_scheduler::Config for Runtime {
	type BlockNumberProvider = System;
	// Each referendum that was voted on has an alarm in the next block. To fill a block with alarms costs as many deposits.
	type MaxScheduledPerBlock = ConstU32<200>;
	type MaximumWeight = SchedulerWeight;
	type OriginPrivilegeCmp = EqualPrivilegeOnly;
	type PalletsOrigin = OriginCaller;
	type Preimages = Preimage;
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type RuntimeOrigin = RuntimeOrigin;
	type ScheduleOrigin = EnsureRoot<AccountId>;
	type WeightInfo = gonka_runtime_common::weights::pallet_scheduler::WeightInfo<Runtime>;
}

impl pallet_treasury::Config for Runtime {
	type AssetKind = ();
	type BalanceConverter = UnityAssetBalanceConversion;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::Helper;
	type Beneficiary = AccountId;
	type BeneficiaryLookup = IdentityLookup<AccountId>;
	type BlockNumberProvider = System;
	type Burn = NoBurn;
	type BurnDestination = ();
	type Currency = Balances;
	// Spends are dispatched by `spend`; the older approvals are not used. Their benchmark subtracts one.
	type MaxApprovals = ConstU32<{ if cfg!(feature = "runtime-benchmarks") { 100 } else { 0 } }>;
	type PalletId = TreasuryId;
	type Paymaster = PayFromAccount<Balances, pallet_treasury::TreasuryAccountId<Runtime>>;
	type PayoutPeriod = ConstU32<{ 30 * genesis::DAY }>;
	type RejectOrigin = EnsureRoot<AccountId>;
	type RuntimeEvent = RuntimeEvent;
	type SpendFunds = ();
	type SpendOrigin = EitherOf<
		EnsureRootWithSuccess<AccountId, AllOfIt>,
		MapSuccess<EnsureTrack<TreasuryTrack>, Replace<ConstU128<{ tracks::MAX_SPEND }>>>,
	>;
	type SpendPeriod = ConstU32<{ genesis::DAY }>;
	type WeightInfo = gonka_runtime_common::weights::pallet_treasury::WeightInfo<Runtime>;
}

impl pallet_multisig::Config for Runtime {
	type BlockNumberProvider = System;
	type Currency = Balances;
	type DepositBase = ConstU128<{ deposit(1, 88) }>;
	type DepositFactor = ConstU128<{ deposit(0, 32) }>;
	type MaxSignatories = ConstU32<32>;
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = gonka_runtime_common::weights::pallet_multisig::WeightInfo<Runtime>;
}

/// The calls that a proxy may send.
#[derive(
	Clone,
	Copy,
	Debug,
	Default,
	PartialEq,
	Eq,
	PartialOrd,
	Ord,
	Encode,
	Decode,
	DecodeWithMemTracking,
	TypeInfo,
	MaxEncodedLen,
)]
pub enum ProxyType {
	/// Everything.
	#[default]
	#[codec(index = 0)]
	Any,
	/// Votes, delegations, referenda and preimages, so that a host's key can stay cold.
	#[codec(index = 1)]
	Governance,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
	fn filter(&self, call: &RuntimeCall) -> bool {
		match self {
			Self::Any => true,
			Self::Governance => matches!(
				call,
				RuntimeCall::ConvictionVoting(..) | RuntimeCall::Referenda(..) | RuntimeCall::Preimage(..)
			),
		}
	}

	fn is_superset(&self, other: &Self) -> bool {
		*self == Self::Any || self == other
	}
}

impl pallet_proxy::Config for Runtime {
	type AnnouncementDepositBase = ConstU128<{ deposit(1, 8) }>;
	type AnnouncementDepositFactor = ConstU128<{ deposit(0, 66) }>;
	type BlockNumberProvider = System;
	type CallHasher = BlakeTwo256;
	type Currency = Balances;
	type MaxPending = ConstU32<32>;
	type MaxProxies = ConstU32<32>;
	type ProxyDepositBase = ConstU128<{ deposit(1, 8) }>;
	type ProxyDepositFactor = ConstU128<{ deposit(0, 33) }>;
	type ProxyType = ProxyType;
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = gonka_runtime_common::weights::pallet_proxy::WeightInfo<Runtime>;
}
