//! Parameter values as users write them.

use crate::amount::parse_gnk;
use anyhow::{Context, Result, anyhow, bail};
use gonka_client::chain::{Kind, Value};
use serde_json::Value as Json;

/// Parses a parameter's value: `12.5%`, `0.1GNK`, or JSON. Returns `None` for `default`.
pub fn parse(kind: Kind, text: &str) -> Result<Option<Value>> {
	if text == "default" {
		return Ok(None);
	}
	Ok(Some(match kind {
		Kind::Share => Value::u128(share(text)?.into()),
		Kind::Amount => {
			let amount = text.strip_suffix("GNK").context("write an amount in GNK, such as 0.1GNK, or `default`")?;
			Value::u128(parse_gnk(amount.trim()).map_err(|error| anyhow!(error))?)
		},
		Kind::Other => {
			let json = serde_json::from_str(text);
			json_value(&json.context("write a number, JSON such as {\"version\":2000,\"from\":90000}, or `default`")?)?
		},
	}))
}

/// Parses a percentage with at most 7 decimals into parts per billion.
pub(super) fn share(text: &str) -> Result<u32> {
	let bad = || anyhow!("`{text}` is not a share: write a percentage such as 20% or 12.5%, or `default`");
	let digits = text.strip_suffix('%').ok_or_else(bad)?.trim();
	let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
	let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
	if whole.is_empty() || decimals.len() > 7 || !is_number(whole) || !is_number(decimals) {
		return Err(bad());
	}
	let parts: u64 = format!("{whole}{decimals:0<7}").parse().map_err(|_| bad())?;
	if parts > 1_000_000_000 {
		bail!("{text} exceeds 100%");
	}
	Ok(u32::try_from(parts)?)
}

fn json_value(json: &Json) -> Result<Value> {
	Ok(match json {
		Json::Number(number) => {
			Value::u128(number.as_u64().context("numbers have to be whole and not negative")?.into())
		},
		Json::Bool(value) => Value::bool(*value),
		Json::String(name) => Value::unnamed_variant(name.clone(), []),
		Json::Array(values) => Value::unnamed_composite(values.iter().map(json_value).collect::<Result<Vec<_>>>()?),
		Json::Object(fields) => {
			let field = |(name, value): (&String, &Json)| Ok((name.clone(), json_value(value)?));
			Value::named_composite(fields.iter().map(field).collect::<Result<Vec<_>>>()?)
		},
		Json::Null => bail!("write `default` for the default"),
	})
}

/// Parses a worker version into the number that governance uses: major · 10⁶ + minor · 10³ + patch.
pub fn version(text: &str) -> Result<u32, String> {
	gonka_primitives::host::worker_version(text)
		.ok_or_else(|| format!("`{text}` is not a version: write three numbers such as 0.2.1"))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn shares_amounts_and_structures_are_parsed() {
		assert_eq!(parse(Kind::Share, "12.5%").unwrap(), Some(Value::u128(125_000_000)));
		assert_eq!(parse(Kind::Share, "100 %").unwrap(), Some(Value::u128(1_000_000_000)));
		assert_eq!(parse(Kind::Amount, "0.1GNK").unwrap(), Some(Value::u128(100_000_000)));
		assert_eq!(parse(Kind::Other, "90").unwrap(), Some(Value::u128(90)));
		assert_eq!(parse(Kind::Other, "default").unwrap(), None);
		let version = Value::named_composite([("from", Value::u128(9)), ("version", Value::u128(2_000))]);
		assert_eq!(parse(Kind::Other, r#"{"from":9,"version":2000}"#).unwrap(), Some(version));
	}

	#[test]
	fn ambiguous_values_are_rejected() {
		for text in ["20", "0.2", "101%", "%", "1e2%", "-1%", "0.00000001%"] {
			assert!(parse(Kind::Share, text).is_err(), "{text}");
		}
		for text in ["100", "1,5GNK", "-1GNK", "GNK"] {
			assert!(parse(Kind::Amount, text).is_err(), "{text}");
		}
		for text in ["1.5", "-1", "null", "20%"] {
			assert!(parse(Kind::Other, text).is_err(), "{text}");
		}
	}

	#[test]
	fn versions_are_parsed_into_numbers() {
		assert_eq!(version("1.2.3"), Ok(1_002_003));
		assert!(version("1.2").is_err() && version("v1.2.3").is_err() && version("1.1000.0").is_err());
	}
}
