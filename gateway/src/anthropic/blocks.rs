//! The content of a message: blocks that grow while the completion arrives, and the events that tell of it.

use crate::openai::{reading::Delta, types::CallDelta};
use serde_json::{Value, json};

/// A block that is still growing.
#[derive(Debug)]
enum Open {
	Thinking(String),
	Text(String),
	/// A call with its position, its id, its name and its arguments.
	Call(u32, String, String, String),
}

/// The content of a message.
#[derive(Debug, Default)]
pub struct Blocks {
	/// Blocks that are complete.
	done: Vec<Value>,
	open: Option<Open>,
}

impl Blocks {
	/// Reads what a token made certain. Returns the events that tell of it.
	pub fn push(&mut self, delta: Delta) -> Vec<Value> {
		let mut events = Vec::new();
		if !delta.reasoning.is_empty() {
			if !matches!(self.open, Some(Open::Thinking(_))) {
				self.begin(Open::Thinking(String::new()), &mut events);
			}
			self.add(&delta.reasoning, &mut events);
		}
		if !delta.content.is_empty() {
			if !matches!(self.open, Some(Open::Text(_))) {
				self.begin(Open::Text(String::new()), &mut events);
			}
			self.add(&delta.content, &mut events);
		}
		delta.calls.into_iter().for_each(|call| self.call(call, &mut events));
		events
	}

	/// Ends the content. Returns its blocks, and the events that tell of the end.
	pub fn finish(mut self) -> (Vec<Value>, Vec<Value>) {
		let mut events = Vec::new();
		self.close(&mut events);
		(self.done, events)
	}

	fn call(&mut self, call: CallDelta, events: &mut Vec<Value>) {
		if !matches!(&self.open, Some(Open::Call(index, ..)) if *index == call.index) {
			let (id, name) = (call.id.unwrap_or_default(), call.function.name.unwrap_or_default());
			self.begin(Open::Call(call.index, id, name, String::new()), events);
		}
		if !call.function.arguments.is_empty() {
			self.add(&call.function.arguments, events);
		}
	}

	fn begin(&mut self, open: Open, events: &mut Vec<Value>) {
		self.close(events);
		events.push(json!({"type": "content_block_start", "index": self.done.len(), "content_block": block(&open)}));
		self.open = Some(open);
	}

	/// Adds text to the block that is open.
	fn add(&mut self, piece: &str, events: &mut Vec<Value>) {
		let (all, delta) = match &mut self.open {
			Some(Open::Thinking(all)) => (all, json!({"type": "thinking_delta", "thinking": piece})),
			Some(Open::Text(all)) => (all, json!({"type": "text_delta", "text": piece})),
			Some(Open::Call(.., all)) => (all, json!({"type": "input_json_delta", "partial_json": piece})),
			None => return,
		};
		all.push_str(piece);
		events.push(json!({"type": "content_block_delta", "index": self.done.len(), "delta": delta}));
	}

	fn close(&mut self, events: &mut Vec<Value>) {
		if let Some(open) = self.open.take() {
			events.push(json!({"type": "content_block_stop", "index": self.done.len()}));
			self.done.push(block(&open));
		}
	}
}

fn block(open: &Open) -> Value {
	match open {
		Open::Thinking(text) => json!({"type": "thinking", "thinking": text, "signature": ""}),
		Open::Text(text) => json!({"type": "text", "text": text}),
		Open::Call(_, id, name, arguments) => {
			// A completion that was cut leaves arguments that are no JSON.
			let input: Value = gonka_client::json::from_str(arguments).unwrap_or_else(|_| json!({}));
			json!({"type": "tool_use", "id": id, "name": name, "input": input})
		},
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::openai::types::FunctionDelta;

	#[test]
	fn blocks_follow_each_other_and_every_one_that_begins_ends() {
		let call = |id: Option<&str>, arguments: &str| {
			let function = FunctionDelta { name: id.map(|_| "f".into()), arguments: arguments.into() };
			let call = CallDelta { index: 0, id: id.map(str::to_owned), r#type: None, function };
			Delta { calls: vec![call], ..Delta::default() }
		};
		let mut blocks = Blocks::default();
		let deltas = [
			Delta { reasoning: "Hm.".into(), content: "I ".into(), ..Delta::default() },
			Delta { content: "look.".into(), ..Delta::default() },
			call(Some("call_1"), ""),
			call(None, "{\"a\":"),
			call(None, "1}"),
		];
		let mut events: Vec<_> = deltas.into_iter().flat_map(|delta| blocks.push(delta)).collect();
		let (content, last) = blocks.finish();
		events.extend(last);
		let expected = json!([
			{"type": "thinking", "thinking": "Hm.", "signature": ""},
			{"type": "text", "text": "I look."},
			{"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
		]);
		assert_eq!(Value::from(content), expected);
		let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
		assert_eq!((of("content_block_start"), of("content_block_stop"), of("content_block_delta")), (3, 3, 5));
		assert_eq!(events[0]["content_block"], json!({"type": "thinking", "thinking": "", "signature": ""}));
	}
}
