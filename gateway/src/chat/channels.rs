//! Completions of gpt-oss, which are messages in channels:
//!
//! ```text
//! <|channel|>analysis<|message|>thoughts<|end|>
//! <|start|>assistant<|channel|>commentary to=functions.name <|constrain|>json<|message|>{…}<|call|>
//! <|start|>assistant<|channel|>final<|message|>text<|return|>
//! ```

use super::{
	format::ReasoningTags,
	split::{Part, call_start},
};

/// The tags of the reasoning, by which the format is known.
pub const ANALYSIS: ReasoningTags = ReasoningTags { open: "<|channel|>analysis<|message|>", close: "<|end|>" };
/// The control tokens.
pub const TAGS: [&str; 7] =
	["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"];
/// The text in front of a function's name in the header of a call.
pub const RECIPIENT: &str = "to=functions.";

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
	Reasoning,
	Content,
	/// The arguments of the call with this number.
	Call(u32),
}

/// The place in a completion.
#[derive(Debug)]
enum State {
	/// In front of everything, or between messages.
	Between,
	/// Inside a header, with its text without tags except `<|channel|>`.
	Header(String),
	/// Inside a message.
	Message(Kind),
}

/// Takes the text of a completion apart.
///
/// Text that may be the beginning of a tag is held back. A call of an unknown function is content. The result does not depend on
/// how the text is cut into pieces.
#[derive(Debug)]
pub struct Channels {
	names: Vec<String>,
	state: State,
	/// Text that may be the beginning of a tag.
	held: String,
	calls: u32,
	out: Vec<Part>,
}

impl Channels {
	/// A splitter for one completion of a model that may call the functions `names`.
	pub fn new(names: Vec<String>) -> Self {
		Self { names, state: State::Between, held: String::new(), calls: 0, out: Vec::new() }
	}

	/// Reads the next piece of the text.
	pub fn push(&mut self, text: &str) -> Vec<Part> {
		self.held.push_str(text);
		while !self.held.is_empty() {
			let begin = self.held.find('<').unwrap_or(self.held.len());
			if begin > 0 {
				let text: String = self.held.drain(..begin).collect();
				self.text(&text);
				continue;
			}
			if let Some(tag) = TAGS.into_iter().find(|tag| self.held.starts_with(tag)) {
				self.held.drain(..tag.len());
				self.tag(tag);
			} else if TAGS.into_iter().any(|tag| tag.starts_with(&*self.held)) {
				break;
			} else {
				self.held.remove(0);
				self.text("<");
			}
		}
		std::mem::take(&mut self.out)
	}

	/// Ends the text: returns all that was held back.
	pub fn finish(&mut self) -> Vec<Part> {
		let held = std::mem::take(&mut self.held);
		self.text(&held);
		std::mem::take(&mut self.out)
	}

	/// Number of calls that have begun.
	pub fn calls(&self) -> u32 {
		self.calls
	}

	fn tag(&mut self, tag: &str) {
		match (tag, &mut self.state) {
			("<|start|>", _) => self.state = State::Header(String::new()),
			("<|channel|>", State::Header(header)) => header.push_str(tag),
			("<|channel|>", _) => self.state = State::Header(tag.to_owned()),
			("<|message|>", State::Header(header)) => {
				let header = std::mem::take(header);
				self.state = State::Message(self.kind(&header));
			},
			("<|message|>", _) => self.state = State::Message(Kind::Content),
			("<|constrain|>", State::Header(header)) => header.push(' '),
			("<|constrain|>", _) => {},
			_ => self.state = State::Between,
		}
	}

	/// The kind of the message behind a header. A call begins with it.
	fn kind(&mut self, header: &str) -> Kind {
		let word = |text: &str| text.trim_start().split([' ', '<']).next().unwrap_or_default().to_owned();
		let function = header.split_once(RECIPIENT).map(|(_, rest)| word(rest));
		if let Some(name) = function.filter(|name| self.names.contains(name)) {
			let index = self.calls;
			self.out.push(call_start(index, name));
			self.calls = index.saturating_add(1);
			return Kind::Call(index);
		}
		match header.split_once("<|channel|>") {
			Some((_, rest)) if word(rest) == "analysis" => Kind::Reasoning,
			_ => Kind::Content,
		}
	}

	fn text(&mut self, text: &str) {
		if text.is_empty() {
			return;
		}
		match &mut self.state {
			State::Header(header) => header.push_str(text),
			// A model that leaves the format out.
			State::Between if text.trim().is_empty() => {},
			State::Between => {
				self.state = State::Message(Kind::Content);
				self.part(Kind::Content, text);
			},
			State::Message(kind) => {
				let kind = *kind;
				self.part(kind, text);
			},
		}
	}

	fn part(&mut self, kind: Kind, text: &str) {
		match (kind, self.out.last_mut()) {
			(Kind::Reasoning, Some(Part::Reasoning(last))) | (Kind::Content, Some(Part::Content(last))) => {
				last.push_str(text);
			},
			(Kind::Call(_), Some(Part::CallArguments { delta, .. })) => delta.push_str(text),
			(Kind::Reasoning, _) => self.out.push(Part::Reasoning(text.to_owned())),
			(Kind::Content, _) => self.out.push(Part::Content(text.to_owned())),
			(Kind::Call(index), _) => self.out.push(Part::CallArguments { index, delta: text.to_owned() }),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	/// The reasoning, the content, and the calls of a completion that arrives in pieces of `size` bytes.
	fn split(text: &str, size: usize) -> (String, String, Vec<(String, String)>) {
		let mut channels = Channels::new(vec!["weather".into(), "time".into()]);
		let mut parts = Vec::new();
		for piece in text.as_bytes().chunks(size) {
			parts.extend(channels.push(std::str::from_utf8(piece).unwrap()));
		}
		parts.extend(channels.finish());
		let (mut reasoning, mut content, mut calls) = (String::new(), String::new(), Vec::new());
		for part in parts {
			match part {
				Part::Reasoning(text) => reasoning.push_str(&text),
				Part::Content(text) => content.push_str(&text),
				Part::CallStart { index, name, .. } => {
					assert_eq!(index as usize, calls.len());
					calls.push((name, String::new()));
				},
				Part::CallArguments { index, delta } => calls[index as usize].1.push_str(&delta),
			}
		}
		(reasoning, content, calls)
	}

	#[test]
	fn messages_are_told_apart_by_their_channels_however_the_text_is_cut() {
		let call = |name: &str, arguments: &str| (name.to_owned(), arguments.to_owned());
		let cases = [
			(
				"<|channel|>analysis<|message|>Hm, 1 < 2.<|end|><|start|>assistant<|channel|>final<|message|>Yes: 1 < 2<|return|>",
				"Hm, 1 < 2.",
				"Yes: 1 < 2",
				vec![],
			),
			(
				"<|channel|>analysis<|message|>Call.<|end|><|start|>assistant<|channel|>commentary to=functions.weather \
				 <|constrain|>json<|message|>{\"city\": \"<|a\"}<|call|>",
				"Call.",
				"",
				vec![call("weather", "{\"city\": \"<|a\"}")],
			),
			(
				"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.time<|channel|>commentary \
				 json<|message|>{}<|call|><|start|>assistant to=functions.weather<|channel|>commentary<|message|>{\"a\":1}",
				"",
				"I look.",
				vec![call("time", "{}"), call("weather", "{\"a\":1}")],
			),
			("<|channel|>commentary to=functions.unknown<|message|>{}<|call|>", "", "{}", vec![]),
			("Just text <|", "", "Just text <|", vec![]),
			("", "", "", vec![]),
		];
		for (text, reasoning, content, calls) in cases {
			for size in [1, 2, 7, 1_000] {
				assert_eq!(split(text, size), (reasoning.into(), content.into(), calls.clone()), "{text}");
			}
		}
	}
}
