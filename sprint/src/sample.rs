//! Draws from a beacon: of leaves, for checkers and after the commitment is on chain, and of hosts by weight.

use crate::hash::{Hash, Stream, blake2_256};
use alloc::{collections::BTreeSet, vec::Vec};

/// `min(n, count)` distinct positions below `count`, ascending; every set of that size is equally likely.
///
/// The draw reads `ChaCha8(H("gonka/sprint/sample" ‖ beacon ‖ host ‖ set:u32 ‖ segment:u8 ‖ count:u64))`. `set` is the number
/// of the leaf set within the host's committee: the two checkers of a set use the same number and so draw the same leaves.
/// `count` is the number of leaves that the host committed to in `segment`. Costs O(n log n) for any `count`.
pub fn sample(beacon: &Hash, host: &[u8; 32], set: u32, segment: u8, count: u64, n: u32) -> Vec<u64> {
	let key = blake2_256(&[b"gonka/sprint/sample", beacon, host, &set.to_le_bytes(), &[segment], &count.to_le_bytes()]);
	let mut stream = Stream::new(&key);
	let mut chosen = BTreeSet::new();
	// Floyd's algorithm: one draw for each element, without retries for duplicates.
	for last in count.saturating_sub(u64::from(n))..count {
		if !chosen.insert(below_or_equal(&mut stream, last)) {
			chosen.insert(last);
		}
	}
	chosen.into_iter().collect()
}

/// The priority of a host with this weight in a sample by weight: weight / u, in units of 2⁻³², where `hash` draws u from
/// 2⁻³², 2 · 2⁻³² … below 1. The hosts with the largest priorities are a priority sample (Duffield, Lund and Thorup, 2007).
pub fn priority(weight: u64, hash: &Hash) -> u128 {
	let draw = hash.first_chunk().copied().map_or(1, u32::from_le_bytes).max(1);
	(u128::from(weight) << 64).checked_div(draw.into()).unwrap_or(0)
}

/// A uniform number in 0..=`last`. Draws again what exceeds `last`, so there is no modulo bias.
pub(crate) fn below_or_equal(stream: &mut Stream, last: u64) -> u64 {
	let mask = u64::MAX.checked_shr(last.leading_zeros()).unwrap_or(0);
	loop {
		let draw = stream.next_u64() & mask;
		if draw <= last {
			return draw;
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#[test]
		fn positions_are_distinct_in_range_and_ascending(beacon in any::<[u8; 32]>(), count in any::<u64>(), small in 0u64..200, n in 0u32..100) {
			for count in [count, small] {
				let positions = sample(&beacon, &[1; 32], 0, 0, count, n);
				prop_assert_eq!(positions.len() as u64, count.min(u64::from(n)));
				prop_assert!(positions.windows(2).all(|pair| pair[0] < pair[1]));
				prop_assert!(positions.iter().all(|position| *position < count));
			}
		}
	}

	#[test]
	fn every_position_is_equally_likely() {
		let (count, n, rounds) = (23u64, 7, 20_000u32);
		let mut hits = [0f64; 23];
		for set in 0..rounds {
			for position in sample(&[3; 32], &[4; 32], set, 1, count, n) {
				hits[position as usize] += 1.0;
			}
		}
		let mean = f64::from(rounds) * 7.0 / 23.0;
		let chi_squared: f64 = hits.iter().map(|hits| (hits - mean).powi(2) / mean).sum();
		// With 22 degrees of freedom, one in a thousand exceeds 48.
		assert!(chi_squared < 48.0, "{chi_squared}");
	}

	#[test]
	fn every_argument_matters() {
		let base = sample(&[1; 32], &[2; 32], 3, 4, 1 << 40, 32);
		assert_ne!(base, sample(&[9; 32], &[2; 32], 3, 4, 1 << 40, 32));
		assert_ne!(base, sample(&[1; 32], &[9; 32], 3, 4, 1 << 40, 32));
		assert_ne!(base, sample(&[1; 32], &[2; 32], 9, 4, 1 << 40, 32));
		assert_ne!(base, sample(&[1; 32], &[2; 32], 3, 9, 1 << 40, 32));
		assert_ne!(base, sample(&[1; 32], &[2; 32], 3, 4, (1 << 40) - 1, 32));
		assert_eq!(sample(&[1; 32], &[2; 32], 3, 4, 5, 32), [0, 1, 2, 3, 4]);
	}
}
