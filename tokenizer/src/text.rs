//! Text of a completion, given out as early as possible.

/// Joins the bytes of a completion's tokens into text.
///
/// It gives out text as soon as that is final, and holds back the rest: the bytes of an incomplete UTF-8 character, and
/// an ending that may turn out to begin a stop text.
#[derive(Debug, Default)]
pub struct CompletionText {
	stop: Vec<String>,
	/// Bytes that may become a character.
	bytes: Vec<u8>,
	/// Text that may become a stop text.
	held: String,
	/// The position of the stop text that was found.
	found: Option<usize>,
}

impl CompletionText {
	/// Starts an empty completion that ends before the first of the `stop` texts, none of which is empty.
	pub fn new(stop: Vec<String>) -> Self {
		Self { stop, ..Self::default() }
	}

	/// Adds a token's bytes. Returns the text that is now final, and whether a stop text was found: then the completion
	/// is over, and that text is its last.
	pub fn push(&mut self, bytes: &[u8]) -> (String, bool) {
		self.bytes.extend_from_slice(bytes);
		self.decode();
		let places =
			self.stop.iter().enumerate().filter_map(|(index, stop)| Some((self.held.find(stop.as_str())?, index)));
		if let Some((at, index)) = places.min() {
			self.found = Some(index);
			self.held.truncate(at);
			self.bytes.clear();
			return (std::mem::take(&mut self.held), true);
		}
		let kept = self.stop.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
		let tail = self.held.split_off(self.held.len() - kept);
		(std::mem::replace(&mut self.held, tail), false)
	}

	/// Returns the stop text that was found.
	pub fn found(&self) -> Option<&str> {
		self.stop.get(self.found?).map(String::as_str)
	}

	/// Ends the completion. Returns the text that was held back, with U+FFFD for an incomplete character.
	pub fn finish(&mut self) -> String {
		let mut text = std::mem::take(&mut self.held);
		text.push_str(&String::from_utf8_lossy(&self.bytes));
		self.bytes.clear();
		text
	}

	/// Moves all complete characters from `bytes` to `held`, and replaces invalid bytes by U+FFFD.
	fn decode(&mut self) {
		let mut rest = self.bytes.as_slice();
		let incomplete = loop {
			match str::from_utf8(rest) {
				Ok(text) => {
					self.held.push_str(text);
					break 0;
				},
				Err(error) => {
					let (valid, invalid) = rest.split_at(error.valid_up_to());
					self.held.push_str(&String::from_utf8_lossy(valid));
					let Some(length) = error.error_len() else { break invalid.len() };
					self.held.push(char::REPLACEMENT_CHARACTER);
					rest = &invalid[length..];
				},
			}
		};
		self.bytes.drain(..self.bytes.len() - incomplete);
	}
}

/// Returns the length of the longest ending of `text` that is a proper beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
	stop.char_indices().map(|(at, _)| at).rev().find(|&length| text.ends_with(&stop[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn incomplete_characters_are_held_back() {
		let mut completion = CompletionText::new(vec![]);
		let crab = "🦀".as_bytes();
		assert_eq!(completion.push(&crab[..1]), (String::new(), false));
		assert_eq!(completion.push(&crab[1..3]), (String::new(), false));
		assert_eq!(completion.push(&[crab[3], b'!']), ("🦀!".into(), false));
		assert_eq!(completion.push(&crab[..2]), (String::new(), false));
		assert_eq!(completion.finish(), "\u{fffd}");
	}

	#[test]
	fn invalid_bytes_are_replaced() {
		let mut completion = CompletionText::new(vec![]);
		assert_eq!(completion.push(&[b'a', 0xff, b'b', 0xe2, 0x82]), ("a\u{fffd}b".into(), false));
		assert_eq!(completion.push(b"c"), ("\u{fffd}c".into(), false));
	}

	#[test]
	fn a_completion_ends_before_the_earliest_stop_text() {
		let mut completion = CompletionText::new(vec!["END".into(), "\n\n".into()]);
		assert_eq!(completion.push(b"one\n"), ("one".into(), false));
		assert_eq!(completion.push(b"two E"), ("\ntwo ".into(), false));
		assert_eq!(completion.push(b"N"), (String::new(), false));
		assert_eq!(completion.found(), None);
		assert_eq!(completion.push(b"D of\n\n"), (String::new(), true));
		assert_eq!(completion.found(), Some("END"));
		assert_eq!(completion.finish(), "");
	}

	#[test]
	fn held_text_is_given_out_when_it_does_not_become_a_stop_text() {
		let mut completion = CompletionText::new(vec!["aab".into()]);
		assert_eq!(completion.push(b"aa"), (String::new(), false));
		assert_eq!(completion.push(b"a"), ("a".into(), false));
		assert_eq!(completion.finish(), "aa");
	}

	proptest! {
		#[test]
		fn the_text_does_not_depend_on_how_the_bytes_are_split(
			text in "[ab🦀]{0,12}",
			stop in proptest::collection::vec("[ab🦀]{1,3}", 0..3),
			cut in 1usize..4,
		) {
			let mut completion = CompletionText::new(stop.clone());
			let mut out = String::new();
			let mut stopped = false;
			for piece in text.as_bytes().chunks(cut) {
				let (new, stop_now) = completion.push(piece);
				out.push_str(&new);
				if stop_now {
					stopped = true;
					break;
				}
			}
			out.push_str(&completion.finish());
			let first_end = stop.iter()
				.filter_map(|stop| text.find(stop.as_str()).map(|at| at + stop.len()))
				.min();
			prop_assert_eq!(stopped, first_end.is_some());
			match first_end {
				None => prop_assert_eq!(out, text),
				Some(_) => prop_assert!(
					text.starts_with(&out) && !stop.iter().any(|stop| out.contains(stop.as_str()))
				),
			}
		}
	}
}
