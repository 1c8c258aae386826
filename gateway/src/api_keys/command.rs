//! `gonka-gateway key`: makes, lists, changes and revokes keys. It works on the files in the gateway's folder, so the gateway
//! need not run.

use super::{
	calendar::{self, Day, Month, timestamp},
	file::{Key, KeyFile, State},
	limits::{Budget, ExpiryError, Limits, parse_expiry},
	report::{LimitsView, PeriodUsage},
	usage::{self, Usage},
};
use crate::{
	auth::ApiKeys,
	config::{AmountError, parse_gnk},
};
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use gonka_primitives::Balance;
use serde::Serialize;
use std::{
	collections::HashMap,
	fs,
	io::{self, Write},
	path::Path,
};

/// A command of the gateway's program.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
	/// Make, list, change and revoke API keys with limits, whether the gateway runs or not.
	Key {
		/// The command.
		#[command(subcommand)]
		command: KeyCommand,
	},
}

/// A command about keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
	/// Make a key and print it. It is shown once and kept as a hash only.
	#[command(after_help = "\
Examples:
  gonka-gateway key create app                                        # without limits
  gonka-gateway key create app --gnk-per-day 5 --gnk-per-month 50 --requests-per-minute 60
  gonka-gateway key create guest --model SmolLM2-135M-Instruct --tokens-per-day 100000 \\
    --expires 30d --json

The key takes the place of a revoked one with the same name. Exit codes: 0 done, 1 nothing was changed, 2 wrong options.")]
	Create {
		/// Name of the key, for you and for metrics: up to 64 letters, digits, '.', '_' and '-'.
		name: String,
		/// Its limits.
		#[command(flatten)]
		limits: LimitArgs,
		/// Print JSON.
		#[arg(long)]
		json: bool,
	},
	/// List the keys: name, first characters, limits, usage and state.
	#[command(after_help = "\
Examples:
  gonka-gateway key list
  gonka-gateway key list --json --base-path /var/lib/gonka-gateway")]
	List {
		/// Print JSON. `cost` and `cost_gnk` are decimal strings, in base units and in GNK.
		#[arg(long)]
		json: bool,
	},
	/// Change limits of a key. Those that are not named stay; `none` takes a limit away.
	#[command(after_help = "\
Examples:
  gonka-gateway key set app --gnk-per-day 10
  gonka-gateway key set app --gnk-per-day none --expires none --any-model")]
	Set {
		/// Name of the key.
		name: String,
		/// Its new limits.
		#[command(flatten)]
		limits: LimitArgs,
	},
	/// Revoke a key for ever. A running gateway rejects it within two seconds.
	#[command(after_help = "\
Example:
  gonka-gateway key revoke app")]
	Revoke {
		/// Name of the key.
		name: String,
	},
}

/// A limit on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit<T> {
	/// `none`.
	None,
	/// A maximum.
	At(T),
}

impl<T> Limit<T> {
	fn apply(self, to: &mut Option<T>) {
		*to = match self {
			Self::None => None,
			Self::At(limit) => Some(limit),
		};
	}
}

/// Limits on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LimitArgs {
	/// Maximum cost of a day in UTC, in GNK. `none` stands for no limit, here and below.
	#[arg(long, value_parser = gnk, value_name = "GNK")]
	gnk_per_day: Option<Limit<Balance>>,
	/// Maximum cost of a month in UTC, in GNK.
	#[arg(long, value_parser = gnk, value_name = "GNK")]
	gnk_per_month: Option<Limit<Balance>>,
	/// Maximum number of tokens of a day in UTC, prompts included.
	#[arg(long, value_parser = tokens, value_name = "N")]
	tokens_per_day: Option<Limit<u64>>,
	/// Maximum number of tokens of a month in UTC, prompts included.
	#[arg(long, value_parser = tokens, value_name = "N")]
	tokens_per_month: Option<Limit<u64>>,
	/// Maximum number of requests within a minute.
	#[arg(long, value_parser = requests, value_name = "N")]
	requests_per_minute: Option<Limit<u32>>,
	/// Model that the key may use, or an alias of it. Can be given more than once. By default the key may use all.
	#[arg(long = "model", value_name = "NAME")]
	models: Vec<String>,
	/// Let the key use all models.
	#[arg(long, conflicts_with = "models")]
	any_model: bool,
	/// End of the key's life: a number of days from now, such as 30d, or the last day in UTC on which it is valid, such as 2026-12-31.
	#[arg(long, value_parser = expiry, value_name = "30d|DATE")]
	expires: Option<Limit<u64>>,
}

fn or_none<T, E>(text: &str, read: impl Fn(&str) -> Result<T, E>) -> Result<Limit<T>, E> {
	if text == "none" { Ok(Limit::None) } else { read(text).map(Limit::At) }
}

fn gnk(text: &str) -> Result<Limit<Balance>, AmountError> {
	or_none(text, parse_gnk)
}

fn tokens(text: &str) -> Result<Limit<u64>, &'static str> {
	or_none(text, |text| text.parse().map_err(|_| "write a number of tokens, or none"))
}

fn requests(text: &str) -> Result<Limit<u32>, &'static str> {
	let read = |text: &str| text.parse().ok().filter(|requests| *requests > 0);
	or_none(text, |text| read(text).ok_or("write a number of requests above 0, or none"))
}

fn expiry(text: &str) -> Result<Limit<u64>, ExpiryError> {
	or_none(text, |text| parse_expiry(text, calendar::now()))
}

impl LimitArgs {
	fn is_empty(&self) -> bool {
		let Self { gnk_per_day, gnk_per_month, tokens_per_day, tokens_per_month, .. } = self;
		let budgets =
			gnk_per_day.is_some() || gnk_per_month.is_some() || tokens_per_day.is_some() || tokens_per_month.is_some();
		let others = self.requests_per_minute.is_some() || self.any_model || self.expires.is_some();
		!budgets && !others && self.models.is_empty()
	}

	/// Changes the limits that are named.
	pub fn apply(self, limits: &mut Limits) {
		fn set<T>(limit: Option<Limit<T>>, to: &mut Option<T>) {
			if let Some(limit) = limit {
				limit.apply(to);
			}
		}
		set(self.gnk_per_day, &mut limits.gnk_per_day);
		set(self.gnk_per_month, &mut limits.gnk_per_month);
		set(self.tokens_per_day, &mut limits.tokens_per_day);
		set(self.tokens_per_month, &mut limits.tokens_per_month);
		set(self.requests_per_minute, &mut limits.requests_per_minute);
		set(self.expires, &mut limits.expires);
		if self.any_model || !self.models.is_empty() {
			limits.models = self.models;
		}
	}
}

/// Runs a command on the files in `folder`. `settings` reads the keys of the settings, whose names no other key may have.
pub fn run(command: KeyCommand, folder: &Path, settings: impl FnOnce() -> Result<ApiKeys>) -> Result<()> {
	let (file, now) = (KeyFile::in_folder(folder), calendar::now());
	match command {
		KeyCommand::Create { name, limits, json } => {
			ensure!(
				!settings()?.has_name(&name),
				"'{name}' is the name of a key in the settings, by --api-keys or --api-key: choose another name"
			);
			let mut all = Limits::default();
			limits.apply(&mut all);
			let (key, secret) = file.create(&name, all, now)?;
			if json {
				let new = NewKey { key: &secret, view: KeyView::new(&key, &Usage::default(), now) };
				emit(&format!("{}\n", serde_json::to_string_pretty(&new)?))?;
			} else {
				emit(&format!("{secret}\n"))?;
			}
			let path = file.path().display();
			eprintln!(
				"made the key {name} ({}); it is not shown again, only its hash is in {path}",
				describe(&key.limits)
			);
		},
		KeyCommand::List { json } => {
			let (keys, usage) = (file.read()?, usage_in(folder)?);
			let used = |key: &Key| usage.get(&key.id()).cloned().unwrap_or_default();
			if json {
				let views: Vec<_> = keys.iter().map(|key| KeyView::new(key, &used(key), now)).collect();
				emit(&format!("{}\n", serde_json::to_string_pretty(&views)?))?;
			} else if keys.is_empty() {
				eprintln!("no keys in {}: make one with `gonka-gateway key create NAME`", file.path().display());
			} else {
				emit(&format!("{}\n", table(&keys, used, now)))?;
			}
		},
		KeyCommand::Set { name, limits } => {
			ensure!(!limits.is_empty(), "nothing to change: name a limit, such as --gnk-per-day 10");
			let key = file.set(&name, |all| limits.apply(all))?;
			eprintln!("the key {name} has these limits now: {}", describe(&key.limits));
		},
		KeyCommand::Revoke { name } => {
			let key = file.revoke(&name, now)?;
			let at = timestamp(key.revoked.unwrap_or(now));
			eprintln!("the key {name} ({}…) is revoked since {at}", key.start);
		},
	}
	Ok(())
}

/// The usage of all keys in a gateway's folder: one file for each chain and each key of the gateway.
pub fn usage_in(folder: &Path) -> Result<HashMap<String, Usage>> {
	let mut all: HashMap<String, Usage> = HashMap::new();
	let entries = match fs::read_dir(folder) {
		Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
		entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
	};
	for entry in entries {
		let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
		let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
		if name.starts_with("usage-") && name.ends_with(".jsonl") {
			let read = usage::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
			for (id, usage) in read {
				all.entry(id).or_default().merge(&usage);
			}
		}
	}
	Ok(all)
}

/// A key in JSON, with its secret.
#[derive(Serialize)]
struct NewKey<'a> {
	key: &'a str,
	#[serde(flatten)]
	view: KeyView<'a>,
}

/// A key in JSON.
#[derive(Serialize)]
struct KeyView<'a> {
	name: &'a str,
	/// The key's first characters.
	start: &'a str,
	state: State,
	created: String,
	revoked: Option<String>,
	limits: LimitsView,
	today: PeriodUsage,
	month: PeriodUsage,
}

impl<'a> KeyView<'a> {
	fn new(key: &'a Key, usage: &Usage, now: u64) -> Self {
		let (day, month) = (Day::of(now), Month::of(now));
		Self {
			name: &key.name,
			start: &key.start,
			state: key.state(now),
			created: timestamp(key.created),
			revoked: key.revoked.map(timestamp),
			limits: LimitsView::from(&key.limits),
			today: PeriodUsage::new(day, &usage.day(day)),
			month: PeriodUsage::new(month, &usage.month(month)),
		}
	}
}

/// The limits for people, in one line.
fn describe(limits: &Limits) -> String {
	let mut parts: Vec<String> =
		Budget::ALL.into_iter().filter_map(|budget| Some(budget.rate(budget.limit(limits)?))).collect();
	parts.extend(limits.requests_per_minute.map(|requests| format!("{requests} requests a minute")));
	if !limits.models.is_empty() {
		parts.push(format!("only {}", limits.models.join(", ")));
	}
	parts.extend(limits.expires.map(|expires| format!("until {}", timestamp(expires))));
	if parts.is_empty() { "no limits".into() } else { parts.join("; ") }
}

fn table(keys: &[Key], used: impl Fn(&Key) -> Usage, now: u64) -> Table {
	let mut table = Table::new();
	table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
	table.set_header(["name", "key", "state", "limits", "today", "this month"]);
	for key in keys {
		let usage = used(key);
		let cell = |counts: usage::Counts| {
			let cost = Budget::GnkPerDay.amount(counts.cost);
			format!("{cost}, {} tokens, {} requests", counts.tokens(), counts.requests)
		};
		table.add_row([
			key.name.clone(),
			format!("{}…", key.start),
			key.state(now).name().to_owned(),
			describe(&key.limits),
			cell(usage.day(Day::of(now))),
			cell(usage.month(Month::of(now))),
		]);
	}
	table
}

/// Prints to standard output. A reader that closes the pipe early, such as `head`, causes no error.
fn emit(text: &str) -> Result<()> {
	match io::stdout().lock().write_all(text.as_bytes()) {
		Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
		_ => Ok(()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::config::Args;
	use clap::{CommandFactory, Parser};
	use gonka_primitives::GNK;

	fn parse(line: &str) -> Result<KeyCommand, clap::Error> {
		let args = Args::try_parse_from(line.split_whitespace())?;
		let Some(Command::Key { command }) = args.command else { panic!("no command: {line}") };
		Ok(command)
	}

	#[test]
	fn the_help_of_every_command_has_an_example_that_parses() {
		let mut program = Args::command().disable_help_subcommand(true);
		program.build();
		program.clone().debug_assert();
		let group = program.find_subcommand("key").unwrap();
		for command in group.get_subcommands() {
			let name = command.get_bin_name().unwrap();
			// A long example goes on in the next line.
			let help = command.get_after_help().unwrap().to_string().replace("\\\n", " ");
			let lines: Vec<&str> = help.lines().filter(|line| line.starts_with("  gonka-gateway ")).collect();
			assert!(!lines.is_empty(), "no example in `{name} --help`");
			for line in lines {
				let line = line.split(" #").next().unwrap().trim();
				assert!(line.starts_with(name), "`{line}` is no example of `{name}`");
				assert!(parse(line).is_ok(), "{line}");
			}
		}
	}

	#[test]
	fn commands_need_no_key_of_the_developer_and_know_the_folder() {
		for line in ["gonka-gateway --base-path /x key list", "gonka-gateway key list --base-path /x"] {
			let args = Args::try_parse_from(line.split_whitespace()).unwrap();
			assert_eq!(args.base_path, Path::new("/x"), "{line}");
		}
		assert!(Args::try_parse_from(["gonka-gateway", "--base-path", "/x"]).is_err());
		assert!(Args::try_parse_from(["gonka-gateway", "key"]).is_err());
	}

	fn limits(line: &str, mut limits: Limits) -> Limits {
		match parse(&format!("gonka-gateway key set app {line}")).unwrap() {
			KeyCommand::Set { limits: args, .. } => args.apply(&mut limits),
			other => panic!("{other:?}"),
		}
		limits
	}

	#[test]
	fn limits_are_set_and_taken_away_by_name() {
		let first = limits(
			"--gnk-per-day 1.5 --tokens-per-month 7 --requests-per-minute 3 --model a --model b --expires 2999-12-31",
			Limits::default(),
		);
		assert_eq!((first.gnk_per_day, first.tokens_per_month), (Some(GNK + GNK / 2), Some(7)));
		assert_eq!((first.requests_per_minute, first.models.len()), (Some(3), 2));
		assert_eq!(
			describe(&first),
			"1.5 GNK a day; 7 tokens a month; 3 requests a minute; only a, b; until 3000-01-01T00:00:00Z"
		);
		let second = limits("--gnk-per-day none --any-model", first.clone());
		assert_eq!(second, Limits { gnk_per_day: None, models: Vec::new(), ..first.clone() });
		let line = "--tokens-per-month none --requests-per-minute none --expires none";
		assert_eq!(describe(&limits(line, second)), "no limits");
		for bad in ["--gnk-per-day -1", "--requests-per-minute 0", "--tokens-per-day x", "--expires 2020-01-01"] {
			assert!(parse(&format!("gonka-gateway key set app {bad}")).is_err(), "{bad}");
		}
		assert!(parse("gonka-gateway key set app --any-model --model a").is_err());
	}

	#[test]
	fn commands_change_the_files_or_say_why_not() {
		let folder = tempfile::tempdir().unwrap();
		let run = |line: &str| {
			let settings = || Ok(ApiKeys::parse("alice:sk-a").unwrap());
			super::run(parse(&format!("gonka-gateway key {line}")).unwrap(), folder.path(), settings)
		};
		run("list").unwrap();
		assert!(run("create alice").unwrap_err().to_string().contains("in the settings"));
		assert!(KeyFile::in_folder(folder.path()).read().unwrap().is_empty());
		run("create app --gnk-per-day 1 --json").unwrap();
		assert!(run("create app").unwrap_err().to_string().contains("'app' already"));
		assert!(run("set app").unwrap_err().to_string().contains("nothing to change"));
		assert!(run("revoke other").unwrap_err().to_string().contains("key list"));
		run("set app --gnk-per-day 2").unwrap();
		let key = &KeyFile::in_folder(folder.path()).read().unwrap()[0];
		assert_eq!(key.limits.gnk_per_day, Some(2 * GNK));
		run("revoke app").unwrap();
		run("revoke app").unwrap();
		run("list --json").unwrap();
		run("list").unwrap();
	}

	#[test]
	fn a_listed_key_has_its_usage_of_all_files() {
		let folder = tempfile::tempdir().unwrap();
		let (key, _) = KeyFile::in_folder(folder.path()).create("app", Limits::default(), 0).unwrap();
		let now = 1_800_000_000;
		let mut usage = Usage::default();
		usage.add(&usage::Counts { requests: 1, prompt_tokens: 2, completion_tokens: 3, cost: GNK / 2 }, now);
		for name in ["usage-a.jsonl", "usage-b.jsonl", "other.jsonl"] {
			let rows: Vec<_> = usage.rows_since(&key.id(), 0).collect();
			usage::UsageLog::new(folder.path().join(name)).rewrite(&rows).unwrap();
		}
		let all = usage_in(folder.path()).unwrap();
		let view = serde_json::to_value(KeyView::new(&key, &all[&key.id()], now)).unwrap();
		assert_eq!(view["state"], "active");
		assert_eq!(
			view["today"],
			serde_json::json!({
				"period": "2027-01-15", "requests": 2, "prompt_tokens": 4, "completion_tokens": 6, "cost": "1000000000",
				"cost_gnk": "1",
			})
		);
		assert_eq!(view["month"]["cost"], "1000000000");
		let text = table(&[key], |_| usage.clone(), now).to_string();
		assert!(text.contains("no limits") && text.contains("0.5 GNK, 5 tokens, 1 requests"), "{text}");
	}
}
