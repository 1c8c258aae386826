//! The models a chain starts with, as its chain specification writes them.

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
	/// How the weights are stored, at most 16 bytes.
	pub quantisation: String,
	/// Tokens of prompt and answer together.
	pub context_length: u32,
	/// Base units per prompt token.
	pub input_price: Balance,
	/// Base units per completion token.
	pub output_price: Balance,
	/// Memory that serving it needs, in MB.
	pub memory_mb: u32,
	/// The oldest worker that serves it right: major · 10⁶ + minor · 10³ + patch.
	pub min_worker_version: u32,
	/// Work units of a settlement window at full use. 0, or left out: the price does not move.
	#[serde(default)]
	pub capacity: u64,
	/// Least price per prompt token; 1 if left out.
	#[serde(default = "least")]
	pub min_input_price: Balance,
	/// Least price per completion token; 1 if left out.
	#[serde(default = "least")]
	pub min_output_price: Balance,
	/// Greatest price per prompt token; more than all GNK if left out.
	#[serde(default = "greatest")]
	pub max_input_price: Balance,
	/// Greatest price per completion token; more than all GNK if left out.
	#[serde(default = "greatest")]
	pub max_output_price: Balance,
}

fn least() -> Balance {
	PriceRule::default().min.input
}

fn greatest() -> Balance {
	PriceRule::default().max.input
}

impl GenesisModel {
	/// The model; `None` if a name is too long or empty, it has no context window, or its price is out of bounds.
	pub fn model(&self) -> Option<Model> {
		let model = Model {
			name: self.name.as_bytes().to_vec().try_into().ok()?,
			weights_hash: self.weights_hash.to_fixed_bytes(),
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
