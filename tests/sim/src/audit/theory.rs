//! Theory with which the measurements of sampled validation must agree. It follows from the distribution of a receipt's
//! evidence: it draws no receipt and calls no function of the chain.
//!
//! A token's evidence is spread over a fine lattice in such a way that its mean stays. The receipt's evidence is that
//! distribution convolved with itself, and clamped. The sum of evidence, never below 0, is then a Markov chain over a
//! coarser lattice, and the mean time to its alarm solves the linear system `E(i) = 1 + Σ P(i → j) · E(j)` (Brook and
//! Evans, 1972). Spreading adds at most a quarter of the lattice's step, squared, to a variance.

use super::{Bins, HONEST, LENGTHS};
use gonka_primitives::audit::{CalibrationProfile, FRESH, NAT};

/// Steps of a nat for a token's evidence.
const FINE: f64 = 1024.0;
/// Steps of a nat for the sum of receipts' evidence.
const COARSE: f64 = 64.0;

/// A distribution over the multiples of a step, from the `low`th on.
#[derive(Clone, Debug)]
pub struct Lattice {
	steps: f64,
	low: i64,
	shares: Vec<f64>,
}

impl Lattice {
	/// Makes a distribution of values with their probabilities. Each value is divided between its two neighbours on the
	/// lattice.
	pub fn new(steps: f64, values: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
		let ends = values.clone().map(|(value, _)| (value * steps).floor() as i64);
		let (low, high) = ends.fold((i64::MAX, i64::MIN), |(low, high), end| (low.min(end), high.max(end + 1)));
		let mut shares = vec![0.0; (high - low + 1).max(1) as usize];
		for (value, share) in values {
			let position = value * steps - low as f64;
			let (whole, rest) = (position.floor() as usize, position.fract());
			shares[whole] += share * (1.0 - rest);
			shares[whole + 1] += share * rest;
		}
		Self { steps, low, shares }
	}

	/// Returns values in nats, with their probabilities.
	pub fn values(&self) -> impl Iterator<Item = (f64, f64)> + Clone {
		self.shares.iter().enumerate().map(|(index, share)| ((self.low + index as i64) as f64 / self.steps, *share))
	}

	/// Returns the expectation of a function.
	pub fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
		self.values().map(|(value, share)| share * of(value)).sum()
	}

	/// Returns the distribution of the sum with an independent term. Everything above `top` counts as `top`.
	fn plus(&self, term: &Self, top: i64) -> Self {
		let low = self.low + term.low;
		let all = self.shares.len() + term.shares.len() - 1;
		let length = all.min((top - low + 1).max(1) as usize);
		let mut shares = vec![0.0; length];
		for (index, share) in term.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
			let direct = length.saturating_sub(index).min(self.shares.len());
			for (sum, own) in shares.iter_mut().skip(index).zip(&self.shares[..direct]) {
				*sum += share * own;
			}
			shares[length - 1] += share * self.shares[direct..].iter().sum::<f64>();
		}
		Self { steps: self.steps, low, shares }
	}
}

/// Returns the evidence of a receipt of one of [`LENGTHS`], without the lower clamp, so that the share below it is
/// known. Tokens come in runs of `run` that fall into the same bin; 1 if they are independent.
fn unclamped(profile: &CalibrationProfile, bins: &Bins, run: u16) -> Lattice {
	let clamp = f64::from(profile.clamp) / NAT as f64;
	let table = |ratios: [i32; 8], shares: [u32; 8]| {
		let of = |bin: usize| (f64::from(run) * f64::from(ratios[bin]) / NAT as f64, f64::from(shares[bin]) / 1e6);
		Lattice::new(FINE, (0..8).map(of))
	};
	let (tape, fingerprint) = (table(profile.tape, bins.tape), table(profile.fingerprint, bins.fingerprint));
	let longest = LENGTHS.iter().max().copied().unwrap_or(0) / run;
	// From here on a sum can no longer fall below the clamp.
	let top = (clamp * FINE).ceil() as i64 - i64::from(longest) * (tape.low + fingerprint.low).min(0);
	let mut sum = Lattice { steps: FINE, low: 0, shares: vec![1.0] };
	let mut values = Vec::new();
	for runs in 1..=longest {
		sum = sum.plus(&tape, top).plus(&fingerprint, top);
		if LENGTHS.contains(&(runs * run)) {
			values.extend(sum.values().map(|(value, share)| (value.min(clamp), share / LENGTHS.len() as f64)));
		}
	}
	Lattice::new(FINE, values.iter().copied())
}

/// Returns the evidence of a receipt of a host that takes a share of its completions from `cheat` and the others from
/// [`HONEST`]. Tokens come in runs of `run`, a divisor of all [`LENGTHS`], that fall into the same bin; 1 if they are
/// independent.
pub fn weight(profile: &CalibrationProfile, (cheat, share): (&Bins, f64), run: u16) -> Lattice {
	let clamp = f64::from(profile.clamp) / NAT as f64;
	let (right, wrong) = (unclamped(profile, &HONEST, run), unclamped(profile, cheat, run));
	let part = |of: f64| move |(value, share): (f64, f64)| (value.max(-clamp), of * share);
	Lattice::new(COARSE, right.values().map(part(1.0 - share)).chain(wrong.values().map(part(share))))
}

/// Returns the mean number of receipts until the sum, from 0 on, is `alarm` nats or more.
pub fn run_length(weight: &Lattice, alarm: f64) -> f64 {
	let states = (alarm * weight.steps).ceil().max(1.0) as usize;
	// (I − P) E = 1, solved by elimination from the last state on. I − P needs no pivots, because its diagonal
	// dominates.
	let mut rows: Vec<Vec<f64>> = Vec::with_capacity(states);
	for state in 0..states {
		let mut row = vec![0.0; states];
		for (index, share) in weight.shares.iter().enumerate() {
			let next = (state as i64 + weight.low + index as i64).max(0) as usize;
			if next < states {
				row[next] -= share;
			}
		}
		row[state] += 1.0;
		row.push(1.0);
		rows.push(row);
	}
	for pivot in (1..states).rev() {
		let (above, below) = rows.split_at_mut(pivot);
		let of = &below[0];
		for row in above {
			let factor = row[pivot] / of[pivot];
			if factor != 0.0 {
				for (value, from) in row[..pivot].iter_mut().zip(&of[..pivot]) {
					*value -= factor * from;
				}
				row[states] -= factor * of[states];
			}
		}
	}
	rows[0][states] / rows[0][0]
}

/// Computes an arbiter's test, guilty from `bound` nats on and innocent from minus that. Returns the probability of
/// guilt, and the mean number of receipts. It follows the sum's distribution after each receipt, among the tests that
/// continue.
pub fn test(weight: &Lattice, bound: f64) -> (f64, f64) {
	let end = (bound * weight.steps).ceil() as i64;
	let mut running = vec![0.0; (2 * end - 1) as usize];
	running[(end - 1) as usize] = 1.0;
	let (mut guilty, mut receipts) = (0.0, 0.0);
	for _ in 0..FRESH {
		receipts += running.iter().sum::<f64>();
		let mut next = vec![0.0; running.len()];
		for (position, before) in running.iter().enumerate().filter(|(_, before)| **before > 0.0) {
			for (index, share) in weight.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
				let sum = position as i64 + weight.low + index as i64;
				if sum >= running.len() as i64 {
					guilty += before * share;
				} else if sum >= 0 {
					next[sum as usize] += before * share;
				}
			}
		}
		running = next;
	}
	(guilty, receipts)
}

/// Returns the lowest alarm, in steps of 1/64 nat and up to 24 nats, that an honest host raises at most once in
/// `receipts` receipts.
pub fn alarm_for(honest: &Lattice, receipts: f64) -> f64 {
	let (mut low, mut high) = (0, (24.0 * COARSE) as u32);
	while high - low > 1 {
		let middle = low.midpoint(high);
		if run_length(honest, f64::from(middle) / COARSE) >= receipts { high = middle } else { low = middle }
	}
	f64::from(high) / COARSE
}

/// By how much Wald's bound is missed since weights are clamped: at least E₀[e^w] to the power of [`FRESH`], or 1.
///
/// A token's E₀[e^ratio] is known exactly, and a sum's is its product. The upper clamp only lowers it; the lower one adds
/// at most e^−clamp where it is in force.
pub fn excess(profile: &CalibrationProfile) -> f64 {
	let clamp = f64::from(profile.clamp) / NAT as f64;
	let mean = |ratios: [i32; 8], shares: [u32; 8]| {
		let terms = ratios.iter().zip(shares);
		terms.map(|(ratio, share)| f64::from(share) / 1e6 * (f64::from(*ratio) / NAT as f64).exp()).sum::<f64>()
	};
	let token = mean(profile.tape, HONEST.tape) * mean(profile.fingerprint, HONEST.fingerprint);
	let sums = LENGTHS.iter().map(|tokens| token.powi((*tokens).into())).sum::<f64>() / LENGTHS.len() as f64;
	let honest = unclamped(profile, &HONEST, 1);
	let below: f64 = honest.values().filter(|(value, _)| *value < -clamp).map(|(_, share)| share).sum();
	(sums + below * (-clamp).exp()).max(1.0).powi(FRESH as i32)
}

/// Returns the probability that at least `needed` of so many seats lie, if each lies with probability `share`.
pub fn lie(share: f64, needed: u32, seats: u32) -> f64 {
	let term = |lies: u32| {
		let ways: f64 = (0..lies).map(|k| f64::from(seats - k) / f64::from(k + 1)).product();
		ways * share.powi(lies as i32) * (1.0 - share).powi((seats - lies) as i32)
	};
	(needed..=seats).map(term).sum()
}

/// Returns the probability that most of so many seats lie, an odd number.
pub fn most_lie(share: f64, seats: u32) -> f64 {
	lie(share, seats / 2 + 1, seats)
}

/// Returns the probability that two thirds of an appeal's seats lie.
pub fn appeal_lies(share: f64, seats: u32) -> f64 {
	lie(share, seats * 2 / 3 + 1, seats)
}

#[cfg(test)]
mod tests {
	use super::*;

	/// Mean time to the alarm of a walk from 0 that goes up by one with probability p, else down by one, but not below
	/// 0: from the gambler's difference equation.
	fn by_hand(p: f64, alarm: i32) -> f64 {
		let (q, ratio) = (1.0 - p, (1.0 - p) / p);
		q / (p - q) / (p - q) * (ratio.powi(alarm) - 1.0) + f64::from(alarm) / (p - q)
	}

	#[test]
	fn the_markov_chain_agrees_with_the_gamblers_difference_equation() {
		for p in [0.3, 0.4, 0.6, 0.9] {
			for alarm in [1, 2, 7, 20] {
				let step = Lattice::new(1.0, [(1.0, p), (-1.0, 1.0 - p)].into_iter());
				let (solved, hand) = (run_length(&step, f64::from(alarm)), by_hand(p, alarm));
				assert!((solved / hand - 1.0).abs() < 1e-6, "{p}, {alarm}: {solved} {hand}");
			}
		}
	}

	#[test]
	fn a_test_by_single_steps_agrees_with_the_gamblers_ruin() {
		// Either end is so few steps away that hardly any test is left after all receipts.
		let step = Lattice::new(1.0, [(1.0, 0.7), (-1.0, 0.3)].into_iter());
		let odds: f64 = 7.0 / 3.0;
		let (guilty, receipts) = test(&step, 2.0);
		let ruin = odds.powi(2) / (odds.powi(2) + 1.0);
		assert!((guilty - ruin).abs() < 1e-5, "{guilty} {ruin}");
		assert!((receipts - 2.0 * (2.0 * ruin - 1.0) / 0.4).abs() < 1e-3, "{receipts}");
	}

	#[test]
	fn most_of_three_seats_lie_as_often_as_the_polynomial_says() {
		for share in [0.0f64, 0.05, 0.2, 0.5, 1.0] {
			assert!((most_lie(share, 3) - (3.0 * share * share - 2.0 * share.powi(3))).abs() < 1e-12);
			assert!((most_lie(share, 31) + most_lie(1.0 - share, 31) - 1.0).abs() < 1e-12);
		}
	}

	#[test]
	fn a_lattice_keeps_means_and_total_probability() {
		let one = Lattice::new(4.0, [(0.3, 0.25), (-1.1, 0.75)].into_iter());
		let twice = one.plus(&one, 1_000);
		for (lattice, mean) in [(&one, -0.75), (&twice, -1.5)] {
			assert!((lattice.mean(|value| value) - mean).abs() < 1e-12 && (lattice.mean(|_| 1.0) - 1.0).abs() < 1e-12);
		}
		assert!((twice.plus(&one, 0).mean(|_| 1.0) - 1.0).abs() < 1e-12);
		assert!(twice.plus(&one, 0).values().all(|(value, _)| value <= 0.0));
	}
}
