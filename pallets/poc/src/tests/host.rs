use super::mock::*;
use crate::{Commitments, Hosts, ValidityError, Workers};
use polkadot_sdk::{frame_support::assert_ok, sp_core::Pair};

#[test]
fn a_host_registers_and_updates_its_registration() {
	run(|| {
		assert_ok!(register(registration(1, 0), &host_key(1)));
		assert_eq!(Poc::host_view(&account(1), |_| false).unwrap().url, b"http://host:1");
		assert_eq!(register(registration(1, 0), &host_key(1)), rejected(ValidityError::SlotUsed));

		go_to_offset(1, 0);
		let mut update = registration(1, 1);
		update.worker = worker_key(9).public().0;
		update.models = vec![7];
		assert_ok!(register(solve(update), &host_key(1)));
		assert_eq!(Hosts::<Test>::get(account(1)).unwrap().models.to_vec(), [7]);
		assert_eq!(Workers::<Test>::get(worker_key(1).public().0), None);
		assert_eq!(Workers::<Test>::get(worker_key(9).public().0), Some(account(1)));
	});
}

#[test]
fn a_host_changes_its_worker_key_at_once_up_to_eight_times_an_epoch() {
	run(|| {
		let key = host_key(1);
		let revise = |revision, worker| {
			let worker = worker_key(worker).public().0;
			solve(gonka_primitives::host::Registration { revision, worker, ..registration(1, 0) })
		};
		let terms =
			|name| Poc::registration_terms(&account(name)).map(|terms| (terms.epoch, terms.revision, terms.bits));
		assert_eq!(terms(1), Some((0, 0, BITS)));
		assert_ok!(register(revise(0, 1), &key));
		assert_eq!(terms(1), Some((0, 1, BITS + 2)));
		let lazy = gonka_primitives::host::Registration { work: 0, ..revise(1, 2) };
		let lazy = (0..).map(|work| gonka_primitives::host::Registration { work, ..lazy.clone() });
		let mut lazy = lazy.filter(|one| (BITS..BITS + 2).contains(&one.work_bits(&Poc::genesis_hash())));
		assert_eq!(register(lazy.next().unwrap(), &key), rejected(ValidityError::TooLittleWork));
		assert_ok!(register(revise(1, 2), &key));
		go_to_offset(0, SCHEDULE.segment_end(0));
		assert_eq!(
			commit(commitment(1, 0, 0, 5), &worker_key(1)),
			rejected(ValidityError::BadSignature),
			"the old key"
		);
		assert_ok!(commit(commitment(1, 0, 0, 5), &worker_key(2)));

		// Revisions may be left out, but do not go back.
		assert_ok!(register(revise(6, 3), &key));
		assert_eq!(register(revise(5, 4), &key), rejected(ValidityError::SlotUsed));
		assert_ok!(register(revise(7, 4), &key));
		assert_eq!(terms(1), None);
		go_to_offset(1, 0);
		assert_eq!(terms(1), Some((1, 0, BITS)));
	});
}

#[test]
fn the_pool_rejects_invalid_registrations() {
	run(|| {
		let good = registration(1, 0);
		let with = |change: fn(&mut gonka_primitives::host::Registration)| {
			let mut registration = registration(1, 0);
			change(&mut registration);
			solve(registration)
		};
		let key = host_key(1);
		assert_eq!(register(good.clone(), &host_key(2)), rejected(ValidityError::BadSignature));
		assert_eq!(register_by(good.clone(), &key, &worker_key(2)), rejected(ValidityError::NoConsent));
		assert_eq!(register_by(good.clone(), &key, &key), rejected(ValidityError::NoConsent));
		let ninth = gonka_primitives::host::Registration { revision: 8, ..good.clone() };
		assert_eq!(register(ninth, &key), rejected(ValidityError::Malformed));
		assert_eq!(register(with(|r| r.url = b"ftp://x".to_vec()), &key), rejected(ValidityError::Malformed));
		assert_eq!(register(with(|r| r.url = vec![b'h'; 129]), &key), rejected(ValidityError::Malformed));
		assert_eq!(register(with(|r| r.url = b"http://a b".to_vec()), &key), rejected(ValidityError::Malformed));
		assert_eq!(register(with(|r| r.models = vec![3, 3]), &key), rejected(ValidityError::Malformed));
		assert_eq!(register(with(|r| r.models = (0..17).collect()), &key), rejected(ValidityError::Malformed));
		assert_eq!(register(with(|r| r.models = vec![10]), &key), rejected(ValidityError::UnknownModel));
		assert_eq!(register(with(|r| r.epoch = 1), &key), rejected(ValidityError::OutOfPhase));
		let mut lazy = good.clone();
		while lazy.work_bits(&Poc::genesis_hash()) >= BITS {
			lazy.work += 1;
		}
		assert_eq!(register(lazy, &key), rejected(ValidityError::TooLittleWork));

		assert_ok!(register(good, &key));
		let mut thief = registration(2, 0);
		thief.worker = worker_key(1).public().0;
		assert_eq!(register(solve(thief), &host_key(2)), rejected(ValidityError::WorkerTaken));
	});
}

#[test]
fn the_number_of_hosts_is_limited_and_the_work_of_new_ones_rises_with_it() {
	run(|| {
		for (name, rise) in (1..=12).zip([0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7]) {
			assert_eq!(Poc::registration_terms(&account(name)).unwrap().bits, BITS + rise);
			register(registration(name, 0), &host_key(name)).unwrap();
			assert_eq!(
				Poc::registration_terms(&account(name)).unwrap().bits,
				BITS + 2,
				"a registered one pays no rise"
			);
		}
		assert_eq!(register(registration(13, 0), &host_key(13)), rejected(ValidityError::TooManyHosts));
		go_to_offset(1, 0);
		assert_ok!(register(registration(12, 1), &host_key(12)));
	});
}

#[test]
fn commitments_are_accepted_once_and_in_their_window() {
	run(|| {
		register_hosts(1, 0);
		let key = worker_key(1);
		go_to_offset(0, SCHEDULE.segment_end(0) - 1);
		assert_eq!(commit(commitment(1, 0, 0, 5), &key), rejected(ValidityError::OutOfPhase));
		go_to_offset(0, SCHEDULE.segment_end(0));
		assert_eq!(commit(commitment(1, 0, 0, 0), &key), rejected(ValidityError::Malformed));
		assert_eq!(commit(commitment(1, 0, 0, 1 << 41), &key), rejected(ValidityError::Malformed));
		assert_eq!(commit(commitment(2, 0, 0, 5), &worker_key(2)), rejected(ValidityError::UnknownHost));
		assert_eq!(commit(commitment(1, 0, 0, 5), &worker_key(2)), rejected(ValidityError::BadSignature));
		assert_eq!(commit(commitment(1, 0, 0, 5), &host_key(1)), rejected(ValidityError::BadSignature));
		assert_eq!(commit(commitment(1, 1, 0, 5), &key), rejected(ValidityError::OutOfPhase));
		assert_eq!(commit(commitment(1, 0, 200, 5), &key), rejected(ValidityError::OutOfPhase));
		assert_ok!(commit(commitment(1, 0, 0, 5), &key));
		assert_eq!(commit(commitment(1, 0, 0, 6), &key), rejected(ValidityError::SlotUsed));
		go_to_offset(0, SCHEDULE.segment_end(1) + SCHEDULE.grace);
		assert_eq!(commit(commitment(1, 0, 1, 5), &key), rejected(ValidityError::OutOfPhase));
		assert_eq!(Commitments::<Test>::get(0, account(1)).len(), 1);
	});
}

/// The hosts that are registered at the start of each epoch in which hosts 1, 2, … commit `counts`.
fn registered(epochs: u32, counts: &[u64]) -> Vec<u32> {
	let mut all = Vec::new();
	for epoch in 0..epochs {
		all.push(Hosts::<Test>::count());
		sprint(epoch, counts);
		go_to_offset(epoch, SCHEDULE.length - 1);
	}
	all
}

#[test]
fn hosts_without_weight_expire_and_others_do_not() {
	run(|| {
		register_hosts(5, 0);
		// Host 1 fabricates: it commits in every epoch, and never has weight.
		for epoch in 0..4 {
			sprint(epoch, if epoch < 3 { &[9, 9, 9] } else { &[0, 9, 9] });
			Poc::convict(epoch, &account(1), gonka_primitives::check::Offence::Fabrication);
			assert_eq!(Hosts::<Test>::count(), if epoch < 3 { 5 } else { 2 });
			go_to_offset(epoch, SCHEDULE.length - 1);
		}
		assert!([2, 3].iter().all(|name| Hosts::<Test>::get(account(*name)).unwrap().weighed == Some(3)));
		assert_eq!(Workers::<Test>::iter().count(), 2);
		assert!(crate::Expired::<Test>::iter().next().is_none());
	});
}

#[test]
fn another_registration_does_not_keep_a_place() {
	run(|| {
		register_hosts(1, 0);
		for epoch in 1..3 {
			go_to_offset(epoch, 0);
			assert_ok!(register(registration(1, epoch), &host_key(1)));
		}
		go_to_offset(2, SCHEDULE.length - 1);
		assert_eq!(Hosts::<Test>::count(), 0, "two epochs without weight");
	});
}

#[test]
fn the_more_places_are_taken_the_sooner_hosts_without_weight_go() {
	// Six of twelve places: two weighed epochs, which is `HostExpiry`. From eleven on: one.
	run(|| {
		register_hosts(6, 0);
		assert_eq!(registered(4, &[9, 9, 9]), [6, 6, 6, 3]);
	});
	run(|| {
		register_hosts(11, 0);
		let all = registered(3, &[9, 9, 9]);
		assert!(all[..2] == [11, 11] && all[2] < 11, "{all:?}: as many as it takes to have room");
		assert_eq!(Hosts::<Test>::count(), 3, "the others after two");
	});
}

#[test]
fn a_host_that_had_weight_may_miss_a_sprint_however_full_the_chain_is() {
	run(|| {
		register_hosts(11, 0);
		sprint(0, &[9; 11]);
		sprint(1, &[9; 10]);
		go_to_offset(1, SCHEDULE.length - 1);
		assert!(Hosts::<Test>::contains_key(account(11)));
		sprint(2, &[9; 10]);
		go_to_offset(2, SCHEDULE.length - 1);
		assert!(!Hosts::<Test>::contains_key(account(11)));
		assert_eq!(Hosts::<Test>::count(), 10);
	});
}

#[test]
fn a_place_of_a_full_chain_needs_a_part_of_the_compute() {
	run(|| {
		register_hosts(11, 0);
		// A sixteenth of an equal share is total / (16 · 12): below 100 for the last, above it for all others.
		let mut counts = [2_000; 11];
		counts[10] = 90;
		assert_eq!(registered(2, &counts), [11, 11]);
		assert_eq!(Poc::weight(1, &account(11)), 450);
		assert!(Hosts::<Test>::count() == 10 && !Hosts::<Test>::contains_key(account(11)));
	});
}
