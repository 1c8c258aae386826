//! Gonka's own pallets, except governance and parameters.

use super::{
	consensus::{ChainBeacon, MAX_VOUCHERS},
	parameters::{
		PriceSteering, SlashShares,
		dynamic::{collateral, emission, market, poc},
	},
};
use crate::*;
use frame_support::{
	PalletId, parameter_types,
	traits::{ConstU32, ConstU128, Get},
};
use gonka_primitives::{EpochIndex, audit::AuditRules};
use gonka_runtime_common::{
	MAX_CHECKERS, MAX_HOSTS, MAX_TAGS, MAX_VALIDATORS, Time, WEIGH_BATCH,
	power::{HasSessionKeys, TakeWaitingPay},
};
use gonka_sprint::SprintFormat;
use sp_runtime::Perbill;

/// The sprint format: a small one for CPUs with `fast-runtime`, a large one for GPUs otherwise.
pub struct CurrentFormat;
impl Get<SprintFormat> for CurrentFormat {
	fn get() -> SprintFormat {
		if cfg!(feature = "fast-runtime") { SprintFormat::Nano } else { SprintFormat::P400 }
	}
}

/// The index of the running epoch; 0 before the first block.
pub struct CurrentEpoch;
impl Get<EpochIndex> for CurrentEpoch {
	fn get() -> EpochIndex {
		Poc::running_epoch().map_or(0, |epoch| epoch.index)
	}
}

parameter_types! {
	pub const VestingPot: PalletId = PalletId(*b"gnk/vest");
	/// A validator with 7.5 % of the power or less loses it for an equivocation that no other one took part in.
	pub const MinEquivocationSlash: Perbill = Perbill::from_percent(5);
}

impl pallet_collateral::Config for Runtime {
	type BaseShare = collateral::BaseShare;
	type Currency = Balances;
	type Epoch = CurrentEpoch;
	type GracePeriod = collateral::GracePeriod;
	type MaxValidators = ConstU32<MAX_VALIDATORS>;
	type MinEquivocationSlash = MinEquivocationSlash;
	type PerWeight = collateral::PerWeight;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SlashShare = SlashShares;
	type UnvestedPay = Emission;
	type WeightInfo = gonka_runtime_common::weights::pallet_collateral::WeightInfo<Runtime>;
}

impl pallet_poc::Config for Runtime {
	type Backing = Collateral;
	type Beacon = ChainBeacon;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::Helper;
	type GuardianShare = poc::GuardianShare;
	type HasSessionKeys = HasSessionKeys<Runtime>;
	type HostExpiry = poc::HostExpiry;
	type MinPerformance = poc::MinPerformance;
	type MinWork = poc::MinWork;
	type MaturityThreshold = poc::MaturityThreshold;
	type MaxCheckers = ConstU32<MAX_CHECKERS>;
	type MaxHosts = ConstU32<MAX_HOSTS>;
	type MaxShare = poc::MaxShare;
	type MaxValidators = ConstU32<MAX_VALIDATORS>;
	type Models = InferenceMarket;
	type OnEpochClosed = Emission;
	type OnEpochStart = Amendments;
	type OnHostRemoved = (InferenceMarket, SamplingValidation);
	type OnOffence = (Collateral, (ConvictionVoting, TakeWaitingPay<Runtime>));
	type SprintFormat = CurrentFormat;
	type RegistrationBits = poc::RegistrationBits;
	type Schedule = poc::Phases;
	type WeighBatch = ConstU32<WEIGH_BATCH>;
	type WeightInfo = gonka_runtime_common::weights::pallet_poc::WeightInfo<Runtime>;
}

impl pallet_sprint_check::Config for Runtime {
	type MaxClaims = ConstU32<256>;
	type MaxGames = ConstU32<16>;
	type MaxTags = ConstU32<MAX_TAGS>;
	type WeightInfo = gonka_runtime_common::weights::pallet_sprint_check::WeightInfo<Runtime>;
}

impl pallet_emission::Config for Runtime {
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::Helper;
	type Cap = ConstU128<{ 680_000_000 * GNK }>;
	type Currency = Balances;
	type Epoch = CurrentEpoch;
	type MaxPayoutsPerBlock = ConstU32<WEIGH_BATCH>;
	// At most as many as the epochs whose weights pallet-poc keeps.
	type MaxPending = ConstU32<2>;
	type MaxVestingSteps = ConstU32<16>;
	type PalletId = VestingPot;
	type Weights = Poc;
	type Rate = emission::Rate;
	type Treasury = crate::genesis::Treasury;
	type VestingEpochs = ConstU32<180>;
	type WeightInfo = gonka_runtime_common::weights::pallet_emission::WeightInfo<Runtime>;
}

impl pallet_inference_market::Config for Runtime {
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::Helper;
	type ChallengePeriod = market::ChallengePeriod;
	type Currency = Balances;
	type Epoch = CurrentEpoch;
	type FreeEpochs = market::FreeEpochs;
	type Genesis = pallet_poc::GenesisHash<Runtime>;
	type Hosts = Poc;
	type KeptSettlements = ConstU32<8>;
	type MaxChannelsPerCall = ConstU32<64>;
	type MaxHold = market::MaxHold;
	type MaxModels = ConstU32<256>;
	type MaxReleases = ConstU32<MAX_VOUCHERS>;
	type MaxVouchers = ConstU32<MAX_VOUCHERS>;
	type MinDeposit = market::MinDeposit;
	type MinHold = market::MinHold;
	type OnServed = Poc;
	type OnSettlement = SamplingValidation;
	type RegisterOrigin = super::governance::EnsureModels;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Steering = PriceSteering;
	type TransactionFee = super::money::LowestFee;
	type FeeDecisions = SamplingValidation;
	type WeightInfo = gonka_runtime_common::weights::pallet_inference_market::WeightInfo<Runtime>;
	type WindowLength = ConstU32<{ Time::THIS.window }>;
}

/// The rules of audits.
pub struct MarketAuditRules;
impl Get<AuditRules> for MarketAuditRules {
	fn get() -> AuditRules {
		AuditRules::new(Time::THIS.window, Time::THIS.appeal)
	}
}

impl pallet_sampling_validation::Config for Runtime {
	type AppealDeposit = ConstU128<{ 100 * GNK }>;
	type CloseBatch = ConstU32<32>;
	// As many windows as the market keeps roots of.
	type KeptWindows = ConstU32<8>;
	type MaxAssigned = ConstU32<128>;
	type MaxBatches = ConstU32<32>;
	type MaxCases = ConstU32<64>;
	type MaxLookups = ConstU32<128>;
	type AuditRules = MarketAuditRules;
	type TableBatch = ConstU32<32>;
	type WeightInfo = gonka_runtime_common::weights::pallet_sampling_validation::WeightInfo<Runtime>;
}
