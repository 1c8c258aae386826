//! `gonka status`: the whole network on one screen.

use super::{
	NodeArgument,
	dispute::{Dispute, disputes},
	emit, emit_json,
	host::model_names,
	names::{Names, shown},
	standing::{Standing, percent},
	table,
};
use crate::amount::{gnk, units};
use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use gonka_client::{chain::Chain, keys};
use gonka_primitives::{
	epoch::Phase,
	views::{EpochView, HostView},
};
use serde::Serialize;
use std::fmt::Write;

/// Maximum number of hosts, of validators and of claims on the screen.
const ROWS: usize = 12;
/// Maximum number of queries at the same time.
const MAX_QUERIES: usize = 16;

/// Arguments of `gonka status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gonka status
  gonka status --json --node ws://127.0.0.1:9945")]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	/// Print JSON with all hosts and validators. Amounts are decimal strings: `issued` in base units, `issued_gnk` in GNK.
	#[arg(long)]
	json: bool,
}

/// The network as of its best block. Amounts are in base units, 10⁻⁹ GNK.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
	/// Genesis hash.
	pub genesis: String,
	/// Number of the best block.
	pub best: u32,
	/// Number of the last finalised block.
	pub finalized: u32,
	/// Number of blocks between the two.
	pub finality_lag: u32,
	/// Running epoch.
	pub epoch: Epoch,
	/// Open claims.
	pub disputes: Vec<Dispute>,
	/// Hosts, the heaviest first.
	pub hosts: Vec<Host>,
	/// Validators, the most powerful first.
	pub validators: Vec<Validator>,
	/// Models with their present prices.
	pub models: Vec<Model>,
	/// Supply of GNK.
	pub supply: Supply,
}

/// The running epoch.
#[derive(Clone, Debug, Serialize)]
pub struct Epoch {
	/// Index of the epoch.
	pub index: u32,
	/// Phase: `init`, `sprint`, `check`, `weigh` or `work`.
	pub phase: &'static str,
	/// Segment, during the sprint.
	pub segment: Option<u8>,
	/// Number of blocks since its first one.
	pub block: u32,
	/// Length in blocks.
	pub length: u32,
	/// Sprint format.
	pub format: String,
	/// Task of the checkers; none outside of the check phase.
	pub checking: Option<Checking>,
	/// Confirmation segments called so far.
	pub confirmations: usize,
}

/// Task of the checkers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checking {
	/// `wait` for the draw of the committees, `commit` to digests, or `reveal` them.
	pub stage: &'static str,
	/// Last block of this task.
	pub until: u32,
}

/// A host.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
	/// Address of the host.
	pub account: String,
	/// Name of the account, if it is a well-known one of a local network.
	pub name: Option<String>,
	/// Address at which gateways reach its worker.
	pub url: String,
	/// Effective weight in the epoch weighed last.
	pub effective_weight: u64,
	/// Share of all effective weight, 0 to 1.
	pub share: f64,
	/// Share of its duties that it met in the epoch weighed last, 0 to 1; none if it did not take part.
	pub performance: Option<f64>,
	/// Conviction in that epoch: `fabrication`, `false accusation`, `false digest`, `equivocation` or `wrong inference`.
	pub offence: Option<&'static str>,
	/// Names of the models it serves.
	pub models: Vec<String>,
}

/// A validator.
#[derive(Clone, Debug, Serialize)]
pub struct Validator {
	/// Address of the validator.
	pub account: String,
	/// Name of the account, if it is a well-known one of a local network.
	pub name: Option<String>,
	/// Power in consensus.
	pub power: u64,
	/// Share of all power, 0 to 1.
	pub share: f64,
}

/// A model.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
	/// Id of the model.
	pub id: u32,
	/// Name of the model.
	pub name: String,
	/// Maximum number of prompt and completion tokens together.
	pub context_length: u32,
	/// Base units per prompt token.
	#[serde(serialize_with = "units")]
	pub input_price: u128,
	/// Base units per completion token.
	#[serde(serialize_with = "units")]
	pub output_price: u128,
}

/// Supply of GNK, in base units.
#[derive(Clone, Debug, Serialize)]
pub struct Supply {
	/// Existing now.
	#[serde(serialize_with = "units")]
	pub issued: u128,
	/// Not minted yet.
	#[serde(serialize_with = "units")]
	pub unmined: u128,
	/// Maximum amount that the epoch closed last may mint.
	#[serde(serialize_with = "units")]
	pub last_emission: u128,
}

/// Runs `gonka status`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	let status = gather(&chain, if arguments.json { usize::MAX } else { ROWS }).await?;
	if arguments.json { emit_json(&status) } else { emit(&screen(&status)?) }
}

/// Queries the chain for everything. Queries the standing of the `rows` heaviest hosts only.
pub async fn gather(chain: &Chain, rows: usize) -> Result<Status> {
	let (epoch, mut hosts, validators) = tokio::try_join!(chain.epoch(), chain.hosts(), chain.validators())?;
	let (models, supply, finalized) = tokio::try_join!(chain.models(), chain.supply(), chain.finalized())?;
	let (claims, names) = (chain.claims().await?, Names::of(chain).await?);
	let best = chain.best().await?.number;
	let total_weight: u64 = hosts.iter().map(|host| host.effective_weight).fold(0, u64::saturating_add);
	let total_power: u64 = validators.iter().map(|(_, power)| *power).fold(0, u64::saturating_add);
	let (phase, segment) = match epoch.phase {
		Phase::Init => ("init", None),
		Phase::Sprint(segment) => ("sprint", Some(segment)),
		Phase::Check => ("check", None),
		Phase::Weigh => ("weigh", None),
		Phase::Work => ("work", None),
	};
	hosts.sort_by(|a, b| b.effective_weight.cmp(&a.effective_weight).then_with(|| a.account.cmp(&b.account)));
	let mut standings = standings(chain, &epoch, hosts.get(..rows).unwrap_or(&hosts)).await?.into_iter();
	let host = |host: &HostView| {
		let standing = standings.next().flatten();
		Host {
			account: keys::ss58(&host.account),
			name: names.get(&host.account),
			url: String::from_utf8_lossy(&host.url).into_owned(),
			effective_weight: host.effective_weight,
			share: share(host.effective_weight, total_weight),
			performance: standing.as_ref().map(|standing| standing.performance),
			offence: standing.and_then(|standing| standing.offence),
			models: model_names(host, &models),
		}
	};
	let hosts: Vec<Host> = hosts.iter().map(host).collect();
	let mut validators: Vec<Validator> = validators
		.iter()
		.map(|(account, power)| Validator {
			account: keys::ss58(account),
			name: names.get(account),
			power: *power,
			share: share(*power, total_power),
		})
		.collect();
	validators.sort_by(|a, b| b.power.cmp(&a.power).then_with(|| a.account.cmp(&b.account)));
	let model = |model: &gonka_primitives::views::ModelView| Model {
		id: model.id,
		name: String::from_utf8_lossy(&model.name).into_owned(),
		context_length: model.context_length,
		input_price: model.price.input,
		output_price: model.price.output,
	};
	Ok(Status {
		genesis: format!("0x{}", hex::encode(chain.genesis())),
		best,
		finalized: finalized.number,
		finality_lag: best.saturating_sub(finalized.number),
		epoch: Epoch {
			index: epoch.index,
			phase,
			segment,
			block: epoch.block.saturating_sub(epoch.start),
			length: epoch.schedule.length,
			format: format!("{:?}", epoch.format),
			checking: checking(&epoch),
			confirmations: epoch.confirmations.len(),
		},
		disputes: claims.iter().map(Dispute::of).collect(),
		hosts,
		validators,
		models: models.iter().map(model).collect(),
		supply: Supply { issued: supply.issued, unmined: supply.unmined, last_emission: supply.last_emission },
	})
}

fn share(part: u64, whole: u64) -> f64 {
	if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Standings of `hosts` in the epoch weighed last, in their order.
async fn standings(chain: &Chain, epoch: &EpochView, hosts: &[HostView]) -> Result<Vec<Option<Standing>>> {
	let weighed = if epoch.phase == Phase::Work { Some(epoch.index) } else { epoch.index.checked_sub(1) };
	let Some(weighed) = weighed else { return Ok(vec![None; hosts.len()]) };
	let segments = epoch.schedule.segments;
	let query = |host: &HostView| {
		let host = host.account;
		async move { chain.standing(weighed, &host).await.map(|view| view.map(|view| Standing::of(&view, segments))) }
	};
	let queries: Vec<_> = hosts.iter().map(query).collect();
	Ok(stream::iter(queries).buffered(MAX_QUERIES).try_collect().await?)
}

/// Task of the checkers in the running phase.
fn checking(epoch: &EpochView) -> Option<Checking> {
	let (schedule, offset) = (epoch.schedule, epoch.block.saturating_sub(epoch.start));
	let (stage, end) = match epoch.phase {
		Phase::Check if offset < schedule.draw() => ("wait", schedule.draw()),
		Phase::Check if schedule.takes_digest(schedule.draw(), offset) => ("commit", schedule.reveal_start()),
		Phase::Check => ("reveal", schedule.weigh_start()),
		_ => return None,
	};
	Some(Checking { stage, until: epoch.start.saturating_add(end).saturating_sub(1) })
}

/// Formats a host's performance, or the offence that it was convicted of.
fn performance(host: &Host) -> String {
	let share = host.performance.map_or_else(|| "–".into(), percent);
	host.offence.map_or(share, str::to_owned)
}

fn screen(status: &Status) -> Result<String, std::fmt::Error> {
	let mut out = String::new();
	let Epoch { index, phase, segment, block, length, format, checking, confirmations } = &status.epoch;
	let segment = segment.map(|segment| format!(" (segment {segment})")).unwrap_or_default();
	writeln!(out, "epoch {index}, {phase}{segment}, block {block} of {length}, sprint format {format}")?;
	match checking {
		Some(Checking { stage: "wait", until }) => {
			writeln!(out, "checkers wait: committees are drawn after block {until}")?
		},
		Some(Checking { stage: "commit", until }) => writeln!(out, "checkers commit to digests until block {until}")?,
		Some(Checking { until, .. }) => writeln!(out, "checkers reveal digests until block {until}")?,
		None if *confirmations > 0 => writeln!(out, "confirmation segments called so far: {confirmations}")?,
		None => {},
	}
	writeln!(out, "best block {}, finalised {} ({} behind)", status.best, status.finalized, status.finality_lag)?;
	let Supply { issued, unmined, last_emission } = &status.supply;
	writeln!(out, "supply {} GNK, {} GNK not minted yet", gnk(*issued), gnk(*unmined))?;
	writeln!(out, "the last epoch may mint {} GNK", gnk(*last_emission))?;
	if !status.disputes.is_empty() {
		let shown = status.disputes.get(..ROWS).unwrap_or(&status.disputes);
		writeln!(out, "{}", disputes(shown))?;
		more(&mut out, status.disputes.len(), "claims: `gonka status --json` shows all")?;
	}
	let mut hosts = table(&["host", "weight", "share", "performance", "models"]);
	for host in status.hosts.iter().take(ROWS) {
		let Host { account, name, effective_weight, share, models, .. } = host;
		hosts.add_row([
			shown(name.as_ref(), account),
			effective_weight.to_string(),
			percent(*share),
			performance(host),
			models.join(", "),
		]);
	}
	writeln!(out, "{hosts}")?;
	more(&mut out, status.hosts.len(), "hosts: `gonka host list` shows all")?;
	let mut validators = table(&["validator", "power", "share"]);
	for validator in status.validators.iter().take(ROWS) {
		let account = shown(validator.name.as_ref(), &validator.account);
		validators.add_row([account, validator.power.to_string(), percent(validator.share)]);
	}
	writeln!(out, "{validators}")?;
	more(&mut out, status.validators.len(), "validators: `gonka status --json` shows all")?;
	let mut models = table(&["model", "context", "GNK per 1M prompt", "per 1M completion"]);
	for model in &status.models {
		let price = |units: u128| gnk(units.saturating_mul(1_000_000));
		let context = model.context_length.to_string();
		models.add_row([model.name.clone(), context, price(model.input_price), price(model.output_price)]);
	}
	writeln!(out, "{models}")?;
	Ok(out)
}

fn more(out: &mut String, count: usize, what: &str) -> std::fmt::Result {
	match count.checked_sub(ROWS) {
		Some(more) if more > 0 => writeln!(out, "… and {more} more {what}"),
		_ => Ok(()),
	}
}

#[cfg(test)]
mod tests {
	use super::{super::dispute::tests::claim, *};
	use gonka_primitives::{check::Stage, epoch::Schedule};
	use gonka_sprint::SprintFormat;

	fn status() -> Status {
		let host = |number: u8, performance, offence| Host {
			account: keys::ss58(&[number; 32]),
			name: (number == 3).then(|| "//Charlie".into()),
			url: "http://127.0.0.1:9000".into(),
			effective_weight: 123_456,
			share: 0.25,
			performance,
			offence,
			models: vec!["SmolLM2-135M-Instruct".into()],
		};
		Status {
			genesis: "0x".into(),
			best: 81,
			finalized: 79,
			finality_lag: 2,
			epoch: Epoch {
				index: 1,
				phase: "check",
				segment: None,
				block: 21,
				length: 60,
				format: "Nano".into(),
				checking: Some(Checking { stage: "commit", until: 90 }),
				confirmations: 0,
			},
			disputes: vec![Dispute::of(&claim(vec![super::super::dispute::tests::game(Stage::Value)]))],
			hosts: vec![host(1, Some(1.0), None), host(2, Some(0.0), Some("false accusation")), host(3, None, None)],
			validators: vec![Validator { account: keys::ss58(&[1; 32]), name: None, power: 1_000_000, share: 1.0 }],
			models: vec![Model {
				id: 0,
				name: "SmolLM2-135M-Instruct".into(),
				context_length: 131_072,
				input_price: 1_000_001,
				output_price: 4_000_001,
			}],
			supply: Supply {
				issued: 1_000_000_000_123_456_789,
				unmined: 680_000_000_123_456_789,
				last_emission: 322_923_123_456_789,
			},
		}
	}

	#[test]
	fn the_screen_shows_checks_and_disputes_within_80_columns() {
		let text = screen(&status()).unwrap();
		assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
		for part in
			["//Charlie", "commit to digests until block 90", "accusation", "100.0 %", "false accusation", " – "]
		{
			assert!(text.contains(part), "no `{part}` in\n{text}");
		}
		assert!(!screen(&Status { disputes: Vec::new(), ..status() }).unwrap().contains("waits for"));
	}

	#[test]
	fn checkers_wait_then_commit_then_reveal() {
		let schedule = Schedule::FAST;
		let at = |offset: u32| {
			checking(&EpochView {
				index: 1,
				start: 61,
				block: 61 + offset,
				phase: schedule.phase(offset),
				schedule,
				format: SprintFormat::Nano,
				model_seed: [0; 32],
				segment_seeds: Vec::new(),
				confirmations: Vec::new(),
				beacon: None,
				round_beacons: Vec::new(),
			})
			.map(|checking| (checking.stage, checking.until - 61))
		};
		assert_eq!(at(schedule.check_start() - 1), None);
		assert_eq!(at(schedule.check_start()), Some(("wait", schedule.draw() - 1)));
		assert_eq!(at(schedule.draw()), Some(("commit", schedule.reveal_start() - 1)));
		assert_eq!(at(schedule.reveal_start()), Some(("reveal", schedule.weigh_start() - 1)));
		assert_eq!(at(schedule.weigh_start()), None);
	}

	#[test]
	fn a_share_of_nothing_is_zero() {
		assert_eq!(percent(share(0, 0)), "0.0 %");
		assert_eq!(percent(share(1, 3)), "33.3 %");
	}
}
