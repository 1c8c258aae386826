//! An arbiter's sequential test over fresh receipts.

use super::{Bins, HONEST, happens, length};
use crate::population::rng;
use gonka_primitives::audit::{CalibrationProfile, FRESH, Finding, Outcome, judge};

/// Results of a number of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tests {
	/// Number of tests.
	pub runs: u64,
	/// Number of tests that found the host guilty.
	pub guilty: u64,
	/// Number of receipts that they used.
	pub receipts: u64,
}

impl Tests {
	/// Returns the share of tests that found the host guilty.
	pub fn share(&self) -> f64 {
		self.guilty as f64 / self.runs.max(1) as f64
	}

	/// Returns the mean number of receipts of a test.
	pub fn mean(&self) -> f64 {
		self.receipts as f64 / self.runs.max(1) as f64
	}
}

/// Tests a host that takes a share of its completions from `cheat`, `runs` times. The arbiter continues until [`judge`]
/// decides, as a worker does. `bound` is ln 1/α and ln 1/β, in 2⁻¹⁶ nats.
pub fn tests(profile: &CalibrationProfile, (cheat, share): (&Bins, f64), bound: u32, runs: u64, seed: u64) -> Tests {
	let mut rng = rng(seed, b"tests", share.to_bits() ^ u64::from(bound));
	let mut tests = Tests { runs, ..Tests::default() };
	let mut findings = Vec::with_capacity(FRESH as usize);
	for _ in 0..runs {
		findings.clear();
		let outcome = loop {
			let bins = if happens(&mut rng, share) { cheat } else { &HONEST };
			let tokens = length(&mut rng);
			findings.push(Finding::Checked(bins.draw(&mut rng, tokens)));
			if let Some(outcome) = judge(profile, &findings, 0, (bound, bound)) {
				break outcome;
			}
		};
		tests.guilty += u64::from(outcome == Outcome::Guilty);
		tests.receipts += findings.len() as u64;
	}
	tests
}
