//! The parts of Markdown that the checks read: headings' anchors, links, code and prose.

use crate::{Kind, Passage};
use regex::Regex;
use std::{
	collections::{BTreeMap, BTreeSet},
	sync::LazyLock,
};

/// A parsed document. Line numbers count from 1.
#[derive(Debug, Default)]
pub struct Markdown {
	/// Anchors of the headings, as GitHub makes them.
	pub anchors: BTreeSet<String>,
	/// Targets of links and images.
	pub links: Vec<(usize, String)>,
	/// Inline code, and the lines of code blocks.
	pub code: Vec<(usize, String)>,
	/// Paragraphs, list items, table cells and headings.
	pub prose: Vec<Passage>,
}

static CODE: LazyLock<Regex> = LazyLock::new(|| regex("`+([^`]+)`+"));
static LINK: LazyLock<Regex> =
	LazyLock::new(|| regex(r#"\]\(<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)|(?:src|href)="([^"]+)""#));
static ITEM: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s*(?:[-*+]|\d+\.)\s+"));

#[allow(clippy::expect_used, reason = "every pattern is a literal of this file")]
fn regex(pattern: &str) -> Regex {
	Regex::new(pattern).expect("the pattern is valid")
}

/// Parses a document.
pub fn parse(text: &str) -> Markdown {
	let mut markdown = Markdown::default();
	let mut slugs = BTreeMap::<String, u32>::new();
	let (mut fence, mut paragraph) = (None::<&str>, None::<Passage>);
	for (line, text) in text.lines().enumerate().map(|(index, text)| (index + 1, text)) {
		let trimmed = text.trim_start();
		if let Some(mark) = fence {
			if trimmed.starts_with(mark) {
				fence = None;
			} else {
				markdown.code.push((line, text.to_owned()));
			}
			continue;
		}
		let heading = trimmed.trim_start_matches('#').strip_prefix(' ').filter(|_| text.starts_with('#'));
		let starts = heading.is_some() || ITEM.is_match(text) || trimmed.starts_with(['|', '>']);
		if trimmed.is_empty() || starts {
			markdown.prose.extend(paragraph.take());
		}
		if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark)) {
			markdown.prose.extend(paragraph.take());
			fence = Some(mark);
			continue;
		}
		if let Some(heading) = heading {
			let slug = slug(heading);
			let count = slugs.entry(slug.clone()).or_default();
			markdown.anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
			*count += 1;
		}
		markdown.code.extend(CODE.captures_iter(text).map(|found| (line, found[1].to_owned())));
		let plain = CODE.replace_all(text, "``");
		for found in LINK.captures_iter(&plain) {
			let target = found.iter().skip(1).flatten().next();
			markdown.links.extend(target.map(|target| (line, target.as_str().to_owned())));
		}
		if trimmed.starts_with('|') {
			let cells = plain.split('|').map(str::trim).filter(|cell| !cell.is_empty());
			markdown.prose.extend(cells.map(|cell| passage(line, cell)));
		} else if !trimmed.is_empty() {
			let words =
				heading.map_or_else(|| ITEM.replace(&plain, ""), |_| plain.trim_start_matches(['#', ' ']).into());
			match &mut paragraph {
				Some(paragraph) => {
					paragraph.text.push(' ');
					paragraph.text.push_str(words.trim());
				},
				None => paragraph = Some(passage(line, words.trim())),
			}
			if heading.is_some() {
				markdown.prose.extend(paragraph.take());
			}
		}
	}
	markdown.prose.extend(paragraph);
	markdown
}

fn passage(line: usize, text: &str) -> Passage {
	Passage { line, kind: Kind::Document, text: text.to_owned() }
}

/// The anchor of a heading: lower case, spaces as hyphens, no punctuation; links count by their text.
fn slug(heading: &str) -> String {
	let mut text = String::new();
	let mut rest = heading.trim();
	while let Some((before, after)) = rest.split_once("](") {
		text.push_str(before);
		rest = after.split_once(')').map_or("", |(_, after)| after);
	}
	text.push_str(rest);
	let kept = text.to_lowercase().replace(' ', "-");
	kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn headings_get_githubs_anchors() {
		let text = "# `--device cuda:0`: what, and why?\n## Times\n## Times\n## See [the docs](docs/x.md) first\n";
		let expected = ["--device-cuda0-what-and-why", "see-the-docs-first", "times", "times-1"];
		assert_eq!(parse(text).anchors, expected.map(String::from).into());
	}

	#[test]
	fn links_in_code_are_no_links() {
		let markdown = parse("[a](b.md) `[c](d.md)`\n\n```sh\n[e](f.md)\nmake test\n```\n![g](h.svg \"title\")\n");
		assert_eq!(markdown.links, [(1, "b.md".into()), (7, "h.svg".into())]);
		assert_eq!(markdown.code[0], (1, "[c](d.md)".into()));
		assert_eq!(markdown.code[2], (5, "make test".into()));
	}

	#[test]
	fn a_paragraph_is_one_passage_and_a_list_item_begins_another() {
		let markdown = parse("One\ntwo `code`.\n- three\n  four\n\n| five | six |\n");
		let prose: Vec<_> = markdown.prose.iter().map(|passage| (passage.line, passage.text.as_str())).collect();
		assert_eq!(prose, [(1, "One two ``."), (3, "three four"), (6, "five"), (6, "six")]);
	}
}
