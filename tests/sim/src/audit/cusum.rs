//! The sum of the evidence of findings about one host and model: the time until it opens a case.

use super::{Bins, HONEST, happens, length};
use crate::population::rng;
use gonka_primitives::audit::{CalibrationProfile, Finding};

/// The intervals between a sum of 0 and the alarm, at one threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Intervals {
	/// The threshold, in 2⁻¹⁶ nats.
	pub alarm: u32,
	/// Number of alarms.
	pub number: u64,
	/// Number of receipts in all of these intervals.
	pub receipts: u64,
	/// Number of completion tokens in all of these intervals.
	pub tokens: u64,
	squares: u128,
}

impl Intervals {
	/// Returns the mean number of receipts in an interval.
	pub fn mean(&self) -> f64 {
		self.receipts as f64 / self.number.max(1) as f64
	}

	/// Returns the mean number of tokens in an interval.
	pub fn mean_tokens(&self) -> f64 {
		self.tokens as f64 / self.number.max(1) as f64
	}

	/// Returns the standard deviation of [`Intervals::mean`].
	pub fn sigma(&self) -> f64 {
		let n = self.number.max(1) as f64;
		((self.squares as f64 / n - self.mean() * self.mean()).max(0.0) / n).sqrt()
	}
}

/// A sum, with the present interval.
#[derive(Clone, Copy, Default)]
struct Running {
	sum: u64,
	receipts: u64,
	tokens: u64,
	intervals: Intervals,
}

/// Checks `receipts` receipts of a host that takes a share of its completions from `cheat`. All thresholds see the same
/// receipts, and each sum starts from 0 after its alarm. With a share of 0, alarms are false.
pub fn intervals(
	profile: &CalibrationProfile,
	(cheat, share): (&Bins, f64),
	alarms: &[u32],
	receipts: u64,
	seed: u64,
) -> Vec<Intervals> {
	let mut rng = rng(seed, b"intervals", share.to_bits());
	let start =
		|alarm: &u32| Running { intervals: Intervals { alarm: *alarm, ..Default::default() }, ..Default::default() };
	let mut all: Vec<Running> = alarms.iter().map(start).collect();
	for _ in 0..receipts {
		let bins = if happens(&mut rng, share) { cheat } else { &HONEST };
		let tokens = length(&mut rng);
		let weight = profile.weigh(&Finding::Checked(bins.draw(&mut rng, tokens)), 0).unwrap_or(0);
		for Running { sum, receipts, tokens: seen, intervals } in &mut all {
			// As `pallet_sampling_validation` adds them.
			*sum = sum.saturating_add_signed(weight);
			(*receipts, *seen) = (*receipts + 1, *seen + u64::from(tokens));
			if *sum >= intervals.alarm.into() {
				intervals.number += 1;
				intervals.receipts += *receipts;
				intervals.tokens += *seen;
				intervals.squares += u128::from(*receipts) * u128::from(*receipts);
				(*sum, *receipts, *seen) = (0, 0, 0);
			}
		}
	}
	all.into_iter().map(|running| running.intervals).collect()
}
