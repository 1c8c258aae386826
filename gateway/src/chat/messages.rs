//! Messages: from the forms that OpenAI's API allows to the objects that chat templates read.

use super::format::{ToolFormat, json_call};
use crate::openai::{errors::ApiError, request::MAX_BODY};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Length of a call's id in the templates of Mistral, in characters. They reject others.
const MISTRAL_ID: usize = 9;

/// Converts messages for a chat template whose model writes calls in `format`.
///
/// - `developer` becomes `system`, and the text parts of a content are joined.
/// - The arguments of a call become an object, if they are one in JSON.
/// - A result gets the name of the function, from the call with its id.
/// - The older `function_call` becomes a list with one call, and the older role `function` becomes `tool`.
/// - For a template that knows no tools ([`ToolFormat::is_in_template`]), calls become text of the assistant and results
///   text of the user.
///
/// # Errors
/// 400 with the path of the field when a message is malformed, has a part that is not text, or is a result without a call; 413 when
/// results repeat too much of their calls.
pub fn convert(messages: &[Value], format: ToolFormat) -> Result<Vec<Value>, ApiError> {
	if messages.is_empty() {
		return Err(ApiError::invalid_value("messages", "'messages' must not be empty."));
	}
	let mut reader = Reader {
		format,
		names: HashMap::new(),
		ids: HashMap::new(),
		calls: 0,
		repeated: 0,
		out: Vec::new(),
		ends_with_result: false,
	};
	for (index, message) in messages.iter().enumerate() {
		let path = format!("messages[{index}]");
		let Value::Object(message) = message else { return Err(wrong(&path, "an object")) };
		reader.read(message, &path)?;
	}
	Ok(reader.out)
}

/// Adds `text` to the system message in front of converted messages, and makes one if there is none.
pub fn add_to_system(messages: &mut Vec<Value>, text: &str) {
	if let Some(first) = messages.first_mut().filter(|first| first["role"] == "system") {
		let before = first["content"].as_str().unwrap_or_default();
		first["content"] = if before.is_empty() { text.into() } else { format!("{before}\n\n{text}").into() };
	} else {
		messages.insert(0, json!({"role": "system", "content": text}));
	}
}

struct Reader {
	format: ToolFormat,
	/// The name of the last call with an id as the client wrote it: a client may use one again.
	names: HashMap<String, String>,
	/// The id of the last call of a function.
	ids: HashMap<String, String>,
	/// Number of calls.
	calls: usize,
	/// Number of bytes of names and ids that results have from their calls.
	repeated: usize,
	out: Vec<Value>,
	/// Whether the last message is the user's and has results as text.
	ends_with_result: bool,
}

impl Reader {
	fn read(&mut self, message: &Map<String, Value>, path: &str) -> Result<(), ApiError> {
		let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
		let text = content(message.get("content"), &format!("{path}.content"))?;
		match role {
			"system" | "developer" => self.push(json!({"role": "system", "content": text})),
			"user" if self.ends_with_result => self.add_to_user(&text),
			"user" => self.push(json!({"role": "user", "content": text})),
			"assistant" => self.assistant(message, text, path)?,
			"tool" => {
				let id = message.get("tool_call_id").and_then(Value::as_str);
				let id = id.ok_or_else(|| wrong(&format!("{path}.tool_call_id"), "the id of a call"))?;
				let name = self.names.get(id).ok_or_else(|| no_call(path, "tool", "tool_calls"))?;
				self.result(&name.clone(), id, text)?;
			},
			"function" => {
				let name = message.get("name").and_then(Value::as_str).unwrap_or_default();
				let id = self.ids.get(name).ok_or_else(|| no_call(path, "function", "function_call"))?;
				self.result(name, &id.clone(), text)?;
			},
			other => {
				const ROLES: &str = "use system, developer, user, assistant, tool or function";
				let other: String = other.chars().take(100).collect();
				let message = match message.get("role") {
					None | Some(Value::Null) => format!("'{path}.role' is missing: {ROLES}."),
					Some(Value::String(_)) => format!("'{other}' is not a role: {ROLES}."),
					Some(_) => format!("'{path}.role' must be a string: {ROLES}."),
				};
				return Err(ApiError::invalid_value(&format!("{path}.role"), message));
			},
		}
		Ok(())
	}

	fn push(&mut self, message: Value) {
		self.out.push(message);
		self.ends_with_result = false;
	}

	fn assistant(&mut self, message: &Map<String, Value>, text: String, path: &str) -> Result<(), ApiError> {
		if message.get("audio").is_some_and(|audio| !audio.is_null()) {
			return Err(unsupported(&format!("{path}.audio"), "audio"));
		}
		let refusal = message.get("refusal").and_then(Value::as_str).unwrap_or_default();
		let mut text = if text.is_empty() { refusal.to_owned() } else { text };
		let calls = self.calls(message, path)?;
		let mut out = Map::new();
		out.insert("role".into(), "assistant".into());
		if self.format.is_in_template() || calls.is_empty() {
			out.insert("content".into(), text.into());
		} else {
			let calls = calls.iter().map(|call| {
				let function = &call["function"];
				json_call(function["name"].as_str().unwrap_or_default(), &function["arguments"].to_string())
			});
			let calls: Vec<_> = calls.collect();
			if !text.is_empty() {
				text.push('\n');
			}
			match calls.as_slice() {
				[call] => text.push_str(call),
				calls => text.push_str(&format!("[{}]", calls.join(", "))),
			}
			out.insert("content".into(), text.into());
		}
		let reasoning = message.get("reasoning_content").or_else(|| message.get("reasoning")).and_then(Value::as_str);
		if let Some(reasoning) = reasoning {
			out.insert("reasoning_content".into(), reasoning.into());
		}
		if self.format.is_in_template() && !calls.is_empty() {
			out.insert("tool_calls".into(), calls.into());
		}
		self.push(Value::Object(out));
		Ok(())
	}

	/// The calls of an assistant's message, in the form that templates expect.
	fn calls(&mut self, message: &Map<String, Value>, path: &str) -> Result<Vec<Value>, ApiError> {
		let mut calls = Vec::new();
		if let Some(older) = message.get("function_call").filter(|call| !call.is_null()) {
			let id = format!("call_{}", self.calls);
			calls.push(self.call(id, older, &format!("{path}.function_call"))?);
		}
		let sent = match message.get("tool_calls") {
			None | Some(Value::Null) => return Ok(calls),
			Some(Value::Array(sent)) => sent,
			Some(_) => return Err(wrong(&format!("{path}.tool_calls"), "a list")),
		};
		for (index, call) in sent.iter().enumerate() {
			let path = format!("{path}.tool_calls[{index}]");
			if call.get("type").is_some_and(|kind| kind != "function") {
				return Err(wrong(&format!("{path}.type"), "'function'"));
			}
			let id = call.get("id").and_then(Value::as_str);
			let id = id.ok_or_else(|| wrong(&format!("{path}.id"), "a string"))?;
			let function = call.get("function").unwrap_or(&Value::Null);
			calls.push(self.call(id.to_owned(), function, &format!("{path}.function"))?);
		}
		Ok(calls)
	}

	fn call(&mut self, id: String, function: &Value, path: &str) -> Result<Value, ApiError> {
		let name = function.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
		let name = name.ok_or_else(|| wrong(&format!("{path}.name"), "a function's name"))?;
		let arguments = match function.get("arguments") {
			None | Some(Value::Null) => json!({}),
			Some(Value::String(text)) if text.trim().is_empty() => json!({}),
			Some(Value::String(text)) => match gonka_client::json::from_str(text) {
				Ok(object @ Value::Object(_)) => object,
				_ => text.as_str().into(),
			},
			Some(object @ Value::Object(_)) => object.clone(),
			Some(_) => return Err(wrong(&format!("{path}.arguments"), "a string with JSON")),
		};
		let call = json!({
			"id": self.id(&id), "type": "function", "function": {"name": name, "arguments": arguments},
		});
		self.ids.insert(name.to_owned(), id.clone());
		self.names.insert(id, name.to_owned());
		self.calls = self.calls.saturating_add(1);
		Ok(call)
	}

	/// The id as the template expects it.
	fn id(&self, id: &str) -> String {
		if !matches!(self.format, ToolFormat::Mistral | ToolFormat::MistralArgs) {
			return id.to_owned();
		}
		let plain: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
		let tail: String = plain[plain.len().saturating_sub(MISTRAL_ID)..].iter().collect();
		format!("{tail:0>MISTRAL_ID$}")
	}

	fn result(&mut self, name: &str, id: &str, text: String) -> Result<(), ApiError> {
		// A call with a long name may have many results, each of which is short.
		self.repeated = self.repeated.saturating_add(name.len()).saturating_add(id.len());
		if self.repeated > MAX_BODY {
			let message = format!("The results repeat more than {} MiB of names and ids of calls.", MAX_BODY >> 20);
			return Err(ApiError::too_large(message));
		}
		if self.format.is_in_template() {
			let id = self.id(id);
			self.push(json!({"role": "tool", "tool_call_id": id, "name": name, "content": text}));
			return Ok(());
		}
		let text = format!("Result of {name}:\n{text}");
		if self.ends_with_result {
			self.add_to_user(&text);
		} else {
			self.push(json!({"role": "user", "content": text}));
			self.ends_with_result = true;
		}
		Ok(())
	}

	/// Adds to the user's message at the end, since some templates reject two messages of a role in a row.
	fn add_to_user(&mut self, text: &str) {
		if let Some(Value::String(before)) = self.out.last_mut().and_then(|last| last.get_mut("content")) {
			before.push_str("\n\n");
			before.push_str(text);
		}
	}
}

/// The text of a content. Texts of several parts are joined.
fn content(content: Option<&Value>, path: &str) -> Result<String, ApiError> {
	let parts = match content {
		None | Some(Value::Null) => return Ok(String::new()),
		Some(Value::String(text)) => return Ok(text.clone()),
		Some(Value::Array(parts)) => parts,
		Some(_) => return Err(wrong(path, "a string or a list of parts")),
	};
	let texts = parts.iter().enumerate().map(|(index, part)| {
		let path = format!("{path}[{index}]");
		if let Value::String(text) = part {
			return Ok(text.as_str());
		}
		let kind = part.get("type").and_then(Value::as_str);
		let (field, text) = match kind {
			Some("text" | "input_text" | "output_text") => ("text", part.get("text")),
			Some("refusal") => ("refusal", part.get("refusal")),
			Some(kind) => return Err(unsupported(&path, kind)),
			None => return Err(wrong(&format!("{path}.type"), "the kind of the part")),
		};
		text.and_then(Value::as_str).ok_or_else(|| wrong(&format!("{path}.{field}"), "a string"))
	});
	texts.collect()
}

fn wrong(path: &str, kind: &str) -> ApiError {
	ApiError::invalid_value(path, format!("'{path}' must be {kind}."))
}

fn unsupported(path: &str, kind: &str) -> ApiError {
	let kind: String = kind.chars().take(100).collect();
	let message = format!("'{path}' is a part of type '{kind}': the models of this network read text only.");
	ApiError::invalid_value(path, message)
}

fn no_call(path: &str, role: &str, field: &str) -> ApiError {
	let message = format!(
		"Invalid parameter: messages with role '{role}' must be a response to a preceding message with '{field}'."
	);
	ApiError::invalid_value(&format!("{path}.role"), message)
}

#[cfg(test)]
mod tests {
	use super::*;

	fn read(format: ToolFormat, messages: Value) -> Result<Value, ApiError> {
		convert(messages.as_array().unwrap(), format).map(Value::Array)
	}

	fn call(id: &str, name: &str, arguments: Value) -> Value {
		json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
	}

	#[test]
	fn contents_become_texts() {
		let messages = json!([
			{"role": "developer", "content": "be brief", "name": "x"},
			{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}, "c"]},
			{"role": "assistant", "content": null, "reasoning_content": "hm"},
			{"role": "user"},
			{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "tool_calls": [], "audio": null},
			{"role": "assistant", "refusal": "never", "reasoning": "r"},
		]);
		let expected = json!([
			{"role": "system", "content": "be brief"},
			{"role": "user", "content": "abc"},
			{"role": "assistant", "content": "", "reasoning_content": "hm"},
			{"role": "user", "content": ""},
			{"role": "assistant", "content": "no"},
			{"role": "assistant", "content": "never", "reasoning_content": "r"},
		]);
		for format in [ToolFormat::Hermes, ToolFormat::Json] {
			assert_eq!(read(format, messages.clone()).unwrap(), expected);
		}
	}

	#[test]
	fn results_do_not_repeat_a_long_name_without_end() {
		let name = "f".repeat(1 << 20);
		let conversation = |results: usize, result: Value| {
			let mut messages = vec![json!({"role": "assistant", "tool_calls": [call("1", &name, json!("{}"))]})];
			messages.extend(vec![result; results]);
			Value::Array(messages)
		};
		let result = json!({"role": "tool", "tool_call_id": "1", "content": ""});
		let older = json!({"role": "function", "name": name, "content": ""});
		for (format, result) in [(ToolFormat::Hermes, &result), (ToolFormat::Json, &result), (ToolFormat::Json, &older)]
		{
			assert!(read(format, conversation(15, result.clone())).is_ok());
			assert_eq!(read(format, conversation(16, result.clone())).unwrap_err().status, 413);
		}
	}

	/// A conversation with two calls, and one in the older form.
	fn conversation() -> Value {
		json!([
			{"role": "user", "content": "u"},
			{"role": "assistant", "content": "so", "tool_calls": [
				call("call_abcdefghij", "f", json!("{\"b\": 1, \"a\": [\"é\"]}")), call("2", "g", json!("")),
			]},
			{"role": "tool", "tool_call_id": "2", "content": "two"},
			{"role": "tool", "tool_call_id": "call_abcdefghij", "content": [{"type": "text", "text": "one"}]},
			{"role": "assistant", "function_call": {"name": "f", "arguments": "{\"broken"}},
			{"role": "function", "name": "f", "content": "three"},
			{"role": "user", "content": "and?"},
		])
	}

	#[test]
	fn calls_and_results_are_objects_where_the_template_knows_tools() {
		let expected = |[first, second, third]: [&str; 3]| {
			json!([
				{"role": "user", "content": "u"},
				{"role": "assistant", "content": "so", "tool_calls": [
					call(first, "f", json!({"b": 1, "a": ["é"]})), call(second, "g", json!({})),
				]},
				{"role": "tool", "tool_call_id": second, "name": "g", "content": "two"},
				{"role": "tool", "tool_call_id": first, "name": "f", "content": "one"},
				{"role": "assistant", "content": "", "tool_calls": [call(third, "f", json!("{\"broken"))]},
				{"role": "tool", "tool_call_id": third, "name": "f", "content": "three"},
				{"role": "user", "content": "and?"},
			])
		};
		let ids = ["call_abcdefghij", "2", "call_2"];
		assert_eq!(read(ToolFormat::Hermes, conversation()).unwrap(), expected(ids));
		let short = ["bcdefghij", "000000002", "0000call2"];
		assert_eq!(read(ToolFormat::Mistral, conversation()).unwrap(), expected(short));
	}

	#[test]
	fn calls_and_results_are_text_where_the_template_knows_no_tools() {
		let read = read(ToolFormat::Json, conversation()).unwrap();
		let content = |index: usize| read[index]["content"].as_str().unwrap();
		let roles: Vec<_> = read.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
		assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"]);
		let (text, calls) = content(1).split_once('\n').unwrap();
		let f = json!({"name": "f", "arguments": {"b": 1, "a": ["é"]}});
		let calls: Value = serde_json::from_str(calls).unwrap();
		assert_eq!((text, calls), ("so", json!([f, {"name": "g", "arguments": {}}])));
		assert_eq!(content(2), "Result of g:\ntwo\n\nResult of f:\none");
		assert_eq!(content(3), r#"{"name": "f", "arguments": "{\"broken"}"#);
		assert_eq!(content(4), "Result of f:\nthree\n\nand?");
	}

	#[test]
	fn the_instruction_goes_into_the_system_message() {
		let mut messages = vec![json!({"role": "user", "content": "u"})];
		add_to_system(&mut messages, "first");
		add_to_system(&mut messages, "second");
		let system = json!({"role": "system", "content": "first\n\nsecond"});
		assert_eq!(messages, [system, json!({"role": "user", "content": "u"})]);
	}

	#[test]
	fn an_error_names_the_path() {
		let assistant = |calls: Value| json!([{"role": "assistant", "tool_calls": calls}]);
		let user = |content: Value| json!([{"role": "system"}, {"role": "user", "content": content}]);
		let text = json!({"type": "text", "text": "a"});
		let image = json!({"type": "image_url", "image_url": {"url": "x"}});
		for (messages, path) in [
			(json!([]), "messages"),
			(json!(["a"]), "messages[0]"),
			(json!([{"content": "a"}]), "messages[0].role"),
			(json!([{"role": "robot"}]), "messages[0].role"),
			(user(json!(1)), "messages[1].content"),
			(user(json!([text, image])), "messages[1].content[1]"),
			(user(json!([{"type": "input_audio"}])), "messages[1].content[0]"),
			(user(json!([{"type": "file"}])), "messages[1].content[0]"),
			(user(json!([{"text": "a"}])), "messages[1].content[0].type"),
			(user(json!([{"type": "text"}])), "messages[1].content[0].text"),
			(json!([{"role": "assistant", "audio": {"id": "a"}}]), "messages[0].audio"),
			(assistant(json!({})), "messages[0].tool_calls"),
			(assistant(json!([{"type": "custom"}])), "messages[0].tool_calls[0].type"),
			(assistant(json!([{"type": "function"}])), "messages[0].tool_calls[0].id"),
			(assistant(json!([{"id": "a"}])), "messages[0].tool_calls[0].function.name"),
			(assistant(json!([call("a", "", json!(""))])), "messages[0].tool_calls[0].function.name"),
			(assistant(json!([call("a", "f", json!(1))])), "messages[0].tool_calls[0].function.arguments"),
			(json!([{"role": "assistant", "function_call": {}}]), "messages[0].function_call.name"),
			(json!([{"role": "tool", "content": "a"}]), "messages[0].tool_call_id"),
			(json!([{"role": "tool", "tool_call_id": "a"}]), "messages[0].role"),
			(json!([{"role": "function", "name": "f"}]), "messages[0].role"),
		] {
			let error = read(ToolFormat::Hermes, messages.clone()).unwrap_err();
			assert_eq!(error.body().error.param.as_deref(), Some(path), "{messages}");
		}
		for missing in [json!([{"content": "a"}]), json!([{"role": null, "content": "a"}])] {
			let error = read(ToolFormat::Hermes, missing).unwrap_err();
			assert!(error.message().contains("'messages[0].role' is missing"), "{}", error.message());
		}
		let image = read(ToolFormat::Json, user(json!([image]))).unwrap_err();
		assert!(image.message().contains("image_url"));
		let result = read(ToolFormat::Json, json!([{"role": "tool", "tool_call_id": "a"}])).unwrap_err();
		assert!(result.message().contains("must be a response to a preceding message with 'tool_calls'"));
	}
}
