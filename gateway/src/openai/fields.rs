//! The fields of a request's body. Each is parsed by itself, so that an error names the field that is wrong.

use super::errors::ApiError;
use gonka_client::json;
use serde_json::{Value, value::RawValue};
use std::{collections::HashMap, fmt::Display, ops::RangeInclusive};

/// Maximum number of characters of a wrong value that an error shows.
const MAX_SHOWN: usize = 60;

/// The fields of a body. A field that is `null` counts as absent, and the last of several with one name counts.
#[derive(Debug)]
pub struct Fields(HashMap<String, Box<RawValue>>);

impl Fields {
	/// Parses a body.
	///
	/// # Errors
	/// 400 when it is no JSON object in UTF-8.
	pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
		if body.starts_with(b"\xef\xbb\xbf") {
			return Err(ApiError::invalid("The body begins with a byte order mark: send JSON in UTF-8 without one."));
		}
		json::from_slice(body)
			.map(Self)
			.map_err(|error| ApiError::invalid(format!("The body of the request is not a JSON object: {error}.")))
	}

	/// Whether a field is there.
	pub fn has(&self, name: &str) -> bool {
		self.raw(name).is_some()
	}

	fn raw(&self, name: &str) -> Option<&str> {
		self.0.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null")
	}

	/// A field of any type.
	///
	/// # Errors
	/// 400 when it has a number or a character that nothing can hold.
	pub fn value(&self, name: &str) -> Result<Option<Value>, ApiError> {
		#[expect(clippy::disallowed_methods, reason = "the body was read with bounds")]
		let parsed = self.raw(name).map(serde_json::from_str).transpose();
		parsed.map_err(|error| ApiError::invalid_value(name, format!("'{name}' cannot be read: {error}.")))
	}

	/// A text.
	///
	/// # Errors
	/// 400 when it is something else.
	pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
		match self.value(name)? {
			None => Ok(None),
			Some(Value::String(text)) => Ok(Some(text)),
			Some(_) => Err(self.wrong(name, "a string")),
		}
	}

	/// A text that the request cannot do without.
	///
	/// # Errors
	/// 400 when it is missing or something else.
	pub fn required_text(&self, name: &str) -> Result<String, ApiError> {
		self.text(name)?.ok_or_else(|| missing(name))
	}

	/// A value that the request cannot do without.
	///
	/// # Errors
	/// 400 when it is missing.
	pub fn required(&self, name: &str) -> Result<Value, ApiError> {
		self.value(name)?.ok_or_else(|| missing(name))
	}

	/// `true` or `false`.
	///
	/// # Errors
	/// 400 when it is something else.
	pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
		match self.raw(name) {
			None => Ok(None),
			Some("true") => Ok(Some(true)),
			Some("false") => Ok(Some(false)),
			Some(_) => Err(self.wrong(name, "true or false")),
		}
	}

	/// A number within a range.
	///
	/// # Errors
	/// 400 when it is something else.
	pub fn number(&self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
		let Some(raw) = self.raw(name) else { return Ok(None) };
		// A JSON number is one of Rust's, too; a text has quotes, and is none.
		let number = raw.parse().ok().filter(|number| range.contains(number));
		number.map(Some).ok_or_else(|| self.wrong(name, format!("a number from {} to {}", range.start(), range.end())))
	}

	/// A whole number within a range; `5.0` is one.
	///
	/// # Errors
	/// 400 when it is something else.
	pub fn integer(&self, name: &str, range: RangeInclusive<i128>) -> Result<Option<i128>, ApiError> {
		let Some(raw) = self.raw(name) else { return Ok(None) };
		let number = whole(raw).filter(|number| range.contains(number));
		number
			.map(Some)
			.ok_or_else(|| self.wrong(name, format!("a whole number from {} to {}", range.start(), range.end())))
	}

	/// The error for a field with another value than one that is expected.
	pub fn wrong(&self, name: &str, expected: impl Display) -> ApiError {
		let raw = self.raw(name).unwrap_or_default();
		let mut shown: String = raw.chars().take(MAX_SHOWN).collect();
		if shown.len() < raw.len() {
			shown.push('…');
		}
		ApiError::invalid_value(name, format!("'{name}' must be {expected}, not {shown}."))
	}
}

/// The value of a JSON number without a fraction.
fn whole(raw: &str) -> Option<i128> {
	raw.parse().ok().or_else(|| {
		let number: f64 = raw.parse().ok()?;
		// Larger ones have no exact value.
		(number.fract() == 0.0 && number.abs() <= 9e15).then_some(number as i128)
	})
}

fn missing(name: &str) -> ApiError {
	ApiError::invalid_value(name, format!("'{name}' is missing."))
}

#[cfg(test)]
mod tests {
	use super::*;

	fn fields(text: &str) -> Fields {
		Fields::parse(text.as_bytes()).unwrap()
	}

	#[test]
	fn numbers_are_read_as_clients_write_them() {
		for text in ["0.7", "0.70", "7e-1"] {
			assert_eq!(fields(&format!("{{\"t\": {text}}}")).number("t", 0.0..=2.0).unwrap(), Some(0.7));
		}
		for (text, number) in [("5", 5), ("5.0", 5), ("5e0", 5), ("-3", -3), ("18446744073709551615", (1 << 64) - 1)] {
			assert_eq!(fields(&format!("{{\"n\": {text}}}")).integer("n", -9..=1 << 64).unwrap(), Some(number));
		}
		assert_eq!(fields(r#"{"n": null}"#).integer("n", 0..=9).unwrap(), None);
		assert_eq!(fields(r#"{"n": 1, "n": 2}"#).integer("n", 0..=9).unwrap(), Some(2));
	}

	#[test]
	fn a_wrong_field_is_named_with_its_value() {
		for value in ["1e999", "-1e999", "\"0.7\"", "[]", "{}", "true", "2.5"] {
			let error = fields(&format!("{{\"temperature\": {value}}}")).number("temperature", 0.0..=2.0).unwrap_err();
			assert_eq!(error.body().error.param.as_deref(), Some("temperature"));
			assert!(error.message().contains(value) && error.message().contains("0 to 2"), "{}", error.message());
		}
		for value in ["5.5", "1e999", "18446744073709551616000", "\"5\"", "9"] {
			let error = fields(&format!("{{\"n\": {value}}}")).integer("n", 0..=8).unwrap_err();
			assert!(error.message().contains(value), "{}", error.message());
		}
		assert!(fields("{}").required_text("model").unwrap_err().message().contains("'model' is missing"));
		assert!(fields(r#"{"model": 5}"#).required_text("model").is_err());
		assert!(fields(r#"{"stream": 1}"#).flag("stream").is_err());
		assert!(fields(r#"{"x": 1e999}"#).has("x"), "a field that nobody reads does no harm");
	}

	#[test]
	fn a_body_that_is_no_json_object_says_why() {
		for (body, why) in [
			(b"\xef\xbb\xbf{}".as_slice(), "byte order mark"),
			(b"[1]", "sequence"),
			(b"{\"model\":", "EOF"),
			(b"{\"a\": \"\\ud800\"}", ""),
			(b"\xff", ""),
		] {
			match Fields::parse(body) {
				Err(error) => assert!(error.message().contains(why), "{}", error.message()),
				Ok(fields) => assert!(fields.text("a").unwrap_err().message().contains("hex escape")),
			}
		}
	}
}
