//! The memory that a model needs, compared with what is free before it is loaded: a worker must not be killed for it later.

use sysinfo::System;

use super::LocalConfig;
use crate::{
	EngineError,
	gguf::{Header, Value},
};

/// Sizes of a model in a backend's memory.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
	/// Bytes of all weights.
	pub weights: u64,
	/// Bytes of 32 numbers of keys or values: blocks of 8-bit formats have as many.
	pub cached: u64,
}

/// Checks that weights, and the keys and values of all slots, fit the memory that is free.
///
/// # Errors
/// [`EngineError::Memory`].
pub fn check(header: &Header, config: &LocalConfig, sizes: Sizes) -> Result<(), EngineError> {
	let LocalConfig { context_length, slots, .. } = *config;
	let trained = number(header, "context_length").unwrap_or(u64::MAX);
	let context_length = usize::try_from(trained).unwrap_or(usize::MAX).min(context_length);
	let cells = (context_length as u64).saturating_mul(slots as u64);
	let cache = cells.saturating_mul(numbers_per_token(header)).saturating_mul(sizes.cached) / 32;
	let (needed, free) = (sizes.weights.saturating_add(cache), free());
	if free > 0 && needed > free {
		return Err(EngineError::Memory { weights: sizes.weights, cache, slots, context_length, free });
	}
	Ok(())
}

/// Returns the free memory of this machine, or of the group of processes that this one belongs to. 0 if it is not known.
fn free() -> u64 {
	let mut system = System::new();
	system.refresh_memory();
	let machine = system.available_memory();
	system.cgroup_limits().map_or(machine, |group| machine.min(group.free_memory))
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
		let sizes = Sizes { weights: 3 << 30, cached: 64 };
		let error = check(&header, &config, sizes).expect_err("140 TB are needed").to_string();
		assert!(error.contains("3.2 GB of weights and 140737.5 GB for 1048576 slots of 8192 tokens"), "{error}");
		assert_eq!(check(&header, &LocalConfig { slots: 1, ..config }, Sizes { weights: 0, cached: 64 }), Ok(()));
	}
}
