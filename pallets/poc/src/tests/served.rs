//! The served factor, and the cost of equivocation.

use super::mock::*;
use crate::{Guardians, LastWeighed, Maturity, Power, Served, Standings, WeighProgress};
use gonka_primitives::{
	check::Offence,
	traits::{OnServed, PaidWeights},
};
use polkadot_sdk::{frame_support::BoundedVec, sp_runtime::AccountId32};

/// Runs an epoch to the start of its work phase, in which hosts 1 to `last` get a weight of 500 each.
fn run_epoch(epoch: u32, last: u8) {
	sprint(epoch, &vec![100; last.into()]);
	check(epoch, last);
	go_to_offset(epoch, SCHEDULE.weigh_start() + u32::from(last));
	assert_eq!(LastWeighed::<Test>::get(), Some(epoch));
}

fn served(epoch: u32, name: u8) -> u32 {
	Poc::standing_view(epoch, &account(name)).unwrap().served
}

fn pay(epoch: u32, host: &AccountId32) -> u64 {
	Poc::page(epoch, None, 100).into_iter().find(|(who, _)| who == host).unwrap().1
}

fn has_power(name: u8) -> bool {
	Power::<Test>::get().iter().any(|(who, _)| *who == account(name))
}

#[test]
fn with_too_little_work_in_all_every_host_is_paid_in_full() {
	run(|| {
		register_hosts(3, 0);
		run_epoch(0, 3);
		// One work unit less than 1,000 for each of three hosts.
		Poc::on_served(&account(1), 1_499);
		Poc::on_served(&account(2), 1_500);
		assert_eq!([1, 2, 3].map(|name| served(0, name)), [1_000_000; 3]);
		Poc::on_served(&account(1), 1);
		assert_eq!([1, 2, 3].map(|name| served(0, name)), [1_000_000, 1_000_000, 0]);
		Poc::on_served(&account(3), 1);
		assert!((3_000..5_000).contains(&served(0, 3)), "1 of 300: {}", served(0, 3));
	});
}

#[test]
fn work_counts_for_the_epoch_whose_weights_are_in_force() {
	run(|| {
		register_hosts(3, 0);
		Poc::on_served(&account(1), 10_000);
		assert_eq!(Served::<Test>::iter().count(), 0, "there are no weights yet");
		run_epoch(0, 3);
		for name in [1, 2] {
			Poc::on_served(&account(name), 10_000);
		}
		Poc::on_served(&account(9), 10_000);
		assert_eq!(Served::<Test>::get(0).work, 20_000, "9 has no weight");
		sprint(1, &[100, 100, 100]);
		// Until the next weigh phase begins, in which the epoch is paid.
		Poc::on_served(&account(1), 5_000);
		go_to_offset(1, SCHEDULE.weigh_start());
		assert!(WeighProgress::<Test>::exists());
		Poc::on_served(&account(3), 10_000);
		assert_eq!((Served::<Test>::get(0).work, Served::<Test>::get(1).work), (25_000, 0));
		assert_eq!(pay(0, &account(3)), 0);
		go_to_offset(1, SCHEDULE.work_start());
		Poc::on_served(&account(3), 1);
		assert_eq!((Served::<Test>::get(0).work, Served::<Test>::get(1).work), (25_000, 1));
		assert_eq!(served(1, 1), 1_000_000, "a new epoch begins without work");
		go_to_offset(4, 5);
		assert!(!Served::<Test>::contains_key(0), "served work is pruned with the epoch");
	});
}

#[test]
fn a_host_that_serves_nothing_loses_pay_and_no_collateral() {
	run(|| {
		register_hosts(3, 0);
		run_epoch(0, 3);
		Poc::on_served(&account(1), 3_000);
		Poc::on_served(&account(2), 3_000);
		assert_eq!([1, 2, 3].map(|name| pay(0, &account(name))), [500, 500, 0]);
		Poc::on_turn(0, &account(3));
		assert_eq!(offences(), []);
	});
}

#[test]
fn an_equivocator_loses_the_epoch_whose_power_it_used() {
	run(|| {
		register_hosts(4, 0);
		run_epoch(0, 4);
		Poc::on_served(&account(1), 10);
		Poc::note_equivocation(&account(1));
		assert_eq!([1, 2].map(|name| Poc::weight(0, &account(name))), [0, 500]);
		assert_eq!([1, 2].map(has_power), [false, true]);
		assert!(Poc::queue_power().is_some_and(|validators| !validators.contains(&account(1))));
		let view = Poc::standing_view(0, &account(1)).unwrap();
		assert_eq!((view.offence, view.paid_weight), (Some(Offence::Equivocation), Some(0)));
		// New work does not count; earlier work still does.
		Poc::on_served(&account(1), 10);
		assert_eq!(Served::<Test>::get(0).work, 10);
		// A dispute can still convict it of a graver offence.
		assert!(!Poc::is_convicted(0, &account(1)));
		Poc::convict(0, &account(1), Offence::Fabrication);
		assert_eq!(Poc::standing_view(0, &account(1)).unwrap().offence, Some(Offence::Fabrication));
		run_epoch(1, 4);
		assert!(!has_power(1), "it must prove its weight anew");
		let mut epoch = 1;
		while !super::weigh::confirm(epoch, &[100; 4]) {
			epoch += 1;
			run_epoch(epoch, 4);
		}
		run_epoch(epoch + 1, 4);
		assert!(has_power(1), "confirmations give it power again");
	});
}

#[test]
fn an_equivocation_during_the_weigh_phase_takes_the_new_power() {
	run(|| {
		register_hosts(4, 0);
		run_epoch(0, 4);
		sprint(1, &[100, 100, 100, 100]);
		go_to_offset(1, SCHEDULE.weigh_start());
		let counted = WeighProgress::<Test>::get().unwrap().validators[0].0.clone();
		Poc::note_equivocation(&counted);
		go_to_offset(1, SCHEDULE.work_start());
		assert!(Power::<Test>::get().iter().all(|(who, _)| *who != counted));
		assert_eq!((Poc::weight(0, &counted), Poc::weight(1, &counted)), (500, 0));
	});
}

#[test]
fn guardians_that_equivocate_lose_their_power() {
	run(|| {
		Guardians::<Test>::put(BoundedVec::truncate_from(vec![account(3), account(9)]));
		Maturity::<Test>::put(1_000_000);
		register_hosts(4, 0);
		run_epoch(0, 3);
		assert!(has_power(9) && has_power(3));
		Poc::note_equivocation(&account(9));
		assert!(!has_power(9) && Standings::<Test>::get(0, account(9)).is_none());
		// A participant that equivocates during the weigh phase does not get a guardian's part.
		sprint(1, &[100, 100, 100]);
		go_to_offset(1, SCHEDULE.weigh_start());
		Poc::note_equivocation(&account(3));
		go_to_offset(1, SCHEDULE.work_start());
		assert!(!has_power(3) && has_power(9) && has_power(1));
	});
}
