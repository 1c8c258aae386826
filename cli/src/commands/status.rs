//! `gonka status`: the network on one screen.

use super::{NodeArgument, emit, host::model_names, table};
use crate::amount::gnk;
use anyhow::Result;
use gonka_client::{chain::Chain, keys};
use gonka_primitives::epoch::Phase;
use serde::Serialize;
use std::fmt::Write;

/// Most hosts and validators that one screen shows.
const ROWS: usize = 12;

/// Arguments of `gonka status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	/// Print JSON, with all hosts and validators.
	#[arg(long)]
	json: bool,
}

/// The network as of its best block. Amounts are in base units, 10⁻⁹ GNK.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
	/// The genesis hash.
	pub genesis: String,
	/// The best block's number.
	pub best: u32,
	/// The last finalised block's number.
	pub finalized: u32,
	/// Blocks between the two.
	pub finality_lag: u32,
	/// The running epoch.
	pub epoch: Epoch,
	/// All hosts, heaviest first.
	pub hosts: Vec<Host>,
	/// All validators, most powerful first.
	pub validators: Vec<Validator>,
	/// All models with today's prices.
	pub models: Vec<Model>,
	/// Where all GNK are.
	pub supply: Supply,
}

/// The running epoch.
#[derive(Clone, Debug, Serialize)]
pub struct Epoch {
	/// Its index.
	pub index: u32,
	/// `init`, `sprint`, `check`, `settle` or `work`.
	pub phase: &'static str,
	/// The segment, during the sprint.
	pub segment: Option<u8>,
	/// Blocks since its first one.
	pub block: u32,
	/// Its length in blocks.
	pub length: u32,
	/// The sprint's model format.
	pub profile: String,
}

/// A host.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
	/// Its address.
	pub account: String,
	/// Where its worker is reached.
	pub url: String,
	/// Its effective weight in the last settled epoch.
	pub weight: u64,
	/// Its share of all weight, 0 to 1.
	pub share: f64,
	/// Names of its models.
	pub models: String,
}

/// A validator.
#[derive(Clone, Debug, Serialize)]
pub struct Validator {
	/// Its address.
	pub account: String,
	/// Its consensus power.
	pub power: u64,
	/// Its share of all power, 0 to 1.
	pub share: f64,
}

/// A model.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
	/// Its id.
	pub id: u32,
	/// Its name.
	pub name: String,
	/// Tokens of prompt and answer together.
	pub context_length: u32,
	/// Base units per prompt token.
	pub input_price: u128,
	/// Base units per completion token.
	pub output_price: u128,
}

/// Where all GNK are, in base units.
#[derive(Clone, Debug, Serialize)]
pub struct Supply {
	/// In existence.
	pub issued: u128,
	/// Still to be mined.
	pub unmined: u128,
	/// What the last settled epoch may mint.
	pub last_emission: u128,
}

/// Runs `gonka status`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	let status = gather(&chain).await?;
	if arguments.json {
		emit(&format!("{}\n", serde_json::to_string_pretty(&status)?))
	} else {
		emit(&screen(&status)?)
	}
}

/// Asks the chain for everything.
pub async fn gather(chain: &Chain) -> Result<Status> {
	let (epoch, hosts, validators) = tokio::try_join!(chain.epoch(), chain.hosts(), chain.validators())?;
	let (models, supply, finalized) = tokio::try_join!(chain.models(), chain.supply(), chain.finalized())?;
	let best = chain.best().await?.number;
	let total_weight: u64 = hosts.iter().map(|host| host.weight).fold(0, u64::saturating_add);
	let total_power: u64 = validators.iter().map(|(_, power)| *power).fold(0, u64::saturating_add);
	let (phase, segment) = match epoch.phase {
		Phase::Init => ("init", None),
		Phase::Sprint(segment) => ("sprint", Some(segment)),
		Phase::Check => ("check", None),
		Phase::Settle => ("settle", None),
		Phase::Work => ("work", None),
	};
	let mut hosts: Vec<Host> = hosts
		.iter()
		.map(|host| Host {
			account: keys::ss58(&host.account),
			url: String::from_utf8_lossy(&host.url).into_owned(),
			weight: host.weight,
			share: share(host.weight, total_weight),
			models: model_names(host, &models),
		})
		.collect();
	hosts.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.account.cmp(&b.account)));
	let mut validators: Vec<Validator> = validators
		.iter()
		.map(|(account, power)| Validator {
			account: keys::ss58(account),
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
			profile: format!("{:?}", epoch.profile),
		},
		hosts,
		validators,
		models: models.iter().map(model).collect(),
		supply: Supply { issued: supply.issued, unmined: supply.unmined, last_emission: supply.last_emission },
	})
}

fn share(part: u64, whole: u64) -> f64 {
	if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
	format!("{:.1} %", share * 100.0)
}

fn screen(status: &Status) -> Result<String, std::fmt::Error> {
	let mut out = String::new();
	let Epoch { index, phase, segment, block, length, profile } = &status.epoch;
	let segment = segment.map(|segment| format!(" (segment {segment})")).unwrap_or_default();
	writeln!(out, "epoch {index}, {phase}{segment}, block {block} of {length}, sprint profile {profile}")?;
	writeln!(out, "best block {}, finalised {} ({} behind)", status.best, status.finalized, status.finality_lag)?;
	let Supply { issued, unmined, last_emission } = &status.supply;
	writeln!(
		out,
		"supply {} GNK, {} GNK still to be mined, {} GNK for the last epoch",
		gnk(*issued),
		gnk(*unmined),
		gnk(*last_emission)
	)?;
	let mut hosts = table(&["host", "weight", "share", "url", "models"]);
	for host in status.hosts.iter().take(ROWS) {
		let Host { account, url, weight, share, models } = host;
		hosts.add_row([account.clone(), weight.to_string(), percent(*share), url.clone(), models.clone()]);
	}
	writeln!(out, "{hosts}")?;
	more(&mut out, status.hosts.len(), "hosts: `gonka host list` shows all")?;
	let mut validators = table(&["validator", "power", "share"]);
	for validator in status.validators.iter().take(ROWS) {
		validators.add_row([validator.account.clone(), validator.power.to_string(), percent(validator.share)]);
	}
	writeln!(out, "{validators}")?;
	more(&mut out, status.validators.len(), "validators: `gonka status --json` shows all")?;
	let mut models = table(&["model", "context", "GNK per 1M tokens in", "out"]);
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
	use super::*;

	#[test]
	fn shares_of_nothing_are_zero() {
		assert_eq!(percent(share(0, 0)), "0.0 %");
		assert_eq!(percent(share(1, 3)), "33.3 %");
	}
}
