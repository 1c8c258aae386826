//! A runtime of balances and the market. Tests register hosts and sign with real keys.

use crate as pallet_inference_market;
use crate::{GenesisModel, Steering, ValidityError};
use gonka_primitives::{
	Balance, BlockNumber, ChannelId, EpochIndex, GNK, Hash, ModelId, PublicKey, Signature,
	hashing::{blake2_256, domain, signing_payload},
	market::{Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum::SumNode,
	traits::{FeeDecision, FeeDecisions, HostRegistry, OnServed, OnSettlement},
};
use polkadot_sdk::*;
use std::collections::BTreeMap;

use codec::Encode;
use frame_support::{
	assert_ok, derive_impl,
	dispatch::{DispatchResultWithPostInfo, GetDispatchInfo},
	parameter_types,
	traits::{ConstU32, Hooks, fungible::InspectHold},
};
use sp_core::{Pair, sr25519};
use sp_runtime::{
	AccountId32, BuildStorage, Perbill,
	traits::{DispatchTransaction, IdentityLookup},
	transaction_validity::{InvalidTransaction, TransactionValidityError},
};

pub const GENESIS: Hash = [42; 32];
pub const EXISTENTIAL_DEPOSIT: Balance = 1_000;
pub const MIN_DEPOSIT: Balance = 10 * GNK;
pub const WINDOW: BlockNumber = 10;
pub const CHALLENGE: BlockNumber = 25;
pub const MAX_VOUCHERS: u32 = 8;
pub const MAX_RELEASES: u32 = 12;
pub const MAX_HOLD: u32 = 4;
pub const STEERING: Steering =
	Steering { low: Perbill::from_percent(40), high: Perbill::from_percent(60), max_step: Perbill::from_percent(2) };
pub const FREE_EPOCHS: EpochIndex = 90;
pub const FUNDS: Balance = 1_000 * GNK;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Balances: pallet_balances = 1,
		Market: pallet_inference_market = 2,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlockU32<Test>;
	type AccountId = AccountId32;
	type Lookup = IdentityLookup<AccountId32>;
	type AccountData = pallet_balances::AccountData<Balance>;
}

parameter_types! {
	pub const ExistentialDeposit: Balance = EXISTENTIAL_DEPOSIT;
	pub const Genesis: Hash = GENESIS;
	pub const MinDeposit: Balance = MIN_DEPOSIT;
	pub const TestSteering: Steering = STEERING;
	pub static Workers: BTreeMap<AccountId32, PublicKey> = BTreeMap::new();
	/// Decisions by host and window. Fees without an entry are released.
	pub static Decisions: BTreeMap<(AccountId32, u32), Option<FeeDecision>> = BTreeMap::new();
	pub static Epoch: EpochIndex = FREE_EPOCHS;
	/// The models that all hosts declare.
	pub static Declared: Vec<ModelId> = vec![];
	/// Models that are not audited.
	pub static Unaudited: Vec<ModelId> = vec![];
	/// Weights of hosts in the last weighed epoch.
	pub static Ranks: BTreeMap<AccountId32, u64> = BTreeMap::new();
	/// Price of a settlement's block space.
	pub static Price: Balance = 0;
	/// Work by host, as the market reported it.
	pub static Work: BTreeMap<AccountId32, u64> = BTreeMap::new();
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = Balance;
	type ExistentialDeposit = ExistentialDeposit;
	type AccountStore = System;
}

pub struct Hosts;
impl HostRegistry<AccountId32> for Hosts {
	fn worker(host: &AccountId32) -> Option<PublicKey> {
		Workers::get().get(host).copied()
	}

	fn models(_: &AccountId32) -> Vec<ModelId> {
		Declared::get()
	}

	fn rank(host: &AccountId32) -> u64 {
		Ranks::get().get(host).copied().unwrap_or(0)
	}
}

pub struct Space;
impl crate::TransactionFee for Space {
	fn fee(_: u32, _: frame_support::weights::Weight) -> Balance {
		Price::get()
	}
}

pub struct Audits;
impl OnSettlement<AccountId32> for Audits {
	fn is_audited(model: ModelId) -> bool {
		!Unaudited::get().contains(&model)
	}

	fn on_settlement(_: &AccountId32, _: u32, _: &SumNode<Totals>, _: &[(ModelId, u64)]) {}
}

pub struct TestDecisions;
impl FeeDecisions<AccountId32> for TestDecisions {
	fn decision(host: &AccountId32, window: u32) -> Option<FeeDecision> {
		Decisions::get().get(&(host.clone(), window)).copied().unwrap_or(<()>::decision(host, window))
	}
}

pub struct Served;
impl OnServed<AccountId32> for Served {
	fn on_served(host: &AccountId32, work: u64) {
		Work::mutate(|all| *all.entry(host.clone()).or_default() += work);
	}
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper<AccountId32> for Hosts {
	fn register_host(host: &AccountId32, worker: PublicKey) {
		Workers::mutate(|workers| workers.insert(host.clone(), worker));
	}
}

impl crate::Config for Test {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Hosts = Hosts;
	type Genesis = Genesis;
	type OnSettlement = Audits;
	type TransactionFee = Space;
	type FeeDecisions = TestDecisions;
	type Epoch = Epoch;
	type FreeEpochs = ConstU32<FREE_EPOCHS>;
	type RegisterOrigin = frame_system::EnsureRoot<AccountId32>;
	type WindowLength = ConstU32<WINDOW>;
	type ChallengePeriod = ConstU32<CHALLENGE>;
	type MinDeposit = MinDeposit;
	type OnServed = Served;
	type MaxVouchers = ConstU32<MAX_VOUCHERS>;
	type MaxChannelsPerCall = ConstU32<4>;
	type MaxModels = ConstU32<3>;
	type KeptSettlements = ConstU32<3>;
	type MaxReleases = ConstU32<MAX_RELEASES>;
	type MaxHold = ConstU32<MAX_HOLD>;
	type MinHold = ConstU32<2>;
	type Steering = TestSteering;
	type WeightInfo = crate::weights::SubstrateWeight<Test>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Hosts;
}

/// The key of a role and index, such as developer 0 or worker 1.
pub fn pair(role: &str, index: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&blake2_256(&[role.as_bytes(), &[index]]))
}

pub fn developer(index: u8) -> AccountId32 {
	pair("developer", index).public().into()
}

pub fn host(index: u8) -> AccountId32 {
	pair("host", index).public().into()
}

pub fn gateway(index: u8) -> sr25519::Pair {
	pair("gateway", index)
}

pub fn worker(index: u8) -> sr25519::Pair {
	pair("worker", index)
}

pub fn genesis_model(name: &str) -> GenesisModel {
	GenesisModel {
		name: name.into(),
		weights_hash: [1; 32].into(),
		tokenizer_hash: [2; 32].into(),
		quantisation: "Q4_K_M".into(),
		context_length: 4_096,
		input_price: 1,
		output_price: 2,
		memory_mb: 1_000,
		min_worker_version: 1_000,
		capacity: 0,
		min_input_price: 1,
		min_output_price: 1,
		max_input_price: u64::MAX.into(),
		max_output_price: u64::MAX.into(),
	}
}

/// Hosts 0 and 1 are registered, host 1 and developers 0 to 2 have money, and the first window has ended.
pub fn new_test_ext() -> sp_io::TestExternalities {
	let balances = (0..3).map(|index| (developer(index), FUNDS)).chain([(host(1), FUNDS)]).collect();
	let genesis = RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig { balances, ..Default::default() },
		market: crate::GenesisConfig { models: vec![genesis_model("genesis")], ..Default::default() },
		..Default::default()
	};
	let mut ext = sp_io::TestExternalities::new(genesis.build_storage().unwrap());
	#[cfg(feature = "runtime-benchmarks")]
	ext.register_extension(sp_keystore::KeystoreExt::new(sp_keystore::testing::MemoryKeystore::new()));
	Workers::set((0..2).map(|index| (host(index), worker(index).public().0)).collect());
	Decisions::take();
	Work::take();
	Epoch::set(FREE_EPOCHS);
	Declared::set(vec![0, 1]);
	Unaudited::take();
	Ranks::take();
	Price::set(0);
	ext.execute_with(|| System::set_block_number(WINDOW));
	ext
}

/// Runs `test` from genesis and checks the invariants after it.
pub fn build_and_execute(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		let before = Balances::total_issuance();
		test();
		Market::do_try_state().unwrap();
		assert_eq!(Balances::total_issuance(), before);
	});
}

/// Runs empty blocks up to `block`.
pub fn run_to(block: BlockNumber) {
	while System::block_number() < block {
		run_block();
	}
}

/// Runs an empty block.
pub fn run_block() {
	let block = System::block_number() + 1;
	System::set_block_number(block);
	Market::on_initialize(block);
}

/// Runs blocks until fees that are settled now are released.
pub fn run_to_release() {
	run_to((System::block_number() / WINDOW + 2) * WINDOW);
}

/// Opens channels of developer 0 and gateway 0. Returns the id of the first one.
pub fn open(channels: &[(AccountId32, Balance)]) -> ChannelId {
	let id = crate::NextChannelId::<Test>::get();
	let origin = RuntimeOrigin::signed(developer(0));
	let channels = channels.to_vec().try_into().unwrap();
	assert_ok!(Market::open_channels(origin, gateway(0).public().0, channels));
	id
}

pub fn totals(fee: Balance, work: u64, receipts: u64) -> Totals {
	Totals { fee, work, receipts }
}

pub fn sign(pair: &sr25519::Pair, domain: &[u8], body: &impl Encode) -> Signature {
	pair.sign(&signing_payload(domain, &GENESIS, body)).0
}

pub fn voucher(gateway: &sr25519::Pair, channel: ChannelId, totals: Totals) -> SignedVoucher {
	let voucher = Voucher { channel, totals };
	SignedVoucher { voucher, signature: sign(gateway, domain::VOUCHER, &voucher) }
}

/// A settlement of host 0 with the growth of the vouchers as its sum. All work is that of model 0.
pub fn settlement(window: u32, vouchers: &[SignedVoucher]) -> Settlement {
	let sum = vouchers.iter().fold(Totals::default(), |sum, signed| {
		let channel = crate::Channels::<Test>::get(signed.voucher.channel);
		let settled = channel.map(|channel| channel.settled).unwrap_or_default();
		let growth = signed.voucher.totals.checked_sub(&settled).unwrap_or_default();
		sum.checked_add(&growth).unwrap_or_default()
	});
	let root = SumNode { hash: [7; 32], sum };
	let work = if sum.work > 0 { vec![(0, sum.work)] } else { vec![] };
	Settlement { host: host(0).into(), window, root, work, vouchers: vouchers.to_vec() }
}

/// Sends a settlement signed by `worker` through the transaction extension, as a block would.
pub fn submit_as(
	worker: &sr25519::Pair,
	settlement: Settlement,
) -> Result<DispatchResultWithPostInfo, TransactionValidityError> {
	let signature = sign(worker, domain::SETTLEMENT, &settlement);
	let call = RuntimeCall::Market(crate::Call::settle { settlement, signature });
	let info = call.get_dispatch_info();
	let extension = frame_system::AuthorizeCall::<Test>::new();
	extension.dispatch_transaction(frame_system::RawOrigin::None.into(), call, &info, 0, 0)
}

/// Sends a settlement that must be accepted.
pub fn submit(settlement: Settlement) {
	assert_ok!(submit_as(&worker(0), settlement).unwrap());
}

/// Asserts that the pool rejects the settlement and that the state does not change.
#[track_caller]
pub fn assert_rejected_as(worker: &sr25519::Pair, settlement: Settlement, error: ValidityError) {
	let root = sp_io::storage::root(sp_runtime::StateVersion::V1);
	let result = submit_as(worker, settlement);
	assert_eq!(result.unwrap_err(), InvalidTransaction::Custom(error as u8).into(), "{error:?}");
	assert_eq!(sp_io::storage::root(sp_runtime::StateVersion::V1), root);
}

/// Asserts this for a settlement signed by the worker of host 0.
#[track_caller]
pub fn assert_rejected(settlement: Settlement, error: ValidityError) {
	assert_rejected_as(&worker(0), settlement, error);
}

pub fn held(developer: &AccountId32) -> Balance {
	Balances::balance_on_hold(&crate::HoldReason::ChannelDeposit.into(), developer)
}

pub fn last_event() -> crate::Event<Test> {
	match System::events().pop().unwrap().event {
		RuntimeEvent::Market(event) => event,
		other => panic!("{other:?}"),
	}
}
