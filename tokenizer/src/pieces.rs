//! Texts in pieces that llama.cpp can split into tokens.
//!
//! For many vocabularies llama.cpp finds the words of a text by `std::regex`, which calls itself several times for each character
//! of a word: a long one overflows the stack. Words differ: letters, blanks, signs, or all of them without a blank
//! between. And llama.cpp divides a text at the names of user-defined tokens in a time that is quadratic in their number.

use crate::{TokenizerError, names::Names};

/// Maximum number of characters of a word. Each takes up to about 700 bytes of the stack, and threads have 2 MiB.
const MAX_WORD: usize = 1_000;
/// Maximum number of names of user-defined tokens in a piece.
const MAX_NAMES: usize = 100;
/// Signs before which words end, besides those of ASCII.
const SIGNS: &str = "，。、！？：；";

/// Cuts texts. A text without a word of over [`MAX_WORD`] characters is cut only at names and before words, where llama.cpp divides
/// it, too: its pieces have the tokens of the whole.
pub struct Cutter {
	/// Names of the user-defined tokens.
	names: Names,
	words: Words,
}

/// How a vocabulary finds the words of a text, before it merges their characters to tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
	/// It finds none: characters of the whole text are merged.
	None,
	/// In some way.
	Some,
	/// A space between two letters begins a word.
	Spaced,
}

impl Words {
	/// Kinds of vocabularies, as files name them, whose words are [`Words::Spaced`]: those of the usual models.
	pub const SPACED: [&str; 25] = [
		"bailingmoe2",
		"command-r",
		"dbrx",
		"deepseek-r1-qwen",
		"deepseek-v3",
		"exaone4",
		"falcon3",
		"glm4",
		"gpt-2",
		"gpt-4o",
		"grok-2",
		"kimi-k2",
		"llama-bpe",
		"llama4",
		"minimax-m2",
		"olmo",
		"phi-2",
		"pixtral",
		"qwen2",
		"qwen35",
		"seed-coder",
		"smollm",
		"stablelm2",
		"starcoder",
		"tekken",
	];

	/// Returns how the kind of vocabulary with this name finds words.
	pub fn of_kind(name: &str) -> Self {
		if Self::SPACED.contains(&name) { Self::Spaced } else { Self::Some }
	}
}

impl Cutter {
	/// Makes one for a vocabulary with these user-defined tokens.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when they are too many.
	pub fn new(defined: &[(String, u32)], words: Words) -> Result<Self, TokenizerError> {
		Ok(Self { names: Names::new(defined)?, words })
	}

	/// Returns the pieces of a text, in its order.
	pub fn pieces<'a>(&self, text: &'a str) -> Vec<&'a str> {
		let mut cuts = vec![0];
		let mut plain = 0;
		for (count, (name, _)) in self.names.find(text).enumerate() {
			self.cut_words(&text[plain..name.start], plain, &mut cuts);
			if count > 0 && count % MAX_NAMES == 0 {
				cuts.push(name.start);
			}
			plain = name.end;
		}
		self.cut_words(&text[plain..], plain, &mut cuts);
		cuts.push(text.len());
		cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect()
	}

	/// Adds the cuts of a part of a text without names. The part begins at `offset` of the text.
	fn cut_words(&self, part: &str, offset: usize, cuts: &mut Vec<usize>) {
		if self.words == Words::None {
			return;
		}
		let (mut length, mut gap, mut before) = (0, None, None);
		for (at, next) in part.char_indices() {
			match before {
				Some(before) if self.words == Words::Spaced && begins_word(before, &part[at..]) => {
					cuts.push(offset + at);
					(length, gap) = (0, None);
				},
				Some(before) if ends_any_word(before, next) => (length, gap) = (0, None),
				Some(before) if ends_most_words(before, next) => gap = Some((at, length)),
				_ => {},
			}
			if length == MAX_WORD {
				let (cut, kept) = gap.take().unwrap_or((at, length));
				cuts.push(offset + cut);
				length -= kept;
			}
			length += 1;
			before = Some(next);
		}
	}
}

/// Whether there is a space between two letters.
fn begins_word(before: char, rest: &str) -> bool {
	let mut rest = rest.bytes();
	before.is_ascii_alphabetic()
		&& rest.next() == Some(b' ')
		&& rest.next().is_some_and(|after| after.is_ascii_alphabetic())
}

/// Whether no word of any vocabulary goes on from one character to the next. `next` may be the second character of a word whose
/// first one is blank.
fn ends_any_word(before: char, next: char) -> bool {
	let is_sign = |char: char| char.is_ascii_graphic() && !char.is_ascii_alphabetic();
	let ends_line = |char: char| matches!(char, '\r' | '\n');
	match (before.is_whitespace(), next.is_whitespace()) {
		// Ends of lines belong to the signs before them.
		(false, true) => is_sign(before) && !ends_line(next),
		// Some vocabularies join letters over a space, and others slashes over ends of lines.
		(true, false) if before == ' ' => is_sign(next),
		(true, false) => !(ends_line(before) && next == '/'),
		_ => false,
	}
}

/// Whether words end between two characters in almost all vocabularies: long words are cut there, if possible.
fn ends_most_words(before: char, next: char) -> bool {
	let is_cjk = ('\u{3040}'..='\u{9fff}').contains(&before) && before.is_alphanumeric();
	if next == ' ' {
		!before.is_whitespace()
	} else if before.is_ascii_alphanumeric() && next.is_ascii_alphanumeric() {
		before.is_ascii_digit() != next.is_ascii_digit()
	} else {
		let is_sign = next.is_ascii_punctuation() && next != '\'' || SIGNS.contains(next);
		is_sign && (before.is_ascii_alphanumeric() || is_cjk)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn pieces<'a>(names: &[&str], text: &'a str) -> Vec<&'a str> {
		let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).zip(0..).collect();
		let pieces = Cutter::new(&names, Words::Some).unwrap().pieces(text);
		assert_eq!(pieces.concat(), text);
		pieces
	}

	#[test]
	fn ordinary_texts_stay_whole() {
		for text in [
			"",
			"A text of words, with signs. ",
			"one\nword\nin\na\nline\n",
			"fn main() {\n\tprintln!(\"{}\", 1 + 2);\n}\n",
			"| a | table |\n|---|-------|\n",
			"{\"name\": \"value\", \"list\": [1, 2, 3]}",
			"第一段，很长的文字。\n",
		] {
			let text = text.repeat(1_000);
			assert_eq!(pieces(&[], &text), [text.as_str()]);
		}
		let longest = "a".repeat(MAX_WORD);
		assert_eq!(pieces(&[], &longest), [longest.as_str()]);
	}

	#[test]
	fn long_words_are_cut_and_if_possible_where_most_words_end() {
		for word in ["a", "A", "1", " ", "\n", "!", "é", "語", "語」", "/\n", "e\u{301}", "\u{3000}"] {
			let text = word.repeat(20_000);
			let pieces = pieces(&[], &text);
			assert!(pieces.iter().all(|piece| piece.chars().count() <= MAX_WORD), "{word:?}");
			assert_eq!(pieces.len(), text.chars().count() / MAX_WORD, "{word:?}");
		}
		for (text, starts) in [
			("some words without any sign ", " "),
			("one1two", "1t"),
			("{\"key\":\"value\"},", "\""),
			("没有空格的文字，也可以很长。", "，。"),
		] {
			let text = text.repeat(1_000);
			let pieces = pieces(&[], &text);
			assert!(pieces.len() >= text.chars().count() / MAX_WORD, "{text:.20}");
			for piece in &pieces[1..] {
				assert!(piece.starts_with(|char: char| starts.contains(char)), "{piece:.20} of {text:.20}");
			}
		}
	}

	#[test]
	fn names_are_not_cut_and_few_in_a_piece() {
		let text = "<b>a".repeat(10 * MAX_NAMES);
		let expected = vec!["<b>a".repeat(MAX_NAMES); 10];
		assert_eq!(pieces(&["<b>", "<br>"], &text), expected);
		// A name ends a word.
		for length in MAX_WORD - 3..MAX_WORD + 3 {
			let text = format!("{}<b>{}", "a".repeat(length), "a".repeat(MAX_WORD));
			let pieces = pieces(&["<b>"], &text);
			assert_eq!(pieces.len(), 1 + usize::from(length > MAX_WORD));
			assert!(pieces.last().unwrap().contains("<b>"));
		}
	}

	#[test]
	fn words_with_a_space_before_them_are_pieces() {
		let cutter = Cutter::new(&[("a b".to_owned(), 0)], Words::of_kind("gpt-2")).unwrap();
		let text = "Some words, and a sign: one  two\n three a b é f";
		let pieces = ["Some", " words, and", " a", " sign: one  two\n three a b é f"];
		assert_eq!(cutter.pieces(text), pieces);
	}

	#[test]
	fn vocabularies_without_words_are_cut_at_names_only() {
		let text = "a".repeat(10 * MAX_WORD);
		assert_eq!(Cutter::new(&[], Words::None).unwrap().pieces(&text), [text.as_str()]);
	}
}
