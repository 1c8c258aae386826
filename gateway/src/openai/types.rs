//! Bodies of requests and responses. Unknown fields are ignored, because clients send many.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};
use utoipa::ToSchema;

/// Body of `POST /v1/chat/completions`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// The conversation so far.
	pub messages: Vec<ChatMessage>,
	/// Maximum number of completion tokens; `max_tokens` is its older name.
	#[serde(default)]
	pub max_completion_tokens: Option<i64>,
	/// Parameters that both endpoints share.
	#[serde(flatten)]
	pub common: Common,
	/// Functions that the model may call: not supported.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub tools: Option<Value>,
	/// The function that the model must call: only `none` and `auto`.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub tool_choice: Option<Value>,
	/// The older name of `tools`: not supported.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub functions: Option<Value>,
	/// Only `{"type": "text"}`.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub response_format: Option<Value>,
	/// Only `["text"]`.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub modalities: Option<Value>,
	/// Number of likeliest tokens to report: only 0.
	#[serde(default)]
	#[schema(value_type = Option<i64>)]
	pub top_logprobs: Option<Value>,
}

/// A message of a chat.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
	/// `system`, `developer`, `user`, `assistant` or `tool`.
	pub role: String,
	/// A text, or a list of `{"type": "text", "text": …}`.
	#[serde(default)]
	#[schema(value_type = Option<String>)]
	pub content: Option<Value>,
	/// Calls that the assistant made: not supported.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub tool_calls: Option<Value>,
}

/// Body of `POST /v1/completions`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CompletionRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// A text, several texts, token ids, or several lists of token ids.
	#[serde(default)]
	#[schema(value_type = String)]
	pub prompt: Option<Value>,
	/// Parameters that both endpoints share.
	#[serde(flatten)]
	pub common: Common,
	/// Repeat the prompt: only `false`.
	#[serde(default)]
	pub echo: Option<bool>,
	/// Only 1 or absent.
	#[serde(default)]
	pub best_of: Option<i64>,
	/// A text after the completion: not supported.
	#[serde(default)]
	pub suffix: Option<String>,
}

/// Parameters that both endpoints share.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct Common {
	/// Maximum number of completion tokens; 0 counts as absent.
	#[serde(default)]
	pub max_tokens: Option<i64>,
	/// Temperature, 0 to 2; 0 always takes the likeliest token.
	#[serde(default, deserialize_with = "number")]
	pub temperature: Option<f32>,
	/// Probability mass of nucleus sampling, 0 to 1.
	#[serde(default, deserialize_with = "number")]
	pub top_p: Option<f32>,
	/// Number of likeliest tokens that are kept; 0 or −1 keeps all.
	#[serde(default)]
	pub top_k: Option<i64>,
	/// One string, or up to four, that end the completion.
	#[serde(default)]
	#[schema(value_type = Option<String>)]
	pub stop: Option<Value>,
	/// Seed of the sampling. The host and the request's sequence number also enter, so the same seed does not repeat a
	/// completion.
	#[serde(default)]
	pub seed: Option<i64>,
	/// Only 1.
	#[serde(default)]
	pub n: Option<i64>,
	/// Whether to stream the response as server-sent events.
	#[serde(default)]
	pub stream: Option<bool>,
	/// Options of the stream.
	#[serde(default)]
	pub stream_options: Option<StreamOptions>,
	/// Whether to continue past the model's end-of-text token.
	#[serde(default)]
	pub ignore_eos: Option<bool>,
	/// Only 0.
	#[serde(default, deserialize_with = "number")]
	pub presence_penalty: Option<f32>,
	/// Only 0.
	#[serde(default, deserialize_with = "number")]
	pub frequency_penalty: Option<f32>,
	/// Only 1.
	#[serde(default, deserialize_with = "number")]
	pub repetition_penalty: Option<f32>,
	/// Only 0.
	#[serde(default, deserialize_with = "number")]
	pub min_p: Option<f32>,
	/// Only 0.
	#[serde(default)]
	pub min_tokens: Option<i64>,
	/// Only empty.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub logit_bias: Option<Value>,
	/// Only `false` or absent.
	#[serde(default)]
	#[schema(value_type = Option<bool>)]
	pub logprobs: Option<Value>,
	/// Only empty.
	#[serde(default)]
	#[schema(value_type = Option<Vec<i64>>)]
	pub stop_token_ids: Option<Value>,
}

/// Reads a number with decimals. Serde buffers flattened fields first; if a crate of the same build makes `serde_json`
/// keep numbers as they are written (`arbitrary_precision`), only `serde_json::Number` can read them from the buffer.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
	let number = Option::<Number>::deserialize(deserializer)?;
	Ok(number.and_then(|number| number.as_f64()).map(|number| number as f32))
}

/// Options of a stream.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub struct StreamOptions {
	/// Whether to send the usage in a last chunk.
	#[serde(default)]
	pub include_usage: Option<bool>,
}

/// Numbers of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Usage {
	/// Tokens of the prompts.
	pub prompt_tokens: u32,
	/// Tokens of the completions.
	pub completion_tokens: u32,
	/// Their sum.
	pub total_tokens: u32,
}

/// The response to a chat request that is not streamed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatCompletion {
	/// `chatcmpl-…`.
	pub id: String,
	/// `chat.completion`.
	pub object: &'static str,
	/// Unix time in seconds.
	pub created: u64,
	/// The model's name as the client wrote it.
	pub model: String,
	/// One choice.
	pub choices: Vec<ChatChoice>,
	/// Numbers of tokens.
	pub usage: Usage,
	/// Always absent.
	pub system_fingerprint: Option<String>,
}

/// A completion of a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChoice {
	/// 0.
	pub index: u32,
	/// The completion.
	pub message: AssistantMessage,
	/// Always absent.
	#[schema(value_type = Option<Object>)]
	pub logprobs: Option<()>,
	/// `stop` or `length`.
	pub finish_reason: &'static str,
}

/// The message of a completion.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssistantMessage {
	/// `assistant`.
	pub role: &'static str,
	/// The text.
	pub content: String,
	/// Always absent.
	pub refusal: Option<String>,
}

/// The response to a text request that is not streamed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Completion {
	/// `cmpl-…`.
	pub id: String,
	/// `text_completion`.
	pub object: &'static str,
	/// Unix time in seconds.
	pub created: u64,
	/// The model's name as the client wrote it.
	pub model: String,
	/// One choice per prompt.
	pub choices: Vec<TextChoice>,
	/// Numbers of tokens, summed over all prompts.
	pub usage: Usage,
	/// Always absent.
	pub system_fingerprint: Option<String>,
}

/// A completion of a text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TextChoice {
	/// The prompt's index.
	pub index: u32,
	/// The text.
	pub text: String,
	/// Always absent.
	#[schema(value_type = Option<Object>)]
	pub logprobs: Option<()>,
	/// `stop` or `length`; absent before the last chunk of a stream.
	pub finish_reason: Option<&'static str>,
}

/// The response of `/v1/models`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelList {
	/// `list`.
	pub object: &'static str,
	/// The models.
	pub data: Vec<Model>,
}

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Model {
	/// Its name.
	pub id: String,
	/// `model`.
	pub object: &'static str,
	/// Always 0: the chain does not record it.
	pub created: u64,
	/// `gonka`.
	pub owned_by: &'static str,
	/// Maximum number of tokens of prompt and completion together.
	pub context_length: u32,
	/// The price.
	pub pricing: Pricing,
	/// Number of hosts that serve the model.
	pub hosts: usize,
	/// Whether this gateway can dispatch a request to one of them now.
	pub is_ready: bool,
}

/// Prices in GNK per token, as decimals.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pricing {
	/// Price of a prompt token.
	pub prompt: String,
	/// Price of a completion token.
	pub completion: String,
}
