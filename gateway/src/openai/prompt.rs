//! Prompts: from the forms that OpenAI's API allows to the [`Input`] that workers read.

use super::{errors::ApiError, types::ChatMessage};
use gonka_client::worker_api::{Input, Message};
use serde_json::Value;

/// Maximum number of prompts in one request to `/v1/completions`.
pub const MAX_PROMPTS: usize = 64;
/// Maximum number of tokens that a chat template adds around all messages.
const TEMPLATE_TOKENS: usize = 128;
/// Maximum number of tokens that a chat template adds around one message.
const MESSAGE_TOKENS: usize = 16;

/// Converts messages: `developer` becomes `system`, and the parts of a content are joined.
pub fn chat(messages: Vec<ChatMessage>) -> Result<Input, ApiError> {
	if messages.is_empty() {
		return Err(ApiError::invalid_value("messages", "'messages' must not be empty."));
	}
	let messages = messages.into_iter().enumerate().map(|(index, message)| {
		let role = match message.role.as_str() {
			"developer" | "system" => "system",
			"user" => "user",
			"assistant" => "assistant",
			"tool" | "function" => "tool",
			other => {
				let param = format!("messages[{index}].role");
				return Err(ApiError::invalid_value(&param, format!("'{other}' is not a role.")));
			},
		};
		Ok(Message { role: role.to_owned(), content: flatten(message.content, index)? })
	});
	messages.collect::<Result<_, _>>().map(Input::Chat)
}

fn flatten(content: Option<Value>, index: usize) -> Result<String, ApiError> {
	let param = format!("messages[{index}].content");
	let parts = match content {
		None | Some(Value::Null) => return Ok(String::new()),
		Some(Value::String(text)) => return Ok(text),
		Some(Value::Array(parts)) => parts,
		Some(_) => {
			return Err(ApiError::invalid_value(&param, format!("'{param}' must be a string or a list of parts.")));
		},
	};
	let mut text = String::new();
	for part in parts {
		let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
		let piece = match kind {
			"text" | "input_text" | "output_text" => part.get("text"),
			"refusal" => part.get("refusal"),
			_ => {
				let message = format!("The hosts of this network do not support parts of type '{kind}'.");
				return Err(ApiError::invalid_value(&param, message));
			},
		};
		let missing = || ApiError::invalid_value(&param, format!("A part of type '{kind}' must have a text."));
		text.push_str(piece.and_then(Value::as_str).ok_or_else(missing)?);
	}
	Ok(text)
}

/// Converts the prompts of a request to `/v1/completions`: a text, texts, token ids, or lists of token ids.
pub fn texts(prompt: Option<Value>) -> Result<Vec<Input>, ApiError> {
	let wrong = || {
		let message = "'prompt' must be a string, a list of strings, a list of token ids, or a list of such lists.";
		ApiError::invalid_value("prompt", message)
	};
	let list = match prompt {
		Some(Value::String(text)) => return Ok(vec![Input::Text(text)]),
		Some(Value::Array(list)) if !list.is_empty() => list,
		_ => return Err(wrong()),
	};
	if list.iter().all(Value::is_number) {
		return tokens(&list).map(|tokens| vec![Input::Tokens(tokens)]).ok_or_else(wrong);
	}
	if list.len() > MAX_PROMPTS {
		let message = format!("A request can have at most {MAX_PROMPTS} prompts.");
		return Err(ApiError::invalid_value("prompt", message));
	}
	let prompts = list.into_iter().map(|item| match item {
		Value::String(text) => Some(Input::Text(text)),
		Value::Array(list) if !list.is_empty() => tokens(&list).map(Input::Tokens),
		_ => None,
	});
	prompts.collect::<Option<_>>().ok_or_else(wrong)
}

fn tokens(list: &[Value]) -> Option<Vec<u32>> {
	list.iter().map(|item| item.as_u64().and_then(|id| u32::try_from(id).ok())).collect()
}

/// Maximum number of tokens that a prompt can have. Each token of a text has one byte or more.
pub fn max_tokens(input: &Input) -> u32 {
	let bound = match input {
		Input::Chat(messages) => messages.iter().fold(TEMPLATE_TOKENS, |sum, message| {
			let bytes = message.role.len().saturating_add(message.content.len());
			sum.saturating_add(bytes).saturating_add(MESSAGE_TOKENS)
		}),
		Input::Text(text) => text.len().saturating_add(MESSAGE_TOKENS),
		Input::Tokens(tokens) => tokens.len().saturating_add(MESSAGE_TOKENS),
	};
	u32::try_from(bound).unwrap_or(u32::MAX)
}

/// Minimum number of tokens that a prompt has.
pub fn min_tokens(input: &Input) -> u32 {
	match input {
		Input::Tokens(tokens) => u32::try_from(tokens.len()).unwrap_or(u32::MAX),
		Input::Chat(_) | Input::Text(_) => 0,
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	#[test]
	fn a_prompt_may_be_a_text_texts_token_ids_or_lists_of_token_ids() {
		let text = |text: &str| Input::Text(text.to_owned());
		assert_eq!(texts(Some(json!("a"))).unwrap(), [text("a")]);
		assert_eq!(texts(Some(json!(["a", "b"]))).unwrap(), [text("a"), text("b")]);
		assert_eq!(texts(Some(json!([1, 2]))).unwrap(), [Input::Tokens(vec![1, 2])]);
		assert_eq!(texts(Some(json!([[1], [2]]))).unwrap(), [Input::Tokens(vec![1]), Input::Tokens(vec![2])]);
		for bad in [json!(null), json!([]), json!([[]]), json!([-1]), json!([1.5]), json!({}), json!([true])] {
			assert!(texts(Some(bad)).is_err());
		}
		assert!(texts(None).is_err());
		assert!(texts(Some(json!(vec!["a"; MAX_PROMPTS + 1]))).is_err());
	}

	#[test]
	fn text_parts_of_a_message_are_joined_and_other_parts_are_rejected() {
		let messages: Vec<ChatMessage> = serde_json::from_value(json!([
			{"role": "developer", "content": "be brief", "name": "x"},
			{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
			{"role": "assistant", "content": null},
		]))
		.unwrap();
		let Input::Chat(messages) = chat(messages).unwrap() else { panic!("messages become a chat") };
		let read: Vec<_> = messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
		assert_eq!(read, [("system", "be brief"), ("user", "ab"), ("assistant", "")]);
		let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
		assert!(chat(serde_json::from_value(image).unwrap()).is_err());
		assert!(chat(vec![]).is_err());
	}
}
