//! Reads JSON character by character, to find where a value ends and to pass a call's arguments on while they arrive.

use gonka_client::json;

/// The effect of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
	/// It was read; the value goes on.
	More,
	/// It was read and ends the value.
	End,
	/// It was not read: the value ended in front of it.
	EndBefore,
	/// It was not read: it cannot stand here.
	Bad,
}

/// Finds the end of a JSON value. Brackets are counted and not compared, so that a small mistake does not end it early.
#[derive(Clone, Debug, Default)]
pub struct Value {
	depth: usize,
	in_string: bool,
	is_escaped: bool,
	is_literal: bool,
}

impl Value {
	/// Reads the next character. The first one must not be white space.
	pub fn feed(&mut self, c: char) -> Fed {
		if self.in_string {
			match c {
				_ if self.is_escaped => self.is_escaped = false,
				'\\' => self.is_escaped = true,
				'"' => {
					self.in_string = false;
					return self.end_if_outside();
				},
				_ => {},
			}
			return Fed::More;
		}
		if self.is_literal {
			let is_more = c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
			return if is_more { Fed::More } else { Fed::EndBefore };
		}
		match c {
			'"' => self.in_string = true,
			'{' | '[' => self.depth += 1,
			'}' | ']' if self.depth > 0 => {
				self.depth -= 1;
				return self.end_if_outside();
			},
			_ if self.depth > 0 => {},
			_ if c.is_ascii_alphanumeric() || c == '-' => self.is_literal = true,
			_ => return Fed::Bad,
		}
		Fed::More
	}

	fn end_if_outside(&self) -> Fed {
		if self.depth == 0 { Fed::End } else { Fed::More }
	}
}

/// The meaning of a key in a call's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
	Name,
	Arguments,
	Other,
}

/// The place in a call's object.
#[derive(Clone, Debug)]
enum At {
	Open,
	FirstKey,
	Key,
	InKey(Value),
	Colon(Key),
	BeforeValue(Key),
	InValue(Key, Value),
	AfterValue,
}

/// Reads a call's object: `{"name": …, "arguments": {…}}`, with the keys in any order.
#[derive(Clone, Debug)]
pub struct Call {
	at: At,
	/// The text of the value that is being read, as far as it matters.
	raw: String,
	name: Option<String>,
	/// Arguments that were read and not taken yet.
	arguments: String,
	has_arguments: bool,
	is_started: bool,
}

impl Call {
	/// A call whose opening brace comes next.
	pub fn new() -> Self {
		Self {
			at: At::Open,
			raw: String::new(),
			name: None,
			arguments: String::new(),
			has_arguments: false,
			is_started: false,
		}
	}

	/// The name, once it and the beginning of the arguments are known. From then on the object counts as a call.
	pub fn start(&mut self) -> Option<&str> {
		if self.is_started || !self.has_arguments {
			return None;
		}
		let name = self.name.as_deref()?;
		self.is_started = true;
		Some(name)
	}

	/// The name, if it was read.
	pub fn name(&self) -> Option<&str> {
		self.name.as_deref()
	}

	/// Takes the arguments that were read since the last time.
	pub fn take_arguments(&mut self) -> String {
		std::mem::take(&mut self.arguments)
	}

	/// Reads the next character. After [`Fed::End`] the object is complete.
	pub fn feed(&mut self, c: char) -> Fed {
		let is_space = c.is_ascii_whitespace();
		match &mut self.at {
			At::InKey(value) => {
				self.raw.push(c);
				if value.feed(c) == Fed::End {
					let Some(key) = self.key() else { return Fed::Bad };
					self.at = At::Colon(key);
				}
			},
			At::InValue(key, value) => {
				let key = *key;
				let fed = value.feed(c);
				if matches!(fed, Fed::More | Fed::End) {
					self.keep(key, c);
				}
				match fed {
					Fed::More => {},
					Fed::Bad => return Fed::Bad,
					Fed::End | Fed::EndBefore => {
						if !self.end_value(key) {
							return Fed::Bad;
						}
						self.at = At::AfterValue;
						if fed == Fed::EndBefore {
							return self.feed(c);
						}
					},
				}
			},
			_ if is_space => {},
			At::Open if c == '{' => self.at = At::FirstKey,
			At::FirstKey | At::Key if c == '"' => {
				let mut value = Value::default();
				value.feed(c);
				self.raw = String::from(c);
				self.at = At::InKey(value);
			},
			At::Colon(key) if c == ':' => self.at = At::BeforeValue(*key),
			At::BeforeValue(key) => {
				let key = *key;
				if !self.begin_value(key, c) {
					return Fed::Bad;
				}
				let mut value = Value::default();
				if value.feed(c) != Fed::More {
					return Fed::Bad;
				}
				self.raw.clear();
				self.keep(key, c);
				self.at = At::InValue(key, value);
			},
			At::AfterValue if c == ',' => self.at = At::Key,
			At::AfterValue if c == '}' => {
				if self.name.is_none() {
					return Fed::Bad;
				}
				if !self.has_arguments {
					self.has_arguments = true;
					self.arguments = "{}".into();
				}
				return Fed::End;
			},
			At::Open | At::FirstKey | At::Key | At::Colon(_) | At::AfterValue => return Fed::Bad,
		}
		Fed::More
	}

	/// The meaning of the key that was read; `None` if no call has such a key.
	fn key(&self) -> Option<Key> {
		let key: String = json::from_str(&self.raw).ok()?;
		match key.as_str() {
			"name" if self.name.is_none() => Some(Key::Name),
			"arguments" | "parameters" if !self.has_arguments => Some(Key::Arguments),
			"type" | "id" => Some(Key::Other),
			// The call is certain, and there is no way back.
			_ if self.is_started => Some(Key::Other),
			_ => None,
		}
	}

	/// Whether a value of this key can begin with `c`.
	fn begin_value(&mut self, key: Key, c: char) -> bool {
		match key {
			Key::Name => c == '"',
			Key::Arguments => {
				// An object is passed on as it comes. A text in JSON and `null` are known at their end only.
				self.has_arguments = c == '{';
				matches!(c, '{' | '"' | 'n')
			},
			Key::Other => true,
		}
	}

	fn keep(&mut self, key: Key, c: char) {
		match key {
			Key::Arguments if self.has_arguments => self.arguments.push(c),
			Key::Name | Key::Arguments => self.raw.push(c),
			Key::Other => {},
		}
	}

	/// Ends the value; whether it can be this key's.
	fn end_value(&mut self, key: Key) -> bool {
		match key {
			Key::Name => {
				self.name = json::from_str(&self.raw).ok();
				self.name.is_some()
			},
			Key::Arguments if self.has_arguments => true,
			Key::Arguments => {
				let value = json::from_str::<Option<String>>(&self.raw);
				let text = match value {
					Ok(Some(text)) => text,
					Ok(None) => "{}".into(),
					Err(_) => return false,
				};
				let is_object = json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.is_object());
				self.has_arguments = is_object;
				self.arguments = text;
				is_object
			},
			Key::Other => true,
		}
	}
}
