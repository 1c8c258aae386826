//! The limits of a key.

use super::{
	calendar::{DAY, Day, Month},
	units,
	usage::Usage,
};
use crate::config::format_gnk;
use gonka_primitives::Balance;
use serde::{Deserialize, Serialize};

/// Maximum number of models to which a key may be limited.
pub const MAX_MODELS: usize = 64;
/// Maximum length of a model's name, in bytes.
pub const MAX_MODEL_NAME: usize = 128;
/// Maximum number of days until a key expires, if it does.
const MAX_LIFETIME: u64 = 36_500;

/// The limits of a key; none of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
	/// Maximum cost of a day in UTC, in base units.
	#[serde(with = "units::optional", default, skip_serializing_if = "Option::is_none")]
	pub gnk_per_day: Option<Balance>,
	/// Maximum cost of a month in UTC, in base units.
	#[serde(with = "units::optional", default, skip_serializing_if = "Option::is_none")]
	pub gnk_per_month: Option<Balance>,
	/// Maximum number of prompt and completion tokens of a day in UTC.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub tokens_per_day: Option<u64>,
	/// Maximum number of prompt and completion tokens of a month in UTC.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub tokens_per_month: Option<u64>,
	/// Maximum number of requests within a minute.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub requests_per_minute: Option<u32>,
	/// Models that the key may use, or aliases of them; all if the list is empty.
	#[serde(default, skip_serializing_if = "Vec::is_empty")]
	pub models: Vec<String>,
	/// The second since 1970 from which on the key is no longer valid.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub expires: Option<u64>,
}

/// A limit of a key's usage in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
	/// GNK of a day.
	GnkPerDay,
	/// GNK of a month.
	GnkPerMonth,
	/// Tokens of a day.
	TokensPerDay,
	/// Tokens of a month.
	TokensPerMonth,
}

impl Budget {
	/// All budgets.
	pub const ALL: [Self; 4] = [Self::GnkPerDay, Self::GnkPerMonth, Self::TokensPerDay, Self::TokensPerMonth];

	/// Its limit; `None` if there is none.
	pub fn limit(self, limits: &Limits) -> Option<u128> {
		match self {
			Self::GnkPerDay => limits.gnk_per_day,
			Self::GnkPerMonth => limits.gnk_per_month,
			Self::TokensPerDay => limits.tokens_per_day.map(u128::from),
			Self::TokensPerMonth => limits.tokens_per_month.map(u128::from),
		}
	}

	/// The part of a usage that counts, in the present period.
	pub fn used(self, usage: &Usage, now: u64) -> u128 {
		match self {
			Self::GnkPerDay => usage.day(Day::of(now)).cost,
			Self::GnkPerMonth => usage.month(Month::of(now)).cost,
			Self::TokensPerDay => usage.day(Day::of(now)).tokens(),
			Self::TokensPerMonth => usage.month(Month::of(now)).tokens(),
		}
	}

	/// The part of a request's cost that counts.
	pub fn part(self, fee: Balance, tokens: u64) -> u128 {
		if self.is_gnk() { fee } else { tokens.into() }
	}

	/// The first second of the next period.
	pub fn resets(self, now: u64) -> u64 {
		match self {
			Self::GnkPerDay | Self::TokensPerDay => Day::of(now).plus(1).start(),
			Self::GnkPerMonth | Self::TokensPerMonth => Month::of(now).plus(1).start(),
		}
	}

	/// Its name, as in the option of the command and in JSON.
	pub fn name(self) -> &'static str {
		match self {
			Self::GnkPerDay => "gnk_per_day",
			Self::GnkPerMonth => "gnk_per_month",
			Self::TokensPerDay => "tokens_per_day",
			Self::TokensPerMonth => "tokens_per_month",
		}
	}

	/// An amount with its unit, for people.
	pub fn amount(self, amount: u128) -> String {
		if self.is_gnk() { format!("{} GNK", format_gnk(amount)) } else { format!("{amount} tokens") }
	}

	/// An amount with unit and period, for people.
	pub fn rate(self, amount: u128) -> String {
		let period = match self {
			Self::GnkPerDay | Self::TokensPerDay => "day",
			Self::GnkPerMonth | Self::TokensPerMonth => "month",
		};
		format!("{} a {period}", self.amount(amount))
	}

	/// Whether it counts GNK, not tokens.
	pub fn is_gnk(self) -> bool {
		matches!(self, Self::GnkPerDay | Self::GnkPerMonth)
	}
}

/// An end of a key's life that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExpiryError {
	/// It is neither a number of days nor a date.
	#[error("write a number of days such as 30d, or a date such as 2026-12-31")]
	Malformed,
	/// It is too far away.
	#[error("write at most {MAX_LIFETIME}d")]
	TooLate,
	/// It is not in the future.
	#[error("it is over already: name a later day")]
	Over,
}

/// Reads the end of a key's life: `30d` from now, or the last day on which it is valid. Returns the first second after it.
pub fn parse_expiry(text: &str, now: u64) -> Result<u64, ExpiryError> {
	let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
	let end = match days {
		Some(days) if days > MAX_LIFETIME => return Err(ExpiryError::TooLate),
		Some(days) => now.saturating_add(days.saturating_mul(DAY)),
		None => {
			let day: Day = text.parse().map_err(|_| ExpiryError::Malformed)?;
			day.plus(1).start()
		},
	};
	if end <= now { Err(ExpiryError::Over) } else { Ok(end) }
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::api_keys::calendar::timestamp;

	#[test]
	fn an_expiry_is_a_number_of_days_or_the_last_valid_day() {
		let now = "2026-07-23".parse::<Day>().unwrap().start() + 3_600;
		let read = |text| parse_expiry(text, now).map(timestamp);
		assert_eq!(read("30d").unwrap(), "2026-08-22T01:00:00Z");
		assert_eq!(read("2026-12-31").unwrap(), "2027-01-01T00:00:00Z");
		assert_eq!(read("2026-07-23").unwrap(), "2026-07-24T00:00:00Z");
		for bad in ["", "d", "-1d", "0d", "36501d", "99999999999999999999d", "2026-07-22", "tomorrow", "2026-02-30"] {
			assert!(read(bad).is_err(), "{bad}");
		}
	}

	#[test]
	fn limits_are_stored_with_amounts_as_strings() {
		let limits = Limits { gnk_per_day: Some(u128::MAX), models: vec!["m".into()], ..Limits::default() };
		let json = serde_json::to_string(&limits).unwrap();
		assert_eq!(json, format!(r#"{{"gnk_per_day":"{}","models":["m"]}}"#, u128::MAX));
		assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
		assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), Limits::default());
	}
}
