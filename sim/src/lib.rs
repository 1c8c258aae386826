#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_code)]

extern crate alloc;

pub mod attacks;
pub mod bytes;
pub mod epoch;
pub mod games;
pub mod population;
pub mod report;
pub mod sampling;
pub mod stats;
pub mod theory;

/// The runtime's own weights: the file is pure, and so can be had without the SDK.
#[path = "../../pallets/poc/src/math.rs"]
#[allow(dead_code, unreachable_pub, reason = "the runtime needs more of it")]
mod math;

use stats::Tally;
use std::{
	sync::atomic::{AtomicU64, Ordering::Relaxed},
	thread,
};

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
	/// Epochs.
	pub epochs: u64,
	/// Hosts. All race and all check.
	pub hosts: usize,
	/// The share of hosts that are dishonest, drawn anew in each epoch.
	pub dishonest: f64,
	/// The share of honest hosts that are offline while disputes run, drawn anew in each epoch.
	pub offline: f64,
	/// Hosts whose leaves are fabricated, in each epoch.
	pub fabricators: usize,
	/// Everything follows from it.
	pub seed: u64,
}

impl Default for Config {
	fn default() -> Self {
		Self { epochs: 10_000, hosts: 300, dishonest: 0.4, offline: 0.05, fabricators: 30, seed: 1 }
	}
}

/// The fabricated shares that are measured.
pub const SHARES: [f64; 13] = [0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1];

impl Config {
	/// The shares of dishonest hosts at which fabricators are tried: those of the plot, then this configuration's.
	pub fn levels(&self) -> Vec<f64> {
		let mut levels = vec![0.0, 0.2, 0.4, 0.6];
		levels.retain(|level| *level != self.dishonest);
		levels.push(self.dishonest);
		levels
	}

	/// Dishonest hosts at one of the [`Config::levels`].
	pub fn dishonest_hosts(&self, level: f64) -> usize {
		(level * self.hosts as f64).round() as usize
	}

	/// Hosts that report no wrong leaf at one of the [`Config::levels`]: dishonest, or honest but offline if `offline`.
	pub fn blind_hosts(&self, level: f64, offline: bool) -> usize {
		let dishonest = self.dishonest_hosts(level);
		let share = if offline { self.offline } else { 0.0 };
		dishonest + (share * self.hosts.saturating_sub(dishonest) as f64).round() as usize
	}
}

/// Simulates all epochs on `threads` threads; `done` is told of each one. The result does not depend on the threads.
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
