//! A chain of this pallet and `pallet-poc`. Transactions go through the extension that authorises them, as in a real
//! runtime.

use crate::{self as pallet_sprint_check, Refusal};
use codec::Encode;
use gonka_primitives::{
	EpochIndex, Hash, ModelId, Signature,
	check::Offence,
	epoch::Schedule,
	hashing::{blake2_256, signing_payload},
	traits::{Beacon, ModelRegistry, OnOffence},
};
use gonka_sprint::Profile;
use polkadot_sdk::{
	frame_support::{
		self, derive_impl,
		pallet_prelude::{InvalidTransaction, TransactionSource, TransactionValidityError},
		parameter_types,
		traits::{Authorize, ConstU32, ConstU64, Everything, Hooks, UnfilteredDispatchable},
		weights::Weight,
	},
	frame_system,
	sp_core::{Pair, sr25519},
	sp_io,
	sp_keystore::{KeystoreExt, testing::MemoryKeystore},
	sp_runtime::{AccountId32, BuildStorage, Perbill, StateVersion, traits::IdentityLookup},
};
use std::cell::RefCell;

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
	pub const TestProfile: Profile = Profile::Nano;
	pub const MaxShare: Perbill = Perbill::from_percent(30);
	pub const GuardianShare: Perbill = Perbill::from_percent(34);
	pub const LeastPerformance: Perbill = Perbill::from_percent(95);
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

thread_local! {
	pub static OFFENCES: RefCell<Vec<(AccountId32, EpochIndex, Offence)>> = const { RefCell::new(Vec::new()) };
}

pub struct Record;
impl OnOffence<AccountId32> for Record {
	fn on_offence(host: &AccountId32, epoch: EpochIndex, offence: Offence) {
		OFFENCES.with_borrow_mut(|offences| offences.push((host.clone(), epoch, offence)));
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
	type LeastWork = ConstU64<1_000>;
	type LeastPerformance = LeastPerformance;
	type MaturityThreshold = Threshold;
	type MaxCheckers = ConstU32<32>;
	type MaxHosts = ConstU32<32>;
	type MaxShare = MaxShare;
	type MaxValidators = ConstU32<6>;
	type Models = Models;
	type OnOffence = Record;
	type OnEpochClosed = ();
	type OnEpochStart = ();
	type Profile = TestProfile;
	type RegistrationBits = ConstU32<0>;
	type Schedule = TestSchedule;
	type SettleBatch = ConstU32<6>;
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
	let storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
	let mut chain = sp_io::TestExternalities::new(storage);
	chain.register_extension(KeystoreExt::new(MemoryKeystore::new()));
	chain
}

/// Runs `test` on a fresh chain at block 1 and checks the invariants at its end.
pub fn run(test: impl FnOnce()) {
	OFFENCES.with_borrow_mut(Vec::clear);
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

pub fn host_key(name: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[name; 32])
}

pub fn worker_key(name: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[name; 32].map(|byte| byte ^ 0x80))
}

pub fn raw(name: u8) -> [u8; 32] {
	host_key(name).public().0
}

pub fn account(name: u8) -> AccountId32 {
	AccountId32::new(raw(name))
}

/// The signature of a host's worker.
pub fn sign(name: u8, domain: &[u8], body: &impl Encode) -> Signature {
	worker_key(name).sign(&signing_payload(domain, &Poc::genesis_hash(), body)).0
}

pub type Sent = Result<(), TransactionValidityError>;

pub fn refused(refusal: Refusal) -> Sent {
	Err(InvalidTransaction::Custom(refusal as u8).into())
}

/// What the pool and the block do: authorise, then dispatch. What is refused changes nothing, what is authorised
/// succeeds, and the invariants hold after it.
pub fn submit(call: impl Into<RuntimeCall>) -> Sent {
	let call = call.into();
	let root = sp_io::storage::root(StateVersion::V1);
	let verdict = call.authorize(TransactionSource::External).unwrap();
	assert_eq!(sp_io::storage::root(StateVersion::V1), root, "the pool changes nothing");
	let (valid, _) = verdict?;
	assert!(valid.longevity > 0 && valid.provides.len() == 1);
	call.dispatch_bypass_filter(frame_system::RawOrigin::Authorized.into()).unwrap();
	Check::do_try_state().unwrap();
	Ok(())
}

/// What this pallet's events since the last call say.
pub fn events() -> Vec<crate::Event<Test>> {
	let events = System::read_events_for_pallet();
	System::reset_events();
	events
}

pub fn offences() -> Vec<(AccountId32, EpochIndex, Offence)> {
	OFFENCES.with_borrow(Clone::clone)
}
