//! Pitfalls of weighted authorities, one test for each.

use super::chain::*;
use crate::*;
use frame_support::BoundedVec;
use pallet_liveness::math::SEAT_WEIGHT;
use pallet_poc::math::{POWER_BUDGET, normalise};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve};

/// Sets the power that weighing an epoch with these weights leaves.
fn weigh(weights: &[(Sr25519Keyring, u64)]) {
	let weights = weights.iter().map(|(key, weight)| (account(*key), *weight)).collect();
	pallet_poc::Power::<Runtime>::put(BoundedVec::truncate_from(normalise(weights)));
	pallet_poc::PowerChanged::<Runtime>::put(true);
}

fn grandpa() -> Vec<u64> {
	Grandpa::grandpa_authorities().into_iter().map(|(_, weight)| weight).collect()
}

/// The number of seats of each validator in BABE's list.
fn seats(list: &[(sp_consensus_babe::AuthorityId, u64)]) -> Vec<u64> {
	list.chunk_by(|(a, _), (b, _)| a == b)
		.map(|seats| {
			let count = seats.len() as u64;
			let weights: Vec<_> = seats.iter().map(|(_, weight)| *weight).collect();
			assert_eq!(weights[0], count * SEAT_WEIGHT, "the first seat carries the weight of all");
			assert!(weights[1..].iter().all(|weight| *weight == 1));
			count
		})
		.collect()
}

/// The seats of three validators are twelve, and each has its share of the power, but for rounding.
#[track_caller]
fn assert_seats(list: &[(sp_consensus_babe::AuthorityId, u64)], power: [u64; 3]) {
	let seats = seats(list);
	assert_eq!(seats.iter().sum::<u64>(), 12);
	let total: u64 = power.iter().sum();
	for (seats, power) in seats.iter().zip(power) {
		assert!((seats * total).abs_diff(12 * power) < total, "{seats} of 12 seats for {power} of {total}");
	}
}

fn set_id() -> u64 {
	pallet_grandpa::CurrentSetId::<Runtime>::get()
}

#[test]
fn genesis_power_reaches_both_engines() {
	run(|| {
		blocks(1);
		let third = POWER_BUDGET / 3;
		assert_eq!(grandpa(), [third; 3]);
		assert_seats(&Babe::authorities(), [1; 3]);
		assert_seats(&pallet_babe::NextAuthorities::<Runtime>::get(), [1; 3]);
	});
}

#[test]
fn new_power_reaches_both_engines_once() {
	run(|| {
		blocks(1);
		let before = set_id();
		weigh(&[(Alice, 4), (Bob, 2), (Charlie, 1)]);
		two_sessions();
		assert_eq!(grandpa(), [571_428, 285_714, 142_857]);
		assert_seats(&Babe::authorities(), [4, 2, 1]);
		let changed = set_id();
		assert!(changed > before);
		two_sessions();
		two_sessions();
		assert_eq!(set_id(), changed, "sessions without new power keep the set");
	});
}

#[test]
fn a_weight_may_change_without_a_validator_changing() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, 4), (Bob, 2), (Charlie, 1)]);
		two_sessions();
		let (validators, before) = (Session::validators(), set_id());
		weigh(&[(Alice, 1), (Bob, 1), (Charlie, 2)]);
		two_sessions();
		let mut same = Session::validators();
		same.sort();
		let mut validators = validators;
		validators.sort();
		assert_eq!(same, validators);
		assert_eq!(set_id(), before + 1);
		assert_eq!(grandpa(), [250_000, 250_000, 500_000]);
		assert_seats(&Babe::authorities(), [1, 1, 2]);
	});
}

#[test]
fn babe_announces_the_next_weights_a_session_ahead() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, 4), (Bob, 2), (Charlie, 1)]);
		let session = Session::current_index();
		while Session::current_index() == session {
			blocks(1);
		}
		assert_seats(&pallet_babe::NextAuthorities::<Runtime>::get(), [4, 2, 1]);
		assert_seats(&Babe::authorities(), [1; 3]);
	});
}

#[test]
fn no_validator_has_zero_power() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, u64::MAX), (Bob, 1), (Charlie, 0)]);
		two_sessions();
		assert!(grandpa().iter().all(|weight| *weight > 0), "{:?}", grandpa());
		assert!(Babe::authorities().iter().all(|(_, weight)| *weight > 0));
	});
}

#[test]
fn the_sum_of_weights_does_not_overflow() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, u64::MAX), (Bob, u64::MAX), (Charlie, u64::MAX)]);
		two_sessions();
		assert_eq!(grandpa().iter().try_fold(0u64, |sum, weight| sum.checked_add(*weight)), Some(999_999));
	});
}

#[test]
fn hosts_without_session_keys_get_no_power() {
	run(|| {
		blocks(1);
		weigh(&[(Dave, 100), (Alice, 4), (Bob, 4)]);
		two_sessions();
		let mut validators = Session::validators();
		validators.sort();
		let mut expected = vec![account(Alice), account(Bob)];
		expected.sort();
		assert_eq!(validators, expected);
		assert_eq!(grandpa().len(), 2);
		assert_eq!(grandpa()[0], grandpa()[1]);
	});
}

#[test]
fn an_empty_next_set_does_not_halt_the_chain() {
	run(|| {
		blocks(1);
		weigh(&[(Dave, 100), (Eve, 1)]);
		two_sessions();
		assert_eq!(Session::validators().len(), 3, "the old set stays");
		assert!(!pallet_babe::NextAuthorities::<Runtime>::get().is_empty());
		assert_eq!(writers().len(), 3);
	});
}
