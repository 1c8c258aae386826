//! Comments, string literals and names of Rust sources.

use crate::{Kind, Passage, markdown};
use std::collections::BTreeSet;

/// The passages of a source file: paragraphs of comments, string literals, and the names that occur, each once.
pub fn passages(source: &str) -> Vec<Passage> {
	let mut all = Vec::new();
	let mut names = BTreeSet::new();
	let mut block: Option<Block> = None;
	let mut rest = source;
	let mut next_line = 1;
	while let Some(c) = rest.chars().next() {
		let line = next_line;
		let comment = rest.starts_with("//");
		let length = match c {
			_ if comment => rest.find('\n').unwrap_or(rest.len()),
			'"' => string_length(rest),
			'b' | 'r' if is_raw(rest) => raw_length(rest),
			'\'' => char_length(rest),
			c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
			c => c.len_utf8(),
		};
		let (token, after) = rest.split_at(length);
		rest = after;
		next_line += token.matches('\n').count();
		if comment {
			let mark = ["///", "//!"].into_iter().find(|mark| token.starts_with(mark)).unwrap_or("//");
			let text = &token[mark.len()..];
			match &mut block {
				Some(block) if block.mark == mark && block.next == line => block.push(text),
				_ => {
					all.extend(block.take().map(Block::paragraphs).into_iter().flatten());
					block = Some(Block { mark, line, next: line + 1, text: text.to_owned() });
				},
			}
		} else if c != '\'' && token.contains('"') {
			all.push(literal(line, token));
		} else if is_name(c) && names.insert(token) {
			all.push(Passage::fragment(line, token));
		}
	}
	all.extend(block.map(Block::paragraphs).into_iter().flatten());
	all
}

/// A string literal; one of a single word is a name, such as a key of JSON.
fn literal(line: usize, token: &str) -> Passage {
	let text = token.trim_start_matches(['b', 'r']).trim_matches('#').trim_matches('"');
	let text = text.replace("\\\n", " ").replace("\\n", " ").replace("\\t", " ");
	let words: Vec<&str> = text.split_whitespace().collect();
	match words.as_slice() {
		[word] => Passage::fragment(line, word),
		words => Passage { line, kind: Kind::Literal, text: words.join(" ") },
	}
}

/// Comment lines that follow each other.
struct Block<'a> {
	mark: &'a str,
	line: usize,
	next: usize,
	text: String,
}

impl Block<'_> {
	fn push(&mut self, text: &str) {
		self.text.push('\n');
		self.text.push_str(text);
		self.next += 1;
	}

	/// The paragraphs. A comment between statements has none of [`Kind::DocStart`].
	fn paragraphs(self) -> Vec<Passage> {
		let text: Vec<&str> = self.text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
		let mut paragraphs = markdown::parse(&text.join("\n")).prose;
		for (index, paragraph) in paragraphs.iter_mut().enumerate() {
			paragraph.line += self.line - 1;
			paragraph.kind = if index == 0 && self.mark != "//" { Kind::DocStart } else { Kind::Comment };
		}
		paragraphs
	}
}

fn is_name(c: char) -> bool {
	c.is_alphanumeric() || c == '_'
}

fn is_raw(rest: &str) -> bool {
	let start = rest.strip_prefix('b').unwrap_or(rest);
	start.strip_prefix('r').is_some_and(|start| start.trim_start_matches('#').starts_with('"'))
}

/// Length of `r#"…"#` with any number of `#`.
fn raw_length(rest: &str) -> usize {
	let start = rest.find('"').map_or(rest.len(), |quote| quote + 1);
	let end = format!("\"{}", "#".repeat(rest[..start].matches('#').count()));
	rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
}

fn string_length(rest: &str) -> usize {
	let mut escaped = false;
	for (at, byte) in rest.bytes().enumerate().skip(1) {
		match byte {
			_ if escaped => escaped = false,
			b'\\' => escaped = true,
			b'"' => return at + 1,
			_ => {},
		}
	}
	rest.len()
}

/// Length of a character literal, or of the quote of a lifetime.
fn char_length(rest: &str) -> usize {
	let mut characters = rest.char_indices().skip(1);
	match characters.next() {
		Some((_, '\\')) => rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 3),
		Some(_) => characters.next().filter(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
		None => 1,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn comments_literals_and_names_are_passages() {
		let source = "//! The crate.\n\n/// What it is,\n/// in two lines.\n///\n/// More.\nfn two_words<'a>(c: &'a str) {\n\tlet _ = ('\"', '\\'', \"one\");\n\t// Why.\n\tprintln!(\"two words // \\\"here\\\" \\\n\t\tand more\");\n\tlet _ = r#\"raw \" text\"#;\n}\n";
		let mut found = passages(source);
		found.sort_by_key(|passage| passage.line);
		let (names, texts): (Vec<_>, Vec<_>) = found.iter().partition(|passage| passage.kind == Kind::Fragment);
		let texts: Vec<_> = texts.iter().map(|passage| (passage.line, passage.kind, passage.text.as_str())).collect();
		assert_eq!(
			texts,
			[
				(1, Kind::DocStart, "The crate."),
				(3, Kind::DocStart, "What it is, in two lines."),
				(6, Kind::Comment, "More."),
				(9, Kind::Comment, "Why."),
				(10, Kind::Literal, "two words // \\\"here\\\" and more"),
				(12, Kind::Literal, "raw \" text"),
			]
		);
		let names: Vec<_> = names.iter().map(|passage| (passage.line, passage.text.as_str())).collect();
		assert_eq!(
			names,
			[
				(7, "fn"),
				(7, "two words"),
				(7, "a"),
				(7, "c"),
				(7, "str"),
				(8, "let"),
				(8, " "),
				(8, "one"),
				(10, "println")
			]
		);
	}
}
