//! Bodies of requests, as the documentation of the API shows them, and of responses.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Body of `POST /v1/chat/completions`. Unknown fields are ignored, because clients send many.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// The conversation so far.
	#[schema(value_type = Vec<ChatMessage>)]
	pub messages: Vec<Value>,
	/// Maximum number of completion tokens; `max_tokens` is its older name.
	pub max_completion_tokens: Option<u32>,
	/// Functions that the model may call: up to 128.
	#[schema(value_type = Option<Vec<Object>>)]
	pub tools: Option<Value>,
	/// `none`, `auto`, `required`, or the function that the model must call.
	#[schema(value_type = Option<Object>)]
	pub tool_choice: Option<Value>,
	/// Whether the model may make several calls. `true` by default.
	pub parallel_tool_calls: Option<bool>,
	/// Whether to report log probabilities. They are the host's word: no audit checks them.
	pub logprobs: Option<bool>,
	/// Number of likeliest tokens to report, 0 to 20.
	pub top_logprobs: Option<u8>,
	/// How much a model that reasons does so: `none`, `low`, `medium`, `high`, or what its template knows.
	pub reasoning_effort: Option<String>,
	/// Variables for the model's template.
	#[schema(value_type = Option<Object>)]
	pub chat_template_kwargs: Option<Value>,
	/// Parameters that both endpoints share.
	#[serde(flatten)]
	pub common: Common,
}

/// A message of a chat.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
	/// `system`, `developer`, `user`, `assistant` or `tool`.
	pub role: String,
	/// A text, or a list of `{"type": "text", "text": …}`.
	#[schema(value_type = Option<String>)]
	pub content: Option<Value>,
	/// Calls that the assistant made.
	#[schema(value_type = Option<Vec<Object>>)]
	pub tool_calls: Option<Value>,
	/// The call to which a message of the role `tool` has the result.
	pub tool_call_id: Option<String>,
}

/// Body of `POST /v1/completions`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CompletionRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// A text, several texts, token ids, or several lists of token ids.
	#[schema(value_type = String)]
	pub prompt: Option<Value>,
	/// Whether to repeat the prompt in front of the completion.
	pub echo: Option<bool>,
	/// Number of likeliest tokens to report, 0 to 20. They are the host's word: no audit checks them.
	pub logprobs: Option<u8>,
	/// Number of completions of each prompt, of which the `n` with the likeliest tokens are returned. All of them are paid for.
	pub best_of: Option<u8>,
	/// A text that comes after the completion, for models that were trained to fill gaps.
	pub suffix: Option<String>,
	/// Parameters that both endpoints share.
	#[serde(flatten)]
	pub common: Common,
}

/// Parameters that both endpoints share.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Common {
	/// Maximum number of completion tokens, 1 or more.
	pub max_tokens: Option<u32>,
	/// Temperature, 0 to 2; 0 always takes the likeliest token.
	pub temperature: Option<f32>,
	/// Probability mass of nucleus sampling, 0 to 1.
	pub top_p: Option<f32>,
	/// Number of likeliest tokens that are kept; 0 or −1 keeps all.
	pub top_k: Option<i64>,
	/// Probability relative to the likeliest token that a token must have, 0 to 1.
	pub min_p: Option<f32>,
	/// One string, or up to 16, that end the completion.
	#[schema(value_type = Option<String>)]
	pub stop: Option<Value>,
	/// Token ids that end the completion, up to 64.
	pub stop_token_ids: Option<Vec<u32>>,
	/// Minimum number of tokens before a token id may end the completion.
	pub min_tokens: Option<u32>,
	/// Seed of the sampling. The host and the request's sequence number also enter, so the same seed does not repeat a
	/// completion.
	pub seed: Option<i64>,
	/// Number of completions of each prompt. Up to 64 completions, all prompts together.
	pub n: Option<u8>,
	/// Whether to stream the response as server-sent events.
	pub stream: Option<bool>,
	/// Options of the stream.
	pub stream_options: Option<StreamOptions>,
	/// Whether to continue past the model's end-of-text token.
	pub ignore_eos: Option<bool>,
	/// Nats subtracted from the logits of tokens that the completion has, −2 to 2.
	pub presence_penalty: Option<f32>,
	/// Nats subtracted from a token's logit for each time that the completion has it, −2 to 2.
	pub frequency_penalty: Option<f32>,
	/// Divides the positive logits of tokens in prompt and completion, and multiplies negative ones; 1 for none.
	pub repetition_penalty: Option<f32>,
	/// Nats added to the logits of tokens, −100 to 100 by id.
	#[schema(value_type = Option<Object>)]
	pub logit_bias: Option<Value>,
	/// The form of the content: `{"type": "text"}`, `json_object` or `json_schema`.
	#[schema(value_type = Option<Object>)]
	pub response_format: Option<Value>,
	/// The form of the content as vLLM names it: `json`, `regex`, `choice` or `grammar`.
	#[schema(value_type = Option<Object>)]
	pub structured_outputs: Option<Value>,
}

/// Options of a stream.
#[derive(Debug, Deserialize, ToSchema)]
pub struct StreamOptions {
	/// Whether to send the usage in a last chunk.
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
	/// Details of the prompts' tokens.
	pub prompt_tokens_details: PromptDetails,
	/// Details of the completions' tokens.
	pub completion_tokens_details: CompletionDetails,
}

/// Details of the prompts' tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PromptDetails {
	/// Always 0: hosts do not charge less for what they had read before.
	pub cached_tokens: u32,
}

/// Details of the completions' tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CompletionDetails {
	/// Tokens of the reasoning.
	pub reasoning_tokens: u32,
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
	/// One choice for each completion.
	pub choices: Vec<ChatChoice>,
	/// Numbers of tokens.
	pub usage: Usage,
	/// `fp_` and the beginning of the hash of the model's weights.
	pub system_fingerprint: String,
}

/// A completion of a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatChoice {
	/// Its position.
	pub index: u32,
	/// The completion.
	pub message: AssistantMessage,
	/// Log probabilities, if the request asks for them.
	pub logprobs: Option<ChatLogprobs>,
	/// `stop`, `length`, `tool_calls`, or `function_call` for the older form.
	pub finish_reason: &'static str,
}

/// The message of a completion.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssistantMessage {
	/// `assistant`.
	pub role: &'static str,
	/// The text; absent if there are only calls.
	pub content: Option<String>,
	/// Always absent.
	pub refusal: Option<String>,
	/// The text of the reasoning, of a model that does so.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub reasoning_content: Option<String>,
	/// Calls of functions.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub tool_calls: Option<Vec<ToolCall>>,
	/// A call in the older form.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub function_call: Option<FunctionCall>,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ToolCall {
	/// `call_…`.
	pub id: String,
	/// `function`.
	pub r#type: &'static str,
	/// The function.
	pub function: FunctionCall,
}

/// The name and the arguments of a call.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FunctionCall {
	/// The function's name.
	pub name: String,
	/// The arguments, as the text of a JSON object.
	pub arguments: String,
}

/// A call in a stream, or a piece of its arguments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallDelta {
	/// The call's position.
	pub index: u32,
	/// `call_…`, in the first piece.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub id: Option<String>,
	/// `function`, in the first piece.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub r#type: Option<&'static str>,
	/// The function.
	pub function: FunctionDelta,
}

/// The name of a call, or a piece of its arguments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionDelta {
	/// The function's name, in the first piece.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub name: Option<String>,
	/// A piece of the arguments.
	pub arguments: String,
}

/// Log probabilities of a chat's completion.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChatLogprobs {
	/// One entry for each token.
	pub content: Vec<ChatLogprob>,
	/// Always absent.
	#[schema(value_type = Option<Object>)]
	pub refusal: Option<()>,
}

/// The log probability of a token, by the model alone: before temperature, filters, penalties and grammar.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChatLogprob {
	/// The token's text.
	pub token: String,
	/// Its log probability.
	pub logprob: f32,
	/// The token's bytes.
	pub bytes: Vec<u8>,
	/// The likeliest tokens in its place.
	pub top_logprobs: Vec<TopLogprob>,
}

/// One of the likeliest tokens.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TopLogprob {
	/// The token's text.
	pub token: String,
	/// Its log probability.
	pub logprob: f32,
	/// The token's bytes.
	pub bytes: Vec<u8>,
}

/// Log probabilities of a text's completion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TextLogprobs {
	/// The tokens' texts.
	pub tokens: Vec<String>,
	/// Their log probabilities.
	pub token_logprobs: Vec<f32>,
	/// The likeliest tokens in the place of each, by text.
	#[schema(value_type = Vec<Object>)]
	pub top_logprobs: Vec<serde_json::Map<String, Value>>,
	/// The position of each token in the text, in characters.
	pub text_offset: Vec<usize>,
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
	/// One choice for each completion: those of the first prompt come first.
	pub choices: Vec<TextChoice>,
	/// Numbers of tokens, summed over all prompts.
	pub usage: Usage,
	/// `fp_` and the beginning of the hash of the model's weights.
	pub system_fingerprint: String,
}

/// A completion of a text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TextChoice {
	/// Its position.
	pub index: u32,
	/// The text.
	pub text: String,
	/// Log probabilities, if the request asks for them.
	pub logprobs: Option<TextLogprobs>,
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
	/// Its name for people.
	pub name: String,
	/// Maximum number of tokens of prompt and completion together.
	pub context_length: u32,
	/// Maximum number of completion tokens; 0 for a model that makes embeddings.
	pub max_output_length: u32,
	/// `text`.
	pub input_modalities: [&'static str; 1],
	/// `text`, or `embeddings`.
	pub output_modalities: [&'static str; 1],
	/// The parameters that choose tokens.
	pub supported_sampling_parameters: &'static [&'static str],
	/// `tools`, `json_mode`, `structured_outputs`, `logprobs`, and `reasoning` of a model that does so; or `embeddings` alone.
	pub supported_features: Vec<&'static str>,
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
