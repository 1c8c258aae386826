//! A chain in memory, a worker over it, and a gateway's side of the interface.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod fake_chain;
mod gateway;
mod peer;
mod shower;

pub use fake_chain::*;
pub use gateway::*;
pub use peer::*;
pub use shower::*;

use futures::FutureExt;
use gonka_client::keys::{self, Keypair};
use gonka_engine::{Engine, MockConfig, MockEngine};
use gonka_primitives::{AccountId, Balance, BlockNumber, Hash, market::Price};
use gonka_worker::{
	app::{Parts, Worker},
	server::Limits,
	sprint::{Expand, pace::Pace},
	store::{Store, StoreError},
};
use std::{
	path::Path,
	sync::{Arc, Mutex},
	time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

pub const GENESIS: Hash = [9; 32];
pub const MODEL: &str = "mock";
pub const PRICE: Price = Price { input: 2, output: 3 };
pub const DEPOSIT: Balance = 1_000_000;

pub fn key(uri: &str) -> Keypair {
	keys::from_uri(uri).unwrap()
}

/// A running worker with the mock engine.
pub struct Rig {
	pub chain: Arc<FakeChain>,
	pub url: String,
	stop: Option<oneshot::Sender<()>>,
	served: Option<JoinHandle<()>>,
}

pub struct Options {
	pub limits: Limits,
	pub engine: Arc<dyn Engine>,
	pub sprint: Option<(Box<dyn Expand>, Pace)>,
	pub host_key: Option<Keypair>,
}

impl Default for Options {
	fn default() -> Self {
		let engine = mock(MockConfig { answer_words: 20, ..Default::default() });
		Self { limits: Limits::default(), engine, sprint: None, host_key: None }
	}
}

pub fn mock(config: MockConfig) -> Arc<dyn Engine> {
	Arc::new(MockEngine::new(MockConfig { name: MODEL.into(), context_length: 400, ..config }))
}

/// The store, once tasks that were aborted have let go of it.
pub fn store(path: &Path) -> Store {
	for _ in 0..100 {
		match Store::open(&path.join("worker.redb"), &GENESIS, &host()) {
			Err(StoreError::InUse(_)) => std::thread::sleep(Duration::from_millis(20)),
			opened => return opened.unwrap(),
		}
	}
	panic!("the store stays in use");
}

impl Rig {
	pub async fn start(chain: &Arc<FakeChain>, path: &Path, options: Options) -> Self {
		let listener = gonka_worker::server::listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		let worker = Worker::start(Parts {
			chain: chain.clone(),
			host: host(),
			key: key("//Worker"),
			host_key: options.host_key,
			store: store(path),
			engine: options.engine,
			model: MODEL.into(),
			url: url.clone(),
			limits: options.limits,
			sprint: options.sprint,
		});
		let (stop, stopped) = oneshot::channel();
		let stopped = stopped.map(|_| ());
		let served = tokio::spawn(worker.unwrap().serve(listener, stopped, Duration::from_secs(5)));
		let rig = Self { chain: chain.clone(), url, stop: Some(stop), served: Some(served) };
		let best = chain.with(|state| state.epoch.block);
		rig.sees(best).await;
		rig
	}

	/// Waits until the worker has seen `block`.
	pub async fn sees(&self, block: BlockNumber) {
		let client = Gateway::new(&self.url, 0);
		eventually(async || client.get("/health").await.1["block"] == block).await;
	}

	/// Makes a block and waits until the worker has seen it.
	pub async fn block(&self, block: BlockNumber) {
		self.chain.block(block);
		self.sees(block).await;
	}

	pub async fn stop(mut self) {
		let _ = self.stop.take().unwrap().send(());
		self.served.take().unwrap().await.unwrap();
	}
}

pub async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
	for _ in 0..500 {
		if condition().await {
			return;
		}
		tokio::time::sleep(Duration::from_millis(10)).await;
	}
	panic!("it did not happen within 5 s");
}
