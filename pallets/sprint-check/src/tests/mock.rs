//! A mock runtime of this pallet and `pallet-poc`.

use crate as pallet_sprint_check;
use codec::Encode;
use gonka_pallet_support::testing::{self, GuardianShare, MaxShare, MinPerformance, RecordOffences};
use gonka_primitives::{
	Hash, ModelId, Signature,
	epoch::Schedule,
	hashing::blake2_256,
	traits::{Beacon, ModelRegistry},
};
use gonka_sprint::SprintFormat;
use polkadot_sdk::{
	frame_support::{
		self, derive_impl, parameter_types,
		traits::{ConstU32, ConstU64, Everything, Hooks},
		weights::Weight,
	},
	frame_system, sp_io,
	sp_runtime::{AccountId32, BuildStorage, traits::IdentityLookup},
};

pub use gonka_pallet_support::testing::{Sent, account, host_key, offences, raw, rejected, worker_key};

pub const SCHEDULE: Schedule = Schedule::FAST;
pub const MAX_CLAIMS: u32 = 7;
pub const MAX_GAMES: u32 = 2;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Poc: pallet_poc = 1,
		Check: pallet_sprint_check = 2,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type AccountId = AccountId32;
	type Block = frame_system::mocking::MockBlock<Test>;
	type Lookup = IdentityLookup<AccountId32>;
}

parameter_types! {
	pub const TestSchedule: Schedule = SCHEDULE;
	pub const TestFormat: SprintFormat = SprintFormat::Nano;
	pub Threshold: u64 = pallet_poc::Maturity::<Test>::get();
}

pub struct Random;
impl Beacon for Random {
	fn randomness() -> Hash {
		blake2_256(&[b"test", &System::block_number().to_le_bytes()])
	}
}

pub struct Models;
impl ModelRegistry for Models {
	fn is_registered(_: ModelId) -> bool {
		true
	}
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_poc::BenchmarkHelper for Models {
	fn register_models(count: u32) -> Vec<ModelId> {
		(0..count).collect()
	}
}

impl pallet_poc::Config for Test {
	type Backing = ();
	type Beacon = Random;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Models;
	type GuardianShare = GuardianShare;
	type HasSessionKeys = Everything;
	type HostExpiry = ConstU32<7>;
	type MinWork = ConstU64<1_000>;
	type MinPerformance = MinPerformance;
	type MaturityThreshold = Threshold;
	type MaxCheckers = ConstU32<32>;
	type MaxHosts = ConstU32<32>;
	type MaxShare = MaxShare;
	type MaxValidators = ConstU32<6>;
	type Models = Models;
	type OnOffence = RecordOffences;
	type OnEpochClosed = ();
	type OnEpochStart = ();
	type OnHostRemoved = ();
	type SprintFormat = TestFormat;
	type RegistrationBits = ConstU32<0>;
	type Schedule = TestSchedule;
	type WeighBatch = ConstU32<6>;
	type WeightInfo = pallet_poc::weights::SubstrateWeight<Test>;
}

impl pallet_sprint_check::Config for Test {
	type MaxClaims = ConstU32<MAX_CLAIMS>;
	type MaxGames = ConstU32<MAX_GAMES>;
	type MaxTags = ConstU32<64>;
	type WeightInfo = pallet_sprint_check::weights::SubstrateWeight<Test>;
}

/// A fresh chain with a keystore.
pub fn new_test_ext() -> sp_io::TestExternalities {
	testing::externalities(frame_system::GenesisConfig::<Test>::default().build_storage().unwrap())
}

/// Runs `test` on a fresh chain at block 1 and checks the invariants at its end.
pub fn run(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		go_to(1);
		test();
		Check::do_try_state().unwrap();
	});
}

/// Runs the hooks of all blocks up to `block`.
pub fn go_to(block: u64) {
	while System::block_number() < block {
		let now = System::block_number() + 1;
		System::set_block_number(now);
		Poc::on_initialize(now);
		Check::on_initialize(now);
		Poc::on_idle(now, Weight::MAX);
		Check::on_idle(now, Weight::MAX);
		Check::do_try_state().unwrap();
	}
}

pub fn pass(blocks: u32) {
	go_to(System::block_number() + u64::from(blocks));
}

/// Goes to the block at `offset` of `epoch`.
pub fn go_to_offset(epoch: u32, offset: u32) {
	go_to(u64::from(1 + epoch * SCHEDULE.length + offset));
}

/// The signature of a host's worker.
pub fn sign(name: u8, domain: &[u8], body: &impl Encode) -> Signature {
	testing::sign(&worker_key(name), &Poc::genesis_hash(), domain, body)
}

/// Sends a transaction; see [`testing::submit`]. The invariants hold after it.
pub fn submit(call: impl Into<RuntimeCall>) -> Sent {
	let transaction = testing::submit(call.into())?;
	assert_eq!(transaction.provides.len(), 1);
	Check::do_try_state().unwrap();
	Ok(())
}

/// This pallet's events since the last call.
pub fn events() -> Vec<crate::Event<Test>> {
	let events = System::read_events_for_pallet();
	System::reset_events();
	events
}
