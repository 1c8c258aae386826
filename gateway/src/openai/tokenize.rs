//! `/tokenize` and `/detokenize`, as vLLM has them: a model's tokenizer for clients that count or cut prompts.

use super::{
	errors::ApiError,
	fields::Fields,
	prompt::Reader,
	request::{Chat, Target},
	sampling::unknown_id,
};
use crate::gateway::Gateway;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Body of `POST /tokenize`: a text, or a conversation as for `/v1/chat/completions`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenizeRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// A text.
	pub prompt: Option<String>,
	/// A conversation.
	#[schema(value_type = Option<Vec<Object>>)]
	pub messages: Option<Value>,
	/// Whether a conversation ends with the beginning of the assistant's message. `true` by default.
	pub add_generation_prompt: Option<bool>,
	/// Whether the response has the text of each token, as `token_strs`. Bytes that are no UTF-8 by themselves become U+FFFD.
	pub return_token_strs: Option<bool>,
}

/// Body of `POST /detokenize`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DetokenizeRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// Token ids.
	pub tokens: Vec<u32>,
}

/// Returns the token ids of a prompt, and their texts if the request wants them. This blocks.
///
/// # Errors
/// 400 with the name of the field that is wrong, 404 or 503 when the model is unknown or not served.
pub fn tokenize(gateway: &Gateway, fields: &Fields) -> Result<Value, ApiError> {
	let target = Target::new(gateway, &fields.required_text("model")?)?;
	let context = target.context;
	let has_texts = fields.flag("return_token_strs")?.unwrap_or(false);
	let add_generation_prompt = fields.flag("add_generation_prompt")?.unwrap_or(true);
	let tokens = match fields.text("prompt")? {
		Some(_) if fields.has("messages") => {
			let message = "A request can have 'prompt' or 'messages', and not both.";
			return Err(ApiError::invalid_value("messages", message));
		},
		None if !fields.has("messages") => {
			return Err(ApiError::invalid_value("prompt", "'prompt' or 'messages' is missing."));
		},
		Some(text) => {
			let reader = Reader { tokenizer: &target.tokenizer, context, field: "prompt", most: 1 };
			reader.check_length(text.len())?;
			target.tokenizer.encode(&text)
		},
		None => {
			let chat = Chat { add_generation_prompt, ..Chat::read(fields)?.without_completion() };
			chat.prepare(gateway)?.prompts.pop().map(|prompt| prompt.body.prompt).unwrap_or_default()
		},
	};
	let mut body = json!({"count": tokens.len(), "max_model_len": context, "tokens": tokens});
	if has_texts {
		body["token_strs"] = tokens.iter().map(|id| target.tokenizer.decode_with_special(&[*id])).collect();
	}
	Ok(body)
}

/// Returns the text of token ids, with the names of special tokens. This blocks.
///
/// # Errors
/// As [`tokenize`].
pub fn detokenize(gateway: &Gateway, fields: &Fields) -> Result<Value, ApiError> {
	let target = Target::new(gateway, &fields.required_text("model")?)?;
	let Value::Array(tokens) = fields.required("tokens")? else {
		return Err(fields.wrong("tokens", "a list of token ids"));
	};
	let context = target.context;
	if tokens.len() > context as usize {
		let message = format!("{} tokens exceed the model's context of {context}.", tokens.len());
		return Err(ApiError::context_length(message).about("tokens"));
	}
	let size = target.tokenizer.vocab_size();
	let token = |item: &Value| {
		let id = item.as_u64().ok_or_else(|| fields.wrong("tokens", "a list of token ids"))?;
		u32::try_from(id).ok().filter(|id| (*id as usize) < size).ok_or_else(|| unknown_id("tokens", id, size))
	};
	let tokens = tokens.iter().map(token).collect::<Result<Vec<_>, _>>()?;
	Ok(json!({"prompt": target.tokenizer.decode_with_special(&tokens)}))
}
