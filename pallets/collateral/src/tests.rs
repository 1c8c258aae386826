//! A runtime of balances and collateral.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::{
	self as pallet_collateral, CollateralLedger, Equivocators, Error, Ledgers, MAX_WAIT, ReportError, Sessions,
	SlashShare,
	types::{MAX_UNBONDING, equivocation_share, further_share},
};
use frame_support::{
	assert_noop, assert_ok, derive_impl, parameter_types,
	traits::fungible::{Inspect, InspectHold},
};
use gonka_primitives::{
	Balance, EpochIndex,
	check::Offence,
	traits::{Backing, OnOffence, UnvestedPay},
};
use polkadot_sdk::*;
use proptest::prelude::*;
use sp_runtime::{BuildStorage, Perbill};
use std::collections::BTreeMap;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Balances: pallet_balances = 1,
		Collateral: pallet_collateral = 2,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
	type AccountData = pallet_balances::AccountData<Balance>;
}

parameter_types! {
	pub const ExistentialDeposit: Balance = 10;
	pub static Epoch: EpochIndex = 200;
	pub const GracePeriod: EpochIndex = 180;
	pub const BaseShare: Perbill = Perbill::from_percent(20);
	pub const PerWeight: Balance = 3;
	pub const Floor: Perbill = Perbill::from_percent(5);
	/// Unvested pay by host.
	pub static Pay: BTreeMap<u64, Balance> = BTreeMap::new();
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type Balance = Balance;
	type ExistentialDeposit = ExistentialDeposit;
	type AccountStore = System;
}

pub struct Shares;
impl SlashShare for Shares {
	fn of(offence: Offence) -> Perbill {
		match offence {
			Offence::Fabrication | Offence::FalseAccusation => Perbill::from_percent(20),
			_ => Perbill::from_percent(10),
		}
	}

	fn of_pay(offence: Offence) -> Perbill {
		match offence {
			Offence::Fabrication | Offence::FalseAccusation => Perbill::one(),
			Offence::MissedDuties => Perbill::zero(),
			_ => Perbill::from_percent(10),
		}
	}
}

pub struct TestPay;
impl UnvestedPay<u64> for TestPay {
	fn unvested(host: &u64) -> Balance {
		Pay::get().get(host).copied().unwrap_or(0)
	}

	fn burn(host: &u64, amount: Balance) -> Balance {
		Pay::mutate(|pay| *pay.entry(*host).or_default() -= amount);
		amount
	}
}

impl pallet_collateral::Config for Test {
	type BaseShare = BaseShare;
	type Currency = Balances;
	type Epoch = Epoch;
	type GracePeriod = GracePeriod;
	type MaxValidators = frame_support::traits::ConstU32<10>;
	type MinEquivocationSlash = Floor;
	type PerWeight = PerWeight;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SlashShare = Shares;
	type UnvestedPay = TestPay;
	type WeightInfo = pallet_collateral::weights::SubstrateWeight<Test>;
}

pub fn new_test_ext() -> sp_io::TestExternalities {
	let balances = (1..=3).map(|host| (host, 1_000)).collect();
	let balances = pallet_balances::GenesisConfig { balances, ..Default::default() };
	let storage = RuntimeGenesisConfig { balances, ..Default::default() }.build_storage().unwrap();
	let mut chain = sp_io::TestExternalities::new(storage);
	chain.execute_with(|| System::set_block_number(1));
	chain
}

fn run(test: impl FnOnce()) {
	Epoch::set(200);
	Pay::set(BTreeMap::new());
	new_test_ext().execute_with(|| {
		// As in a network whose validators got new power in each epoch.
		plan(&[(0, 199), (1, 200)]);
		test();
		Collateral::do_try_state().unwrap();
	});
}

/// Plans sessions with the power of these epochs.
fn plan(sessions: &[(u32, EpochIndex)]) {
	for (session, epoch) in sessions {
		Collateral::plan_session(*session, Some(*epoch));
	}
}

/// Everything that a host has at stake.
fn stake(host: u64) -> Balance {
	Ledgers::<Test>::get(host).total() + TestPay::unvested(&host)
}

fn by(host: u64) -> RuntimeOrigin {
	RuntimeOrigin::signed(host)
}

#[test]
fn a_withdrawal_stops_counting_at_once_and_waits_for_disputes_and_reports() {
	run(|| {
		assert_ok!(Collateral::deposit(by(1), 600));
		assert_eq!(Balances::balance(&1), 400);
		assert_ok!(Collateral::withdraw(by(1), 100));
		assert_ok!(Collateral::withdraw(by(1), 50));
		assert_eq!(Ledgers::<Test>::get(1).active, 450);
		plan(&[(2, 201), (3, 202), (4, 203)]);
		// No dispute about epoch 200 is possible from epoch 202 on, but reports about its power are.
		for epoch in [200, 201, 202] {
			Epoch::set(epoch);
			Collateral::forget_sessions(epoch.saturating_sub(201));
			assert_noop!(Collateral::release(by(1)), Error::<Test>::NothingToRelease);
		}
		assert_ok!(Collateral::withdraw(by(1), 450));
		Collateral::forget_sessions(2);
		assert_eq!(Collateral::view(&1).released_before, 201);
		assert_ok!(Collateral::release(by(1)));
		assert_eq!(Balances::balance(&1), 550);
		Epoch::set(204);
		Collateral::forget_sessions(3);
		assert_noop!(Collateral::release(by(1)), Error::<Test>::NothingToRelease);
		Collateral::forget_sessions(4);
		assert_ok!(Collateral::release(by(1)));
		assert_eq!(Balances::balance(&1), 1_000);
		assert!(!Ledgers::<Test>::contains_key(1));
	});
}

#[test]
fn a_release_waits_for_disputes_although_sessions_are_short_in_a_long_epoch() {
	run(|| {
		assert_ok!(Collateral::deposit(by(1), 600));
		assert_ok!(Collateral::withdraw(by(1), 600));
		Epoch::set(201);
		plan(&[(2, 201)]);
		Collateral::forget_sessions(2);
		assert_noop!(Collateral::release(by(1)), Error::<Test>::NothingToRelease);
		Epoch::set(202);
		assert_ok!(Collateral::release(by(1)));
	});
}

#[test]
fn collateral_is_free_in_the_end_though_nobody_takes_part_any_more() {
	run(|| {
		assert_ok!(Collateral::deposit(by(1), 600));
		assert_ok!(Collateral::withdraw(by(1), 600));
		for session in 2..50 {
			Collateral::plan_session(session, None);
			Collateral::forget_sessions(session - 1);
		}
		assert_eq!(Sessions::<Test>::iter().count(), 2);
		Epoch::set(199 + MAX_WAIT);
		assert_noop!(Collateral::release(by(1)), Error::<Test>::NothingToRelease);
		Epoch::set(200 + MAX_WAIT);
		assert_ok!(Collateral::release(by(1)));
	});
}

#[test]
fn withdrawals_beyond_the_limit_wait_with_the_last_one() {
	let mut ledger = CollateralLedger::default();
	for epoch in 0..MAX_UNBONDING + 3 {
		ledger.unbond(epoch, 1);
		ledger.unbond(epoch, 1);
	}
	assert_eq!(ledger.unbonding.len() as u32, MAX_UNBONDING);
	assert_eq!(ledger.unbonding.last(), Some(&(MAX_UNBONDING + 2, 8)));
	assert_eq!(ledger.release(u32::MAX), 2 * Balance::from(MAX_UNBONDING + 3));
}

#[test]
fn a_host_deposits_and_withdraws_no_more_than_it_has() {
	run(|| {
		assert!(Collateral::deposit(by(1), 1_001).is_err());
		assert_noop!(Collateral::deposit(by(1), 0), Error::<Test>::ZeroAmount);
		assert_ok!(Collateral::deposit(by(1), 100));
		assert_noop!(Collateral::withdraw(by(1), 101), Error::<Test>::NotEnoughCollateral);
		assert_noop!(Collateral::withdraw(by(2), 1), Error::<Test>::NotEnoughCollateral);
		assert_noop!(Collateral::withdraw(by(1), 0), Error::<Test>::ZeroAmount);
	});
}

#[test]
fn a_slash_burns_the_same_share_of_active_and_unbonding_collateral() {
	run(|| {
		let issued = Balances::total_issuance();
		assert_ok!(Collateral::deposit(by(1), 500));
		assert_ok!(Collateral::withdraw(by(1), 200));
		Collateral::on_offence(&1, 200, Offence::Fabrication);
		let ledger = Ledgers::<Test>::get(1);
		assert_eq!((ledger.active, ledger.unbonding[0].1), (240, 160));
		assert_eq!(Balances::total_issuance(), issued - 100);
		Collateral::on_offence(&1, 200, Offence::FalseDigest);
		assert_eq!(Ledgers::<Test>::get(1).total(), 360);
		// A host without collateral loses nothing.
		Collateral::on_offence(&2, 200, Offence::Fabrication);
		assert_eq!(Balances::total_issuance(), issued - 140);
		assert_eq!(Balances::total_balance_on_hold(&1), 360);
	});
}

#[test]
fn the_base_share_counts_by_itself_and_the_rest_as_far_as_it_is_backed() {
	run(|| {
		assert_eq!(Collateral::backed(&1, 179, 100), 100, "the grace period");
		assert_eq!(Collateral::backed(&1, 180, 100), 20);
		assert_ok!(Collateral::deposit(by(1), 90));
		assert_eq!(Collateral::backed(&1, 180, 100), 50);
		assert_ok!(Collateral::deposit(by(1), 900));
		assert_eq!(Collateral::backed(&1, 180, 100), 100, "never above the potential");
		assert_ok!(Collateral::withdraw(by(1), 990));
		assert_eq!(Collateral::backed(&1, 180, 100), 20, "at once");
		assert_eq!(Collateral::backed(&1, 180, u64::MAX), u64::MAX / 5);
	});
}

#[test]
fn fraud_takes_all_unvested_pay_and_absence_none() {
	run(|| {
		assert_ok!(Collateral::deposit(by(1), 500));
		Pay::set([(1, 90), (2, 90)].into());
		Collateral::on_offence(&1, 200, Offence::MissedDuties);
		assert_eq!((Ledgers::<Test>::get(1).total(), TestPay::unvested(&1)), (450, 90));
		Collateral::on_offence(&1, 200, Offence::FalseDigest);
		assert_eq!((Ledgers::<Test>::get(1).total(), TestPay::unvested(&1)), (405, 81));
		Collateral::on_offence(&1, 200, Offence::Fabrication);
		assert_eq!((Ledgers::<Test>::get(1).total(), TestPay::unvested(&1)), (324, 0));
		Collateral::on_offence(&2, 200, Offence::FalseAccusation);
		assert_eq!(stake(2), 0, "without collateral, too");
	});
}

#[test]
fn unvested_pay_backs_weight_beside_collateral() {
	run(|| {
		Pay::set([(1, 90)].into());
		assert_eq!(Collateral::backed(&1, 180, 100), 50);
		assert_ok!(Collateral::deposit(by(1), 60));
		assert_eq!(Collateral::backed(&1, 180, 100), 70);
		assert_eq!(Collateral::view(&1).unvested, 90);
	});
}

#[test]
fn an_equivocation_costs_by_the_share_of_power() {
	let percent = Perbill::from_percent;
	for (power, cost) in [(0, 5), (1, 5), (7, 5), (10, 9), (20, 36), (34, 100), (100, 100)] {
		assert_eq!(equivocation_share(percent(power), percent(5)), percent(cost), "{power} %");
	}
	// After 5 %, 9 % of the whole are 4 % of the whole more.
	let more = further_share(percent(5), percent(9));
	assert_eq!(more, Perbill::from_rational(4u32, 95));
	assert_eq!(further_share(percent(100), percent(100)), Perbill::zero());
}

#[test]
fn validators_that_equivocate_with_the_power_of_one_epoch_count_together() {
	run(|| {
		let percent = Perbill::from_percent;
		for host in 1..=3 {
			assert_ok!(Collateral::deposit(by(host), 500));
		}
		Pay::set([(1, 500), (2, 500), (3, 500)].into());
		assert_eq!(Collateral::punish(0, &1, percent(10)), Ok((199, 1)));
		assert_eq!(stake(1), 910);
		assert_eq!(Collateral::punish(0, &1, percent(10)), Err(ReportError::Known));
		assert!(Collateral::is_reported(0, &1) && !Collateral::is_reported(1, &1));
		// Another session with the power of the same epoch.
		plan(&[(2, 200), (3, 200)]);
		assert_eq!(Collateral::punish(2, &1, percent(10)), Ok((200, 1)), "another epoch");
		assert!([1, 2, 3].iter().all(|session| Collateral::is_reported(*session, &1)));
		assert!(stake(1).abs_diff(828) <= 2);
		assert_eq!(Collateral::punish(3, &2, percent(10)), Ok((200, 2)));
		assert!(stake(2).abs_diff(640) <= 2 && stake(1).abs_diff(910 * 64 / 100) <= 4);
		assert_eq!(Collateral::punish(1, &3, percent(15)), Ok((200, 3)), "together they have more than a third");
		assert_eq!([1, 2, 3].map(stake), [0; 3]);
		assert_eq!(Collateral::punish(9, &3, percent(15)), Err(ReportError::UnknownSession));
	});
}

#[test]
fn reports_are_forgotten_with_the_last_session_of_an_epochs_power() {
	run(|| {
		plan(&[(2, 200), (3, 201)]);
		for session in [0, 1, 3] {
			assert!(Collateral::punish(session, &1, Perbill::from_percent(1)).is_ok());
		}
		for (first, left) in [(1, 2), (2, 2), (3, 1)] {
			assert_eq!(Collateral::forget_sessions(first), 1);
			assert_eq!(Equivocators::<Test>::iter().count(), left);
			Collateral::do_try_state().unwrap();
		}
		assert_eq!(Collateral::punish(2, &1, Perbill::from_percent(1)), Err(ReportError::UnknownSession));
		assert_eq!(Collateral::reported_from(), 201);
	});
}

#[derive(Clone, Debug)]
enum Step {
	Deposit(u64, Balance),
	Withdraw(u64, Balance),
	Release(u64),
	Slash(u64, bool),
	Equivocation(u64, u32),
	Epoch,
}

fn step() -> impl Strategy<Value = Step> {
	let host = 1u64..=3;
	prop_oneof![
		(host.clone(), 0u128..700).prop_map(|(host, amount)| Step::Deposit(host, amount)),
		(host.clone(), 0u128..700).prop_map(|(host, amount)| Step::Withdraw(host, amount)),
		host.clone().prop_map(Step::Release),
		(host.clone(), any::<bool>()).prop_map(|(host, grave)| Step::Slash(host, grave)),
		(host, 0u32..=100).prop_map(|(host, percent)| Step::Equivocation(host, percent)),
		Just(Step::Epoch),
	]
}

proptest! {
	#[test]
	fn money_is_conserved_except_for_what_is_burnt(steps in prop::collection::vec(step(), 0..60)) {
		run(|| {
			let mut expected = Balances::total_issuance();
			let mut sessions = 1;
			for step in steps {
				match step {
					Step::Deposit(host, amount) => drop(Collateral::deposit(by(host), amount)),
					Step::Withdraw(host, amount) => drop(Collateral::withdraw(by(host), amount)),
					Step::Release(host) => drop(Collateral::release(by(host))),
					Step::Slash(host, grave) => {
						let before = Ledgers::<Test>::get(host).total();
						let offence = if grave { Offence::Fabrication } else { Offence::FalseDigest };
						Collateral::on_offence(&host, 0, offence);
						expected -= before - Ledgers::<Test>::get(host).total();
					},
					Step::Equivocation(host, percent) => {
						let held = || (1..=3).map(|host| Ledgers::<Test>::get(host).total()).sum::<Balance>();
						let before = held();
						let _ = Collateral::punish(sessions, &host, Perbill::from_percent(percent));
						expected -= before - held();
					},
					Step::Epoch => {
						Epoch::mutate(|epoch| *epoch += 1);
						sessions += 1;
						Collateral::plan_session(sessions, Some(Epoch::get()));
						Collateral::forget_sessions(sessions.saturating_sub(2));
					},
				}
				Collateral::do_try_state().unwrap();
				assert_eq!(Balances::total_issuance(), expected);
			}
			// Every host can withdraw and release everything.
			for host in 1..=3 {
				let active = Ledgers::<Test>::get(host).active;
				if active > 0 {
					Epoch::mutate(|epoch| *epoch += MAX_WAIT);
					let _ = Collateral::release(by(host));
					assert_ok!(Collateral::withdraw(by(host), active));
				}
				Epoch::mutate(|epoch| *epoch += MAX_WAIT);
				let _ = Collateral::release(by(host));
				assert_eq!(Balances::total_balance_on_hold(&host), 0);
			}
			let free: Balance = (1..=3).map(|host| Balances::balance(&host)).sum();
			assert_eq!(free, expected);
		});
	}
}
