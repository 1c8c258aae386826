//! JSON schemas in the form in which `llguidance` reads them correctly.
//!
//! [`check`] finds what a grammar cannot hold a text to, and `llguidance` accepts nevertheless; other keywords that it does not
//! know, it rejects by itself. [`rewritten`] says in other words what `llguidance` would misread.

use serde_json::{Map, Number, Value, json};

/// Largest integer that a double holds exactly together with all smaller ones.
const MAX_EXACT: u64 = 1 << 53;
/// Number of decimal digits that a double holds exactly.
const EXACT_DIGITS: usize = 15;

/// What a schema demands, and no grammar can hold a text to.
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
	check_below(schema, true)
}

fn check_below(schema: &Value, is_root: bool) -> Result<(), SchemaError> {
	let Value::Object(map) = schema else {
		return schema.as_array().map_or(Ok(()), |list| list.iter().try_for_each(|item| check_below(item, false)));
	};
	check_properties(map)?;
	for (key, value) in map {
		match key.as_str() {
			"const" | "enum" => check_numbers(value)?,
			key if DATA.contains(&key) => {},
			key if NAMED.contains(&key) => {
				value.as_object().into_iter().flatten().try_for_each(|(_, schema)| check_below(schema, false))?;
			},
			"minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => check_numbers(value)?,
			"$id" | "id" if !is_root && value.is_string() && refers(schema) => {
				return Err(SchemaError::Base(if key == "id" { "id" } else { "$id" }));
			},
			_ => check_below(value, false)?,
		}
	}
	Ok(())
}

/// Checks that equal names cannot make up the number of properties.
fn check_properties(map: &Map<String, Value>) -> Result<(), SchemaError> {
	let least = map.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
	let required = map.get("required").and_then(Value::as_array).map_or(0, |names| names.len() as u64);
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

/// Whether a reference stands in the schema.
fn refers(schema: &Value) -> bool {
	match schema {
		Value::Object(map) => map.iter().any(|(key, value)| key == "$ref" || refers(value)),
		Value::Array(list) => list.iter().any(refers),
		_ => false,
	}
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
