//! A runtime of balances and collateral.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::{self as pallet_collateral, Error, Ledgers, SlashShare};
use frame_support::{
	assert_noop, assert_ok, derive_impl, parameter_types,
	traits::fungible::{Inspect, InspectHold},
};
use gonka_primitives::{
	Balance, EpochIndex,
	check::Offence,
	traits::{Backing, OnOffence},
};
use polkadot_sdk::*;
use proptest::prelude::*;
use sp_runtime::{BuildStorage, Perbill};

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
}

impl pallet_collateral::Config for Test {
	type BaseShare = BaseShare;
	type Currency = Balances;
	type Epoch = Epoch;
	type GracePeriod = GracePeriod;
	type PerWeight = PerWeight;
	type RuntimeHoldReason = RuntimeHoldReason;
	type SlashShare = Shares;
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
	new_test_ext().execute_with(|| {
		test();
		Collateral::do_try_state().unwrap();
	});
}

fn by(host: u64) -> RuntimeOrigin {
	RuntimeOrigin::signed(host)
}

#[test]
fn a_withdrawal_stops_counting_at_once_and_waits_for_a_whole_epoch() {
	run(|| {
		assert_ok!(Collateral::deposit(by(1), 600));
		assert_eq!(Balances::balance(&1), 400);
		assert_ok!(Collateral::withdraw(by(1), 100));
		assert_ok!(Collateral::withdraw(by(1), 50));
		assert_eq!(Ledgers::<Test>::get(1).active, 450);
		for epoch in [200, 201] {
			Epoch::set(epoch);
			assert_noop!(Collateral::release(by(1)), Error::<Test>::NothingToRelease);
		}
		assert_ok!(Collateral::withdraw(by(1), 450));
		Epoch::set(202);
		assert_ok!(Collateral::release(by(1)));
		assert_eq!(Balances::balance(&1), 550);
		Epoch::set(203);
		assert_ok!(Collateral::release(by(1)));
		assert_eq!(Balances::balance(&1), 1_000);
		assert!(!Ledgers::<Test>::contains_key(1));
	});
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
fn only_the_heaviest_equivocation_of_an_epoch_counts() {
	run(|| {
		let percent = Perbill::from_percent;
		let held = || Ledgers::<Test>::get(1).total();
		assert_ok!(Collateral::deposit(by(1), 800));
		assert_ok!(Collateral::withdraw(by(1), 400));
		for (share, left) in [(25, 600), (25, 600), (50, 400), (10, 400), (75, 200)] {
			Collateral::slash_equivocation(&1, 200, percent(share));
			assert!(held().abs_diff(left) <= 2, "{} after {share} %, not {left}", held());
		}
		let ledger = Ledgers::<Test>::get(1);
		assert_eq!(ledger.active, ledger.unbonding[0].1, "active and unbonding alike");
		// Another offence costs its own share, and so does an equivocation in another epoch.
		let before = held();
		Collateral::on_offence(&1, 200, Offence::Fabrication);
		assert!(held().abs_diff(before * 8 / 10) <= 2);
		Collateral::slash_equivocation(&1, 201, percent(100));
		assert_eq!(held(), 0);
		assert!(!Ledgers::<Test>::contains_key(1));
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
						let before = Ledgers::<Test>::get(host).total();
						Collateral::slash_equivocation(&host, Epoch::get(), Perbill::from_percent(percent));
						expected -= before - Ledgers::<Test>::get(host).total();
					},
					Step::Epoch => Epoch::mutate(|epoch| *epoch += 1),
				}
				Collateral::do_try_state().unwrap();
				assert_eq!(Balances::total_issuance(), expected);
			}
			// Every host can withdraw and release everything.
			for host in 1..=3 {
				let active = Ledgers::<Test>::get(host).active;
				if active > 0 {
					Epoch::mutate(|epoch| *epoch += 2);
					let _ = Collateral::release(by(host));
					assert_ok!(Collateral::withdraw(by(host), active));
				}
				Epoch::mutate(|epoch| *epoch += 2);
				let _ = Collateral::release(by(host));
				assert_eq!(Balances::total_balance_on_hold(&host), 0);
			}
			let free: Balance = (1..=3).map(|host| Balances::balance(&host)).sum();
			assert_eq!(free, expected);
		});
	}
}
