//! `gonka devnet`.

use super::table;
use crate::devnet::{self, Config, Devnet, Engine, Parachain, Ports, Progress, SPRINT_RATE, Urls};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use gonka_client::chain::Chain;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
	collections::HashMap,
	path::PathBuf,
	sync::{Mutex, PoisonError},
	time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// Time between two frames of a spinner.
const TICK: Duration = Duration::from_millis(120);
/// Maximum length of the text beside a spinner, in characters.
const MAX_DETAIL: usize = 100;

/// Arguments of `gonka devnet`.
#[derive(Debug, clap::Args)]
#[command(
	args_conflicts_with_subcommands = true,
	after_help = "\
Examples:
  gonka devnet                        # start, or continue, until Ctrl-C
  gonka devnet --fresh --detach       # start a new chain in the background
  gonka devnet --engine mock          # without a model
  gonka devnet --para                 # as a parachain, on polkadot-omni-node"
)]
pub struct Arguments {
	#[command(subcommand)]
	command: Option<Command>,
	#[command(flatten)]
	start: Start,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Stop a network.
	#[command(after_help = "\
Example:
  gonka devnet stop")]
	Stop {
		/// Folder of the network. Default: `$GONKA_HOME/devnet`, or `~/.gonka/devnet`; with --para `devnet-para` beside it.
		#[arg(long, value_name = "DIR")]
		base_path: Option<PathBuf>,
		/// Stop the parachain in its default folder.
		#[arg(long, conflicts_with = "base_path")]
		para: bool,
	},
}

#[derive(Debug, clap::Args)]
struct Start {
	/// Start a new chain: delete the data of the earlier run. Without this option the chain continues.
	#[arg(long)]
	fresh: bool,
	/// Return once the network serves, and leave it running. `gonka devnet stop` stops it.
	#[arg(long)]
	detach: bool,
	/// Run the parachain instead of the solo chain: one polkadot-omni-node without a relay chain, three workers, a gateway.
	/// `scripts/omni-node` installs the node.
	#[arg(long)]
	para: bool,
	/// Wasm of the parachain's runtime. Default: that of the checkout, which is built if it is missing.
	#[arg(long, value_name = "WASM", requires = "para")]
	runtime: Option<PathBuf>,
	/// Folder of the network's data. Default: `$GONKA_HOME/devnet`, or `~/.gonka/devnet`; with --para `devnet-para` beside it.
	#[arg(long, value_name = "DIR")]
	base_path: Option<PathBuf>,
	/// Inference engine of the workers.
	#[arg(long, value_enum, default_value = "llama")]
	engine: Engine,
	/// GGUF file of the model for `--engine llama` or `--engine torch`. Default: the demo model that `scripts/get-model` fetches.
	#[arg(long, value_name = "GGUF")]
	model: Option<PathBuf>,
	/// Maximum number of sprint leaves a second of the slowest host. The others get 2 and 4 times as many.
	#[arg(long, default_value_t = SPRINT_RATE, value_name = "LEAVES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
	sprint_rate: u32,
	/// RPC port of the first node; the others get the next ports. Default: those of the last run, 9944, or free ports.
	#[arg(long, value_name = "PORT")]
	node_port: Option<u16>,
	/// Port of the first worker; the others get the next ports. Default: those of the last run, 9000, or free ports.
	#[arg(long, value_name = "PORT")]
	worker_port: Option<u16>,
	/// Port of the gateway. Default: that of the last run, 8080, or a free port.
	#[arg(long, value_name = "PORT")]
	gateway_port: Option<u16>,
	/// Maximum time for each step of the start, in seconds.
	#[arg(long, default_value_t = 240, value_name = "SECONDS")]
	patience: u64,
}

/// Runs `gonka devnet`.
pub async fn run(arguments: Arguments) -> Result<()> {
	match arguments.command {
		Some(Command::Stop { base_path, para }) => {
			let ended = devnet::stop(&base_path.unwrap_or_else(|| devnet::default_base_path(para))).await?;
			println!(
				"stopped {}",
				if ended.is_empty() { "nothing: no program was running".into() } else { ended.join(", ") }
			);
			Ok(())
		},
		None => start(arguments.start).await,
	}
}

async fn start(start: Start) -> Result<()> {
	let binaries = devnet::find_or_build(start.engine)?;
	let parachain = if start.para { Some(Parachain::find_or_build(start.runtime)?) } else { None };
	let base_path = start.base_path.unwrap_or_else(|| devnet::default_base_path(start.para));
	let config = Config {
		fresh: start.fresh,
		engine: start.engine,
		model: start.model,
		sprint_rate: start.sprint_rate,
		parachain,
		ports: Ports { any: false, node: start.node_port, worker: start.worker_port, gateway: start.gateway_port },
		patience: Duration::from_secs(start.patience),
		..Config::new(base_path, binaries)
	};
	let mut signal = Box::pin(end_signal()?);
	let bars = Bars::default();
	let mut devnet = tokio::select! {
		devnet = Devnet::start_with(config, &bars) => devnet?,
		signal = &mut signal => bail!("{signal} during the start: all programs are stopped"),
	};
	warn_if_slow(devnet.urls()).await;
	print(&devnet, start.detach).await;
	if start.detach {
		return devnet.detach();
	}
	tokio::select! {
		failure = devnet.failure() => {
			devnet.stop().await;
			bail!("{failure}\nThe other programs are stopped.");
		}
		signal = &mut signal => {
			println!("{signal}: stopping all programs");
			devnet.stop().await;
			Ok(())
		}
	}
}

/// Waits for Ctrl-C, SIGTERM or the end of the terminal, and names it.
fn end_signal() -> Result<impl Future<Output = &'static str>> {
	let listen = |kind| signal(kind).context("cannot listen for signals");
	let mut interrupt = listen(SignalKind::interrupt())?;
	let mut terminate = listen(SignalKind::terminate())?;
	let mut hangup = listen(SignalKind::hangup())?;
	Ok(async move {
		tokio::select! {
			_ = interrupt.recv() => "interrupted",
			_ = terminate.recv() => "terminated",
			_ = hangup.recv() => "terminal closed",
		}
	})
}

/// Warns about a node that was built without `fast-runtime`: its epochs take a day.
async fn warn_if_slow(urls: &Urls) {
	let Some(url) = urls.nodes.first() else { return };
	let Ok(chain) = Chain::connect(url).await else { return };
	if let Ok(epoch) = chain.epoch().await
		&& epoch.schedule.length > 1_000
	{
		println!(
			"Note: the runtime was built without `--features fast-runtime`, so an epoch takes {} blocks. Build it with the \
			 feature for epochs of 160 seconds.",
			epoch.schedule.length
		);
	}
}

async fn print(devnet: &Devnet, detached: bool) {
	let urls = devnet.urls();
	let mut table = table(&["program", "address", "log"]);
	let addresses = urls.nodes.iter().chain(&urls.workers).chain([&urls.gateway]);
	for (name, address) in devnet.names().into_iter().zip(addresses) {
		table.add_row([name.to_owned(), address.clone(), devnet.log(name).display().to_string()]);
	}
	println!("{table}");
	println!("API key     {}", urls.api_key);
	println!("key files   {}", devnet.base_path().join("keys").display());
	println!(
		"status      gonka status{}",
		urls.nodes
			.first()
			.filter(|url| !url.ends_with(":9944"))
			.map(|url| format!(" --node {url}"))
			.unwrap_or_default()
	);
	println!("try\n  curl -N {}/v1/chat/completions -H 'Authorization: Bearer {}' \\", urls.gateway, urls.api_key);
	println!("    -H 'Content-Type: application/json' \\");
	let model = model_name(urls).await;
	println!(
		"    -d '{{\"model\":\"{model}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello!\"}}]}}'"
	);
	if detached {
		println!("The network runs in the background. `{}` stops it.", devnet::stop_command(devnet.base_path()));
	} else {
		println!("Ctrl-C stops the network.");
	}
}

/// Name of the model for the example request.
async fn model_name(urls: &Urls) -> String {
	let query = async {
		let chain = Chain::connect(urls.nodes.first()?).await.ok()?;
		let models = chain.models().await.ok()?;
		// The part from `@` on names a class of engines.
		models
			.first()
			.map(|model| String::from_utf8_lossy(&model.name).split('@').next().unwrap_or_default().to_owned())
	};
	query.await.unwrap_or_else(|| "SmolLM2-135M-Instruct".into())
}

/// Shows a spinner for each program, or lines where there is no terminal.
#[derive(Default)]
struct Bars {
	all: MultiProgress,
	by_name: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
	fn bar(&self, name: &str) -> ProgressBar {
		let mut bars = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
		let make = || {
			if self.all.is_hidden() {
				println!("{name}: waiting");
			}
			let bar = self.all.add(ProgressBar::new_spinner());
			if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:15} {elapsed:>4} {wide_msg}") {
				bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧✓"));
			}
			bar.set_prefix(name.to_owned());
			bar.enable_steady_tick(TICK);
			bar
		};
		bars.entry(name.to_owned()).or_insert_with(make).clone()
	}
}

impl Progress for Bars {
	fn waiting(&self, name: &str, detail: &str) {
		let line: String = detail.lines().next().unwrap_or_default().chars().take(MAX_DETAIL).collect();
		self.bar(name).set_message(line);
	}

	fn ready(&self, name: &str, detail: &str) {
		self.bar(name).finish_with_message(detail.to_owned());
		if self.all.is_hidden() {
			println!("{name}: {detail}");
		}
	}
}
