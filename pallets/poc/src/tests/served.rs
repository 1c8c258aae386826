//! What serving is worth, and what equivocation costs.

use super::mock::*;
use crate::{Guardians, LastSettled, Maturity, Power, Progress, Served, Standings};
use gonka_primitives::{
	check::Offence,
	traits::{HostPower, OnServed},
};
use polkadot_sdk::{frame_support::BoundedVec, sp_runtime::AccountId32};

/// An epoch in which these hosts weigh 500 each, at the start of its work phase.
fn race(epoch: u32, last: u8) {
	sprint(epoch, &vec![100; last.into()]);
	go_to_offset(epoch, SCHEDULE.reveal_start());
	for name in 1..=last {
		let duties = Poc::duties(&Poc::running_epoch().unwrap(), &account(name));
		let sets = duties.iter().map(|duty| duty.sets.len() as u32).sum();
		Poc::note_digests(epoch, &account(name), sets, sets);
	}
	go_to_offset(epoch, SCHEDULE.settle_start() + u32::from(last));
	assert_eq!(LastSettled::<Test>::get(), Some(epoch));
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
fn too_little_traffic_touches_nobody() {
	run(|| {
		register_hosts(3, 0);
		race(0, 3);
		// One token less than 1,000 for each of three.
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
fn serving_is_weighed_while_the_weights_are_in_force() {
	run(|| {
		register_hosts(3, 0);
		Poc::on_served(&account(1), 10_000);
		assert_eq!(Served::<Test>::iter().count(), 0, "there are no weights yet");
		race(0, 3);
		for name in [1, 2] {
			Poc::on_served(&account(name), 10_000);
		}
		Poc::on_served(&account(9), 10_000);
		assert_eq!(Served::<Test>::get(0).work, 20_000, "9 has no weight");
		sprint(1, &[100, 100, 100]);
		// Up to the next settlement, and not a moment longer: then it is paid.
		Poc::on_served(&account(1), 5_000);
		go_to_offset(1, SCHEDULE.settle_start());
		assert!(Progress::<Test>::exists());
		Poc::on_served(&account(3), 10_000);
		assert_eq!((Served::<Test>::get(0).work, Served::<Test>::get(1).work), (25_000, 0));
		assert_eq!(pay(0, &account(3)), 0);
		go_to_offset(1, SCHEDULE.work_start());
		Poc::on_served(&account(3), 1);
		assert_eq!((Served::<Test>::get(0).work, Served::<Test>::get(1).work), (25_000, 1));
		assert_eq!(served(1, 1), 1_000_000, "a new epoch begins with nothing");
		go_to_offset(4, 5);
		assert!(!Served::<Test>::contains_key(0), "pruned with the rest");
	});
}

#[test]
fn who_does_not_serve_loses_pay_and_no_collateral() {
	run(|| {
		register_hosts(3, 0);
		race(0, 3);
		Poc::on_served(&account(1), 3_000);
		Poc::on_served(&account(2), 3_000);
		assert_eq!([1, 2, 3].map(|name| pay(0, &account(name))), [500, 500, 0]);
		Poc::on_turn(0, &account(3));
		OFFENCES.with_borrow(|offences| assert!(offences.is_empty(), "{offences:?}"));
	});
}

#[test]
fn an_equivocator_loses_the_epoch_whose_power_it_used() {
	run(|| {
		register_hosts(4, 0);
		race(0, 4);
		Poc::on_served(&account(1), 10);
		Poc::note_equivocation(&account(1));
		assert_eq!([1, 2].map(|name| Poc::weight(0, &account(name))), [0, 500]);
		assert_eq!([1, 2].map(has_power), [false, true]);
		assert!(Poc::queue_power().is_some_and(|validators| !validators.contains(&account(1))));
		let view = Poc::standing_view(0, &account(1)).unwrap();
		assert_eq!((view.offence, view.paid), (Some(Offence::Equivocation), Some(0)));
		// It counts no more, and what it did stays counted.
		Poc::on_served(&account(1), 10);
		assert_eq!(Served::<Test>::get(0).work, 10);
		// A dispute can still find worse.
		assert!(!Poc::is_convicted(0, &account(1)));
		Poc::convict(0, &account(1), Offence::Fabrication);
		assert_eq!(Poc::standing_view(0, &account(1)).unwrap().offence, Some(Offence::Fabrication));
		race(1, 4);
		assert!(has_power(1), "the next epoch is another one");
	});
}

#[test]
fn an_equivocator_cannot_slip_through_a_settlement() {
	run(|| {
		register_hosts(4, 0);
		race(0, 4);
		sprint(1, &[100, 100, 100, 100]);
		go_to_offset(1, SCHEDULE.settle_start());
		let counted = Progress::<Test>::get().unwrap().validators[0].0.clone();
		Poc::note_equivocation(&counted);
		go_to_offset(1, SCHEDULE.work_start());
		assert!(Power::<Test>::get().iter().all(|(who, _)| *who != counted));
		assert_eq!((Poc::weight(0, &counted), Poc::weight(1, &counted)), (500, 0));
	});
}

#[test]
fn guardians_that_equivocate_leave_too() {
	run(|| {
		Guardians::<Test>::put(BoundedVec::truncate_from(vec![account(3), account(9)]));
		Maturity::<Test>::put(1_000_000);
		register_hosts(4, 0);
		race(0, 3);
		assert!(has_power(9) && has_power(3));
		Poc::note_equivocation(&account(9));
		assert!(!has_power(9) && Standings::<Test>::get(0, account(9)).is_none());
		// One that raced, before there are weights: the settlement does not give it a guardian's part.
		sprint(1, &[100, 100, 100]);
		go_to_offset(1, SCHEDULE.settle_start());
		Poc::note_equivocation(&account(3));
		go_to_offset(1, SCHEDULE.work_start());
		assert!(!has_power(3) && has_power(9) && has_power(1));
	});
}
