//! The programs of a network and their arguments.

use super::{
	config::{Config, DEMO_MODEL, Engine, demo_model},
	parachain::Parachain,
	ports::Chosen,
	process::Spec,
};
use anyhow::{Context, Result, bail, ensure};
use gonka_client::keys;
use std::{
	ffi::OsString,
	fs,
	path::{Path, PathBuf},
	process::{Command, Stdio},
};

/// A host of the network.
pub(super) struct Host {
	/// Name of its development account, in lower case.
	pub name: &'static str,
	/// libp2p identity of its node, whose key is 1, 2 or 3.
	peer_id: &'static str,
	/// Compute, as a multiple of the slowest host's.
	speed: u32,
}

/// Hosts of a local network: the validators of the genesis preset `local_testnet`.
pub(super) const HOSTS: [Host; 3] = [
	Host { name: "alice", peer_id: "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp", speed: 4 },
	Host { name: "bob", peer_id: "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD", speed: 2 },
	Host { name: "charlie", peer_id: "12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x", speed: 1 },
];

/// Developer account that pays for the gateway's requests.
const DEVELOPER: &str = "//Dave";
/// Seconds that running requests get when the network stops. Less than the time after which programs are killed.
const DRAIN_SECONDS: &str = "3";
/// Name of the only API key.
const API_KEY_NAME: &str = "devnet";
/// The only API key. It is not secret: all programs listen on this machine alone.
pub(super) const API_KEY: &str = "sk-gonka-devnet";
/// Folders that `--fresh` deletes. It deletes nothing else in the base path.
const FOLDERS: [&str; 4] = ["nodes", "workers", "gateway", "logs"];
/// Folder of the key files, which `--fresh` keeps.
const KEYS: &str = "keys";
/// Name of the parachain's only node.
pub(super) const PARACHAIN_NODE: &str = "node";

/// Programs of a network, in the order in which they start.
pub(super) struct Plan {
	pub nodes: Vec<Spec>,
	pub workers: Vec<Spec>,
	pub gateway: Spec,
}

/// Deletes the data of the earlier run.
pub(super) fn delete_data(base: &Path) -> Result<()> {
	for folder in FOLDERS.map(|folder| base.join(folder)) {
		if folder.exists() {
			fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
		}
	}
	Ok(())
}

/// Creates folders and key files, and returns the programs to run.
pub(super) fn make(config: &Config, ports: &Chosen) -> Result<Plan> {
	let base = &config.base_path;
	for folder in FOLDERS.into_iter().chain([KEYS]).map(|folder| base.join(folder)) {
		fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
	}
	let model = match config.engine {
		Engine::Llama | Engine::Torch => Some(model(config)?),
		// Its tokenizer is that of the model for which the mock stands.
		Engine::Mock => config.model.clone().or_else(demo_model),
	};
	let specification = base.join("nodes/parachain.json");
	let solo = base.join("nodes").join(HOSTS[0].name);
	let other = if config.parachain.is_some() { &solo } else { &specification };
	ensure!(
		!other.exists(),
		"{} holds another chain: use another --base-path, or delete its data with --fresh",
		base.display()
	);
	let mut nodes = Vec::new();
	match &config.parachain {
		Some(parachain) => {
			parachain.specify("local_testnet", &specification)?;
			let (rpc, peer) = ports.rpc.first().zip(ports.peer.first()).context("a network needs a node")?;
			let arguments = Parachain::arguments(&specification, &base.join("nodes/parachain"), *rpc, *peer);
			nodes.push(spec(config, PARACHAIN_NODE.into(), &parachain.node, arguments));
		},
		None => {
			for (index, (host, (rpc, peer))) in HOSTS.iter().zip(ports.rpc.iter().zip(&ports.peer)).enumerate() {
				nodes.push(node(config, index, host, *rpc, *peer, &ports.peer));
			}
		},
	}
	// The parachain's only node serves all.
	let rpc = ports.rpc.iter().cycle();
	let mut workers = Vec::new();
	for (host, (rpc, port)) in HOSTS.iter().zip(rpc.zip(&ports.worker)) {
		workers.push(worker(config, host, *rpc, *port, model.as_deref())?);
	}
	let gateway = gateway(config, ports)?;
	Ok(Plan { nodes, workers, gateway })
}

/// Path of a program's log.
pub(super) fn log(base: &Path, name: &str) -> PathBuf {
	base.join("logs").join(format!("{name}.log"))
}

fn spec(config: &Config, name: String, program: &Path, arguments: Vec<OsString>) -> Spec {
	let log = log(&config.base_path, &name);
	Spec { name, program: program.into(), arguments, log }
}

fn node(config: &Config, index: usize, host: &Host, rpc: u16, peer: u16, peers: &[u16]) -> Spec {
	let mut arguments = Arguments::default();
	arguments
		.pair("--chain", config.chain.as_deref().unwrap_or(Path::new("local")))
		.flag(&format!("--{}", host.name))
		.flag("--validator")
		.pair("--base-path", config.base_path.join("nodes").join(host.name))
		.pair("--node-key", format!("{:064x}", index + 1))
		.pair("--listen-addr", format!("/ip4/127.0.0.1/tcp/{peer}"))
		.pair("--public-addr", format!("/ip4/127.0.0.1/tcp/{peer}"))
		.pair("--rpc-port", rpc.to_string())
		.pair("--rpc-cors", "all")
		.flag("--no-telemetry")
		.flag("--no-prometheus")
		.flag("--no-mdns")
		// Three nodes share the memory of this machine.
		.pair("--trie-cache-size", "67108864")
		.pair("--max-runtime-instances", "4")
		// The old and the new runtime during an upgrade.
		.pair("--runtime-cache-size", "2");
	let others = HOSTS.iter().zip(peers).filter(|(other, _)| other.name != host.name);
	for (other, port) in others {
		arguments.pair("--bootnodes", format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", other.peer_id));
	}
	spec(config, format!("node-{}", host.name), &config.binaries.node, arguments.0)
}

fn worker(config: &Config, host: &Host, rpc: u16, port: u16, model: Option<&Path>) -> Result<Spec> {
	let mut secret = host.name.to_owned();
	if let Some(first) = secret.get_mut(..1) {
		first.make_ascii_uppercase();
	}
	let mut arguments = Arguments::default();
	arguments
		.pair("--node", format!("ws://127.0.0.1:{rpc}"))
		.pair("--host-key", key_file(&config.base_path, host.name, &format!("//{secret}"))?)
		.pair("--base-path", config.base_path.join("workers").join(host.name))
		.pair("--listen", format!("127.0.0.1:{port}"))
		.pair("--public-url", format!("http://127.0.0.1:{port}"))
		.flag("--allow-private-addresses")
		.pair("--engine", config.engine.name())
		.pair("--threads", "1")
		.pair("--grace", DRAIN_SECONDS)
		.pair("--sprint-rate", config.sprint_rate.saturating_mul(host.speed).to_string());
	if let Some(model) = model {
		arguments.pair("--model", model);
	}
	Ok(spec(config, format!("worker-{}", host.name), &config.binaries.worker, arguments.0))
}

fn gateway(config: &Config, ports: &Chosen) -> Result<Spec> {
	let base = &config.base_path;
	let api_keys = base.join(KEYS).join("api-keys");
	fs::write(&api_keys, format!("{API_KEY_NAME}:{API_KEY}\n"))
		.with_context(|| format!("cannot write {}", api_keys.display()))?;
	let rpc = ports.rpc.first().context("a network needs a node")?;
	let mut arguments = Arguments::default();
	arguments
		.pair("--node", format!("ws://127.0.0.1:{rpc}"))
		.pair("--listen", format!("127.0.0.1:{}", ports.gateway))
		.pair("--key", key_file(base, "developer", DEVELOPER)?)
		.pair("--base-path", base.join("gateway"))
		.pair("--api-keys", api_keys)
		.flag("--allow-private-addresses")
		.pair("--drain-timeout", DRAIN_SECONDS);
	Ok(spec(config, "gateway".into(), &config.binaries.gateway, arguments.0))
}

/// Returns the file of a development key; creates it the first time.
fn key_file(base: &Path, name: &str, secret: &str) -> Result<PathBuf> {
	let path = base.join(KEYS).join(name);
	match keys::write_secret(&path, secret) {
		Ok(()) | Err(keys::Error::Exists { .. }) => Ok(path),
		Err(error) => Err(error.into()),
	}
}

fn model(config: &Config) -> Result<PathBuf> {
	let model = match &config.model {
		Some(given) if given.is_file() => given.clone(),
		Some(given) => bail!("the model file {} does not exist: check --model", given.display()),
		None => demo_model().with_context(|| {
			format!(
				"the demo model {DEMO_MODEL} is missing: run scripts/get-model, pass --model <GGUF>, or use --engine mock"
			)
		})?,
	};
	try_model(config, &model)?;
	Ok(model)
}

/// Lets a worker's program load the file, before a network is started for it.
fn try_model(config: &Config, model: &Path) -> Result<()> {
	let program = &config.binaries.worker;
	let mut command = Command::new(program);
	command.arg("try-model").arg(model).args(["--context", "64", "--slots", "1", "--threads", "1"]);
	if config.engine == Engine::Torch {
		command.arg("--torch");
	}
	let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", program.display()))?;
	let said = String::from_utf8_lossy(&output.stdout);
	ensure!(
		output.status.success(),
		"the model file {} cannot be used: {}; check --model and --engine",
		model.display(),
		if said.trim().is_empty() { output.status.to_string() } else { said.trim().to_owned() }
	);
	Ok(())
}

/// Builder of a command line.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
	fn flag(&mut self, flag: &str) -> &mut Self {
		self.0.push(flag.into());
		self
	}

	fn pair(&mut self, option: &str, value: impl Into<OsString>) -> &mut Self {
		self.0.push(option.into());
		self.0.push(value.into());
		self
	}
}

#[cfg(test)]
mod tests {
	use super::{
		super::config::{Binaries, Ports},
		*,
	};

	fn config(base: &Path) -> Config {
		let binaries = Binaries { node: "n".into(), worker: "w".into(), gateway: "g".into() };
		Config { engine: Engine::Mock, ..Config::new(base, binaries) }
	}

	fn after<'a>(spec: &'a Spec, option: &str) -> Vec<&'a str> {
		let pairs = spec.arguments.windows(2).filter(|pair| pair[0] == option);
		pairs.map(|pair| pair[1].to_str().unwrap()).collect()
	}

	#[test]
	fn the_hosts_compute_stands_as_4_to_2_to_1() {
		let directory = tempfile::tempdir().unwrap();
		let wanted = Ports { any: true, ..Ports::default() };
		let ports = super::super::ports::choose(&wanted, 3, 3, &Chosen::default()).unwrap();
		let plan = make(&config(directory.path()), &ports).unwrap();
		let rates: Vec<_> = plan.workers.iter().flat_map(|worker| after(worker, "--sprint-rate")).collect();
		assert_eq!(rates, ["40", "20", "10"]);
		let nodes: Vec<_> = plan.nodes.iter().map(|node| after(node, "--bootnodes").len()).collect();
		assert_eq!(nodes, [2, 2, 2]);
		let alice = keys::load(after(&plan.workers[0], "--host-key")[0]).unwrap();
		assert_eq!(keys::public(&alice), keys::public(&keys::from_uri("//Alice").unwrap()));
		// A second start reuses the keys.
		make(&config(directory.path()), &ports).unwrap();
	}

	#[test]
	fn fresh_deletes_only_the_folders_of_the_network() {
		let directory = tempfile::tempdir().unwrap();
		fs::create_dir_all(directory.path().join("nodes/alice")).unwrap();
		fs::write(directory.path().join("letter"), "mine").unwrap();
		delete_data(directory.path()).unwrap();
		assert!(!directory.path().join("nodes").exists());
		assert!(directory.path().join("letter").exists());
	}
}
