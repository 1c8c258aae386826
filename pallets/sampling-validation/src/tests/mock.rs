//! A mock runtime of balances, `pallet-poc`, the market and this pallet.

use crate as pallet_sampling_validation;
use codec::Encode;
use gonka_pallet_support::testing::{self, GuardianShare, MaxShare, MinPerformance, RecordOffences};
use gonka_primitives::{
	Balance, BlockNumber, EpochIndex, GNK, Hash, ModelId, Signature, audit::AuditRules, epoch::Schedule,
	hashing::blake2_256, traits::Beacon,
};
use gonka_sprint::SprintFormat;
use pallet_inference_market::{GenesisModel, Steering};
use polkadot_sdk::{
	frame_support::{
		self, derive_impl, parameter_types,
		traits::{ConstU32, ConstU64, ConstU128, Everything, Hooks},
		weights::Weight,
	},
	frame_system, pallet_balances,
	sp_core::{Pair, sr25519},
	sp_io,
	sp_runtime::{AccountId32, BuildStorage, Perbill, traits::IdentityLookup},
};

pub use gonka_pallet_support::testing::{Sent, account, offences, raw, rejected, worker_key};

/// Without confirmations, to which the hosts here do not commit: their weight stays proven.
pub const SCHEDULE: Schedule = Schedule { confirmations: 0, ..Schedule::FAST };
pub const WINDOW: BlockNumber = 20;
pub const MAX_ASSIGNED: u32 = 40;
pub const MAX_CASES: u32 = 2;
pub const TERM: BlockNumber = 20;
pub const DEPOSIT: Balance = 5 * GNK;
pub const RULES: AuditRules = AuditRules::new(WINDOW, TERM);
/// Models of the genesis: the first two get profiles.
pub const MODELS: ModelId = 3;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Balances: pallet_balances = 1,
		Poc: pallet_poc = 2,
		Market: pallet_inference_market = 3,
		Audits: pallet_sampling_validation = 4,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type AccountData = pallet_balances::AccountData<Balance>;
	type AccountId = AccountId32;
	type Block = frame_system::mocking::MockBlockU32<Test>;
	type Lookup = IdentityLookup<AccountId32>;
}

parameter_types! {
	pub const ExistentialDeposit: Balance = 1;
	pub const MinDeposit: Balance = GNK;
	pub const TestSchedule: Schedule = SCHEDULE;
	pub const TestFormat: SprintFormat = SprintFormat::Nano;
	pub const TestRules: AuditRules = RULES;
	pub Threshold: u64 = pallet_poc::Maturity::<Test>::get();
	pub const TestSteering: Steering =
		Steering { low: Perbill::from_percent(40), high: Perbill::from_percent(60), max_step: Perbill::from_percent(2) };
	/// What seeds differ by from test to test.
	pub static Salt: u64 = 0;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type AccountStore = System;
	type Balance = Balance;
	type ExistentialDeposit = ExistentialDeposit;
}

pub struct Random;
impl Beacon for Random {
	fn randomness() -> Hash {
		blake2_256(&[b"test", &System::block_number().to_le_bytes(), &Salt::get().to_le_bytes()])
	}
}

pub struct Epoch;
impl frame_support::traits::Get<EpochIndex> for Epoch {
	fn get() -> EpochIndex {
		Poc::running_epoch().map_or(0, |epoch| epoch.index)
	}
}

#[cfg(feature = "runtime-benchmarks")]
pub struct Setup;
#[cfg(feature = "runtime-benchmarks")]
impl pallet_poc::BenchmarkHelper for Setup {
	fn register_models(count: u32) -> Vec<ModelId> {
		(0..count.min(MODELS)).collect()
	}
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_inference_market::BenchmarkHelper<AccountId32> for Setup {
	fn register_host(_: &AccountId32, _: gonka_primitives::PublicKey) {}
}

impl pallet_poc::Config for Test {
	type Backing = ();
	type Beacon = Random;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Setup;
	type GuardianShare = GuardianShare;
	type HasSessionKeys = Everything;
	type HostExpiry = ConstU32<1_000>;
	type MinPerformance = MinPerformance;
	type MinWork = ConstU64<1_000_000>;
	type MaturityThreshold = Threshold;
	type MaxCheckers = ConstU32<32>;
	type MaxHosts = ConstU32<64>;
	type MaxShare = MaxShare;
	type MaxValidators = ConstU32<6>;
	type Models = Market;
	type OnEpochClosed = ();
	type OnEpochStart = ();
	type OnHostRemoved = (Market, Audits);
	type OnOffence = RecordOffences;
	type SprintFormat = TestFormat;
	type RegistrationBits = ConstU32<0>;
	type Schedule = TestSchedule;
	type WeighBatch = ConstU32<16>;
	type WeightInfo = pallet_poc::weights::SubstrateWeight<Test>;
}

impl pallet_inference_market::Config for Test {
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Setup;
	type ChallengePeriod = ConstU32<40>;
	type Currency = Balances;
	type Epoch = Epoch;
	type FreeEpochs = ConstU32<0>;
	type Genesis = pallet_poc::GenesisHash<Test>;
	type Hosts = Poc;
	type KeptSettlements = ConstU32<8>;
	type MaxChannelsPerCall = ConstU32<4>;
	type MaxHold = ConstU32<8>;
	type MaxModels = ConstU32<20>;
	type MaxReleases = ConstU32<64>;
	type MaxVouchers = ConstU32<8>;
	type MinDeposit = MinDeposit;
	type MinHold = ConstU32<2>;
	type OnServed = Poc;
	type OnSettlement = Audits;
	type RegisterOrigin = frame_system::EnsureRoot<AccountId32>;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Steering = TestSteering;
	type FeeDecisions = Audits;
	type TransactionFee = ();
	type WeightInfo = pallet_inference_market::weights::SubstrateWeight<Test>;
	type WindowLength = ConstU32<WINDOW>;
}

impl pallet_sampling_validation::Config for Test {
	type AppealDeposit = ConstU128<DEPOSIT>;
	type CloseBatch = ConstU32<4>;
	type KeptWindows = ConstU32<8>;
	type MaxAssigned = ConstU32<MAX_ASSIGNED>;
	type MaxBatches = ConstU32<4>;
	type MaxCases = ConstU32<MAX_CASES>;
	type MaxLookups = ConstU32<100>;
	type AuditRules = TestRules;
	type TableBatch = ConstU32<4>;
	type WeightInfo = pallet_sampling_validation::weights::SubstrateWeight<Test>;
}

fn genesis_model(index: ModelId) -> GenesisModel {
	GenesisModel {
		name: format!("model-{index}"),
		weights_hash: [1; 32].into(),
		tokenizer_hash: [2; 32].into(),
		quantisation: "F16".into(),
		context_length: 4_096,
		input_price: 1,
		output_price: 1,
		memory_mb: 1,
		min_worker_version: 1,
		capacity: 0,
		min_input_price: 1,
		min_output_price: 1,
		max_input_price: u64::MAX.into(),
		max_output_price: u64::MAX.into(),
	}
}

/// The models.
pub fn genesis_market() -> pallet_inference_market::GenesisConfig<Test> {
	pallet_inference_market::GenesisConfig { models: (0..MODELS).map(genesis_model).collect(), ..Default::default() }
}

/// A fresh chain with a keystore, models and a rich developer.
pub fn new_test_ext() -> sp_io::TestExternalities {
	let genesis = RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig {
			balances: vec![(developer(), 1_000_000 * GNK)],
			..Default::default()
		},
		market: genesis_market(),
		..Default::default()
	};
	testing::externalities(genesis.build_storage().unwrap())
}

/// Runs `test` on a fresh chain at block 1 and checks the invariants at its end.
pub fn run(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		go_to(1);
		test();
		Audits::do_try_state().unwrap();
	});
}

/// Runs the hooks of all blocks up to `block`.
pub fn go_to(block: BlockNumber) {
	while System::block_number() < block {
		let now = System::block_number() + 1;
		System::set_block_number(now);
		Poc::on_initialize(now);
		Market::on_initialize(now);
		Audits::on_initialize(now);
		Poc::on_idle(now, Weight::MAX);
		Market::on_idle(now, Weight::MAX);
		Audits::on_idle(now, Weight::MAX);
		Audits::do_try_state().unwrap();
	}
}

pub fn pass(blocks: BlockNumber) {
	go_to(System::block_number() + blocks);
}

/// The running window.
pub fn window() -> u32 {
	System::block_number() / WINDOW
}

/// Goes to the block at `offset` of the next window.
pub fn next_window(offset: BlockNumber) {
	go_to((window() + 1) * WINDOW + offset);
}

pub fn gateway_key() -> sr25519::Pair {
	sr25519::Pair::from_seed(b"the gateway of the one developer")
}

pub fn developer() -> AccountId32 {
	sr25519::Pair::from_seed(b"the developer of all the answers").public().into()
}

pub fn sign_with(key: &sr25519::Pair, domain: &[u8], body: &impl Encode) -> Signature {
	testing::sign(key, &Poc::genesis_hash(), domain, body)
}

/// The signature of a host's worker.
pub fn sign(name: u8, domain: &[u8], body: &impl Encode) -> Signature {
	sign_with(&worker_key(name), domain, body)
}

/// Sends a transaction; see [`testing::submit`]. The invariants hold after it.
pub fn submit(call: impl Into<RuntimeCall>) -> Sent {
	testing::submit(call.into())?;
	Audits::do_try_state().unwrap();
	Ok(())
}

/// This pallet's events since the last call.
pub fn events() -> Vec<crate::Event<Test>> {
	let events = System::read_events_for_pallet();
	System::reset_events();
	events
}
