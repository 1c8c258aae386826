//! `/v1/inference`: a request for a completion and the events of its response.

use super::{Error, Scale, Vector};
use gonka_primitives::market::SignedReceipt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Maximum number of stop strings in a request.
pub const MAX_STOPS: usize = 16;
/// Maximum number of bytes of a stop string.
pub const MAX_STOP_BYTES: usize = 1024;
/// Maximum number of token ids that end a completion, besides the model's own.
pub const MAX_STOP_TOKEN_IDS: usize = 64;
/// Maximum number of bytes of a grammar as JSON.
pub const MAX_GRAMMAR_BYTES: usize = 64 << 10;

/// A request for a completion, or for an embedding of the prompt if the envelope's `max_tokens` is 0. The envelope carries the hash of
/// exactly the bytes that are sent.
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
	/// Probability relative to the likeliest token that a token must have; 0 keeps every token.
	#[serde(default, skip_serializing_if = "is_zero")]
	pub min_p: f32,
	/// Divides the positive logits of tokens in prompt and completion, and multiplies negative ones; 1 for none.
	#[serde(default = "one", skip_serializing_if = "is_one")]
	pub repetition_penalty: f32,
	/// Nats subtracted from the logits of tokens that the completion has.
	#[serde(default, skip_serializing_if = "is_zero")]
	pub presence_penalty: f32,
	/// Nats subtracted from a token's logit for each time that the completion has it.
	#[serde(default, skip_serializing_if = "is_zero")]
	pub frequency_penalty: f32,
	/// Nats added to the logits of tokens, by id: up to 1024 numbers within ±100.
	#[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
	pub logit_bias: BTreeMap<u32, f32>,
	/// Token ids that end the completion and are its last, up to [`MAX_STOP_TOKEN_IDS`].
	#[serde(default, skip_serializing_if = "Vec::is_empty")]
	pub stop_token_ids: Vec<u32>,
	/// Minimum number of tokens, delivered ones included. Before it, no token id ends the completion.
	#[serde(default, skip_serializing_if = "is_none")]
	pub min_tokens: u32,
	/// The grammar that the completion follows, delivered tokens included; up to [`MAX_GRAMMAR_BYTES`]. Contradicts
	/// `ignore_eos`.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub grammar: Option<Grammar>,
	/// Number of likeliest tokens whose log probabilities come with each token, up to 20; without it there are no log
	/// probabilities, with 0 the token's own alone.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub logprobs: Option<u8>,
	/// Strings that end the completion and are not part of it, up to [`MAX_STOPS`] of up to [`MAX_STOP_BYTES`].
	#[serde(default, skip_serializing_if = "Vec::is_empty")]
	pub stop: Vec<String>,
	/// Whether to continue past the model's end-of-text token.
	#[serde(default)]
	pub ignore_eos: bool,
}

impl InferenceRequest {
	/// Returns a request for a prompt with the defaults of all other fields.
	pub fn new(prompt: Vec<u32>) -> Self {
		Self {
			prompt,
			delivered: Vec::new(),
			temperature: 1.0,
			top_p: 1.0,
			top_k: 0,
			min_p: 0.0,
			repetition_penalty: 1.0,
			presence_penalty: 0.0,
			frequency_penalty: 0.0,
			logit_bias: BTreeMap::new(),
			stop_token_ids: Vec::new(),
			min_tokens: 0,
			grammar: None,
			logprobs: None,
			stop: Vec::new(),
			ignore_eos: false,
		}
	}
}

fn one() -> f32 {
	1.0
}

fn is_one(number: &f32) -> bool {
	*number == 1.0
}

fn is_zero(number: &f32) -> bool {
	*number == 0.0
}

fn is_none(number: &u32) -> bool {
	*number == 0
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

/// One event of a response: any number of `Token`s or one `Embedding`, then one `Receipt` or one `Error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
	/// A generated token.
	Token {
		/// The token's id.
		id: u32,
		/// The token's log probability by the model alone, if the request asks for it. The host's word: no audit reads it.
		#[serde(default, skip_serializing_if = "Option::is_none")]
		logprob: Option<f32>,
		/// The likeliest tokens in its place with their log probabilities, likeliest first, as many as the request asks for.
		#[serde(default, skip_serializing_if = "Vec::is_empty")]
		top_logprobs: Vec<(u32, f32)>,
	},
	/// The embedding of the prompt.
	Embedding {
		/// Its numbers; its length is 1.
		vector: Vector,
	},
	/// The completion has ended and its receipt is on the worker's disk.
	Receipt {
		/// The signed receipt.
		receipt: Scale<SignedReceipt>,
	},
	/// The completion broke off; nothing is due.
	Error(Error),
}
