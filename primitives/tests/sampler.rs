//! Biases and masks: what the steps before the temperature do to a row of logits.

use gonka_primitives::{
	sampler::{FORBIDDEN, MAX_LOGIT, MAX_MARGIN, SamplingParams, bias, forbid, mask},
	tape::seed_key,
};
use proptest::prelude::*;

#[test]
fn biases_are_added_in_thousandths_of_a_nat() {
	let mut logits = [0, 10, -10, MAX_LOGIT, -MAX_LOGIT, FORBIDDEN];
	bias(&mut logits, [(0, 1_500), (1, 15), (2, -15), (3, 100_000), (4, -100_000), (5, 100_000), (99, 1)]);
	// 1.5 nats; 0.96 units round towards 0, both ways; the limits; no logit.
	assert_eq!(logits, [96, 10, -10, MAX_LOGIT, -MAX_LOGIT, FORBIDDEN]);
	bias(&mut logits, [(0, i32::MIN), (1, i32::MAX)]);
	assert_eq!(logits[..2], [-MAX_LOGIT, MAX_LOGIT]);
}

#[test]
fn a_mask_has_a_bit_for_each_token() {
	let mut logits = [7; 70];
	mask(&mut logits, &[u32::MAX, 0b101]);
	let permitted: Vec<usize> = (0..70).filter(|&token| logits[token] == 7).collect();
	assert_eq!(permitted, (0..33).chain([34]).collect::<Vec<_>>());
	forbid(&mut logits, [0, 34, 99]);
	assert_eq!([logits[0], logits[1], logits[34]], [FORBIDDEN, 7, FORBIDDEN]);
}

#[test]
fn a_row_without_a_permitted_token_has_no_choice() {
	let logits = [FORBIDDEN; 3];
	let sampling = SamplingParams::default();
	assert_eq!(sampling.choose(&[0; 32], 0, &logits), 0);
	assert_eq!(sampling.margin(&[0; 32], 0, &logits, 0), MAX_MARGIN);
}

fn any_sampling() -> impl Strategy<Value = SamplingParams> {
	let temperature = prop_oneof![Just(0u32), Just(1000), 1u32..3000, Just(100_000), any::<u32>()];
	let top_k = prop_oneof![Just(0u32), 1u32..60];
	let top_p = prop_oneof![Just(1_000_000u32), 0..1_000_000u32];
	let min_p = prop_oneof![Just(0u32), 0..=1_000_000u32];
	(temperature, top_k, top_p, min_p).prop_map(|(temperature, top_k, top_p, min_p)| SamplingParams {
		temperature,
		top_k,
		top_p,
		min_p,
		..Default::default()
	})
}

proptest! {
	/// Forbidden tokens are as good as not there: a token that is far below all others weighs nothing at any temperature, and
	/// with such tokens in their place nothing changes for the permitted ones.
	#[test]
	fn nothing_depends_on_forbidden_tokens(
		sampling in any_sampling(),
		key in any::<u64>(),
		rows in prop::collection::vec((-600i32..600, any::<bool>(), -600i32..600), 1..80),
	) {
		let key = seed_key(key);
		let row = |other: bool| {
			let one = |(logit, permitted, elsewhere): &(i32, bool, i32)| {
				// What a forbidden token's logit was makes no difference.
				let logit = if *permitted || !other { *logit } else { *elsewhere };
				(logit, *permitted)
			};
			let (mut logits, permitted): (Vec<i32>, Vec<bool>) = rows.iter().map(one).unzip();
			let words = permitted.chunks(32).map(|chunk| {
				chunk.iter().enumerate().fold(0, |word, (bit, permitted)| word | u32::from(*permitted) << bit)
			});
			mask(&mut logits, &words.collect::<Vec<u32>>());
			logits
		};
		let logits = row(false);
		prop_assert_eq!(&logits, &row(true));
		let lowest: Vec<i32> = logits.iter().map(|logit| (*logit).max(-MAX_LOGIT)).collect();
		let any_permitted = logits.iter().any(|logit| *logit != FORBIDDEN);
		let token = sampling.choose(&key, 5, &logits);
		for (at, logit) in (0u32..).zip(&logits) {
			let margin = sampling.margin(&key, 5, &logits, at);
			if *logit == FORBIDDEN {
				prop_assert_eq!(margin, MAX_MARGIN);
			} else {
				prop_assert_eq!(margin, sampling.margin(&key, 5, &lowest, at));
			}
		}
		if any_permitted {
			prop_assert_ne!(logits[token as usize], FORBIDDEN);
			prop_assert_eq!(token, sampling.choose(&key, 5, &lowest));
			prop_assert_eq!(sampling.margin(&key, 5, &logits, token), 0);
		}
	}
}
