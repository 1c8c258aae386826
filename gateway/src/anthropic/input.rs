//! The input of a message: from Anthropic's blocks to the messages of a chat.

use crate::openai::{errors::ApiError, fields::Fields};
use gonka_client::worker_api::{MAX_STOP_BYTES, MAX_STOPS};
use serde_json::{Map, Value, json};

/// Returns the tools in the form of chat completions.
///
/// # Errors
/// 400 when they are no list, or one of them is a tool that a server of theirs would run.
pub fn tools(tools: Value) -> Result<Value, ApiError> {
	let Value::Array(tools) = tools else {
		return Err(ApiError::invalid_value("tools", "'tools' must be a list."));
	};
	let tools = tools.into_iter().enumerate().map(|(index, tool)| {
		let kind = tool.get("type").and_then(Value::as_str).unwrap_or("custom");
		if kind != "custom" {
			let kind: String = kind.chars().take(100).collect();
			let message = format!("This gateway runs no tool of type '{kind}': declare a tool with an 'input_schema'.");
			return Err(ApiError::invalid_value(&format!("tools[{index}].type"), message));
		}
		let field = |name: &str| tool.get(name).cloned().unwrap_or_default();
		let parameters = field("input_schema");
		let (name, description, strict) = (field("name"), field("description"), field("strict"));
		let function = json!({"name": name, "description": description, "parameters": parameters, "strict": strict});
		Ok(json!({"type": "function", "function": function}))
	});
	tools.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// Returns the choice of a tool in the form of chat completions, and whether the model may make one call only.
pub fn tool_choice(choice: &Value) -> (Option<Value>, bool) {
	let is_single = choice["disable_parallel_tool_use"] == true;
	let choice = match choice["type"].as_str() {
		Some("any") => json!("required"),
		Some("tool") => json!({"type": "function", "function": {"name": choice["name"]}}),
		Some(other) => json!(other),
		None => choice.clone(),
	};
	(Some(choice), is_single)
}

/// Reads the texts that end the completion.
///
/// # Errors
/// 400 when they are no list of texts, or are too many or too long.
pub fn stops(fields: &Fields) -> Result<Vec<String>, ApiError> {
	const NAME: &str = "stop_sequences";
	let wrong = || fields.wrong(NAME, format!("a list of up to {MAX_STOPS} strings of up to {MAX_STOP_BYTES} bytes"));
	let Some(value) = fields.value(NAME)? else { return Ok(Vec::new()) };
	let texts: Vec<String> = serde_json::from_value(value).map_err(|_| wrong())?;
	let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
	let fits = texts.len() <= MAX_STOPS && texts.iter().all(|text| text.len() <= MAX_STOP_BYTES);
	if fits { Ok(texts) } else { Err(wrong()) }
}

/// Returns the messages of a chat.
///
/// # Errors
/// 400 with the path of the block that is malformed or of a kind that no host can read.
pub fn messages(fields: &Fields) -> Result<Vec<Value>, ApiError> {
	let mut messages = Vec::new();
	match fields.value("system")? {
		None => {},
		Some(Value::Array(parts)) => messages.push(json!({"role": "system", "content": texts(&parts, "system")?})),
		Some(Value::String(text)) => messages.push(json!({"role": "system", "content": text})),
		Some(_) => return Err(fields.wrong("system", "a string or a list of blocks of text")),
	}
	let Value::Array(list) = fields.required("messages")? else { return Err(fields.wrong("messages", "a list")) };
	for (index, message) in list.iter().enumerate() {
		let path = format!("messages[{index}].content");
		let role = message.get("role").cloned().unwrap_or_default();
		match message.get("content") {
			Some(Value::Array(blocks)) if role == "assistant" => messages.push(assistant(blocks, &path)?),
			Some(Value::Array(blocks)) => user(role, blocks, &path, &mut messages)?,
			content => messages.push(json!({"role": role, "content": content})),
		}
	}
	Ok(messages)
}

fn kind(block: &Value) -> &str {
	block.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn unsupported(path: &str, block: &Value) -> ApiError {
	let kind: String = kind(block).chars().take(100).collect();
	ApiError::invalid_value(path, format!("The hosts of this network do not support blocks of type '{kind}'."))
}

/// Joins blocks of text.
fn texts(blocks: &[Value], path: &str) -> Result<String, ApiError> {
	let mut all = String::new();
	for (index, block) in blocks.iter().enumerate() {
		match block.get("text").and_then(Value::as_str) {
			Some(text) if kind(block) == "text" => all.push_str(text),
			_ => return Err(unsupported(&format!("{path}[{index}]"), block)),
		}
	}
	Ok(all)
}

fn assistant(blocks: &[Value], path: &str) -> Result<Value, ApiError> {
	let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
	for (index, block) in blocks.iter().enumerate() {
		let field = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
		match kind(block) {
			"text" => text.push_str(field("text")),
			"thinking" => reasoning.push_str(field("thinking")),
			"redacted_thinking" => {},
			"tool_use" => {
				let arguments = block.get("input").cloned().unwrap_or_else(|| json!({})).to_string();
				let function = json!({"name": field("name"), "arguments": arguments});
				calls.push(json!({"id": field("id"), "type": "function", "function": function}));
			},
			_ => return Err(unsupported(&format!("{path}[{index}]"), block)),
		}
	}
	let mut message = Map::new();
	message.insert("role".into(), "assistant".into());
	message.insert("content".into(), text.into());
	if !reasoning.is_empty() {
		message.insert("reasoning_content".into(), reasoning.into());
	}
	if !calls.is_empty() {
		message.insert("tool_calls".into(), calls.into());
	}
	Ok(Value::Object(message))
}

/// Adds the messages of a user's blocks: results of calls, and text.
fn user(role: Value, blocks: &[Value], path: &str, messages: &mut Vec<Value>) -> Result<(), ApiError> {
	let mut text = String::new();
	for (index, block) in blocks.iter().enumerate() {
		let path = format!("{path}[{index}]");
		match kind(block) {
			"text" => text.push_str(&texts(std::slice::from_ref(block), &path)?),
			"tool_result" => {
				let content = match block.get("content") {
					Some(Value::Array(parts)) => texts(parts, &format!("{path}.content"))?.into(),
					content => content.cloned().unwrap_or_default(),
				};
				messages.push(json!({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": content}));
			},
			_ => return Err(unsupported(&path, block)),
		}
	}
	if !text.is_empty() || blocks.is_empty() {
		messages.push(json!({"role": role, "content": text}));
	}
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;

	fn read(body: Value) -> Result<Vec<Value>, ApiError> {
		messages(&Fields::parse(body.to_string().as_bytes()).unwrap())
	}

	#[test]
	fn blocks_become_messages() {
		let messages = read(json!({
			"system": [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}],
			"messages": [
				{"role": "user", "content": "How is the weather?"},
				{"role": "assistant", "content": [
					{"type": "thinking", "thinking": "Hm.", "signature": ""},
					{"type": "text", "text": "I look."},
					{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Ys"}},
				]},
				{"role": "user", "content": [
					{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "rain"}]},
					{"type": "text", "text": "And now?"},
				]},
			],
		}));
		let function = json!({"name": "weather", "arguments": "{\"place\":\"Ys\"}"});
		let expected = json!([
			{"role": "system", "content": "be brief"},
			{"role": "user", "content": "How is the weather?"},
			{"role": "assistant", "content": "I look.", "reasoning_content": "Hm.",
				"tool_calls": [{"id": "toolu_1", "type": "function", "function": function}]},
			{"role": "tool", "tool_call_id": "toolu_1", "content": "rain"},
			{"role": "user", "content": "And now?"},
		]);
		assert_eq!(Value::from(messages.unwrap()), expected);
	}

	#[test]
	fn what_no_host_can_read_is_named() {
		let image =
			json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}]});
		let error = read(image).unwrap_err().body().error;
		assert_eq!(error.param.as_deref(), Some("messages[0].content[1]"));
		assert!(error.message.contains("'image'"), "{}", error.message);
		let system = read(json!({"system": 5, "messages": []})).unwrap_err().body().error;
		assert_eq!(system.param.as_deref(), Some("system"), "{}", system.message);
		let search = tools(json!([{"type": "web_search_20250305", "name": "web_search"}])).unwrap_err();
		assert_eq!(search.body().error.param.as_deref(), Some("tools[0].type"));
	}

	#[test]
	fn tools_and_choices_become_those_of_chat_completions() {
		let tool = json!([{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true}]);
		let function = json!({"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true});
		assert_eq!(tools(tool).unwrap(), json!([{"type": "function", "function": function}]));
		let single = json!({"type": "any", "disable_parallel_tool_use": true});
		assert_eq!(tool_choice(&single), (Some(json!("required")), true));
		let named = json!({"type": "function", "function": {"name": "f"}});
		assert_eq!(tool_choice(&json!({"type": "tool", "name": "f"})), (Some(named), false));
	}
}
