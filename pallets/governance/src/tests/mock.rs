//! A chain with real referenda, preimages and scheduler; hosts' weights are set by the tests.

use crate::{self as pallet_governance, Ballot, EnsureTrack, Origin, Tally, Votes};
use gonka_primitives::{Balance, EpochIndex, traits::EffectiveWeights};
use polkadot_sdk::*;
use std::{borrow::Cow, collections::BTreeMap};

use frame_support::{
	assert_ok, derive_impl, parameter_types,
	traits::{
		ConstU32, ConstU64, ConstU128, EqualPrivilegeOnly, Hooks, OriginTrait, StorePreimage, schedule::DispatchTime,
	},
	weights::Weight,
};
use frame_system::{EnsureRoot, EnsureSigned};
use pallet_conviction_voting::{AccountVote, Conviction, Vote};
use pallet_referenda::{Curve, Track, TrackInfo};
use sp_runtime::{BuildStorage, Perbill, str_array};

pub type AccountId = u64;

pub const MAX_VOTES: u32 = 4;
pub const MAX_DELEGATORS: u32 = 3;
/// The account that pays deposits.
pub const PROPOSER: AccountId = 100;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Balances: pallet_balances = 1,
		Preimage: pallet_preimage = 2,
		ConvictionVoting: pallet_governance = 3,
		Scheduler: pallet_scheduler = 4,
		Referenda: pallet_referenda = 5,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
	type AccountData = pallet_balances::AccountData<Balance>;
}

parameter_types! {
	pub const ExistentialDeposit: Balance = 1;
	pub MaxWeight: Weight = Weight::MAX;
	pub const Emergency: Origin = Origin::Emergency;
	pub PollCount: u32 = pallet_referenda::ReferendumCount::<Test>::get();
	/// Effective weights by epoch and host, as the source of power keeps them.
	pub static Powers: BTreeMap<EpochIndex, BTreeMap<AccountId, u64>> = BTreeMap::new();
	pub static Last: Option<EpochIndex> = None;
	/// Delay and last finalised block of the stall that was ended.
	pub static Ended: Option<(u64, u64)> = None;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = Balance;
	type ExistentialDeposit = ExistentialDeposit;
	type AccountStore = System;
}

impl pallet_preimage::Config for Test {
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
	type Currency = Balances;
	type ManagerOrigin = EnsureRoot<AccountId>;
	type Consideration = ();
}

impl pallet_scheduler::Config for Test {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeOrigin = RuntimeOrigin;
	type PalletsOrigin = OriginCaller;
	type RuntimeCall = RuntimeCall;
	type MaximumWeight = MaxWeight;
	type ScheduleOrigin = EnsureRoot<AccountId>;
	type MaxScheduledPerBlock = ConstU32<100>;
	type WeightInfo = ();
	type OriginPrivilegeCmp = EqualPrivilegeOnly;
	type Preimages = Preimage;
	type BlockNumberProvider = System;
}

pub struct Tracks;
impl pallet_referenda::TracksInfo<Balance, u64> for Tracks {
	type Id = u16;
	type RuntimeOrigin = <RuntimeOrigin as OriginTrait>::PalletsOrigin;

	fn tracks() -> impl Iterator<Item = Cow<'static, Track<u16, Balance, u64>>> {
		let info = TrackInfo {
			name: str_array("root"),
			max_deciding: 10,
			decision_deposit: 10,
			prepare_period: 2,
			decision_period: 20,
			confirm_period: 4,
			min_enactment_period: 2,
			min_approval: Curve::LinearDecreasing {
				length: Perbill::one(),
				floor: Perbill::from_percent(50),
				ceil: Perbill::from_percent(50),
			},
			min_support: Curve::LinearDecreasing {
				length: Perbill::one(),
				floor: Perbill::from_percent(30),
				ceil: Perbill::from_percent(30),
			},
		};
		let emergency = TrackInfo { name: str_array("emergency"), ..info.clone() };
		[Track { id: 0, info }, Track { id: 1, info: emergency }].into_iter().map(Cow::Owned)
	}

	fn track_for(origin: &Self::RuntimeOrigin) -> Result<u16, ()> {
		match origin {
			OriginCaller::system(frame_system::RawOrigin::Root) => Ok(0),
			OriginCaller::ConvictionVoting(Origin::Emergency) => Ok(1),
			_ => Err(()),
		}
	}
}

impl pallet_referenda::Config for Test {
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ();
	type Scheduler = Scheduler;
	type Currency = Balances;
	type SubmitOrigin = frame_support::traits::AsEnsureOriginWithArg<EnsureSigned<AccountId>>;
	type CancelOrigin = EnsureRoot<AccountId>;
	type KillOrigin = EnsureRoot<AccountId>;
	type Slash = ();
	type Votes = Votes;
	type Tally = Tally<Test>;
	type SubmissionDeposit = ConstU128<2>;
	type MaxQueued = ConstU32<10>;
	type UndecidingTimeout = ConstU64<60>;
	type AlarmInterval = ConstU64<1>;
	type Tracks = Tracks;
	type Preimages = Preimage;
	type BlockNumberProvider = System;
}

/// Keeps the weights of an epoch for two epochs after, as pallet-poc does.
pub struct Power;
impl EffectiveWeights<AccountId> for Power {
	fn last_weighed() -> Option<(EpochIndex, u64)> {
		Last::get().map(|epoch| (epoch, Powers::get().get(&epoch).into_iter().flat_map(BTreeMap::values).sum()))
	}

	fn weight(epoch: EpochIndex, host: &AccountId) -> u64 {
		Powers::get().get(&epoch).and_then(|hosts| hosts.get(host).copied()).unwrap_or(0)
	}

	fn page(epoch: EpochIndex, after: Option<&AccountId>, limit: u32) -> Vec<(AccountId, u64)> {
		let powers = Powers::get();
		let hosts = powers.get(&epoch).into_iter().flatten();
		let rest = hosts.filter(|(host, _)| after.is_none_or(|after| *host > after));
		rest.take(limit as usize).map(|(host, weight)| (*host, *weight)).collect()
	}
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_governance::BenchmarkHelper<AccountId> for Power {
	fn weigh(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
		weigh(epoch, hosts);
	}
}

/// Remembers the stall that was ended.
pub struct Stall;
impl pallet_governance::Finality<u64> for Stall {
	fn end_stall(delay: u64, finalized: u64) -> sp_runtime::DispatchResult {
		Ended::set(Some((delay, finalized)));
		Ok(())
	}
}

impl pallet_governance::Config for Test {
	type Polls = Referenda;
	type PollCount = PollCount;
	type Electorate = Power;
	type EmergencyOrigin = EnsureTrack<Emergency>;
	type Finality = Stall;
	type MaxStallDelay = ConstU64<100>;
	type MaxVotes = ConstU32<MAX_VOTES>;
	type MaxDelegators = ConstU32<MAX_DELEGATORS>;
	type VoteLockingPeriod = ConstU64<0>;
	type CopyBatch = ConstU32<2>;
	type WeightInfo = pallet_governance::weights::SubstrateWeight<Test>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Power;
}

pub fn new_test_ext() -> sp_io::TestExternalities {
	Powers::set(BTreeMap::new());
	Last::set(None);
	let balances = pallet_balances::GenesisConfig { balances: vec![(PROPOSER, 1_000_000)], ..Default::default() };
	let storage = RuntimeGenesisConfig { balances, ..Default::default() }.build_storage().unwrap();
	let mut chain = sp_io::TestExternalities::new(storage);
	chain.execute_with(|| System::set_block_number(1));
	chain
}

/// Runs `test` from genesis and checks the invariants after it.
pub fn run<R>(test: impl FnOnce() -> R) -> R {
	new_test_ext().execute_with(|| {
		let result = test();
		ConvictionVoting::do_try_state().unwrap();
		result
	})
}

/// Weighs an epoch with these weights and forgets the epochs that pallet-poc would have forgotten.
pub fn weigh(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
	Powers::mutate(|powers| {
		powers.insert(epoch, hosts.iter().copied().collect());
		powers.retain(|other, _| *other + 2 >= epoch);
	});
	Last::set(Some(epoch));
}

/// Runs the hooks of `count` blocks.
pub fn blocks(count: u64) {
	for _ in 0..count {
		let now = System::block_number() + 1;
		System::set_block_number(now);
		ConvictionVoting::on_initialize(now);
		Scheduler::on_initialize(now);
		ConvictionVoting::on_idle(now, Weight::MAX);
		ConvictionVoting::do_try_state().unwrap();
	}
}

/// A referendum on a remark, without a decision deposit.
pub fn submit(origin: OriginCaller) -> u32 {
	let index = pallet_referenda::ReferendumCount::<Test>::get();
	let call = RuntimeCall::System(frame_system::Call::remark { remark: vec![index as u8] });
	propose(origin, call)
}

pub fn propose(origin: OriginCaller, call: RuntimeCall) -> u32 {
	let index = pallet_referenda::ReferendumCount::<Test>::get();
	let call = Preimage::bound(call).unwrap();
	assert_ok!(Referenda::submit(by(PROPOSER), Box::new(origin), call, DispatchTime::After(0)));
	index
}

pub fn root() -> OriginCaller {
	frame_system::RawOrigin::Root.into()
}

pub fn emergency() -> OriginCaller {
	Origin::Emergency.into()
}

pub fn by(who: AccountId) -> RuntimeOrigin {
	RuntimeOrigin::signed(who)
}

pub fn aye() -> Ballot {
	standard(true, Conviction::None, 0)
}

pub fn nay() -> Ballot {
	standard(false, Conviction::None, 0)
}

pub fn standard(aye: bool, conviction: Conviction, balance: Balance) -> Ballot {
	AccountVote::Standard { vote: Vote { aye, conviction }, balance }
}

/// Ayes, nays and support of an open referendum.
pub fn tally(index: u32) -> (Votes, Votes, Votes) {
	let tally = Referenda::ensure_ongoing(index).unwrap().tally;
	(tally.ayes, tally.nays, tally.support)
}

pub fn delegate(who: AccountId, class: u16, to: AccountId) -> sp_runtime::DispatchResult {
	ConvictionVoting::delegate(by(who), class, to, Conviction::Locked6x, 1_000_000)
}
