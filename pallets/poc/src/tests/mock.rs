//! A mock runtime of this pallet alone.

use crate as pallet_poc;
use gonka_pallet_support::testing::{self, GuardianShare, MaxShare, MinPerformance, RecordOffences, Sent};
use gonka_primitives::{
	EpochIndex, Hash, ModelId,
	epoch::Schedule,
	hashing::domain,
	host::{Commitment, Registration, SegmentCommitment, required_bits},
	traits::{Backing, Beacon, ModelRegistry, OnEpochClosed},
};
use gonka_sprint::SprintFormat;
use polkadot_sdk::{
	frame_support::{
		self, derive_impl, parameter_types,
		traits::{ConstU32, ConstU64, Contains, Hooks},
		weights::Weight,
	},
	frame_system,
	sp_core::{Pair, sr25519},
	sp_io,
	sp_runtime::{AccountId32, BuildStorage, traits::IdentityLookup},
};
use std::cell::RefCell;

pub use gonka_pallet_support::testing::{account, host_key, offences, rejected, worker_key};

pub const SCHEDULE: Schedule = Schedule::FAST;
pub const BITS: u32 = 4;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Poc: pallet_poc = 1,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type AccountId = AccountId32;
	type Block = frame_system::mocking::MockBlock<Test>;
	type Lookup = IdentityLookup<AccountId32>;
}

parameter_types! {
	pub TestSchedule: Schedule = match NO_CONFIRMATIONS.with_borrow(|none| *none) {
		true => Schedule { confirmations: 0, ..SCHEDULE },
		false => SCHEDULE,
	};
	pub const TestFormat: SprintFormat = SprintFormat::Nano;
	pub Threshold: u64 = pallet_poc::Maturity::<Test>::get();
}

pub struct ParentHash;
impl Beacon for ParentHash {
	fn randomness() -> Hash {
		[frame_system::Pallet::<Test>::block_number() as u8; 32]
	}
}

/// Models 0 to 9 exist.
pub struct TenModels;
impl ModelRegistry for TenModels {
	fn is_registered(model: ModelId) -> bool {
		model < 10
	}
}

thread_local! {
	pub static NO_CONFIRMATIONS: RefCell<bool> = const { RefCell::new(false) };
	pub static KEYLESS: RefCell<Vec<AccountId32>> = const { RefCell::new(Vec::new()) };
	pub static CLOSED: RefCell<Vec<(EpochIndex, u64)>> = const { RefCell::new(Vec::new()) };
}

pub struct Keys;
impl Contains<AccountId32> for Keys {
	fn contains(who: &AccountId32) -> bool {
		KEYLESS.with_borrow(|keyless| !keyless.contains(who))
	}
}

pub struct RecordClosed;
impl OnEpochClosed for RecordClosed {
	fn on_epoch_closed(epoch: EpochIndex, total: u64) {
		CLOSED.with_borrow_mut(|closed| closed.push((epoch, total)));
	}
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_poc::BenchmarkHelper for TenModels {
	fn register_models(count: u32) -> Vec<ModelId> {
		(0..count.min(10)).collect()
	}
}

thread_local! {
	/// The percentage of their weight that counts; 100 for hosts that are not named.
	pub static BACKED: RefCell<Vec<(AccountId32, u64)>> = const { RefCell::new(Vec::new()) };
}

pub struct Percent;
impl Backing<AccountId32> for Percent {
	fn backed(host: &AccountId32, _: EpochIndex, potential: u64) -> u64 {
		let percent =
			|all: &Vec<(AccountId32, u64)>| all.iter().find(|(who, _)| who == host).map(|(_, percent)| *percent);
		potential * BACKED.with_borrow(percent).unwrap_or(100) / 100
	}
}

impl pallet_poc::Config for Test {
	type Backing = Percent;
	type Beacon = ParentHash;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = TenModels;
	type GuardianShare = GuardianShare;
	type HasSessionKeys = Keys;
	type HostExpiry = ConstU32<2>;
	type MinWork = ConstU64<1_000>;
	type MinPerformance = MinPerformance;
	type MaturityThreshold = Threshold;
	type MaxCheckers = ConstU32<8>;
	type MaxHosts = ConstU32<12>;
	type MaxShare = MaxShare;
	type MaxValidators = ConstU32<6>;
	type Models = TenModels;
	type OnEpochClosed = RecordClosed;
	type OnEpochStart = ();
	type OnHostRemoved = ();
	type OnOffence = RecordOffences;
	type SprintFormat = TestFormat;
	type RegistrationBits = ConstU32<BITS>;
	type Schedule = TestSchedule;
	type WeighBatch = ConstU32<2>;
	type WeightInfo = pallet_poc::weights::SubstrateWeight<Test>;
}

/// A fresh chain with a keystore.
pub fn new_test_ext() -> sp_io::TestExternalities {
	testing::externalities(frame_system::GenesisConfig::<Test>::default().build_storage().unwrap())
}

/// Runs `test` on a fresh chain at block 1 and checks the invariants at its end.
pub fn run(test: impl FnOnce()) {
	NO_CONFIRMATIONS.with_borrow_mut(|none| *none = false);
	KEYLESS.with_borrow_mut(Vec::clear);
	CLOSED.with_borrow_mut(Vec::clear);
	BACKED.with_borrow_mut(Vec::clear);
	new_test_ext().execute_with(|| {
		go_to(1);
		test();
		Poc::do_try_state().unwrap();
	});
}

/// Runs the hooks of all blocks up to `block`.
pub fn go_to(block: u64) {
	while System::block_number() < block {
		let now = System::block_number() + 1;
		System::set_block_number(now);
		Poc::on_initialize(now);
		Poc::on_idle(now, Weight::MAX);
		Poc::do_try_state().unwrap();
	}
}

/// Goes to the block at `offset` of `epoch`.
pub fn go_to_offset(epoch: u32, offset: u32) {
	go_to(u64::from(1 + epoch * SCHEDULE.length + offset));
}

/// A registration with the work that it needs now.
pub fn registration(name: u8, epoch: EpochIndex) -> Registration {
	solve(Registration {
		host: host_key(name).public().0,
		worker: worker_key(name).public().0,
		url: b"http://host:1".to_vec(),
		models: vec![0, 3],
		epoch,
		revision: 0,
		work: 0,
	})
}

/// Solves a registration anew, with the work that it needs now.
pub fn solve(registration: Registration) -> Registration {
	let new = Poc::host_view(&registration.host.into(), |_| false).is_none();
	let taken = new.then(|| (crate::Hosts::<Test>::count(), 12));
	let bits = required_bits(BITS, registration.revision, taken);
	Registration { work: 0, ..registration }.solve(&Poc::genesis_hash(), bits)
}

pub fn commitment(name: u8, epoch: EpochIndex, segment: u8, count: u64) -> SegmentCommitment {
	let commitment = Commitment { count, root: [7; 32] };
	SegmentCommitment { host: host_key(name).public().0, epoch, segment, commitment }
}

/// Registers with the consent of the worker key that `registration` names, if it is that of one of the first hosts.
pub fn register(registration: Registration, key: &sr25519::Pair) -> Sent {
	let worker = (1..=20).map(worker_key).find(|worker| worker.public().0 == registration.worker);
	register_by(registration, key, &worker.unwrap())
}

/// Registers with the consent of `worker`.
pub fn register_by(registration: Registration, key: &sr25519::Pair, worker: &sr25519::Pair) -> Sent {
	let signature = testing::sign(key, &Poc::genesis_hash(), domain::REGISTRATION, &registration);
	let worker_signature = testing::sign(worker, &Poc::genesis_hash(), domain::WORKER, &registration.host);
	testing::submit(RuntimeCall::Poc(crate::Call::register { registration, signature, worker_signature })).map(drop)
}

pub fn commit(commitment: SegmentCommitment, key: &sr25519::Pair) -> Sent {
	let signature = testing::sign(key, &Poc::genesis_hash(), domain::COMMITMENT, &commitment);
	testing::submit(RuntimeCall::Poc(crate::Call::commit { commitment, signature })).map(drop)
}

/// Registers hosts 1 to `last`.
pub fn register_hosts(last: u8, epoch: EpochIndex) {
	for name in 1..=last {
		register(registration(name, epoch), &host_key(name)).unwrap();
	}
}

/// Goes to the first block of `epoch` with reveals, in which hosts 1 to `last` meet all duties of the sprint.
pub fn check(epoch: EpochIndex, last: u8) {
	go_to_offset(epoch, SCHEDULE.reveal_start());
	for name in 1..=last {
		let duties = Poc::duties(&Poc::running_epoch().unwrap(), &account(name));
		let sets = duties.iter().map(|duty| duty.sets.len() as u32).sum();
		Poc::note_digests(epoch, &account(name), sets, sets);
	}
}

/// Runs the sprint of `epoch` with these counts per segment for hosts 1, 2, …
pub fn sprint(epoch: EpochIndex, counts: &[u64]) {
	for segment in 0..SCHEDULE.segments {
		go_to_offset(epoch, SCHEDULE.segment_end(segment));
		for (name, count) in (1..).zip(counts).filter(|(_, count)| **count > 0) {
			commit(commitment(name, epoch, segment, *count), &worker_key(name)).unwrap();
		}
	}
}
