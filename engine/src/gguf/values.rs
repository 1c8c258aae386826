//! Values of a header that make no sense: they are named before anything is computed with them.

use super::{Header, Value};

/// No model's numbers of layers, heads, experts or widths come near it, and products of two fit 64 bits.
const MAX_INTEGER: i128 = i32::MAX as i128;
/// Maximum number of layers.
const MAX_LAYERS: i128 = 4096;

impl Header {
	/// Checks the model's own numbers, those below its architecture's name, and the tokenizer's.
	///
	/// # Errors
	/// A message with key and value.
	pub(super) fn check_values(&self) -> Result<(), String> {
		let architecture = match self.metadata.get("general.architecture") {
			Some(Value::Text(name)) if !name.is_empty() => name.as_str(),
			Some(other) => return Err(format!("general.architecture is {other}, not the name of an architecture")),
			None => return Err("general.architecture is missing: this is not a file of a model".into()),
		};
		for (key, value) in &self.metadata {
			let own = key.strip_prefix(architecture).and_then(|rest| rest.strip_prefix('.'));
			let check = match own {
				Some(name) => check(name, value),
				None => self.check_token(key, value),
			};
			check.map_err(|expected| format!("{key} is {value}, not {expected}"))?;
		}
		for key in ["block_count", "context_length", "embedding_length"] {
			let key = format!("{architecture}.{key}");
			if !self.metadata.contains_key(&key) {
				return Err(format!("{key} is missing"));
			}
		}
		Ok(())
	}

	/// Checks a token id of the tokenizer.
	fn check_token(&self, key: &str, value: &Value) -> Result<(), String> {
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
fn check(name: &str, value: &Value) -> Result<(), String> {
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

fn float(name: &str, n: f64) -> Result<(), String> {
	let (right, expected) = match name {
		_ if name.ends_with("epsilon") => (n > 0.0 && n < 1.0, "a number between 0 and 1"),
		"rope.freq_base" | "rope.freq_base_swa" => (n > 0.0 && n.is_finite(), "a finite number above 0"),
		_ => (n.is_finite(), "a finite number"),
	};
	if right { Ok(()) } else { Err(expected.into()) }
}

fn within(n: i128, least: i128, largest: i128) -> Result<(), String> {
	if (least..=largest).contains(&n) { Ok(()) } else { Err(format!("{least} to {largest}")) }
}

fn same(length: usize, tokens: usize) -> Result<(), String> {
	if length == tokens { Ok(()) } else { Err(format!("a list with one entry for each of {tokens} tokens")) }
}
