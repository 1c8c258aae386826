//! Values of a header that make no sense: they are named before anything is computed with them.

use super::{Header, Value};

/// A value of the metadata that makes no sense, or is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
	/// The value is not one of those that are possible.
	#[error("{key} is {value}, not {expected}")]
	Senseless {
		/// Its key.
		key: String,
		/// The value, or the kind and length of a list.
		value: String,
		/// The values that are possible, as a part of a sentence.
		expected: String,
	},
	/// A model needs it.
	#[error("{0} is missing: this is not the file of a model, or it is damaged")]
	Missing(String),
}

/// The values that are possible, as a part of a sentence.
struct Expected(String);

/// No model's numbers of layers, heads, experts or widths come near it, and products of two fit 64 bits.
const MAX_INTEGER: i128 = i32::MAX as i128;
/// Maximum number of layers.
const MAX_LAYERS: i128 = 4096;

impl Header {
	/// Checks the model's own numbers, those below its architecture's name, and the tokenizer's. A file without tensors has the
	/// latter only.
	///
	/// # Errors
	/// [`ValueError`], with key and value.
	pub(super) fn check_values(&self) -> Result<(), ValueError> {
		let senseless = |key: &str, value: &Value, Expected(expected)| ValueError::Senseless {
			key: key.to_owned(),
			value: value.to_string(),
			expected,
		};
		let architecture = match self.metadata.get("general.architecture") {
			Some(Value::Text(name)) if !name.is_empty() => name.as_str(),
			Some(other) => {
				let expected = Expected("the name of an architecture".into());
				return Err(senseless("general.architecture", other, expected));
			},
			None => return Err(ValueError::Missing("general.architecture".into())),
		};
		for (key, value) in &self.metadata {
			let own = key.strip_prefix(architecture).and_then(|rest| rest.strip_prefix('.'));
			let check = match own {
				Some(name) => check(name, value),
				None => self.check_token(key, value),
			};
			check.map_err(|expected| senseless(key, value, expected))?;
		}
		if self.tensors.is_empty() {
			// A tokenizer file.
			return Ok(());
		}
		for key in ["block_count", "context_length", "embedding_length"] {
			let key = format!("{architecture}.{key}");
			if !self.metadata.contains_key(&key) {
				return Err(ValueError::Missing(key));
			}
		}
		Ok(())
	}

	/// Checks a token id of the tokenizer.
	fn check_token(&self, key: &str, value: &Value) -> Result<(), Expected> {
		let Some(name) = key.strip_prefix("tokenizer.ggml.") else { return Ok(()) };
		let tokens = match self.metadata.get("tokenizer.ggml.tokens") {
			Some(Value::Texts(tokens)) => tokens.len(),
			_ => return Ok(()),
		};
		match value {
			// Unused names have the largest number in some files.
			Value::Integer(id) if name.ends_with("_token_id") && *id != i128::from(u32::MAX) => {
				within(*id, 0, tokens as i128 - 1)
			},
			Value::Integers(list) if name == "token_type" => same(list.len(), tokens),
			Value::Floats(list) if name == "scores" => same(list.len(), tokens),
			_ => Ok(()),
		}
	}
}

/// Checks a number of the model. Returns what was expected.
fn check(name: &str, value: &Value) -> Result<(), Expected> {
	match value {
		Value::Integer(n) => match name {
			"block_count" => within(*n, 1, MAX_LAYERS),
			"context_length" | "embedding_length" | "attention.head_count" => within(*n, 1, MAX_INTEGER),
			_ => within(*n, -1, MAX_INTEGER),
		},
		Value::Integers(list) => list.iter().try_for_each(|n| within(*n, -1, MAX_INTEGER)),
		Value::Float(n) => float(name, *n),
		Value::Floats(list) => list.iter().try_for_each(|n| float(name, *n)),
		_ => Ok(()),
	}
}

fn float(name: &str, n: f64) -> Result<(), Expected> {
	let (right, expected) = match name {
		_ if name.ends_with("epsilon") => (n > 0.0 && n < 1.0, "a number between 0 and 1"),
		"rope.freq_base" | "rope.freq_base_swa" => (n > 0.0 && n.is_finite(), "a finite number above 0"),
		_ => (n.is_finite(), "a finite number"),
	};
	if right { Ok(()) } else { Err(Expected(expected.into())) }
}

fn within(n: i128, least: i128, largest: i128) -> Result<(), Expected> {
	if (least..=largest).contains(&n) { Ok(()) } else { Err(Expected(format!("{least} to {largest}"))) }
}

fn same(length: usize, tokens: usize) -> Result<(), Expected> {
	if length == tokens { Ok(()) } else { Err(Expected(format!("a list with one entry for each of {tokens} tokens"))) }
}
