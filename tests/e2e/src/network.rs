//! A small network: one node that authors all blocks, workers, and a gateway.

use anyhow::{Context, Result, ensure};
use gonka::devnet::{Parachain, Process, Spec, demo_model, end_blocking, free_ports, node_ready, worker_ready};
use gonka_client::{chain::Chain, keys};
use gonka_primitives::AccountId;
use std::{
	ffi::OsString,
	fs,
	path::{Path, PathBuf},
	time::Duration,
};
use tempfile::TempDir;

use crate::{http, until};

/// Interval at which programs are checked for having ended.
const CHECK_INTERVAL: Duration = Duration::from_millis(300);

/// A running network. Dropping it ends its programs and keeps their files, logs included.
#[derive(Debug)]
pub struct Network {
	folder: TempDir,
	processes: Vec<Process>,
	url: String,
}

/// A worker to be started.
#[derive(Clone, Copy, Debug)]
pub struct Worker<'a> {
	/// Name; the host's key is `//name`.
	pub name: &'a str,
	/// The program.
	pub program: &'a Path,
	/// First argument, before the options.
	pub first: Option<&'a str>,
	/// Sprint rate, in leaves a second.
	pub rate: u32,
	/// File of the model to serve; without one the worker uses the mock engine.
	pub model: Option<&'a Path>,
}

/// A running gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
	url: String,
}

impl Gateway {
	/// Posts JSON to `path`.
	pub async fn post(&self, path: &str, body: &serde_json::Value) -> Result<http::Response> {
		http::post(&format!("{}{path}", self.url), "none", &body.to_string()).await
	}

	/// Gets the resource at `path`.
	pub async fn get(&self, path: &str) -> Result<http::Response> {
		http::get(&format!("{}{path}", self.url)).await
	}
}

impl Network {
	/// Starts the node of the solo chain in a new folder below `parent`, and waits for its first block.
	pub async fn start(node: &Path, parent: &Path) -> Result<Self> {
		Self::start_with(node, parent, |base, rpc, peer| {
			let mut arguments: Vec<OsString> = Vec::new();
			arguments.extend(["--dev", "--no-telemetry", "--no-prometheus", "--no-mdns"].map(OsString::from));
			arguments.extend(["--rpc-port".into(), rpc.to_string().into()]);
			arguments.extend(["--listen-addr".into(), format!("/ip4/127.0.0.1/tcp/{peer}").into()]);
			arguments.extend(["--base-path".into(), base.into()]);
			Ok(arguments)
		})
		.await
	}

	/// Does what [`Network::start`] does, with the parachain.
	pub async fn start_parachain(parachain: &Parachain, parent: &Path) -> Result<Self> {
		Self::start_with(&parachain.node, parent, |base, rpc, peer| {
			let specification = base.with_extension("json");
			parachain.specify("development", &specification)?;
			Ok(Parachain::arguments(&specification, base, rpc, peer))
		})
		.await
	}

	/// Starts the program `node` with the arguments for its data's folder and its ports of RPC and peers.
	async fn start_with(
		node: &Path,
		parent: &Path,
		arguments: impl FnOnce(&Path, u16, u16) -> Result<Vec<OsString>>,
	) -> Result<Self> {
		fs::create_dir_all(parent)?;
		let folder = tempfile::Builder::new().prefix("network-").disable_cleanup(true).tempdir_in(parent)?;
		println!("the programs write to {}", folder.path().display());
		let [rpc, peer] = free_ports(2)?[..] else { anyhow::bail!("two ports are needed") };
		let url = format!("ws://127.0.0.1:{rpc}");
		let mut network = Self { folder, processes: Vec::new(), url: url.clone() };
		let arguments = arguments(&network.path("node"), rpc, peer)?;
		network.run("node", node, arguments)?;
		until("the node to make blocks", || node_ready(&url)).await?;
		Ok(network)
	}

	/// Starts workers and waits until all of them serve. Returns the accounts of their hosts.
	pub async fn add(&mut self, workers: &[Worker<'_>]) -> Result<Vec<AccountId>> {
		let ports = free_ports(workers.len())?;
		let mut hosts = Vec::new();
		for (worker, port) in workers.iter().zip(&ports) {
			let secret = format!("//{}", worker.name);
			let key = self.path(&format!("{}.key", worker.name));
			keys::write_secret(&key, &secret)?;
			let mut arguments: Vec<OsString> = worker.first.iter().map(OsString::from).collect();
			for (option, value) in [
				("--node", self.url.clone().into()),
				("--host-key", key.into_os_string()),
				("--base-path", self.path(worker.name).into_os_string()),
				("--listen", format!("127.0.0.1:{port}").into()),
				("--device", "reference".into()),
				("--sprint-rate", worker.rate.to_string().into()),
				("--grace", "1".into()),
			] {
				arguments.extend([option.into(), value]);
			}
			arguments.push("--allow-private-addresses".into());
			match worker.model {
				Some(model) => {
					arguments.extend(["--engine", "llama", "--threads", "1", "--context", "512"].map(Into::into));
					arguments.extend(["--model".into(), model.into()]);
				},
				None => {
					arguments.extend(["--engine", "mock"].map(Into::into));
					// Gateways need the tokenizer of the model for which the mock stands.
					arguments.extend(demo_model().into_iter().flat_map(|model| ["--model".into(), model.into()]));
				},
			}
			self.run(worker.name, worker.program, arguments)?;
			hosts.push(keys::public(&keys::from_uri(&secret)?));
		}
		for (worker, port) in workers.iter().zip(ports) {
			let url = format!("http://127.0.0.1:{port}");
			let what = format!("{} to serve", worker.name);
			tokio::select! {
				failure = self.ended() => return Err(failure),
				ready = until(&what, || worker_ready(&url)) => ready?,
			};
		}
		Ok(hosts)
	}

	/// Starts a gateway that the account `//developer` pays for, and waits until it has `hosts` channels.
	pub async fn gateway(&mut self, program: &Path, developer: &str, hosts: usize) -> Result<Gateway> {
		let [port] = free_ports(1)?[..] else { anyhow::bail!("a port is needed") };
		let (secret, key) = (format!("//{developer}"), self.path("developer.key"));
		keys::write_secret(&key, &secret)?;
		let mut arguments = vec!["--allow-private-addresses".into(), "--allow-anonymous".into()];
		for (option, value) in [
			("--node", self.url.clone().into()),
			("--listen", format!("127.0.0.1:{port}").into()),
			("--key", key.into_os_string()),
			("--base-path", self.path("gateway").into_os_string()),
			("--drain-timeout", OsString::from("1")),
		] {
			arguments.extend([option.into(), value]);
		}
		self.run("gateway", program, arguments)?;
		let (chain, developer) = (Chain::connect(&self.url).await?, keys::public(&keys::from_uri(&secret)?));
		let opened = until("the gateway's channels", || async {
			let open = chain.channels(&developer).await?.len();
			ensure!(open == hosts, "{open} of {hosts}");
			Ok(())
		});
		tokio::select! {
			failure = self.ended() => return Err(failure),
			opened = opened => opened?,
		};
		let gateway = Gateway { url: format!("http://127.0.0.1:{port}") };
		// The gateway may not have imported the block that opened its channels.
		until("the gateway to be ready", || async {
			let ready = gateway.get("/ready").await?;
			ensure!(ready.status == 200, "{ready:?}");
			Ok(())
		})
		.await?;
		Ok(gateway)
	}

	/// The node's RPC address.
	pub fn url(&self) -> &str {
		&self.url
	}

	/// Waits until a program ends by itself, and returns the reason.
	async fn ended(&mut self) -> anyhow::Error {
		loop {
			if let Err(failure) = self.all_run() {
				return failure;
			}
			tokio::time::sleep(CHECK_INTERVAL).await;
		}
	}

	/// Fails if a program has ended by itself.
	pub fn all_run(&mut self) -> Result<()> {
		for process in &mut self.processes {
			if let Some(status) = process.ended() {
				anyhow::bail!("{} ended ({status}):\n{}", process.spec.name, process.tail(15));
			}
		}
		Ok(())
	}

	/// Ends all programs and removes their files.
	pub fn stop(mut self) {
		end_blocking(&mut self.processes);
		self.folder.disable_cleanup(false);
	}

	fn path(&self, name: &str) -> PathBuf {
		self.folder.path().join(name)
	}

	fn run(&mut self, name: &str, program: &Path, arguments: Vec<OsString>) -> Result<()> {
		let log = self.path(&format!("{name}.log"));
		let process = Process::start(Spec { name: name.into(), program: program.into(), arguments, log });
		self.processes.push(process.with_context(|| format!("{name} does not start"))?);
		Ok(())
	}
}

impl Drop for Network {
	fn drop(&mut self) {
		end_blocking(&mut self.processes);
	}
}
