//! Sampled validation: distributions of tokens, the profile made of them, and the performance of both stages of the
//! test.
//!
//! [`CalibrationProfile`] itself weighs receipts, [`judge`](gonka_primitives::audit::judge) decides tests, and draws
//! are those of `gonka_primitives::audit`. [`theory`] shares only a token's ratio by bin with them.

pub mod arbiter;
pub mod cusum;
pub mod network;
pub mod report;
pub mod theory;

use crate::population::below;
use gonka_primitives::audit::{CalibrationProfile, Counts, FINGERPRINT_BINS, NAT, TAPE_BINS};
use rand_chacha::{ChaCha8Rng, rand_core::RngCore};

/// Probabilities of the bins of a token, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bins {
	/// Bins of the tape.
	pub tape: [u32; TAPE_BINS],
	/// Bins of the fingerprint.
	pub fingerprint: [u32; FINGERPRINT_BINS],
}

/// Edges of the margins: 1/32, 1/8, 1/4, 1/2, 1 and 2 nats.
const MARGINS: [i32; TAPE_BINS - 2] = [1 << 11, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 17];
/// Edges of the distances.
const DISTANCES: [u32; FINGERPRINT_BINS - 1] = [4, 8, 16, 32, 64, 128, 512];

/// The model on another chip. The numbers follow `benches/results/engine.txt`, where bfloat16 is compared with float32,
/// with its quantiles and classes spread over the bins. Large margins have become rarer since then: this is the harder
/// case.
pub const HONEST: Bins = Bins {
	tape: [977_000, 13_000, 5_000, 3_000, 900, 600, 300, 200],
	fingerprint: [163_600, 450_600, 318_500, 62_300, 3_300, 1_300, 350, 50],
};
/// Weights rounded to 8 bits: the cheat that differs least from honest hosts.
pub const INT8: Bins = Bins {
	tape: [966_000, 13_000, 11_000, 6_000, 1_800, 1_000, 500, 700],
	fingerprint: [600, 30_000, 259_800, 479_000, 208_300, 21_600, 600, 100],
};
/// Weights rounded to 4 bits.
pub const INT4: Bins = Bins {
	tape: [652_000, 7_000, 9_000, 11_000, 40_000, 55_000, 80_000, 146_000],
	fingerprint: [10, 10, 20, 60, 200, 1_000, 20_000, 978_700],
};
/// Numbers of completion tokens, all equally frequent.
pub const LENGTHS: [u16; 4] = [8, 32, 64, 128];
/// Maximum evidence of a receipt, in 2⁻¹⁶ nats.
pub const CLAMP: u32 = 8 << 16;
/// Share of wrong tokens that [`calibrate`] assumes for the published profile: 1 in 16.
pub const DILUTION: f64 = 1.0 / 16.0;

impl Bins {
	/// Draws the bins of `tokens` tokens, each independently.
	pub fn draw(&self, rng: &mut ChaCha8Rng, tokens: u16) -> Counts {
		let (mut tape, mut fingerprint) = ([0; TAPE_BINS], [0; FINGERPRINT_BINS]);
		for _ in 0..tokens {
			let bits = rng.next_u64();
			tape[pick(&self.tape, bits as u32)] += 1;
			fingerprint[pick(&self.fingerprint, (bits >> 32) as u32)] += 1;
		}
		Counts::new(tape, fingerprint)
	}
}

/// Returns the bin that uniform bits fall into.
fn pick(bins: &[u32; 8], bits: u32) -> usize {
	let mut left = (u64::from(bits) * 1_000_000) >> 32;
	for (index, share) in bins.iter().enumerate() {
		match left.checked_sub((*share).into()) {
			Some(rest) => left = rest,
			None => return index,
		}
	}
	bins.len() - 1
}

/// Makes a profile. A bin's ratio is the logarithm of how much more often a token falls into it if a share `dilution`
/// of tokens is from `cheats`, each equally likely. It is rounded down, so that an honest token's e^ratio is at most 1
/// on average.
///
/// The smaller the share, the less a right token is evidence for the host, down to `ln(1 − dilution)`, while a wrong
/// one loses only its logarithm. With a share of 1 an honest completion counts as much as a wrong one, and a host that
/// cheats in less than half of its completions gains more than it loses.
pub fn calibrate(honest: &Bins, cheats: &[&Bins], dilution: f64, clamp: u32, alarm: u32) -> CalibrationProfile {
	let ratio = |honest: u32, wrong: f64| {
		let more = wrong / cheats.len() as f64 / f64::from(honest);
		((1.0 - dilution + dilution * more).ln() * NAT as f64).floor() as i32
	};
	let wrong = |share: &dyn Fn(&Bins) -> u32| cheats.iter().map(|bins| f64::from(share(bins))).sum::<f64>();
	CalibrationProfile {
		margins: MARGINS,
		tape: std::array::from_fn(|bin| ratio(honest.tape[bin], wrong(&|bins| bins.tape[bin]))),
		distances: DISTANCES,
		fingerprint: std::array::from_fn(|bin| ratio(honest.fingerprint[bin], wrong(&|bins| bins.fingerprint[bin]))),
		alarm,
		clamp,
		min_worker_version: 0,
	}
}

/// Returns the profile of the published figures, with this alarm.
pub fn published(alarm: u32) -> CalibrationProfile {
	calibrate(&HONEST, &[&INT8, &INT4], DILUTION, CLAMP, alarm)
}

/// Draws a completion's length.
pub fn length(rng: &mut ChaCha8Rng) -> u16 {
	LENGTHS[below(rng, LENGTHS.len())]
}

/// Returns the mean number of tokens of a completion.
pub fn mean_length() -> f64 {
	LENGTHS.iter().map(|tokens| f64::from(*tokens)).sum::<f64>() / LENGTHS.len() as f64
}

/// Draws whether an event of this probability happens.
pub(crate) fn happens(rng: &mut ChaCha8Rng, share: f64) -> bool {
	f64::from(rng.next_u32()) < share * 4_294_967_296.0
}

/// Converts nats to the chain's units.
pub(crate) fn units(nats: f64) -> u32 {
	(nats * NAT as f64).round() as u32
}

/// Converts the chain's units to nats.
pub(crate) fn nats(units: u32) -> f64 {
	f64::from(units) / NAT as f64
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::population::rng;

	#[test]
	fn bins_are_drawn_as_often_as_their_shares_say() {
		for bins in [HONEST, INT8, INT4] {
			assert_eq!((bins.tape.iter().sum::<u32>(), bins.fingerprint.iter().sum::<u32>()), (1_000_000, 1_000_000));
			let counts = bins.draw(&mut rng(1, b"bins", 0), 60_000);
			let drawn = counts.tape.iter().zip(&bins.tape).chain(counts.fingerprint.iter().zip(&bins.fingerprint));
			for (count, share) in drawn {
				let expected = 60_000.0 * f64::from(*share) / 1e6;
				assert!(
					(f64::from(count.0) - expected).abs() <= 4.5 * expected.sqrt() + 3.0,
					"{count:?} of {expected}"
				);
			}
		}
	}

	#[test]
	fn an_honest_tokens_ratio_has_a_mean_exponential_of_at_most_1() {
		for dilution in [1.0, 0.25, DILUTION] {
			let profile = calibrate(&HONEST, &[&INT8, &INT4], dilution, CLAMP, CLAMP);
			assert!(profile.is_well_formed());
			let mean = |ratios: [i32; 8], bins: [u32; 8]| {
				let terms = ratios.iter().zip(bins);
				terms.map(|(ratio, share)| f64::from(share) / 1e6 * (f64::from(*ratio) / NAT as f64).exp()).sum::<f64>()
			};
			for mean in [mean(profile.tape, HONEST.tape), mean(profile.fingerprint, HONEST.fingerprint)] {
				assert!(mean <= 1.0 && mean > 0.9999, "{mean}");
			}
		}
	}
}
