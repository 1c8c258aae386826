//! The devnet under test, what every step uses of it, and its first steps.

mod bad_input;
mod clients;
mod crashes;
mod examples;
mod finality;
mod money;
mod operators;
mod settlement;
mod weights;

use anyhow::{Context, Result, bail, ensure};
use gonka::devnet::{Config, Devnet, Engine, Parachain, Ports, find_or_build, free_ports};
use gonka_client::{
	chain::Chain,
	keys::{self, Keypair},
	worker_api::{CHANNEL_PATH, ChannelQuery, ChannelState, Scale},
};
use gonka_e2e::{PATIENCE, gonka_home, http, node::Node, step, until};
use gonka_primitives::{
	AccountId, Balance,
	hashing::{domain, signing_payload},
	market::Totals,
	views::ChannelView,
};
use std::{
	path::{Path, PathBuf},
	process::Stdio,
	time::Instant,
};
use tokio::process::Command;

/// The model that the devnet serves.
const MODEL: &str = "SmolLM2-135M-Instruct";
/// Maximum number of epochs in which a step is tried that a busy machine may spoil.
const ATTEMPTS: u32 = 6;

/// A running network and what the steps need of it.
pub struct Scenario {
	engine: Engine,
	devnet: Devnet,
	folder: tempfile::TempDir,
	chain: Chain,
	node: Node,
	developer: Keypair,
	started: Instant,
}

impl Scenario {
	/// Starts the network: of the `parachain`, if there is one.
	pub async fn start(engine: Engine, parachain: Option<Parachain>) -> Result<Self> {
		step("start");
		let folder = tempfile::tempdir()?;
		let binaries = find_or_build(engine)?;
		let ports = Ports { any: true, ..Ports::default() };
		let usual = Config::new(folder.path().join("devnet"), binaries);
		let started = Instant::now();
		let devnet = Devnet::start(Config { engine, ports, parachain, patience: PATIENCE, ..usual }).await?;
		println!("the devnet is up after {:.1} s", started.elapsed().as_secs_f32());
		let url = devnet.urls().nodes.first().context("no node")?.clone();
		let chain = Chain::connect(&url).await?;
		let node = Node::connect(&url).await?;
		Ok(Self { engine, devnet, folder, chain, node, developer: keys::from_uri("//Dave")?, started })
	}

	/// Ends all programs.
	pub async fn stop(self) {
		self.devnet.stop().await;
	}

	/// The `openai` package streams a completion through the gateway. Prints the time since the start.
	pub async fn the_first_completion_is_streamed(&mut self) -> Result<()> {
		step("the openai package streams the first completion");
		let urls = self.devnet.urls();
		// Read at run time: the compiled test may serve another checkout.
		let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("run this through cargo")?;
		let script = Path::new(&folder).join("tests/openai_stream.py");
		let output = Command::new(python())
			.arg(script)
			.args([&format!("{}/v1", urls.gateway), &urls.api_key, MODEL])
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output()
			.await
			.context("the Python of the tests is missing: run scripts/setup")?;
		let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
		ensure!(output.status.success(), "the openai package failed:\n{out}{err}");
		println!("completion {:.1} s after the start: {}", self.started.elapsed().as_secs_f32(), out.trim());
		Ok(())
	}

	/// All programs of the devnet fit into 6 GB of memory.
	pub fn memory_within_six_gigabytes(&self) -> Result<()> {
		step("the whole devnet within 6 GB");
		let total = self.memory("gonka-")?;
		println!("{:>8} MB  in total", total / 1024);
		ensure!(total > 100_000, "no process of the devnet was found");
		ensure!(total < 6_000_000, "the devnet takes {} MB", total / 1024);
		Ok(())
	}

	/// The memory of the devnet's programs whose name contains `name`, in kilobytes. Prints each.
	fn memory(&self, name: &str) -> Result<u64> {
		let mut total = 0;
		for entry in std::fs::read_dir("/proc")?.flatten() {
			let Ok(command) = std::fs::read_to_string(entry.path().join("cmdline")) else { continue };
			let base = self.devnet.base_path().display().to_string();
			let program = command.split('\0').next().unwrap_or_default();
			if !command.contains(&base) || !program.contains(name) {
				continue;
			}
			let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
			let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
			let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
			println!("{:>8} MB  {program}", kilobytes / 1024);
			total += kilobytes;
		}
		Ok(total)
	}

	/// Requests a short completion without streaming.
	async fn complete(&self, prompt: &str, max_tokens: u32) -> Result<http::Response> {
		let urls = self.devnet.urls();
		let body = serde_json::json!({
			"model": MODEL, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0,
		});
		http::post(&format!("{}/v1/completions", urls.gateway), &urls.api_key, &body.to_string()).await
	}

	/// The gateway's metrics, as text.
	async fn metrics(&self) -> Result<String> {
		let response = http::get(&format!("{}/metrics", self.devnet.urls().gateway)).await?;
		Ok(response.body.as_str().context("no text")?.to_owned())
	}

	/// The totals that the chain has settled for the developer, over all channels.
	async fn settled(&self) -> Result<Totals> {
		let channels = self.chain.channels(&keys::public(&self.developer)).await?;
		channels
			.iter()
			.try_fold(Totals::default(), |sum, channel| sum.checked_add(&channel.settled))
			.context("the sum of the settled totals overflows")
	}

	/// The fee of a completion by its usage and the model's price on chain, in base units.
	async fn fee(&self, response: &http::Response) -> Result<Balance> {
		let model = self.chain.models().await?.into_iter().find(|model| model.name == MODEL.as_bytes());
		let tokens = |name: &str| response.body["usage"][name].as_u64().and_then(|count| u32::try_from(count).ok());
		let (input, output) = (tokens("prompt_tokens"), tokens("completion_tokens"));
		let (input, output) = input.zip(output).context("no usage")?;
		model.context("the model is not registered")?.price.fee(input, output).context("the fee overflows")
	}

	/// Waits until every worker holds a voucher for all its receipts and the chain has settled exactly these vouchers.
	async fn until_settled(&self, what: &str) -> Result<Totals> {
		until(what, || async {
			for channel in self.chain.channels(&keys::public(&self.developer)).await? {
				let state = self.channel_state(&channel).await?;
				let left = state.unacknowledged.len();
				ensure!(left == 0, "channel {}: {left} receipts without a voucher", channel.id);
				let promised = state.voucher.map(|voucher| voucher.0.voucher.totals).unwrap_or_default();
				let (id, settled) = (channel.id, channel.settled);
				ensure!(settled == promised, "channel {id}: {settled:?} settled of {promised:?}");
			}
			self.settled().await
		})
		.await
	}

	/// Queries the state of a channel from its worker.
	async fn channel_state(&self, channel: &ChannelView) -> Result<ChannelState> {
		let host = self.chain.host(&channel.host).await?.context("the host is not registered")?;
		let payload = signing_payload(domain::CHANNEL_QUERY, &self.chain.genesis(), &channel.id);
		let query = ChannelQuery { channel: channel.id, signature: Scale(keys::sign(&self.developer, &payload)) };
		let url = format!("{}{CHANNEL_PATH}", String::from_utf8(host.url)?);
		let response = http::post(&url, "none", &serde_json::to_string(&query)?).await?;
		ensure!(response.status == 200, "{url}: {response:?}");
		Ok(serde_json::from_value(response.body)?)
	}

	fn binary(&self, name: &str) -> Result<PathBuf> {
		let binaries = find_or_build(self.engine)?;
		Ok(match name {
			"node" => binaries.node,
			"gateway" => binaries.gateway,
			// The programs lie in one folder.
			"gonka" => binaries.node.with_file_name("gonka"),
			_ => binaries.worker,
		})
	}
}

/// The Python into which `scripts/setup` installs the openai package.
fn python() -> PathBuf {
	gonka_home().join("python/bin/python")
}

/// The account of a development key such as `//Alice`.
fn account(uri: &str) -> Result<AccountId> {
	Ok(keys::public(&keys::from_uri(uri)?))
}
