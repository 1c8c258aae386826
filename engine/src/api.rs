//! The interface of every engine, and the types that it takes and returns.

use std::collections::BTreeMap;

use gonka_primitives::{Hash, fingerprint::Fingerprint, sampler::SamplingParams, tape::seed_key};
use gonka_tokenizer::{ChatMessage, ChatOptions, TokenizerError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// Maximum number of [`GenerateRequest::logit_bias`].
pub const MAX_BIASES: usize = 1024;
/// Maximum magnitude of a bias, in nats.
pub const MAX_BIAS: f32 = 100.0;
/// Maximum of [`GenerateRequest::logprobs`].
pub const MAX_LOGPROBS: u8 = 20;

/// An engine that serves one model.
///
/// All methods return quickly except [`tokenize`](Self::tokenize), [`tokenize_chat`](Self::tokenize_chat),
/// [`detokenize`](Self::detokenize), and those that take a request with a grammar. Their cost grows with the text or the
/// grammar, and they may wait for another machine, so call them where blocking is allowed. No method waits for a running
/// generation.
pub trait Engine: Send + Sync {
	/// Returns what this engine serves. The value is constant for the engine's life.
	fn info(&self) -> ModelInfo;

	/// Returns the token ids of `text`. Names of special tokens in it are plain text.
	///
	/// # Errors
	/// [`EngineError::Busy`], [`EngineError::Compute`] or [`EngineError::Stopped`] when the engine must ask a server
	/// and it fails.
	fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError>;

	/// Returns the token ids of a conversation, in the form that the model was trained on.
	///
	/// Special tokens come from the model's template only. Their names inside a message are plain text, so a message
	/// cannot end itself.
	///
	/// # Errors
	/// [`EngineError::Template`] when the model has no template or its template rejects the messages, and the errors of
	/// [`tokenize`](Self::tokenize).
	fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError>;

	/// Returns the text of `ids`. Special tokens have none; malformed UTF-8 becomes U+FFFD.
	///
	/// # Errors
	/// Those of [`tokenize`](Self::tokenize).
	fn detokenize(&self, ids: &[u32]) -> Result<String, EngineError>;

	/// Starts a completion; its tokens arrive on the returned channel, in order.
	///
	/// The channel carries one [`TokenEvent::Token`] for each token and ends with one [`TokenEvent::Done`] or
	/// [`TokenEvent::Error`]. Dropping the receiver cancels the generation and frees its slot. To continue a completion
	/// elsewhere, send a request whose prompt is the old prompt followed by the ids already received, with the same
	/// key.
	///
	/// # Errors
	/// [`EngineError::Busy`], [`EngineError::ContextTooLong`], [`EngineError::InvalidRequest`] or
	/// [`EngineError::Stopped`]; [`EngineError::Unsupported`] when this engine cannot honour a parameter;
	/// [`EngineError::Compute`] while the engine is unhealthy.
	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError>;

	/// Compares a completion with what this engine would have generated: see [`CheckResult`].
	///
	/// A check reads prompt and completion once, while other completions go on. Dropping the receiver cancels it.
	///
	/// # Errors
	/// At once, those of [`generate`](Self::generate) and [`EngineError::Unsupported`]; over the channel,
	/// [`EngineError::Compute`] or [`EngineError::Stopped`]. None of them says anything about the completion.
	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError>;

	/// Returns the engine's present state.
	fn health(&self) -> Health;

	/// Returns the engine's work since it started; zeros if another machine computes.
	fn usage(&self) -> Usage {
		Usage::default()
	}
}

/// Channel on which the result of a check arrives.
pub type CheckReceiver = oneshot::Receiver<Result<CheckResult, EngineError>>;

/// Description of the model that an engine serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
	/// The model's name, as its file or its configuration gives it.
	pub name: String,
	/// Maximum number of tokens of a prompt and its completion together.
	pub context_length: usize,
	/// Number of token ids: every id is less than this.
	pub vocab_size: usize,
	/// Ids that end a completion.
	pub eos: Vec<u32>,
	/// Maximum number of completions generated at the same time; more wait.
	pub max_running: usize,
}

/// A grammar that a completion has to follow, as the crate `llguidance` reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
	/// A JSON schema. Properties come in the order in which the schema has them.
	JsonSchema(Value),
	/// A regular expression for the whole completion.
	Regex(String),
	/// A context-free grammar in llguidance's variant of Lark.
	Lark(String),
}

/// A request for a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
	/// Tokens to continue; at least one.
	pub prompt: Vec<u32>,
	/// Number of the prompt's last tokens that are the beginning of this completion, generated by another host. Text
	/// that was held back there (half a character or a possible stop text) comes with the first token of this
	/// completion.
	pub delivered: usize,
	/// Maximum number of tokens to generate; at least one.
	pub max_tokens: usize,
	/// Temperature. 0 always takes the likeliest token; higher values flatten the distribution. Counted in thousandths,
	/// up to 100.
	pub temperature: f32,
	/// Samples only from the likeliest tokens that reach this probability together; in (0, 1]. Counted in millionths.
	pub top_p: f32,
	/// Samples only from this number of likeliest tokens; 0 for all.
	pub top_k: usize,
	/// Samples only from tokens that are at least this likely relative to the likeliest; in [0, 1]. Counted in
	/// millionths.
	pub min_p: f32,
	/// Divides the positive logits of tokens that occurred, and multiplies their negative ones; above 0, 1 for none.
	/// Counted in thousandths.
	pub repetition_penalty: f32,
	/// Amount subtracted from the logits of tokens that the completion has. Counted in thousandths.
	pub presence_penalty: f32,
	/// Amount subtracted from a token's logit for each time that the completion has it. Counted in thousandths.
	pub frequency_penalty: f32,
	/// Amounts added to the logits of tokens, in nats, at most [`MAX_BIASES`] of at most ±[`MAX_BIAS`]. Counted in
	/// thousandths.
	pub logit_bias: BTreeMap<u32, f32>,
	/// Minimum number of tokens of the completion, `delivered` ones included: before it, ids that end the completion are
	/// forbidden. A stop text, and the end of a grammar that permits nothing else, end it all the same.
	pub min_tokens: usize,
	/// The grammar that the completion follows from its first token on, `delivered` ones included. Where it is complete, the
	/// model's own end ids are permitted, and nothing else if it cannot go on. So a completion that has not reached
	/// `max_tokens` or a stop is a whole sentence of the grammar.
	///
	/// Where the grammar permits nothing, or has become too complex to go on, the model's end ids are permitted alone.
	pub grammar: Option<Grammar>,
	/// Number of likeliest tokens whose log probabilities come with each token, at most [`MAX_LOGPROBS`]; `None` for no log
	/// probabilities, 0 for the token's own alone.
	pub logprobs: Option<u8>,
	/// Key of the completion's tape: with a token's position in the sequence it fixes that token's noise. It is
	/// [`tape_key`](gonka_primitives::tape::tape_key) of an envelope, or [`seed_key`] without one.
	pub key: Hash,
	/// Texts that end the completion. They are not part of it.
	pub stop: Vec<String>,
	/// Ids that end the completion, besides the model's own.
	pub stop_token_ids: Vec<u32>,
	/// Whether to continue after one of the model's own end ids. Contradicts a grammar, whose end is such an id.
	pub ignore_eos: bool,
	/// The account that pays for the request. Waiting requests of different owners take turns.
	pub owner: Hash,
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
			logit_bias: BTreeMap::new(),
			min_tokens: 0,
			grammar: None,
			logprobs: None,
			key: seed_key(0),
			stop: Vec::new(),
			stop_token_ids: Vec::new(),
			ignore_eos: false,
			owner: [0; 32],
		}
	}
}

impl GenerateRequest {
	/// Returns the sampling parameters as the integers that generation and checks use: each number is rounded to the
	/// nearest one, halves away from 0, and clamped to its type.
	pub fn sampling(&self) -> SamplingParams {
		let units = |number: f32, units: f64| (f64::from(number) * units).round();
		SamplingParams {
			temperature: units(self.temperature, 1e3) as u32,
			top_k: u32::try_from(self.top_k).unwrap_or(u32::MAX),
			top_p: units(self.top_p, 1e6) as u32,
			min_p: units(self.min_p, 1e6) as u32,
			repetition: units(self.repetition_penalty, 1e3) as u32,
			presence: units(self.presence_penalty, 1e3) as i32,
			frequency: units(self.frequency_penalty, 1e3) as i32,
		}
	}

	/// Returns the biases as the integers that generation and checks use, in 10⁻³ nats: rounded to the nearest one, halves
	/// away from 0.
	pub fn biases(&self) -> impl Iterator<Item = (u32, i32)> {
		self.logit_bias.iter().map(|(id, bias)| (*id, (f64::from(*bias) * 1e3).round() as i32))
	}

	/// Checks that `model` can serve this request. The grammar is not read.
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
			return invalid("temperature must be a number from 0 up");
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
		if self.logit_bias.len() > MAX_BIASES {
			return invalid(&format!("{} biases: at most {MAX_BIASES} are allowed", self.logit_bias.len()));
		}
		for (id, bias) in &self.logit_bias {
			if *id as usize >= model.vocab_size {
				return invalid(&format!("logit_bias has token id {id}, but the model has {} ids", model.vocab_size));
			}
			if !(-MAX_BIAS..=MAX_BIAS).contains(bias) {
				return invalid(&format!("the bias of token {id} must be between -{MAX_BIAS} and {MAX_BIAS}"));
			}
		}
		if self.min_tokens > self.max_tokens.saturating_add(self.delivered) {
			return invalid("min_tokens is above the maximum number of tokens");
		}
		if self.logprobs.is_some_and(|top| top > MAX_LOGPROBS) {
			return invalid(&format!("log probabilities of at most {MAX_LOGPROBS} tokens are reported"));
		}
		if self.grammar.is_some() && self.ignore_eos {
			return invalid("a grammar's end is an end-of-text token: leave ignore_eos or the grammar out");
		}
		if self.stop.iter().any(String::is_empty) {
			return invalid("a stop text is empty");
		}
		if let Some(id) = self.prompt.iter().find(|&&id| id as usize >= model.vocab_size) {
			return invalid(&format!("the prompt has token id {id}, but the model has {} ids", model.vocab_size));
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

/// Log probabilities of a token and of the likeliest ones in its place: natural logarithms, from the model's own logits,
/// before penalties, biases, grammar and temperature. At least -9999.
///
/// No check reads them: they are the host's word.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
	/// That of the token.
	pub chosen: f32,
	/// The likeliest tokens, as many as the request asks for, likeliest first; of equal ones the lowest id first.
	pub top: Vec<(u32, f32)>,
}

/// An event of a running completion.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenEvent {
	/// The next token.
	Token {
		/// The token's id; ids that end a completion are reported too.
		id: u32,
		/// Text that became certain with this token, often empty or more than the token's own: an incomplete character
		/// and a possible beginning of a stop text are held back. All texts joined are the completion's text.
		text: String,
		/// Fingerprint of the hidden state from which the token was chosen.
		fingerprint: Fingerprint,
		/// Log probabilities, if the request asks for them.
		logprobs: Option<TokenLogprobs>,
	},
	/// The completion has ended.
	Done {
		/// Why it ended.
		finish_reason: FinishReason,
		/// Number of tokens of the prompt.
		prompt_tokens: usize,
		/// Number of [`TokenEvent::Token`] before this event.
		completion_tokens: usize,
	},
	/// The engine failed. The tokens sent so far remain valid.
	Error {
		/// Description of the failure.
		message: String,
	},
}

/// A completion that a host claims to have generated.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckRequest {
	/// The request that it completes.
	pub request: GenerateRequest,
	/// The completion's tokens: at least one, at most `max_tokens`.
	pub output: Vec<u32>,
	/// The reason for which it is said to have ended.
	pub finish_reason: FinishReason,
}

impl CheckRequest {
	/// Checks that `model` can check this completion.
	///
	/// # Errors
	/// Those of [`GenerateRequest::check`].
	pub fn check(&self, model: &ModelInfo) -> Result<(), EngineError> {
		self.request.check(model)?;
		if self.output.is_empty() || self.output.len() > self.request.max_tokens {
			let (length, max) = (self.output.len(), self.request.max_tokens);
			return Err(EngineError::InvalidRequest(format!("the completion has {length} tokens, not 1 to {max}")));
		}
		if let Some(id) = self.output.iter().find(|&&id| id as usize >= model.vocab_size) {
			return Err(EngineError::InvalidRequest(format!(
				"the completion has token id {id}, but the model has {} ids",
				model.vocab_size
			)));
		}
		Ok(())
	}
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
	/// Result for each token of the completion.
	pub tokens: Vec<TokenCheck>,
	/// Whether the completion ends where it must and for the reason given.
	pub ends_rightly: bool,
	/// Whether the request permits every token: the grammar does, and none ends the completion before its minimum length.
	/// Masks are exact, so one token shows that a host broke them.
	pub is_permitted: bool,
}

/// The result of a check for one token. Its logits are those after the completion's own tokens before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCheck {
	/// How far differences between logits must be off for the token to be due, in 2⁻¹⁶ nats; 0 if it is due. See
	/// [`SamplingParams::margin`](gonka_primitives::sampler::SamplingParams::margin).
	pub margin: u32,
	/// The fingerprint that the token should have, except for rounding.
	pub fingerprint: Fingerprint,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
	/// The model, a stop text or a stop id ended it.
	Stop,
	/// It reached `max_tokens` tokens.
	Length,
	/// The engine was shut down.
	Cancelled,
}

/// The state of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
	/// Whether it can compute: false after a failure, until a computation succeeds again.
	pub healthy: bool,
	/// Number of completions being generated.
	pub running: usize,
	/// Number of requests that wait for a slot.
	pub waiting: usize,
	/// Maximum number of requests that may wait.
	pub waiting_limit: usize,
}

/// The work of an engine since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
	/// Number of steps: computations of one batch.
	pub steps: u64,
	/// Sum of the numbers of completions in the steps' batches.
	pub rows: u64,
	/// Number of tokens of prompts that were read.
	pub prompt_tokens: u64,
	/// Number of tokens of prompts that an earlier request had left in a slot, so that they were not read again.
	pub reused_tokens: u64,
	/// Number of tokens whose keys and values the slots hold now.
	pub cached_tokens: u64,
}

/// The reason for which an engine could not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
	/// The queue is full: try again later, or try another engine.
	#[error("the engine is busy: {waiting} requests wait already")]
	Busy {
		/// Number of requests that wait now.
		waiting: usize,
	},
	/// Prompt and completion together do not fit the model's context.
	#[error("{prompt_tokens} prompt tokens and up to {max_tokens} more exceed the context of {context_length} tokens")]
	ContextTooLong {
		/// Number of tokens of the prompt.
		prompt_tokens: usize,
		/// Maximum number of tokens of the completion.
		max_tokens: usize,
		/// Maximum number of tokens of both together.
		context_length: usize,
	},
	/// This engine cannot do it, but others may.
	#[error("not supported: {0}")]
	Unsupported(String),
	/// The request contradicts itself or the model.
	#[error("invalid request: {0}")]
	InvalidRequest(String),
	/// The chat template is missing or broken, or it rejected the messages.
	#[error("chat template: {0}")]
	Template(String),
	/// The model's file cannot be read, is malformed, or needs what this engine lacks; or the server does not serve the
	/// model.
	#[error("model: {0}")]
	Model(String),
	/// The model does not fit the memory.
	#[error(
		"memory is short: the model needs {} of weights and {} for {slots} slots of {context_length} tokens, but {} are free: \
		 take fewer slots, a shorter context or a smaller file",
		gigabytes(.weights), gigabytes(.cache), gigabytes(.free)
	)]
	Memory {
		/// Bytes of the weights.
		weights: u64,
		/// Bytes of the keys and values of all slots.
		cache: u64,
		/// Number of completions at the same time.
		slots: usize,
		/// Number of tokens of each.
		context_length: usize,
		/// Bytes that are free.
		free: u64,
	},
	/// A computation failed.
	#[error("computation: {0}")]
	Compute(String),
	/// The engine was shut down or has crashed.
	#[error("the engine has stopped")]
	Stopped,
}

impl From<TokenizerError> for EngineError {
	fn from(error: TokenizerError) -> Self {
		match error {
			TokenizerError::Template(message) => Self::Template(message),
			TokenizerError::Model(message) => Self::Model(message),
		}
	}
}

/// Writes a number of bytes in gigabytes.
fn gigabytes(bytes: &u64) -> String {
	format!("{:.1} GB", *bytes as f64 / 1e9)
}
