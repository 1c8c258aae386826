//! Log probabilities of tokens, from the model's own logits.

use crate::TokenLogprobs;

/// The lowest log probability that is reported: JSON has no infinity.
const FLOOR: f64 = -9999.0;

/// Returns the log probability of token `id` and those of the `count` likeliest tokens, given a logit for each token.
pub fn logprobs(logits: &[f32], id: u32, count: usize) -> TokenLogprobs {
	let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
	// In `f64`, since the rounding errors of a hundred thousand terms add up.
	let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).filter(|term| term.is_finite()).sum();
	let whole = f64::from(largest) + sum.ln();
	let logprob = |logit: f32| {
		let exact = f64::from(logit) - whole;
		if exact.is_nan() { FLOOR as f32 } else { exact.clamp(FLOOR, 0.0) as f32 }
	};
	let chosen = logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
	let mut order: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).filter(|(_, logit)| !logit.is_nan()).collect();
	let likelier = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
	if (1..order.len()).contains(&count) {
		order.select_nth_unstable_by(count - 1, likelier);
	}
	order.truncate(count);
	order.sort_unstable_by(likelier);
	let top = order.into_iter().map(|(id, logit)| (id, logprob(logit))).collect();
	TokenLogprobs { chosen: logprob(chosen), top }
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn logprobs_are_those_of_the_softmax() {
		let logits = [1.0f32, 3.0, f32::NEG_INFINITY, 3.0, -200.0, f32::NAN];
		let sum = 1f64.exp() + 2.0 * 3f64.exp();
		let expected = |logit: f64| (logit - sum.ln()) as f32;
		let TokenLogprobs { chosen, top } = logprobs(&logits, 0, 4);
		assert!((chosen - expected(1.0)).abs() < 1e-6);
		assert_eq!(top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 0, 4]);
		assert!((top[0].1 - expected(3.0)).abs() < 1e-6 && top[0].1 == top[1].1);
		for (id, count) in [(2, 0), (5, 0), (99, 0)] {
			assert_eq!(logprobs(&logits, id, count), TokenLogprobs { chosen: FLOOR as f32, top: vec![] });
		}
		assert_eq!(logprobs(&logits, 1, 20).top.len(), 5);
		assert_eq!(logprobs(&[], 1, 20), TokenLogprobs { chosen: FLOOR as f32, top: vec![] });
	}
}
