//! The limit on leaves per second.

use std::time::Duration;

/// Allows `⌊rate · time⌋` leaves in a segment, without a burst at its start: three hosts with rates 4, 2 and 1 commit to
/// 4 : 2 : 1 leaves.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
	/// Leaves per second; `None` for no limit.
	rate: Option<f64>,
}

impl Pace {
	/// Makes a pace of `rate` leaves per second, or without a limit.
	pub fn new(rate: Option<f64>) -> Self {
		Self { rate }
	}

	/// Returns a pace with `factor` times the rate.
	pub fn times(self, factor: f64) -> Self {
		Self { rate: self.rate.map(|rate| rate * factor) }
	}

	/// Returns the number of leaves that may be computed in all, `elapsed` after the segment's start.
	pub fn allowed(&self, elapsed: Duration) -> u64 {
		self.rate.map_or(u64::MAX, |rate| (rate * elapsed.as_secs_f64()) as u64)
	}

	/// Returns the time until one leaf more than `done` is allowed.
	pub fn wait(&self, done: u64, elapsed: Duration) -> Duration {
		let Some(rate) = self.rate else { return Duration::ZERO };
		let due = (done as f64 + 1.0) / rate;
		Duration::try_from_secs_f64(due - elapsed.as_secs_f64()).unwrap_or(Duration::ZERO)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_rate_is_kept_exactly() {
		let pace = Pace::new(Some(2.5));
		let counts = [0, 399, 400, 1000, 60_000].map(|ms| pace.allowed(Duration::from_millis(ms)));
		assert_eq!(counts, [0, 0, 1, 2, 150]);
		assert_eq!(pace.wait(0, Duration::from_millis(100)), Duration::from_millis(300));
		assert_eq!(pace.wait(0, Duration::from_secs(9)), Duration::ZERO);
		assert_eq!(pace.times(2.0).allowed(Duration::from_secs(1)), 5);
	}

	#[test]
	fn without_a_rate_nothing_is_limited() {
		assert_eq!(Pace::new(None).allowed(Duration::ZERO), u64::MAX);
		assert_eq!(Pace::new(None).wait(7, Duration::ZERO), Duration::ZERO);
	}
}
