//! Prompts: from the forms that OpenAI's API allows to token ids.

use super::{errors::ApiError, types::ChatMessage};
use gonka_tokenizer::{ChatOptions, Tokenizer};
use serde_json::{Value, json};

/// Maximum number of prompts in one request to `/v1/completions`.
pub const MAX_PROMPTS: usize = 64;

/// Reads prompts for one model.
pub struct Reader<'a> {
	/// The model's tokenizer.
	pub tokenizer: &'a Tokenizer,
	/// Maximum number of tokens of prompt and completion together.
	pub context: u32,
}

impl Reader<'_> {
	/// Returns the tokens of a conversation. `developer` becomes `system`, and the parts of a content are joined.
	pub fn chat(&self, messages: Vec<ChatMessage>) -> Result<Vec<u32>, ApiError> {
		let messages = conversation(messages)?;
		let length = |message: &Value| message["content"].as_str().map_or(0, str::len);
		self.check_length(messages.iter().map(length).sum())?;
		let prompt = self.tokenizer.encode_conversation(messages.into(), &ChatOptions::default());
		prompt.map_err(|error| ApiError::invalid_value("messages", format!("The model does not take them: {error}.")))
	}

	/// Returns the tokens of the prompts of a request to `/v1/completions`: a text, texts, token ids, or lists of token ids.
	pub fn texts(&self, prompt: Option<Value>) -> Result<Vec<Vec<u32>>, ApiError> {
		let list = match prompt {
			Some(Value::String(text)) => return Ok(vec![self.text(&text)?]),
			Some(Value::Array(list)) if !list.is_empty() => list,
			_ => return Err(wrong_prompt()),
		};
		if list.iter().all(Value::is_number) {
			return Ok(vec![self.tokens(&list)?]);
		}
		if list.len() > MAX_PROMPTS {
			let message = format!("A request can have at most {MAX_PROMPTS} prompts.");
			return Err(ApiError::invalid_value("prompt", message));
		}
		let prompts = list.into_iter().map(|item| match item {
			Value::String(text) => self.text(&text),
			Value::Array(list) => self.tokens(&list),
			_ => Err(wrong_prompt()),
		});
		prompts.collect()
	}

	fn text(&self, text: &str) -> Result<Vec<u32>, ApiError> {
		self.check_length(text.len())?;
		let tokens = self.tokenizer.encode(text);
		if tokens.is_empty() {
			Err(ApiError::invalid_value("prompt", "'prompt' must not be empty."))
		} else {
			Ok(tokens)
		}
	}

	fn tokens(&self, list: &[Value]) -> Result<Vec<u32>, ApiError> {
		let size = self.tokenizer.vocab_size();
		let token = |item: &Value| {
			let id = item.as_u64().ok_or_else(wrong_prompt)?;
			u32::try_from(id).ok().filter(|id| (*id as usize) < size).ok_or_else(|| {
				let message =
					format!("Token id {id} does not exist: the model has the ids 0 to {}.", size.saturating_sub(1));
				ApiError::invalid_value("prompt", message)
			})
		};
		if list.is_empty() {
			return Err(wrong_prompt());
		}
		list.iter().map(token).collect()
	}

	/// Refuses a text that is too long for the context even if all its tokens were the longest, before it is split into tokens.
	fn check_length(&self, bytes: usize) -> Result<(), ApiError> {
		let least = bytes / self.tokenizer.longest().max(1);
		if least <= self.context as usize {
			return Ok(());
		}
		Err(ApiError::context_length(format!(
			"The model has a context of {} tokens, but the prompt's {bytes} bytes are {least} tokens at least: shorten the prompt.",
			self.context
		)))
	}
}

fn wrong_prompt() -> ApiError {
	let message = "'prompt' must be a string, a list of strings, a list of token ids, or a list of such lists.";
	ApiError::invalid_value("prompt", message)
}

fn conversation(messages: Vec<ChatMessage>) -> Result<Vec<Value>, ApiError> {
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
		Ok(json!({"role": role, "content": flatten(message.content, index)?}))
	});
	messages.collect()
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

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_tokenizer::{mock_tokenizer, open_tokenizer};

	fn with_reader(test: impl FnOnce(Reader<'_>)) {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("tokenizer.gguf");
		std::fs::write(&path, mock_tokenizer(&["word"])).unwrap();
		test(Reader { tokenizer: &open_tokenizer(&path).unwrap(), context: 100 });
	}

	#[test]
	fn a_prompt_may_be_a_text_texts_token_ids_or_lists_of_token_ids() {
		with_reader(|reader| {
			let texts = |prompt| reader.texts(Some(prompt));
			assert_eq!(texts(json!("a")).unwrap(), [[97]]);
			assert_eq!(texts(json!(["a", "bc"])).unwrap(), [vec![97], vec![98, 99]]);
			assert_eq!(texts(json!([1, 2])).unwrap(), [[1, 2]]);
			assert_eq!(texts(json!([[1], [2, 257]])).unwrap(), [vec![1], vec![2, 257]]);
			for bad in
				[json!(null), json!([]), json!([[]]), json!([-1]), json!([1.5]), json!({}), json!([true]), json!("")]
			{
				assert!(texts(bad).is_err());
			}
			assert!(reader.texts(None).is_err());
			assert!(texts(json!(vec!["a"; MAX_PROMPTS + 1])).is_err());
			let unknown = texts(json!([258])).unwrap_err().body().error;
			assert_eq!(unknown.param.as_deref(), Some("prompt"));
			assert!(unknown.message.contains("258") && unknown.message.contains("257"), "{}", unknown.message);
			let long = texts(json!("a".repeat(10 * 101))).unwrap_err().body().error;
			assert_eq!(long.code.as_deref(), Some("context_length_exceeded"));
		});
	}

	#[test]
	fn text_parts_of_a_message_are_joined_and_other_parts_are_rejected() {
		with_reader(|reader| {
			let chat = |messages| reader.chat(serde_json::from_value(messages).unwrap());
			let tokens = chat(json!([
				{"role": "developer", "content": "be brief", "name": "x"},
				{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
				{"role": "assistant", "content": null},
			]));
			let text = "system: be brief\nuser: ab\nassistant: \nassistant:";
			assert_eq!(reader.tokenizer.decode(&tokens.unwrap()), text);
			let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
			assert!(chat(image).is_err());
			assert!(chat(json!([])).is_err());
			let long = chat(json!([{"role": "user", "content": "a".repeat(2000)}])).unwrap_err().body().error;
			assert_eq!(long.code.as_deref(), Some("context_length_exceeded"));
		});
	}
}
