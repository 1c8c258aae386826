//! The output of a response: items that grow while the completion arrives, and the events that tell of it.

use super::ids::Id;
use crate::openai::{
	reading::Delta,
	types::{CallDelta, ChatLogprob},
};
use serde_json::{Map, Value, json};

/// An item that is still growing.
#[derive(Debug)]
enum Open {
	Reasoning(String),
	Message(String, Vec<ChatLogprob>),
	/// A call with its position, its id, its name and its arguments.
	Call(u32, String, String, String),
}

/// The output of a response.
#[derive(Debug)]
pub struct Output {
	/// The response.
	response: Id,
	/// Items that are complete.
	items: Vec<Value>,
	open: Option<(String, Open)>,
	/// Log probabilities of tokens whose text is held back.
	logprobs: Vec<ChatLogprob>,
}

impl Output {
	/// The output of a response before its first token.
	pub fn new(response: Id) -> Self {
		Self { response, items: Vec::new(), open: None, logprobs: Vec::new() }
	}

	/// Reads what a token made certain. Returns the events that tell of it, without their numbers.
	pub fn push(&mut self, delta: Delta) -> Vec<Value> {
		let mut events = Vec::new();
		if !delta.reasoning.is_empty() {
			self.reasoning(&delta.reasoning, &mut events);
		}
		let is_of_content = delta.reasoning.is_empty() && delta.calls.is_empty();
		if is_of_content || !delta.content.is_empty() {
			self.logprobs.extend(delta.logprobs);
		}
		if !delta.content.is_empty() {
			let logprobs = std::mem::take(&mut self.logprobs);
			self.content(&delta.content, logprobs, &mut events);
		}
		delta.calls.into_iter().for_each(|call| self.call(call, &mut events));
		events
	}

	/// Ends the output, which has no more room if it is cut. Returns its items, and the events that tell of the end.
	pub fn finish(mut self, is_cut: bool) -> (Vec<Value>, Vec<Value>) {
		let mut events = Vec::new();
		if self.items.is_empty() && self.open.is_none() {
			// Clients expect a message, even without a text.
			self.begin("msg", Open::Message(String::new(), Vec::new()), &mut events);
		}
		if let Some((_, Open::Message(_, logprobs))) = &mut self.open {
			logprobs.append(&mut self.logprobs);
		}
		self.close(if is_cut { "incomplete" } else { "completed" }, &mut events);
		(self.items, events)
	}

	fn index(&self) -> usize {
		self.items.len()
	}

	fn begin(&mut self, prefix: &str, open: Open, events: &mut Vec<Value>) {
		self.close("completed", events);
		let id = self.response.output_item(prefix, self.index());
		let item = item(&id, &open, "in_progress");
		events.push(json!({"type": "response.output_item.added", "output_index": self.index(), "item": item}));
		if let Some(part) = part(&open, true) {
			events.push(self.event("response.content_part.added", &id, json!({"content_index": 0, "part": part})));
		}
		self.open = Some((id, open));
	}

	/// An event about the item that is open.
	fn event(&self, kind: &str, id: &str, more: Value) -> Value {
		let mut event = json!({"type": kind, "item_id": id, "output_index": self.index()});
		if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
			event.extend(more);
		}
		event
	}

	fn reasoning(&mut self, text: &str, events: &mut Vec<Value>) {
		if !matches!(self.open, Some((_, Open::Reasoning(_)))) {
			self.begin("rs", Open::Reasoning(String::new()), events);
		}
		let Some((id, Open::Reasoning(all))) = &mut self.open else { return };
		all.push_str(text);
		let id = id.clone();
		events.push(self.event("response.reasoning_text.delta", &id, json!({"content_index": 0, "delta": text})));
	}

	fn content(&mut self, text: &str, logprobs: Vec<ChatLogprob>, events: &mut Vec<Value>) {
		if !matches!(self.open, Some((_, Open::Message(..)))) {
			self.begin("msg", Open::Message(String::new(), Vec::new()), events);
		}
		let Some((id, Open::Message(all, entries))) = &mut self.open else { return };
		all.push_str(text);
		let id = id.clone();
		let more = json!({"content_index": 0, "delta": text, "logprobs": logprobs});
		entries.extend(logprobs);
		events.push(self.event("response.output_text.delta", &id, more));
	}

	fn call(&mut self, call: CallDelta, events: &mut Vec<Value>) {
		let is_open = matches!(&self.open, Some((_, Open::Call(index, ..))) if *index == call.index);
		if !is_open {
			let (call_id, name) = (call.id.unwrap_or_default(), call.function.name.unwrap_or_default());
			self.begin("fc", Open::Call(call.index, call_id, name, String::new()), events);
		}
		let Some((id, Open::Call(.., arguments))) = &mut self.open else { return };
		if call.function.arguments.is_empty() {
			return;
		}
		arguments.push_str(&call.function.arguments);
		let (id, more) = (id.clone(), json!({"delta": call.function.arguments}));
		events.push(self.event("response.function_call_arguments.delta", &id, more));
	}

	/// Ends the item that is open.
	fn close(&mut self, status: &str, events: &mut Vec<Value>) {
		let Some((id, open)) = self.open.take() else { return };
		let (kind, more) = match &open {
			Open::Reasoning(text) => ("response.reasoning_text.done", json!({"content_index": 0, "text": text})),
			Open::Message(text, logprobs) => {
				("response.output_text.done", json!({"content_index": 0, "text": text, "logprobs": logprobs}))
			},
			Open::Call(_, _, name, arguments) => {
				("response.function_call_arguments.done", json!({"name": name, "arguments": arguments}))
			},
		};
		events.push(self.event(kind, &id, more));
		if let Some(part) = part(&open, false) {
			events.push(self.event("response.content_part.done", &id, json!({"content_index": 0, "part": part})));
		}
		let item = item(&id, &open, status);
		events.push(json!({"type": "response.output_item.done", "output_index": self.index(), "item": item}));
		self.items.push(item);
	}
}

/// The only part of an item's content, or an empty one at its beginning. Calls have none.
fn part(open: &Open, is_empty: bool) -> Option<Value> {
	let text = |text: &str| if is_empty { String::new() } else { text.to_owned() };
	match open {
		Open::Reasoning(all) => Some(json!({"type": "reasoning_text", "text": text(all)})),
		Open::Message(all, logprobs) => {
			Some(json!({"type": "output_text", "text": text(all), "annotations": [], "logprobs": logprobs}))
		},
		Open::Call(..) => None,
	}
}

fn item(id: &str, open: &Open, status: &str) -> Value {
	let is_empty = status == "in_progress";
	let mut item = Map::new();
	let kind = match open {
		Open::Reasoning(_) => "reasoning",
		Open::Message(..) => "message",
		Open::Call(..) => "function_call",
	};
	item.insert("id".into(), id.into());
	item.insert("type".into(), kind.into());
	item.insert("status".into(), status.into());
	let content: Vec<_> = if is_empty { Vec::new() } else { part(open, false).into_iter().collect() };
	match open {
		Open::Reasoning(_) => {
			item.insert("summary".into(), json!([]));
			item.insert("content".into(), content.into());
		},
		Open::Message(..) => {
			item.insert("role".into(), "assistant".into());
			item.insert("content".into(), content.into());
		},
		Open::Call(_, call_id, name, arguments) => {
			item.insert("call_id".into(), call_id.as_str().into());
			item.insert("name".into(), name.as_str().into());
			item.insert("arguments".into(), arguments.as_str().into());
		},
	}
	Value::Object(item)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::openai::types::FunctionDelta;

	fn call(index: u32, name: Option<&str>, arguments: &str) -> Delta {
		let (id, name) = (name.map(|name| format!("call_{name}")), name.map(str::to_owned));
		let function = FunctionDelta { name, arguments: arguments.into() };
		Delta { calls: vec![CallDelta { index, id, r#type: None, function }], ..Delta::default() }
	}

	#[test]
	fn items_follow_each_other_and_every_one_that_begins_ends() {
		let mut output = Output::new(Id::random());
		let text = |content: &str| Delta { content: content.into(), ..Delta::default() };
		let deltas = [
			Delta { reasoning: "Hm".into(), ..Delta::default() },
			Delta { reasoning: ".".into(), content: "I ".into(), ..Delta::default() },
			text("look."),
			call(0, Some("f"), ""),
			call(0, None, "{\"a\":"),
			call(0, None, "1}"),
			call(1, Some("g"), "{}"),
		];
		let mut events: Vec<_> = deltas.into_iter().flat_map(|delta| output.push(delta)).collect();
		let (items, last) = output.finish(true);
		events.extend(last);
		let kinds: Vec<_> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
		assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call"]);
		let states: Vec<_> = items.iter().map(|item| item["status"].as_str().unwrap()).collect();
		assert_eq!(states, ["completed", "completed", "completed", "incomplete"]);
		assert_eq!(items[0]["content"][0]["text"], "Hm.");
		assert_eq!(items[1]["content"][0]["text"], "I look.");
		assert_eq!((&items[2]["arguments"], &items[2]["call_id"]), (&json!("{\"a\":1}"), &json!("call_f")));
		let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
		assert_eq!(of("response.output_item.added").len(), 4);
		let done: Vec<_> = of("response.output_item.done").iter().map(|event| event["item"].clone()).collect();
		assert_eq!(done, items);
		assert_eq!(of("response.content_part.added").len(), of("response.content_part.done").len());
		let deltas = of("response.output_text.delta");
		assert_eq!(deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect::<String>(), "I look.");
		assert!(deltas.iter().all(|event| event["item_id"] == items[1]["id"] && event["output_index"] == 1));
		assert_eq!(of("response.function_call_arguments.done")[0]["arguments"], "{\"a\":1}");
	}
	#[test]
	fn an_output_without_a_token_is_an_empty_message() {
		let (items, events) = Output::new(Id::random()).finish(false);
		assert_eq!((items.len(), &items[0]["content"][0]["text"]), (1, &json!("")));
		let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
		let expected =
			["output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done"];
		assert_eq!(kinds, expected.map(|kind| format!("response.{kind}")));
	}
}
