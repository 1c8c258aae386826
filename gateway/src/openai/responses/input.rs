//! The input of a response: from its items to the messages of a chat.

use crate::openai::errors::ApiError;
use serde_json::{Map, Value, json};

/// Maximum number of items.
const MAX_ITEMS: usize = 4096;

/// Returns an input as a list of items: a text is a message of the user.
///
/// # Errors
/// 400 when it is something else.
pub fn items(input: Value) -> Result<Vec<Value>, ApiError> {
	match input {
		Value::String(text) => Ok(vec![json!({"type": "message", "role": "user", "content": text})]),
		Value::Array(items) if items.len() <= MAX_ITEMS => Ok(items),
		_ => {
			let message = format!("'input' must be a string or a list of up to {MAX_ITEMS} items.");
			Err(ApiError::invalid_value("input", message))
		},
	}
}

/// Returns the messages of a chat for the items. Calls that follow each other, or a message of the assistant, become one
/// message.
///
/// # Errors
/// 400 with the path of an item that is malformed or of a kind that nothing here can read.
pub fn messages(items: &[Value]) -> Result<Vec<Value>, ApiError> {
	let mut messages: Vec<Value> = Vec::new();
	for (index, item) in items.iter().enumerate() {
		let path = format!("input[{index}]");
		let wrong = |message: String| Err(ApiError::invalid_value(&path, message));
		let Value::Object(item) = item else { return wrong(format!("'{path}' must be an object.")) };
		let kind = item.get("type").and_then(Value::as_str).unwrap_or("message");
		match kind {
			"message" => messages.push(message(item)),
			"function_call" => {
				let field = |name: &str| item.get(name).cloned().unwrap_or_default();
				let call = json!({
					"id": field("call_id"), "type": "function",
					"function": {"name": field("name"), "arguments": field("arguments")},
				});
				match messages.last_mut().filter(|last| last["role"] == "assistant") {
					Some(Value::Object(last)) => match last.get_mut("tool_calls").and_then(Value::as_array_mut) {
						Some(calls) => calls.push(call),
						None => drop(last.insert("tool_calls".into(), json!([call]))),
					},
					_ => messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
				}
			},
			"function_call_output" => {
				let (id, output) = (item.get("call_id").cloned(), item.get("output").cloned());
				messages.push(json!({"role": "tool", "tool_call_id": id, "content": output}));
			},
			// A model's templates leave out the reasoning before its last answer.
			"reasoning" => {},
			"item_reference" => {
				return wrong(
					"References to items are not supported: send the items, or 'previous_response_id'.".into(),
				);
			},
			other => {
				let other: String = other.chars().take(100).collect();
				return wrong(format!("The hosts of this network do not support items of type '{other}'."));
			},
		}
	}
	Ok(messages)
}

fn message(item: &Map<String, Value>) -> Value {
	let mut message = item.clone();
	for name in ["type", "id", "status"] {
		message.remove(name);
	}
	Value::Object(message)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn items_become_messages() {
		let items = items(json!([
			{"role": "developer", "content": "be brief"},
			{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
				"content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
			{"type": "reasoning", "id": "rs_1", "summary": []},
			{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
			{"type": "function_call", "call_id": "call_2", "name": "g", "arguments": "{}"},
			{"type": "function_call_output", "call_id": "call_1", "output": "one"},
		]));
		let call =
			|id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
		let expected = json!([
			{"role": "developer", "content": "be brief"},
			{"role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
				"tool_calls": [call("call_1", "f"), call("call_2", "g")]},
			{"role": "tool", "tool_call_id": "call_1", "content": "one"},
		]);
		assert_eq!(Value::from(messages(&items.unwrap()).unwrap()), expected);
		let text = super::items(json!("Hello")).unwrap();
		assert_eq!(messages(&text).unwrap(), [json!({"role": "user", "content": "Hello"})]);
	}

	#[test]
	fn an_item_that_nothing_can_read_is_named() {
		for (item, why) in [
			(json!({"type": "web_search_call"}), "web_search_call"),
			(json!({"type": "item_reference", "id": "x"}), "previous_response_id"),
			(json!(5), "object"),
		] {
			let error = messages(&[json!({"role": "user", "content": "a"}), item]).unwrap_err().body().error;
			assert_eq!(error.param.as_deref(), Some("input[1]"));
			assert!(error.message.contains(why), "{}", error.message);
		}
		assert!(items(json!(5)).is_err());
	}
}
