//! Texts use the glossary's words, and the glossary names what exists.

use anyhow::{Context, Result};
use gonka_docs_tests::{
	Passage, markdown, report, rust,
	tree::{File, Tree},
	words::Rule,
};
use regex::Regex;

/// Files whose texts are not read: the list itself, what was measured in the past, and what others wrote.
const SKIPPED: [&str; 8] = [
	"tests/docs/",
	"benches/results/",
	"docs/img/",
	"LICENSE",
	"Cargo.lock",
	"examples/package-lock.json",
	"tests/clients/node/package-lock.json",
	"benches/calibration/src/prompts.txt",
];

#[test]
fn texts_use_the_words_of_the_glossary() -> Result<()> {
	let tree = Tree::read()?;
	let rules = Rule::parse(&tree.file("tests/docs/banned.txt").context("there is no tests/docs/banned.txt")?.text)?;
	let mut problems = Vec::new();
	for file in tree.files.iter().filter(|file| !SKIPPED.iter().any(|path| file.path.starts_with(path))) {
		for passage in passages(file) {
			for rule in &rules {
				for found in rule.find(&file.path, &passage) {
					problems.push(format!("{}:{}: \"{found}\" → {}", file.path, passage.line, rule.instead));
				}
			}
		}
	}
	report(problems)
}

fn passages(file: &File) -> Vec<Passage> {
	match file.path.rsplit_once('.') {
		Some((_, "md")) => markdown::parse(&file.text).prose,
		Some((_, "rs")) => rust::passages(&file.text),
		_ => file.text.lines().enumerate().map(|(index, line)| Passage::fragment(index + 1, line)).collect(),
	}
}

#[test]
fn the_glossary_names_items_that_exist() -> Result<()> {
	let tree = Tree::read()?;
	let glossary = tree.file("docs/glossary.md").context("there is no docs/glossary.md")?;
	let carrier = Regex::new("`([^`]+)`")?;
	let mut problems = Vec::new();
	for (line, row) in glossary.text.lines().enumerate() {
		let Some(cell) = row.split('|').nth(2).filter(|_| row.starts_with('|')) else { continue };
		for name in carrier.captures_iter(cell) {
			if !exists(&tree, &name[1])? {
				problems.push(format!("docs/glossary.md:{}: there is no `{}`", line + 1, &name[1]));
			}
		}
	}
	report(problems)
}

/// Whether the sources hold the option, package, item, or member of a type that the glossary names.
fn exists(tree: &Tree, name: &str) -> Result<bool> {
	let mut sources = tree.with_extension(&["rs"]);
	if let Some(option) = name.strip_prefix("--") {
		let field = Regex::new(&format!(r"\b{}\b", option.replace('-', "_")))?;
		return Ok(sources.any(|file| field.is_match(&file.text)));
	}
	let parts: Vec<&str> = name.split("::").collect();
	let root = parts.first().copied().unwrap_or_default();
	let lock = &tree.file("Cargo.lock").context("there is no Cargo.lock")?.text;
	let package = |name: &str| lock.contains(&format!("\nname = \"{}\"\n", name.replace('_', "-")));
	let ours = |name: &str| {
		tree.with_extension(&["toml"]).any(|file| file.text.contains(&format!("name = \"{}\"", name.replace('_', "-"))))
	};
	// A package, or an item of one that is not ours.
	if parts.len() == 1 && package(root) || package(root) && !ours(root) {
		return Ok(true);
	}
	let is_type = |name: &str| name.starts_with(char::is_uppercase);
	let (modules, items): (Vec<&str>, Vec<&str>) = match parts.iter().position(|part| is_type(part)) {
		Some(first) => (parts[..first].to_vec(), parts[first..].to_vec()),
		None => (parts[..parts.len() - 1].to_vec(), parts[parts.len() - 1..].to_vec()),
	};
	let declares = |item: &str| Regex::new(&format!(r"\b(?:struct|enum|trait|type|fn|mod|const)\s+{item}\b"));
	let declared = declares(items[0])?;
	let member = items.get(1).map(|member| Regex::new(&format!(r"\b{member}\b"))).transpose()?;
	Ok(sources.any(|file| {
		let path = file.path.replace('-', "_");
		let within = |module: &&str| {
			let module = module.trim_start_matches("pallet_").trim_start_matches("gonka_");
			path.split(['/', '.']).any(|part| part == module) || file.text.contains(&format!("mod {module}"))
		};
		modules.iter().all(within)
			&& declared.is_match(&file.text)
			&& member.as_ref().is_none_or(|member| member.is_match(&file.text))
	}))
}
