//! The upstream: one process that serves the same tokens at the same times to gateways, as workers do, and to other proxies,
//! as an OpenAI-style server does. It notes when each request arrived and when each token went out.

use crate::{input_ends, now};
use anyhow::Context;
use axum::{
	Json, Router,
	body::{Body, Bytes},
	extract::State,
	http::{HeaderMap, StatusCode, header},
	response::{IntoResponse, Response},
	routing::{get, post},
};
use futures::{Stream, StreamExt, stream};
use gonka_client::worker_api::{Event, HEALTH_PATH, Health, HealthModel, INFERENCE_PATH, Scale, TOKENIZER_PATH};
use gonka_primitives::{Hash, market::FinishReason};
use gonka_stand_ins::{
	market::MODEL,
	worker::{Asked, TOKENIZER, Worker},
};
use gonka_tokenizer::{gguf::tokenizer_file, open_tokenizer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
	collections::HashMap,
	convert::Infallible,
	future::{pending, ready},
	io::Write,
	path::{Path, PathBuf},
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::Duration,
};
use subxt_signer::sr25519::dev;
use tokio::{
	net::TcpListener,
	sync::watch,
	time::{Instant, sleep_until},
};

/// Number of workers: as many as a gateway has channels by default.
pub const WORKERS: u8 = 8;
/// Path that sets the [`Pace`].
pub const PACE: &str = "/bench/pace";
/// Path that takes the [`Timing`]s.
pub const TIMINGS: &str = "/bench/timings";
/// Path of the [`Receipts`].
pub const RECEIPTS: &str = "/bench/receipts";

#[derive(clap::Args)]
pub struct Args {
	/// GGUF file whose tokenizer the model has. Default: one with a token for each byte.
	#[arg(long)]
	model: Option<PathBuf>,
}

/// The tokenizer file of `model`, or of the tests.
pub fn tokenizer(model: Option<&Path>) -> anyhow::Result<(Hash, Vec<u8>)> {
	let Some(model) = model else { return Ok(TOKENIZER.clone()) };
	let file = tokenizer_file(model)?;
	Ok((Sha256::digest(&file).into(), file))
}

/// The addresses, which the process prints as a line of JSON.
#[derive(Serialize, Deserialize)]
pub struct Urls {
	pub openai: String,
	pub workers: Vec<String>,
	/// The text of each token.
	pub word: String,
}

/// When tokens are due.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Pace {
	/// Time from a request to its first token.
	pub first: Duration,
	/// Time from one token to the next.
	pub gap: Duration,
	/// Whether streams stop after their first token, until this changes.
	pub held: bool,
}

/// The times of a request, in nanoseconds by [`now`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timing {
	/// All of the request was there.
	pub arrived: u64,
	/// Each token went out.
	pub tokens: Vec<u64>,
	/// The end of the response went out.
	pub ended: u64,
}

/// The receipts of all workers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Receipts {
	/// Number of those that they signed.
	pub signed: usize,
	/// Whether every one is acknowledged, once.
	pub acknowledged: bool,
}

struct Upstream {
	workers: Vec<Worker>,
	tokenizer: Vec<u8>,
	/// A token's id and text.
	token: (u32, String),
	pace: watch::Sender<Pace>,
	timings: Mutex<HashMap<u64, Timing>>,
}

/// Runs the subcommand.
pub async fn run(args: Args) -> anyhow::Result<()> {
	let (_, file) = tokenizer(args.model.as_deref())?;
	let token = word(&file)?;
	let word = token.1.clone();
	let (mut workers, mut listeners, mut urls) = (Vec::new(), Vec::new(), Vec::new());
	for index in 0..WORKERS {
		let (listener, url) = listen().await?;
		workers.push(Worker::new(index, url.clone(), dev::alice().public_key().0));
		listeners.push(listener);
		urls.push(url);
	}
	let (pace, timings) = (watch::Sender::default(), Mutex::default());
	let upstream = Arc::new(Upstream { workers: workers.clone(), tokenizer: file, token, pace, timings });
	for (listener, worker) in listeners.into_iter().zip(workers) {
		let routes = Router::new()
			.route(INFERENCE_PATH, post(inference))
			.route(TOKENIZER_PATH, post(send_tokenizer))
			.route(HEALTH_PATH, get(worker_health))
			.with_state((upstream.clone(), worker.clone()))
			.merge(worker.payment_routes());
		tokio::spawn(gonka_client::listen::serve(listener, routes, pending(), Duration::MAX));
	}
	let (listener, openai) = listen().await?;
	let routes = Router::new()
		.route("/v1/chat/completions", post(chat))
		.route("/v1/models", get(models))
		.route("/health", get(|| ready(StatusCode::OK)))
		.route(PACE, post(set_pace))
		.route(TIMINGS, post(take_timings))
		.route(RECEIPTS, get(receipts))
		.with_state(upstream);
	println!("{}", serde_json::to_string(&Urls { openai, workers: urls, word })?);
	std::io::stdout().flush()?;
	gonka_client::listen::serve(listener, routes, input_ends(), Duration::MAX).await;
	Ok(())
}

/// Binds a free port. Returns its URL, too.
pub async fn listen() -> anyhow::Result<(TcpListener, String)> {
	let listener = TcpListener::bind("127.0.0.1:0").await?;
	let url = format!("http://{}", listener.local_addr()?);
	Ok((listener, url))
}

/// A token that is a word, with its text.
fn word(file: &[u8]) -> anyhow::Result<(u32, String)> {
	let mut temporary = tempfile::NamedTempFile::new()?;
	temporary.write_all(file)?;
	let tokenizer = open_tokenizer(temporary.path())?;
	let id = *tokenizer.encode(" the").first().context("the tokenizer has no token for a text")?;
	Ok((id, tokenizer.decode(&[id])))
}

impl Upstream {
	fn timings(&self) -> MutexGuard<'_, HashMap<u64, Timing>> {
		self.timings.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// Yields `count` numbers of tokens when they are due, then `None` for the end.
	fn ticks(self: Arc<Self>, seed: u64, count: u32) -> impl Stream<Item = Option<u32>> {
		let (began, timing) = (Instant::now(), Timing { arrived: now(), tokens: Vec::new(), ended: 0 });
		let pace = self.pace.subscribe();
		stream::unfold((self, pace, timing, 0u32), move |(upstream, mut changes, mut timing, index)| async move {
			if index > count {
				return None;
			}
			let next = index.saturating_add(1);
			if index == count {
				timing.ended = now();
				upstream.timings().insert(seed, timing.clone());
				return Some((None, (upstream, changes, timing, next)));
			}
			let pace = *changes.borrow_and_update();
			sleep_until(began + pace.first + pace.gap * index).await;
			if index > 0 {
				let _ = changes.wait_for(|pace| !pace.held).await;
			}
			timing.tokens.push(now());
			Some((Some(index), (upstream, changes, timing, next)))
		})
	}
}

fn event(value: &impl Serialize) -> String {
	format!("data: {}\n\n", serde_json::to_string(value).unwrap_or_default())
}

fn events(frames: impl Stream<Item = String> + Send + 'static) -> Response {
	let body = Body::from_stream(frames.map(Ok::<_, Infallible>));
	([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], body).into_response()
}

type OfWorker = State<(Arc<Upstream>, Worker)>;

async fn inference(State((upstream, worker)): OfWorker, headers: HeaderMap, body: Bytes) -> Response {
	let asked = worker.read(&headers, &body);
	let Asked { signed, .. } = &asked;
	if !worker.admit(&signed.envelope) {
		return StatusCode::CONFLICT.into_response();
	}
	let (count, (id, _)) = (signed.envelope.max_tokens, upstream.token.clone());
	let ticks = upstream.ticks(signed.envelope.seed, count);
	events(ticks.map(move |tick| match tick {
		Some(_) => event(&Event::Token { id, logprob: None, top_logprobs: Vec::new() }),
		None => {
			let tokens = vec![id; count as usize];
			let receipt = worker.conclude(&asked, &tokens, FinishReason::Length, None);
			event(&Event::Receipt { receipt: Scale(receipt) })
		},
	}))
}

async fn send_tokenizer(State((upstream, _)): OfWorker) -> Vec<u8> {
	upstream.tokenizer.clone()
}

async fn worker_health() -> Json<Health> {
	Json(Health {
		version: String::new(),
		host: String::new(),
		models: vec![HealthModel { name: MODEL.into(), context_length: 2048 }],
		block: 1,
		load: 0,
		capacity: 1024,
		outdated: None,
	})
}

/// The parts that matter of a request for a chat, which always gets a stream.
#[derive(Deserialize)]
struct ChatRequest {
	seed: u64,
	#[serde(alias = "max_completion_tokens")]
	max_tokens: u32,
}

async fn chat(State(upstream): State<Arc<Upstream>>, Json(request): Json<ChatRequest>) -> Response {
	let text = upstream.token.1.clone();
	let id = format!("chatcmpl-{:032x}", request.seed);
	let ticks = upstream.ticks(request.seed, request.max_tokens);
	let chunk = move |delta: Value, finish: Option<&str>| {
		let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
		let head =
			json!({"id": id, "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": [choice]});
		event(&head)
	};
	events(ticks.map(move |tick| match tick {
		Some(0) => chunk(json!({"role": "assistant", "content": ""}), None) + &chunk(json!({"content": text}), None),
		Some(_) => chunk(json!({"content": text}), None),
		None => chunk(json!({}), Some("length")) + "data: [DONE]\n\n",
	}))
}

async fn models() -> Json<Value> {
	Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "bench"}]}))
}

async fn set_pace(State(upstream): State<Arc<Upstream>>, Json(pace): Json<Pace>) {
	upstream.pace.send_replace(pace);
}

async fn take_timings(State(upstream): State<Arc<Upstream>>) -> Json<HashMap<u64, Timing>> {
	Json(std::mem::take(&mut *upstream.timings()))
}

async fn receipts(State(upstream): State<Arc<Upstream>>) -> Json<Receipts> {
	let signed = upstream.workers.iter().map(Worker::receipts).sum();
	Json(Receipts { signed, acknowledged: upstream.workers.iter().all(Worker::is_square) })
}
