//! The account of one key in the running gateway: usage, reservations of running requests, and requests of the last minute.

use super::{
	calendar::timestamp,
	limits::{Budget, Limits},
	usage::{Counts, Usage},
};
use gonka_primitives::Balance;
use std::fmt;

/// Number of seconds within which requests are counted. With a part of a second at its beginning they are a minute at least.
const WINDOW: usize = 61;

/// A budget of a key at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
	/// The budget.
	pub budget: Budget,
	/// Its limit, in base units or tokens, as all amounts here.
	pub limit: u128,
	/// The part that is used.
	pub used: u128,
	/// The part that running requests may use.
	pub reserved: u128,
	/// The second since 1970 at which the next period begins.
	pub resets: u64,
}

impl Standing {
	/// The part that is left for new requests.
	pub fn left(&self) -> u128 {
		self.limit.saturating_sub(self.used).saturating_sub(self.reserved)
	}
}

/// A request that a budget does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
	/// The budget.
	pub standing: Standing,
	/// The maximum that the request may use.
	pub needed: u128,
}

impl Exhausted {
	/// Whether the same request is allowed if the running ones turn out to use little enough.
	pub fn is_passing(&self) -> bool {
		self.standing.used.saturating_add(self.needed) <= self.standing.limit
	}
}

impl fmt::Display for Exhausted {
	fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
		let Standing { budget, limit, used, reserved, resets } = self.standing;
		write!(formatter, "has a budget of {}, of which {} are used", budget.rate(limit), budget.amount(used))?;
		if reserved > 0 {
			write!(formatter, " and {} are reserved by running requests", budget.amount(reserved))?;
		}
		write!(
			formatter,
			". This request may need {}. The budget resets at {}.",
			budget.amount(self.needed),
			timestamp(resets)
		)
	}
}

/// The account of a key.
#[derive(Clone, Debug, Default)]
pub struct Account {
	/// The usage.
	pub usage: Usage,
	reserved_fee: Balance,
	reserved_tokens: u64,
	/// Number of reservations.
	running: usize,
	minute: Option<Box<Minute>>,
	/// The time from which on the usage has changed and is not written.
	changed: Option<u64>,
}

impl Account {
	/// An account with this usage.
	pub fn new(usage: Usage) -> Self {
		Self { usage, ..Self::default() }
	}

	/// Number of running completions.
	pub fn running(&self) -> usize {
		self.running
	}

	/// The budgets that have a limit.
	pub fn standings(&self, limits: &Limits, now: u64) -> Vec<Standing> {
		let standing = |budget: Budget| {
			let limit = budget.limit(limits)?;
			let (used, resets) = (budget.used(&self.usage, now), budget.resets(now));
			let reserved = budget.part(self.reserved_fee, self.reserved_tokens);
			Some(Standing { budget, limit, used, reserved, resets })
		};
		Budget::ALL.into_iter().filter_map(standing).collect()
	}

	/// Reserves the maximum cost of a completion in all budgets, or in none.
	pub fn reserve(&mut self, limits: &Limits, fee: Balance, tokens: u64, now: u64) -> Result<(), Exhausted> {
		for standing in self.standings(limits, now) {
			let needed = standing.budget.part(fee, tokens);
			if needed > standing.left() {
				return Err(Exhausted { standing, needed });
			}
		}
		self.reserved_fee = self.reserved_fee.saturating_add(fee);
		self.reserved_tokens = self.reserved_tokens.saturating_add(tokens);
		self.running = self.running.saturating_add(1);
		Ok(())
	}

	/// Ends a reservation.
	pub fn release(&mut self, fee: Balance, tokens: u64) {
		self.reserved_fee = self.reserved_fee.saturating_sub(fee);
		self.reserved_tokens = self.reserved_tokens.saturating_sub(tokens);
		self.running = self.running.saturating_sub(1);
	}

	/// Records what was used.
	pub fn record(&mut self, counts: &Counts, now: u64) {
		self.usage.add(counts, now);
		self.changed = Some(self.changed.map_or(now, |since| since.min(now)));
	}

	/// Returns the time from which on the usage has changed, once: it is then written. `None` if it has not changed.
	pub fn take_changed(&mut self) -> Option<u64> {
		self.changed.take()
	}

	/// Counts a request, unless there were `limit` of them within a minute. Then returns the number of seconds until one is
	/// allowed.
	pub fn admit(&mut self, limit: Option<u32>, now: u64) -> Result<(), u32> {
		match limit {
			Some(limit) => self.minute.get_or_insert_default().admit(limit, now),
			None => {
				self.minute = None;
				Ok(())
			},
		}
	}
}

/// The requests of each of the last seconds.
#[derive(Clone, Debug)]
struct Minute {
	counts: [u32; WINDOW],
	/// The second that was counted last.
	last: u64,
}

impl Default for Minute {
	fn default() -> Self {
		Self { counts: [0; WINDOW], last: 0 }
	}
}

impl Minute {
	fn admit(&mut self, limit: u32, now: u64) -> Result<(), u32> {
		if now < self.last.saturating_sub(WINDOW as u64) {
			// The clock was set back.
			*self = Self::default();
		}
		let now = now.max(self.last);
		let passed = now.saturating_sub(self.last).min(WINDOW as u64);
		for second in 0..passed {
			self.count(now.saturating_sub(second), |count| *count = 0);
		}
		self.last = now;
		let mut within: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
		if within < limit.into() {
			self.count(now, |count| *count = count.saturating_add(1));
			return Ok(());
		}
		// The oldest second leaves first.
		for wait in 1..=WINDOW as u32 {
			self.count(now.saturating_add(wait.into()), |count| within = within.saturating_sub(u64::from(*count)));
			if within < limit.into() {
				return Err(wait);
			}
		}
		Err(WINDOW as u32)
	}

	fn count(&mut self, second: u64, change: impl FnOnce(&mut u32)) {
		if let Some(count) = self.counts.get_mut((second % WINDOW as u64) as usize) {
			change(count);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::api_keys::calendar::{DAY, Day};
	use gonka_primitives::GNK;
	use proptest::prelude::*;

	fn midnight() -> u64 {
		"2026-07-31".parse::<Day>().unwrap().start()
	}

	fn counts(cost: Balance, tokens: u64) -> Counts {
		Counts { requests: 1, prompt_tokens: tokens, completion_tokens: 0, cost }
	}

	#[test]
	fn a_budget_holds_for_a_day_or_a_month() {
		let (mut account, now) = (Account::default(), midnight());
		let limits = Limits { gnk_per_day: Some(10), tokens_per_month: Some(25), ..Limits::default() };
		account.reserve(&limits, 10, 20, now).unwrap();
		account.release(10, 20);
		account.record(&counts(8, 20), now);
		let day = account.reserve(&limits, 3, 1, now + DAY - 1).unwrap_err();
		assert_eq!(
			day.to_string(),
			"has a budget of 0.00000001 GNK a day, of which 0.000000008 GNK are used. This request may need 0.000000003 GNK. \
			 The budget resets at 2026-08-01T00:00:00Z."
		);
		assert!(!day.is_passing());
		account.reserve(&limits, 2, 5, now + DAY - 1).unwrap();
		let both = account.reserve(&limits, 1, 5, now + DAY - 1).unwrap_err();
		assert!(both.is_passing() && both.to_string().contains("0.000000002 GNK are reserved"), "{both}");
		account.release(2, 5);
		let month = account.reserve(&limits, 0, 6, now + 1).unwrap_err();
		assert_eq!((month.standing.budget, month.needed), (Budget::TokensPerMonth, 6));
		assert!(month.to_string().starts_with("has a budget of 25 tokens a month, of which 20 tokens are used."));
		account.reserve(&limits, 10, 25, now + DAY).unwrap();
	}

	#[test]
	fn a_reservation_over_midnight_counts_for_the_new_day() {
		let (mut account, end) = (Account::default(), midnight() + DAY - 1);
		let limits = Limits { gnk_per_day: Some(10), ..Limits::default() };
		account.reserve(&limits, 7, 0, end).unwrap();
		assert!(account.reserve(&limits, 4, 0, end + 1).is_err());
		account.release(7, 0);
		account.record(&counts(7, 0), end + 1);
		assert!(account.reserve(&limits, 4, 0, end + 2).is_err());
		account.reserve(&limits, 3, 0, end + 2).unwrap();
		assert_eq!(account.usage.day(Day::of(end)), Counts::default());
	}

	#[test]
	fn lower_limits_hold_at_once_and_no_limit_allows_everything() {
		let (mut account, now) = (Account::default(), midnight());
		account.reserve(&Limits::default(), Balance::MAX, u64::MAX, now).unwrap();
		account.reserve(&Limits::default(), Balance::MAX, u64::MAX, now).unwrap();
		let limits = Limits { gnk_per_day: Some(GNK), ..Limits::default() };
		assert_eq!(account.standings(&limits, now)[0].left(), 0);
		assert!(account.reserve(&limits, 1, 0, now).is_err());
		account.reserve(&limits, 0, 0, now).unwrap();
	}

	#[test]
	fn within_a_minute_only_so_many_requests_are_admitted() {
		let (mut account, now) = (Account::default(), midnight());
		for second in [0, 0, 10, 59] {
			account.admit(Some(4), now + second).unwrap();
		}
		assert_eq!(account.admit(Some(4), now + 59), Err(2));
		assert_eq!(account.admit(Some(4), now + 60), Err(1));
		account.admit(Some(4), now + 61).unwrap();
		account.admit(Some(4), now + 61).unwrap();
		assert_eq!(account.admit(Some(4), now + 61), Err(10));
		// A lower limit waits for more of them.
		assert_eq!(account.admit(Some(1), now + 61), Err(61));
		account.admit(None, now + 61).unwrap();
		account.admit(Some(1), now + 61).unwrap();
		// The clock is set back by an hour.
		account.admit(Some(1), now - 3_600).unwrap();
		assert_eq!(account.admit(Some(1), now - 3_599), Err(60));
	}

	proptest! {
		#[test]
		fn whatever_is_admitted_keeps_the_limit_and_the_wait_is_exact(steps in prop::collection::vec(0u64..40, 1..200), limit in 1u32..6) {
			let (mut account, mut now, mut admitted) = (Account::default(), 1_000_000, Vec::new());
			for step in steps {
				now += step;
				let within = |from: u64| admitted.iter().filter(|at| **at + 60 >= from).count();
				match account.admit(Some(limit), now) {
					Ok(()) => {
						prop_assert!(within(now) < limit as usize);
						admitted.push(now);
					},
					Err(wait) => {
						prop_assert!(within(now + u64::from(wait)) < limit as usize);
						prop_assert!(within(now + u64::from(wait) - 1) >= limit as usize);
					},
				}
			}
		}

		#[test]
		fn used_and_reserved_never_exceed_a_budget(requests in prop::collection::vec((0u128..50, 0u64..50, any::<bool>()), 1..100)) {
			let (mut account, now, mut running) = (Account::default(), midnight(), Vec::new());
			let limits = Limits { gnk_per_day: Some(100), tokens_per_month: Some(100), ..Limits::default() };
			for (fee, tokens, ends) in requests {
				if account.reserve(&limits, fee, tokens, now).is_ok() {
					running.push((fee, tokens));
				}
				if ends && let Some((fee, tokens)) = running.pop() {
					account.release(fee, tokens);
					account.record(&counts(fee / 2, tokens), now);
				}
				for standing in account.standings(&limits, now) {
					prop_assert!(standing.used + standing.reserved <= standing.limit);
				}
				prop_assert_eq!(account.running(), running.len());
			}
		}
	}
}
