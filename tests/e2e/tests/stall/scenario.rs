//! The network of validators, and the steps of the tests.

use anyhow::{Context, Result, bail, ensure};
use gonka::devnet::{Engine, Process, Spec, end_blocking, find_or_build, free_ports, node_ready};
use gonka_e2e::{node::Node, step, until};
use gonka_primitives::epoch::Schedule;
use std::{
	ffi::OsString,
	fs,
	path::{Path, PathBuf},
	process::Stdio,
};
use tokio::process::Command;

/// Accounts of the validators.
const VALIDATORS: [&str; 3] = ["alice", "bob", "charlie"];
/// Identity of the full node, whose key is 1.
const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
/// Maximum number of blocks by which finality lags while it works.
const LAG: u32 = 12;

/// A running network.
pub struct Scenario {
	folder: tempfile::TempDir,
	program: PathBuf,
	chain: PathBuf,
	/// RPC ports of the validators, and last that of the full node.
	rpc: Vec<u16>,
	peers: Vec<u16>,
	validators: Vec<Process>,
	full_node: Vec<Process>,
	node: Node,
}

impl Scenario {
	/// Starts a full node and three validators with this power, and waits until blocks become final.
	pub async fn start(power: &[u64; 3]) -> Result<Self> {
		step("start: three validators and a full node");
		let folder = tempfile::Builder::new().prefix("stall-").disable_cleanup(true).tempdir()?;
		println!("the programs write to {}", folder.path().display());
		let program = find_or_build(Engine::Mock)?.node;
		let chain = folder.path().join("chain.json");
		write_chain(&program, &chain, power).await?;
		let (rpc, peers) = (free_ports(4)?, free_ports(4)?);
		let url = format!("ws://127.0.0.1:{}", rpc.get(3).context("four ports are needed")?);
		let mut full_node = Vec::new();
		let spec = |index| spec(&program, &folder, &chain, index, &rpc, &peers);
		full_node.push(Process::start(spec(3)?)?);
		let validators = (0..3)
			.map(|index| Process::start(spec(index)?))
			.collect::<Result<Vec<_>>>()
			.context("a node does not start")?;
		until("the first blocks", || node_ready(&url)).await?;
		let node = Node::connect(&url).await?;
		let scenario = Self { folder, program, chain, rpc, peers, validators, full_node, node };
		scenario.finality_works().await?;
		Ok(scenario)
	}

	/// Ends all programs and removes their files.
	pub fn stop(mut self) {
		self.end();
		self.folder.disable_cleanup(false);
	}

	fn end(&mut self) {
		end_blocking(&mut self.validators);
		end_blocking(&mut self.full_node);
	}

	/// Of three equal validators one unplugs, so that two thirds of the votes are missed by one. The others notice and go on.
	pub async fn one_of_three_unplugs_and_the_others_go_on(&mut self) -> Result<()> {
		step("one of three validators unplugs: finality halts and goes on by itself");
		let before = self.node.runtime_set_id().await?;
		self.unplug(0).await?;
		self.finality_halts().await?;
		self.finality_works().await?;
		let voters = self.node.grandpa().await?;
		let weights: Vec<u64> = voters.iter().map(|(_, weight)| *weight).collect();
		println!("voters have {weights:?}");
		ensure!(weights.iter().filter(|weight| **weight < 50_000).count() == 1, "one counts a tenth: {weights:?}");
		let set = self.node.runtime_set_id().await?;
		ensure!(set > before, "set {set} after {before}");
		Ok(())
	}

	/// The set id that nodes count is the chain's.
	pub async fn clients_and_runtime_count_the_same_sets(&mut self) -> Result<()> {
		step("nodes and chain count the same sets");
		until("them to agree", || async {
			let (client, runtime) = (self.node.client_set_id().await?, self.node.runtime_set_id().await?);
			ensure!(client == runtime, "client {client}, runtime {runtime}");
			println!("set {client}");
			Ok(())
		})
		.await
	}

	/// Of the two that are left, with nearly half of the votes each, another unplugs. The last waits longer, since the other
	/// one might go on as well.
	pub async fn another_unplugs_and_the_last_goes_on(&mut self) -> Result<()> {
		step("another validator unplugs: after a longer time the last one goes on");
		self.unplug(1).await?;
		self.finality_halts().await?;
		self.finality_works().await?;
		self.clients_and_runtime_count_the_same_sets().await
	}

	/// The unplugged nodes come back, sync across the forced changes and follow finality.
	pub async fn both_come_back_and_follow(&mut self) -> Result<()> {
		step("the unplugged validators come back and follow");
		for index in [0, 1] {
			self.validators.get_mut(index).context("no such validator")?.start_again()?;
			let url = format!("ws://127.0.0.1:{}", self.rpc.get(index).context("no such port")?);
			self.follows(&url).await?;
		}
		self.clients_and_runtime_count_the_same_sets().await
	}

	/// A new full node that imports every block reaches the final ones. Warp sync cannot: no proof leads across a forced
	/// change.
	pub async fn a_new_node_syncs_across_the_forced_changes(&mut self) -> Result<()> {
		step("a new node syncs from genesis");
		let [rpc, peer] = free_ports(2)?[..] else { bail!("two ports are needed") };
		let mut arguments = common(&self.chain, self.folder.path().join("new"), rpc, peer);
		arguments.extend(["--sync".into(), "full".into()]);
		arguments.extend(bootnode(*self.peers.get(3).context("no full node")?));
		let log = self.folder.path().join("new.log");
		let spec = Spec { name: "new".into(), program: self.program.clone(), arguments, log };
		self.full_node.push(Process::start(spec)?);
		self.follows(&format!("ws://127.0.0.1:{rpc}")).await
	}

	/// A validator with 30 % of the power is gone through all phases of an epoch.
	pub async fn thirty_percent_are_gone_through_all_phases(&mut self) -> Result<()> {
		step("30 % of the power are gone through all phases: finality never halts");
		self.unplug(2).await?;
		let before = self.node.height(true).await?;
		let end = before + Schedule::FAST.length + 20;
		until("an epoch of final blocks", || async {
			let (best, finalized) = (self.node.height(false).await?, self.node.height(true).await?);
			ensure!(finalized >= end, "finalized {finalized} of {end}, best {best}");
			Ok(())
		})
		.await?;
		let log = fs::read_to_string(self.folder.path().join("full.log"))?;
		ensure!(!log.contains("change forced at block"), "a change was forced");
		Ok(())
	}

	async fn unplug(&mut self, index: usize) -> Result<()> {
		self.validators.get_mut(index).context("no such validator")?.kill().await;
		println!("{} is unplugged", VALIDATORS.get(index).context("no such validator")?);
		Ok(())
	}

	/// Waits until blocks are made that do not become final.
	async fn finality_halts(&self) -> Result<()> {
		until("finality to halt", || async {
			let (best, finalized) = (self.node.height(false).await?, self.node.height(true).await?);
			ensure!(best > finalized + LAG, "finalized {finalized} of {best}");
			println!("finalized {finalized} of {best}");
			Ok(())
		})
		.await
	}

	/// Waits until new blocks become final soon.
	async fn finality_works(&self) -> Result<()> {
		let from = self.node.height(false).await?;
		until("finality to work", || async {
			let (best, finalized) = (self.node.height(false).await?, self.node.height(true).await?);
			ensure!(finalized > from && best <= finalized + LAG, "finalized {finalized} of {best}, from {from}");
			println!("finalized {finalized} of {best}");
			Ok(())
		})
		.await
	}

	/// Waits until another node has finalised what is final now, and counts the same sets.
	async fn follows(&self, url: &str) -> Result<()> {
		let target = self.node.height(true).await?;
		until("the node to follow", || async {
			let node = Node::connect(url).await?;
			let finalized = node.height(true).await?;
			ensure!(finalized >= target, "finalized {finalized} of {target}");
			let (its, ours) = (node.client_set_id().await?, self.node.client_set_id().await?);
			ensure!(its == ours, "it counts {its} sets, others {ours}");
			println!("{url} has finalized {finalized}");
			Ok(())
		})
		.await
	}
}

impl Drop for Scenario {
	fn drop(&mut self) {
		self.end();
	}
}

/// Writes the specification of the local chain with this power of the validators.
async fn write_chain(program: &Path, path: &Path, power: &[u64; 3]) -> Result<()> {
	let export = Command::new(program)
		.args(["export-chain-spec", "--chain", "local"])
		.stdin(Stdio::null())
		.stderr(Stdio::inherit())
		.kill_on_drop(true)
		.output()
		.await?;
	ensure!(export.status.success(), "the chain specification cannot be exported");
	let mut spec: serde_json::Value = serde_json::from_slice(&export.stdout)?;
	let entries = spec.pointer_mut("/genesis/runtimeGenesis/patch/poc/power").and_then(|power| power.as_array_mut());
	let entries = entries.context("the specification has no power")?;
	ensure!(entries.len() == power.len(), "{} validators", entries.len());
	for (entry, power) in entries.iter_mut().zip(power) {
		*entry.get_mut(1).context("an entry without power")? = (*power).into();
	}
	fs::write(path, serde_json::to_vec(&spec)?)?;
	Ok(())
}

/// The program of a validator, or of the full node with index 3.
fn spec(
	program: &Path,
	folder: &tempfile::TempDir,
	chain: &Path,
	index: usize,
	rpc: &[u16],
	peers: &[u16],
) -> Result<Spec> {
	let name = VALIDATORS.get(index).copied().unwrap_or("full");
	let port = |ports: &[u16]| ports.get(index).copied().context("no port is left");
	let mut arguments = common(chain, folder.path().join(name), port(rpc)?, port(peers)?);
	if index < VALIDATORS.len() {
		arguments.extend([format!("--{name}").into(), "--validator".into()]);
		arguments.extend(["--node-key".into(), format!("{:064x}", index + 2).into()]);
		arguments.extend(bootnode(*peers.get(3).context("no full node")?));
	} else {
		arguments.extend(["--node-key".into(), format!("{:064x}", 1).into()]);
	}
	let log = folder.path().join(format!("{name}.log"));
	Ok(Spec { name: name.into(), program: program.to_owned(), arguments, log })
}

fn common(chain: &Path, base: PathBuf, rpc: u16, peer: u16) -> Vec<OsString> {
	let mut arguments: Vec<OsString> = ["--no-telemetry", "--no-prometheus", "--no-mdns"].map(Into::into).to_vec();
	for (option, value) in [
		("--chain", chain.into()),
		("--base-path", base.into_os_string()),
		("--rpc-port", rpc.to_string().into()),
		("--listen-addr", format!("/ip4/127.0.0.1/tcp/{peer}").into()),
		("--public-addr", format!("/ip4/127.0.0.1/tcp/{peer}").into()),
		("--trie-cache-size", OsString::from("67108864")),
		("--max-runtime-instances", OsString::from("4")),
	] {
		arguments.extend([option.into(), value]);
	}
	arguments
}

fn bootnode(port: u16) -> [OsString; 2] {
	["--bootnodes".into(), format!("/ip4/127.0.0.1/tcp/{port}/p2p/{PEER}").into()]
}
