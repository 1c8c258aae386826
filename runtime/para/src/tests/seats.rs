//! Collators by compute.

use super::chain::*;
use crate::{configs::consensus::SLOT_MS, seats::order, *};
use frame_support::BoundedVec;
use pallet_poc::math::normalise;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave};
use std::collections::BTreeMap;

/// Sets the power that weighing an epoch with these weights leaves.
fn weigh(weights: &[(Sr25519Keyring, u64)]) {
	let weights = weights.iter().map(|(key, weight)| (account(*key), *weight)).collect();
	pallet_poc::Power::<Runtime>::put(BoundedVec::truncate_from(normalise(weights)));
	pallet_poc::PowerChanged::<Runtime>::put(true);
}

fn list() -> Vec<AuraId> {
	pallet_aura::Authorities::<Runtime>::get().into_inner()
}

/// The numbers of seats of these collators in Aura's list.
fn seats_of<const N: usize>(keys: [Sr25519Keyring; N]) -> [u64; N] {
	let list = list();
	keys.map(|key| list.iter().filter(|seat| **seat == key.public().into()).count() as u64)
}

/// The blocks that these collators wrote among the next `count`, within a session.
fn written<const N: usize>(keys: [Sr25519Keyring; N], count: BlockNumber) -> [u64; N] {
	let mut written = BTreeMap::<AccountId, u64>::new();
	for _ in 0..count {
		block(|| *written.entry(Authorship::author().unwrap()).or_default() += 1);
	}
	keys.map(|key| written.get(&account(key)).copied().unwrap_or_default())
}

#[test]
fn seats_are_spread_evenly() {
	assert_eq!(order(&[4, 2, 0, 1]), [0, 1, 0, 3, 0, 1, 0]);
	let seats = [90, 60, 60, 45, 45];
	let order = order(&seats);
	for (collator, own) in seats.iter().enumerate() {
		let places: Vec<_> = (0..order.len()).filter(|place| order[*place] == collator).collect();
		assert_eq!(places.len(), usize::from(*own));
		let widest = places.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
		let longest = 2 * order.len() / usize::from(*own);
		assert!(widest <= longest, "collator {collator} waits for {widest} slots");
		assert!(places.windows(2).filter(|pair| pair[1] - pair[0] == 1).count() < usize::from(*own) / 2);
	}
}

#[test]
fn the_genesis_gives_equal_seats() {
	run(|| {
		assert_eq!(list().len(), 12);
		assert_eq!(seats_of([Alice, Bob, Charlie]), [4; 3]);
		blocks(1);
		assert_eq!(written([Alice, Bob, Charlie], 9), [3; 3], "they write in turn");
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "sessions take hundreds of blocks with mainnet's times")]
fn a_session_gives_seats_in_proportion_to_power() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, 6), (Bob, 3), (Charlie, 3)]);
		two_sessions();
		assert_eq!(list().len(), 12);
		let seats = seats_of([Alice, Bob, Charlie]);
		for (seats, exact) in seats.into_iter().zip([6, 3, 3]) {
			assert!(u64::abs_diff(seats, exact) <= 1, "{seats} of 12 seats for a share of {exact}");
		}
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "sessions take hundreds of blocks with mainnet's times")]
fn every_block_is_its_collators() {
	run(|| {
		blocks(1);
		weigh(&[(Alice, 6), (Bob, 3), (Charlie, 3)]);
		two_sessions();
		// The list that the node reads from the parent's state is that by which the author is found, at changes of
		// sessions, too.
		for _ in 0..30 {
			let (list, slot) = (list(), slot_of(System::block_number() + 1));
			let expected = list[(slot % list.len() as u64) as usize].clone();
			block(|| {
				let author = Authorship::author().unwrap();
				let key = Session::load_keys(&author).unwrap().aura;
				assert_eq!(key, expected);
			});
		}
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "sessions take hundreds of blocks with mainnet's times")]
fn an_absent_collator_gets_fewer_seats() {
	run(|| {
		blocks(1);
		pallet_liveness::Validators::<Runtime>::mutate(|all| {
			let bob = all.iter_mut().find(|validator| validator.account == account(Bob)).unwrap();
			bob.absent = Some(100);
		});
		two_sessions();
		let [alice, bob, charlie] = seats_of([Alice, Bob, Charlie]);
		assert!(bob <= 1 && alice >= 5 && charlie >= 5, "{alice} {bob} {charlie}");
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "sessions take hundreds of blocks with mainnet's times")]
fn collators_without_keys_leave_the_old_ones() {
	run(|| {
		blocks(1);
		weigh(&[(Dave, 100)]);
		two_sessions();
		assert_eq!(Session::validators().len(), 3);
		assert_eq!(list().len(), 12);
	});
}

#[test]
fn a_slot_has_one_block() {
	use cumulus_primitives_aura::runtime_decl_for_aura_unincluded_segment_api::AuraUnincludedSegmentApiV2 as _;
	run(|| {
		blocks(3);
		let now = slot_of(3);
		assert!(!Runtime::can_build_upon(Default::default(), now.into()));
		assert!(Runtime::can_build_upon(Default::default(), (now + 1).into()));
		assert_eq!(pallet_timestamp::Now::<Runtime>::get(), now * SLOT_MS);
	});
}
