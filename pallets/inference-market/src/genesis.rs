//! Models in a chain specification.

use crate::{prices::PriceRule, types::Model};
use alloc::string::String;
use gonka_primitives::{Balance, market::Price};
use polkadot_sdk::sp_core::H256;
use serde::{Deserialize, Serialize};

/// A model of the genesis configuration. The first one gets id 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisModel {
	/// Its name, at most 64 bytes.
	pub name: String,
	/// SHA-256 of the weights' file, `0x…`.
	pub weights_hash: H256,
	/// SHA-256 of the tokenizer's file, `0x…`.
	pub tokenizer_hash: H256,
	/// Format of the weights, at most 16 bytes.
	pub quantisation: String,
	/// Maximum number of tokens of prompt and completion together.
	pub context_length: u32,
	/// Base units per prompt token.
	pub input_price: Balance,
	/// Base units per completion token.
	pub output_price: Balance,
	/// Memory that serving it needs, in MB.
	pub memory_mb: u32,
	/// Minimum version of workers that serve it: major · 10⁶ + minor · 10³ + patch.
	pub min_worker_version: u32,
	/// Work units of a settlement window at full use. If it is 0 or left out, the price does not move.
	#[serde(default)]
	pub capacity: u64,
	/// Minimum price per prompt token; 1 if left out.
	#[serde(default = "default_min")]
	pub min_input_price: Balance,
	/// Minimum price per completion token; 1 if left out.
	#[serde(default = "default_min")]
	pub min_output_price: Balance,
	/// Maximum price per prompt token; more than all GNK if left out.
	#[serde(default = "default_max")]
	pub max_input_price: Balance,
	/// Maximum price per completion token; more than all GNK if left out.
	#[serde(default = "default_max")]
	pub max_output_price: Balance,
}

fn default_min() -> Balance {
	PriceRule::default().min.input
}

fn default_max() -> Balance {
	PriceRule::default().max.input
}

impl GenesisModel {
	/// The model; `None` if a name is too long or empty, the context length is 0, or the price is out of bounds.
	pub fn model(&self) -> Option<Model> {
		let model = Model {
			name: self.name.as_bytes().to_vec().try_into().ok()?,
			weights_hash: self.weights_hash.to_fixed_bytes(),
			tokenizer_hash: self.tokenizer_hash.to_fixed_bytes(),
			quantisation: self.quantisation.as_bytes().to_vec().try_into().ok()?,
			context_length: self.context_length,
			price: Price { input: self.input_price, output: self.output_price },
			memory_mb: self.memory_mb,
			min_worker_version: self.min_worker_version,
			rule: PriceRule {
				capacity: self.capacity,
				min: Price { input: self.min_input_price, output: self.min_output_price },
				max: Price { input: self.max_input_price, output: self.max_output_price },
			},
		};
		(model.is_well_formed() && model.rule.allows(&model.price)).then_some(model)
	}
}
