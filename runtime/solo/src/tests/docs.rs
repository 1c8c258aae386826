//! Makes `docs/parameters.md` and `docs/calls.md` from the code and compares them with the files.
//!
//! `UPDATE_DOCS=1 cargo nextest run -p gonka-runtime tests::docs` writes the files.

use super::chain::run;
use crate::{
	configs::parameters::{
		Schedules, Versions, Windows, WorkerVersion,
		dynamic::{collateral, emission, market, poc, worker},
		for_parameters, percent,
	},
	*,
};
use frame_support::traits::{Get, PalletsInfoAccess};
use gonka_primitives::epoch::Schedule;
use gonka_runtime_common::{EXISTENTIAL_DEPOSIT, Time};
use pallet_poc::types::{MAX_CONFIRMATIONS, MAX_SEGMENTS, MIN_CAP};
use scale_info::{TypeDef, TypeInfo, Variant, form::MetaForm};
use sp_runtime::Perbill;
use std::{collections::BTreeMap, fmt::Write, fs, ops::RangeInclusive, path::Path};

const PARAMETERS: &str = include_str!("../../../common/shared/configs/parameters.rs");
const EPOCH: &str = include_str!("../../../../primitives/src/epoch.rs");
const HASHING: &str = include_str!("../../../../primitives/src/hashing.rs");

/// A parameter in `docs/parameters.md`.
struct Row {
	group: &'static str,
	name: &'static str,
	unit: &'static str,
	default: String,
	limits: (String, String),
}

fn row<T: Cell>(
	(group, name, unit): (&'static str, &'static str, &'static str),
	default: T,
	limits: impl Ends<T>,
) -> Row {
	Row { group, name, unit, default: default.cell(unit), limits: limits.ends(unit) }
}

/// Writes [`rows`] for the parameters.
macro_rules! write_rows {
	($($module:ident $group:ident { $($name:ident: $unit:literal, $limits:expr;)+ })+) => {
		fn rows() -> Vec<Row> {
			vec![$($(row((stringify!($group), stringify!($name), $unit), $module::$name::get(), $limits),)+)+]
		}
	};
}
for_parameters!(write_rows);

/// A value as a cell of a table.
trait Cell {
	fn cell(&self, unit: &str) -> String;
}

impl Cell for u32 {
	fn cell(&self, _: &str) -> String {
		grouped((*self).into())
	}
}

impl Cell for u64 {
	fn cell(&self, _: &str) -> String {
		grouped((*self).into())
	}
}

impl Cell for Balance {
	fn cell(&self, unit: &str) -> String {
		assert_eq!(unit, "GNK", "amounts are in base units");
		decimal(*self, GNK)
	}
}

impl Cell for Perbill {
	fn cell(&self, unit: &str) -> String {
		assert_eq!(unit, "%");
		decimal(self.deconstruct().into(), 10_000_000)
	}
}

impl Cell for WorkerVersion {
	fn cell(&self, unit: &str) -> String {
		self.version.cell(unit)
	}
}

impl Cell for Schedule {
	fn cell(&self, _: &str) -> String {
		"[below](#phases)".into()
	}
}

/// The smallest and the largest allowed value as cells.
trait Ends<T> {
	fn ends(&self, unit: &str) -> (String, String);
}

impl<T: Cell> Ends<T> for RangeInclusive<T> {
	fn ends(&self, unit: &str) -> (String, String) {
		(self.start().cell(unit), self.end().cell(unit))
	}
}

impl Ends<WorkerVersion> for Versions {
	fn ends(&self, unit: &str) -> (String, String) {
		self.0.ends(unit)
	}
}

impl Ends<BlockNumber> for Windows {
	fn ends(&self, _: &str) -> (String, String) {
		let (min, max) = self.0.ends("windows");
		(format!("{min} windows"), format!("{max} windows"))
	}
}

impl Ends<Schedule> for Schedules {
	fn ends(&self, _: &str) -> (String, String) {
		assert_eq!(Self::MIN_LENGTH, 4 * Time::THIS.session);
		("4 sessions long".into(), format!("{} long", grouped(Self::MAX_LENGTH.into())))
	}
}

/// With commas between the thousands.
fn grouped(number: u128) -> String {
	let digits = number.to_string();
	let mut out = String::new();
	for (place, digit) in digits.chars().enumerate() {
		if place > 0 && (digits.len() - place).is_multiple_of(3) {
			out.push(',');
		}
		out.push(digit);
	}
	out
}

/// `parts / whole` with the decimal places that it needs.
fn decimal(parts: u128, whole: u128) -> String {
	let fraction = format!("{:0width$}", parts % whole, width = whole.ilog10() as usize);
	let fraction = fraction.trim_end_matches('0');
	let point = if fraction.is_empty() { "" } else { "." };
	format!("{}{point}{fraction}", grouped(parts / whole))
}

/// The defaults of the parameters that depend on the feature `fast-runtime`, under both clocks.
fn default_of(row: &Row, time: &Time) -> String {
	match row.name {
		"PerWeight" => time.collateral_per_weight.cell(row.unit),
		"RegistrationBits" => time.registration_bits.cell(row.unit),
		"FreeEpochs" => time.free_epochs.cell(row.unit),
		"ChallengePeriod" => time.challenge_period.cell(row.unit),
		"MaturityThreshold" => "what the genesis names".into(),
		_ => row.default.clone(),
	}
}

/// The doc comments of items in a source file, by the first line of the item.
fn documented(source: &str) -> BTreeMap<&str, String> {
	let (mut items, mut doc) = (BTreeMap::new(), String::new());
	for line in source.lines().map(str::trim) {
		if let Some(text) = line.strip_prefix("///") {
			doc = format!("{doc} {}", text.trim()).trim().into();
		} else if !line.starts_with("#[") && !doc.is_empty() {
			items.insert(line, std::mem::take(&mut doc));
		}
	}
	items
}

/// The doc comment of the item whose first line starts with `start`.
#[track_caller]
fn doc_of(items: &BTreeMap<&str, String>, start: &str) -> String {
	let mut found = items.iter().filter(|(line, _)| line.starts_with(start));
	found.next().unwrap_or_else(|| panic!("`{start}` has no doc comment")).1.trim_end_matches('.').replace('|', "\\|")
}

#[track_caller]
fn assert_written(file: &str, text: &str) {
	// At run time: a test that was built in another checkout must not read the documents of that one.
	let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../docs").join(file);
	if std::env::var_os("UPDATE_DOCS").is_some() {
		fs::write(&path, text).unwrap();
	}
	let written = fs::read_to_string(&path).unwrap_or_default();
	assert!(written == text, "docs/{file} is not what the code says: run this test with UPDATE_DOCS=1");
}

fn parameter_table(out: &mut String) {
	let docs = documented(PARAMETERS);
	writeln!(out, "| parameter | meaning | unit | default | with `fast-runtime` | minimum | maximum |").unwrap();
	writeln!(out, "|---|---|---|---|---|---|---|").unwrap();
	for row in rows() {
		let [default, fast] = [&Time::MAINNET, &Time::FAST].map(|time| default_of(&row, time));
		if row.name != "MaturityThreshold" {
			let built = default_of(&row, &Time::THIS);
			assert_eq!(row.default, built, "the default of {} depends on something else", row.name);
		}
		let fast = if fast == default { String::new() } else { fast };
		let meaning = doc_of(&docs, &format!("pub static {}:", row.name));
		let (Row { group, name, unit, .. }, (min, max)) = (&row, &row.limits);
		writeln!(out, "| `{group}.{name}` | {meaning} | {unit} | {default} | {fast} | {min} | {max} |").unwrap();
	}
}

fn phase_table(out: &mut String) {
	let docs = documented(EPOCH);
	writeln!(out, "| field | meaning | default | with `fast-runtime` |\n|---|---|---|---|").unwrap();
	let values = |time: &Time| {
		let Schedule {
			init,
			segments,
			segment,
			grace,
			prompt,
			check,
			request,
			answer,
			digest,
			turn,
			confirmations,
			weigh,
			length,
		} = time.schedule;
		[
			("init", init),
			("segments", segments.into()),
			("segment", segment),
			("grace", grace),
			("prompt", prompt),
			("check", check),
			("request", request),
			("answer", answer),
			("digest", digest),
			("turn", turn),
			("confirmations", confirmations.into()),
			("weigh", weigh),
			("length", length),
		]
	};
	for ((name, default), (_, fast)) in values(&Time::MAINNET).into_iter().zip(values(&Time::FAST)) {
		let meaning = doc_of(&docs, &format!("pub {name}:"));
		writeln!(out, "| `{name}` | {meaning} | {} | {} |", default.cell(""), fast.cell("")).unwrap();
	}
}

#[test]
fn docs_parameters_md_matches_the_code() {
	let mut out = String::from(
		"# Parameters\n\n\
		Governance changes these values by `Amendments.amend`: see [governance](governance.md#parameters). This file is made from\n\
		`runtime/common/shared/configs/parameters.rs` by a test. To rewrite it:\n\n\
		```sh\nUPDATE_DOCS=1 cargo nextest run -p gonka-runtime tests::docs\n```\n\n\
		The column `fast-runtime` is empty where a build with that feature has the same default. The minimum and the\n\
		maximum are allowed. A window is a settlement window, a session is one of the validators.\n\n",
	);
	run(|| parameter_table(&mut out));
	out.push_str(
		"\n## Phases\n\n\
		`Poc.Phases` is one value, because its lengths depend on each other. A schedule is accepted if all phases fit into the\n\
		epoch, disputes end before the epoch is paid, the weigh phase has enough blocks for all hosts, and there are at most 8\n\
		segments and 8 confirmation segments. All lengths are in blocks; `segments` and `confirmations` are numbers.\n\n",
	);
	assert_eq!((MAX_SEGMENTS - MAX_CONFIRMATIONS, MAX_CONFIRMATIONS), (8, 8));
	phase_table(&mut out);
	assert_written("parameters.md", &out);
}

fn variants<T: TypeInfo>() -> Vec<Variant<MetaForm>> {
	variants_of(T::type_info().type_def)
}

fn variants_of(ty: TypeDef<MetaForm>) -> Vec<Variant<MetaForm>> {
	match ty {
		TypeDef::Variant(variants) => variants.variants,
		_ => panic!("calls are enums"),
	}
}

/// A call as its index, name and arguments.
fn signature(call: &Variant<MetaForm>) -> String {
	let arguments: Vec<_> = call.fields.iter().filter_map(|field| field.name).collect();
	format!("{} `{}({})`", call.index, call.name, arguments.join(", "))
}

fn call_table(out: &mut String) {
	let calls: BTreeMap<_, _> = variants::<RuntimeCall>()
		.into_iter()
		.map(|pallet| (pallet.index, variants_of(pallet.fields[0].ty.type_info().type_def)))
		.collect();
	writeln!(out, "| index | pallet | crate | calls |\n|---|---|---|---|").unwrap();
	let mut pallets = AllPalletsWithSystem::infos();
	pallets.sort_by_key(|pallet| pallet.index);
	for pallet in pallets {
		let calls = calls.get(&(pallet.index as u8)).into_iter().flatten().map(signature).collect::<Vec<_>>();
		let name = pallet.module_name.replace('_', "-");
		writeln!(out, "| {} | `{}` | `{name}` | {} |", pallet.index, pallet.name, calls.join("<br>")).unwrap();
	}
}

/// The tags with their meaning, in the order of the code.
fn domains() -> Vec<(String, String)> {
	let docs = documented(HASHING);
	let tag = |line: &str| Some(line.split_once("b\"")?.1.trim_end_matches("\";").to_string());
	let tags = HASHING.lines().map(str::trim).filter(|line| line.starts_with("pub const"));
	tags.map(|line| (tag(line).unwrap(), doc_of(&docs, line))).collect()
}

#[test]
fn docs_calls_md_matches_the_code() {
	let mut out = String::from(
		"# Calls and domain tags\n\n\
		Indices and tags are part of the wire format. This file is made from the runtime and from\n\
		`primitives/src/hashing.rs` by a test. To rewrite it:\n\n\
		```sh\nUPDATE_DOCS=1 cargo nextest run -p gonka-runtime tests::docs\n```\n\n\
		## Pallets and calls\n\n\
		A call is encoded as the index of its pallet, its own index and its arguments. Indices 0–9 are for the system, 10–19 for\n\
		money, 20–39 for consensus, 40–59 for governance and 60–79 for the rest of Gonka.\n\n",
	);
	call_table(&mut out);
	out.push_str(
		"\n## Domain tags\n\n\
		A domain tag starts the bytes that are signed or hashed, so that a signature or hash has one purpose:\n\
		see [the protocol](protocol.md). The tags of the sprint are in `sprint/src`.\n\n\
		| tag | signs or hashes |\n|---|---|\n",
	);
	let domains = domains();
	let unique: std::collections::BTreeSet<_> = domains.iter().map(|(tag, _)| tag).collect();
	assert!(unique.len() == domains.len() && domains.len() > 20, "a tag has one purpose");
	for (tag, meaning) in &domains {
		assert!(tag.starts_with("gonka/"), "{tag}");
		writeln!(out, "| `{tag}` | {meaning} |").unwrap();
	}
	assert_written("calls.md", &out);
}
