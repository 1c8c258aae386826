//! Grants are paid out over `VESTING` epochs, to the base unit.

use super::mock::*;
use crate::{Call, Event, Grants, Vestings};
use frame_support::{
	assert_ok,
	traits::{
		Authorize, Hooks, UnfilteredDispatchable,
		fungible::{Inspect, Mutate},
	},
	weights::Weight,
};
use gonka_primitives::{Balance, EpochIndex, traits::UnvestedPay};
use polkadot_sdk::{frame_support::pallet_prelude::TransactionSource, *};
use proptest::prelude::*;

fn go_to(epoch: EpochIndex) {
	Epoch::set(epoch);
}

/// Sends a claim through the pool into a block. Returns whether the pool accepted it.
fn claim(host: u64) -> bool {
	let call = RuntimeCall::Emission(Call::claim { host });
	if call.authorize(TransactionSource::External).unwrap().is_err() {
		return false;
	}
	assert_ok!(call.dispatch_bypass_filter(frame_system::RawOrigin::Authorized.into()));
	Emission::do_try_state().unwrap();
	true
}

fn pay(epoch: EpochIndex, hosts: &[(u64, u64)]) {
	close(epoch, hosts);
	pay_all();
}

#[test]
fn a_grant_vests_in_equal_parts_over_five_epochs() {
	build_and_execute(|| {
		pay(7, &[(1, 1)]);
		let all = earned(1);
		assert_eq!(Balances::balance(&1), 0);
		assert!(!claim(1), "nothing vests in the epoch of the grant");
		for (step, epoch) in (1u128..).zip(9..=13) {
			go_to(epoch);
			assert!(claim(1));
			assert!(!claim(1), "once an epoch");
			assert_eq!(Balances::balance(&1), all * step / 5);
		}
		assert_eq!(Balances::balance(&1), all);
		assert!(!Vestings::<Test>::contains_key(1) && Grants::<Test>::iter_prefix(1).count() == 0);
		assert!(!claim(2), "this host never earned anything");
	});
}

#[test]
fn a_host_that_claims_late_gets_the_same() {
	build_and_execute(|| {
		pay(1, &[(1, 1), (2, 1)]);
		go_to(10);
		pay(2, &[(1, 1), (2, 1)]);
		for epoch in 11..=17 {
			go_to(epoch);
			claim(1);
		}
		go_to(500);
		while claim(2) {}
		assert_eq!(Balances::balance(&1), Balances::balance(&2));
		assert_eq!(earned(1), Balances::balance(&1));
		assert_eq!(Balances::balance(&Emission::pot()), 0);
	});
}

#[test]
fn idle_blocks_pay_out_what_has_vested() {
	build_and_execute(|| {
		let hosts: Vec<_> = (1..=7).map(|host| (host, 1)).collect();
		pay(1, &hosts);
		go_to(9);
		let all = earned(1);
		Emission::on_idle(1, Weight::zero());
		assert_eq!(Balances::balance(&1), 0, "the block has no room");
		let paid = || (1..=7).filter(|host| Balances::balance(host) == all / 5).count();
		for (block, expected) in [(1, 3), (2, 6), (3, 7)] {
			assert!(Emission::on_idle(block, Weight::MAX).ref_time() > 0);
			assert_eq!(paid(), expected, "three a block at most, however much room it has");
		}
		Emission::do_try_state().unwrap();
		// Blocks with little room pay all hosts, too.
		go_to(10);
		let little = Weight::from_parts(6_000_000_000, 1_000_000);
		for block in 4..30 {
			assert!(Emission::on_idle(block, little).all_lte(little));
		}
		for host in 1..=7 {
			assert_eq!(Balances::balance(&host), all * 2 / 5);
		}
	});
}

#[test]
fn an_amount_below_the_existential_deposit_waits_for_more() {
	build_and_execute(|| {
		// Host 9 earns so little that a fifth of it cannot make an account.
		let share = 4_000u64;
		let emission = crate::math::emission(CAP, crate::math::FACTOR) as u64;
		pay(1, &[(1, emission - share), (9, share)]);
		let all = earned(9);
		assert!(all / 5 < EXISTENTIAL_DEPOSIT && all > EXISTENTIAL_DEPOSIT, "{all}");
		go_to(9);
		claim(9);
		assert_eq!((Balances::balance(&9), Emission::vesting_view(&9).vested), (0, all / 5));
		go_to(10);
		claim(9);
		assert_eq!(Balances::balance(&9), all * 2 / 5);
	});
}

#[test]
fn idle_blocks_visit_each_host_once_an_epoch() {
	build_and_execute(|| {
		pay(1, &[(1, 1), (2, 1), (3, 1)]);
		go_to(9);
		let first = Emission::on_idle(1, Weight::MAX);
		assert_ne!(first, Weight::zero());
		assert_eq!(Emission::on_idle(2, Weight::MAX), Weight::zero(), "the database costs nothing here");
		go_to(10);
		assert_eq!(Emission::on_idle(3, Weight::MAX), first, "the next epoch begins a new round");
		assert_eq!(Emission::vesting_view(&1).vested, 0);
	});
}

#[test]
fn the_pot_is_never_left_with_dust() {
	build_and_execute(|| {
		// Everything has vested. Paying either host would leave dust for the other one.
		assert_ok!(<Balances as Mutate<_>>::mint_into(&1, 5_000));
		assert_ok!(<Balances as Mutate<_>>::mint_into(&9, 5_000));
		assert_ok!(<Balances as Mutate<_>>::mint_into(&Emission::pot(), 1_010));
		Emission::grant(&9, 505);
		Emission::grant(&1, 505);
		go_to(20);
		for host in [1, 9] {
			while claim(host) {}
			assert_eq!((Balances::balance(&host), Emission::vesting_view(&host).vested), (5_000, 505));
		}
		assert_ok!(<Balances as Mutate<_>>::mint_into(&Emission::pot(), 4_000));
		Emission::grant(&2, 4_000);
		for host in [1, 9] {
			assert_ok!(Emission::pay_out(&host));
			assert_eq!(Balances::balance(&host), 5_505);
		}
	});
}

#[test]
fn what_an_offence_costs_is_burnt_at_once_and_deducted_from_what_vests_next() {
	build_and_execute(|| {
		pay(7, &[(1, 1), (2, 1)]);
		go_to(9);
		claim(1);
		let (all, issued) = (earned(1), Balances::total_issuance());
		let fifth = Balances::balance(&1);
		assert_eq!(Emission::unvested(&1), all - fifth);
		let amount = fifth + fifth / 2;
		events();
		assert_eq!(Emission::burn(&1, amount), amount);
		assert_eq!(events(), [Event::Burnt { host: 1, amount }]);
		assert_eq!(Balances::total_issuance(), issued - amount, "at once");
		assert_eq!(Emission::unvested(&1), all - fifth - amount);
		let view = Emission::vesting_view(&1);
		assert_eq!((view.locked, view.burnt), (all - fifth - amount, amount));
		for (epoch, paid) in [(10, fifth), (11, all * 3 / 5 - amount), (12, all * 4 / 5 - amount), (13, all - amount)] {
			go_to(epoch);
			claim(1);
			assert!(Balances::balance(&1).abs_diff(paid) <= 1, "epoch {epoch}");
			Emission::do_try_state().unwrap();
		}
		while claim(2) {}
		assert_eq!(Balances::balance(&2), all, "nobody else loses anything");
		assert!(!Vestings::<Test>::contains_key(1) && Balances::balance(&Emission::pot()) == 0);
	});
}

#[test]
fn all_unvested_pay_can_be_burnt_and_new_pay_vests_later() {
	build_and_execute(|| {
		pay(7, &[(1, 1)]);
		let all = earned(1);
		assert_eq!(Emission::burn(&1, Balance::MAX), all, "no more than there is");
		assert_eq!((Emission::unvested(&1), Emission::burn(&1, 1)), (0, 0));
		assert_eq!(Emission::burn(&2, 1), 0, "this host never earned anything");
		assert_eq!(Balances::balance(&Emission::pot()), 0);
		go_to(9);
		pay(8, &[(1, 1)]);
		let new = Emission::unvested(&1);
		for epoch in 10..=14 {
			go_to(epoch);
			claim(1);
			Emission::do_try_state().unwrap();
		}
		assert_eq!(Balances::balance(&1), new, "a later grant is paid to the base unit");
	});
}

#[test]
fn a_penalty_leaves_no_dust_in_the_pot() {
	build_and_execute(|| {
		assert_ok!(<Balances as Mutate<_>>::mint_into(&Emission::pot(), 2_500));
		Emission::grant(&1, 2_000);
		Emission::grant(&2, 500);
		assert_eq!(Emission::burn(&1, 2_000), 1_500, "the existential deposit stays");
		assert_eq!(Balances::balance(&Emission::pot()), EXISTENTIAL_DEPOSIT);
		Emission::do_try_state().unwrap();
	});
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(64))]

	#[test]
	fn every_grant_is_paid_out_exactly(
		steps in prop::collection::vec((prop::collection::vec(0u64..1_000, 4), 0u32..4, 0u64..6, 0u64..12), 1..25)
	) {
		build_and_execute(|| {
			let mut epoch = 8;
			for (number, (weights, later, who, offender)) in (1..).zip(steps) {
				let hosts: Vec<_> = (1..).zip(weights).collect();
				pay(number, &hosts);
				epoch += later;
				go_to(epoch);
				claim(who);
				// Some of them lose a part of their unvested pay.
				let (issued, half) = (Balances::total_issuance(), Emission::unvested(&offender) / 2);
				let burnt = Emission::burn(&offender, half);
				assert_eq!(Balances::total_issuance(), issued - burnt);
				Emission::do_try_state().unwrap();
			}
			let issued = Balances::total_issuance();
			go_to(epoch + VESTING + 1);
			for host in 1..=4 {
				while claim(host) {}
			}
			let owned: Balance = (1..=4).map(|host| Balances::balance(&host)).sum();
			let dust: Balance = (1..=4).map(|host| Emission::vesting_view(&host).vested).sum();
			assert_eq!(owned + dust, issued);
			assert!((1..=4).all(|host| Emission::vesting_view(&host).locked == 0));
		});
	}
}
