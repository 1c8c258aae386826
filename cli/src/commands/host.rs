//! `gonka host`.

pub mod cases;
pub mod money;
pub mod show;

use super::{NodeArgument, emit, emit_json, table, with_fees};
use crate::amount::parse_gnk;
use anyhow::{Result, bail};
use clap::Subcommand;
use gonka_client::{
	chain::Chain,
	keys::{self, Address, Keypair},
	worker_api::{HexError, from_hex},
};
use gonka_primitives::{
	Balance, Hash, ModelId, PublicKey, Signature,
	hashing::{domain, signing_payload},
	host::Registration,
	views::{HostView, ModelView, RegistrationTerms},
};
use money::Format;
use serde::Serialize;
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
	/// Show a host: how its weight and pay come about, and what it must do now.
	///
	/// Shows balance, pay, collateral, session keys and the last slashes; then the running epoch and the one before: the
	/// leaves of each segment, the weights that follow from them, missed duties, the pay, convictions. Then the host's open tasks with their deadlines: openings to post, turns of disputes.
	#[command(after_help = "\
Examples:
  gonka host show 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
  gonka host show 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --epochs 7 --json")]
	Show {
		/// Address of the host.
		host: Address,
		/// Number of epochs, the running one included.
		#[arg(long, default_value_t = 2, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=180))]
		epochs: u32,
		/// Print JSON. Amounts are decimal strings: `amount` in base units, `amount_gnk` in GNK.
		#[arg(long)]
		json: bool,
	},
	/// List all hosts, the heaviest first.
	#[command(after_help = "\
Examples:
  gonka host list
  gonka host list --json")]
	List {
		/// Print JSON.
		#[arg(long)]
		json: bool,
	},
	/// Show what a host earned, and how much of it has vested.
	#[command(after_help = "\
Examples:
  gonka host earnings 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
  gonka host earnings 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --format csv")]
	Earnings {
		/// Address of the host.
		host: Address,
		/// Output format.
		#[arg(long, value_enum, default_value_t)]
		format: Format,
		/// Same as `--format json`.
		#[arg(long, conflicts_with = "format")]
		json: bool,
	},
	/// Pay out a host's vested rewards, once an epoch and without a fee. Blocks with room do so by themselves.
	#[command(after_help = "\
Example:
  gonka host claim 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")]
	Claim {
		/// Address of the host.
		host: Address,
	},
	/// Show a host's collateral and how much weight it backs.
	#[command(after_help = "\
Example:
  gonka host collateral 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")]
	Collateral {
		/// Address of the host.
		host: Address,
		/// Print JSON. Amounts are decimal strings: `amount` in base units, `amount_gnk` in GNK.
		#[arg(long)]
		json: bool,
	},
	/// Deposit GNK as collateral.
	#[command(after_help = "\
Example:
  gonka host deposit 100 --host-key host.key")]
	Deposit {
		/// Amount in GNK.
		#[arg(value_parser = parse_gnk)]
		amount: Balance,
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// Withdraw collateral. It stops backing weight at once, and can be released after a whole epoch.
	#[command(after_help = "\
Example:
  gonka host withdraw 40 --host-key host.key")]
	Withdraw {
		/// Amount in GNK.
		#[arg(value_parser = parse_gnk)]
		amount: Balance,
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// Release collateral that was withdrawn, once its time has come: what slashes have left of it.
	#[command(after_help = "\
Example:
  gonka host release --host-key host.key")]
	Release {
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// List the cases and appeals that arbiters hear about the completions of hosts.
	#[command(after_help = "\
Example:
  gonka host cases")]
	Cases {
		/// Print JSON.
		#[arg(long)]
		json: bool,
	},
	/// Appeal against a judgement about your completions. More arbiters hear the appeal. If they acquit the host, the judgement
	/// is void and the deposit comes back; otherwise the judgement takes effect and the deposit is burnt.
	#[command(after_help = "\
Example:
  gonka host appeal --host-key host.key")]
	Appeal {
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// Register a host, or replace its registration, without a fee. A worker that has the host's key registers its host
	/// itself.
	///
	/// A registration needs a proof of work: seconds, and longer the more hosts there are. Up to eight are possible in an
	/// epoch, each with four times the work of the one before. A new worker key counts at once, and the old one no longer.
	#[command(after_help = "\
Examples:
  gonka host register --host-key host.key --url http://203.0.113.7:9000 \\
    --worker-key worker.key # on this machine

The worker on another machine logs this command at its start, with its signature:
    gonka host register --host-key host.key --worker-signature 2c91… \\
      --worker 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY \\
      --url http://203.0.113.7:9000 --model SmolLM2-135M-Instruct")]
	Register(Register),
}

#[derive(Debug, clap::Args)]
struct Register {
	/// File with the host's secret.
	#[arg(long, value_name = "FILE")]
	host_key: PathBuf,
	/// Address of the worker's key. Default: the host's own.
	#[arg(long, value_name = "ADDRESS", requires = "worker_signature")]
	worker: Option<Address>,
	/// Signature of the worker's key over the host's account, in hex. The worker logs it.
	#[arg(long, value_parser = signature, value_name = "HEX", requires = "worker")]
	worker_signature: Option<Signature>,
	/// File with the worker's secret, instead of its address and signature.
	#[arg(long, value_name = "FILE", conflicts_with_all = ["worker", "worker_signature"])]
	worker_key: Option<PathBuf>,
	/// Address at which gateways reach the worker: http:// or https://.
	#[arg(long)]
	url: String,
	/// Name of a model that the worker serves. Repeat it for more models.
	#[arg(long = "model", value_name = "NAME")]
	models: Vec<String>,
}

/// Runs `gonka host`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	with_fees(&chain, command(&chain, arguments.command)).await
}

async fn command(chain: &Chain, command: Command) -> Result<()> {
	match command {
		Command::Show { host, epochs, json } => show::run(chain, &host.account()?, epochs, json).await,
		Command::List { json } => list(chain, json).await,
		Command::Earnings { host, format, json } => {
			money::earnings(chain, &host.account()?, if json { Format::Json } else { format }).await
		},
		Command::Claim { host } => money::claim(chain, &host.account()?).await,
		Command::Collateral { host, json } => money::collateral(chain, &host.account()?, json).await,
		Command::Deposit { amount, host_key } => money::deposit(chain, &keys::load(&host_key)?, amount).await,
		Command::Withdraw { amount, host_key } => money::withdraw(chain, &keys::load(&host_key)?, amount).await,
		Command::Release { host_key } => money::release(chain, &keys::load(&host_key)?).await,
		Command::Cases { json } => cases::list(chain, json).await,
		Command::Appeal { host_key } => cases::appeal(chain, &keys::load(&host_key)?).await,
		Command::Register(register) => self::register(chain, register).await,
	}
}

/// A host in a list.
#[derive(Serialize)]
struct Row {
	host: String,
	effective_weight: u64,
	/// Epoch of its last registration.
	registered: u32,
	url: String,
	models: Vec<String>,
}

async fn list(chain: &Chain, json: bool) -> Result<()> {
	let (mut hosts, models) = tokio::try_join!(chain.hosts(), chain.models())?;
	hosts.sort_by_key(|host| std::cmp::Reverse(host.effective_weight));
	if json {
		let row = |host: HostView| Row {
			host: keys::ss58(&host.account),
			effective_weight: host.effective_weight,
			registered: host.registered,
			url: String::from_utf8_lossy(&host.url).into_owned(),
			models: model_names(&host, &models),
		};
		let rows: Vec<Row> = hosts.into_iter().map(row).collect();
		return emit_json(&rows);
	}
	let mut table = table(&["host", "effective weight", "registered", "url", "models"]);
	for host in &hosts {
		table.add_row([
			keys::ss58(&host.account),
			host.effective_weight.to_string(),
			format!("epoch {}", host.registered),
			String::from_utf8_lossy(&host.url).into_owned(),
			model_names(host, &models).join(", "),
		]);
	}
	emit(&format!("{table}\n"))
}

/// Reads a signature in hex.
fn signature(text: &str) -> Result<Signature, HexError> {
	from_hex(text)
}

/// The worker's key and its signature over the account of `pair`, which is the host's key.
fn consent(register: &Register, pair: &Keypair, genesis: &Hash) -> Result<(PublicKey, Signature)> {
	let payload = signing_payload(domain::WORKER, genesis, &keys::public(pair));
	if let Some((worker, signature)) = register.worker.zip(register.worker_signature) {
		let worker = worker.account()?;
		if !keys::verify(&signature, &payload, &worker) {
			bail!(
				"--worker-signature is not by --worker for this host and chain: copy both from the log of a worker that was \
				 started with --host {}",
				keys::ss58(&keys::public(pair))
			);
		}
		return Ok((worker, signature));
	}
	let key = register.worker_key.as_ref().map(keys::load).transpose()?.unwrap_or_else(|| pair.clone());
	Ok((keys::public(&key), keys::sign(&key, &payload)))
}

async fn register(chain: &Chain, register: Register) -> Result<()> {
	let pair = keys::load(&register.host_key)?;
	let (host, genesis) = (keys::public(&pair), chain.genesis());
	let (worker, worker_signature) = consent(&register, &pair, &genesis)?;
	let known = chain.models().await?;
	let mut models: Vec<ModelId> = Vec::new();
	for name in &register.models {
		let Some(model) = known.iter().find(|model| model.name == name.as_bytes()) else {
			let names: Vec<_> = known.iter().map(|model| String::from_utf8_lossy(&model.name)).collect();
			bail!("the model `{name}` is not registered. Registered models: {}", names.join(", "));
		};
		models.push(model.id);
	}
	models.sort_unstable();
	models.dedup();
	let Some(RegistrationTerms { epoch, revision, bits }) = chain.registration_terms(&host).await? else {
		bail!("the host has registered eight times in this epoch: wait for the next one");
	};
	let registration = Registration { host, worker, url: register.url.into_bytes(), models, epoch, revision, work: 0 };
	if !registration.is_well_formed() {
		bail!(
			"the registration is malformed: --url has to start with http:// or https://, without spaces and with at most \
			 128 bytes; --model can be given at most 16 times"
		);
	}
	eprintln!("solving a proof of work of {bits} bits");
	let registration = tokio::task::spawn_blocking(move || registration.solve(&genesis, bits)).await?;
	let signature = keys::sign(&pair, &signing_payload(domain::REGISTRATION, &genesis, &registration));
	chain.submit_registration(registration, signature, worker_signature).await?;
	println!("registered {} in epoch {epoch}", keys::ss58(&host));
	Ok(())
}

/// Names of a host's models.
pub(super) fn model_names(host: &HostView, models: &[ModelView]) -> Vec<String> {
	let name = |id: &ModelId| match models.iter().find(|model| model.id == *id) {
		Some(model) => String::from_utf8_lossy(&model.name).into_owned(),
		None => format!("model {id}"),
	};
	host.models.iter().map(name).collect()
}
