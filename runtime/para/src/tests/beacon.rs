//! The random value of each block.

use super::chain::*;
use crate::*;
use gonka_primitives::{hashing::blake2_256, traits::Beacon};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn value_of(randomness: [u8; 32]) -> [u8; 32] {
	blake2_256(&[b"gonka/beacon", &randomness])
}

#[test]
fn the_relay_chains_randomness_is_the_next_blocks_beacon() {
	run(|| {
		blocks(1);
		let mut relay = relay();
		relay.additional_key_values = vec![randomness(Some([7; 32]))];
		let before = RelayBeacon::randomness();
		block_on(relay, || assert_eq!(RelayBeacon::randomness(), value_of([7; 32]), "it is read with the inherents"));
		assert_ne!(before, RelayBeacon::randomness());
		let mix = pallet_poc::Mix::<Runtime>::get();
		blocks(1);
		let mixed = blake2_256(&[gonka_primitives::hashing::domain::BEACON_MIX, &mix, &value_of([7; 32])]);
		assert_eq!(pallet_poc::Mix::<Runtime>::get(), mixed, "and enters the running hash in the block after");
	});
}

#[test]
fn without_a_blocks_own_randomness_that_of_an_epoch_counts() {
	run(|| {
		let mut relay = relay();
		relay.randomness = [9; 32].into();
		relay.additional_key_values = vec![randomness(None)];
		block_on(relay, || ());
		assert_eq!(RelayBeacon::randomness(), value_of([9; 32]));
	});
}

#[test]
fn two_blocks_cannot_share_a_block_of_the_relay_chain() {
	run(|| {
		blocks(1);
		let mut same = relay();
		same.current_slot = slot_of(1).into();
		sp_io::storage::start_transaction();
		let tried = catch_unwind(AssertUnwindSafe(|| block_on(same, || ())));
		sp_io::storage::rollback_transaction();
		assert!(tried.is_err(), "the relay chain's slot is that of the block before");
	});
}
