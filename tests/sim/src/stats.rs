//! Counts of the simulation. All are sums of integers, so that the order of epochs does not matter.

use crate::{Config, SHARES};

/// Larger than any committee.
pub const MAX_SIZE: usize = 12;
/// Larger than any number of different partners that is distinguished.
pub const MAX_PARTNERS: usize = 64;
/// Number of classes of hosts by weight: see [`class`].
pub const CLASSES: usize = 7;

/// A number counted in each epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
	sum: u64,
	squares: u64,
}

impl Counter {
	/// Adds the count of an epoch.
	pub fn epoch(&mut self, count: u64) {
		self.sum += count;
		self.squares += count * count;
	}

	/// Returns the sum over all epochs.
	pub fn sum(&self) -> u64 {
		self.sum
	}

	/// Returns the share of `trials` in each of `epochs`.
	pub fn mean(&self, epochs: u64, trials: u64) -> f64 {
		self.sum as f64 / (epochs * trials).max(1) as f64
	}

	/// Returns the standard deviation of [`Counter::mean`], from the differences between epochs: trials of the same
	/// epoch share their checkers, and so are not independent.
	pub fn sigma(&self, epochs: u64, trials: u64) -> f64 {
		let (n, sum) = (epochs as f64, self.sum as f64);
		let variance = (self.squares as f64 - sum * sum / n).max(0.0) / (n - 1.0).max(1.0);
		(variance / n).sqrt() / trials as f64
	}
}

/// Checkers that reveal made-up tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lazy {
	/// Number of hosts, in all epochs, with a leaf set to check.
	pub hosts: u64,
	/// Number of hosts without one.
	pub idle: u64,
	/// Number of leaf sets to check.
	pub sets: u64,
	/// Number of hosts caught.
	pub caught: u64,
	/// Weight of the hosts.
	pub weight: u64,
	/// Weight of the hosts caught.
	pub weight_caught: u64,
}

/// Counts of honest hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Honest {
	/// Number of honest hosts, in all epochs.
	pub hosts: u64,
	/// Number of those offline during disputes.
	pub offline: u64,
	/// Number of accusations of honest hosts.
	pub accused: u64,
	/// Number of accusations of honest hosts that stood.
	pub convicted: u64,
	/// Number of challenges of honest checkers.
	pub challenged: u64,
	/// Number of honest checkers, online, that lost a challenge.
	pub lost: u64,
	/// Number of honest checkers, offline, that are not paid because they missed their turn in a challenge.
	pub forfeited: u64,
}

/// All counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
	/// Number of epochs.
	pub epochs: u64,
	/// Number of committees by size.
	pub sizes: [u64; MAX_SIZE],
	/// Number of fabricators' committees by size.
	pub tried: [u64; MAX_SIZE],
	/// Number of fabricators caught: by level of [`Config::levels`], then with all honest hosts online or some offline,
	/// then by share of [`SHARES`].
	pub caught: Vec<[[Counter; SHARES.len()]; 2]>,
	/// Lazy checkers by class of weight.
	pub lazy: [Lazy; CLASSES],
	/// Number of lazy checkers by the number of different partners, and of those caught.
	pub partners: [(u64, u64); MAX_PARTNERS],
	/// Number of hosts with duties, each as if it alone were lazy and all others honest, and of those caught.
	pub lone: (u64, u64),
	/// Honest hosts.
	pub honest: Honest,
	/// Number of leaf sets that all checkers had to check.
	pub sets: u64,
	/// Bytes that all hosts put on chain.
	pub bytes: u64,
}

impl Tally {
	/// Returns counts of zero.
	pub fn new(config: &Config) -> Self {
		Self {
			epochs: 0,
			sizes: Default::default(),
			tried: Default::default(),
			caught: vec![Default::default(); config.levels().len()],
			lazy: Default::default(),
			partners: [(0, 0); MAX_PARTNERS],
			lone: (0, 0),
			honest: Honest::default(),
			sets: 0,
			bytes: 0,
		}
	}

	/// Adds the counts of other epochs.
	pub fn add(&mut self, other: &Self) {
		self.epochs += other.epochs;
		self.sets += other.sets;
		self.bytes += other.bytes;
		self.lone.0 += other.lone.0;
		self.lone.1 += other.lone.1;
		add(&mut self.sizes, &other.sizes);
		add(&mut self.tried, &other.tried);
		let counters = self.caught.iter_mut().flatten().flatten();
		for (counter, other) in counters.zip(other.caught.iter().flatten().flatten()) {
			counter.sum += other.sum;
			counter.squares += other.squares;
		}
		for (lazy, other) in self.lazy.iter_mut().zip(&other.lazy) {
			lazy.add(other);
		}
		for (partners, other) in self.partners.iter_mut().zip(&other.partners) {
			partners.0 += other.0;
			partners.1 += other.1;
		}
		let (honest, other) = (&mut self.honest, &other.honest);
		honest.hosts += other.hosts;
		honest.offline += other.offline;
		honest.accused += other.accused;
		honest.convicted += other.convicted;
		honest.challenged += other.challenged;
		honest.lost += other.lost;
		honest.forfeited += other.forfeited;
	}

	/// Returns the lazy checkers of all classes.
	pub fn all_lazy(&self) -> Lazy {
		let mut all = Lazy::default();
		self.lazy.iter().for_each(|lazy| all.add(lazy));
		all
	}

	/// Returns the mean number of members of a committee.
	pub fn mean_size(&self) -> f64 {
		let members: u64 = (0..).zip(&self.sizes).map(|(size, count)| size * count).sum();
		members as f64 / self.sizes.iter().sum::<u64>().max(1) as f64
	}
}

impl Lazy {
	fn add(&mut self, other: &Self) {
		self.hosts += other.hosts;
		self.idle += other.idle;
		self.sets += other.sets;
		self.caught += other.caught;
		self.weight += other.weight;
		self.weight_caught += other.weight_caught;
	}

	/// Returns the share of hosts with duties that were caught, and its standard deviation.
	pub fn share(&self) -> (f64, f64) {
		binomial(self.caught, self.hosts)
	}
}

/// Returns a share and its standard deviation, of independent trials.
pub fn binomial(hits: u64, trials: u64) -> (f64, f64) {
	let (n, mean) = (trials.max(1) as f64, hits as f64 / trials.max(1) as f64);
	(mean, (mean * (1.0 - mean) / n).sqrt())
}

/// Returns the class of a weight: below 1/16 of the median, then by powers of two up to 2, and all above.
pub fn class(weight: u64, median: u64) -> usize {
	let ratio = weight.saturating_mul(16).checked_div(median).unwrap_or(0);
	(u64::BITS - ratio.leading_zeros()).min(CLASSES as u32 - 1) as usize
}

/// Returns the name of a class of [`class`].
pub fn class_name(class: usize) -> &'static str {
	["below 1/16", "1/16 … 1/8", "1/8 … 1/4", "1/4 … 1/2", "1/2 … 1", "1 … 2", "2 and more"][class]
}

fn add(sums: &mut [u64], others: &[u64]) {
	for (sum, other) in sums.iter_mut().zip(others) {
		*sum += other;
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_deviation_is_that_between_epochs() {
		let mut counter = Counter::default();
		[3, 5, 4, 4].into_iter().for_each(|count| counter.epoch(count));
		assert_eq!((counter.sum(), counter.mean(4, 10)), (16, 0.4));
		// Variance 2/3 of four epochs.
		assert!((counter.sigma(4, 10) - (2.0f64 / 3.0 / 4.0).sqrt() / 10.0).abs() < 1e-12);
	}

	#[test]
	fn classes_are_octaves() {
		let of = |weight| class(weight, 1600);
		assert_eq!(
			[0, 99, 100, 199, 200, 799, 800, 1599, 1600, 3199, 3200, 1 << 40].map(of),
			[0, 0, 1, 1, 2, 3, 4, 4, 5, 5, 6, 6]
		);
	}
}
