//! A chain in memory, a worker over it, a gateway, and other hosts.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod audited_host;
mod checked_host;
mod fake_chain;
mod gated_engine;
mod gateway;

pub use audited_host::*;
pub use checked_host::*;
pub use fake_chain::*;
pub use gated_engine::*;
pub use gateway::*;

use futures::FutureExt;
use gonka_client::{
	keys::{self, Keypair},
	listen,
	peer_http::Addresses,
};
use gonka_engine::{Engine, MockConfig, MockEngine};
use gonka_primitives::{AccountId, Balance, BlockNumber, Hash, market::Price};
use gonka_worker::{
	chain::Follower,
	conduct::{Conduct, Honest},
	models::{Audits, Models, ServedModel},
	peer::Timeouts,
	server::{self, Limits, Service, ServiceParts},
	sprint::{Expand, pace::Pace},
	store::{Store, StoreError},
	worker::{Parts, Worker},
};
use std::{
	path::Path,
	sync::{Arc, Mutex},
	time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::JoinHandle};

pub const GENESIS: Hash = [9; 32];
pub const MODEL: &str = "mock";
pub const PRICE: Price = Price { input: 2, output: 3 };
pub const DEPOSIT: Balance = 1_000_000;

/// The end of all waits. A wait ends by its condition; only tests that fail reach this.
pub const PATIENCE: Duration = Duration::from_secs(900);
/// Timeouts that no busy machine reaches.
pub const TIMEOUTS: Timeouts = Timeouts { connect: PATIENCE, openings: PATIENCE, evidence: PATIENCE };

pub fn key(uri: &str) -> Keypair {
	keys::from_uri(uri).unwrap()
}

/// A running worker with the mock engine.
pub struct Rig {
	pub chain: Arc<FakeChain>,
	pub url: String,
	pub store: Store,
	stop: Option<oneshot::Sender<()>>,
	served: Option<JoinHandle<()>>,
}

pub struct Options {
	pub limits: Limits,
	pub engine: Arc<dyn Engine>,
	/// A second model.
	pub second: Option<ServedModel>,
	pub sprint: Option<(Box<dyn Expand>, Pace)>,
	pub host_key: Option<Keypair>,
	pub conduct: Arc<dyn Conduct>,
}

impl Default for Options {
	fn default() -> Self {
		let limits = Limits { stalled: PATIENCE, rest: PATIENCE, ..Default::default() };
		Self { limits, engine: engine(), second: None, sprint: None, host_key: None, conduct: Arc::new(Honest) }
	}
}

pub fn mock(config: MockConfig) -> Arc<dyn Engine> {
	Arc::new(MockEngine::new(MockConfig { name: MODEL.into(), context_length: 400, ..config }))
}

/// The models of a worker: the tests' own, and perhaps another one.
fn models(engine: Arc<dyn Engine>, second: Option<ServedModel>) -> Models {
	let own = ServedModel::new(MODEL.into(), [0; 32], engine, Audits::ByAny);
	Models::new(std::iter::once(own).chain(second).collect())
}

/// A mock engine whose completions have 21 tokens.
pub fn engine() -> Arc<dyn Engine> {
	mock(MockConfig { completion_words: 20, ..Default::default() })
}

/// Opens the store, once aborted tasks no longer use it.
pub fn store(path: &Path) -> Store {
	let begun = Instant::now();
	loop {
		match Store::open(&path.join("worker.redb"), &GENESIS, &host()) {
			Err(StoreError::InUse(_)) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
			opened => return opened.unwrap(),
		}
	}
}

impl Rig {
	pub async fn start(chain: &Arc<FakeChain>, path: &Path, options: Options) -> Self {
		let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		let store = store(path);
		let worker = Worker::start(Parts {
			chain: chain.clone(),
			host: host(),
			key: key("//Worker"),
			host_key: options.host_key,
			store: store.clone(),
			models: models(options.engine, options.second),
			url: url.clone(),
			limits: options.limits,
			timeouts: TIMEOUTS,
			addresses: Addresses::Any,
			sprint: options.sprint,
			conduct: options.conduct,
		});
		let (stop, stopped) = oneshot::channel();
		let stopped = stopped.map(|_| ());
		let served = tokio::spawn(worker.unwrap().serve(listener, stopped, PATIENCE));
		let rig = Self { chain: chain.clone(), url, store, stop: Some(stop), served: Some(served) };
		let best = chain.with(|state| state.epoch.block);
		rig.sees(best).await;
		rig
	}

	/// Waits until the worker has seen `block`.
	pub async fn sees(&self, block: BlockNumber) {
		let client = Gateway::new(&self.url, 0);
		eventually(async || client.get("/health").await.1["block"] == block).await;
	}

	/// Makes a block, and waits until the worker has seen it.
	pub async fn block(&self, block: BlockNumber) {
		self.chain.block(block);
		self.sees(block).await;
	}

	pub async fn stop(mut self) {
		let _ = self.stop.take().unwrap().send(());
		self.served.take().unwrap().await.unwrap();
	}
}

/// Serves the API for another host, whose account is its worker key. Returns the URL, and what keeps the server running.
pub async fn serve_other_host(
	chain: &Arc<FakeChain>,
	key: Keypair,
	store: Store,
	engine: Arc<dyn Engine>,
) -> (String, oneshot::Sender<()>) {
	let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
	let url = format!("http://{}", listener.local_addr().unwrap());
	let follower = Follower::start(chain.clone(), keys::public(&key));
	follower.first().await.unwrap();
	let (limits, conduct) = (Options::default().limits, Arc::new(Honest));
	let service = Service::new(ServiceParts { follower, store, models: models(engine, None), key, limits, conduct });
	let (stop, stopped) = oneshot::channel::<()>();
	tokio::spawn(listen::serve(listener, server::router(service), stopped.map(|_| ()), Duration::ZERO));
	(url, stop)
}

pub async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
	let begun = Instant::now();
	while !condition().await {
		assert!(begun.elapsed() < PATIENCE, "it did not happen within {} s", PATIENCE.as_secs());
		tokio::time::sleep(Duration::from_millis(10)).await;
	}
}

/// Returns the path of the demo model, which `scripts/setup` brings.
pub fn demo_model() -> std::path::PathBuf {
	let home = std::env::var_os("GONKA_HOME").map(std::path::PathBuf::from);
	let home = home.or_else(|| Some(std::env::home_dir()?.join(".cache/gonka"))).unwrap();
	let model = home.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
	assert!(model.exists(), "{} is missing: run scripts/setup", model.display());
	model
}
