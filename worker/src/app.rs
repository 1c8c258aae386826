//! The program: its parts put together, started and stopped.

use crate::{
	chain::{ChainApi, Follower, Live},
	check::Context as Checking,
	cli::{self, Cli, EngineKind},
	registration::{Registrar, Wanted},
	sampling::Context as Sampling,
	server::{self, Limits, Service, listen},
	settle::Settler,
	sprint::{
		Expand, Reference,
		committer::Committer,
		desk::desk,
		pace::Pace,
		runner::{Runner, Running},
		torch,
	},
	store::Store,
	version::Watch,
};
use anyhow::{Context, bail};
use gonka_client::{
	chain::Chain,
	keys::{self, Keypair},
};
use gonka_engine::{ApiKey, Engine, EngineError, TorchConfig, TorchEngine, UpstreamConfig, UpstreamEngine};
use gonka_primitives::{AccountId, views::ModelView};
use sha2::{Digest, Sha256};
use std::{
	fs::File,
	io,
	path::{Path, PathBuf},
	sync::Arc,
	time::Duration,
};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

/// What a worker is put together from.
pub struct Parts {
	/// The chain.
	pub chain: Arc<dyn ChainApi>,
	/// The host it works for.
	pub host: AccountId,
	/// The worker key.
	pub key: Keypair,
	/// The host key, if the worker is to register the host.
	pub host_key: Option<Keypair>,
	/// The store; its host must be `host`.
	pub store: Store,
	/// The model.
	pub engine: Arc<dyn Engine>,
	/// The model's name in the registry on chain.
	pub model: String,
	/// Where gateways reach the worker.
	pub url: String,
	/// Bounds on what a gateway may ask for.
	pub limits: Limits,
	/// What computes sprints, if anything does.
	pub sprint: Option<(Box<dyn Expand>, Pace)>,
}

/// A running worker.
pub struct Worker {
	service: Arc<Service>,
	tasks: JoinSet<()>,
	sprint: Option<Running>,
}

impl Worker {
	/// Starts everything but the server, which [`Worker::serve`] is.
	pub fn start(parts: Parts) -> io::Result<Self> {
		let Parts { chain, host, key, host_key, store, engine, model, url, limits, sprint } = parts;
		let follower = Follower::start(chain, host);
		let wanted = Wanted { worker: keys::public(&key), url, model: Some(model.clone()) };
		let signed = Arc::new(Notify::new());
		let mut tasks = JoinSet::new();
		tasks.spawn(Watch::default().run(follower.clone()));
		tasks.spawn(Registrar::new(follower.clone(), wanted, host_key).run());
		tasks.spawn(Committer::new(follower.clone(), store.clone(), signed.clone()).run());
		tasks.spawn(Settler::new(follower.clone(), store.clone(), key.clone()).run());
		let (desk, jobs) = desk();
		let desk = sprint.is_some().then_some(desk);
		let sprint = sprint.map(|(expand, pace)| {
			Runner::new(follower.clone(), store.clone(), key.clone(), expand, pace, signed, jobs).start()
		});
		let sprint = sprint.transpose()?;
		let sampling = Sampling::new(follower.clone(), store.clone(), engine.clone(), model.clone(), key.clone());
		sampling.map_err(io::Error::other)?.start(&mut tasks);
		let service = Service::new(follower.clone(), store.clone(), engine, model, key.clone(), limits);
		let checking = Checking::new(follower, store, key, service.openings.clone(), desk).map_err(io::Error::other)?;
		checking.start(&mut tasks);
		Ok(Self { service, tasks, sprint })
	}

	/// Serves until `stop` resolves; then running answers have `grace` to end.
	pub async fn serve(mut self, listener: TcpListener, stop: impl Future<Output = ()>, grace: Duration) {
		listen::serve(listener, server::router(self.service.clone()), stop, grace).await;
		// Answers whose gateways hung up still write their receipts.
		if !self.service.drain(Duration::from_secs(5)).await {
			tracing::warn!("some answers were broken off; nothing is due for them");
		}
		if let Some(sprint) = self.sprint.take() {
			// It writes its last leaves first.
			let _ = tokio::task::spawn_blocking(move || drop(sprint)).await;
		}
		self.tasks.shutdown().await;
	}
}

/// Runs the program until a signal.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
	std::fs::create_dir_all(&cli.base_path)
		.with_context(|| format!("cannot make the base path {}", cli.base_path.display()))?;
	let host_key = cli.host.host_key.as_ref().map(keys::load).transpose()?;
	let host = match (&host_key, &cli.host.host) {
		(Some(key), _) => keys::public(key),
		(None, Some(text)) => keys::from_ss58(text)?,
		(None, None) => bail!("--host or --host-key is needed"),
	};
	let key = worker_key(&cli)?;
	let listener = listen::bind(cli.listen).await?;
	let address = listener.local_addr()?;
	let url = cli.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
	let sprint = sprint(&cli.sprint)?;
	tracing::info!(host = keys::ss58(&host), worker = hex::encode(keys::public(&key)), url, "gonka-worker");

	let stop = stop_signal()?;
	tokio::pin!(stop);
	let starting = async {
		let chain: Arc<dyn ChainApi> = Arc::new(Live(connect(&cli.node).await));
		let store = Store::open(&cli.base_path.join("worker.redb"), &chain.genesis(), &host)?;
		let engine = engine(&cli, &*chain).await?;
		anyhow::Ok((chain, store, engine))
	};
	let (chain, store, engine) = tokio::select! {
		started = starting => started?,
		() = &mut stop => return Ok(()),
	};
	let model = cli.serving.model_name.clone();
	let limits = Limits {
		credit: cli.serving.credit_requests,
		capacity: cli.serving.capacity,
		evidence: u64::from(cli.serving.evidence_gib) << 30,
		..Limits::default()
	};
	let worker = Worker::start(Parts { chain, host, key, host_key, store, engine, model, url, limits, sprint })?;
	println!("listening on http://{address}");
	worker.serve(listener, stop, cli.grace()).await;
	tracing::info!("stopped");
	Ok(())
}

/// What computes sprints, if anything is to.
fn sprint(options: &cli::Sprint) -> anyhow::Result<Option<(Box<dyn Expand>, Pace)>> {
	if options.no_sprint {
		return Ok(None);
	}
	let expand: Box<dyn Expand> = if options.device == "reference" {
		Box::new(Reference { threads: options.sprint_threads.into() })
	} else {
		let device = torch::device(&options.device).map_err(anyhow::Error::msg)?;
		Box::new(torch::Torch { device, threads: options.sprint_threads })
	};
	#[cfg(feature = "hostile")]
	let expand = crate::hostile::expand(expand);
	Ok(Some((expand, Pace::new(options.sprint_rate))))
}

/// The worker key: a file that is there, or a new one.
fn worker_key(cli: &Cli) -> anyhow::Result<Keypair> {
	let path = cli.key.clone().unwrap_or_else(|| cli.base_path.join("worker.key"));
	if path.exists() || cli.key.is_some() {
		return Ok(keys::load(&path)?);
	}
	let key = keys::generate_to(&path)?;
	tracing::info!(path = %path.display(), "made a worker key");
	Ok(key)
}

/// Connects, however long that takes.
async fn connect(node: &str) -> Chain {
	loop {
		match Chain::connect(node).await {
			Ok(chain) => return chain,
			Err(error) => tracing::warn!(%error, "waiting for the node"),
		}
		tokio::time::sleep(Duration::from_secs(2)).await;
	}
}

/// The engine, with a model that the chain knows.
async fn engine(cli: &Cli, chain: &dyn ChainApi) -> anyhow::Result<Arc<dyn Engine>> {
	let name = &cli.serving.model_name;
	let models = chain.models().await?;
	let registered = models.iter().find(|model| model.name == name.as_bytes());
	let Some(registered) = registered else {
		let names: Vec<_> = models.iter().map(|model| String::from_utf8_lossy(&model.name)).collect();
		bail!("the chain has no model {name}; --model-name must be one of: {}", names.join(", "));
	};
	match cli.serving.engine {
		EngineKind::Torch => {
			let path = cli.serving.model.clone().context("--model is needed")?;
			check_weights(&path, registered).await?;
			let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
			let config = TorchConfig {
				name: Some(name.clone()),
				context_length: cli.serving.context.unwrap_or(2048).min(registered.context_length as usize),
				slots: cli.serving.slots,
				waiting_limit: cli.serving.capacity as usize,
				threads: cli.serving.threads.unwrap_or(cores.saturating_sub(1).max(1)),
				..TorchConfig::new(path)
			};
			#[cfg(feature = "hostile")]
			let cheaper = crate::hostile::attack().map(|attack| TorchConfig { attack: Some(attack), ..config.clone() });
			let engine = load(config).await?;
			#[cfg(feature = "hostile")]
			let engine = match cheaper {
				Some(config) => crate::hostile::engine(engine, Some(load(config).await?)),
				None => engine,
			};
			Ok(engine)
		},
		EngineKind::Upstream => {
			let options = &cli.serving.upstream;
			let url = options.upstream_url.clone().context("--upstream-url is needed")?;
			let read = |path: &PathBuf| {
				std::fs::read_to_string(path)
					.with_context(|| format!("cannot read the upstream's key {}", path.display()))
			};
			let key = options.upstream_key_file.as_ref().map(read).transpose()?;
			let context = cli.serving.context.unwrap_or(usize::MAX);
			Ok(Arc::new(
				upstream(UpstreamConfig {
					key: key.as_deref().map(ApiKey::new),
					model: options.upstream_model.clone(),
					name: Some(name.clone()),
					context_length: context.min(registered.context_length as usize),
					vocab_size: options.upstream_vocab,
					eos: options.upstream_eos.clone(),
					max_running: cli.serving.capacity as usize,
					..UpstreamConfig::new(url)
				})
				.await?,
			))
		},
		#[cfg(feature = "mock")]
		EngineKind::Mock => {
			let engine: Arc<dyn Engine> = Arc::new(gonka_engine::MockEngine::new(gonka_engine::MockConfig {
				name: name.clone(),
				context_length: registered.context_length as usize,
				tokens_per_second: cli.serving.mock_speed,
				..Default::default()
			}));
			#[cfg(feature = "hostile")]
			let engine = crate::hostile::engine(engine, None);
			Ok(engine)
		},
	}
}

/// The engine before a server, however long that takes to start.
async fn upstream(config: UpstreamConfig) -> anyhow::Result<UpstreamEngine> {
	loop {
		let config = config.clone();
		match tokio::task::spawn_blocking(move || UpstreamEngine::connect(config)).await? {
			Ok(engine) => return Ok(engine),
			Err(error @ (EngineError::Compute(_) | EngineError::Busy { .. })) => {
				tracing::warn!(%error, "waiting for the upstream: is it started, and is --upstream-url right?");
			},
			Err(error) => bail!("{error} (--upstream-… options; docs/worker.md says how to start the server)"),
		}
		tokio::time::sleep(Duration::from_secs(2)).await;
	}
}

async fn load(config: TorchConfig) -> anyhow::Result<Arc<dyn Engine>> {
	Ok(Arc::new(tokio::task::spawn_blocking(move || TorchEngine::load(&config)).await??))
}

/// Whether the file is the one that governance registered.
async fn check_weights(path: &Path, registered: &ModelView) -> anyhow::Result<()> {
	let file = path.to_path_buf();
	let hash = tokio::task::spawn_blocking(move || {
		let mut hasher = Sha256::new();
		io::copy(&mut File::open(file)?, &mut hasher)?;
		io::Result::Ok(hasher.finalize())
	});
	let hash = hash.await?.with_context(|| format!("cannot read the model {}", path.display()))?;
	if hash[..] == registered.weights_hash {
		return Ok(());
	}
	bail!(
		"{} is not the file registered as {}: its SHA-256 is {}, the chain says {}; fetch the right file, or give \
		 another --model-name",
		path.display(),
		String::from_utf8_lossy(&registered.name),
		hex::encode(hash),
		hex::encode(registered.weights_hash)
	)
}

/// Resolves at the first SIGTERM or SIGINT; the second ends the process.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
	use tokio::signal::unix::{SignalKind, signal};
	let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
	let (stop, stopped) = tokio::sync::oneshot::channel();
	tokio::spawn(async move {
		let mut stop = Some(stop);
		loop {
			tokio::select! {
				_ = terminate.recv() => {},
				_ = interrupt.recv() => {},
			}
			match stop.take() {
				Some(stop) => {
					tracing::info!("stopping: running answers may end; a second signal stops at once");
					let _ = stop.send(());
				},
				None => std::process::exit(1),
			}
		}
	});
	Ok(async {
		let _ = stopped.await;
	})
}
