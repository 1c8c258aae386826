//! Conversion between GNK and base units, 10⁻⁹ GNK.

use gonka_primitives::{Balance, GNK};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

/// Number of decimals of an amount in GNK.
const DECIMALS: usize = 9;

/// Parses an amount in GNK with at most 9 decimals into base units.
pub fn parse_gnk(text: &str) -> Result<Balance, String> {
	let bad = || format!("`{text}` is not an amount in GNK: write 10 or 0.5, with at most {DECIMALS} decimals");
	let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
	let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
	if whole.is_empty() || decimals.len() > DECIMALS || !digits(whole) || !digits(decimals) {
		return Err(bad());
	}
	let whole: Balance = whole.parse().map_err(|_| bad())?;
	let decimals: Balance = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| bad())?;
	whole.checked_mul(GNK).and_then(|units| units.checked_add(decimals)).ok_or_else(bad)
}

/// Formats base units as GNK, with thousands separators and without trailing zeros.
pub fn gnk(units: Balance) -> String {
	let whole = (units / GNK).to_string();
	let mut out = String::new();
	for (position, digit) in whole.chars().enumerate() {
		if position > 0 && (whole.len() - position).is_multiple_of(3) {
			out.push(',');
		}
		out.push(digit);
	}
	out + &decimals(units)
}

/// The decimals of an amount with their point, without trailing zeros.
fn decimals(units: Balance) -> String {
	let decimals = format!(".{:0DECIMALS$}", units % GNK);
	decimals.trim_end_matches('0').trim_end_matches('.').into()
}

/// An amount in JSON, in base units. [`json`] writes it as text in base units, and beside it another field with `_gnk` after its
/// name as text in GNK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Balance);

/// Names of the fields of an [`Amount`] until [`json`] writes it.
const MARK: [&str; 2] = ["amount in base units", "amount in GNK"];

impl Serialize for Amount {
	fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		let [units, gnk] = MARK;
		let mut map = serializer.serialize_map(Some(2))?;
		map.serialize_entry(units, &self.0.to_string())?;
		map.serialize_entry(gnk, &format!("{}{}", self.0 / GNK, decimals(self.0)))?;
		map.end()
	}
}

/// Serialises base units as an [`Amount`].
pub fn units<S: Serializer>(units: &Balance, serializer: S) -> Result<S::Ok, S::Error> {
	Amount(*units).serialize(serializer)
}

/// A count in JSON. One above 64 bits is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u128);

impl Serialize for Count {
	fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		match u64::try_from(self.0) {
			Ok(count) => serializer.serialize_u64(count),
			Err(_) => serializer.collect_str(&self.0),
		}
	}
}

/// Serialises a number as a [`Count`].
pub fn count<S: Serializer>(count: &u128, serializer: S) -> Result<S::Ok, S::Error> {
	Count(*count).serialize(serializer)
}

/// Largest whole number that all readers of JSON read exactly.
const MAX_EXACT: u64 = 1 << 53;

/// Writes JSON for programs. A field `x` with an [`Amount`] is text in base units, and `x_gnk` beside it text in GNK. A whole
/// number above 2⁵³ is text.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
	serde_json::to_string_pretty(&plain(serde_json::to_value(value)?))
}

fn plain(value: Value) -> Value {
	match value {
		Value::Number(number) if number.as_u64().is_some_and(|number| number > MAX_EXACT) => number.to_string().into(),
		Value::Array(values) => values.into_iter().map(plain).collect(),
		Value::Object(fields) => match amount(&fields) {
			Some([units, _]) => units,
			None => {
				let mut out = Map::new();
				for (name, value) in fields {
					if let Some([units, gnk]) = value.as_object().and_then(amount) {
						let beside = format!("{name}_gnk");
						out.insert(name, units);
						out.insert(beside, gnk);
					} else {
						out.insert(name, plain(value));
					}
				}
				Value::Object(out)
			},
		},
		other => other,
	}
}

/// The texts of an [`Amount`], in base units and in GNK.
fn amount(fields: &Map<String, Value>) -> Option<[Value; 2]> {
	let [units, gnk] = MARK.map(|name| fields.get(name).cloned());
	Some([units?, gnk?])
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn amounts_are_parsed() {
		assert_eq!(parse_gnk("10"), Ok(10 * GNK));
		assert_eq!(parse_gnk("0.000000001"), Ok(1));
		assert_eq!(parse_gnk("1.5"), Ok(GNK + GNK / 2));
		for bad in ["", ".", "-1", "1e3", ".5", "1,000", "0.0000000001", "999999999999999999999999999999999999999"] {
			assert!(parse_gnk(bad).is_err(), "{bad}");
		}
	}

	#[test]
	fn amounts_are_formatted() {
		assert_eq!(gnk(0), "0");
		assert_eq!(gnk(1), "0.000000001");
		assert_eq!(gnk(999 * GNK), "999");
		assert_eq!(gnk(1_234_567 * GNK + GNK / 2), "1,234,567.5");
	}

	#[test]
	fn an_amount_in_json_is_text_in_base_units_with_gnk_beside_it() {
		#[derive(Serialize)]
		struct Row {
			#[serde(serialize_with = "units")]
			deposit: Balance,
			#[serde(serialize_with = "count")]
			votes: u128,
			weight: u64,
			list: Vec<(u32, Amount)>,
		}
		let row = Row { deposit: 1_234 * GNK + 5, votes: 1 << 70, weight: u64::MAX, list: vec![(3, Amount(7))] };
		let text = json(&serde_json::json!({ "row": row, "exact": MAX_EXACT, "share": 0.5, "none": null })).unwrap();
		let expected = serde_json::json!({
			"row": {
				"deposit": "1234000000005", "deposit_gnk": "1234.000000005", "votes": "1180591620717411303424",
				"weight": "18446744073709551615", "list": [[3, "7"]],
			},
			"exact": 9_007_199_254_740_992_u64, "share": 0.5, "none": null,
		});
		assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
	}
}
