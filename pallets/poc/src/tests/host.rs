use super::mock::*;
use crate::{Commitments, Hosts, ValidityError, Workers};
use polkadot_sdk::{frame_support::assert_ok, sp_core::Pair};

#[test]
fn a_host_registers_and_updates_once_an_epoch() {
	run(|| {
		assert_ok!(register(registration(1, 0), &host_key(1)));
		assert_eq!(Poc::host_view(&account(1), |_| false).unwrap().url, b"http://host:1");
		assert_eq!(register(registration(1, 0), &host_key(1)), rejected(ValidityError::SlotUsed));

		go_to_offset(1, 0);
		let mut update = registration(1, 1);
		update.worker = worker_key(9).public().0;
		update.models = vec![7];
		let update = update.solve(&Poc::genesis_hash(), BITS);
		assert_ok!(register(update, &host_key(1)));
		assert_eq!(Hosts::<Test>::get(account(1)).unwrap().models.to_vec(), [7]);
		assert_eq!(Workers::<Test>::get(worker_key(1).public().0), None);
		assert_eq!(Workers::<Test>::get(worker_key(9).public().0), Some(account(1)));
	});
}

#[test]
fn the_pool_rejects_invalid_registrations() {
	run(|| {
		let good = registration(1, 0);
		let with = |change: fn(&mut gonka_primitives::host::Registration)| {
			let mut registration = registration(1, 0);
			change(&mut registration);
			registration.solve(&Poc::genesis_hash(), BITS)
		};
		let key = host_key(1);
		assert_eq!(register(good.clone(), &host_key(2)), rejected(ValidityError::BadSignature));
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
		let thief = thief.solve(&Poc::genesis_hash(), BITS);
		assert_eq!(register(thief, &host_key(2)), rejected(ValidityError::WorkerTaken));
	});
}

#[test]
fn the_number_of_hosts_is_limited() {
	run(|| {
		register_hosts(12, 0);
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

#[test]
fn idle_hosts_expire_and_active_ones_do_not() {
	run(|| {
		register_hosts(5, 0);
		for epoch in 0..4 {
			sprint(epoch, &[0, 9]);
		}
		go_to_offset(4, 0);
		assert!(Hosts::<Test>::contains_key(account(2)));
		assert_eq!(Hosts::<Test>::count(), 1);
		assert_eq!(Workers::<Test>::iter().count(), 1);
	});
}
