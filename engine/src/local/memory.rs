//! The memory that a model needs, compared with what is free before it is loaded: a worker must not be killed for it later.

use sysinfo::System;

use super::LocalConfig;
use crate::EngineError;
use gonka_tokenizer::gguf::{Header, Value};

/// Sizes of a model in a backend's memory.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
	/// Bytes of all weights.
	pub weights: u64,
	/// Bytes of 32 numbers of keys or values: blocks of 8-bit formats have as many.
	pub cached: u64,
	/// Bytes of the outputs of a token, of a model that reads a whole text at once.
	pub outputs: u64,
	/// Number of keys' and values' numbers of a token, in all layers together.
	pub numbers: u64,
	/// Maximum number of tokens of a sequence that the model was made for.
	pub context: u64,
}

impl Sizes {
	/// Returns those of a GGUF file's model, for `weights` and `cached` bytes.
	pub fn of(header: &Header, weights: u64, cached: u64) -> Self {
		let context = number(header, "context_length").unwrap_or(u64::MAX);
		let is_whole = own(header, "attention.causal") == Some(&Value::Bool(false));
		let vocabulary = header.texts("tokenizer.ggml.tokens").map_or(0, |tokens| tokens.len() as u64);
		let width = number(header, "embedding_length").unwrap_or(0);
		let outputs = if is_whole { vocabulary.saturating_add(width).saturating_mul(4) } else { 0 };
		Self { weights, cached, outputs, numbers: numbers_per_token(header), context }
	}

	/// Checks that weights, and the keys and values of all slots, fit [`LocalConfig::memory`], or else the memory that is free.
	/// Returns the number of bytes that they need.
	///
	/// # Errors
	/// [`EngineError::Memory`].
	pub fn check(self, config: &LocalConfig) -> Result<u64, EngineError> {
		let LocalConfig { context_length, slots, .. } = *config;
		let context_length = usize::try_from(self.context).unwrap_or(usize::MAX).min(context_length);
		let cells = (context_length as u64).saturating_mul(slots as u64);
		let cache = cells.saturating_mul(self.numbers).saturating_mul(self.cached) / 32;
		let outputs = self.outputs.saturating_mul(context_length as u64);
		let cache = cache.saturating_add(outputs);
		let needed = self.weights.saturating_add(cache);
		match config.memory.or_else(free_memory) {
			Some(free) if needed > free => {
				Err(EngineError::Memory { weights: self.weights, cache, slots, context_length, free })
			},
			_ => Ok(needed),
		}
	}
}

/// Returns the bytes of free memory of this machine, or of the group of processes that this one belongs to. `None` if they are not
/// known.
pub fn free_memory() -> Option<u64> {
	let mut system = System::new();
	system.refresh_memory();
	let machine = system.available_memory();
	let free = system.cgroup_limits().map_or(machine, |group| machine.min(group.free_memory));
	(free > 0).then_some(free)
}

/// Returns how many numbers of keys and values a token has, in all layers together.
fn numbers_per_token(header: &Header) -> u64 {
	let layers = number(header, "block_count").unwrap_or(0);
	let heads = number(header, "attention.head_count").unwrap_or(1).max(1);
	let width = number(header, "embedding_length").unwrap_or(0) / heads;
	let length = |key| number(header, key).unwrap_or(width);
	let both = length("attention.key_length").saturating_add(length("attention.value_length"));
	match own(header, "attention.head_count_kv") {
		Some(Value::Integers(list)) => {
			let heads = list.iter().filter_map(|heads| u64::try_from(*heads).ok()).fold(0, u64::saturating_add);
			heads.saturating_mul(both)
		},
		_ => layers.saturating_mul(number(header, "attention.head_count_kv").unwrap_or(heads)).saturating_mul(both),
	}
}

/// Returns a value of the model's own architecture.
fn own<'a>(header: &'a Header, key: &str) -> Option<&'a Value> {
	header.metadata.get(&format!("{}.{key}", header.text("general.architecture").ok()?))
}

fn number(header: &Header, key: &str) -> Option<u64> {
	match own(header, key)? {
		Value::Integer(number) => u64::try_from(*number).ok(),
		_ => None,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn header(values: &[(&str, Value)]) -> Header {
		let mut header = Header::default();
		header.metadata.insert("general.architecture".into(), Value::Text("qwen3".into()));
		header.metadata.extend(values.iter().map(|(key, value)| (format!("qwen3.{key}"), value.clone())));
		header
	}

	#[test]
	fn keys_and_values_of_all_layers_count() {
		let common = [
			("block_count", Value::Integer(4)),
			("attention.head_count", Value::Integer(16)),
			("embedding_length", Value::Integer(1_024)),
		];
		assert_eq!(numbers_per_token(&header(&common)), 4 * 16 * 2 * 64);
		let few = ("attention.head_count_kv", Value::Integer(2));
		let long = ("attention.key_length", Value::Integer(128));
		assert_eq!(numbers_per_token(&header(&[&common[..], &[few, long]].concat())), 4 * 2 * (128 + 64));
		let list = ("attention.head_count_kv", Value::Integers(vec![2, 0, 2, 1]));
		assert_eq!(numbers_per_token(&header(&[&common[..], &[list]].concat())), 5 * 2 * 64);
	}

	#[test]
	fn a_model_that_does_not_fit_is_refused_with_what_it_needs() {
		let header = header(&[
			("block_count", Value::Integer(4)),
			("attention.head_count", Value::Integer(16)),
			("embedding_length", Value::Integer(1_024)),
			("context_length", Value::Integer(8_192)),
		]);
		let config = LocalConfig { slots: 1 << 20, context_length: 1 << 20, ..LocalConfig::torch("a file") };
		let error = Sizes::of(&header, 3 << 30, 64).check(&config).expect_err("140 TB are needed").to_string();
		assert!(error.contains("3.2 GB of weights and 140737.5 GB for 1048576 slots of 8192 tokens"), "{error}");
		let config = LocalConfig { slots: 1, ..config };
		let cache = 8_192 * 4 * 16 * 2 * 64 * 2;
		assert_eq!(Sizes::of(&header, 5, 64).check(&config), Ok(5 + cache));
		assert!(Sizes::of(&header, 5, 64).check(&LocalConfig { memory: Some(5 + cache), ..config.clone() }).is_ok());
		assert!(Sizes::of(&header, 5, 64).check(&LocalConfig { memory: Some(4 + cache), ..config }).is_err());
	}
}
