//! Sampling of tokens, their fingerprints, and their margins in a check.

use std::collections::BTreeMap;

use gonka_primitives::{
	Hash,
	fingerprint::{Fingerprint, SCALE, projection},
	sampler::{FORBIDDEN, LOGIT_NAT, MAX_LOGIT, SamplingParams, bias, forbid, mask},
};

use crate::{GenerateRequest, grammar::Masks};

/// Chooses tokens with the sampling parameters of a request.
#[derive(Debug)]
pub struct Sampler {
	sampling: SamplingParams,
	key: Hash,
	/// Number of occurrences in the completion of each token that occurred; empty if the request has no penalties.
	seen: BTreeMap<u32, u32>,
	/// Biases of tokens, in 10⁻³ nats.
	biases: Vec<(u32, i32)>,
	bounds: Bounds,
	/// Signs of the fingerprint's projection, 16 for each number of a hidden state.
	signs: Vec<[f32; 16]>,
	/// Logits of the present position, rounded.
	row: Vec<i32>,
}

/// The bounds of a completion, from which follow the tokens that are forbidden. By default all are permitted.
#[derive(Debug, Default)]
pub struct Bounds {
	/// The model's own end ids, which are permitted where nothing else is.
	eos: Vec<u32>,
	/// Ids that end the completion.
	ends: Vec<u32>,
	/// Number of tokens before which these are forbidden.
	unfinished: usize,
	/// The grammar's masks.
	masks: Option<Masks>,
}

impl Bounds {
	/// Returns the bounds of `request`'s completion by a model with the end ids `eos`. `masks` are those of its grammar.
	pub fn new(request: &GenerateRequest, eos: &[u32], masks: Option<Masks>) -> Self {
		let unfinished = request.min_tokens.saturating_sub(request.delivered);
		let mut ends = request.stop_token_ids.clone();
		if !request.ignore_eos {
			ends.extend(eos);
		}
		Self { eos: eos.to_vec(), ends, unfinished, masks }
	}

	/// Forbids tokens of the present position.
	fn apply(&self, row: &mut [i32]) {
		if self.unfinished == 0 && self.masks.is_none() {
			return;
		}
		let eos: Vec<(u32, i32)> = self.eos.iter().filter_map(|&id| Some((id, *row.get(id as usize)?))).collect();
		if let Some(masks) = &self.masks {
			mask(row, masks.next().as_ref().map_or(&[], |permitted| permitted.as_slice()));
		}
		if self.unfinished > 0 {
			forbid(row, self.ends.iter().copied());
		}
		if row.iter().all(|&logit| logit == FORBIDDEN) {
			for (id, logit) in eos {
				if let Some(place) = row.get_mut(id as usize) {
					*place = logit;
				}
			}
		}
	}

	/// Goes on after a token.
	fn append(&mut self, token: u32) {
		self.unfinished = self.unfinished.saturating_sub(1);
		if let Some(masks) = &self.masks {
			masks.append(token);
		}
	}
}

impl Sampler {
	/// Makes a sampler for hidden states of `width` numbers, which permits all tokens.
	pub fn new(request: &GenerateRequest, width: usize) -> Self {
		Self::bounded(request, width, Bounds::default())
	}

	/// Makes a sampler for hidden states of `width` numbers, which chooses within these bounds.
	pub(crate) fn bounded(request: &GenerateRequest, width: usize, bounds: Bounds) -> Self {
		let sign = |word: u16| std::array::from_fn(|row| if word >> row & 1 == 1 { -1.0 } else { 1.0 });
		let signs = projection(&request.key, width).into_iter().map(sign).collect();
		let sampling = request.sampling();
		let (seen, biases) = (BTreeMap::new(), request.biases().collect());
		let mut sampler = Self { sampling, key: request.key, seen, biases, bounds, signs, row: Vec::new() };
		let (prompt, delivered) = request.prompt.split_at(request.prompt.len().saturating_sub(request.delivered));
		if sampling.penalises() {
			sampler.seen.extend(prompt.iter().map(|&id| (id, 0)));
		}
		delivered.iter().for_each(|&id| sampler.count(id));
		sampler
	}

	/// Returns the token for `position`, counted from the prompt's first, given its `logits`, one for each id. Called once for
	/// each position.
	pub fn choose(&mut self, position: usize, logits: &[f32]) -> u32 {
		self.read(logits);
		self.sampling.choose(&self.key, position as u32, &self.row)
	}

	/// Returns how far `token` is from being due at `position`: see [`SamplingParams::margin`]. Called once for each position,
	/// as [`choose`](Self::choose) is.
	pub fn margin(&mut self, position: usize, logits: &[f32], token: u32) -> u32 {
		self.read(logits);
		self.sampling.margin(&self.key, position as u32, &self.row, token)
	}

	/// Returns whether `token` is permitted at the position that was read last.
	pub(crate) fn is_permitted(&self, token: u32) -> bool {
		self.row.get(token as usize).is_some_and(|logit| *logit != FORBIDDEN)
	}

	/// Records the completion's next token, for the penalties and the bounds.
	pub fn append(&mut self, token: u32) {
		self.count(token);
		self.bounds.append(token);
	}

	/// Counts a token of the completion, for the penalties.
	fn count(&mut self, token: u32) {
		if self.sampling.penalises() {
			*self.seen.entry(token).or_default() += 1;
		}
	}

	/// Returns the fingerprint of a hidden state.
	pub fn fingerprint(&self, hidden: &[f32]) -> Fingerprint {
		let (mut projected, mut square) = ([0f32; 16], 0f32);
		for (&number, signs) in hidden.iter().zip(&self.signs) {
			square += number * number;
			projected.iter_mut().zip(signs).for_each(|(sum, sign)| *sum += number * sign);
		}
		let factor = f32::from(SCALE) / square.sqrt();
		// The cast saturates, and turns NaN into 0.
		projected.map(|sum| (sum * factor).round_ties_even() as i8)
	}

	/// Rounds logits, applies penalties and biases, and forbids tokens.
	fn read(&mut self, logits: &[f32]) {
		self.row.clear();
		self.row.extend(logits.iter().map(|&logit| round(logit)));
		if self.sampling.penalises() {
			self.sampling.penalise(&mut self.row, self.seen.iter().map(|(&token, &count)| (token, count)));
		}
		bias(&mut self.row, self.biases.iter().copied());
		self.bounds.apply(&mut self.row);
	}
}

/// Rounds a logit to 2⁻⁶ nats, to the nearest, ties to even, within the limits. NaN becomes the lowest value.
fn round(logit: f32) -> i32 {
	// A sum with 1.5 * 2^23 has no fraction left and keeps the integer in its low bits. This takes a few instructions
	// for many logits at a time; a function call for each would cost more than the rest of sampling.
	const MAGIC: f32 = 12_582_912.0;
	let limit = MAX_LOGIT as f32;
	let scaled = (logit * LOGIT_NAT as f32).max(-limit).min(limit);
	(scaled + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::{fingerprint::distance, tape::seed_key};
	use proptest::prelude::*;

	#[test]
	fn logits_are_rounded_to_the_nearest_unit() {
		assert_eq!([0.5, 1.5, -0.5, -1.5, 2.51].map(|units| round(units / 64.0)), [0, 2, 0, -2, 3]);
		assert_eq!([f32::INFINITY, 1e30, 16_384.0].map(round), [MAX_LOGIT; 3]);
		assert_eq!([f32::NEG_INFINITY, f32::NAN, -1e30].map(round), [-MAX_LOGIT; 3]);
	}

	#[test]
	fn penalties_count_delivered_and_generated_tokens() {
		let request = GenerateRequest {
			prompt: vec![1, 2],
			delivered: 1,
			temperature: 0.0,
			frequency_penalty: 1.0,
			..Default::default()
		};
		let mut sampler = Sampler::new(&request, 4);
		// The penalty is one nat for token 2, and none for the prompt's own tokens.
		assert_eq!(sampler.choose(2, &[0.0, 1.0, 1.9]), 1);
		assert_eq!(sampler.choose(2, &[0.0, 1.0, 2.1]), 2);
		sampler.append(2);
		assert_eq!(sampler.choose(3, &[0.0, 1.0, 2.9]), 1);
		assert_eq!(sampler.margin(3, &[0.0, 1.0, 2.5], 2), 1 << 15);
	}

	#[test]
	fn biases_come_after_penalties() {
		let request = GenerateRequest {
			prompt: vec![1],
			delivered: 1,
			temperature: 0.0,
			frequency_penalty: 1.0,
			logit_bias: [(1, 2.0), (2, -1.0)].into(),
			..Default::default()
		};
		let mut sampler = Sampler::new(&request, 4);
		assert_eq!(sampler.choose(1, &[0.9, 0.0, 1.5]), 1);
		assert_eq!(sampler.choose(1, &[1.1, 0.0, 1.5]), 0);
	}

	#[test]
	fn end_ids_are_forbidden_before_the_minimum_length() {
		let request = GenerateRequest {
			prompt: vec![1, 1],
			delivered: 1,
			temperature: 0.0,
			min_tokens: 2,
			stop_token_ids: vec![0],
			..Default::default()
		};
		let mut sampler = Sampler::bounded(&request, 4, Bounds::new(&request, &[2], None));
		assert_eq!(sampler.choose(2, &[9.0, 0.0, 9.0]), 1);
		assert!(!sampler.is_permitted(0) && !sampler.is_permitted(2) && sampler.is_permitted(1));
		sampler.append(1);
		assert_eq!(sampler.choose(3, &[0.0, 0.0, 9.0]), 2);
		// Without another token, the model's own end ids are permitted.
		let mut sampler = Sampler::bounded(&request, 4, Bounds::new(&request, &[1, 2], None));
		assert_eq!(sampler.choose(2, &[9.0, 0.0, 8.0]), 2);
		let ignoring = GenerateRequest { ignore_eos: true, ..request };
		let mut sampler = Sampler::bounded(&ignoring, 4, Bounds::new(&ignoring, &[2], None));
		assert_eq!(sampler.choose(2, &[9.0, 0.0, 8.0]), 2, "an ignored end id is like any other");
	}

	#[test]
	fn a_zero_or_nan_state_has_a_fingerprint_of_zeros() {
		let sampler = Sampler::new(&GenerateRequest::default(), 3);
		assert_eq!(sampler.fingerprint(&[0.0; 3]), [0; 16]);
		assert_eq!(sampler.fingerprint(&[f32::NAN; 3]), [0; 16]);
	}

	proptest! {
		#[test]
		fn rounding_agrees_with_exact_arithmetic(logit in -20_000f32..20_000.0) {
			let exact = (f64::from(logit) * 64.0).round_ties_even().clamp(-1_048_576.0, 1_048_576.0);
			prop_assert_eq!(f64::from(round(logit)), exact);
		}

		#[test]
		fn a_fingerprint_depends_on_the_states_direction_only(
			hidden in prop::collection::vec(-3f32..3.0, 64),
			factor in prop_oneof![Just(0.5f32), Just(4.0)],
			seed: u64,
		) {
			let sampler = Sampler::new(&GenerateRequest { key: seed_key(seed), ..Default::default() }, 64);
			let longer: Vec<f32> = hidden.iter().map(|number| number * factor).collect();
			let opposite: Vec<f32> = hidden.iter().map(|number| -number).collect();
			let fingerprint = sampler.fingerprint(&hidden);
			prop_assert_eq!(sampler.fingerprint(&longer), fingerprint);
			prop_assert!(distance(&sampler.fingerprint(&opposite), &fingerprint.map(|n| n.saturating_neg())) <= 16);
		}
	}
}
