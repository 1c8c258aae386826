//! A network on this machine: three hosts, each with a validator node and a worker, and one gateway. The hosts' compute
//! stands as 4 : 2 : 1.
//!
//! The programs are called `node-alice`, `worker-alice` (likewise `bob` and `charlie`) and `gateway`. With a parachain there
//! is one `node` for all hosts. Each writes `logs/<name>.log` in the base path. Dropping a [`Devnet`] stops all of them.

mod binaries;
mod config;
mod http;
mod parachain;
mod plan;
mod ports;
mod process;
mod state;

pub use binaries::{find_or_build, workspace};
pub use config::{Binaries, Config, Engine, Ports, SPRINT_RATE, default_base_path, demo_model, stop_command};
pub use parachain::Parachain;
pub use ports::free_ports;
pub use process::{Process, Spec, end_blocking};

use anyhow::{Context, Result, anyhow, bail};
use futures::future::join_all;
use gonka_client::chain::Chain;
use plan::{HOSTS, PARACHAIN_NODE, Plan};
use ports::Chosen;
use rustix::process::Signal;
use state::{Identity, State};
use std::{
	path::{Path, PathBuf},
	time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// Time between two attempts to reach a program.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// Number of lines of a log that errors show.
const TAIL_LINES: usize = 15;

/// Receives the progress of a start.
pub trait Progress: Sync {
	/// A step is not done yet: a program's start, or the first `completion`. `detail` says what it waits for.
	fn waiting(&self, name: &str, detail: &str);
	/// A step is done. `detail` describes the result.
	fn ready(&self, name: &str, detail: &str);
}

/// Ignores the progress.
impl Progress for () {
	fn waiting(&self, _: &str, _: &str) {}
	fn ready(&self, _: &str, _: &str) {}
}

/// Addresses of a network.
#[derive(Clone, Debug)]
pub struct Urls {
	/// RPC addresses of the nodes, `ws://…`.
	pub nodes: Vec<String>,
	/// Addresses of the workers, `http://…`.
	pub workers: Vec<String>,
	/// Address of the gateway, `http://…`.
	pub gateway: String,
	/// API key that the gateway accepts.
	pub api_key: String,
}

/// A program that ended unexpectedly.
#[derive(Clone, Debug)]
pub struct Failure {
	/// Name of the program.
	pub name: String,
	/// Exit status, such as `exit status: 1`.
	pub status: String,
	/// Path of its log.
	pub log: PathBuf,
	/// Last lines of the log.
	pub tail: String,
}

impl std::fmt::Display for Failure {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		let Self { name, status, log, tail } = self;
		write!(f, "{name} ended unexpectedly ({status}). The last lines of {}:\n{tail}", log.display())
	}
}

/// A running network.
#[derive(Debug)]
pub struct Devnet {
	base: PathBuf,
	patience: Duration,
	processes: Vec<Process>,
	urls: Urls,
	/// Whether the processes outlive this value.
	detached: bool,
}

impl Devnet {
	/// Starts a network and waits until its gateway streams a completion.
	pub async fn start(config: Config) -> Result<Self> {
		Self::start_with(config, &()).await
	}

	/// Does what [`Devnet::start`] does, and reports to `progress`.
	pub async fn start_with(config: Config, progress: &dyn Progress) -> Result<Self> {
		let base = config.base_path.clone();
		std::fs::create_dir_all(&base).with_context(|| format!("cannot create {}", base.display()))?;
		let base = base.canonicalize()?;
		let config = Config { base_path: base.clone(), ..config };
		if let Some(state) = State::read(&base)? {
			let running = state.running();
			if !running.is_empty() || state.supervisor.is_some_and(|supervisor| supervisor.runs()) {
				bail!(
					"a devnet is already running in {} ({}): stop it with `{}`",
					base.display(),
					running.join(", "),
					stop_command(&base)
				);
			}
		}
		if config.fresh {
			plan::delete_data(&base)?;
		}
		let hosts = u16::try_from(HOSTS.len())?;
		let last = if config.fresh { Chosen::default() } else { Chosen::read(&base) };
		let nodes = if config.parachain.is_some() { 1 } else { hosts };
		let ports = ports::choose(&config.ports, nodes, hosts, &last)?;
		if last != Chosen::default() && last != ports {
			progress
				.ready("ports", "not all are those of the last run: other programs use them, or options name others");
		}
		ports.write(&base)?;
		let plan = plan::make(&config, &ports)?;
		let local = |scheme: &str, port: &u16| format!("{scheme}://127.0.0.1:{port}");
		let urls = Urls {
			nodes: ports.rpc.iter().map(|port| local("ws", port)).collect(),
			workers: ports.worker.iter().map(|port| local("http", port)).collect(),
			gateway: local("http", &ports.gateway),
			api_key: plan::API_KEY.into(),
		};
		let mut devnet = Self { base, patience: config.patience, processes: Vec::new(), urls, detached: false };
		devnet.start_programs(plan, progress).await?;
		Ok(devnet)
	}

	async fn start_programs(&mut self, plan: Plan, progress: &dyn Progress) -> Result<()> {
		let Plan { nodes, workers, gateway } = plan;
		for specs in [nodes, workers, vec![gateway]] {
			let names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
			for spec in specs {
				progress.waiting(&spec.name, "starting");
				self.processes.push(Process::start(spec)?);
				self.write_state()?;
			}
			for name in names {
				self.until_ready(&name, progress).await?;
			}
		}
		self.until_served(progress).await
	}

	/// Addresses of the network.
	pub fn urls(&self) -> &Urls {
		&self.urls
	}

	/// Names of the programs.
	pub fn names(&self) -> Vec<&str> {
		self.processes.iter().map(|process| process.spec.name.as_str()).collect()
	}

	/// Folder of the network's data.
	pub fn base_path(&self) -> &Path {
		&self.base
	}

	/// Path of a program's log.
	pub fn log(&self, name: &str) -> PathBuf {
		plan::log(&self.base, name)
	}

	/// Kills a program at once, as a power cut would. It stays down until [`Devnet::restart`].
	pub async fn kill_9(&mut self, name: &str) -> Result<()> {
		self.process(name)?.kill().await;
		self.write_state()
	}

	/// Restarts a program, and waits until it is ready.
	pub async fn restart(&mut self, name: &str) -> Result<()> {
		let process = self.process(name)?;
		process.stop().await;
		process.start_again()?;
		self.write_state()?;
		self.until_ready(name, &()).await
	}

	/// Waits until a program ends unexpectedly: not through [`Devnet::kill_9`].
	pub async fn failure(&mut self) -> Failure {
		loop {
			if let Some(failure) = self.failed() {
				return failure;
			}
			sleep(POLL_INTERVAL).await;
		}
	}

	/// Stops all programs.
	pub async fn stop(mut self) {
		for process in &self.processes {
			process.signal(Signal::TERM);
		}
		join_all(self.processes.iter_mut().map(Process::wait)).await;
	}

	/// Leaves the programs running when this one ends. [`stop`] stops them.
	pub fn detach(mut self) -> Result<()> {
		self.detached = true;
		self.write_state()?;
		self.processes.iter_mut().for_each(Process::release);
		Ok(())
	}

	fn process(&mut self, name: &str) -> Result<&mut Process> {
		let known = self.names().join(", ");
		let process = self.processes.iter_mut().find(|process| process.spec.name == name);
		process.with_context(|| format!("there is no program `{name}`. Programs: {known}"))
	}

	fn failed(&mut self) -> Option<Failure> {
		self.processes.iter_mut().find_map(|process| {
			let status = process.ended()?;
			let tail = process.tail(TAIL_LINES);
			Some(Failure {
				name: process.spec.name.clone(),
				status: status.to_string(),
				log: process.spec.log.clone(),
				tail,
			})
		})
	}

	fn write_state(&self) -> Result<()> {
		let identity = |process: &Process| Some((process.spec.name.clone(), Identity::of(process.id()?)));
		let state = State {
			supervisor: (!self.detached).then(|| Identity::of(std::process::id())),
			processes: self.processes.iter().filter_map(identity).collect(),
		};
		state.write(&self.base)
	}

	/// Waits until a program serves.
	async fn until_ready(&mut self, name: &str, progress: &dyn Progress) -> Result<()> {
		let urls = self.urls.clone();
		let index = |kind: &str| HOSTS.iter().position(|host| name == format!("{kind}-{}", host.name));
		let node = if name == PARACHAIN_NODE { Some(0) } else { index("node") };
		if let Some(url) = node.and_then(|index| urls.nodes.get(index)) {
			self.until(name, name, progress, || node_ready(url)).await
		} else if let Some(url) = index("worker").and_then(|index| urls.workers.get(index)) {
			self.until(name, name, progress, || worker_ready(url)).await
		} else {
			self.until(name, name, progress, || async {
				http::responds(&format!("{}/v1/models", urls.gateway)).await.map(|()| urls.gateway.clone())
			})
			.await
		}
	}

	/// Waits until the gateway streams a completion.
	async fn until_served(&mut self, progress: &dyn Progress) -> Result<()> {
		let urls = self.urls.clone();
		self.until("gateway", "completion", progress, || async {
			let models = http::get(&format!("{}/v1/models", urls.gateway), Some(&urls.api_key)).await?;
			let model = models.pointer("/data/0/id").and_then(serde_json::Value::as_str);
			let model = model.context("the gateway offers no model yet")?;
			http::first_token(&urls.gateway, &urls.api_key, model).await?;
			Ok(format!("{} streams completions of {model}", urls.gateway))
		})
		.await
	}

	/// Repeats `attempt` until it succeeds. Fails when a program ends, and when the patience is over: then with the last
	/// lines of the log of `name`. `step` is the step's name in the progress.
	async fn until<F>(&mut self, name: &str, step: &str, progress: &dyn Progress, attempt: impl Fn() -> F) -> Result<()>
	where
		F: Future<Output = Result<String>>,
	{
		let deadline = Instant::now() + self.patience;
		loop {
			let outcome = tokio::select! {
				failure = self.failure() => bail!("{failure}"),
				outcome = timeout_at(deadline, attempt()) => outcome.unwrap_or_else(|_| Err(anyhow!("no response yet"))),
			};
			match outcome {
				Ok(detail) => {
					progress.ready(step, &detail);
					return Ok(());
				},
				Err(error) if Instant::now() >= deadline => {
					let log = self.log(name);
					let tail = process::tail(&log, TAIL_LINES);
					return Err(error.context(format!(
						"{step} was not ready within {} s. The last lines of {}:\n{tail}\n",
						self.patience.as_secs(),
						log.display()
					)));
				},
				Err(error) => progress.waiting(step, &format!("{error:#}")),
			}
			sleep(POLL_INTERVAL).await;
		}
	}
}

impl Drop for Devnet {
	fn drop(&mut self) {
		if !self.detached {
			process::end_blocking(&mut self.processes);
			State::remove(&self.base);
		}
	}
}

/// Stops the network in `base`, also one that another process started. Returns the names of the programs it stopped.
pub async fn stop(base: &Path) -> Result<Vec<String>> {
	state::stop(base).await
}

/// Checks that the node at `url` has a block after genesis. Returns a description of its state.
pub async fn node_ready(url: &str) -> Result<String> {
	crate::commands::port_is_open(url).await.context("its RPC port is not open yet")?;
	let chain = Chain::connect(url).await?;
	let best = chain.best().await?;
	if best.number == 0 {
		bail!("no block yet");
	}
	Ok(format!("{url} at block {}", best.number))
}

/// Checks that the worker at `url` serves. Returns a description of its state.
pub async fn worker_ready(url: &str) -> Result<String> {
	let health = http::get(&format!("{url}{}", gonka_client::worker_api::HEALTH_PATH), None).await?;
	let models = health.get("models").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
	Ok(match models {
		// None is registered before the first block.
		0 => url.to_owned(),
		1 => format!("{url} with 1 model"),
		_ => format!("{url} with {models} models"),
	})
}
