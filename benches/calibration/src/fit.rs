//! Makes a profile of measurements.
//!
//! A token's ratio is `ln(1 − ε + ε · q/p)`: `p` is how often an honest token falls into its bin, `q` how often a
//! cheat's token does, and ε is the dilution, as if only this share of a cheat's tokens were wrong. So no bin is strong
//! evidence for a host, and a host that cheats in a part of its completions cannot make up for it with the others.
//!
//! `q` is, bin by bin, that of the cheat for which it is greatest, divided by the sum of these: a mean of all would
//! drown the cheat that differs least.
//!
//! `p` is not that of one honest pair of host and checker, but the least favourable distribution: with bins in the
//! order in which they are evidence against a host, its share from every bin on is the greatest that any pair, with any
//! setting of requests, has there. Ratios ascend in that order. Then for every honest pair `E[exp(ratio)] ≤ 1`, as if
//! `p` were its own.
//!
//! Tokens of a completion are not independent, so ratios are reduced until the same holds for receipts as they were
//! measured: first those of the tape and of fingerprints by themselves, then both together, as far as they depend on
//! each other. From `E[exp(evidence)] ≤ 1` follow, for any distribution, the bounds that the chain relies on: the mean
//! number of receipts until a sum that is never below 0 reaches `h` is at least `exp(h)`, and an honest host's test
//! reaches `h` with a probability of at most `exp(−h)`.

use crate::observe::{Audit, Observation};
use gonka_primitives::audit::{CalibrationProfile, Counts, NAT};

/// Minimum mean number of tokens between two false alarms: a receipt has at least one token.
pub const TOKENS_A_FALSE_ALARM: f64 = 1e8;
/// Maximum evidence of one receipt, in nats.
const CLAMP: f64 = 8.0;
/// Edges of the tape's bins, in nats. Logits are rounded to 1/64. No honest completion ends with a token beyond the
/// last.
const MARGINS: [f64; 6] = [1.0 / 16.0, 1.0 / 8.0, 0.25, 0.5, 1.0, 2.0];
/// Minimum factor of the ratios.
const MIN_SCALE: f64 = 0.05;
/// Edges of the fingerprint's bins: quantiles of the honest pair that differs most, then multiples of the last.
const QUANTILES: [f64; 5] = [0.5, 0.8, 0.95, 0.99, 0.999];
const MULTIPLES: [u32; 2] = [4, 16];

/// Number of tokens by bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
	/// By margin.
	pub tape: [f64; 8],
	/// By distance.
	pub fingerprint: [f64; 8],
}

impl Histogram {
	/// Counts tokens by a profile's bins. `distance` selects one of a token's two distances.
	pub fn count<'a>(
		profile: &CalibrationProfile,
		tokens: impl Iterator<Item = &'a Observation>,
		distance: impl Fn(&Observation) -> u32,
	) -> Self {
		let mut all = Self::default();
		for token in tokens {
			all.tape[tape_bin(profile, token.margin)] += 1.0;
			all.fingerprint[profile.fingerprint_bin(distance(token))] += 1.0;
		}
		all
	}

	/// Adds the counts of another histogram.
	pub fn add(&mut self, other: &Self) {
		self.tape.iter_mut().zip(other.tape).for_each(|(sum, count)| *sum += count);
		self.fingerprint.iter_mut().zip(other.fingerprint).for_each(|(sum, count)| *sum += count);
	}
}

/// Returns the bin of a margin, as a checker computes it.
fn tape_bin(profile: &CalibrationProfile, margin: u32) -> usize {
	profile.tape_bin(i32::try_from(margin).unwrap_or(i32::MAX))
}

/// Returns whether a checker sees at once that a completion ends wrongly. `stops`: the host claims that it ended by
/// itself.
pub fn is_broken(profile: &CalibrationProfile, audit: &Audit, stops: bool) -> bool {
	let last = audit.tokens.last().map_or(0, |token| i32::try_from(token.margin).unwrap_or(i32::MAX));
	!audit.ends_rightly || stops && profile.is_false_end(last)
}

/// Returns the evidence of a part of a completion by a profile, in nats, without the clamp.
pub fn evidence(profile: &CalibrationProfile, tokens: &[Observation], distance: impl Fn(&Observation) -> u32) -> f64 {
	let of = |token: &Observation| {
		let tape = profile.tape[tape_bin(profile, token.margin)];
		let fingerprint = profile.fingerprint[profile.fingerprint_bin(distance(token))];
		f64::from(tape) + f64::from(fingerprint)
	};
	tokens.iter().map(of).sum::<f64>() / NAT as f64
}

/// Returns the evidence of a receipt with these tokens, in nats, as the chain counts it.
pub fn receipt_evidence(
	profile: &CalibrationProfile,
	tokens: &[Observation],
	distance: impl Fn(&Observation) -> u32,
) -> f64 {
	let (mut tape, mut fingerprint) = ([0u16; 8], [0u16; 8]);
	for token in tokens {
		tape[tape_bin(profile, token.margin)] += 1;
		fingerprint[profile.fingerprint_bin(distance(token))] += 1;
	}
	profile.ratio(&Counts::new(tape, fingerprint)) as f64 / NAT as f64
}

/// Returns a profile with edges and without ratios. `distances` are those of the honest pair that differs most.
pub fn edges(mut distances: Vec<u32>, min_worker_version: u32) -> CalibrationProfile {
	distances.sort_unstable();
	let at = |share: &f64| {
		let position = (distances.len() as f64 * share) as usize;
		distances.get(position.min(distances.len().saturating_sub(1))).copied().unwrap_or_default()
	};
	let quantiles: Vec<u32> = QUANTILES.iter().map(at).collect();
	let last = quantiles.last().copied().unwrap_or_default();
	let mut wanted = quantiles.into_iter().chain(MULTIPLES.map(|times| last.saturating_mul(times)));
	let mut before = 0;
	let distances = std::array::from_fn(|_| {
		before = wanted.next().unwrap_or_default().max(before + 1);
		before
	});
	CalibrationProfile {
		margins: MARGINS.map(fixed),
		tape: [0; 8],
		distances,
		fingerprint: [0; 8],
		alarm: fixed(TOKENS_A_FALSE_ALARM.ln()) as u32 + 1,
		clamp: fixed(CLAMP) as u32,
		min_worker_version,
	}
}

/// Factors by which ratios were multiplied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
	/// Factor of the tape's ratios.
	pub tape: f64,
	/// Factor of the fingerprint's ratios.
	pub fingerprint: f64,
}

/// Fills in the ratios of a profile. `honest` has a histogram for each pair and setting; `cheats` one for each cheat;
/// `receipts` returns the evidence of honest receipts by a profile, a list for each pair and length.
pub fn ratios(
	mut profile: CalibrationProfile,
	honest: &[Histogram],
	cheats: &[Histogram],
	receipts: impl Fn(&CalibrationProfile) -> Vec<Vec<f64>>,
	dilution: f64,
) -> (CalibrationProfile, Scale) {
	let tape = |all: &[Histogram]| all.iter().map(|histogram| histogram.tape).collect::<Vec<_>>();
	let fingerprint = |all: &[Histogram]| all.iter().map(|histogram| histogram.fingerprint).collect::<Vec<_>>();
	let tape = table(&tape(honest), &tape(cheats), dilution);
	let fingerprint = table(&fingerprint(honest), &fingerprint(cheats), dilution);
	let mut fill = |scale: Scale| {
		profile.tape = tape.map(|ratio| fixed(ratio * scale.tape));
		profile.fingerprint = fingerprint.map(|ratio| fixed(ratio * scale.fingerprint));
		profile
	};
	let is_safe = |weights: &Vec<f64>| mean(weights.iter().map(|weight| weight.exp())) <= 1.0;
	// The largest powers of 0.95 that are safe: of each kind by itself, then a common factor of both.
	let mut largest = |of: &dyn Fn(f64) -> Scale| {
		let scales =
			std::iter::successors(Some(1.0), |scale| Some(scale * 0.95)).take_while(|scale| *scale > MIN_SCALE);
		scales.map(of).find(|scale| receipts(&fill(*scale)).iter().all(is_safe)).unwrap_or_else(|| of(MIN_SCALE))
	};
	let tape = largest(&|tape| Scale { tape, fingerprint: 0.0 }).tape;
	let fingerprint = largest(&|fingerprint| Scale { tape: 0.0, fingerprint }).fingerprint;
	let scale = largest(&|both| Scale { tape: tape * both, fingerprint: fingerprint * both });
	(fill(scale), scale)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
	let count = values.len().max(1);
	values.sum::<f64>() / count as f64
}

/// Converts nats to units of 2⁻¹⁶ nats, rounded down.
fn fixed(nats: f64) -> i32 {
	(nats * NAT as f64).floor() as i32
}

/// Returns ratios by bin, in nats.
fn table(honest: &[[f64; 8]], cheats: &[[f64; 8]], dilution: f64) -> [f64; 8] {
	let (honest, cheats): (Vec<_>, Vec<_>) = (honest.iter().map(shares).collect(), cheats.iter().map(shares).collect());
	let usual: [f64; 8] = std::array::from_fn(|bin| mean(honest.iter().map(|shares| shares[bin])));
	let max: [f64; 8] = std::array::from_fn(|bin| cheats.iter().map(|shares| shares[bin]).fold(0.0, f64::max));
	let q = max.map(|share| share / max.iter().sum::<f64>());
	// The order from bins that are evidence for a host to bins that are evidence against it.
	let mut order: [usize; 8] = std::array::from_fn(|bin| bin);
	order.sort_by(|a, b| (q[*a] * usual[*b]).total_cmp(&(q[*b] * usual[*a])));
	let sorted = |shares: &[f64; 8]| order.map(|bin| shares[bin]);
	let p = least_favourable(&honest.iter().map(sorted).collect::<Vec<_>>());
	let mut ratios = [0.0; 8];
	for (bin, ratio) in order.into_iter().zip(ascending(&p, &sorted(&q))) {
		ratios[bin] = (1.0 - dilution + dilution * ratio).ln();
	}
	ratios
}

/// Returns the shares of the bins. Half a token is added to each, so that none is impossible.
fn shares(counts: &[f64; 8]) -> [f64; 8] {
	let all = counts.iter().sum::<f64>() + 4.0;
	counts.map(|count| (count + 0.5) / all)
}

/// Returns the distribution that has, above every edge, the greatest share that any of them has.
fn least_favourable(honest: &[[f64; 8]]) -> [f64; 8] {
	let mut above = [0.0f64; 9];
	for shares in honest {
		let mut sum = 0.0;
		for (bin, share) in shares.iter().enumerate().rev() {
			sum += share;
			above[bin] = above[bin].max(sum);
		}
	}
	above[0] = 1.0;
	std::array::from_fn(|bin| above[bin] - above[bin + 1])
}

/// Returns `q/p` by bin; neighbours that do not ascend are merged.
fn ascending(p: &[f64; 8], q: &[f64; 8]) -> [f64; 8] {
	// Sums of p and of q, and the number of bins in them.
	let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
	for bin in 0..8 {
		blocks.push((p[bin], q[bin], 1));
		while let [.., low, high] = blocks[..] {
			if low.1 * high.0 <= high.1 * low.0 {
				break;
			}
			blocks.truncate(blocks.len() - 2);
			blocks.push((low.0 + high.0, low.1 + high.1, low.2 + high.2));
		}
	}
	let mut ratios = blocks.iter().flat_map(|(p, q, bins)| std::iter::repeat_n(q / p.max(f64::MIN_POSITIVE), *bins));
	std::array::from_fn(|_| ratios.next().unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	const DILUTION: f64 = 1.0 / 16.0;

	fn histogram() -> impl Strategy<Value = [f64; 8]> {
		prop::array::uniform8(0u32..10_000).prop_map(|counts| counts.map(f64::from))
	}

	proptest! {
		/// The bound on false alarms rests on this. It must hold for every honest pair, not only for their mixture.
		#[test]
		fn every_honest_pair_has_a_mean_exponential_of_at_max_one(
			honest in prop::collection::vec(histogram(), 1..6),
			cheats in prop::collection::vec(histogram(), 1..4),
		) {
			let ratios = table(&honest, &cheats, DILUTION);
			for pair in &honest {
				let mean: f64 = shares(pair).iter().zip(ratios).map(|(share, ratio)| share * ratio.exp()).sum();
				prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
			}
		}

		#[test]
		fn no_bin_is_strong_evidence_for_a_host(honest in histogram(), cheat in histogram()) {
			let least = (1.0 - DILUTION).ln();
			prop_assert!(table(&[honest], &[cheat], DILUTION).iter().all(|ratio| *ratio >= least - 1e-9));
		}

		#[test]
		fn edges_give_a_well_formed_profile(distances in prop::collection::vec(0..=1_040_400u32, 0..50)) {
			prop_assert!(edges(distances, 0).is_well_formed());
		}
	}

	#[test]
	fn the_ratios_of_disjoint_distributions_are_the_expected_ones() {
		// All honest tokens are in the first bin, all others in the last.
		let (mut honest, mut cheat) = ([0.0; 8], [0.0; 8]);
		(honest[0], cheat[7]) = (1e6, 1e6);
		let ratios = table(&[honest], &[cheat], DILUTION);
		assert!((ratios[0] - (1.0f64 - DILUTION).ln()).abs() < 1e-3, "{ratios:?}");
		let max = (DILUTION * 1e6 / 0.5f64).ln();
		assert!((ratios[7] - max).abs() < 0.1, "{ratios:?} {max}");
	}

	#[test]
	fn dependent_tokens_reduce_the_ratios() {
		let honest = Histogram { tape: [9e4, 1e4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], fingerprint: [1e5; 8] };
		let cheat = Histogram { tape: [1e4, 9e4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], fingerprint: [1e5; 8] };
		let make = |run: f64| {
			let receipts_of = move |profile: &CalibrationProfile| {
				// Receipts have 10 runs of tokens in the same bin: the number of runs in the second bin is binomial.
				let nats = |bin: usize| run * f64::from(profile.tape[bin]) / NAT as f64;
				let mut receipts = Vec::new();
				for second in 0..=10 {
					let ways = (0..second).fold(1.0, |ways, k| ways * f64::from(10 - k) / f64::from(k + 1));
					let share = ways * 0.1f64.powi(second) * 0.9f64.powi(10 - second);
					let weight = f64::from(second) * nats(1) + f64::from(10 - second) * nats(0);
					receipts.extend(std::iter::repeat_n(weight, (share * 1e5) as usize));
				}
				vec![receipts]
			};
			ratios(edges(vec![1, 2, 3], 0), &[honest], &[cheat], receipts_of, DILUTION).1
		};
		assert_eq!(make(1.0), Scale { tape: 1.0, fingerprint: 1.0 });
		let scale = make(3.0);
		assert!((0.25..0.5).contains(&scale.tape), "{scale:?}");
		// Fingerprints are no evidence here, so their ratios stay.
		assert_eq!(scale.fingerprint, 1.0);
	}
}
