//! From logits to a token, the same way everywhere.

use std::cmp::Ordering;

use rand_chacha::{
	ChaCha20Rng,
	rand_core::{RngCore, SeedableRng},
};

use crate::GenerateRequest;

/// 32-bit words in a block of the ChaCha key stream.
const BLOCK_WORDS: u128 = 16;
/// How many candidates to look at first for `top_p`; four times as many each further time.
const FIRST_CANDIDATES: usize = 256;

/// Chooses tokens as a request wants them chosen.
#[derive(Debug)]
pub struct Sampler {
	temperature: f32,
	top_p: f64,
	top_k: usize,
	seed: u64,
}

impl Sampler {
	pub fn new(request: &GenerateRequest) -> Self {
		Self { temperature: request.temperature, top_p: request.top_p.into(), top_k: request.top_k, seed: request.seed }
	}

	/// The token for `position`, counted from the prompt's first token, given its `logits`,
	/// one for each id of the vocabulary. Equal logits rank by id, the lower first; what is
	/// not a number ranks last.
	///
	/// Above temperature 0: order the ids by logit; keep the first `top_k`; weigh them by
	/// `exp((logit - largest logit) / temperature)`; of these keep the fewest first ones that
	/// reach `top_p` of their sum; and take the one in which `u` of the kept sum falls.
	pub fn sample(&self, logits: &[f32], position: usize) -> u32 {
		if self.temperature == 0.0 || self.top_k == 1 {
			let best = (0..logits.len()).min_by(|&a, &b| rank(logits, a, b));
			return best.unwrap_or(0) as u32;
		}
		let kept = self.keep(logits);
		let sum: f64 = kept.iter().map(|(_, weight)| weight).sum();
		let mut rest = uniform(self.seed, position) * sum;
		for &(id, weight) in &kept {
			rest -= weight;
			if rest < 0.0 {
				return id;
			}
		}
		// Rounding can leave a little of the last one's share.
		kept.last().map_or(0, |&(id, _)| id)
	}

	/// The ids that may be taken, likeliest first, with their weights.
	fn keep(&self, logits: &[f32]) -> Vec<(u32, f64)> {
		let all = logits.len();
		let limit = if self.top_k == 0 { all } else { self.top_k.min(all) };
		let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
		let weight = |id: usize| {
			let weight = (f64::from(logits[id] - largest) / f64::from(self.temperature)).exp();
			if weight.is_nan() { 0.0 } else { weight }
		};
		let mut ids: Vec<usize> = (0..all).collect();

		// Sorting all ids would cost more than the rest together, and few are ever kept.
		let mut candidates = FIRST_CANDIDATES.min(limit);
		if self.top_p >= 1.0 {
			candidates = limit;
		}
		let total = if limit < all {
			sort_first(&mut ids, limit, logits);
			ids.truncate(limit);
			ids.iter().map(|&id| weight(id)).sum()
		} else {
			(0..all).map(weight).sum::<f64>()
		};
		loop {
			sort_first(&mut ids, candidates, logits);
			let mut kept = Vec::new();
			let mut sum = 0.0;
			for &id in &ids[..candidates] {
				let weight = weight(id);
				sum += weight;
				kept.push((id as u32, weight));
				if sum >= self.top_p * total {
					return kept;
				}
			}
			if candidates == limit {
				return kept;
			}
			candidates = (candidates * 4).min(limit);
		}
	}
}

/// Brings the `count` best ids to the front, in order.
fn sort_first(ids: &mut [usize], count: usize, logits: &[f32]) {
	if count < ids.len() && count > 0 {
		ids.select_nth_unstable_by(count - 1, |&a, &b| rank(logits, a, b));
	}
	ids[..count].sort_unstable_by(|&a, &b| rank(logits, a, b));
}

/// Larger logits first, then smaller ids; NaN last.
fn rank(logits: &[f32], a: usize, b: usize) -> Ordering {
	let key = |id: usize| if logits[id].is_nan() { f32::NEG_INFINITY } else { logits[id] };
	key(b).partial_cmp(&key(a)).unwrap_or(Ordering::Equal).then(a.cmp(&b))
}

/// The random number of a position, in [0, 1): the first 53 bits of the little-endian 64-bit
/// word that begins block `position` of the ChaCha20 key stream whose key is the seed's eight
/// bytes, little-endian, followed by zeros, and whose nonce is zero.
fn uniform(seed: u64, position: usize) -> f64 {
	let mut key = [0; 32];
	key[..8].copy_from_slice(&seed.to_le_bytes());
	let mut stream = ChaCha20Rng::from_seed(key);
	stream.set_word_pos(position as u128 * BLOCK_WORDS);
	(stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn sampler(temperature: f32, top_p: f32, top_k: usize, seed: u64) -> Sampler {
		Sampler::new(&GenerateRequest { temperature, top_p, top_k, seed, ..Default::default() })
	}

	#[test]
	fn greedy_takes_the_first_of_the_largest() {
		let logits = [f32::NAN, 1.0, 3.0, 3.0, f32::NEG_INFINITY];
		assert_eq!(sampler(0.0, 1.0, 0, 7).sample(&logits, 0), 2);
		assert_eq!(sampler(1.0, 1.0, 1, 7).sample(&logits, 0), 2);
	}

	/// Frozen: other implementations must agree, or answers could not be continued elsewhere.
	#[test]
	fn random_numbers_are_those_of_the_specification() {
		// The first words of the key streams of the all-zero key, as in RFC 8439, A.1.
		let words = |low: u64, high: u64| ((high << 32 | low) >> 11) as f64 / (1u64 << 53) as f64;
		assert_eq!(uniform(0, 0), words(0xade0_b876, 0x903d_f1a0));
		assert_eq!(uniform(0, 1), words(0xbee7_079f, 0x7a38_5155));
		assert_ne!(uniform(1, 0), uniform(0, 0));
	}

	#[test]
	fn frequencies_follow_the_weights() {
		let logits = [0.0, 2f32.ln(), 5f32.ln()];
		let sampler = sampler(1.0, 1.0, 0, 42);
		let mut counts = [0; 3];
		(0..8000).for_each(|position| counts[sampler.sample(&logits, position) as usize] += 1);
		for (count, expected) in counts.into_iter().zip([1000, 2000, 5000]) {
			assert!((expected - 150..expected + 150).contains(&count), "{counts:?}");
		}
	}

	#[test]
	fn top_p_keeps_the_fewest_that_reach_it() {
		let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
		let kept = |top_p, top_k| -> Vec<u32> {
			sampler(1.0, top_p, top_k, 0).keep(&logits).iter().map(|&(id, _)| id).collect()
		};
		assert_eq!(kept(0.4, 0), [0]);
		assert_eq!(kept(0.7, 0), [0, 1]);
		assert_eq!(kept(0.9, 0), [0, 1, 2]);
		assert_eq!(kept(0.9, 2), [0, 1]);
		assert_eq!(kept(0.6, 2), [0]);
	}

	proptest! {
		#[test]
		fn partial_sorting_keeps_what_full_sorting_keeps(
			logits in proptest::collection::vec(-8f32..8.0, 300..1500),
			top_p in 0.01f32..1.0,
			top_k in 0usize..1500,
		) {
			let sampler = sampler(1.0, top_p, top_k, 1);
			let kept: Vec<u32> = sampler.keep(&logits).iter().map(|&(id, _)| id).collect();
			let mut ids: Vec<usize> = (0..logits.len()).collect();
			ids.sort_by(|&a, &b| rank(&logits, a, b));
			let best: Vec<u32> = ids[..kept.len()].iter().map(|&id| id as u32).collect();
			prop_assert_eq!(&kept, &best);
			prop_assert!(kept.contains(&sampler.sample(&logits, 3)));
		}
	}
}
