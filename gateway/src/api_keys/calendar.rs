//! Days and months in UTC, by which budgets count.

use std::{
	fmt,
	str::FromStr,
	sync::Arc,
	time::{SystemTime, UNIX_EPOCH},
};

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// Seconds since 1970 by the system's clock.
pub fn now() -> u64 {
	SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Tells the time in seconds since 1970; by default the system's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
	/// A clock that tells the time of `now`.
	pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
		Self(Arc::new(now))
	}

	/// The time.
	pub fn now(&self) -> u64 {
		(self.0)()
	}
}

impl Default for Clock {
	fn default() -> Self {
		Self::new(now)
	}
}

impl fmt::Debug for Clock {
	fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
		write!(formatter, "Clock({})", timestamp(self.now()))
	}
}

/// A text that is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date is written like 2026-12-31")]
pub struct DateError;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

impl Day {
	/// The day of a time in seconds since 1970.
	pub fn of(seconds: u64) -> Self {
		Self(u32::try_from(seconds / DAY).unwrap_or(u32::MAX))
	}

	/// Its first second.
	pub fn start(self) -> u64 {
		u64::from(self.0).saturating_mul(DAY)
	}

	/// The day `days` later.
	pub fn plus(self, days: u32) -> Self {
		Self(self.0.saturating_add(days))
	}

	/// The day `days` earlier.
	pub fn minus(self, days: u32) -> Self {
		Self(self.0.saturating_sub(days))
	}

	/// Its month.
	pub fn month(self) -> Month {
		let (year, month, _) = self.civil();
		Month(year.saturating_mul(12).saturating_add(month.saturating_sub(1)))
	}

	/// Year, month from 1, and day from 1. Years are counted from March on, so that a leap day is the last of its year.
	fn civil(self) -> (u32, u32, u32) {
		let days = u64::from(self.0).saturating_add(719_468);
		let (era, of_era) = (days / 146_097, days % 146_097);
		let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
		let of_year = of_era - (365 * year + year / 4 - year / 100);
		let from_march = (5 * of_year + 2) / 153;
		let day = of_year - (153 * from_march + 2) / 5 + 1;
		let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
		let year = year + era * 400 + u64::from(month <= 2);
		let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
		(part(year), part(month), part(day))
	}

	fn from_civil(year: u32, month: u32, day: u32) -> Option<Self> {
		if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
			return None;
		}
		let (years, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
		let of_year = (153 * from_march + 2) / 5 + day - 1;
		let days = (365 * years + years / 4 - years / 100 + years / 400 + of_year).checked_sub(719_468)?;
		// A day that the month does not have is another one.
		Some(Self(days)).filter(|read| read.civil() == (year, month, day))
	}
}

impl fmt::Display for Day {
	fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
		let (year, month, day) = self.civil();
		write!(formatter, "{year:04}-{month:02}-{day:02}")
	}
}

impl FromStr for Day {
	type Err = DateError;

	fn from_str(text: &str) -> Result<Self, DateError> {
		let parts = numbers(text, &[4, 2, 2]).ok_or(DateError)?;
		match parts[..] {
			[year, month, day] => Self::from_civil(year, month, day).ok_or(DateError),
			_ => Err(DateError),
		}
	}
}

/// A month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u32);

impl Month {
	/// The month of a time in seconds since 1970.
	pub fn of(seconds: u64) -> Self {
		Day::of(seconds).month()
	}

	/// The month `months` later.
	pub fn plus(self, months: u32) -> Self {
		Self(self.0.saturating_add(months))
	}

	/// The month `months` earlier.
	pub fn minus(self, months: u32) -> Self {
		Self(self.0.saturating_sub(months))
	}

	/// Its first second.
	pub fn start(self) -> u64 {
		Day::from_civil(self.0 / 12, self.0 % 12 + 1, 1).map_or(u64::MAX, Day::start)
	}
}

impl fmt::Display for Month {
	fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
		write!(formatter, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
	}
}

impl FromStr for Month {
	type Err = DateError;

	fn from_str(text: &str) -> Result<Self, DateError> {
		let parts = numbers(text, &[4, 2]).ok_or(DateError)?;
		match parts[..] {
			[year, month] => Day::from_civil(year, month, 1).map(Day::month).ok_or(DateError),
			_ => Err(DateError),
		}
	}
}

/// The numbers of a text in which hyphens separate them, with these numbers of digits.
fn numbers(text: &str, digits: &[usize]) -> Option<Vec<u32>> {
	let parts: Vec<&str> = text.split('-').collect();
	let is_number =
		|(part, digits): (&&str, &usize)| part.len() == *digits && part.bytes().all(|byte| byte.is_ascii_digit());
	if parts.len() != digits.len() || !parts.iter().zip(digits).all(is_number) {
		return None;
	}
	parts.into_iter().map(|part| part.parse().ok()).collect()
}

/// A time in seconds since 1970 as `2026-12-31T23:59:59Z`.
pub fn timestamp(seconds: u64) -> String {
	let of_day = seconds % DAY;
	format!("{}T{:02}:{:02}:{:02}Z", Day::of(seconds), of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_day_is_written_and_read_and_follows_the_one_before() {
		assert_eq!(Day::of(0).to_string(), "1970-01-01");
		assert_eq!(timestamp(1_767_225_599), "2025-12-31T23:59:59Z");
		let mut before: Day = "1999-12-31".parse().unwrap();
		for _ in 0..20_000 {
			let day = before.plus(1);
			assert_eq!(day.to_string().parse(), Ok(day));
			assert!(day.month() == before.month() || day.month() == before.month().plus(1), "{day}");
			if day.month() != before.month() {
				assert_eq!(day.month().start(), day.start());
				assert_eq!(day.month().to_string(), day.to_string()[..7]);
				assert_eq!(day.month().to_string().parse(), Ok(day.month()));
			}
			before = day;
		}
		assert_eq!(before.to_string(), "2054-10-03");
	}

	#[test]
	fn a_day_that_does_not_exist_is_no_date() {
		for bad in
			["", "2026", "2026-1-1", "2026-02-29", "2026-13-01", "2026-04-31", "2026-00-10", "+026-01-01", "1969-12-31"]
		{
			assert_eq!(bad.parse::<Day>(), Err(DateError), "{bad}");
		}
		assert!("2028-02-29".parse::<Day>().is_ok());
		assert_eq!("2026-13".parse::<Month>(), Err(DateError));
	}

	#[test]
	fn the_end_of_time_does_not_panic() {
		assert!(!timestamp(u64::MAX).is_empty());
		assert!(Month::of(u64::MAX).plus(1).start() > 0);
	}
}
