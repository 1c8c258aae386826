//! `/v1/inference`: a request for a completion and the events of its response.

use super::{Error, Scale};
use gonka_primitives::market::SignedReceipt;
use serde::{Deserialize, Serialize};

/// Maximum number of stop strings in a request.
pub const MAX_STOPS: usize = 4;

/// A request for a completion. The envelope carries the hash of exactly the bytes that are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferenceRequest {
	/// Token ids of the prompt; at least one. The gateway makes them with the model's registered tokenizer.
	pub prompt: Vec<u32>,
	/// Token ids of the completion that other hosts have already delivered. This host continues after them and signs
	/// only for the tokens that it adds; the delivered ones count as prompt tokens.
	#[serde(default, skip_serializing_if = "Vec::is_empty")]
	pub delivered: Vec<u32>,
	/// Temperature; 0 is greedy.
	#[serde(default = "one")]
	pub temperature: f32,
	/// Probability mass of nucleus sampling; 1 keeps every token.
	#[serde(default = "one")]
	pub top_p: f32,
	/// Number of likeliest tokens that are kept; 0 keeps every token.
	#[serde(default)]
	pub top_k: u32,
	/// Strings that end the completion and are not part of it, up to [`MAX_STOPS`].
	#[serde(default, skip_serializing_if = "Vec::is_empty")]
	pub stop: Vec<String>,
	/// Whether to continue past the model's end-of-text token.
	#[serde(default)]
	pub ignore_eos: bool,
}

fn one() -> f32 {
	1.0
}

/// A grammar that a completion has to follow, in a form that the crate `llguidance` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grammar {
	/// A JSON schema.
	JsonSchema(serde_json::Value),
	/// A regular expression for the whole completion.
	Regex(String),
	/// A context-free grammar in llguidance's variant of Lark.
	Lark(String),
}

/// One event of a response: any number of `Token`s, then one `Receipt` or one `Error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
	/// A generated token.
	Token {
		/// The token's id.
		id: u32,
	},
	/// The completion has ended and its receipt is on the worker's disk.
	Receipt {
		/// The signed receipt.
		receipt: Scale<SignedReceipt>,
	},
	/// The completion broke off; nothing is due.
	Error(Error),
}
