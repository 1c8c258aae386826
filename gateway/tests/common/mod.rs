//! A network without a chain: workers of [`gonka_stand_ins`], a market in memory, and a gateway.

#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use gonka_client::{listen, peer_http::Addresses};
use gonka_gateway::{
	app::{self, Keys, Running},
	config::Options,
	server,
	store::PowerCut,
};
use gonka_stand_ins::{
	is_ready,
	market::Market,
	worker::{TOKENIZER, Worker},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::{client::legacy::Client, client::legacy::connect::HttpConnector, rt::TokioExecutor};
use serde_json::Value;
use std::{
	path::Path,
	time::{Duration, Instant},
};
use subxt_signer::sr25519::dev;

/// How long a condition may take. Nothing but a failed test waits that long.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(10);

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
			let worker = Worker::start(index, dev::alice().public_key().0).await;
			hosts.push(worker.host());
			workers.push(worker);
		}
		let market = Market::new(hosts, TOKENIZER.0);
		Self { market, workers }
	}

	pub async fn gateway(&self, base: &Path, options: Options) -> Front {
		let front = self.gateway_until(base, options, None).await;
		let channels = self.workers.len().min(front.running.gateway.options.max_channels);
		eventually("the gateway is ready", || is_ready(&front.running.gateway, channels)).await;
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
		let server = tokio::spawn(listen::serve(listener, routes, std::future::pending(), Duration::ZERO));
		let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
		Front { url, running, client, server: Server(server) }
	}

	/// Whether every receipt of every worker is acknowledged, once.
	pub fn is_square(&self) -> bool {
		self.workers.iter().all(Worker::is_square)
	}

	pub fn receipts(&self) -> usize {
		self.workers.iter().map(Worker::receipts).sum()
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
