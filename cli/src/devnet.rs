//! A network on this machine: three hosts, each a validator node and a worker, with compute of 1 : ½ : ¼, and one
//! gateway.
//!
//! Programs are called `node-alice`, `worker-alice` (and so on with `bob` and `charlie`) and `gateway`; each writes
//! `logs/<name>.log` in the base path. Dropping a [`Devnet`] ends all of them.

mod binaries;
mod config;
mod http;
mod plan;
mod ports;
mod process;
mod state;

pub use binaries::{find_or_build, workspace};
pub use config::{Binaries, Config, Engine, Ports, default_base_path, demo_model};
pub use ports::free_ports;
pub use process::{Process, Spec, end_blocking};

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use gonka_client::chain::Chain;
use plan::{HOSTS, Plan};
use rustix::process::Signal;
use state::{Identity, State};
use std::{
	path::{Path, PathBuf},
	time::{Duration, Instant},
};

/// Between two looks at whether something is ready.
const LOOK: Duration = Duration::from_millis(300);
/// Lines of a log that errors show.
const TAIL: usize = 15;

/// Told how a start goes on.
pub trait Progress: Sync {
	/// A program, or at last the first `completion`, is not ready yet; `detail` says what is awaited.
	fn waiting(&self, name: &str, detail: &str);
	/// It is ready; `detail` says what it does.
	fn ready(&self, name: &str, detail: &str);
}

/// Says nothing.
impl Progress for () {
	fn waiting(&self, _: &str, _: &str) {}
	fn ready(&self, _: &str, _: &str) {}
}

/// Where a network is reached.
#[derive(Clone, Debug)]
pub struct Urls {
	/// The nodes' RPC addresses, `ws://`.
	pub nodes: Vec<String>,
	/// The workers' addresses, `http://`.
	pub workers: Vec<String>,
	/// The gateway's address, `http://`.
	pub gateway: String,
	/// The API key that the gateway takes.
	pub api_key: String,
}

/// A program that ended by itself.
#[derive(Clone, Debug)]
pub struct Failure {
	/// Its name.
	pub name: String,
	/// How it ended, such as `exit status: 1`.
	pub status: String,
	/// Its log.
	pub log: PathBuf,
	/// The last lines of it.
	pub tail: String,
}

impl std::fmt::Display for Failure {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		let Self { name, status, log, tail } = self;
		write!(f, "{name} ended by itself ({status}). The last lines of {}:\n{tail}", log.display())
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

	/// [`Devnet::start`], telling how it goes on.
	pub async fn start_with(config: Config, progress: &dyn Progress) -> Result<Self> {
		let base = config.base_path.clone();
		std::fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
		let base = base.canonicalize()?;
		let config = Config { base_path: base.clone(), ..config };
		if let Some(state) = State::read(&base)? {
			let running = state.running();
			if !running.is_empty() || state.supervisor.is_some_and(|supervisor| supervisor.runs()) {
				bail!(
					"a devnet runs in {} already ({}): end it with `gonka devnet stop`",
					base.display(),
					running.join(", ")
				);
			}
		}
		if config.fresh {
			plan::remove_old(&base)?;
		}
		let hosts = u16::try_from(HOSTS.len())?;
		let ports = ports::choose(&config.ports, hosts)?;
		let plan = plan::make(&config, &ports)?;
		let local = |scheme: &str, port: &u16| format!("{scheme}://127.0.0.1:{port}");
		let urls = Urls {
			nodes: ports.rpc.iter().map(|port| local("ws", port)).collect(),
			workers: ports.worker.iter().map(|port| local("http", port)).collect(),
			gateway: local("http", &ports.gateway),
			api_key: plan::API_KEY.into(),
		};
		let mut devnet = Self { base, patience: config.patience, processes: Vec::new(), urls, detached: false };
		devnet.come_up(plan, progress).await?;
		Ok(devnet)
	}

	async fn come_up(&mut self, plan: Plan, progress: &dyn Progress) -> Result<()> {
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

	/// Where it is reached.
	pub fn urls(&self) -> &Urls {
		&self.urls
	}

	/// The programs' names.
	pub fn names(&self) -> Vec<&str> {
		self.processes.iter().map(|process| process.spec.name.as_str()).collect()
	}

	/// The folder of everything it writes.
	pub fn base_path(&self) -> &Path {
		&self.base
	}

	/// The log of a program.
	pub fn log(&self, name: &str) -> PathBuf {
		plan::log(&self.base, name)
	}

	/// Kills a program at once, as a power cut would. It stays down until [`Devnet::restart`].
	pub async fn kill_9(&mut self, name: &str) -> Result<()> {
		self.process(name)?.kill().await;
		self.write_state()
	}

	/// Starts a program again, ending it first if it runs, and waits until it is ready.
	pub async fn restart(&mut self, name: &str) -> Result<()> {
		let process = self.process(name)?;
		process.stop().await;
		process.start_again()?;
		self.write_state()?;
		self.until_ready(name, &()).await
	}

	/// Waits until a program ends by itself. One that [`Devnet::kill_9`] ended does not count.
	pub async fn failure(&mut self) -> Failure {
		loop {
			if let Some(failure) = self.failed() {
				return failure;
			}
			tokio::time::sleep(LOOK).await;
		}
	}

	/// Ends everything.
	pub async fn stop(mut self) {
		for process in &self.processes {
			process.signal(Signal::TERM);
		}
		join_all(self.processes.iter_mut().map(Process::wait)).await;
	}

	/// Lets everything run on after this program; [`stop`] ends it.
	pub fn detach(mut self) -> Result<()> {
		self.detached = true;
		self.write_state()?;
		self.processes.iter_mut().for_each(Process::release);
		Ok(())
	}

	fn process(&mut self, name: &str) -> Result<&mut Process> {
		let known = self.names().join(", ");
		let process = self.processes.iter_mut().find(|process| process.spec.name == name);
		process.with_context(|| format!("there is no `{name}` here, only {known}"))
	}

	fn failed(&mut self) -> Option<Failure> {
		self.processes.iter_mut().find_map(|process| {
			let status = process.ended()?;
			let tail = process.tail(TAIL);
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

	/// Waits until a program does its part.
	async fn until_ready(&mut self, name: &str, progress: &dyn Progress) -> Result<()> {
		let urls = self.urls.clone();
		let index = |kind: &str| HOSTS.iter().position(|host| name == format!("{kind}-{}", host.name));
		if let Some(url) = index("node").and_then(|index| urls.nodes.get(index)) {
			self.until(name, name, progress, || node_ready(url)).await
		} else if let Some(url) = index("worker").and_then(|index| urls.workers.get(index)) {
			self.until(name, name, progress, || worker_ready(url)).await
		} else {
			self.until(name, name, progress, || async {
				http::answers(&format!("{}/v1/models", urls.gateway)).await.map(|()| urls.gateway.clone())
			})
			.await
		}
	}

	/// Waits until a completion streams through the gateway.
	async fn until_served(&mut self, progress: &dyn Progress) -> Result<()> {
		let urls = self.urls.clone();
		self.until("gateway", "completion", progress, || async {
			let models = http::get(&format!("{}/v1/models", urls.gateway), Some(&urls.api_key)).await?;
			let model = models.pointer("/data/0/id").and_then(serde_json::Value::as_str);
			let model = model.context("the gateway offers no model yet")?;
			http::first_words(&urls.gateway, &urls.api_key, model).await?;
			Ok(format!("{model} answers through {}", urls.gateway))
		})
		.await
	}

	/// Tries `attempt` until it succeeds, a program ends, or patience does; `step` is what progress calls it, `name`
	/// whose log tells more.
	async fn until<F>(&mut self, name: &str, step: &str, progress: &dyn Progress, attempt: impl Fn() -> F) -> Result<()>
	where
		F: Future<Output = Result<String>>,
	{
		let deadline = Instant::now() + self.patience;
		loop {
			let outcome = tokio::select! {
				failure = self.failure() => bail!("{failure}"),
				outcome = attempt() => outcome,
			};
			match outcome {
				Ok(detail) => {
					progress.ready(step, &detail);
					return Ok(());
				},
				Err(error) if Instant::now() >= deadline => {
					let log = self.log(name);
					let tail = process::tail(&log, TAIL);
					return Err(error.context(format!(
						"{step} was not ready within {} s. The last lines of {}:\n{tail}\n",
						self.patience.as_secs(),
						log.display()
					)));
				},
				Err(error) => progress.waiting(step, &format!("{error:#}")),
			}
			tokio::time::sleep(LOOK).await;
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

/// Ends the network in `base`, whoever started it; the names of what it ended.
pub async fn stop(base: &Path) -> Result<Vec<String>> {
	state::stop(base).await
}

/// Whether the node at `url` has a block after genesis; what it does.
pub async fn node_ready(url: &str) -> Result<String> {
	let address = url.trim_start_matches("ws://");
	// A look at the port first: the chain client would wait long for it.
	tokio::net::TcpStream::connect(address).await.context("its RPC port is not open yet")?;
	let chain = Chain::connect(url).await?;
	let best = chain.best().await?;
	if best.number == 0 {
		bail!("no block yet");
	}
	Ok(format!("{url} at block {}", best.number))
}

/// Whether the worker at `url` serves; what it does.
pub async fn worker_ready(url: &str) -> Result<String> {
	let health = http::get(&format!("{url}{}", gonka_client::wire::HEALTH_PATH), None).await?;
	let models = health.get("models").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
	Ok(format!("{url} with {models} model{}", if models == 1 { "" } else { "s" }))
}
