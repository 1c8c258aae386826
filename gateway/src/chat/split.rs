//! Takes a completion apart while it arrives: reasoning, content and calls.

use super::{
	channels::{ANALYSIS, Channels},
	format::{ReasoningTags, ToolFormat},
	scan::{self, Fed},
};
use std::iter;

/// Maximum number of bytes that are held back and read again: each character has all white space read again.
const MAX_SPACE: usize = 128;
/// Length of the random part of a call's id, in characters.
const ID_LENGTH: usize = 24;

/// A part of a completion. Parts of a kind that follow each other are to be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
	/// Text of the reasoning.
	Reasoning(String),
	/// Text for the user.
	Content(String),
	/// A call begins.
	CallStart {
		/// The call's position in the completion, from 0.
		index: u32,
		/// `call_` and 24 random letters and digits.
		id: String,
		/// The function's name.
		name: String,
	},
	/// The next piece of a call's arguments. The pieces of a complete call make a JSON text.
	CallArguments {
		/// The call's position in the completion.
		index: u32,
		/// The piece.
		delta: String,
	},
}

/// The beginning of a call, with a new id.
pub fn call_start(index: u32, name: String) -> Part {
	let id = iter::repeat_with(fastrand::alphanumeric).take(ID_LENGTH).collect::<String>();
	Part::CallStart { index, id: format!("call_{id}"), name }
}

/// The place in a completion.
#[derive(Debug)]
enum State {
	/// In front of everything, or behind the reasoning.
	Begin { is_after_reasoning: bool },
	/// Inside the reasoning.
	Reasoning { is_begun: bool },
	/// Inside the content.
	Content,
	/// In front of a call's object, or of a name or a list in Mistral's formats.
	Open { in_list: bool },
	/// Inside the name of `name[ARGS]{…}`.
	Name(String),
	/// Inside `[ARGS]` or `[CALL_ID]`: the name, and the tag as far as it was read.
	Marker(String, String),
	/// Inside the id behind `[CALL_ID]`.
	CallId(String),
	/// Behind `[ARGS]`.
	BeforeArguments(String),
	/// Inside a call's object.
	Object { call: Box<scan::Call>, in_list: bool, is_started: bool },
	/// Inside the arguments behind `[ARGS]`.
	Arguments(scan::Value),
	/// Behind a call.
	AfterCall { in_list: bool, is_closed: bool },
}

/// Takes the text of a completion apart.
///
/// Text that may be the beginning of a tag or of a call is held back, with the white space in front of it, until that is
/// decided. Everything else is returned at once. The result does not depend on how the text is cut into pieces.
///
/// A malformed call, and a call of an unknown function, is content. White space around calls and around the reasoning is
/// dropped.
#[derive(Debug)]
pub struct Splitter {
	/// Takes the place of all else for a model with channels.
	channels: Option<Channels>,
	format: Option<ToolFormat>,
	reasoning: Option<ReasoningTags>,
	names: Vec<String>,
	state: State,
	/// Text that was read and not returned.
	held: String,
	/// Number of calls that have begun.
	calls: u32,
	out: Vec<Part>,
}

impl Splitter {
	/// A splitter for one completion.
	///
	/// `format` is `None` if the model may not call a function; `names` are those that it may call. `starts_in_reasoning`
	/// says that the prompt ends inside the reasoning (see [`ReasoningTags::are_open_after`]).
	pub fn new(
		format: Option<ToolFormat>,
		reasoning: Option<ReasoningTags>,
		starts_in_reasoning: bool,
		names: Vec<String>,
	) -> Self {
		let state = match (format, reasoning) {
			(_, Some(_)) if starts_in_reasoning => State::Reasoning { is_begun: false },
			(None, None) => State::Content,
			_ => State::Begin { is_after_reasoning: false },
		};
		let has_channels = reasoning == Some(ANALYSIS);
		let channels = has_channels.then(|| Channels::new(if format.is_some() { names.clone() } else { Vec::new() }));
		Self { channels, format, reasoning, names, state, held: String::new(), calls: 0, out: Vec::new() }
	}

	/// Reads the next piece of the text.
	pub fn push(&mut self, text: &str) -> Vec<Part> {
		if let Some(channels) = &mut self.channels {
			return channels.push(text);
		}
		for c in text.chars() {
			self.feed(c);
		}
		std::mem::take(&mut self.out)
	}

	/// Ends the text: returns all that was held back.
	pub fn finish(&mut self) -> Vec<Part> {
		if let Some(channels) = &mut self.channels {
			return channels.finish();
		}
		let held = std::mem::take(&mut self.held);
		match std::mem::replace(&mut self.state, State::Content) {
			State::Reasoning { .. } => self.reasoning(held.trim_end()),
			State::Begin { is_after_reasoning: true } => self.content(held.trim_start()),
			State::AfterCall { .. } => self.content(held.trim()),
			// The rest of an object whose call has begun, such as its last brace.
			State::Object { is_started: true, .. } | State::Arguments(_) => {},
			_ => self.content(&held),
		}
		std::mem::take(&mut self.out)
	}

	/// Number of calls that have begun. A completion with calls ends with the reason `tool_calls`.
	pub fn calls(&self) -> u32 {
		self.channels.as_ref().map_or(self.calls, Channels::calls)
	}

	fn feed(&mut self, c: char) {
		match std::mem::replace(&mut self.state, State::Content) {
			State::Begin { is_after_reasoning } => self.begin(c, is_after_reasoning),
			State::Reasoning { is_begun } => self.reason(c, is_begun),
			State::Content => self.read_content(c),
			State::Open { in_list } => self.open(c, in_list),
			State::Name(name) => self.name(c, name),
			State::Marker(name, tag) => self.marker(c, name, tag),
			State::CallId(name) => self.call_id(c, name),
			State::BeforeArguments(name) => self.before_arguments(c, name),
			State::Object { call, in_list, is_started } => self.object(c, call, in_list, is_started),
			State::Arguments(value) => self.arguments(c, value),
			State::AfterCall { in_list, is_closed } => self.after_call(c, in_list, is_closed),
		}
	}

	fn begin(&mut self, c: char, is_after_reasoning: bool) {
		if is_after_reasoning && c.is_whitespace() {
			self.state = State::Begin { is_after_reasoning };
			return;
		}
		self.held.push(c);
		let seen = self.held.trim_start();
		let reasoning = self.reasoning.map(|tags| tags.open).filter(|_| !is_after_reasoning);
		let call = self.format.and_then(ToolFormat::open_tag);
		if reasoning == Some(seen) {
			self.held.clear();
			self.state = State::Reasoning { is_begun: false };
		} else if call == Some(seen) {
			self.state = State::Open { in_list: false };
		} else if reasoning.into_iter().chain(call).any(|tag| tag.starts_with(seen)) && !self.is_full() {
			self.state = State::Begin { is_after_reasoning };
		} else if seen == "{" && self.is_untagged() {
			self.begin_object(c, false);
		} else if seen == "[" && self.format == Some(ToolFormat::Json) {
			self.state = State::Open { in_list: true };
		} else {
			self.again();
		}
	}

	fn reason(&mut self, c: char, mut is_begun: bool) {
		let Some(tags) = self.reasoning else { return self.content(c.encode_utf8(&mut [0; 4])) };
		self.held.push(c);
		loop {
			let seen = self.held.trim_start();
			if seen.is_empty() {
				if !is_begun {
					self.held.clear();
				} else if self.is_full() {
					let text = std::mem::take(&mut self.held);
					self.reasoning(&text);
				}
				break;
			}
			if seen == tags.close {
				self.held.clear();
				self.state = State::Begin { is_after_reasoning: true };
				return;
			}
			// Some models repeat the tag that their prompt ends with.
			let is_open = !is_begun && tags.open.starts_with(seen);
			if is_open && seen == tags.open {
				self.held.clear();
				break;
			}
			if is_open || tags.close.starts_with(seen) {
				break;
			}
			let text = self.release();
			self.reasoning(&text);
			is_begun = true;
		}
		self.state = State::Reasoning { is_begun };
	}

	fn read_content(&mut self, c: char) {
		let Some(tag) = self.format.and_then(ToolFormat::open_tag) else {
			return self.content(c.encode_utf8(&mut [0; 4]));
		};
		self.held.push(c);
		loop {
			let seen = self.held.trim_start();
			if seen == tag {
				self.state = State::Open { in_list: false };
				return;
			}
			if tag.starts_with(seen) && !self.is_full() {
				return;
			}
			let text = self.release();
			self.content(&text);
		}
	}

	/// Whether too much white space is held back, and nothing else.
	fn is_full(&self) -> bool {
		self.held.len() >= MAX_SPACE && self.held.trim_start().is_empty()
	}

	/// Takes the first character that was held back, with the white space in front of it; the white space alone if there is no
	/// other.
	fn release(&mut self) -> String {
		let space = self.held.len() - self.held.trim_start().len();
		let first = self.held[space..].chars().next().map_or(0, char::len_utf8);
		self.held.drain(..space + first).collect()
	}

	fn open(&mut self, c: char, in_list: bool) {
		let may_list = matches!(self.format, Some(ToolFormat::Mistral | ToolFormat::MistralArgs));
		match c {
			'{' => {
				self.held.push(c);
				self.begin_object(c, in_list);
				return;
			},
			'[' if may_list && !in_list => self.state = State::Open { in_list: true },
			_ if is_name(c) && self.format == Some(ToolFormat::MistralArgs) && !in_list => {
				self.state = State::Name(String::from(c));
			},
			_ if c.is_whitespace() => self.state = State::Open { in_list },
			_ => return self.malformed(c),
		}
		self.held.push(c);
	}

	fn name(&mut self, c: char, mut name: String) {
		if is_name(c) {
			self.held.push(c);
			name.push(c);
			self.state = State::Name(name);
		} else if self.names.contains(&name) {
			self.before_arguments(c, name);
		} else {
			self.malformed(c);
		}
	}

	fn marker(&mut self, c: char, name: String, mut tag: String) {
		tag.push(c);
		self.state = match tag.as_str() {
			"[ARGS]" => State::BeforeArguments(name),
			"[CALL_ID]" => State::CallId(name),
			seen if "[ARGS]".starts_with(seen) || "[CALL_ID]".starts_with(seen) => State::Marker(name, tag),
			_ => return self.malformed(c),
		};
		self.held.push(c);
	}

	fn call_id(&mut self, c: char, name: String) {
		if is_name(c) {
			self.held.push(c);
			self.state = State::CallId(name);
		} else {
			self.before_arguments(c, name);
		}
	}

	fn before_arguments(&mut self, c: char, name: String) {
		match c {
			'{' => {
				self.start_call(name);
				self.arguments(c, scan::Value::default());
				return;
			},
			'[' => self.state = State::Marker(name, String::from(c)),
			_ if c.is_whitespace() => self.state = State::BeforeArguments(name),
			_ => return self.malformed(c),
		}
		self.held.push(c);
	}

	fn arguments(&mut self, c: char, mut value: scan::Value) {
		self.delta(c.encode_utf8(&mut [0; 4]));
		self.state = match value.feed(c) {
			Fed::More => State::Arguments(value),
			Fed::End | Fed::EndBefore | Fed::Bad => State::AfterCall { in_list: false, is_closed: true },
		};
	}

	/// Begins to read a call's object. Its brace is held already.
	fn begin_object(&mut self, brace: char, in_list: bool) {
		let mut call = Box::new(scan::Call::new());
		call.feed(brace);
		self.state = State::Object { call, in_list, is_started: false };
	}

	fn object(&mut self, c: char, mut call: Box<scan::Call>, in_list: bool, mut is_started: bool) {
		let fed = call.feed(c);
		if matches!(fed, Fed::Bad | Fed::EndBefore) {
			if !is_started {
				return self.malformed(c);
			}
			// The arguments are complete. Only the end of the object is malformed: it is read again if it is no more than a separator.
			// In a long one there could be calls whose ends are malformed, too, and so on.
			if self.held.len() > MAX_SPACE {
				return self.malformed(c);
			}
			self.state = State::AfterCall { in_list, is_closed: false };
			return chars(std::mem::take(&mut self.held)).chain([c]).for_each(|c| self.feed(c));
		}
		self.held.push(c);
		if !is_started {
			if call.name().is_some_and(|name| !self.names.iter().any(|known| known == name)) {
				return self.reject();
			}
			if let Some(name) = call.start() {
				let name = name.to_owned();
				self.start_call(name);
				is_started = true;
			}
		}
		if is_started {
			let arguments = call.take_arguments();
			if !arguments.is_empty() {
				self.held.clear();
				self.delta(&arguments);
			}
		}
		self.state = match fed {
			Fed::End => {
				self.held.clear();
				State::AfterCall { in_list, is_closed: false }
			},
			_ => State::Object { call, in_list, is_started },
		};
	}

	fn after_call(&mut self, c: char, in_list: bool, is_closed: bool) {
		self.held.push(c);
		let seen = self.held.trim_start();
		let close = (self.format == Some(ToolFormat::Hermes) && !is_closed).then_some("</tool_call>");
		let open = self.format.and_then(ToolFormat::open_tag);
		// Without tags, the next object follows, perhaps behind a separator.
		let next = (self.is_untagged() && !in_list).then(|| seen.strip_prefix([';', ',']).unwrap_or(seen).trim_start());
		let is_undecided = next == Some("") || open.into_iter().chain(close).any(|tag| tag.starts_with(seen));
		if in_list && seen == "," {
			self.state = State::Open { in_list };
		} else if in_list && seen == "]" {
			self.held.clear();
			self.state = State::AfterCall { in_list: false, is_closed };
		} else if open == Some(seen) {
			self.state = State::Open { in_list: false };
		} else if close == Some(seen) {
			self.held.clear();
			self.state = State::AfterCall { in_list, is_closed: true };
		} else if next == Some("{") {
			self.begin_object(c, false);
		} else if self.is_full() {
			self.held.clear();
			self.state = State::AfterCall { in_list, is_closed };
		} else if (seen.is_empty() || is_undecided) && self.held.len() < 2 * MAX_SPACE {
			self.state = State::AfterCall { in_list, is_closed };
		} else {
			self.held.drain(..self.held.len() - self.held.trim_start().len());
			self.again();
		}
	}

	/// Whether a call has no tag in front of it.
	fn is_untagged(&self) -> bool {
		matches!(self.format, Some(ToolFormat::Llama3 | ToolFormat::Json))
	}

	/// Reads the text that was held back as content.
	fn again(&mut self) {
		self.state = State::Content;
		chars(std::mem::take(&mut self.held)).for_each(|c| self.feed(c));
	}

	/// Ends a call that is none, in front of `c`.
	fn malformed(&mut self, c: char) {
		self.reject();
		self.feed(c);
	}

	/// Makes content of the text that was held back, without looking for calls in it.
	fn reject(&mut self) {
		let held = std::mem::take(&mut self.held);
		self.content(&held);
		self.state = State::Content;
	}

	fn start_call(&mut self, name: String) {
		self.held.clear();
		self.out.push(call_start(self.calls, name));
		self.calls += 1;
	}

	fn delta(&mut self, text: &str) {
		if let Some(Part::CallArguments { delta, .. }) = self.out.last_mut() {
			delta.push_str(text);
		} else {
			let index = self.calls.saturating_sub(1);
			self.out.push(Part::CallArguments { index, delta: text.to_owned() });
		}
	}

	fn content(&mut self, text: &str) {
		match self.out.last_mut() {
			_ if text.is_empty() => {},
			Some(Part::Content(before)) => before.push_str(text),
			_ => self.out.push(Part::Content(text.to_owned())),
		}
	}

	fn reasoning(&mut self, text: &str) {
		match self.out.last_mut() {
			_ if text.is_empty() => {},
			Some(Part::Reasoning(before)) => before.push_str(text),
			_ => self.out.push(Part::Reasoning(text.to_owned())),
		}
	}
}

/// Whether a function's name can have this character.
fn is_name(c: char) -> bool {
	c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// The characters of a text that is not kept.
fn chars(text: String) -> impl Iterator<Item = char> {
	text.chars().collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests;
