//! Names of tokens in texts.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use crate::TokenizerError;

/// Finds names of tokens in texts, in a time that does not depend on how many names there are.
pub struct Names {
	finder: AhoCorasick,
	/// Ids, in the order of the finder's names.
	ids: Vec<u32>,
}

impl Names {
	/// Makes a finder of names and ids of tokens. Empty names are found nowhere.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when they are too many.
	pub fn new(tokens: &[(String, u32)]) -> Result<Self, TokenizerError> {
		let named = || tokens.iter().filter(|(name, _)| !name.is_empty());
		let finder = AhoCorasick::builder()
			.match_kind(MatchKind::LeftmostLongest)
			.build(named().map(|(name, _)| name))
			.map_err(|error| TokenizerError::Model(format!("names of tokens: {error}")))?;
		Ok(Self { finder, ids: named().map(|(_, id)| *id).collect() })
	}

	/// Returns where names stand in a text, with their tokens' ids. Of names that overlap it has the first one, and of names that
	/// begin at one place the longest.
	pub fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Range<usize>, u32)> + 'a {
		let found = self.finder.find_iter(text);
		found.filter_map(move |found| Some((found.range(), *self.ids.get(found.pattern().as_usize())?)))
	}

	/// Returns a text with `mark` behind the first character of every name in it, also of those that overlap; `None` if it has no
	/// name.
	pub fn marked(&self, text: &str, mark: char) -> Option<String> {
		let mut marked = String::new();
		let mut from = 0;
		while let Some(found) = self.finder.find(Input::new(text).range(from..)) {
			let first = text[found.start()..].chars().next()?;
			let end = found.start() + first.len_utf8();
			marked.push_str(&text[from..end]);
			marked.push(mark);
			from = end;
		}
		marked.push_str(&text[from..]);
		(from > 0).then_some(marked)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn names(names: &[&str]) -> Names {
		Names::new(&names.iter().map(|name| (*name).to_owned()).zip(10..).collect::<Vec<_>>()).unwrap()
	}

	#[test]
	fn the_longest_name_at_the_first_place_is_found() {
		let find = |list: &[&str], text| names(list).find(text).collect::<Vec<_>>();
		assert_eq!(find(&["<a", "<a>", "a>"], "x<a><a"), [(1..4, 11), (4..6, 10)]);
		assert_eq!(find(&["", "é"], "aéa"), [(1..3, 11)]);
		assert!(find(&[], "a").is_empty());
	}

	#[test]
	fn every_name_is_marked() {
		let marked = |list: &[&str], text| names(list).marked(text, '_');
		assert_eq!(marked(&["||"], "a||||é").as_deref(), Some("a|_|_|_|é"));
		assert_eq!(marked(&["<é>", "é>b"], "<é>b").as_deref(), Some("<_é_>b"));
		assert_eq!(marked(&["<a>"], "<a"), None);
	}
}
