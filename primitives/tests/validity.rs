//! The table of validity errors, and the page that is written from it.

use gonka_primitives::validity::{ALL, Code, RANGES, describe};
use std::{collections::BTreeSet, fs, path::Path};

const HEAD: &str = "# Errors of free transactions

Registrations, commitments, checks, disputes, settlements, audit reports, rulings and reward claims carry no fee. The
transaction pool rejects one that is wrong: it gets into no block and costs nothing. The node says
`Invalid Transaction: Custom error: <code>`; the programs here show the meaning and the advice below.

The worker sends its messages by itself and repeats them while their time lasts. A code that appears in its log once and
does not return is no fault. A worker's rejections of requests are in [worker-api.md](worker-api.md).

A test writes this page from `primitives/src/validity.rs`:
`UPDATE_DOCS=1 cargo nextest run -p gonka-primitives --test validity`.
";

fn page() -> String {
	let mut page = HEAD.to_owned();
	for (pallet, _) in RANGES {
		page += &format!("\n## {pallet}\n\n| code | name | meaning | what to do |\n|---|---|---|---|\n");
		for Code { name, code, meaning, advice, .. } in ALL.iter().filter(|entry| entry.pallet == *pallet) {
			page += &format!("| {code} | `{name}` | {meaning} | {advice} |\n");
		}
	}
	page
}

#[test]
fn every_code_is_unique_and_in_the_range_of_its_pallet() {
	let mut seen = BTreeSet::new();
	for entry in ALL {
		assert!(entry.code != 0 && seen.insert(entry.code), "{entry:?}");
		let (_, ranges) = RANGES.iter().find(|(pallet, _)| *pallet == entry.pallet).unwrap();
		assert!(ranges.iter().any(|range| range.contains(&entry.code)), "{entry:?}");
		assert_eq!(describe(entry.code), Some(entry));
	}
	assert_eq!(describe(0), None);
	let mut ranges: Vec<_> = RANGES.iter().flat_map(|(pallet, all)| all.iter().map(move |one| (pallet, one))).collect();
	ranges.sort_by_key(|(_, range)| *range.start());
	for pair in ranges.windows(2) {
		assert!(pair[0].1.end() < pair[1].1.start(), "the ranges of {} and {} overlap", pair[0].0, pair[1].0);
	}
}

#[test]
fn the_documented_errors_are_those_of_the_code() {
	// At run time: a test that was built in another checkout must not read the documents of that one.
	let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../docs/errors.md");
	if std::env::var_os("UPDATE_DOCS").is_some() {
		fs::write(&path, page()).unwrap();
	}
	let written = fs::read_to_string(&path).unwrap_or_default();
	assert!(written == page(), "docs/errors.md is out of date: run this test with UPDATE_DOCS=1");
}
