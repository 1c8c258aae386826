//! From a stream of tokens' bytes to text that can be shown at once.

/// Joins the bytes of an answer's tokens into text.
///
/// It gives out text as soon as that is final, and holds back the rest: the bytes of an
/// incomplete UTF-8 character, and an ending that may turn out to begin a stop text.
#[derive(Debug, Default)]
pub struct AnswerText {
	stop: Vec<String>,
	/// Bytes that may become a character.
	bytes: Vec<u8>,
	/// Text that may become a stop text.
	held: String,
}

impl AnswerText {
	/// An empty answer that ends before the first of the `stop` texts, none of which is empty.
	pub fn new(stop: Vec<String>) -> Self {
		Self { stop, ..Self::default() }
	}

	/// Adds a token's bytes. Returns the text that is now final, and whether a stop text came
	/// up: then the answer is over, and that text is its last.
	pub fn push(&mut self, bytes: &[u8]) -> (String, bool) {
		self.bytes.extend_from_slice(bytes);
		self.decode();
		if let Some(at) = self.stop.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
			self.held.truncate(at);
			self.bytes.clear();
			return (std::mem::take(&mut self.held), true);
		}
		let kept = self.stop.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
		let tail = self.held.split_off(self.held.len() - kept);
		(std::mem::replace(&mut self.held, tail), false)
	}

	/// Ends the answer. Returns what was held back, with U+FFFD for an incomplete character.
	pub fn finish(&mut self) -> String {
		let mut text = std::mem::take(&mut self.held);
		text.push_str(&String::from_utf8_lossy(&self.bytes));
		self.bytes.clear();
		text
	}

	/// Moves all complete characters from `bytes` to `held`, and U+FFFD for what cannot become
	/// one.
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

/// The length of the longest ending of `text` that is a proper beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
	stop.char_indices().map(|(at, _)| at).rev().find(|&length| text.ends_with(&stop[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn holds_back_incomplete_characters() {
		let mut answer = AnswerText::new(vec![]);
		let crab = "🦀".as_bytes();
		assert_eq!(answer.push(&crab[..1]), (String::new(), false));
		assert_eq!(answer.push(&crab[1..3]), (String::new(), false));
		assert_eq!(answer.push(&[crab[3], b'!']), ("🦀!".into(), false));
		assert_eq!(answer.push(&crab[..2]), (String::new(), false));
		assert_eq!(answer.finish(), "\u{fffd}");
	}

	#[test]
	fn replaces_bytes_that_no_character_has() {
		let mut answer = AnswerText::new(vec![]);
		assert_eq!(answer.push(&[b'a', 0xff, b'b', 0xe2, 0x82]), ("a\u{fffd}b".into(), false));
		assert_eq!(answer.push(b"c"), ("\u{fffd}c".into(), false));
	}

	#[test]
	fn ends_before_the_earliest_stop_text() {
		let mut answer = AnswerText::new(vec!["END".into(), "\n\n".into()]);
		assert_eq!(answer.push(b"one\n"), ("one".into(), false));
		assert_eq!(answer.push(b"two E"), ("\ntwo ".into(), false));
		assert_eq!(answer.push(b"N"), (String::new(), false));
		assert_eq!(answer.push(b"D of\n\n"), (String::new(), true));
		assert_eq!(answer.finish(), "");
	}

	#[test]
	fn gives_out_what_did_not_become_a_stop_text() {
		let mut answer = AnswerText::new(vec!["aab".into()]);
		assert_eq!(answer.push(b"aa"), (String::new(), false));
		assert_eq!(answer.push(b"a"), ("a".into(), false));
		assert_eq!(answer.finish(), "aa");
	}

	proptest! {
		#[test]
		fn pieces_make_the_same_answer_as_the_whole(
			text in "[ab🦀]{0,12}",
			stop in proptest::collection::vec("[ab🦀]{1,3}", 0..3),
			cut in 1usize..4,
		) {
			let mut answer = AnswerText::new(stop.clone());
			let mut out = String::new();
			let mut stopped = false;
			for piece in text.as_bytes().chunks(cut) {
				let (new, stop_now) = answer.push(piece);
				out.push_str(&new);
				if stop_now {
					stopped = true;
					break;
				}
			}
			out.push_str(&answer.finish());
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
