//! `gonka host`.

pub mod money;
pub mod show;

use super::{NodeArgument, account, emit, table};
use crate::amount::parse_gnk;
use anyhow::{Result, bail};
use clap::Subcommand;
use gonka_client::{chain::Chain, keys};
use gonka_primitives::{
	AccountId, Balance, ModelId, PublicKey,
	hashing::{domain, signing_payload},
	host::Registration,
	views::{HostView, ModelView},
};
use money::Format;
use std::path::PathBuf;

/// Arguments of `gonka host`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Show one host and why it has the weight it has.
	///
	/// For the running epoch and the one before: the leaves of each segment, how weight and pay follow from them, what
	/// it was convicted of. Then what it must do now: openings to post, turns of disputes, each with its deadline.
	Show {
		/// The host's address.
		#[arg(value_parser = account)]
		host: AccountId,
		/// Print JSON.
		#[arg(long)]
		json: bool,
	},
	/// List all hosts.
	List,
	/// Show what a host earned: free, vesting, vested, and the table of what is vesting by epoch.
	Earnings {
		/// The host's address.
		#[arg(value_parser = account)]
		host: AccountId,
		/// How it is printed.
		#[arg(long, value_enum, default_value_t)]
		format: Format,
		/// The same as `--format json`.
		#[arg(long, conflicts_with = "format")]
		json: bool,
	},
	/// Pay out what has vested for a host: free of charge, once an epoch. Blocks with room do it by themselves.
	Claim {
		/// The host's address.
		#[arg(value_parser = account)]
		host: AccountId,
	},
	/// Show a host's collateral and what it backs.
	Collateral {
		/// The host's address.
		#[arg(value_parser = account)]
		host: AccountId,
		/// Print JSON.
		#[arg(long)]
		json: bool,
	},
	/// Pledge GNK as collateral.
	Deposit {
		/// Amount in GNK.
		#[arg(value_parser = parse_gnk)]
		amount: Balance,
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// Take collateral back. It stops counting at once, and can be released when a whole epoch has passed.
	Withdraw {
		/// Amount in GNK.
		#[arg(value_parser = parse_gnk)]
		amount: Balance,
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// Free collateral that was withdrawn and has waited.
	Release {
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// Register a host, or replace what it registered: free, and possible once in an epoch. A worker with the host's
	/// key does this by itself.
	Register(Register),
}

#[derive(Debug, clap::Args)]
struct Register {
	/// File with the host's secret.
	#[arg(long, value_name = "FILE")]
	host_key: PathBuf,
	/// Address of the worker's key; the host's own if absent.
	#[arg(long, value_parser = account, value_name = "ADDRESS")]
	worker: Option<PublicKey>,
	/// Where gateways reach the worker.
	#[arg(long)]
	url: String,
	/// Name of a model it serves; can be given more than once.
	#[arg(long = "model", value_name = "NAME")]
	models: Vec<String>,
}

/// Runs `gonka host`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	match arguments.command {
		Command::Show { host, json } => show::run(&chain, &host, json).await,
		Command::List => list(&chain).await,
		Command::Earnings { host, format, json } => {
			money::earnings(&chain, &host, if json { Format::Json } else { format }).await
		},
		Command::Claim { host } => money::claim(&chain, &host).await,
		Command::Collateral { host, json } => money::collateral(&chain, &host, json).await,
		Command::Deposit { amount, host_key } => money::deposit(&chain, &keys::load(&host_key)?, amount).await,
		Command::Withdraw { amount, host_key } => money::withdraw(&chain, &keys::load(&host_key)?, amount).await,
		Command::Release { host_key } => money::release(&chain, &keys::load(&host_key)?).await,
		Command::Register(register) => self::register(&chain, register).await,
	}
}

async fn list(chain: &Chain) -> Result<()> {
	let mut hosts = chain.hosts().await?;
	let models = chain.models().await?;
	hosts.sort_by_key(|host| std::cmp::Reverse(host.weight));
	let mut table = table(&["host", "weight", "registered", "url", "models"]);
	for host in &hosts {
		table.add_row([
			keys::ss58(&host.account),
			host.weight.to_string(),
			format!("epoch {}", host.registered),
			String::from_utf8_lossy(&host.url).into_owned(),
			model_names(host, &models),
		]);
	}
	emit(&format!("{table}\n"))
}

async fn register(chain: &Chain, register: Register) -> Result<()> {
	let pair = keys::load(&register.host_key)?;
	let known = chain.models().await?;
	let mut models: Vec<ModelId> = Vec::new();
	for name in &register.models {
		let Some(model) = known.iter().find(|model| model.name == name.as_bytes()) else {
			let names: Vec<_> = known.iter().map(|model| String::from_utf8_lossy(&model.name)).collect();
			bail!("no model `{name}` is registered, only: {}", names.join(", "));
		};
		models.push(model.id);
	}
	models.sort_unstable();
	models.dedup();
	let epoch = chain.epoch().await?;
	let host = keys::public(&pair);
	let registration = Registration {
		host,
		worker: register.worker.unwrap_or(host),
		url: register.url.into_bytes(),
		models,
		epoch: epoch.index,
		work: 0,
	};
	if !registration.is_well_formed() {
		bail!(
			"the URL must start with http:// or https://, have no blanks and at most 128 bytes, and at most 16 models"
		);
	}
	let genesis = chain.genesis();
	let solving = tokio::task::spawn_blocking(move || registration.solve(&genesis, epoch.registration_bits));
	let registration = solving.await?;
	let signature = keys::sign(&pair, &signing_payload(domain::REGISTRATION, &genesis, &registration));
	chain.submit_registration(registration, signature).await?;
	println!("registered {} in epoch {}", keys::ss58(&host), epoch.index);
	Ok(())
}

/// The names of a host's models.
pub(super) fn model_names(host: &HostView, models: &[ModelView]) -> String {
	let name = |id: &ModelId| match models.iter().find(|model| model.id == *id) {
		Some(model) => String::from_utf8_lossy(&model.name).into_owned(),
		None => format!("model {id}"),
	};
	host.models.iter().map(name).collect::<Vec<_>>().join(", ")
}
