//! Reads completions: from tokens to content, reasoning, calls and log probabilities.

use crate::{
	chat::{
		channels::ANALYSIS,
		format::{ReasoningTags, ToolFormat},
		split::{Part, Splitter},
	},
	openai::types::{CallDelta, ChatLogprob, FunctionDelta, TopLogprob},
	relay::Token,
};
use gonka_tokenizer::Tokenizer;
use std::{collections::HashMap, sync::Arc};

/// How the completions of a request are read.
#[derive(Clone, Debug)]
pub struct Reading {
	/// The text in which the model writes calls, if it may make some.
	pub format: Option<ToolFormat>,
	/// The tags of the model's reasoning.
	pub reasoning: Option<ReasoningTags>,
	/// Whether the prompt ends inside the reasoning.
	pub starts_in_reasoning: bool,
	/// The names of the functions that the model may call.
	pub names: Vec<String>,
	/// Whether only the first call counts.
	pub is_single: bool,
	/// Whether the model has to call: beside its reasoning, a completion that was cut has no text.
	pub must_call: bool,
	/// Whether the client knows calls by their older name only.
	pub is_older: bool,
	/// Number of likeliest tokens whose log probabilities are reported; `None` for no log probabilities.
	pub logprobs: Option<u8>,
	/// The choice among the completions, if there is one.
	pub best: Option<Best>,
	/// Special tokens that are read as text, with their names.
	pub shown: HashMap<u32, &'static str>,
	/// Texts in front of the completions, one for each; empty for none.
	pub echo: Vec<String>,
	/// The model's tokenizer.
	pub tokenizer: Arc<Tokenizer>,
}

/// The choice of the completions of each prompt whose tokens are the likeliest.
#[derive(Clone, Copy, Debug)]
pub struct Best {
	/// Number of completions of each prompt.
	pub of: usize,
	/// Number of those that are returned.
	pub keep: usize,
}

impl Best {
	/// Returns the positions of the completions to keep, from the mean log probability of each, the likeliest of each prompt first.
	/// One without tokens comes last.
	pub fn choose(&self, means: &[Option<f32>]) -> Vec<usize> {
		let of_prompt = |(prompt, means): (usize, &[Option<f32>])| {
			let mut order: Vec<usize> = (0..means.len()).collect();
			let mean = |index: &usize| means.get(*index).copied().flatten().unwrap_or(f32::NEG_INFINITY);
			order.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
			order.truncate(self.keep);
			order.into_iter().map(move |index| prompt.saturating_mul(self.of).saturating_add(index))
		};
		means.chunks(self.of.max(1)).enumerate().flat_map(of_prompt).collect()
	}
}

/// The special tokens that are read as text: tags of calls and of reasoning.
pub fn shown(
	tokenizer: &Tokenizer,
	format: Option<ToolFormat>,
	reasoning: Option<ReasoningTags>,
) -> HashMap<u32, &'static str> {
	let format = format.or_else(|| (reasoning == Some(ANALYSIS)).then_some(ToolFormat::Channels));
	let tags = format.map(ToolFormat::tags).unwrap_or_default().iter().copied();
	let tags = tags.chain(reasoning.into_iter().flat_map(|tags| [tags.open, tags.close]));
	tags.filter_map(|tag| Some((tokenizer.special_id(tag)?, tag))).collect()
}

impl Reading {
	/// Reads texts without calls, reasoning and log probabilities.
	pub fn plain(tokenizer: Arc<Tokenizer>) -> Self {
		Self {
			format: None,
			reasoning: None,
			starts_in_reasoning: false,
			names: Vec::new(),
			is_single: false,
			must_call: false,
			is_older: false,
			logprobs: None,
			best: None,
			shown: HashMap::new(),
			echo: Vec::new(),
			tokenizer,
		}
	}
}

/// The parts of a completion that became certain with a token, or the whole of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
	/// Text for the user.
	pub content: String,
	/// Text of the reasoning.
	pub reasoning: String,
	/// Calls, and pieces of their arguments.
	pub calls: Vec<CallDelta>,
	/// Log probabilities of the tokens.
	pub logprobs: Vec<ChatLogprob>,
}

impl Delta {
	/// Whether there is nothing in it.
	pub fn is_empty(&self) -> bool {
		*self == Self::default()
	}

	/// Adds what comes next. Pieces of one call are joined.
	pub fn add(&mut self, next: Self) {
		self.content.push_str(&next.content);
		self.reasoning.push_str(&next.reasoning);
		self.logprobs.extend(next.logprobs);
		for call in next.calls {
			match self.calls.iter_mut().find(|known| known.index == call.index) {
				Some(known) => known.function.arguments.push_str(&call.function.arguments),
				None => self.calls.push(call),
			}
		}
	}
}

/// Reads one completion.
#[derive(Debug)]
pub struct Reader {
	reading: Arc<Reading>,
	splitter: Option<Splitter>,
	/// Number of calls that have begun and count.
	calls: u32,
	/// Number of tokens of the reasoning.
	reasoning_tokens: u32,
}

impl Reader {
	/// Makes a reader for the start of a completion.
	pub fn new(reading: Arc<Reading>) -> Self {
		let Reading { format, reasoning, starts_in_reasoning, ref names, .. } = *reading;
		let splits = format.is_some() || reasoning.is_some();
		let splitter = splits.then(|| Splitter::new(format, reasoning, starts_in_reasoning, names.clone()));
		Self { reading, splitter, calls: 0, reasoning_tokens: 0 }
	}

	/// Reads a token.
	pub fn push(&mut self, token: Token) -> Delta {
		let mut delta = match &mut self.splitter {
			Some(splitter) => {
				let parts = splitter.push(&token.text);
				self.take(parts)
			},
			None => Delta { content: token.text, ..Delta::default() },
		};
		if !delta.reasoning.is_empty() {
			self.reasoning_tokens = self.reasoning_tokens.saturating_add(1);
		}
		if self.reading.logprobs.is_some() {
			delta.logprobs.push(self.logprob(token.id, token.logprob, &token.top_logprobs));
		}
		delta
	}

	/// Reads the end: `rest` is the text that was held back.
	pub fn finish(&mut self, rest: &str) -> Delta {
		match &mut self.splitter {
			Some(splitter) => {
				let mut parts = splitter.push(rest);
				let last = splitter.finish();
				parts.extend(
					last.into_iter().filter(|part| !(self.reading.must_call && matches!(part, Part::Content(_)))),
				);
				self.take(parts)
			},
			None => Delta { content: rest.to_owned(), ..Delta::default() },
		}
	}

	/// Whether the completion has calls.
	pub fn has_calls(&self) -> bool {
		self.calls > 0
	}

	/// Number of tokens of the reasoning.
	pub fn reasoning_tokens(&self) -> u32 {
		self.reasoning_tokens
	}

	fn take(&mut self, parts: Vec<Part>) -> Delta {
		let mut delta = Delta::default();
		for part in parts {
			let (index, id, name, arguments) = match part {
				Part::Reasoning(text) => {
					delta.reasoning.push_str(&text);
					continue;
				},
				Part::Content(text) => {
					delta.content.push_str(&text);
					continue;
				},
				Part::CallStart { index, id, name } => (index, Some(id), Some(name), String::new()),
				Part::CallArguments { index, delta } => (index, None, None, delta),
			};
			if self.reading.is_single && index > 0 {
				continue;
			}
			self.calls = self.calls.max(index.saturating_add(1));
			let kind = id.as_ref().map(|_| "function");
			let call = CallDelta { index, id, r#type: kind, function: FunctionDelta { name, arguments } };
			delta.add(Delta { calls: vec![call], ..Delta::default() });
		}
		delta
	}

	fn logprob(&self, id: u32, logprob: Option<f32>, top: &[(u32, f32)]) -> ChatLogprob {
		let tokenizer = &self.reading.tokenizer;
		let bytes = |id: u32| tokenizer.special(id).map_or(tokenizer.bytes(id), str::as_bytes).to_vec();
		let entry = |id, logprob: f32| {
			let bytes = bytes(id);
			// JSON has no infinite numbers; −9999 is what OpenAI's API says for the unlikeliest.
			let logprob = if logprob.is_finite() { logprob } else { -9999.0 };
			TopLogprob { token: String::from_utf8_lossy(&bytes).into_owned(), logprob, bytes }
		};
		let own = entry(id, logprob.unwrap_or(f32::NEG_INFINITY));
		let top_logprobs = top.iter().map(|(id, logprob)| entry(*id, *logprob)).collect();
		ChatLogprob { token: own.token, logprob: own.logprob, bytes: own.bytes, top_logprobs }
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_likeliest_completions_of_each_prompt_are_kept() {
		let best = Best { of: 3, keep: 2 };
		let means = [Some(-2.0), Some(-0.5), None, Some(f32::NEG_INFINITY), Some(-9.0), Some(-1.0)];
		assert_eq!(best.choose(&means), [1, 0, 5, 4]);
	}
}
