//! JSON schemas in the form in which `llguidance` reads them correctly.
//!
//! [`check`] finds what a grammar cannot hold a text to, and `llguidance` accepts nevertheless; other keywords that it does not
//! know, it rejects by itself. [`rewritten`] says in other words what `llguidance` would misread.

use serde_json::{Map, Number, Value, json};
use std::collections::BTreeSet;

/// Largest integer that a double holds exactly together with all smaller ones.
const MAX_EXACT: u64 = 1 << 53;
/// Number of decimal digits that a double holds exactly.
const EXACT_DIGITS: usize = 15;

/// A demand of a schema to which no grammar can hold a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
	/// A number that is no double.
	#[error("the number {0} has too many digits: use one of at most {EXACT_DIGITS}, or an integer up to 2^53")]
	Number(Number),
	/// More properties than are required, with names that the schema leaves open.
	#[error(
		"'minProperties' is {0}, and names that the schema leaves open may repeat: list all properties but one in 'required', or \
		 set 'additionalProperties' to false"
	)]
	MinProperties(u64),
	/// A part of the schema with an identifier of its own, on which the references in it depend.
	#[error(
		"'{0}' changes the base of the '$ref's in a part of the schema: leave it out, and refer to '#/…' from the root"
	)]
	Base(&'static str),
	/// A control character, and names that the schema leaves open.
	#[error(
		"a text or pattern has a control character, with which names that the schema leaves open could be written in several ways: \
		 set 'additionalProperties' to false in every object"
	)]
	Control,
}

/// Keywords whose values are data.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "x-guidance"];
/// Keywords whose values are objects of schemas by name.
const NAMED: [&str; 6] =
	["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// Keywords that are about the value itself. `llguidance` reads those between two of them apart from all others.
const IN_PLACE: [&str; 6] = ["const", "enum", "allOf", "anyOf", "oneOf", "$ref"];
/// Keywords that have a meaning together with others of them alone, and whose place among the others has none.
const TOGETHER: [&str; 8] = [
	"minimum",
	"exclusiveMinimum",
	"maximum",
	"exclusiveMaximum",
	"items",
	"additionalItems",
	"patternProperties",
	"additionalProperties",
];

/// Days that exist, as a pattern: `llguidance` permits 29 February in every year, and the year 0000, which many programs lack.
const DAY: &str = "^(?:(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(?:0[13-9]|1[0-2]|02-[01]|02-2[0-8])|\
                   (?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)";
/// Times without leap seconds, as a pattern: the second 60 exists only at a few moments.
const TIME: &str = "[0-9]:[0-5][0-9]:[0-5][0-9]";

/// Checks that a grammar can hold a text to all that the schema demands.
///
/// # Errors
/// [`SchemaError`].
pub fn check(schema: &Value) -> Result<(), SchemaError> {
	if needs_escapes(schema) && leaves_names_open(schema) {
		return Err(SchemaError::Control);
	}
	check_below(schema, true).map(drop)
}

/// Whether a constant or a pattern has a control character, which JSON writes as `\u` and its number. Where such escapes are not
/// allowed, `llguidance` leaves the character out.
pub fn needs_escapes(schema: &Value) -> bool {
	let is_control = |c: char| c == '\x7f' || c < ' ' && !"\u{8}\t\n\u{c}\r".contains(c);
	// Escapes of regular expressions, some of which stand for control characters.
	let of_pattern = |text: &str| {
		let mut rest = text.chars();
		// The character behind each backslash, which may be a backslash.
		let mut escaped = std::iter::from_fn(|| rest.find(|c| *c == '\\').and_then(|_| rest.next()));
		text.contains(is_control) || escaped.any(|c| "xuUcva0".contains(c))
	};
	fn of_data(data: &Value, is_control: &dyn Fn(char) -> bool) -> bool {
		match data {
			Value::String(text) => text.contains(is_control),
			Value::Array(list) => list.iter().any(|item| of_data(item, is_control)),
			Value::Object(map) => map.values().any(|item| of_data(item, is_control)),
			_ => false,
		}
	}
	any_part(schema, &|map| {
		let names = map.get("patternProperties").and_then(Value::as_object);
		["const", "enum"].iter().filter_map(|key| map.get(*key)).any(|data| of_data(data, &is_control))
			|| map.get("pattern").and_then(Value::as_str).is_some_and(of_pattern)
			|| names.is_some_and(|names| names.keys().any(|name| of_pattern(name)))
	})
}

/// Whether an object of the schema may have other names than those that the schema knows.
fn leaves_names_open(schema: &Value) -> bool {
	any_part(schema, &|map| {
		map.contains_key("patternProperties")
			|| map.contains_key("properties") && map.get("additionalProperties") != Some(&Value::Bool(false))
	})
}

/// Whether the schema or a schema in it is such.
fn any_part(schema: &Value, is_such: &dyn Fn(&Map<String, Value>) -> bool) -> bool {
	match schema {
		Value::Object(map) => {
			is_such(map)
				|| map.iter().any(|(key, value)| match value {
					Value::Object(named) if NAMED.contains(&key.as_str()) => {
						named.values().any(|schema| any_part(schema, is_such))
					},
					value => !DATA.contains(&key.as_str()) && any_part(value, is_such),
				})
		},
		Value::Array(list) => list.iter().any(|schema| any_part(schema, is_such)),
		_ => false,
	}
}

/// Checks a schema or a list of them. Returns whether it has a reference.
fn check_below(schema: &Value, is_root: bool) -> Result<bool, SchemaError> {
	let mut refers = false;
	let Value::Object(map) = schema else {
		for item in schema.as_array().into_iter().flatten() {
			refers |= check_below(item, false)?;
		}
		return Ok(refers);
	};
	check_properties(map)?;
	for (key, value) in map {
		match (key.as_str(), value) {
			("const" | "enum" | "multipleOf", _) => check_numbers(value)?,
			("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum", _) => check_numbers(value)?,
			("$ref", _) => refers = true,
			(key, _) if DATA.contains(&key) => {},
			(key, Value::Object(named)) if NAMED.contains(&key) => {
				for schema in named.values() {
					refers |= check_below(schema, false)?;
				}
			},
			_ => refers |= check_below(value, false)?,
		}
	}
	let base = ["$id", "id"].into_iter().find(|key| map.get(*key).is_some_and(Value::is_string));
	match base {
		Some(key) if refers && !is_root => Err(SchemaError::Base(key)),
		_ => Ok(refers),
	}
}

/// Checks that equal names cannot make up the number of properties.
fn check_properties(map: &Map<String, Value>) -> Result<(), SchemaError> {
	let least = map.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
	let required = map.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
	let required = required.collect::<BTreeSet<_>>().len() as u64;
	let is_open = map.get("additionalProperties") != Some(&Value::Bool(false)) || map.contains_key("patternProperties");
	if is_open && least > required + 1 { Err(SchemaError::MinProperties(least)) } else { Ok(()) }
}

/// Checks that all numbers in a value are doubles, since `llguidance` reads them as such.
fn check_numbers(value: &Value) -> Result<(), SchemaError> {
	match value {
		Value::Number(number) if !is_exact(number) => Err(SchemaError::Number(number.clone())),
		Value::Array(list) => list.iter().try_for_each(check_numbers),
		Value::Object(map) => map.values().try_for_each(check_numbers),
		_ => Ok(()),
	}
}

fn is_exact(number: &Number) -> bool {
	if number.as_i64().is_some_and(|integer| integer.unsigned_abs() <= MAX_EXACT) {
		return true;
	}
	let text = number.to_string();
	let digits: String =
		text.split(['e', 'E']).next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
	digits.trim_matches('0').len() <= EXACT_DIGITS
}

/// Returns the schema in words that `llguidance` reads correctly. Its meaning and the order of its properties stay.
pub fn rewritten(mut schema: Value) -> Value {
	match &mut schema {
		Value::Object(map) => {
			for (key, value) in map.iter_mut() {
				match (key.as_str(), value) {
					(key, Value::Object(named)) if NAMED.contains(&key) => {
						named.values_mut().for_each(|schema| *schema = rewritten(schema.take()));
					},
					(key, _) if DATA.contains(&key) => {},
					(_, value) => *value = rewritten(value.take()),
				}
			}
			rewrite(map);
		},
		Value::Array(list) => list.iter_mut().for_each(|schema| *schema = rewritten(schema.take())),
		_ => {},
	}
	schema
}

fn rewrite(map: &mut Map<String, Value>) {
	// Without a list of items it says nothing; `llguidance` would ignore `prefixItems`.
	if !map.get("items").is_some_and(Value::is_array) {
		map.shift_remove("additionalItems");
	}
	if IN_PLACE.iter().any(|key| map.contains_key(*key)) {
		for key in TOGETHER {
			if let Some(value) = map.shift_remove(key) {
				map.insert(key.into(), value);
			}
		}
	}
	let patterns: &[&str] = match map.get("format").and_then(Value::as_str) {
		Some("date") => &[DAY],
		Some("date-time") => &[DAY, TIME],
		Some("time") => &[TIME],
		_ => return,
	};
	let all = map.entry("allOf").or_insert_with(|| json!([]));
	if let Value::Array(all) = all {
		all.extend(patterns.iter().map(|pattern| json!({"pattern": pattern})));
	}
}

#[cfg(test)]
mod tests;
