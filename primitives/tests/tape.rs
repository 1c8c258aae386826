//! Compares the tape with its definition in real numbers, and sampling with the softmax.

use gonka_primitives::{
	sampler::{LOGIT_NAT, SamplingParams},
	tape::{NAT, REACH, TapeRow, gumbel, seed_key, tape_key, weight},
};
use proptest::prelude::*;

fn exact_gumbel(uniform: u32) -> f64 {
	let p = (f64::from(uniform) + 0.5) / 4_294_967_296.0;
	-(-(-p).ln_1p()).ln()
}

/// The probabilities of tokens with these logits, in 2⁻⁶ nats.
fn softmax(logits: &[i32], temperature: f64) -> Vec<f64> {
	let largest = logits.iter().fold(i32::MIN, |most, &logit| most.max(logit));
	let weight = |&logit: &i32| (f64::from(logit - largest) / f64::from(LOGIT_NAT) / temperature).exp();
	let sum: f64 = logits.iter().map(weight).sum();
	logits.iter().map(|logit| weight(logit) / sum).collect()
}

/// Frozen values: a host with another tape disagrees with all others.
#[test]
fn the_tape_has_the_specified_values() {
	let key = tape_key(&[1; 32], &[2; 32]);
	assert_eq!(hex::encode(key), "a34f042a8963efdd7866370e6e5a46c7b5e5ab50e66c337b939443686bd85200");
	assert_eq!(hex::encode(seed_key(7)), "734637de5a3febb5ae4fde06f1ef7079a8579e43aedcdc2ba28f946ca7f73420");
	let row = TapeRow::new(&key, 5);
	let noise: Vec<i32> = (0..6).map(|token| row.noise(token)).collect();
	assert_eq!(noise, [1040, 69_116, 27_985, 208_147, 100_677, 75_054]);
	assert_ne!(tape_key(&[1; 32], &[3; 32]), key);
}

#[test]
fn the_error_of_noise_is_below_its_unit() {
	let grid = (0..=u32::MAX).step_by(65_537);
	let edges = (0..32).flat_map(|bit| [(1u32 << bit) - 1, 1 << bit, !(1 << bit), !((1u32 << bit) - 1)]);
	let mut uniforms: Vec<u32> = grid.chain(edges).collect();
	uniforms.sort_unstable();
	let mut before = i32::MAX;
	for uniform in uniforms {
		let noise = gumbel(uniform);
		let error = f64::from(noise) - exact_gumbel(uniform) * f64::from(NAT);
		assert!(error.abs() < 0.6, "{uniform}: off by {error} units");
		assert!(noise <= before, "{uniform}: noise rises");
		before = noise;
	}
	assert_eq!((gumbel(0), gumbel(u32::MAX)), (1_499_061, -205_127));
}

#[test]
fn weights_are_exponentials_of_deficits() {
	for deficit in (0..REACH).step_by(97) {
		let exact = (-f64::from(deficit) / f64::from(NAT)).exp() * 4_294_967_296.0;
		let error = weight(deficit) as f64 - exact;
		assert!(error.abs() <= 1.0 + exact * 2e-6, "{deficit}: off by {error}");
	}
	assert_eq!((weight(0), weight(REACH), weight(REACH + 1)), (1 << 32, 1, 0));
}

/// Chi-square of the counts of 10⁵ draws against `expected`; the number of tokens that are expected.
fn chi_square(sampling: &SamplingParams, logits: &[i32], expected: &[f64]) -> (f64, usize) {
	const DRAWS: u32 = 100_000;
	let mut counts = vec![0u32; logits.len()];
	let key = seed_key(20);
	(0..DRAWS).for_each(|position| counts[sampling.choose(&key, position, logits) as usize] += 1);
	let mut sum = 0.0;
	for (&count, probability) in counts.iter().zip(expected) {
		let expected = probability * f64::from(DRAWS);
		if expected == 0.0 {
			assert_eq!(count, 0);
		} else {
			sum += (f64::from(count) - expected).powi(2) / expected;
		}
	}
	(sum, expected.iter().filter(|&&probability| probability > 0.0).count())
}

/// The bound that a sum of `n` squares exceeds once in a million times.
fn bound(tokens: usize) -> f64 {
	let n = tokens as f64 - 1.0;
	// Wilson and Hilferty's approximation at 4.75 standard deviations.
	n * (1.0 - 2.0 / (9.0 * n) + 4.75 * (2.0 / (9.0 * n)).sqrt()).powi(3)
}

#[test]
fn frequencies_follow_the_softmax() {
	let logits: Vec<i32> = (0..40).map(|token| 20 * (token % 13) - 3 * token).collect();
	for temperature in [500, 1000, 1700] {
		let sampling = SamplingParams { temperature, ..Default::default() };
		let expected = softmax(&logits, f64::from(temperature) / 1000.0);
		let (sum, tokens) = chi_square(&sampling, &logits, &expected);
		assert!(sum < bound(tokens), "temperature {temperature}: {sum}");
	}
	// Many equal tokens are chosen equally often.
	let (sum, tokens) = chi_square(&SamplingParams::default(), &[0; 2000], &[1.0 / 2000.0; 2000]);
	assert!(sum < bound(tokens), "{sum}");
}

#[test]
fn frequencies_of_the_kept_tokens_follow_the_softmax() {
	let logits: Vec<i32> = (0..40).map(|token| 20 * (token % 13) - 3 * token).collect();
	let sampling = SamplingParams { top_k: 9, ..Default::default() };
	let mut order: Vec<usize> = (0..40).collect();
	order.sort_by_key(|&token| std::cmp::Reverse(logits[token]));
	let mut expected = softmax(&logits, 1.0);
	order[9..].iter().for_each(|&token| expected[token] = 0.0);
	let sum: f64 = expected.iter().sum();
	expected.iter_mut().for_each(|probability| *probability /= sum);
	let (sum, tokens) = chi_square(&sampling, &logits, &expected);
	assert_eq!(tokens, 9);
	assert!(sum < bound(tokens), "{sum}");
}

#[test]
fn noise_of_neighbouring_tokens_and_positions_is_independent() {
	// Correlations of uniform order over 10⁵ pairs have a standard deviation of 0.0032.
	let key = seed_key(3);
	let noise = |position, token| TapeRow::new(&key, position).noise(token);
	let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
	for (name, (positions, tokens)) in [("token", (0, 1)), ("pair", (0, 2)), ("position", (1, 0))] {
		let pairs: Vec<(f64, f64)> = (0..100_000u32)
			.map(|i| (noise(i / 300, i % 300 * 3), noise(i / 300 + positions, i % 300 * 3 + tokens)))
			.map(|(a, b)| (f64::from(a < 24_000), f64::from(b < 24_000)))
			.collect();
		let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
		let both = mean(&a.iter().zip(&b).map(|(a, b)| a * b).collect::<Vec<_>>());
		let correlation = (both - mean(&a) * mean(&b)) / (mean(&a) * (1.0 - mean(&a)));
		assert!(correlation.abs() < 0.016, "{name}: {correlation}");
	}
}

#[test]
fn penalties_apply_in_their_order() {
	let sampling = SamplingParams { repetition: 1250, presence: 500, frequency: 100, ..Default::default() };
	let mut logits = [100, -100, 100, 100];
	sampling.penalise(&mut logits, [(0, 0), (1, 2), (2, 1), (9, 1)]);
	// Repetition alone; −125 and 0.7 nats of 64; 80 and 0.6 nats; untouched.
	assert_eq!(logits, [80, -125 - 44, 80 - 38, 100]);
}

proptest! {
	#[test]
	fn another_key_or_position_gives_other_noise(key: [u8; 32], other: [u8; 32], position: u32, token: u32) {
		let noise = |key: &[u8; 32], position| {
			(0..4).map(|i| TapeRow::new(key, position).noise(token.wrapping_add(i))).collect::<Vec<_>>()
		};
		prop_assert_eq!(noise(&key, position), noise(&key, position));
		prop_assert_ne!(noise(&key, position), noise(&key, position.wrapping_add(1)));
		if key != other {
			prop_assert_ne!(noise(&key, position), noise(&other, position));
		}
	}
}
