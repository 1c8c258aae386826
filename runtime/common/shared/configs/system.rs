//! System, timestamp and utility.

use super::consensus::{Clock, MAX_BLOCK, MinimumPeriod, SetCode};
use crate::*;
use frame_support::{derive_impl, dispatch::DispatchClass, parameter_types, weights::constants::ParityDbWeight};
use frame_system::limits::{BlockLength, BlockWeights};
use sp_runtime::Perbill;

/// Share of a block that ordinary transactions may fill. The rest is for consensus and hooks.
const NORMAL_SHARE: Perbill = Perbill::from_percent(75);

parameter_types! {
	pub const Version: sp_version::RuntimeVersion = VERSION;
	pub RuntimeBlockLength: BlockLength =
		BlockLength::builder().max_length(5 * 1024 * 1024).modify_max_length_for_class(DispatchClass::Normal, |max| {
			*max = NORMAL_SHARE * *max;
		}).build();
	pub RuntimeBlockWeights: BlockWeights = BlockWeights::with_sensible_defaults(MAX_BLOCK, NORMAL_SHARE);
	pub const BlockHashCount: BlockNumber = 4_096;
	pub const SS58Prefix: u16 = crate::genesis::NETWORK.1;
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
	type ExtensionsWeightInfo = gonka_runtime_common::weights::frame_system_extensions::WeightInfo<Runtime>;
	type Hash = Hash;
	type Lookup = sp_runtime::traits::AccountIdLookup<AccountId, ()>;
	type MaxConsumers = frame_support::traits::ConstU32<16>;
	type Nonce = Nonce;
	type OnSetCode = SetCode;
	type SS58Prefix = SS58Prefix;
	type SingleBlockMigrations = super::migrations::Migrations;
	type SystemWeightInfo = gonka_runtime_common::weights::frame_system::WeightInfo<Runtime>;
	type Version = Version;
}

impl pallet_timestamp::Config for Runtime {
	type MinimumPeriod = MinimumPeriod;
	type Moment = u64;
	type OnTimestampSet = Clock;
	type WeightInfo = gonka_runtime_common::weights::pallet_timestamp::WeightInfo<Runtime>;
}

impl pallet_utility::Config for Runtime {
	type PalletsOrigin = OriginCaller;
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = gonka_runtime_common::weights::pallet_utility::WeightInfo<Runtime>;
}
