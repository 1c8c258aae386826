//! API keys with limits. The command `gonka-gateway key` writes them to a [`file`](mod@file), of which a running gateway
//! notices each change. Its [`ring`] tells a client's key, reserves the maximum cost of each request within the key's
//! [`limits`], and records the true cost. The [`usage`] of all keys is on disk within a second or two, and [`report`] returns
//! it to clients.
//!
//! Keys of the settings ([`crate::auth`]) have no limits. Their usage is recorded in the same way.

pub mod account;
pub mod calendar;
pub mod command;
pub mod file;
pub mod limits;
pub mod report;
pub mod ring;
pub mod usage;

/// Base units as decimal strings in JSON: its numbers are exact up to 2⁵³ only.
pub(crate) mod units {
	use gonka_primitives::Balance;
	use serde::{Deserialize, Deserializer, Serializer, de::Error};

	/// Writes the string.
	pub fn serialize<S: Serializer>(units: &Balance, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.collect_str(units)
	}

	/// Reads the string.
	pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Balance, D::Error> {
		String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
	}

	/// The same for an amount that may be missing.
	pub mod optional {
		use super::*;

		/// Writes the string or null.
		pub fn serialize<S: Serializer>(units: &Option<Balance>, serializer: S) -> Result<S::Ok, S::Error> {
			match units {
				Some(units) => serializer.collect_str(units),
				None => serializer.serialize_none(),
			}
		}

		/// Reads the string or null.
		pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Balance>, D::Error> {
			let text = Option::<String>::deserialize(deserializer)?;
			text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
		}
	}
}
