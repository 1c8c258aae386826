//! JSON of any origin.
//!
//! `serde_json` has a feature by which an object whose first key is `$serde_json::private::RawValue` stands for the JSON in its
//! text, which is parsed with a fresh limit of depth, so that texts within texts reach a depth at which the stack overflows and
//! the process ends. Some dependency switches the feature on. Nobody but the crate itself has a use for such a key, so it is an
//! error here.

use serde::{
	Deserialize, Deserializer,
	de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// The key by which `serde_json` passes numbers on.
const NUMBER: &str = "$serde_json::private::Number";
/// Maximum number of values in a text, at all depths together: a few bytes of text become about a hundred in memory.
const MAX_VALUES: usize = 1 << 19;
/// The key that `serde_json` treats in its own way.
const RESERVED: &str = "$serde_json::private::RawValue";

/// Parses JSON of any origin.
///
/// # Errors
/// It is malformed, deeper than 128 levels, not of the type, has more than 2¹⁹ values, or has the reserved key in an object at any
/// depth.
#[expect(clippy::disallowed_methods, reason = "it was read with bounds before")]
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
	let mut reader = serde_json::Deserializer::from_slice(json);
	Plain { values: &mut 0 }.deserialize(&mut reader)?;
	serde_json::from_slice(json)
}

/// Does the same for a text.
///
/// # Errors
/// As [`from_slice`].
pub fn from_str<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
	from_slice(json.as_bytes())
}

/// Any JSON without the reserved key, and of no more values than there may be.
struct Plain<'a> {
	/// Number of values so far.
	values: &'a mut usize,
}

impl Plain<'_> {
	/// The reader of a value inside this one.
	fn inner(&mut self) -> Plain<'_> {
		Plain { values: self.values }
	}
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
	type Value = ();

	fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
		*self.values = self.values.saturating_add(1);
		if *self.values > MAX_VALUES {
			return Err(D::Error::custom(format!("it has more than {MAX_VALUES} values")));
		}
		deserializer.deserialize_any(self)
	}
}

impl<'de> Visitor<'de> for Plain<'_> {
	type Value = ();

	fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
		out.write_str("JSON")
	}

	fn visit_unit<E>(self) -> Result<(), E> {
		Ok(())
	}

	fn visit_bool<E>(self, _: bool) -> Result<(), E> {
		Ok(())
	}

	fn visit_i64<E>(self, _: i64) -> Result<(), E> {
		Ok(())
	}

	fn visit_u64<E>(self, _: u64) -> Result<(), E> {
		Ok(())
	}

	fn visit_f64<E>(self, _: f64) -> Result<(), E> {
		Ok(())
	}

	fn visit_str<E>(self, _: &str) -> Result<(), E> {
		Ok(())
	}

	fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
		while items.next_element_seed(self.inner())?.is_some() {}
		Ok(())
	}

	fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
		while let Some(key) = entries.next_key::<Key>()? {
			// A number is one value, and no object with another.
			*self.values = self.values.saturating_sub(key.is_number.into());
			entries.next_value_seed(self.inner())?;
		}
		Ok(())
	}
}

/// Any key but the reserved one.
struct Key {
	is_number: bool,
}

impl<'de> Deserialize<'de> for Key {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
		deserializer.deserialize_str(AnyKey)
	}
}

struct AnyKey;

impl Visitor<'_> for AnyKey {
	type Value = Key;

	fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
		out.write_str("a key")
	}

	fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
		if key == RESERVED {
			return Err(E::custom(format!("the key {RESERVED} is reserved")));
		}
		Ok(Key { is_number: key == NUMBER })
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::{Value, json};

	/// JSON within texts within JSON, so many times, each a hundred arrays deep.
	fn nested(times: usize) -> String {
		(0..times).fold("1".to_owned(), |inner, _| {
			format!("{}{}{}", "[".repeat(100), json!({RESERVED: inner}), "]".repeat(100))
		})
	}

	#[test]
	fn texts_within_texts_do_not_overflow_the_stack() {
		for bomb in [nested(12), format!(r#"{{"a": 1, "b": {}}}"#, nested(1)), nested(1).replace('$', "\\u0024")] {
			let error = from_str::<Value>(&bomb).unwrap_err().to_string();
			assert!(error.contains("is reserved"), "{error}");
		}
	}

	#[test]
	fn values_are_counted_at_all_depths() {
		let list = |count: usize| format!("[{}1]", "0,".repeat(count));
		assert!(from_str::<Value>(&list(MAX_VALUES - 2)).is_ok());
		for many in [list(MAX_VALUES), format!("[{0},{{\"a\":{0}}}]", list(MAX_VALUES / 2))] {
			let error = from_str::<Value>(&many).unwrap_err().to_string();
			assert!(error.contains("more than 524288 values"), "{error}");
		}
	}

	#[test]
	fn other_json_is_as_it_is() {
		for text in [
			r#"{"a": [1, -2, 0.5, 1e300, 18446744073709551615, 123456789012345678901234567890, null, true, "x"]}"#,
			"3",
			"\"\\ud83d\\ude00\"",
		] {
			assert_eq!(from_str::<Value>(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
		}
		assert!(from_str::<Value>(&"[".repeat(200)).is_err());
		assert!(from_str::<Value>("[1] 2").is_err());
	}
}
