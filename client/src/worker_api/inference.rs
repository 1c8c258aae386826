//! `/v1/inference`: a request for a completion and the events of its response.

use super::{Error, Scale};
use gonka_primitives::market::SignedReceipt;
use serde::{Deserialize, Serialize};

/// Maximum number of stop strings in a request.
pub const MAX_STOPS: usize = 4;

/// A request for a completion. The envelope carries the hash of exactly the bytes that are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferenceRequest {
	/// The prompt.
	pub input: Input,
	/// Token ids of the completion that other hosts have already delivered. This host continues after them and signs
	/// only for the tokens that it adds; the delivered ones count as prompt tokens. Their text was sent as far as an
	/// undisturbed host would have sent it: text held back at their end (half a character, a possible stop string)
	/// comes with the tokens that follow.
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

/// A prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
	/// Messages, rendered with the model's chat template.
	Chat(Vec<Message>),
	/// Text, unchanged.
	Text(String),
	/// Token ids, unchanged.
	Tokens(Vec<u32>),
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

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
	/// `system`, `user`, `assistant` or `tool`.
	pub role: String,
	/// The text.
	pub content: String,
}

/// One event of a response: any number of `Token`s, then one `Receipt` or one `Error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
	/// A generated token.
	Token {
		/// The token's id.
		id: u32,
		/// Text that became certain with the token. Empty while a character or a possible stop string is incomplete.
		text: String,
	},
	/// The completion has ended and its receipt is on the worker's disk.
	Receipt {
		/// The signed receipt.
		receipt: Scale<SignedReceipt>,
	},
	/// The completion broke off; nothing is due.
	Error(Error),
}
