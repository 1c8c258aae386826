//! The steps of governance.

mod upgrade;

use anyhow::{Context, Result, ensure};
use gonka::devnet::{Config, Devnet, Engine, Ports, find_or_build};
use gonka_client::{chain::Chain, keys};
use gonka_e2e::{node::Node, step, until};
use gonka_primitives::{AccountId, GNK};
use std::{
	path::{Path, PathBuf},
	process::Stdio,
	time::Duration,
};
use tokio::process::Command;

/// Long enough for an epoch of two minutes on a busy machine.
const EPOCH: Duration = Duration::from_secs(300);
/// Long enough for a referendum, and the epoch after it.
const REFERENDUM: Duration = Duration::from_secs(600);

/// A running network and what the steps need of it.
pub struct Voters {
	devnet: Devnet,
	folder: tempfile::TempDir,
	chain: Chain,
	node: Node,
}

impl Voters {
	/// Starts a network whose workers make up their answers, and waits until all three hosts have weight.
	pub async fn start() -> Result<Self> {
		step("start: three hosts with votes");
		let folder = tempfile::tempdir()?;
		let binaries = find_or_build(Engine::Mock)?;
		let ports = Ports { any: true, ..Ports::default() };
		let config = Config { ports, engine: Engine::Mock, ..Config::new(folder.path().join("devnet"), binaries) };
		let devnet = Devnet::start(config).await?;
		let url = devnet.urls().nodes.first().context("no node")?.clone();
		let (chain, node) = (Chain::connect(&url).await?, Node::connect(&url).await?);
		until("everybody's weight", 2 * EPOCH, || async {
			let weights: Vec<u64> = chain.hosts().await?.iter().map(|host| host.weight).collect();
			ensure!(weights.len() == 3 && weights.iter().all(|weight| *weight > 0), "{weights:?}");
			println!("weights {weights:?}");
			Ok(())
		})
		.await?;
		Ok(Self { devnet, folder, chain, node })
	}

	/// Ends it.
	pub async fn stop(self) {
		self.devnet.stop().await;
	}

	/// Names, constants, types and decoded votes, as polkadot.js has them.
	pub async fn the_referenda_page_finds_what_it_needs(&self) -> Result<()> {
		step("what polkadot.js Apps' Referenda page needs of the metadata");
		self.polkadotjs("page.cjs").await
	}

	/// From the preimage to the new value in the next epoch.
	pub async fn polkadotjs_changes_a_parameter(&self) -> Result<()> {
		step("polkadot.js: a referendum changes a parameter from the next epoch on");
		self.polkadotjs("amend.cjs").await
	}

	/// Runs `gonka` as a person would; what it prints.
	async fn gonka(&self, arguments: &[&str]) -> Result<String> {
		// Beside the others.
		let program = find_or_build(Engine::Mock)?.node.with_file_name("gonka");
		let node = self.devnet.urls().nodes.first().context("no node")?;
		let run = Command::new(program)
			.args(arguments)
			.env("GONKA_NODE", node)
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output();
		let output = tokio::time::timeout(EPOCH, run).await.context("it takes too long")??;
		let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
		ensure!(output.status.success(), "gonka {}: {err}", arguments.join(" "));
		Ok(out.trim().to_owned())
	}

	/// The secret of a host, in a file.
	fn key(&self, name: &str) -> Result<String> {
		let path = self.folder.path().join(format!("{name}.key"));
		if !path.exists() {
			keys::write_secret(&path, &format!("//{name}"))?;
		}
		Ok(path.display().to_string())
	}

	/// Runs a script of `tests/polkadotjs`.
	async fn polkadotjs(&self, script: &str) -> Result<()> {
		// Asked for at run time: what was compiled may serve another checkout.
		let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("run this through cargo")?;
		let home = std::env::var_os("GONKA_HOME").map(PathBuf::from);
		let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache/gonka")));
		let run = Command::new("node")
			.arg(Path::new(&folder).join("polkadotjs").join(script))
			.arg(self.devnet.urls().nodes.first().context("no node")?)
			.env("NODE_PATH", home.unwrap_or_default().join("polkadotjs/node_modules"))
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output();
		let output = tokio::time::timeout(REFERENDUM, run).await.context("it takes too long")?;
		let output = output.context("Node.js is missing: run scripts/setup")?;
		let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
		ensure!(output.status.success(), "{script} failed:\n{out}{err}");
		print!("{out}");
		Ok(())
	}

	/// A second node with the keys of the first signs other blocks of the same slots.
	pub async fn an_equivocating_validator_is_punished(&self) -> Result<()> {
		step("one validator on two machines: equivocation is reported, and costs collateral and power");
		let charlie = keys::from_uri("//Charlie")?;
		let host = keys::public(&charlie);
		self.chain.deposit_collateral(&charlie, 100 * GNK).await?;
		let mut twin = self.twin().await?;
		until("the report", EPOCH, || async {
			let left = self.chain.collateral(&host).await?.active;
			ensure!(left < 100 * GNK, "nothing was slashed");
			println!("{left} base units of collateral are left");
			Ok(())
		})
		.await?;
		twin.kill().await?;
		until("another set of validators", EPOCH, || async {
			let validators: Vec<AccountId> = self.chain.validators().await?.into_iter().map(|(who, _)| who).collect();
			ensure!(!validators.contains(&host) && validators.len() == 2, "{} validators", validators.len());
			Ok(())
		})
		.await
	}

	/// Another node of Charlie's, which knows the network by its first node.
	async fn twin(&self) -> Result<tokio::process::Child> {
		let peer: String = self.node.ask("system_localPeerId", serde_json::json!([])).await?;
		let addresses: Vec<String> = self.node.ask("system_localListenAddresses", serde_json::json!([])).await?;
		let address = addresses.iter().find(|address| address.contains("/tcp/")).context("no address")?;
		let address = address.split("/p2p/").next().unwrap_or(address);
		let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
		let log = std::fs::File::create(self.folder.path().join("twin.log"))?;
		let child = Command::new(find_or_build(Engine::Mock)?.node)
			.args(["--chain", "local", "--charlie", "--validator", "--no-telemetry", "--no-prometheus", "--no-mdns"])
			.args(["--listen-addr", "/ip4/127.0.0.1/tcp/0", "--rpc-port", &port.to_string()])
			.args(["--node-key", &format!("{:064x}", 9)])
			.args(["--bootnodes", &format!("{address}/p2p/{peer}")])
			.arg("--base-path")
			.arg(self.folder.path().join("twin"))
			.stdin(Stdio::null())
			.stdout(Stdio::null())
			.stderr(log)
			.kill_on_drop(true)
			.spawn()?;
		Ok(child)
	}
}
