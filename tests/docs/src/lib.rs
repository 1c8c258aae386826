//! Checks of the project's texts: documents, comments and messages.
//!
//! The crate reads the files that git knows. It knows nothing of the other crates, so it compiles in seconds.

pub mod markdown;
pub mod rust;
pub mod tree;
pub mod words;

/// A piece of text that a person reads: a paragraph, a comment, a string literal or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
	/// Line on which it begins, from 1.
	pub line: usize,
	/// Where it stands.
	pub kind: Kind,
	/// The text in one line; inline code is left out.
	pub text: String,
}

/// Where a [`Passage`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
	/// A paragraph of a document.
	Document,
	/// The first paragraph of a doc comment.
	DocStart,
	/// Another paragraph of a comment.
	Comment,
	/// A string literal of more than one word.
	Literal,
	/// A name in a source, a literal of one word, or a line of a file that is neither Markdown nor Rust.
	Fragment,
}

impl Passage {
	/// A [`Kind::Fragment`], with spaces between the words of its names: `MaxShare` and `max_share` are both "max share".
	pub fn fragment(line: usize, source: &str) -> Self {
		let mut text = String::new();
		for c in source.chars() {
			if c.is_uppercase() && text.ends_with(char::is_lowercase) {
				text.push(' ');
			}
			text.push(if matches!(c, '_' | '-') { ' ' } else { c });
		}
		Self { line, kind: Kind::Fragment, text }
	}
}

/// Fails with one line for each problem that was found.
pub fn report(problems: Vec<String>) -> anyhow::Result<()> {
	anyhow::ensure!(problems.is_empty(), "{} found:\n{}", problems.len(), problems.join("\n"));
	Ok(())
}
