//! `gonka gov parameters`.

use super::{
	super::{emit, emit_json},
	view,
};
use crate::amount::{Amount, gnk, parse_gnk};
use anyhow::{Result, anyhow};
use gonka_client::chain::{Chain, Shown, Types};
use gonka_primitives::views::ParameterView;
use serde_json::{Value, json};
use std::fmt::Write;

/// Meaning and bounds of all parameters: a table that a test makes from the runtime.
const REFERENCE: &str = include_str!("../../../../docs/parameters.md");
/// Maximum width of the text, in columns.
const WIDTH: usize = 100;
/// Indent of what belongs to a parameter.
const INDENT: &str = "    ";

/// A parameter that governance controls.
struct Parameter {
	name: String,
	value: Shown,
	default: Shown,
	/// Value from the next epoch on.
	pending: Option<Shown>,
}

/// Meaning, unit and bounds of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known<'a> {
	meaning: &'a str,
	unit: &'a str,
	minimum: &'a str,
	maximum: &'a str,
}

/// Finds a parameter in the table.
fn known(name: &str) -> Option<Known<'static>> {
	REFERENCE.lines().find_map(|line| {
		let (found, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
		let cells: Vec<&str> = rest.split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect();
		match cells[..] {
			[meaning, unit, _, _, minimum, maximum] if found == name => Some(Known { meaning, unit, minimum, maximum }),
			_ => None,
		}
	})
}

/// Runs `gonka gov parameters`.
pub async fn run(chain: &Chain, json: bool) -> Result<()> {
	let (views, types) = tokio::try_join!(chain.parameters(), chain.types())?;
	let all = views.iter().map(|view| Parameter::read(view, &types)).collect::<Result<Vec<_>>>()?;
	if json {
		return emit_json(&all.iter().map(Parameter::json).collect::<Vec<_>>());
	}
	let texts = all.iter().map(Parameter::text).collect::<Result<Vec<_>, _>>()?;
	emit(&texts.join("\n"))
}

impl Parameter {
	fn read(view: &ParameterView, types: &Types) -> Result<Self> {
		let read = |bytes: &[u8]| -> Result<(String, Option<Shown>)> {
			types.parameter(bytes).map_err(|why| anyhow!("cannot decode a parameter: {why}"))
		};
		let none = || Shown::Text("none".into());
		let (name, value) = read(&view.present)?;
		let default = read(&view.default)?.1.unwrap_or_else(none);
		let pending = view.pending.as_deref().map(read).transpose()?;
		let pending = pending.map(|(_, value)| value.unwrap_or_else(|| default.clone()));
		Ok(Self { name, value: value.unwrap_or_else(none), default, pending })
	}

	fn text(&self) -> Result<String, std::fmt::Error> {
		let known = known(&self.name);
		// Units in letters: those of shares and amounts are part of the value.
		let unit = known.map(|known| known.unit).filter(|unit| unit.chars().all(char::is_alphabetic) && *unit != "GNK");
		let value = |value: &Shown| match (value, unit) {
			(Shown::Number(number), Some(unit)) => format!("{} {unit}", separated(*number)),
			(Shown::Number(number), None) => separated(*number),
			_ => view::value(value),
		};
		let mut out = String::new();
		writeln!(out, "{}", wrap(&format!("{}  {}", self.name, value(&self.value))))?;
		if let Some(known) = known {
			writeln!(out, "{INDENT}{}", wrap(known.meaning))?;
			let Known { minimum, maximum, unit, .. } = known;
			let has_unit =
				unit == "version" || [minimum, maximum].iter().any(|bound| bound.contains(char::is_alphabetic));
			let unit = if has_unit { String::new() } else { format!(" {unit}") };
			writeln!(out, "{INDENT}from {minimum} to {maximum}{unit}")?;
		}
		if self.default != self.value {
			writeln!(out, "{INDENT}{}", wrap(&format!("default: {}", value(&self.default))))?;
		}
		if let Some(pending) = &self.pending {
			writeln!(out, "{INDENT}{}", wrap(&format!("from the next epoch on: {}", value(pending))))?;
		}
		Ok(out)
	}

	fn json(&self) -> Value {
		let known = known(&self.name);
		let unit = known.map(|known| match known.unit {
			"%" => "parts per billion",
			"GNK" => "base units",
			other => other,
		});
		let bound = |text: Option<&str>| known.zip(text).map(|(known, text)| bound(known.unit, text));
		json!({
			"name": self.name, "description": known.map(|known| known.meaning), "unit": unit,
			"value": plain(&self.value), "default": plain(&self.default), "pending": self.pending.as_ref().map(plain),
			"minimum": bound(known.map(|known| known.minimum)), "maximum": bound(known.map(|known| known.maximum)),
		})
	}
}

/// A value in JSON: a share in parts per billion, an amount as [`Amount`].
fn plain(value: &Shown) -> Value {
	match value {
		Shown::Share(parts) => json!(parts),
		Shown::Amount(units) => json!(Amount(*units)),
		other => json!(other),
	}
}

/// A bound in JSON, in the unit of the value. One that is no number is text.
fn bound(unit: &str, text: &str) -> Value {
	let share = || super::value::share(&format!("{text}%")).ok().map(|parts| json!(parts));
	let digits = text.replace(',', "");
	let amount = || parse_gnk(&digits).ok().map(|units| json!(Amount(units)));
	let number = || digits.parse::<u64>().ok().map(|number| json!(number));
	let read = match unit {
		"%" => share(),
		"GNK" => amount(),
		_ => number(),
	};
	read.unwrap_or_else(|| text.into())
}

/// Formats a number with thousands separators.
fn separated(number: u128) -> String {
	gnk(number.saturating_mul(gonka_primitives::GNK))
}

/// Breaks a text at spaces into lines of [`WIDTH`] columns with indent; all but the first line have it already.
fn wrap(text: &str) -> String {
	let mut out = String::new();
	let mut column = INDENT.len();
	for word in text.split(' ') {
		let length = word.chars().count();
		if column > INDENT.len() && column.saturating_add(length).saturating_add(1) > WIDTH {
			let _ = write!(out, "\n{INDENT}");
			column = INDENT.len();
		} else if column > INDENT.len() {
			out.push(' ');
			column = column.saturating_add(1);
		}
		out.push_str(word);
		column = column.saturating_add(length);
	}
	out
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::amount;
	use gonka_primitives::GNK;

	fn share(name: &str, pending: Option<u32>) -> Parameter {
		let (value, default) = (Shown::Share(250_000_000), Shown::Share(200_000_000));
		Parameter { name: name.into(), value, default, pending: pending.map(Shown::Share) }
	}

	/// The JSON as a reader gets it.
	fn read(parameter: &Parameter) -> Value {
		serde_json::from_str(&amount::json(&parameter.json()).unwrap()).unwrap()
	}

	#[test]
	fn every_parameter_of_the_reference_has_a_meaning_and_bounds() {
		let rows = REFERENCE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
		let names: Vec<_> = rows.map(|(name, _)| name).filter(|name| name.contains('.')).collect();
		assert!(names.len() > 20, "{names:?}");
		for name in names {
			let known = known(name).unwrap_or_else(|| panic!("no row of {name} is read"));
			assert!(
				[known.meaning, known.unit, known.minimum, known.maximum].iter().all(|cell| !cell.is_empty()),
				"{name}"
			);
		}
		assert_eq!(known("Collateral.Nothing"), None);
	}

	#[test]
	fn a_parameter_is_shown_with_its_meaning_and_its_bounds() {
		let expected = "\
Collateral.BaseShare  25 %
    Share of the compute weight that counts without collateral after the grace period
    from 5 to 100 %
    default: 20 %
    from the next epoch on: 30 %
";
		assert_eq!(share("Collateral.BaseShare", Some(300_000_000)).text().unwrap(), expected);
		let unknown = share("Collateral.New", None).text().unwrap();
		assert_eq!(unknown, "Collateral.New  25 %\n    default: 20 %\n");
		let number = Shown::Number(14_400);
		let epochs = Parameter { name: "Poc.HostExpiry".into(), value: number.clone(), default: number, pending: None };
		assert!(epochs.text().unwrap().starts_with("Poc.HostExpiry  14,400 epochs\n"));
	}

	#[test]
	fn a_long_value_is_wrapped() {
		let fields = (0..30).map(|number| (format!("field_{number}"), Shown::Number(number)));
		let value = Shown::Fields(String::new(), fields.collect());
		let phases = Parameter { name: "Poc.Phases".into(), value: value.clone(), default: value, pending: None };
		let text = phases.text().unwrap();
		assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
		assert!(text.lines().count() > 4 && text.contains("from 4 sessions long to 100,800 long\n"), "{text}");
	}

	#[test]
	fn json_has_shares_in_parts_per_billion_and_amounts_in_base_units() {
		let json = read(&share("Collateral.BaseShare", None));
		assert_eq!(json["unit"], "parts per billion");
		for (field, parts) in [("value", 250_000_000), ("default", 200_000_000), ("minimum", 50_000_000)] {
			assert_eq!(json[field], parts, "{field} in {json}");
		}
		assert_eq!((&json["maximum"], &json["pending"]), (&1_000_000_000.into(), &Value::Null));
		let amount = Shown::Amount(GNK / 10);
		let json = read(&Parameter {
			name: "Market.MinDeposit".into(),
			value: amount.clone(),
			default: amount,
			pending: None,
		});
		assert_eq!((&json["value"], &json["value_gnk"]), (&"100000000".into(), &"0.1".into()));
		assert_eq!((&json["maximum"], &json["maximum_gnk"]), (&"1000000000000".into(), &"1000".into()));
		let blocks = Shown::Number(1_200);
		let json = read(&Parameter {
			name: "Market.ChallengePeriod".into(),
			value: blocks.clone(),
			default: blocks,
			pending: None,
		});
		assert_eq!((&json["value"], &json["minimum"]), (&1_200.into(), &"2 windows".into()));
	}
}
