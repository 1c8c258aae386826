//! The bodies of requests and answers. Unknown fields are ignored: clients send many.

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
	/// Most tokens of the answer; `max_tokens` is its older name.
	#[serde(default)]
	pub max_completion_tokens: Option<i64>,
	/// What both endpoints share.
	#[serde(flatten)]
	pub common: Common,
	/// Functions the model may call: not supported.
	#[serde(default)]
	#[schema(value_type = Option<Object>)]
	pub tools: Option<Value>,
	/// Which function must be called: only `none` and `auto`.
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
	/// Most likely tokens to report: only 0.
	#[serde(default)]
	#[schema(value_type = Option<i64>)]
	pub top_logprobs: Option<Value>,
}

/// One message.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
	/// `system`, `developer`, `user`, `assistant` or `tool`.
	pub role: String,
	/// Text, or a list of `{"type": "text", "text": …}`.
	#[serde(default)]
	#[schema(value_type = Option<String>)]
	pub content: Option<Value>,
	/// Calls the assistant made: not supported.
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
	/// What both endpoints share.
	#[serde(flatten)]
	pub common: Common,
	/// Repeat the prompt: only `false`.
	#[serde(default)]
	pub echo: Option<bool>,
	/// Only 1 or absent.
	#[serde(default)]
	pub best_of: Option<i64>,
	/// Text after the completion: not supported.
	#[serde(default)]
	pub suffix: Option<String>,
}

/// What both endpoints share.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct Common {
	/// Most tokens of the answer; 0 counts as absent.
	#[serde(default)]
	pub max_tokens: Option<i64>,
	/// 0 to 2; 0 takes the likeliest token every time.
	#[serde(default, deserialize_with = "number")]
	pub temperature: Option<f32>,
	/// Above 0 and up to 1.
	#[serde(default, deserialize_with = "number")]
	pub top_p: Option<f32>,
	/// Most likely tokens kept; 0 or −1 for all.
	#[serde(default)]
	pub top_k: Option<i64>,
	/// One or up to four strings that end the answer.
	#[serde(default)]
	#[schema(value_type = Option<String>)]
	pub stop: Option<Value>,
	/// Part of what the answer is drawn by; the host and the request's number are others, so that it brings no answer back.
	#[serde(default)]
	pub seed: Option<i64>,
	/// Only 1.
	#[serde(default)]
	pub n: Option<i64>,
	/// Answer as server-sent events.
	#[serde(default)]
	pub stream: Option<bool>,
	/// More about the stream.
	#[serde(default)]
	pub stream_options: Option<StreamOptions>,
	/// Go on past the end-of-text token.
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

/// A number with decimals. What is flattened is buffered first, and where a crate of the same build has `serde_json` keep
/// numbers as they are written, only its own type reads them from there.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
	let number = Option::<Number>::deserialize(deserializer)?;
	Ok(number.and_then(|number| number.as_f64()).map(|number| number as f32))
}

/// More about a stream.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub struct StreamOptions {
	/// Send the usage in a last chunk.
	#[serde(default)]
	pub include_usage: Option<bool>,
}

/// Tokens read and made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Usage {
	/// Tokens read.
	pub prompt_tokens: u32,
	/// Tokens made.
	pub completion_tokens: u32,
	/// Their sum.
	pub total_tokens: u32,
}

/// A whole chat answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatCompletion {
	/// `chatcmpl-…`.
	pub id: String,
	/// `chat.completion`.
	pub object: &'static str,
	/// Unix time in seconds.
	pub created: u64,
	/// The model, as it was asked for.
	pub model: String,
	/// One.
	pub choices: Vec<ChatChoice>,
	/// Tokens read and made.
	pub usage: Usage,
	/// Always absent.
	pub system_fingerprint: Option<String>,
}

/// A choice of a chat answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChoice {
	/// 0.
	pub index: u32,
	/// The answer.
	pub message: AssistantMessage,
	/// Always absent.
	#[schema(value_type = Option<Object>)]
	pub logprobs: Option<()>,
	/// `stop` or `length`.
	pub finish_reason: &'static str,
}

/// The answer's text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssistantMessage {
	/// `assistant`.
	pub role: &'static str,
	/// The text.
	pub content: String,
	/// Always absent.
	pub refusal: Option<String>,
}

/// A whole text answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Completion {
	/// `cmpl-…`.
	pub id: String,
	/// `text_completion`.
	pub object: &'static str,
	/// Unix time in seconds.
	pub created: u64,
	/// The model, as it was asked for.
	pub model: String,
	/// One per prompt.
	pub choices: Vec<TextChoice>,
	/// Tokens read and made, over all prompts.
	pub usage: Usage,
	/// Always absent.
	pub system_fingerprint: Option<String>,
}

/// A choice of a text answer.
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

/// What models there are.
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
	/// Always 0: the network does not say.
	pub created: u64,
	/// `gonka`.
	pub owned_by: &'static str,
	/// Tokens of prompt and answer together.
	pub context_length: u32,
	/// Price per token.
	pub pricing: Pricing,
	/// Hosts that serve it.
	pub hosts: usize,
	/// Whether this gateway can ask one of them now.
	pub is_ready: bool,
}

/// Price in GNK per token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pricing {
	/// Of a token read.
	pub prompt: String,
	/// Of a token made.
	pub completion: String,
}
