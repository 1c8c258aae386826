//! The list of words that texts must not use.

use crate::{Kind, Passage};
use anyhow::{Context, Result, bail};
use regex::{Regex, RegexBuilder};

/// A word or phrase that the glossary replaced.
pub struct Rule {
	pattern: Regex,
	scope: Scope,
	/// What to write in its place.
	pub instead: String,
	/// Paths, each with a part of the passage that may stay; an empty part stands for the whole file.
	exceptions: Vec<(String, String)>,
}

/// The part of a passage that a rule reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
	/// All of it.
	Words,
	/// The beginnings of its sentences. Questions, and headings and cells without a full stop, are none; literals and doc
	/// comments need no full stop.
	Sentences,
	/// The beginning of a doc comment.
	DocStart,
}

impl Rule {
	/// Parses a list: `pattern → replacement`, each followed by lines `except path` or `except path: text`. A line
	/// `[words]`, `[sentences]` or `[doc comments]` says what the rules below it read.
	pub fn parse(list: &str) -> Result<Vec<Self>> {
		let mut rules = Vec::<Self>::new();
		let mut scope = Scope::Words;
		for line in list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
			match line {
				"[words]" => scope = Scope::Words,
				"[sentences]" => scope = Scope::Sentences,
				"[doc comments]" => scope = Scope::DocStart,
				_ => {
					if let Some(exception) = line.trim_start().strip_prefix("except ") {
						let (path, text) = exception.split_once(": ").unwrap_or((exception, ""));
						let rule = rules.last_mut().context("an exception without a rule")?;
						rule.exceptions.push((path.to_owned(), text.to_owned()));
					} else if let Some((pattern, instead)) = line.split_once(" → ") {
						rules.push(Self::new(pattern, scope, instead)?);
					} else {
						bail!("neither a rule nor an exception: {line}");
					}
				},
			}
		}
		Ok(rules)
	}

	fn new(pattern: &str, scope: Scope, instead: &str) -> Result<Self> {
		// ASCII boundaries only: with Unicode's the engine is many times slower.
		let start = if scope == Scope::Words { r"(?-u:\b)" } else { "^" };
		let pattern = format!(r"{start}(?:{})(?-u:\b)", pattern.replace(r"\w", "[a-z]"));
		let pattern = RegexBuilder::new(&pattern).case_insensitive(true).build()?;
		Ok(Self { pattern, scope, instead: instead.to_owned(), exceptions: Vec::new() })
	}

	/// The banned words in a passage of the file at `path`.
	pub fn find<'a>(&self, path: &str, passage: &'a Passage) -> Vec<&'a str> {
		let parts: Vec<&str> = match self.scope {
			Scope::Words => vec![&passage.text],
			Scope::Sentences if passage.kind == Kind::Fragment => Vec::new(),
			Scope::Sentences => {
				let sentences = passage.text.split_inclusive(['.', '?', '!']);
				let sentences = sentences.map(|sentence| sentence.trim_start_matches([' ', '*']));
				let open = matches!(passage.kind, Kind::Literal | Kind::DocStart);
				let ends = |end: &str| end.ends_with('.') || open && !end.ends_with('?');
				sentences.filter(|sentence| ends(sentence.trim_end_matches([' ', '*']))).collect()
			},
			Scope::DocStart if passage.kind == Kind::DocStart => vec![&passage.text],
			Scope::DocStart => Vec::new(),
		};
		let allowed = |(file, text): &(String, String)| file == path && passage.text.contains(text);
		let found: Vec<_> =
			parts.into_iter().flat_map(|part| self.pattern.find_iter(part)).map(|at| at.as_str()).collect();
		if self.exceptions.iter().any(allowed) { Vec::new() } else { found }
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn find(rule: &Rule, path: &str, kind: Kind, text: &str) -> usize {
		rule.find(path, &Passage { line: 1, kind, text: text.into() }).len()
	}

	#[test]
	fn a_rule_finds_whole_words_and_knows_its_exceptions() {
		let rules = Rule::parse("# words\n[words]\nracers? → participant\n\texcept a.md: the old\n").unwrap();
		assert_eq!(find(&rules[0], "b.md", Kind::Document, "Racers and the old racer."), 2);
		assert_eq!(find(&rules[0], "a.md", Kind::Document, "Racers and the old racer."), 0);
		assert_eq!(find(&rules[0], "a.md", Kind::Document, "Racers."), 1);
		assert_eq!(find(&rules[0], "b.md", Kind::Document, "embracers"), 0);
	}

	#[test]
	fn a_sentence_rule_reads_the_beginning_of_statements() {
		let rules = Rule::parse("[sentences]\nwho \\w+ → a host\n").unwrap();
		assert_eq!(find(&rules[0], "a.md", Kind::Comment, "Who pays? A developer. Who owes, pays."), 1);
		assert_eq!(find(&rules[0], "a.md", Kind::Comment, "A host who owes, pays."), 0);
		assert_eq!(find(&rules[0], "a.md", Kind::Document, "**Who owes** pays."), 1);
		assert_eq!(find(&rules[0], "a.md", Kind::Document, "Who pays"), 0, "a heading");
		assert_eq!(find(&rules[0], "a.rs", Kind::Literal, "who owes {} pays"), 1);
		assert_eq!(find(&rules[0], "a.rs", Kind::Fragment, "who pays"), 0, "a name");
	}

	#[test]
	fn a_rule_for_words_reads_the_words_of_names() {
		let rules = Rule::parse("[words]\nsettled epochs? → weighed epoch\n").unwrap();
		for name in ["SettledEpoch", "last_settled_epochs", "settled-epoch"] {
			assert_eq!(rules[0].find("a.rs", &Passage::fragment(1, name)).len(), 1, "{name}");
		}
	}

	#[test]
	fn a_rule_for_doc_comments_reads_their_beginning() {
		let rules = Rule::parse("[doc comments]\nmost \\w+ → maximum\n").unwrap();
		assert_eq!(find(&rules[0], "b.rs", Kind::Comment, "Most hosts do."), 0);
		assert_eq!(find(&rules[0], "b.rs", Kind::DocStart, "Most hosts of a set."), 1);
		assert_eq!(find(&rules[0], "b.rs", Kind::DocStart, "A set of most hosts."), 0);
	}
}
