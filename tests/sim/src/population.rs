//! Hosts and their weights, computed with the runtime's functions.

use crate::Config;
use gonka_primitives::hashing::blake2_256;
use gonka_sprint::committee::qualify;
use pallet_poc::math;
use rand_chacha::{
	ChaCha8Rng,
	rand_core::{RngCore, SeedableRng},
};

/// Number of segments of the sprint: mainnet's.
pub const SEGMENTS: u8 = 5;
/// Maximum number of checkers: `MAX_CHECKERS` of the runtime.
pub const CHECKERS: u32 = 1_024;
/// Maximum share of a host, in millionths: mainnet's.
const CAP: u64 = 300_000;
/// Number of leaves that the median host computes in a segment: about one accelerator's P400 leaves in a minute.
const MEDIAN: f64 = 200_000.0;
/// Standard deviation of the logarithm of a host's speed.
const SPREAD: f64 = 1.0;
/// Standard deviation of the logarithm of a count around the host's speed.
const JITTER: f64 = 0.03;

/// Speeds of all hosts, which are constant, and their counts, which differ from segment to segment.
pub struct Population {
	seed: u64,
	speeds: Vec<f64>,
}

impl Population {
	/// Makes hosts with log-normal speeds.
	pub fn new(config: &Config) -> Self {
		let mut rng = rng(config.seed, b"speeds", 0);
		let speeds = (0..config.hosts).map(|_| MEDIAN * exp(SPREAD * normal(&mut rng))).collect();
		Self { seed: config.seed, speeds }
	}

	/// Returns each host's number of leaves in each segment of an epoch.
	pub fn counts(&self, epoch: u64) -> Vec<[u64; SEGMENTS as usize]> {
		let mut rng = rng(self.seed, b"counts", epoch);
		let mut count = |speed: f64| (speed * exp(JITTER * normal(&mut rng))).max(1.0) as u64;
		self.speeds.iter().map(|speed| std::array::from_fn(|_| count(*speed))).collect()
	}

	/// Returns each host's effective weight in an epoch.
	pub fn weights(&self, epoch: u64) -> Vec<u64> {
		effective(self.counts(epoch).iter().map(|counts| math::compute_weight(counts, SEGMENTS)).collect())
	}
}

/// Returns the compute weight of a host that computes one leaf in each segment.
pub fn min_weight() -> u64 {
	math::compute_weight(&[1; SEGMENTS as usize], SEGMENTS)
}

/// Applies the cap to compute weights.
pub fn effective(mut weights: Vec<u64>) -> Vec<u64> {
	let total = weights.iter().sum();
	let hosts = weights.iter().filter(|weight| **weight > 0).count();
	let mut heaviest = weights.clone();
	heaviest.sort_unstable_by(|a, b| b.cmp(a));
	let cap = math::cap(&heaviest, total, hosts as u32, CAP);
	for weight in &mut weights {
		*weight = cap.min(*weight);
	}
	weights
}

/// Returns the checkers as the chain lists them, by descending weight, and the weights by which seats are dealt.
pub fn checkers(weights: &[u64]) -> (Vec<usize>, Vec<u64>) {
	let mut order: Vec<usize> = (0..weights.len()).filter(|host| weights[*host] > 0).collect();
	order.sort_by_key(|host| std::cmp::Reverse(weights[*host]));
	let mut qualified: Vec<u64> = order.iter().map(|host| weights[*host]).collect();
	qualify(&mut qualified);
	order.truncate(qualified.len());
	(order, qualified)
}

/// Returns the median weight.
pub fn median(weights: &[u64]) -> u64 {
	let mut sorted = weights.to_vec();
	sorted.sort_unstable();
	sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// Returns a host's account.
pub fn account(host: usize) -> [u8; 32] {
	let mut account = [0; 32];
	account[..8].copy_from_slice(&(host as u64).to_le_bytes());
	account
}

/// Returns the random numbers of one purpose.
pub fn rng(seed: u64, purpose: &[u8], number: u64) -> ChaCha8Rng {
	ChaCha8Rng::from_seed(blake2_256(&[b"gonka/sim", &seed.to_le_bytes(), &number.to_le_bytes(), purpose]))
}

/// Draws a uniform number in 0..`end`; the bias of a 64-bit product is far below anything measured.
pub fn below(rng: &mut ChaCha8Rng, end: usize) -> usize {
	((u128::from(rng.next_u64()) * end as u128) >> 64) as usize
}

/// Draws a uniformly random order of 0..`n`.
pub fn shuffled(rng: &mut ChaCha8Rng, n: usize) -> Vec<usize> {
	let mut order: Vec<usize> = (0..n).collect();
	for last in (1..n).rev() {
		order.swap(last, below(rng, last + 1));
	}
	order
}

/// Draws a nearly normal number from twelve uniform ones. No library's logarithm is used, so all machines give the
/// same.
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
	(0..12).map(|_| f64::from(rng.next_u32()) / 4_294_967_296.0).sum::<f64>() - 6.0
}

/// Approximates eˣ by multiplications only, so all machines give the same.
pub(crate) fn exp(x: f64) -> f64 {
	(0..20).fold(1.0 + x / 1_048_576.0, |power, _| power * power)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn weights_are_those_of_a_log_normal_population() {
		let config = Config { hosts: 20_000, ..Config::default() };
		let mut weights = Population::new(&config).weights(3);
		weights.sort_unstable();
		let at = |share: f64| weights[(share * 20_000.0) as usize] as f64 / 1e6;
		assert!((0.95..1.05).contains(&at(0.5)), "{}", at(0.5));
		assert!((0.33..0.40).contains(&at(0.1587)), "{}", at(0.1587));
		assert!((2.5..2.9).contains(&at(0.8413)), "{}", at(0.8413));
	}

	#[test]
	fn checkers_descend_by_weight_and_the_extremes_are_cut() {
		let (order, qualified) = checkers(&[3, 0, 7, 4, 5]);
		assert_eq!(order, [2, 4, 3, 0]);
		assert_eq!(qualified, [7, 5, 4, 3]);
		let (order, qualified) = checkers(&[&[1; 20][..], &[60; 4], &[900], &[60; 11]].concat());
		assert_eq!(
			(order.len(), qualified[0], qualified[1]),
			(16, 120, 60),
			"the heaviest is cut, the lightest are out"
		);
	}

	#[test]
	fn orders_are_uniform() {
		let (mut rng, mut first) = (rng(1, b"test", 0), [0u32; 5]);
		for _ in 0..10_000 {
			let order = shuffled(&mut rng, 5);
			assert_eq!(order.iter().sum::<usize>(), 10);
			first[order[0]] += 1;
		}
		assert!(first.iter().all(|count| count.abs_diff(2_000) < 200), "{first:?}");
	}
}
