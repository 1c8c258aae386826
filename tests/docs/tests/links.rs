//! Links, paths and commands lead somewhere.

use anyhow::{Context, Result};
use gonka_docs_tests::{
	markdown::{self, Markdown},
	report,
	tree::{File, Tree},
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// Ends by which a code span with a folder in it is a path, wherever it begins.
const EXTENSIONS: [&str; 8] = [".rs", ".md", ".toml", ".py", ".cjs", ".ts", ".sh", ".svg"];

#[test]
fn links_of_documents_lead_to_files_and_headings() -> Result<()> {
	let tree = Tree::read()?;
	let documents = documents(&tree);
	let mut problems = Vec::new();
	for (path, document) in &documents {
		for (line, target) in &document.links {
			// The web, and items of crates whose documentation includes the document: rustdoc knows these.
			if target.contains("://") || target.contains("::") {
				continue;
			}
			if let Some(reason) = dead(&tree, &documents, path, target) {
				problems.push(format!("{path}:{line}: {target}: {reason}"));
			}
		}
	}
	report(problems)
}

#[test]
fn references_outside_of_links_lead_to_documents_and_headings() -> Result<()> {
	let tree = Tree::read()?;
	let documents = documents(&tree);
	let reference = Regex::new(r"(?:^|[^\w/.$-])((?:[\w.-]+/)*[\w-]+\.md(?:#[\w-]+)?)")?;
	let mut problems = Vec::new();
	for file in texts(&tree) {
		for (line, text) in file.text.lines().enumerate() {
			for target in reference.captures_iter(text).map(|found| found[1].to_owned()) {
				// The name alone may be a file that a program writes.
				let ours = target.contains(['/', '#']) || target.starts_with(char::is_uppercase);
				// From the file, from the folder `docs`, or from the root, whichever folder of a crate leads there.
				let root = target.trim_start_matches("../");
				let places = [(file.path.as_str(), target.as_str()), ("docs/", &target), ("", root)];
				if ours && places.iter().all(|(from, target)| dead(&tree, &documents, from, target).is_some()) {
					problems.push(format!("{}:{}: {target}: no such file or heading", file.path, line + 1));
				}
			}
		}
	}
	report(problems)
}

#[test]
fn paths_in_documents_exist() -> Result<()> {
	let tree = Tree::read()?;
	let path = Regex::new(r"^[\w.-]+(?:/[\w.-]+)*/?$")?;
	let script = Regex::new(r"(?:^|[\s`])(scripts/[a-z][\w./-]*)")?;
	let mut problems = Vec::new();
	for (document, parsed) in documents(&tree) {
		for (line, code) in parsed.code {
			let is_path = path.is_match(&code) && code.contains('/') && {
				let first = code.split('/').next().unwrap_or_default();
				let is_folder = code.matches('/').count() == 1 && code.ends_with('/');
				let is_variable = first.chars().all(|c| c.is_uppercase());
				let known =
					Tree::resolve(&document, first).is_some_and(|path| tree.exists(&path)) || tree.exists(first);
				!is_variable && (known || is_folder || EXTENSIONS.iter().any(|end| code.ends_with(end)))
			};
			let scripts = script.captures_iter(&code).map(|found| found[1].to_owned());
			for target in is_path.then(|| code.clone()).into_iter().chain(scripts) {
				let near = Tree::resolve(&document, &target).is_some_and(|path| tree.exists(&path));
				if !near && !tree.exists(&target) {
					problems.push(format!("{document}:{line}: there is no {target}"));
				}
			}
		}
	}
	report(problems)
}

#[test]
fn make_targets_and_scripts_that_are_named_exist() -> Result<()> {
	let tree = Tree::read()?;
	let makefile = &tree.file("Makefile").context("there is no Makefile")?.text;
	let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
	let make = Regex::new(r"(?:^|[\s(`;&])make ([a-z][a-z-]*)")?;
	let script = Regex::new(r"\bscripts/[a-z][\w-]*")?;
	let mut problems = Vec::new();
	for (document, parsed) in documents(&tree) {
		for (line, code) in parsed.code {
			for target in make.captures_iter(&code).filter(|target| !targets.contains(&target[1])) {
				problems.push(format!("{document}:{line}: `make {}` is no target", &target[1]));
			}
		}
	}
	for file in texts(&tree) {
		for (line, text) in file.text.lines().enumerate() {
			for target in script.find_iter(text).filter(|target| !tree.exists(target.as_str())) {
				problems.push(format!("{}:{}: there is no {}", file.path, line + 1, target.as_str()));
			}
		}
	}
	report(problems)
}

/// The files that may refer to documents and scripts. The tests of this crate refer to some that do not exist.
fn texts(tree: &Tree) -> impl Iterator<Item = &File> {
	tree.files.iter().filter(|file| !file.path.starts_with("tests/docs/src/"))
}

fn documents(tree: &Tree) -> BTreeMap<String, Markdown> {
	tree.with_extension(&["md"]).map(|file| (file.path.clone(), markdown::parse(&file.text))).collect()
}

/// Why a link of the file `from` leads nowhere, if it does not.
fn dead(tree: &Tree, documents: &BTreeMap<String, Markdown>, from: &str, target: &str) -> Option<String> {
	let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
	let path = if path.is_empty() { Some(from.to_owned()) } else { Tree::resolve(from, path) };
	let Some(path) = path.filter(|path| tree.exists(path)) else { return Some("no such file".into()) };
	let anchor = anchor?;
	let document = documents.get(&path)?;
	(!document.anchors.contains(anchor)).then(|| "no such heading".into())
}
