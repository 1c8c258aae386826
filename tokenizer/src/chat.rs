//! Conversations.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A message of a conversation, in the shape of the OpenAI API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
	/// `system`, `user`, `assistant`, or another role that the model's template knows.
	pub role: String,
	/// The text.
	pub content: String,
	/// Further fields that a template may read, such as `name` or `tool_calls`.
	#[serde(flatten)]
	pub extra: Map<String, Value>,
}

impl ChatMessage {
	/// Makes a message without further fields.
	pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
		Self { role: role.into(), content: content.into(), extra: Map::new() }
	}
}

/// Options for rendering a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatOptions {
	/// Whether to end with the beginning of the assistant's message.
	pub add_generation_prompt: bool,
	/// Further variables for the template, such as `tools`.
	pub variables: Map<String, Value>,
}

impl Default for ChatOptions {
	/// Adds the beginning of the assistant's message, and no further variables.
	fn default() -> Self {
		Self { add_generation_prompt: true, variables: Map::new() }
	}
}
