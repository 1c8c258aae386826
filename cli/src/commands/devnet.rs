//! `gonka devnet`.

use super::table;
use crate::devnet::{self, Config, Devnet, Engine, Ports, Progress, Urls};
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

/// Between two turns of a spinner.
const TICK: Duration = Duration::from_millis(120);
/// Longest detail beside a spinner, in characters.
const DETAIL: usize = 100;

/// Arguments of `gonka devnet`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
	#[command(subcommand)]
	command: Option<Command>,
	#[command(flatten)]
	start: Start,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// End the network that runs in a folder.
	Stop {
		/// Folder of the network; `$GONKA_HOME/devnet` or `~/.gonka/devnet` if absent.
		#[arg(long, value_name = "DIR")]
		base_path: Option<PathBuf>,
	},
}

#[derive(Debug, clap::Args)]
struct Start {
	/// Begin a new chain: remove what an earlier run left. Without this the chain goes on.
	#[arg(long)]
	fresh: bool,
	/// Return when it is up and leave it running; `gonka devnet stop` ends it.
	#[arg(long)]
	detach: bool,
	/// Folder of the network; `$GONKA_HOME/devnet` or `~/.gonka/devnet` if absent.
	#[arg(long, value_name = "DIR")]
	base_path: Option<PathBuf>,
	/// How the workers infer.
	#[arg(long, value_enum, default_value = "torch")]
	engine: Engine,
	/// Model file for `--engine torch`; the demo model if absent.
	#[arg(long, value_name = "GGUF")]
	model: Option<PathBuf>,
	/// Sprint leaves a second of the slowest host; the others make 2 and 4 times as many.
	#[arg(long, default_value_t = 40, value_name = "LEAVES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
	sprint_rate: u32,
	/// RPC port of the first node; the others follow. Must be free.
	#[arg(long, value_name = "PORT")]
	node_port: Option<u16>,
	/// Port of the first worker; the others follow. Must be free.
	#[arg(long, value_name = "PORT")]
	worker_port: Option<u16>,
	/// Port of the gateway. Must be free.
	#[arg(long, value_name = "PORT")]
	gateway_port: Option<u16>,
	/// Seconds that each step of coming up may take.
	#[arg(long, default_value_t = 240, value_name = "SECONDS")]
	patience: u64,
}

/// Runs `gonka devnet`.
pub async fn run(arguments: Arguments) -> Result<()> {
	match arguments.command {
		Some(Command::Stop { base_path }) => {
			let ended = devnet::stop(&base_path.unwrap_or_else(devnet::default_base_path)).await?;
			println!("ended {}", if ended.is_empty() { "nothing: all had ended".into() } else { ended.join(", ") });
			Ok(())
		},
		None => start(arguments.start).await,
	}
}

async fn start(start: Start) -> Result<()> {
	let binaries = devnet::find_or_build(start.engine)?;
	let base_path = start.base_path.unwrap_or_else(devnet::default_base_path);
	let config = Config {
		fresh: start.fresh,
		engine: start.engine,
		model: start.model,
		sprint_rate: start.sprint_rate,
		ports: Ports { any: false, node: start.node_port, worker: start.worker_port, gateway: start.gateway_port },
		patience: Duration::from_secs(start.patience),
		..Config::new(base_path, binaries)
	};
	let mut asked = Box::pin(asked_to_end()?);
	let bars = Bars::default();
	let mut devnet = tokio::select! {
		devnet = Devnet::start_with(config, &bars) => devnet?,
		signal = &mut asked => bail!("{signal} while starting; everything is ended"),
	};
	warn_if_slow(devnet.urls()).await;
	print(&devnet, start.detach).await;
	if start.detach {
		return devnet.detach();
	}
	tokio::select! {
		failure = devnet.failure() => {
			devnet.stop().await;
			bail!("{failure}\nThe other programs are ended.");
		}
		signal = &mut asked => {
			println!("{signal}: ending everything");
			devnet.stop().await;
			Ok(())
		}
	}
}

/// Waits for Ctrl-C, a closed terminal or a request to end.
fn asked_to_end() -> Result<impl Future<Output = &'static str>> {
	let listen = |kind| signal(kind).context("cannot listen for signals");
	let mut interrupt = listen(SignalKind::interrupt())?;
	let mut terminate = listen(SignalKind::terminate())?;
	let mut hangup = listen(SignalKind::hangup())?;
	Ok(async move {
		tokio::select! {
			_ = interrupt.recv() => "interrupted",
			_ = terminate.recv() => "asked to end",
			_ = hangup.recv() => "terminal closed",
		}
	})
}

/// A node without `fast-runtime` makes a day's epochs.
async fn warn_if_slow(urls: &Urls) {
	let Some(url) = urls.nodes.first() else { return };
	let Ok(chain) = Chain::connect(url).await else { return };
	if let Ok(epoch) = chain.epoch().await
		&& epoch.schedule.length > 1_000
	{
		println!(
			"Note: this gonka-node was built without `--features fast-runtime`: an epoch takes {} blocks.",
			epoch.schedule.length
		);
	}
}

async fn print(devnet: &Devnet, detached: bool) {
	let urls = devnet.urls();
	let mut table = table(&["program", "where", "log"]);
	let addresses = urls.nodes.iter().chain(&urls.workers).chain([&urls.gateway]);
	for (name, address) in devnet.names().into_iter().zip(addresses) {
		table.add_row([name.to_owned(), address.clone(), devnet.log(name).display().to_string()]);
	}
	println!("{table}");
	println!("API key     {}", urls.api_key);
	println!("key files   {}", devnet.base_path().join("keys").display());
	println!(
		"look        gonka status{}",
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
		println!("It runs on. `gonka devnet stop --base-path {}` ends it.", devnet.base_path().display());
	} else {
		println!("Ctrl-C ends it.");
	}
}

/// The model to try.
async fn model_name(urls: &Urls) -> String {
	let ask = async {
		let chain = Chain::connect(urls.nodes.first()?).await.ok()?;
		let models = chain.models().await.ok()?;
		models.first().map(|model| String::from_utf8_lossy(&model.name).into_owned())
	};
	ask.await.unwrap_or_else(|| "SmolLM2-135M-Instruct".into())
}

/// One spinner per program.
#[derive(Default)]
struct Bars {
	all: MultiProgress,
	by_name: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
	fn bar(&self, name: &str) -> ProgressBar {
		let mut bars = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
		let make = || {
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
		let line: String = detail.lines().next().unwrap_or_default().chars().take(DETAIL).collect();
		self.bar(name).set_message(line);
	}

	fn ready(&self, name: &str, detail: &str) {
		self.bar(name).finish_with_message(detail.to_owned());
	}
}
