//! From what was found to a profile.
//!
//! A token's ratio is `ln(1 − ε + ε · q/p)`: `p` is how often an honest token falls into its bin, `q` how often one of a
//! cheat does, and ε = [`DILUTION`], as if only so few of a cheat's tokens were wrong. So no bin speaks much for a host, and
//! one who cheats with a part of its answers cannot make up for it with the others.
//!
//! `q` is, bin by bin, that of the cheat for which it is greatest, over the sum of these: a mean of all would drown the cheat
//! that differs least.
//!
//! `p` is not that of one honest pair of host and checker, but the least favourable one: with bins in the order in which they
//! speak against a host, it has from every bin on the greatest share that any pair, with any setting of requests, has
//! there. Ratios ascend in that order. Then for every honest pair `E[exp(ratio)] ≤ 1`, as if `p` were its own.
//!
//! Tokens of an answer are not independent, so ratios are made smaller until the same holds for receipts as they were seen:
//! those of the tape and of fingerprints by themselves, then both, as far as they depend on each other. From `E[exp(weight)] ≤ 1` follow, for any distribution, the
//! bounds that the chain relies on: the mean number of receipts until a sum that is never below 0 reaches `h` is at
//! least `exp(h)`, and an honest host's test reaches `h` with a probability of at most `exp(−h)`.

use crate::observe::{Found, Look};
use gonka_primitives::sampling::{Counts, NAT, Profile};

/// The share of a cheat's tokens that count as wrong.
pub const DILUTION: f64 = 1.0 / 16.0;
/// One false alarm in so many tokens, at most: a receipt has at least one token.
pub const TOKENS_A_FALSE_ALARM: f64 = 1e8;
/// Nats that one receipt can weigh.
const CLAMP: f64 = 8.0;
/// Edges of the tape's bins, in nats. Logits are rounded to 1/64. No honest answer ends with a token beyond the last.
const MARGINS: [f64; 6] = [1.0 / 16.0, 1.0 / 8.0, 0.25, 0.5, 1.0, 2.0];
/// Ratios are not made smaller than this.
const LEAST_SCALE: f64 = 0.05;
/// Edges of the fingerprint's bins: quantiles of the honest pair that differs most, then multiples of the last.
const QUANTILES: [f64; 5] = [0.5, 0.8, 0.95, 0.99, 0.999];
const MULTIPLES: [u32; 2] = [4, 16];

/// Tokens by bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
	/// By margin.
	pub tape: [f64; 8],
	/// By distance.
	pub fingerprint: [f64; 8],
}

impl Histogram {
	/// Counts tokens by a profile's bins. `distance`: which of a token's two.
	pub fn count<'a>(
		profile: &Profile,
		tokens: impl Iterator<Item = &'a Found>,
		distance: impl Fn(&Found) -> u32,
	) -> Self {
		let mut all = Self::default();
		for token in tokens {
			all.tape[tape_bin(profile, token.margin)] += 1.0;
			all.fingerprint[profile.fingerprint_bin(distance(token))] += 1.0;
		}
		all
	}

	/// Adds those of another.
	pub fn add(&mut self, other: &Self) {
		self.tape.iter_mut().zip(other.tape).for_each(|(sum, count)| *sum += count);
		self.fingerprint.iter_mut().zip(other.fingerprint).for_each(|(sum, count)| *sum += count);
	}
}

/// The bin of a margin, as a checker has it.
fn tape_bin(profile: &Profile, margin: u32) -> usize {
	profile.tape_bin(i32::try_from(margin).unwrap_or(i32::MAX))
}

/// Whether a checker sees at once that an answer ends wrongly. `stops`: it is said to have ended by itself.
pub fn is_broken(profile: &Profile, look: &Look, stops: bool) -> bool {
	let last = look.tokens.last().map_or(0, |token| i32::try_from(token.margin).unwrap_or(i32::MAX));
	!look.ends_rightly || stops && profile.is_false_end(last)
}

/// What a part of an answer weighs by a profile, in nats, without the clamp.
pub fn weight(profile: &Profile, tokens: &[Found], distance: impl Fn(&Found) -> u32) -> f64 {
	let of = |token: &Found| {
		let tape = profile.tape[tape_bin(profile, token.margin)];
		let fingerprint = profile.fingerprint[profile.fingerprint_bin(distance(token))];
		f64::from(tape) + f64::from(fingerprint)
	};
	tokens.iter().map(of).sum::<f64>() / NAT as f64
}

/// What a receipt with these tokens weighs on chain, in nats.
pub fn receipt(profile: &Profile, tokens: &[Found], distance: impl Fn(&Found) -> u32) -> f64 {
	let (mut tape, mut fingerprint) = ([0u16; 8], [0u16; 8]);
	for token in tokens {
		tape[tape_bin(profile, token.margin)] += 1;
		fingerprint[profile.fingerprint_bin(distance(token))] += 1;
	}
	profile.ratio(&Counts::new(tape, fingerprint)) as f64 / NAT as f64
}

/// The edges, and no ratios yet. `distances`: those of the honest pair that differs most.
pub fn edges(mut distances: Vec<u32>, min_worker_version: u32) -> Profile {
	distances.sort_unstable();
	let at = |share: &f64| {
		let place = (distances.len() as f64 * share) as usize;
		distances.get(place.min(distances.len().saturating_sub(1))).copied().unwrap_or_default()
	};
	let quantiles: Vec<u32> = QUANTILES.iter().map(at).collect();
	let last = quantiles.last().copied().unwrap_or_default();
	let mut wanted = quantiles.into_iter().chain(MULTIPLES.map(|times| last.saturating_mul(times)));
	let mut before = 0;
	let distances = std::array::from_fn(|_| {
		before = wanted.next().unwrap_or_default().max(before + 1);
		before
	});
	Profile {
		margins: MARGINS.map(fixed),
		tape: [0; 8],
		distances,
		fingerprint: [0; 8],
		alarm: fixed(TOKENS_A_FALSE_ALARM.ln()) as u32 + 1,
		clamp: fixed(CLAMP) as u32,
		min_worker_version,
	}
}

/// What ratios were multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
	/// Those of the tape.
	pub tape: f64,
	/// Those of fingerprints.
	pub fingerprint: f64,
}

/// Fills in ratios. `honest`: each pair with each setting; `cheats`: each kind; `seen`: what receipts of honest pairs
/// weigh by a profile, a list for each pair and length.
pub fn ratios(
	mut profile: Profile,
	honest: &[Histogram],
	cheats: &[Histogram],
	seen: impl Fn(&Profile) -> Vec<Vec<f64>>,
) -> (Profile, Scale) {
	let tape = |all: &[Histogram]| all.iter().map(|histogram| histogram.tape).collect::<Vec<_>>();
	let fingerprint = |all: &[Histogram]| all.iter().map(|histogram| histogram.fingerprint).collect::<Vec<_>>();
	let tape = table(&tape(honest), &tape(cheats));
	let fingerprint = table(&fingerprint(honest), &fingerprint(cheats));
	let mut fill = |scale: Scale| {
		profile.tape = tape.map(|ratio| fixed(ratio * scale.tape));
		profile.fingerprint = fingerprint.map(|ratio| fixed(ratio * scale.fingerprint));
		profile
	};
	let is_safe = |weights: &Vec<f64>| mean(weights.iter().map(|weight| weight.exp())) <= 1.0;
	// The largest powers of 0.95, each by itself, then those of both.
	let mut largest = |of: &dyn Fn(f64) -> Scale| {
		let scales =
			std::iter::successors(Some(1.0), |scale| Some(scale * 0.95)).take_while(|scale| *scale > LEAST_SCALE);
		scales.map(of).find(|scale| seen(&fill(*scale)).iter().all(is_safe)).unwrap_or_else(|| of(LEAST_SCALE))
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

/// 2⁻¹⁶ nats, rounded down.
fn fixed(nats: f64) -> i32 {
	(nats * NAT as f64).floor() as i32
}

/// Ratios by bin, in nats.
fn table(honest: &[[f64; 8]], cheats: &[[f64; 8]]) -> [f64; 8] {
	let (honest, cheats): (Vec<_>, Vec<_>) = (honest.iter().map(shares).collect(), cheats.iter().map(shares).collect());
	let usual: [f64; 8] = std::array::from_fn(|bin| mean(honest.iter().map(|shares| shares[bin])));
	let most: [f64; 8] = std::array::from_fn(|bin| cheats.iter().map(|shares| shares[bin]).fold(0.0, f64::max));
	let q = most.map(|share| share / most.iter().sum::<f64>());
	// From those that speak for a host to those that speak against it.
	let mut order: [usize; 8] = std::array::from_fn(|bin| bin);
	order.sort_by(|a, b| (q[*a] * usual[*b]).total_cmp(&(q[*b] * usual[*a])));
	let sorted = |shares: &[f64; 8]| order.map(|bin| shares[bin]);
	let p = least_favourable(&honest.iter().map(sorted).collect::<Vec<_>>());
	let mut ratios = [0.0; 8];
	for (bin, ratio) in order.into_iter().zip(ascending(&p, &sorted(&q))) {
		ratios[bin] = (1.0 - DILUTION + DILUTION * ratio).ln();
	}
	ratios
}

/// Shares of the bins; half a token is added to each, so that none is impossible.
fn shares(counts: &[f64; 8]) -> [f64; 8] {
	let all = counts.iter().sum::<f64>() + 4.0;
	counts.map(|count| (count + 0.5) / all)
}

/// At every edge the greatest share that any of them has above it.
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

/// `q/p` by bin; neighbours that do not ascend are taken together.
fn ascending(p: &[f64; 8], q: &[f64; 8]) -> [f64; 8] {
	// Sums of p and of q, and how many bins are in them.
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

	fn histogram() -> impl Strategy<Value = [f64; 8]> {
		prop::array::uniform8(0u32..10_000).prop_map(|counts| counts.map(f64::from))
	}

	proptest! {
		/// What the false-alarm bound rests on, for every honest pair and not for their mixture alone.
		#[test]
		fn every_honest_pair_has_a_mean_exponential_of_at_most_one(
			honest in prop::collection::vec(histogram(), 1..6),
			cheats in prop::collection::vec(histogram(), 1..4),
		) {
			let ratios = table(&honest, &cheats);
			for pair in &honest {
				let mean: f64 = shares(pair).iter().zip(ratios).map(|(share, ratio)| share * ratio.exp()).sum();
				prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
			}
		}

		#[test]
		fn no_bin_speaks_much_for_a_host(honest in histogram(), cheat in histogram()) {
			let least = (1.0 - DILUTION).ln();
			prop_assert!(table(&[honest], &[cheat]).iter().all(|ratio| *ratio >= least - 1e-9));
		}

		#[test]
		fn edges_make_a_well_formed_profile(distances in prop::collection::vec(0..=1_040_400u32, 0..50)) {
			prop_assert!(edges(distances, 0).is_well_formed());
		}
	}

	#[test]
	fn a_cheat_that_is_never_honest_weighs_what_it_should() {
		// All honest tokens in the first bin, all others in the last.
		let (mut honest, mut cheat) = ([0.0; 8], [0.0; 8]);
		(honest[0], cheat[7]) = (1e6, 1e6);
		let ratios = table(&[honest], &[cheat]);
		assert!((ratios[0] - (1.0f64 - DILUTION).ln()).abs() < 1e-3, "{ratios:?}");
		let most = (DILUTION * 1e6 / 0.5f64).ln();
		assert!((ratios[7] - most).abs() < 0.1, "{ratios:?} {most}");
	}

	#[test]
	fn receipts_that_are_not_independent_make_ratios_smaller() {
		let honest = Histogram { tape: [9e4, 1e4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], fingerprint: [1e5; 8] };
		let cheat = Histogram { tape: [1e4, 9e4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], fingerprint: [1e5; 8] };
		let make = |run: f64| {
			let seen = move |profile: &Profile| {
				// Receipts of 10 runs of tokens that are all in the same bin: their number in the second is binomial.
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
			ratios(edges(vec![1, 2, 3], 0), &[honest], &[cheat], seen).1
		};
		assert_eq!(make(1.0), Scale { tape: 1.0, fingerprint: 1.0 });
		let scale = make(3.0);
		assert!((0.25..0.5).contains(&scale.tape), "{scale:?}");
		// These weigh nothing here.
		assert_eq!(scale.fingerprint, 1.0);
	}
}
