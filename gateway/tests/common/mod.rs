//! A network without a chain: workers of [`worker`], a market in memory, and a gateway.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod worker;

use bytes::Bytes;
use gonka_client::{chain, peer_http::Addresses};
use gonka_gateway::{
	app::{self, Keys, Running},
	chain_view::ChainView,
	config::Options,
	server,
	store::PowerCut,
};
use gonka_primitives::{
	AccountId, Balance, BlockNumber, ChannelId, GNK, Hash, PublicKey,
	market::Totals,
	views::{ChannelView, HostView, MarketView, ModelView},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::{client::legacy::Client, client::legacy::connect::HttpConnector, rt::TokioExecutor};
use serde_json::Value;
use std::{
	path::Path,
	sync::{Arc, Mutex},
	time::{Duration, Instant},
};
use subxt_signer::sr25519::{Keypair, dev};
use tokio::sync::watch;
use worker::{GENESIS, PRICE, TOKENIZER, Worker};

/// How long a condition may take. Nothing but a failed test waits that long.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(10);

/// A market in memory.
#[derive(Clone)]
pub struct Market {
	pub state: Arc<Mutex<MarketState>>,
	block: Arc<watch::Sender<BlockNumber>>,
}

pub struct MarketState {
	pub hosts: Vec<HostView>,
	pub channels: Vec<ChannelView>,
	pub balance: Balance,
	pub context_length: u32,
}

impl Market {
	pub fn next_block(&self) {
		self.block.send_modify(|block| *block += 1);
	}
}

impl ChainView for Market {
	fn genesis(&self) -> Hash {
		GENESIS
	}

	fn blocks(&self) -> watch::Receiver<BlockNumber> {
		self.block.subscribe()
	}

	async fn market(&self) -> chain::Result<MarketView> {
		Ok(MarketView { window: 10, max_vouchers: 64, max_channels_per_call: 16, min_deposit: 1, challenge_period: 10 })
	}

	async fn models(&self) -> chain::Result<Vec<ModelView>> {
		let context_length = self.state.lock().unwrap().context_length;
		let model = |id, name: &[u8]| ModelView {
			id,
			name: name.to_vec(),
			weights_hash: [0; 32],
			tokenizer_hash: TOKENIZER.0,
			context_length,
			price: PRICE,
		};
		Ok(vec![model(4, b"test/tiny"), model(5, b"nobody-serves-it"), model(6, b"test/tiny@llama.cpp")])
	}

	async fn hosts(&self) -> chain::Result<Vec<HostView>> {
		Ok(self.state.lock().unwrap().hosts.clone())
	}

	async fn channels(&self, developer: AccountId) -> chain::Result<Vec<ChannelView>> {
		let state = self.state.lock().unwrap();
		Ok(state.channels.iter().filter(|channel| channel.developer == developer).cloned().collect())
	}

	async fn free_balance(&self, _: AccountId) -> chain::Result<Balance> {
		Ok(self.state.lock().unwrap().balance)
	}

	async fn open_channels(
		&self,
		developer: &Keypair,
		gateway: PublicKey,
		deposits: Vec<(AccountId, Balance)>,
	) -> chain::Result<Vec<ChannelId>> {
		let mut state = self.state.lock().unwrap();
		let mut ids = Vec::new();
		for (host, deposit) in deposits {
			let id = state.channels.iter().map(|channel| channel.id + 1).max().unwrap_or(0);
			let rest = state.balance.checked_sub(deposit);
			state.balance = rest.ok_or_else(|| chain::Error::Dispatch("the balance is too low".into()))?;
			state.channels.push(ChannelView {
				id,
				developer: developer.public_key().0,
				host,
				gateway,
				deposit,
				settled: Totals::default(),
				closes: None,
			});
			ids.push(id);
		}
		drop(state);
		self.next_block();
		Ok(ids)
	}

	async fn top_up(&self, _: &Keypair, amounts: Vec<(ChannelId, Balance)>) -> chain::Result<()> {
		let mut state = self.state.lock().unwrap();
		for (id, amount) in amounts {
			state.balance -= amount;
			state.channels.iter_mut().find(|channel| channel.id == id).unwrap().deposit += amount;
		}
		drop(state);
		self.next_block();
		Ok(())
	}

	async fn close_channel(&self, _: &Keypair, channel: ChannelId) -> chain::Result<()> {
		let closes = self.block.borrow().saturating_add(10);
		let mut state = self.state.lock().unwrap();
		state.channels.iter_mut().find(|known| known.id == channel).unwrap().closes = Some(closes);
		drop(state);
		self.next_block();
		Ok(())
	}

	async fn withdraw(&self, _: &Keypair, channel: ChannelId) -> chain::Result<()> {
		let mut state = self.state.lock().unwrap();
		let at = state.channels.iter().position(|known| known.id == channel).unwrap();
		let rest = state.channels.remove(at);
		state.balance += rest.deposit - rest.settled.fee;
		drop(state);
		self.next_block();
		Ok(())
	}
}

/// Workers and their market.
pub struct Net {
	pub market: Market,
	pub workers: Vec<Worker>,
}

impl Net {
	pub async fn of(count: u8) -> Self {
		let filter = tracing_subscriber::EnvFilter::from_default_env();
		let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
		let (mut workers, mut hosts) = (Vec::new(), Vec::new());
		for index in 0..count {
			let key = Keypair::from_secret_key([index + 1; 32]).unwrap();
			let worker = Worker::start(key, dev::alice().public_key().0).await;
			hosts.push(HostView {
				account: [index; 32],
				worker: worker.key.public_key().0,
				url: worker.url.clone().into_bytes(),
				models: vec![4],
				registered: 0,
				effective_weight: 0,
				condemned: false,
			});
			workers.push(worker);
		}
		let state = MarketState { hosts, channels: Vec::new(), balance: 1_000 * GNK, context_length: 2048 };
		let market = Market { state: Arc::new(Mutex::new(state)), block: Arc::new(watch::Sender::new(1)) };
		Self { market, workers }
	}

	pub async fn gateway(&self, base: &Path, options: Options) -> Front {
		let front = self.gateway_until(base, options, None).await;
		let channels = self.workers.len().min(front.running.gateway.options.max_channels);
		eventually("all channels are in step", || {
			let gateway = &front.running.gateway;
			let snapshot = gateway.snapshots.load();
			snapshot.open_channels().filter(|(channel, _)| gateway.ledger.available(channel).is_some()).count()
				== channels
		})
		.await;
		eventually("the tokenizer is open, and all contexts are known", || {
			let gateway = &front.running.gateway;
			let snapshot = gateway.snapshots.load();
			let Ok(model) = gateway.model("test/tiny") else { return channels == 0 };
			let is_known = |host: &_| gateway.router.context(&model, host).is_some();
			gateway.tokenizers.of(&model).is_some() && snapshot.open_channels().all(|(_, host)| is_known(host))
		})
		.await;
		front
	}

	pub async fn gateway_until(&self, base: &Path, options: Options, cut: Option<PowerCut>) -> Front {
		let options = Options { addresses: Addresses::Any, ..options };
		let keys = Keys { developer: dev::alice(), gateway: dev::alice() };
		let started = Instant::now();
		let running = loop {
			// The ledger of a gateway that was dropped a moment ago may still be closing.
			match app::start_until(self.market.clone(), keys.clone(), base, options.clone(), cut) {
				Ok(running) => break running,
				Err(error) if started.elapsed() > PATIENCE => panic!("{error:#}"),
				Err(_) => tokio::time::sleep(POLL).await,
			}
		};
		let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		let routes = server::routes(running.gateway.clone());
		let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
		let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
		Front { url, running, client, server: Server(server) }
	}

	/// Whether every receipt of every worker is acknowledged, once.
	pub fn is_square(&self) -> bool {
		self.workers.iter().all(|worker| {
			worker
				.state()
				.accounts
				.values()
				.all(|account| account.totals == account.due() && account.acknowledged.len() == account.receipts.len())
		})
	}

	pub fn receipts(&self) -> usize {
		let count =
			|worker: &Worker| worker.state().accounts.values().map(|account| account.receipts.len()).sum::<usize>();
		self.workers.iter().map(count).sum()
	}
}

pub struct Front {
	pub url: String,
	pub running: Running,
	client: Client<HttpConnector, Full<Bytes>>,
	server: Server,
}

struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
	fn drop(&mut self) {
		self.0.abort();
	}
}

pub struct Reply {
	pub status: u16,
	pub headers: hyper::HeaderMap,
	pub text: String,
}

impl Reply {
	pub fn json(&self) -> Value {
		serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
	}

	/// The data of the stream's events.
	pub fn events(&self) -> Vec<&str> {
		self.text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect()
	}

	/// The data of a stream of named events. The name of each is also the type in its data.
	pub fn named_events(&self) -> Vec<Value> {
		let events = self.text.split("\n\n").filter(|event| !event.is_empty()).map(|event| {
			let (name, data) = event.split_once("\ndata: ").unwrap();
			let data: Value = serde_json::from_str(data).unwrap();
			assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
			data
		});
		events.collect()
	}

	/// The deltas or texts, joined.
	pub fn streamed_text(&self) -> String {
		let chunks = self.events().into_iter().filter(|data| *data != "[DONE]");
		let piece = |chunk: Value| {
			let choice = &chunk["choices"][0];
			let text = choice["delta"]["content"].as_str().or(choice["text"].as_str());
			text.unwrap_or("").to_owned()
		};
		chunks.map(|data| piece(serde_json::from_str(data).unwrap())).collect()
	}
}

impl Front {
	/// Stops the gateway as SIGTERM does, with all responses sent.
	pub async fn stop(self) {
		drop(self.server);
		self.running.stop(PATIENCE).await;
	}

	pub async fn open(
		&self,
		method: &str,
		path: &str,
		headers: &[(&str, &str)],
		body: impl Into<Bytes>,
	) -> Response<Incoming> {
		let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
		for (name, value) in headers {
			request = request.header(*name, *value);
		}
		if headers.iter().all(|(name, _)| *name != "content-type") {
			request = request.header("content-type", "application/json");
		}
		self.client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap()
	}

	pub async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Reply {
		let (parts, body) = self.open(method, path, &[], body).await.into_parts();
		let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
		Reply { status: parts.status.as_u16(), headers: parts.headers, text }
	}

	pub async fn post(&self, path: &str, body: Value) -> Reply {
		self.send("POST", path, body.to_string()).await
	}

	pub async fn get(&self, path: &str) -> Reply {
		self.send("GET", path, "").await
	}

	pub async fn chat(&self, more: Value) -> Reply {
		self.post("/v1/chat/completions", chat_body(more)).await
	}
}

pub fn chat_body(more: Value) -> Value {
	let mut body = serde_json::json!({
		"model": "test/tiny",
		"messages": [{"role": "user", "content": "Tell me the answer to everything."}],
	});
	body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
	body
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
	let started = Instant::now();
	while !holds() {
		assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
		tokio::time::sleep(POLL).await;
	}
}
