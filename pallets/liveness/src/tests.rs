//! Tests of the rules on a mock runtime of this pallet alone.

use crate::{
	self as pallet_liveness, Change, Error, Event, Finality, LastChange, NextSeats, Outlook, Plan, Starts, Validators,
	Voters,
	math::{self, ABSENT_AFTER, MAX_SEATS},
};
use codec::{Decode, Encode};
use gonka_primitives::BlockNumber;
use polkadot_sdk::{
	frame_support::{
		self, ConsensusEngineId, assert_noop, assert_ok, derive_impl, parameter_types,
		traits::{ConstU32, FindAuthor, Hooks},
	},
	frame_system::{self, RawOrigin},
	sp_io,
	sp_runtime::{BuildStorage, Digest, DigestItem},
};
use proptest::prelude::*;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Liveness: pallet_liveness = 1,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
}

const ENGINE: ConsensusEngineId = *b"test";

/// The digest names the seat.
pub struct Seat;
impl FindAuthor<u32> for Seat {
	fn find_author<'a, I>(digests: I) -> Option<u32>
	where
		I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
	{
		let (_, mut seat) = digests.into_iter().find(|(engine, _)| *engine == ENGINE)?;
		u32::decode(&mut seat).ok()
	}
}

parameter_types! {
	pub static Weighed: u32 = 0;
	pub static Draws: u8 = 0;
}

impl pallet_liveness::Config for Test {
	type FindSeat = Seat;
	type LongStallSessions = ConstU32<4>;
	type MaxValidators = ConstU32<300>;
	type StallSessions = ConstU32<2>;
	type Weighings = Weighed;
	type WeightInfo = ();
}

impl pallet_liveness::WeightInfo for () {
	fn note_block() -> frame_support::weights::Weight {
		Default::default()
	}
	fn note_finalized() -> frame_support::weights::Weight {
		Default::default()
	}
	fn change_session(_: u32) -> frame_support::weights::Weight {
		Default::default()
	}
}

pub fn new_test_ext() -> sp_io::TestExternalities {
	frame_system::GenesisConfig::<Test>::default().build_storage().unwrap().into()
}

/// Runs `test` in the first session of validators 0, 1, 2 … with this power, and checks the invariants at its end.
fn run(power: &[u64], test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		Weighed::set(0);
		Liveness::deal(list(power), &[0; 32]);
		Liveness::start_session(accounts(power), 1);
		Liveness::note_first_voters(list(power));
		test();
		Liveness::do_try_state().unwrap();
	});
}

fn list(power: &[u64]) -> Vec<(u64, u64)> {
	(0..).zip(power.iter().copied()).collect()
}

fn accounts(power: &[u64]) -> Vec<u64> {
	(0..power.len() as u64).collect()
}

/// A block that `author` writes, stating the final block that it knows.
fn block(author: usize, finalized: Option<BlockNumber>) {
	let seat = Liveness::first_seat(author).unwrap();
	write(seat);
	if let Some(number) = finalized {
		assert_ok!(Liveness::note_finalized(RawOrigin::None.into(), number));
	}
}

fn write(seat: u32) {
	let number = System::block_number() + 1;
	let digest = Digest { logs: vec![DigestItem::PreRuntime(ENGINE, seat.encode())] };
	System::initialize(&number, &Default::default(), &digest);
	Liveness::on_initialize(number);
}

/// Changes the session in a block of its own; the validators and their power stay.
fn change_session(power: &[u64]) {
	System::set_block_number(System::block_number() + 1);
	Draws::mutate(|draws| *draws = draws.wrapping_add(1));
	Liveness::end_session();
	Liveness::start_session(accounts(power), System::block_number() as BlockNumber);
	Liveness::deal(list(power), &[Draws::get(); 32]);
}

fn absent() -> Vec<u64> {
	Validators::<Test>::get().iter().filter(|validator| validator.absent.is_some()).map(|one| one.account).collect()
}

#[test]
fn seats_are_dealt_in_proportion_to_power() {
	run(&[250_000, 250_000, 500_000], || {
		assert_eq!(*NextSeats::<Test>::get(), [3, 3, 6]);
		assert_eq!([0, 1, 2, 3].map(Liveness::first_seat), [Some(0), Some(3), Some(6), None]);
	});
	run(&[5], || assert_eq!(*NextSeats::<Test>::get(), [1], "a single validator has one seat"));
}

#[test]
fn light_validators_have_a_seat_in_some_sessions() {
	let power: Vec<u64> = std::iter::once(900_000).chain(vec![1_000; 100]).collect();
	run(&power, || {
		let mut held = vec![0u32; power.len()];
		for session in 0..100u8 {
			let dealt = Liveness::deal(list(&power), &[session; 32]);
			assert_eq!(dealt.iter().sum::<u16>(), MAX_SEATS);
			assert!((269..=271).contains(&dealt[0]), "its share is 270 seats: {}", dealt[0]);
			held.iter_mut().zip(dealt).for_each(|(sum, seats)| *sum += u32::from(seats > 0));
		}
		// A light validator's share is 0.3 seats.
		assert!(held[1..].iter().all(|sessions| (12..=48).contains(sessions)), "{held:?}");
	});
}

#[test]
fn a_block_names_the_first_seat_of_its_author() {
	run(&[1, 1], || {
		block(1, None);
		assert_eq!(Validators::<Test>::get().iter().map(|one| one.blocks).collect::<Vec<_>>(), [0, 1]);
	});
	let second = std::panic::catch_unwind(|| run(&[1, 1], || write(5)));
	assert!(second.is_err(), "a report of two blocks that name different seats would be rejected");
}

#[test]
fn each_block_counts_for_its_author() {
	run(&[1, 1, 2], || {
		for author in [0, 0, 0, 2, 2, 2, 2, 2] {
			block(author, None);
		}
		assert_eq!(Liveness::end_session(), [(0, 3), (1, 0), (2, 5)]);
		assert_eq!(math::expected(1, 4, 8), 2_000);
		assert_eq!(math::expected(1, 0, 8), 0);
	});
}

#[test]
fn ten_expected_blocks_without_one_make_a_validator_absent_over_sessions() {
	let power = [100_000, 900_000];
	run(&power, || {
		let missed = || Validators::<Test>::get()[0].missed;
		while missed() < ABSENT_AFTER {
			assert!(absent().is_empty());
			(0..60).for_each(|_| block(1, None));
			change_session(&power);
		}
		assert_eq!(absent(), [0]);
		assert!(Starts::<Test>::get().len() > 2, "it took more than one session");
		System::assert_has_event(Event::Absent { validator: 0 }.into());
		let mut reduced = list(&power);
		Liveness::reduce(&mut reduced);
		assert_eq!(reduced, [(0, 10_000), (1, 900_000)], "a tenth");
		while Liveness::first_seat(0).is_none() {
			change_session(&power);
		}
		block(0, None);
		assert!(absent().is_empty());
		System::assert_has_event(Event::Returned { validator: 0 }.into());
	});
}

#[test]
fn statements_stay_below_the_block_and_never_fall() {
	run(&[1], || {
		block(0, Some(99));
		let stated = || Validators::<Test>::get()[0].finalized;
		assert_eq!(stated(), 0, "block 1 cannot know a later final block");
		block(0, Some(1));
		block(0, Some(0));
		assert_eq!(stated(), 1);
		assert_noop!(Liveness::note_finalized(RawOrigin::None.into(), 2), Error::<Test>::AlreadyStated);
		assert!(Liveness::note_finalized(RawOrigin::Signed(0).into(), 2).is_err());
	});
}

/// Six validators write blocks for some sessions. Those from `lost` on write none.
fn sessions(count: u32, lost: usize, finalized: impl Fn(usize, BlockNumber) -> BlockNumber) {
	for _ in 0..count {
		for turn in 0..60 {
			let author = turn % lost;
			block(author, Some(finalized(author, System::block_number() as BlockNumber)));
		}
		change_session(&SIX);
	}
}

const SIX: [u64; 6] = [100_000; 6];

/// Lets finality work for two sessions, in which a change is announced.
fn announced() -> Change {
	sessions(2, 6, |_, now| now.saturating_sub(3));
	assert_eq!(Liveness::plan(true), Plan::Announce);
	let change = Change { at: 122, forced: false };
	Liveness::note_change(change, list(&SIX), Liveness::drops_change());
	change
}

#[test]
fn finality_that_stands_still_for_two_sessions_is_forced_by_more_than_half() {
	run(&SIX, || {
		announced();
		sessions(1, 4, |_, _| 125);
		assert_eq!(Finality::<Test>::get(), Some(Outlook { low: 125, high: 125, lag: 0 }));
		sessions(1, 4, |_, _| 125);
		assert_eq!(Liveness::plan(true), Plan::Keep, "a change is not announced while finality lags");
		sessions(1, 4, |_, _| 125);
		assert_eq!(Liveness::plan(true), Plan::Force(125));
		assert!(!Liveness::drops_change());
		Liveness::mark_missing();
		assert_eq!(absent(), [4, 5]);
		Liveness::note_change(Change { at: 310, forced: true }, list(&SIX), false);
		System::assert_has_event(Event::FinalityForced { at: 310, finalized: 125 }.into());
		assert_eq!(Liveness::plan(true), Plan::Keep, "only once for a stall");
		// They return with a block once an epoch has been weighed.
		let change_until = |account| {
			while Liveness::first_seat(account).is_none() {
				change_session(&SIX);
			}
		};
		change_until(5);
		block(5, None);
		assert_eq!(absent(), [4, 5]);
		Weighed::set(1);
		change_until(5);
		block(5, None);
		assert_eq!(absent(), [4]);
	});
}

#[test]
fn half_of_the_power_or_less_waits_for_a_long_stall() {
	run(&SIX, || {
		announced();
		sessions(3, 3, |_, _| 125);
		assert_eq!(Liveness::plan(true), Plan::Keep, "the other half of a divided network might go on, too");
		sessions(2, 3, |_, _| 125);
		assert_eq!(Liveness::plan(true), Plan::Force(125), "the stall is a long one");
	});
}

#[test]
fn statements_of_a_third_neither_feign_a_stall_nor_hide_one() {
	run(&SIX, || {
		announced();
		// Two of six lie about finality that works.
		sessions(4, 6, |author, now| if author < 2 { 125 } else { now - 3 });
		assert_ne!(Liveness::plan(true), Plan::Force(125));
	});
	run(&SIX, || {
		announced();
		// One of four that are there claims that finality works.
		sessions(4, 4, |author, now| if author == 0 { now - 1 } else { 125 });
		assert_eq!(Liveness::plan(true), Plan::Force(125));
	});
}

#[test]
fn a_change_that_is_not_final_is_dropped_by_all_or_by_none() {
	run(&SIX, || {
		announced();
		sessions(4, 4, |_, _| 119);
		assert!(Liveness::drops_change());
		assert_eq!(Liveness::plan(true), Plan::Force(119));
		Liveness::note_change(Change { at: 400, forced: true }, list(&[1; 6]), true);
		assert_eq!((Voters::<Test>::get()[0], LastChange::<Test>::get().at), ((0, 1), 400));
	});
	run(&SIX, || {
		announced();
		// Half of them know of its finality.
		sessions(4, 4, |author, _| if author < 2 { 119 } else { 130 });
		assert_eq!(Liveness::plan(true), Plan::Keep, "nodes would count different numbers of sets");
	});
}

#[test]
fn without_statements_changes_are_announced() {
	run(&SIX, || {
		(0..60).for_each(|turn| block(turn % 6, None));
		change_session(&SIX);
		assert_eq!(
			(Finality::<Test>::get(), Liveness::plan(true), Liveness::plan(false)),
			(None, Plan::Announce, Plan::Keep)
		);
	});
}

#[test]
fn validators_go_on_when_no_others_are_known() {
	run(&SIX, || {
		let before = Validators::<Test>::get();
		Liveness::deal(Vec::new(), &[1; 32]);
		Liveness::end_session();
		Liveness::start_session(Vec::new(), 9);
		assert_eq!(Validators::<Test>::get(), before);
	});
}

proptest! {
	#[test]
	fn every_seat_is_dealt_and_shares_are_exact_but_for_rounding(
		power in prop::collection::vec(1u64..1_000_000, 1..300), shift: u32,
	) {
		let seats = math::seats(power.len());
		let dealt = math::deal(&power, shift, seats);
		let total: u64 = power.iter().sum();
		prop_assert_eq!(dealt.iter().sum::<u16>(), seats);
		for (dealt, power) in dealt.iter().zip(&power) {
			prop_assert!((u64::from(*dealt) * total).abs_diff(power * u64::from(seats)) < total);
		}
	}

	#[test]
	fn many_identities_have_the_seats_of_one(parts in 1usize..250, others in prop::collection::vec(1u64..100_000, 1..49)) {
		// The mean over evenly spread shifts.
		let mean = |identities: usize| {
			let mut power = vec![200_000 / identities as u64; identities];
			power.extend(&others);
			let own = |step: u32| math::deal(&power, step << 22, MAX_SEATS)[..identities].iter().sum::<u16>();
			(0..1_024).map(|step| f64::from(own(step))).sum::<f64>() / 1_024.0
		};
		let (one, many) = (mean(1), mean(parts));
		prop_assert!((one - many).abs() < 0.5, "{} seats for one, {} for {}", one, many, parts);
	}
}

#[test]
fn two_thirds_and_a_third_are_counted_by_weight() {
	let statements = vec![(10, 1), (30, 1), (20, 1)];
	assert_eq!(math::reached(statements), Some((20, 20)));
	assert_eq!(math::reached(vec![(10, 4), (30, 1), (20, 1)]), Some((10, 10)));
	assert_eq!(math::reached(vec![]), None);
	assert_eq!(math::reached(vec![(1, 0)]), None);
}
