//! A runtime of balances and emission; hosts' weights are set by the tests.

use crate as pallet_emission;
use gonka_primitives::{Balance, EpochIndex, GNK, traits::PaidWeights};
use polkadot_sdk::*;
use std::collections::BTreeMap;

use frame_support::{derive_impl, parameter_types, traits::Hooks};
use sp_runtime::BuildStorage;

pub type AccountId = u64;

pub const CAP: Balance = 680_000_000 * GNK;
/// Number of epochs over which grants vest.
pub const VESTING: u32 = 5;
pub const EXISTENTIAL_DEPOSIT: Balance = 1_000;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Balances: pallet_balances = 1,
		Emission: pallet_emission = 2,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlockU32<Test>;
	type AccountData = pallet_balances::AccountData<Balance>;
}

parameter_types! {
	pub const ExistentialDeposit: Balance = EXISTENTIAL_DEPOSIT;
	pub const Cap: Balance = CAP;
	pub static MaxPayoutsPerBlock: u32 = 3;
	pub static Epoch: EpochIndex = 8;
	pub const Pot: frame_support::PalletId = frame_support::PalletId(*b"gnk/vest");
	pub static Weights: BTreeMap<EpochIndex, BTreeMap<AccountId, u64>> = BTreeMap::new();
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = Balance;
	type ExistentialDeposit = ExistentialDeposit;
	type AccountStore = System;
}

pub struct TestWeights;
impl PaidWeights<AccountId> for TestWeights {
	fn page(epoch: EpochIndex, after: Option<&AccountId>, limit: u32) -> Vec<(AccountId, u64)> {
		let weights = Weights::get();
		let Some(hosts) = weights.get(&epoch) else { return Vec::new() };
		hosts
			.iter()
			.filter(|(host, _)| after.is_none_or(|after| *host > after))
			.take(limit as usize)
			.map(|(host, weight)| (*host, *weight))
			.collect()
	}
}

#[cfg(feature = "runtime-benchmarks")]
pub struct SetWeights;
#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper<AccountId> for SetWeights {
	fn set_weights(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
		Weights::mutate(|weights| weights.insert(epoch, hosts.iter().copied().collect()));
	}
}

impl crate::Config for Test {
	type Currency = Balances;
	type Weights = TestWeights;
	type Cap = Cap;
	type MaxPayoutsPerBlock = MaxPayoutsPerBlock;
	type Epoch = Epoch;
	type MaxVestingSteps = frame_support::traits::ConstU32<16>;
	type PalletId = Pot;
	type Rate = frame_support::traits::ConstU64<{ crate::math::FACTOR }>;
	type Treasury = frame_support::traits::ConstU64<1_000_000>;
	type VestingEpochs = frame_support::traits::ConstU32<VESTING>;
	type MaxPending = frame_support::traits::ConstU32<4>;
	type WeightInfo = crate::weights::SubstrateWeight<Test>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = SetWeights;
}

pub fn new_test_ext() -> sp_io::TestExternalities {
	Weights::set(BTreeMap::new());
	MaxPayoutsPerBlock::set(3);
	Epoch::set(8);
	let storage = RuntimeGenesisConfig::default().build_storage().unwrap();
	let mut ext = sp_io::TestExternalities::new(storage);
	ext.execute_with(|| System::set_block_number(1));
	ext
}

/// Runs `test` from genesis and checks the invariants after it.
pub fn build_and_execute(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		test();
		Emission::do_try_state().unwrap();
	});
}

/// Sets the weights of an epoch and closes it.
pub fn close(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
	use gonka_primitives::traits::OnEpochClosed;
	Weights::mutate(|weights| weights.insert(epoch, hosts.iter().copied().collect()));
	Emission::on_epoch_closed(epoch, hosts.iter().map(|(_, weight)| weight).sum());
}

/// One block's `on_initialize`.
pub fn next_block() -> frame_support::weights::Weight {
	System::set_block_number(System::block_number() + 1);
	let weight = Emission::on_initialize(System::block_number());
	Emission::do_try_state().unwrap();
	weight
}

/// Runs blocks until no payout waits.
pub fn pay_all() {
	while crate::Pending::<Test>::decode_len().unwrap_or(0) > 0 {
		next_block();
	}
}

pub fn events() -> Vec<crate::Event<Test>> {
	let events = System::events();
	System::reset_events();
	events
		.into_iter()
		.filter_map(|record| match record.event {
			RuntimeEvent::Emission(event) => Some(event),
			_ => None,
		})
		.collect()
}

/// Everything that a host earned: locked, vested and in its account.
pub fn earned(host: AccountId) -> Balance {
	use frame_support::traits::fungible::Inspect;
	let vesting = Emission::vesting_view(&host);
	Balances::balance(&host) + vesting.locked + vesting.vested
}
