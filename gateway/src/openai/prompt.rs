//! Prompts: from the forms that OpenAI's API allows to token ids.

use super::{errors::ApiError, sampling::unknown_id};
use gonka_tokenizer::{ChatOptions, Tokenizer};
use serde_json::Value;

/// Maximum number of prompts in one request to `/v1/completions`.
pub const MAX_PROMPTS: usize = 64;

/// Reads prompts for one model.
pub struct Reader<'a> {
	/// The model's tokenizer.
	pub tokenizer: &'a Tokenizer,
	/// Maximum number of tokens of prompt and completion together.
	pub context: u32,
	/// Name of the field with the prompts.
	pub field: &'static str,
	/// Maximum number of prompts.
	pub most: usize,
}

impl Reader<'_> {
	/// Returns the tokens of a conversation, whose messages are objects for the model's template.
	///
	/// # Errors
	/// 400 when it is longer than the context, or the template rejects it.
	pub fn chat(&self, messages: Vec<Value>, options: &ChatOptions) -> Result<Vec<u32>, ApiError> {
		self.check_length(messages.iter().map(length).sum()).map_err(|error| error.about("messages"))?;
		let prompt = self.tokenizer.encode_conversation(messages.into(), options);
		prompt.map_err(|error| ApiError::invalid_value("messages", format!("The model does not take them: {error}.")))
	}

	/// Returns the tokens of the prompts of a request: a text, texts, token ids, or lists of token ids.
	///
	/// # Errors
	/// 400 when it is something else, empty, or longer than the context.
	pub fn texts(&self, prompt: Option<Value>) -> Result<Vec<Vec<u32>>, ApiError> {
		let list = match prompt {
			Some(Value::String(text)) => return Ok(vec![self.text(&text)?]),
			Some(Value::Array(list)) if !list.is_empty() => list,
			_ => return Err(self.wrong()),
		};
		if list.iter().all(Value::is_number) {
			return Ok(vec![self.tokens(&list)?]);
		}
		if list.len() > self.most {
			let message = format!("A request can have at most {} prompts.", self.most);
			return Err(ApiError::invalid_value(self.field, message));
		}
		let prompts = list.into_iter().map(|item| match item {
			Value::String(text) => self.text(&text),
			Value::Array(list) => self.tokens(&list),
			_ => Err(self.wrong()),
		});
		prompts.collect()
	}

	fn text(&self, text: &str) -> Result<Vec<u32>, ApiError> {
		self.check_length(text.len())?;
		let tokens = self.tokenizer.encode(text);
		// An embedding has tokens around the text.
		if tokens.is_empty() || text.is_empty() && self.tokenizer.pooling().is_some() {
			Err(ApiError::invalid_value(self.field, format!("'{}' must not be empty.", self.field)))
		} else {
			Ok(tokens)
		}
	}

	fn tokens(&self, list: &[Value]) -> Result<Vec<u32>, ApiError> {
		let size = self.tokenizer.vocab_size();
		let token = |item: &Value| {
			let id = item.as_u64().ok_or_else(|| self.wrong())?;
			u32::try_from(id).ok().filter(|id| (*id as usize) < size).ok_or_else(|| unknown_id(self.field, id, size))
		};
		if list.is_empty() {
			return Err(self.wrong());
		}
		list.iter().map(token).collect()
	}

	fn wrong(&self) -> ApiError {
		let field = self.field;
		let message =
			format!("'{field}' must be a string, a list of strings, a list of token ids, or a list of such lists.");
		ApiError::invalid_value(field, message)
	}

	/// Rejects a text that is too long for the context even if all its tokens were the longest, before it is split into tokens.
	///
	/// # Errors
	/// 400 for the field with the prompts, with both lengths.
	pub fn check_length(&self, bytes: usize) -> Result<(), ApiError> {
		let least = bytes / self.tokenizer.longest().max(1);
		if least <= self.context as usize {
			return Ok(());
		}
		let error = ApiError::context_length(format!(
			"This model's maximum context length is {} tokens. However, the prompt's {bytes} bytes are {least} tokens at least: \
			 shorten the prompt.",
			self.context
		));
		Err(error.about(self.field))
	}
}

/// Number of bytes of all texts in a value.
fn length(value: &Value) -> usize {
	match value {
		Value::String(text) => text.len(),
		Value::Array(list) => list.iter().map(length).sum(),
		Value::Object(map) => map.values().map(length).sum(),
		_ => 0,
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_tokenizer::{mock_tokenizer, open_tokenizer};
	use serde_json::json;

	fn with_reader(test: impl FnOnce(Reader<'_>)) {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("tokenizer.gguf");
		std::fs::write(&path, mock_tokenizer(&["word"])).unwrap();
		let tokenizer = &open_tokenizer(&path).unwrap();
		test(Reader { tokenizer, context: 100, field: "prompt", most: MAX_PROMPTS });
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
			assert_eq!(long.param.as_deref(), Some("prompt"));
		});
	}

	#[test]
	fn a_conversation_becomes_the_tokens_of_the_models_template() {
		with_reader(|reader| {
			let chat = |messages: Value| reader.chat(messages.as_array().unwrap().clone(), &ChatOptions::default());
			let tokens = chat(json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "ab"}]));
			assert_eq!(reader.tokenizer.decode(&tokens.unwrap()), "system: be brief\nuser: ab\nassistant:");
			let long = chat(json!([{"role": "user", "content": "a".repeat(2000)}])).unwrap_err().body().error;
			assert_eq!(long.code.as_deref(), Some("context_length_exceeded"));
			assert_eq!(long.param.as_deref(), Some("messages"));
		});
	}
}
