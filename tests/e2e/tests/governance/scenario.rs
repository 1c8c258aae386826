//! The network of voters, and the steps of the test.

mod upgrade;

use anyhow::{Context, Result, bail, ensure};
use gonka::devnet::{Config, Devnet, Engine, Parachain, Ports, find_or_build, free_ports};
use gonka_client::{chain::Chain, keys};
use gonka_e2e::{
	PATIENCE,
	audit_events::{AuditEvent, audit_events},
	node::Node,
	polkadotjs, step, until,
};
use gonka_primitives::{AccountId, GNK, check::Offence};
use std::{cell::Cell, fs, path::PathBuf, process::Stdio};
use tokio::process::Command;

/// A running network and what the steps need of it.
pub struct Scenario {
	devnet: Devnet,
	folder: tempfile::TempDir,
	chain: Chain,
	node: Node,
	/// The specification of the last release's local network, with which the chain began.
	release: Option<PathBuf>,
}

impl Scenario {
	/// Starts a network whose workers use the mock engine, and waits until the hosts' weights are 4 : 2 : 1.
	/// The chain is the `parachain`, if there is one, or else that of the last release, once there is one.
	pub async fn start(parachain: Option<Parachain>) -> Result<Self> {
		step("start: three hosts with votes");
		let folder = tempfile::tempdir()?;
		let binaries = find_or_build(Engine::Mock)?;
		let ports = Ports { any: true, ..Ports::default() };
		let usual = Config::new(folder.path().join("devnet"), binaries);
		let release = if parachain.is_none() { last_release()? } else { None };
		println!("the last release: {release:?}");
		let config =
			Config { ports, engine: Engine::Mock, chain: release.clone(), parachain, patience: PATIENCE, ..usual };
		let devnet = Devnet::start(config).await?;
		let url = devnet.urls().nodes.first().context("no node")?.clone();
		let (chain, node) = (Chain::connect(&url).await?, Node::connect(&url).await?);
		until("all hosts' weights", || async {
			let mut weights: Vec<u64> = chain.hosts().await?.iter().map(|host| host.effective_weight).collect();
			weights.sort_unstable();
			ensure!(weights.len() == 3, "{} hosts are registered", weights.len());
			// A busy machine may cost a host segments of its first epochs, and the votes below are compared to 4 : 2 : 1.
			let total: u64 = weights.iter().sum();
			ensure!(total > 0, "no epoch has been weighed");
			for (weight, share) in weights.iter().zip([1, 2, 4]) {
				ensure!((7 * weight).abs_diff(share * total) * 5 <= share * total, "{weights:?} are not 1 : 2 : 4");
			}
			println!("weights {weights:?}");
			Ok(())
		})
		.await?;
		Ok(Self { devnet, folder, chain, node, release })
	}

	/// Ends all programs.
	pub async fn stop(self) {
		self.devnet.stop().await;
	}

	/// polkadot.js finds the names, constants, types and votes that its Referenda page reads.
	pub async fn the_referenda_page_finds_what_it_needs(&self) -> Result<()> {
		step("the metadata holds what the Referenda page of polkadot.js Apps needs");
		self.polkadotjs("page.cjs").await
	}

	/// A transaction with the hash of the metadata is accepted, and one with another hash rejected. A program that shares no code
	/// with the chain computes the hashes.
	pub async fn offline_signers_know_what_they_sign(&self) -> Result<()> {
		step("polkadot.js: transactions with right, wrong and missing hashes of the metadata");
		self.polkadotjs("metadata.cjs").await
	}

	/// A referendum changes a parameter, from the preimage to the new value in the next epoch.
	pub async fn polkadotjs_changes_a_parameter(&self) -> Result<()> {
		step("polkadot.js: a referendum changes a parameter from the next epoch on");
		self.polkadotjs("amend.cjs").await
	}

	/// Runs `gonka` as a person would, and returns its output.
	async fn gonka(&self, arguments: &[&str]) -> Result<String> {
		// The programs lie in one folder.
		let program = find_or_build(Engine::Mock)?.node.with_file_name("gonka");
		let node = self.devnet.urls().nodes.first().context("no node")?;
		let run = Command::new(program)
			.args(arguments)
			.env("GONKA_NODE", node)
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output();
		let output = tokio::time::timeout(PATIENCE, run).await.context("gonka does not end")??;
		let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
		ensure!(output.status.success(), "gonka {}: {err}", arguments.join(" "));
		Ok(out.trim().to_owned())
	}

	/// Writes the secret of a host to a file, and returns its path.
	fn key(&self, name: &str) -> Result<String> {
		let path = self.folder.path().join(format!("{name}.key"));
		if !path.exists() {
			keys::write_secret(&path, &format!("//{name}"))?;
		}
		Ok(path.display().to_string())
	}

	/// Runs a script of `tests/e2e/polkadotjs` with the first node.
	async fn polkadotjs(&self, script: &str) -> Result<()> {
		polkadotjs(script, self.devnet.urls().nodes.first().context("no node")?).await
	}

	/// A second node with the keys of the first signs other blocks of the same slots.
	pub async fn an_equivocating_validator_is_punished(&self) -> Result<()> {
		step("one validator on two machines: equivocation is reported, and costs collateral and power");
		let charlie = keys::from_uri("//Charlie")?;
		let host = keys::public(&charlie);
		let from = self.node.height(false).await?;
		self.chain.deposit_collateral(&charlie, 100 * GNK).await?;
		let mut twin = self.twin().await?;
		let seen = Cell::new(from);
		until("the equivocation to be punished", || async {
			let best = self.node.height(false).await?;
			// Blocks that are not final may be replaced.
			let events = audit_events(&self.node, seen.get(), best).await?;
			seen.set(best.saturating_sub(10).max(from));
			let slashes: Vec<_> = events
				.into_iter()
				.filter_map(|(block, event)| match event {
					AuditEvent::Slashed { host, offence, amount } => Some((block, host, offence, amount)),
					_ => None,
				})
				.collect();
			// A busy machine may make it miss duties, too, which costs collateral for another offence.
			let punished = |(_, who, offence, amount): &(_, AccountId, Offence, u128)| {
				*who == host && *offence == Offence::Equivocation && *amount >= 5 * GNK
			};
			ensure!(slashes.iter().any(punished), "block {best}: {slashes:?}");
			println!("slashes {slashes:?}");
			Ok(())
		})
		.await?;
		until("a set of validators without it", || async {
			let validators: Vec<AccountId> =
				self.chain.validators().await?.into_iter().map(|(account, _)| account).collect();
			ensure!(!validators.contains(&host) && validators.len() == 2, "{} validators", validators.len());
			Ok(())
		})
		.await?;
		Ok(twin.kill().await?)
	}

	/// Starts a second node with Charlie's keys; its bootnode is the first node.
	async fn twin(&self) -> Result<tokio::process::Child> {
		let [port] = free_ports(1)?[..] else { bail!("one port is needed") };
		let log = std::fs::File::create(self.folder.path().join("twin.log"))?;
		let child = Command::new(find_or_build(Engine::Mock)?.node)
			.arg("--chain")
			.arg(self.release.clone().unwrap_or("local".into()))
			.args(["--charlie", "--validator", "--no-telemetry", "--no-prometheus", "--no-mdns"])
			.args(["--listen-addr", "/ip4/127.0.0.1/tcp/0", "--rpc-port", &port.to_string()])
			.args(["--node-key", &format!("{:064x}", 9)])
			.args(["--bootnodes", &self.node.bootnode().await?])
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

/// The specification that `scripts/keep-release` wrote of the newest release; none before the first one.
fn last_release() -> Result<Option<PathBuf>> {
	// Read at run time: the compiled test may serve another checkout.
	let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("run this through cargo")?;
	let releases = PathBuf::from(folder).join("../../chain-spec/releases");
	let mut newest: Option<(Vec<u32>, PathBuf)> = None;
	for entry in fs::read_dir(releases)? {
		let specification = entry?.path().join("local.json");
		let version = specification.parent().and_then(|folder| folder.file_name()?.to_str());
		let version: Option<Vec<u32>> =
			version.and_then(|name| name.split('.').map(|part| part.parse().ok()).collect());
		let Some(version) = version.filter(|_| specification.exists()) else { continue };
		if newest.as_ref().is_none_or(|(known, _)| *known < version) {
			newest = Some((version, specification));
		}
	}
	Ok(newest.map(|(_, specification)| specification))
}
