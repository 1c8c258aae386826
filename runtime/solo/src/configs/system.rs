//! System, timestamp, utility and sudo.

use crate::*;
use frame_support::{
	derive_impl,
	dispatch::DispatchClass,
	parameter_types,
	traits::ConstU64,
	weights::{
		Weight,
		constants::{ParityDbWeight, WEIGHT_REF_TIME_PER_MILLIS},
	},
};
use frame_system::limits::{BlockLength, BlockWeights};
use gonka_runtime_common::Time;
use sp_runtime::Perbill;

/// Share of a block that ordinary transactions may fill. The rest is for consensus and hooks.
const NORMAL_SHARE: Perbill = Perbill::from_percent(75);
/// Maximum dispatch weight of a block: a third of a slot. The proof size is not limited, since a solo chain needs no proofs.
const BLOCK_WEIGHT: Weight =
	Weight::from_parts(WEIGHT_REF_TIME_PER_MILLIS.saturating_mul(Time::THIS.slot_ms) / 3, u64::MAX);

parameter_types! {
	pub const Version: sp_version::RuntimeVersion = VERSION;
	pub RuntimeBlockLength: BlockLength =
		BlockLength::builder().max_length(5 * 1024 * 1024).modify_max_length_for_class(DispatchClass::Normal, |max| {
			*max = NORMAL_SHARE * *max;
		}).build();
	pub RuntimeBlockWeights: BlockWeights = BlockWeights::with_sensible_defaults(BLOCK_WEIGHT, NORMAL_SHARE);
	pub const BlockHashCount: BlockNumber = 4_096;
	pub const SS58Prefix: u8 = 42;
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
	type AccountData = pallet_balances::AccountData<Balance>;
	type AccountId = AccountId;
	type BaseCallFilter = TxPause;
	type Block = Block;
	type BlockHashCount = BlockHashCount;
	type BlockLength = RuntimeBlockLength;
	type BlockWeights = RuntimeBlockWeights;
	type DbWeight = ParityDbWeight;
	type ExtensionsWeightInfo = crate::weights::frame_system_extensions::WeightInfo<Runtime>;
	type Hash = Hash;
	type Lookup = sp_runtime::traits::AccountIdLookup<AccountId, ()>;
	type MaxConsumers = frame_support::traits::ConstU32<16>;
	type Nonce = Nonce;
	type SS58Prefix = SS58Prefix;
	type SingleBlockMigrations = super::migrations::Migrations;
	type SystemWeightInfo = crate::weights::frame_system::WeightInfo<Runtime>;
	type Version = Version;
}

impl pallet_timestamp::Config for Runtime {
	type MinimumPeriod = ConstU64<{ Time::THIS.slot_ms / 2 }>;
	type Moment = u64;
	type OnTimestampSet = Babe;
	type WeightInfo = crate::weights::pallet_timestamp::WeightInfo<Runtime>;
}

impl pallet_utility::Config for Runtime {
	type PalletsOrigin = OriginCaller;
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = crate::weights::pallet_utility::WeightInfo<Runtime>;
}

impl pallet_sudo::Config for Runtime {
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = crate::weights::pallet_sudo::WeightInfo<Runtime>;
}
