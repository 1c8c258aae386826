//! Keyed permutations: of seats, and of the participants that share places.

use crate::hash::{Hash, Stream, blake2_256};

/// Number of rounds.
const ROUNDS: usize = 8;

/// The order in which hosts of a kind get places: a permutation keyed by the draw's
/// beacon, so that the draw's limit leaves out random ones and not the last to commit.
#[derive(Clone, Debug)]
pub struct Order(Permutation);

impl Order {
	/// The order of so many `hosts`.
	pub fn new(beacon: &Hash, hosts: u32) -> Self {
		Self(Permutation::keyed(b"gonka/sprint/order", beacon, hosts.into()))
	}

	/// The place of the host with this number. Numbers beyond the hosts are their own places.
	pub fn place(&self, number: u32) -> u32 {
		self.0.seat(number.into()) as u32
	}

	/// The number of the host at a place: the inverse of [`Self::place`].
	pub fn number(&self, place: u32) -> u32 {
		self.0.slot(place.into()) as u32
	}
}

/// A keyed permutation of `0..size`.
#[derive(Clone, Debug)]
pub(super) struct Permutation {
	keys: [u64; ROUNDS],
	/// Bits of each half.
	half: u32,
	size: u64,
}

impl Permutation {
	/// The permutation of seats: keys from `ChaCha8(H("gonka/sprint/committee" ‖ beacon))`.
	pub(super) fn new(beacon: &Hash, size: u64) -> Self {
		Self::keyed(b"gonka/sprint/committee", beacon, size)
	}

	/// Keys from `ChaCha8(H(domain ‖ beacon))`.
	fn keyed(domain: &[u8], beacon: &Hash, size: u64) -> Self {
		let mut stream = Stream::new(&blake2_256(&[domain, beacon]));
		let bits = u64::BITS.saturating_sub(size.saturating_sub(1).leading_zeros());
		Self { keys: core::array::from_fn(|_| stream.next_u64()), half: bits.div_ceil(2).max(1), size }
	}

	/// The seat of a slot below `size`; anything else stays where it is.
	pub(super) fn seat(&self, slot: u64) -> u64 {
		self.walk(slot, |slot| {
			let round = |(left, right): (u64, u64), key: &u64| (right, left ^ self.mix(right, *key));
			let (left, right) = self.keys.iter().fold(self.split(slot), round);
			self.join(left, right)
		})
	}

	/// The slot of a seat: the inverse of [`Self::seat`].
	pub(super) fn slot(&self, seat: u64) -> u64 {
		self.walk(seat, |seat| {
			let round = |(left, right): (u64, u64), key: &u64| (right ^ self.mix(left, *key), left);
			let (left, right) = self.keys.iter().rev().fold(self.split(seat), round);
			self.join(left, right)
		})
	}

	/// Steps along the cycle of `from` until it is below `size` again. That takes at most 4 steps on average, because the
	/// power of two is at most 4 times the size, and it ends, because a cycle returns to its start.
	fn walk(&self, from: u64, step: impl Fn(u64) -> u64) -> u64 {
		if from >= self.size {
			return from;
		}
		let mut at = step(from);
		while at >= self.size {
			at = step(at);
		}
		at
	}

	fn split(&self, x: u64) -> (u64, u64) {
		(x.wrapping_shr(self.half), x & self.mask())
	}

	fn join(&self, left: u64, right: u64) -> u64 {
		left.wrapping_shl(self.half) | right
	}

	/// splitmix64's finaliser, cut to half a number.
	fn mix(&self, x: u64, key: u64) -> u64 {
		let x = x ^ key;
		let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		(x ^ (x >> 31)) & self.mask()
	}

	fn mask(&self) -> u64 {
		1u64.wrapping_shl(self.half).wrapping_sub(1)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;
	use std::collections::BTreeSet;

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(64))]

		#[test]
		fn the_permutation_is_a_bijection(beacon: Hash, size in 0u64..3000, large in 1u64..1 << 37, at: u64) {
			let permutation = Permutation::new(&beacon, size);
			let seats: BTreeSet<u64> = (0..size).map(|slot| permutation.seat(slot)).collect();
			prop_assert_eq!(seats.len() as u64, size);
			prop_assert!(seats.iter().all(|seat| *seat < size));
			prop_assert!((0..size).all(|slot| permutation.slot(permutation.seat(slot)) == slot));
			let (permutation, slot) = (Permutation::new(&beacon, large), at % large);
			let seat = permutation.seat(slot);
			prop_assert!(seat < large && permutation.slot(seat) == slot);
		}

		#[test]
		fn the_order_of_places_is_a_bijection_of_its_own(beacon: Hash, participants in 2u32..3000) {
			let order = Order::new(&beacon, participants);
			let places: BTreeSet<u32> = (0..participants).map(|number| order.place(number)).collect();
			prop_assert!(places.len() as u32 == participants && places.last() == Some(&(participants - 1)));
			prop_assert!((0..participants + 2).all(|number| order.number(order.place(number)) == number));
			let seats = Permutation::new(&beacon, participants.into());
			prop_assert!(participants < 100 || (0..participants).any(|at| u64::from(order.place(at)) != seats.seat(at.into())));
		}
	}
}
