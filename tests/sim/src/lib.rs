#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_code)]

extern crate alloc;

pub mod attacks;
pub mod audit;
pub mod bytes;
pub mod epoch;
pub mod games;
pub mod population;
pub mod report;
pub mod stats;
pub mod strategies;
pub mod theory;

use stats::Tally;
use std::{
	sync::atomic::{AtomicU64, Ordering::Relaxed},
	thread,
};

/// Parameters of the simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
	/// Number of epochs.
	pub epochs: u64,
	/// Number of hosts. All take part in the sprint, and all check.
	pub hosts: usize,
	/// Share of hosts that are dishonest, drawn anew in each epoch.
	pub dishonest: f64,
	/// Share of honest hosts that are offline while disputes run, drawn anew in each epoch.
	pub offline: f64,
	/// Number of hosts whose leaves are fabricated in each epoch.
	pub fabricators: usize,
	/// Seed of everything random.
	pub seed: u64,
}

impl Default for Config {
	fn default() -> Self {
		Self { epochs: 10_000, hosts: 300, dishonest: 0.4, offline: 0.05, fabricators: 30, seed: 1 }
	}
}

/// Fabricated shares that are measured.
pub const SHARES: [f64; 13] = [0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1];

impl Config {
	/// Returns the shares of dishonest hosts at which fabricators are tried: those of the plot, then this
	/// configuration's.
	pub fn levels(&self) -> Vec<f64> {
		let mut levels = vec![0.0, 0.2, 0.4, 0.6];
		levels.retain(|level| *level != self.dishonest);
		levels.push(self.dishonest);
		levels
	}

	/// Returns the number of dishonest hosts at one of the [`Config::levels`].
	pub fn dishonest_hosts(&self, level: f64) -> usize {
		(level * self.hosts as f64).round() as usize
	}

	/// Returns the number of hosts that report no wrong leaf at one of the [`Config::levels`]: the dishonest ones and,
	/// if `offline`, the honest ones that are offline.
	pub fn blind_hosts(&self, level: f64, offline: bool) -> usize {
		let dishonest = self.dishonest_hosts(level);
		let share = if offline { self.offline } else { 0.0 };
		dishonest + (share * self.hosts.saturating_sub(dishonest) as f64).round() as usize
	}
}

/// Simulates all epochs on `threads` threads, and calls `done` after each one. The result does not depend on the
/// threads.
pub fn run(config: &Config, threads: usize, done: impl Fn() + Sync) -> Tally {
	let (next, population) = (AtomicU64::new(0), population::Population::new(config));
	let work = || {
		let mut tally = Tally::new(config);
		loop {
			let number = next.fetch_add(1, Relaxed);
			if number >= config.epochs {
				return tally;
			}
			tally.add(&epoch::simulate(config, &population, number));
			done();
		}
	};
	thread::scope(|scope| {
		let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
		let mut total = work();
		for worker in workers {
			match worker.join() {
				Ok(tally) => total.add(&tally),
				Err(panic) => std::panic::resume_unwind(panic),
			}
		}
		total
	})
}
