//! What every engine offers, and the types that cross that border.

use gonka_primitives::{Hash, fingerprint::Fingerprint, sampler::Sampling, tape::seed_key};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

/// One model, ready to answer.
///
/// All methods are cheap except [`tokenize`](Self::tokenize) and
/// [`tokenize_chat`](Self::tokenize_chat), whose cost grows with the text, and which may wait for another machine: call
/// them where blocking is allowed. None blocks on a running generation.
pub trait Engine: Send + Sync {
	/// What this engine serves. Constant over the engine's life.
	fn info(&self) -> ModelInfo;

	/// The token ids of `text`. Names of special tokens in it are plain text.
	///
	/// # Errors
	/// [`EngineError::Busy`], [`EngineError::Compute`] or [`EngineError::Stopped`], of an engine that must ask for them.
	fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError>;

	/// The token ids of a conversation, in the form that the model was trained on.
	///
	/// Special tokens come from the model's template only: their names inside a message are
	/// plain text, so nobody can end a message from within.
	///
	/// # Errors
	/// [`EngineError::Template`] when the model has no template, or its template refuses the
	/// messages; and those of [`tokenize`](Self::tokenize).
	fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError>;

	/// The text of `ids`. Special tokens have none; malformed UTF-8 becomes U+FFFD.
	///
	/// # Errors
	/// Those of [`tokenize`](Self::tokenize).
	fn detokenize(&self, ids: &[u32]) -> Result<String, EngineError>;

	/// Starts an answer; its tokens arrive on the returned channel, in order.
	///
	/// The channel carries one [`TokenEvent::Token`] per token and ends with one
	/// [`TokenEvent::Done`] or [`TokenEvent::Error`]. Dropping the receiver cancels the
	/// generation and frees its place. To continue an answer, ask again with a prompt of the
	/// old prompt followed by the ids already received, and the same key.
	///
	/// # Errors
	/// [`EngineError::Busy`], [`EngineError::ContextTooLong`],
	/// [`EngineError::InvalidRequest`] or [`EngineError::Stopped`]; [`EngineError::Compute`] while the engine is unhealthy.
	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError>;

	/// Compares an answer with what this engine would have answered: see [`CheckResult`]. It costs one reading of
	/// prompt and answer, beside the answers that are being generated. Dropping the receiver cancels.
	///
	/// # Errors
	/// Those of [`generate`](Self::generate) and [`EngineError::Unsupported`], at once; over the channel
	/// [`EngineError::Compute`] or [`EngineError::Stopped`]. None of them says anything about the answer.
	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError>;

	/// How the engine is now.
	fn health(&self) -> Health;
}

/// Where the result of a check arrives.
pub type CheckReceiver = oneshot::Receiver<Result<CheckResult, EngineError>>;

/// What an engine serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
	/// The model's name, as its file or its configuration gives it.
	pub name: String,
	/// The most tokens a prompt and its answer may have together.
	pub context_length: usize,
	/// The number of token ids: every id is less than this.
	pub vocab_size: usize,
	/// The ids that end an answer.
	pub eos: Vec<u32>,
	/// The most answers generated at the same time; more wait.
	pub max_running: usize,
}

/// One message of a conversation, in the shape of the OpenAI API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
	/// `system`, `user`, `assistant` or what else the model's template knows.
	pub role: String,
	/// The text.
	pub content: String,
	/// Further fields that a template may read, such as `name` or `tool_calls`.
	#[serde(flatten)]
	pub extra: Map<String, Value>,
}

impl ChatMessage {
	/// A message without further fields.
	pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
		Self { role: role.into(), content: content.into(), extra: Map::new() }
	}
}

/// How to render a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatOptions {
	/// Whether to end with the opening of the assistant's answer.
	pub add_generation_prompt: bool,
	/// Further variables for the template, such as `tools`.
	pub variables: Map<String, Value>,
}

impl Default for ChatOptions {
	/// With the opening of the answer, and no further variables.
	fn default() -> Self {
		Self { add_generation_prompt: true, variables: Map::new() }
	}
}

/// What to answer, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
	/// The tokens to continue; at least one.
	pub prompt: Vec<u32>,
	/// How many of the prompt's last tokens are the answer's beginning, delivered by somebody else. Text that was still
	/// held back there, half a character or a possible stop text, comes with the first token of this answer.
	pub delivered: usize,
	/// The most tokens to answer with; at least one.
	pub max_tokens: usize,
	/// 0 always takes the likeliest token; higher values flatten the distribution. Counted in thousandths, up to 100.
	pub temperature: f32,
	/// Sample only from the likeliest tokens that reach this probability together; in (0, 1]. Counted in millionths.
	pub top_p: f32,
	/// Sample only from so many likeliest tokens; 0 for all.
	pub top_k: usize,
	/// Sample only from tokens that are at least this likely, the likeliest being 1; in [0, 1]. Counted in millionths.
	pub min_p: f32,
	/// Divides the positive logits of tokens that occurred, and multiplies the negative ones; above 0, 1 for none.
	/// Counted in thousandths.
	pub repetition_penalty: f32,
	/// Taken from the logits of tokens that the answer has. Counted in thousandths.
	pub presence_penalty: f32,
	/// Taken from a token's logit for each time that the answer has it. Counted in thousandths.
	pub frequency_penalty: f32,
	/// The key of the answer's tape: together with a token's position in the sequence it fixes that token's noise.
	/// [`tape_key`](gonka_primitives::tape::tape_key) of an envelope, or [`seed_key`] without one.
	pub key: Hash,
	/// Texts that end the answer. They are not part of it.
	pub stop: Vec<String>,
	/// Ids that end the answer, besides the model's own.
	pub stop_token_ids: Vec<u32>,
	/// Whether to go on after one of the model's own end ids.
	pub ignore_eos: bool,
}

impl Default for GenerateRequest {
	/// Up to 16 tokens, sampled from the unchanged distribution with the key of seed 0.
	fn default() -> Self {
		Self {
			prompt: Vec::new(),
			delivered: 0,
			max_tokens: 16,
			temperature: 1.0,
			top_p: 1.0,
			top_k: 0,
			min_p: 0.0,
			repetition_penalty: 1.0,
			presence_penalty: 0.0,
			frequency_penalty: 0.0,
			key: seed_key(0),
			stop: Vec::new(),
			stop_token_ids: Vec::new(),
			ignore_eos: false,
		}
	}
}

impl GenerateRequest {
	/// How tokens are chosen, in the integers that generating and checking go by: each number is rounded to the
	/// nearest one, halves away from 0, and cut to what fits.
	pub fn sampling(&self) -> Sampling {
		let units = |number: f32, units: f64| (f64::from(number) * units).round();
		Sampling {
			temperature: units(self.temperature, 1e3) as u32,
			top_k: u32::try_from(self.top_k).unwrap_or(u32::MAX),
			top_p: units(self.top_p, 1e6) as u32,
			min_p: units(self.min_p, 1e6) as u32,
			repetition: units(self.repetition_penalty, 1e3) as u32,
			presence: units(self.presence_penalty, 1e3) as i32,
			frequency: units(self.frequency_penalty, 1e3) as i32,
		}
	}

	/// Whether `model` can serve this request at all.
	///
	/// # Errors
	/// [`EngineError::ContextTooLong`] or [`EngineError::InvalidRequest`].
	pub fn check(&self, model: &ModelInfo) -> Result<(), EngineError> {
		let invalid = |what: &str| Err(EngineError::InvalidRequest(what.into()));
		if self.prompt.is_empty() {
			return invalid("the prompt is empty");
		}
		if self.max_tokens == 0 {
			return invalid("max_tokens is 0");
		}
		if !(self.temperature.is_finite() && self.temperature >= 0.0) {
			return invalid("temperature must be a number of at least 0");
		}
		if !(self.top_p > 0.0 && self.top_p <= 1.0) {
			return invalid("top_p must be above 0 and at most 1");
		}
		if !(0.0..=1.0).contains(&self.min_p) {
			return invalid("min_p must be between 0 and 1");
		}
		if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
			return invalid("repetition_penalty must be a number above 0");
		}
		if !(self.presence_penalty.is_finite() && self.frequency_penalty.is_finite()) {
			return invalid("presence_penalty and frequency_penalty must be numbers");
		}
		if self.stop.iter().any(String::is_empty) {
			return invalid("a stop text is empty");
		}
		if let Some(id) = self.prompt.iter().find(|&&id| id as usize >= model.vocab_size) {
			return invalid(&format!("the prompt has token {id} of {}", model.vocab_size));
		}
		if self.prompt.len().saturating_add(self.max_tokens) > model.context_length {
			return Err(EngineError::ContextTooLong {
				prompt_tokens: self.prompt.len(),
				max_tokens: self.max_tokens,
				context_length: model.context_length,
			});
		}
		Ok(())
	}
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenEvent {
	/// The next token.
	Token {
		/// Its id; end-of-answer ids are reported too.
		id: u32,
		/// The text that became certain with it, often empty or more than this token's: an
		/// incomplete character and a possible beginning of a stop text are held back. All
		/// texts in a row are the answer.
		text: String,
		/// What remains of the hidden state from which it was chosen.
		fingerprint: Fingerprint,
	},
	/// The answer is complete.
	Done {
		/// Why it ended.
		finish_reason: FinishReason,
		/// The length of the prompt.
		prompt_tokens: usize,
		/// The number of [`TokenEvent::Token`] before this event.
		completion_tokens: usize,
	},
	/// The engine failed; the answer so far stands.
	Error {
		/// What failed.
		message: String,
	},
}

/// An answer that somebody claims to have generated.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckRequest {
	/// What was asked.
	pub request: GenerateRequest,
	/// The answer's tokens: at least one, at most `max_tokens`.
	pub output: Vec<u32>,
	/// Why it is said to have ended.
	pub finish_reason: FinishReason,
}

impl CheckRequest {
	/// Whether `model` can check this at all.
	///
	/// # Errors
	/// Those of [`GenerateRequest::check`].
	pub fn check(&self, model: &ModelInfo) -> Result<(), EngineError> {
		self.request.check(model)?;
		if self.output.is_empty() || self.output.len() > self.request.max_tokens {
			let (length, most) = (self.output.len(), self.request.max_tokens);
			return Err(EngineError::InvalidRequest(format!("the answer has {length} tokens of 1 to {most}")));
		}
		if let Some(id) = self.output.iter().find(|&&id| id as usize >= model.vocab_size) {
			return Err(EngineError::InvalidRequest(format!("the answer has token {id} of {}", model.vocab_size)));
		}
		Ok(())
	}
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
	/// What it found at each token of the answer.
	pub tokens: Vec<TokenCheck>,
	/// Whether the answer ends for the reason given, and did not have to end before.
	pub ends_rightly: bool,
}

/// What a check found at one token. The logits behind it are those after the answer's own tokens before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCheck {
	/// How much differences between logits have to be off for the token to be due, in 2⁻¹⁶ nats; 0 if it is due. See
	/// [`Sampling::margin`](gonka_primitives::sampler::Sampling::margin).
	pub margin: u32,
	/// What the token's fingerprint should be, but for rounding.
	pub fingerprint: Fingerprint,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
	/// The model, a stop text or a stop id ended it.
	Stop,
	/// It has `max_tokens` tokens.
	Length,
	/// The engine was shut down.
	Cancelled,
}

/// How an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
	/// Whether it can compute: false after a failure, until a computation succeeds again.
	pub healthy: bool,
	/// Answers being generated.
	pub running: usize,
	/// Requests waiting for a place.
	pub waiting: usize,
	/// The most requests that may wait.
	pub waiting_limit: usize,
}

/// Why an engine could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
	/// The queue is full: ask again later, or ask another engine.
	#[error("{waiting} requests are waiting, which is the limit")]
	Busy {
		/// The requests waiting now.
		waiting: usize,
	},
	/// Prompt and answer together do not fit the model's context.
	#[error("{prompt_tokens} prompt tokens and up to {max_tokens} more exceed the context of {context_length} tokens")]
	ContextTooLong {
		/// The length of the prompt.
		prompt_tokens: usize,
		/// The most tokens the answer may have.
		max_tokens: usize,
		/// The most tokens both may have together.
		context_length: usize,
	},
	/// This engine cannot do that, though others may.
	#[error("not supported: {0}")]
	Unsupported(String),
	/// The request contradicts itself or the model.
	#[error("invalid request: {0}")]
	InvalidRequest(String),
	/// The chat template is missing, broken, or refused the messages.
	#[error("chat template: {0}")]
	Template(String),
	/// The model's file cannot be read, is malformed, or needs what this engine lacks; or a server does not serve it.
	#[error("model: {0}")]
	Model(String),
	/// A computation failed.
	#[error("computation: {0}")]
	Compute(String),
	/// The engine was shut down or has crashed.
	#[error("the engine has stopped")]
	Stopped,
}
