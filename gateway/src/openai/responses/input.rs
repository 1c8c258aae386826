//! The input of a response: from its items to the messages of a chat.

use super::{ids::Id, store::Responses};
use crate::openai::{errors::ApiError, request::MAX_BODY};
use serde_json::{Map, Value, json};

/// Maximum number of items.
const MAX_ITEMS: usize = 4096;
/// Number of bytes that a value counts for beside its JSON: a few bytes of that become as many in memory, and more.
const VALUE_BYTES: usize = 32;

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

/// Puts the items in the place of references to them. `owner` is the id of the API key. This blocks.
///
/// # Errors
/// 404 when an item is not stored for this owner, 413 when all are too long together.
pub fn resolve(items: &mut [Value], responses: &Responses, owner: &str) -> Result<(), ApiError> {
	let mut references: Vec<_> =
		items.iter_mut().filter_map(|item| Some((reference(item)?.to_owned(), item))).collect();
	// Those of one response follow each other, so that its file is read once and only one is in memory.
	references.sort_by(|(left, _), (right, _)| left.cmp(right));
	let (mut open, mut bytes) = (None, 0usize);
	for (id, item) in references {
		let missing = || ApiError::item_not_found(&id);
		let response = Id::of_item(&id).ok_or_else(missing)?.to_string();
		if open.as_ref().is_none_or(|(known, _)| *known != response) {
			let stored = responses.get(&response, owner).map_err(|_| missing())?;
			open = Some((response, stored));
		}
		let found = open.as_ref().and_then(|(_, stored)| stored.item(&id)).ok_or_else(missing)?;
		bytes = bytes.saturating_add(length(found));
		if bytes > MAX_BODY {
			return Err(ApiError::too_large(format!("The items of the input are larger than {} MiB.", MAX_BODY >> 20)));
		}
		*item = found.clone();
	}
	Ok(())
}

/// Checks that a conversation is no longer than a body may be: it is kept with each of its responses.
///
/// # Errors
/// 413 when it is.
pub fn check_length(before: &[Value], input: &[Value]) -> Result<(), ApiError> {
	let lengths = before.iter().chain(input).map(length);
	if lengths.fold(0, usize::saturating_add) <= MAX_BODY {
		return Ok(());
	}
	Err(ApiError::too_large(format!("The conversation is larger than {} MiB: begin a new one.", MAX_BODY >> 20)))
}

/// The length of an item for the limits, in bytes.
fn length(item: &Value) -> usize {
	item.to_string().len().saturating_add(values(item).saturating_mul(VALUE_BYTES))
}

/// Number of values in a value, itself included.
fn values(value: &Value) -> usize {
	let inner = match value {
		Value::Array(items) => items.iter().map(values).fold(0, usize::saturating_add),
		Value::Object(entries) => entries.values().map(values).fold(0, usize::saturating_add),
		_ => 0,
	};
	inner.saturating_add(1)
}

/// The id in a reference to an item, whose type may be absent.
fn reference(item: &Value) -> Option<&str> {
	let id = item.get("id")?.as_str()?;
	let is_reference = match item.get("type") {
		None | Some(Value::Null) => item.get("role").is_none(),
		Some(kind) => kind == "item_reference",
	};
	is_reference.then_some(id)
}

/// Returns the items as the API lists them: all with an id and a type, and messages with a list of parts.
pub fn listed(mut items: Vec<Value>, response: &Id) -> Vec<Value> {
	for (index, item) in items.iter_mut().enumerate() {
		let Value::Object(item) = item else { continue };
		let kind = item.entry("type").or_insert_with(|| "message".into()).as_str().unwrap_or_default().to_owned();
		item.entry("id").or_insert_with(|| response.input_item(&kind, index).into());
		if kind != "reasoning" {
			item.entry("status").or_insert_with(|| "completed".into());
		}
		let part = if item.get("role").is_some_and(|role| role == "assistant") { "output_text" } else { "input_text" };
		if let Some(Value::String(text)) = item.get("content") {
			let mut content = json!({"type": part, "text": text});
			if part == "output_text" {
				content["annotations"] = json!([]);
			}
			item.insert("content".into(), json!([content]));
		}
	}
	items
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
	use super::{super::store::Stored, *};

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
		for (item, why) in [(json!({"type": "web_search_call"}), "web_search_call"), (json!(5), "object")] {
			let error = messages(&[json!({"role": "user", "content": "a"}), item]).unwrap_err().body().error;
			assert_eq!(error.param.as_deref(), Some("input[1]"));
			assert!(error.message.contains(why), "{}", error.message);
		}
		assert!(items(json!(5)).is_err());
	}

	#[test]
	fn references_are_replaced_by_the_items_of_their_owner() {
		let folder = tempfile::tempdir().unwrap();
		let store = Responses::open(folder.path().into(), std::time::Duration::from_secs(1000)).unwrap();
		let id = Id::random();
		let input = listed(vec![json!({"role": "user", "content": "Hello"})], &id);
		let said = json!({"type": "message", "id": id.output_item("msg", 0), "role": "assistant", "content": []});
		let response = json!({"output": [said]});
		let stored = Stored { owner: "alice".into(), response, input: input.clone(), before: Vec::new() };
		store.put(&id.to_string(), &stored).unwrap();
		let kept = json!({"role": "user", "content": "Why?", "id": "msg_own"});
		let mut items =
			vec![json!({"type": "item_reference", "id": said["id"]}), json!({"id": input[0]["id"]}), kept.clone()];
		assert_eq!(resolve(&mut items.clone(), &store, "bob").unwrap_err().status, 404);
		resolve(&mut items, &store, "alice").unwrap();
		assert_eq!(items, [said, input[0].clone(), kept]);
		for unknown in ["msg_1", "resp_x", &id.output_item("msg", 1)] {
			let error = resolve(&mut [json!({"type": "item_reference", "id": unknown})], &store, "alice").unwrap_err();
			assert!(error.status == 404 && error.message().contains(unknown), "{}", error.message());
		}
	}

	#[test]
	fn a_conversation_of_many_values_is_as_long_as_it_is_in_memory() {
		let item = json!({"type": "reasoning", "summary": vec![0; 300_000]});
		assert!(check_length(&[], std::slice::from_ref(&item)).is_ok());
		let error = check_length(std::slice::from_ref(&item), std::slice::from_ref(&item)).unwrap_err();
		assert_eq!(error.status, 413);
	}

	#[test]
	fn items_are_listed_with_ids_and_parts() {
		let id = Id::random();
		let items =
			listed(vec![json!({"role": "user", "content": "a"}), json!({"role": "assistant", "content": "b"})], &id);
		let expected = json!([
			{"type": "message", "id": id.input_item("message", 0), "status": "completed", "role": "user",
				"content": [{"type": "input_text", "text": "a"}]},
			{"type": "message", "id": id.input_item("message", 1), "status": "completed", "role": "assistant",
				"content": [{"type": "output_text", "text": "b", "annotations": []}]},
		]);
		assert_eq!(Value::from(items), expected);
	}
}
