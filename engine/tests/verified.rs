//! Tests of the upstream engine against vLLM with this project's plug-in: its responses were recorded by
//! `engine/vllm/tests/record.py` and are replayed over HTTP. `make vllm` runs the engine against vLLM itself.

mod common;

use std::{
	collections::HashMap,
	sync::{
		Arc, Mutex,
		atomic::{AtomicBool, Ordering},
	},
	time::Duration,
};

use axum::{
	Json, Router,
	body::Body,
	http::StatusCode,
	response::{IntoResponse, Response},
	routing::{get, post},
};
use common::{Completion, ENGINE, STORY, collect_all, greedy, wait_until};
use gonka_engine::{
	ChatMessage, ChatOptions, CheckRequest, CheckResult, Engine, EngineError, FinishReason, GenerateRequest,
	TokenEvent, UpstreamConfig, UpstreamEngine,
};
use gonka_primitives::{
	fingerprint::{Fingerprint, distance},
	tape::{NAT, seed_key},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

const RECORDED: &str = include_str!("vllm.json");

/// A session with the server.
#[derive(Clone, Deserialize)]
struct Recorded {
	info: Value,
	special: Vec<String>,
	/// Bytes of the tokens that occur.
	bytes: HashMap<usize, String>,
	ends: Vec<u32>,
	completions: Vec<Exchange>,
}

#[derive(Clone, Deserialize)]
struct Exchange {
	generate: Value,
	stream: String,
	check: Value,
	result: Value,
}

/// Behaviour of the streams.
#[derive(Clone, Copy, PartialEq)]
enum Stream {
	Whole,
	/// It sends nothing after its first event.
	Stuck,
	/// It ends after its first event.
	Short,
}

type Lines = mpsc::Sender<Result<String, std::io::Error>>;

#[derive(Clone)]
struct Replay {
	recorded: Arc<Recorded>,
	stream: Stream,
	/// Senders of the streams that are stuck; they close when nobody reads them.
	stuck: Arc<Mutex<Vec<Lines>>>,
	/// Whether the server was started again without the plug-in.
	lost: Arc<AtomicBool>,
}

fn rejected(status: StatusCode, message: &str) -> Response {
	(status, Json(json!({ "error": { "message": message } }))).into_response()
}

impl Replay {
	fn new(stream: Stream) -> Self {
		Self {
			recorded: Arc::new(serde_json::from_str(RECORDED).unwrap()),
			stream,
			stuck: Arc::default(),
			lost: Arc::default(),
		}
	}

	fn changed(change: impl FnOnce(&mut Recorded)) -> Self {
		let mut replay = Self::new(Stream::Whole);
		change(Arc::get_mut(&mut replay.recorded).unwrap());
		replay
	}

	/// Responds as the server did to the same body.
	async fn generate(self, request: Value) -> Response {
		let Some(exchange) = self.recorded.completions.iter().find(|exchange| exchange.generate == request) else {
			return rejected(StatusCode::BAD_REQUEST, &format!("not recorded: {request}"));
		};
		if self.stream == Stream::Whole {
			return exchange.stream.clone().into_response();
		}
		let (sender, receiver) = mpsc::channel(1);
		let first = exchange.stream.split_inclusive("\n\n").next().unwrap().to_owned();
		sender.try_send(Ok(first)).unwrap();
		if self.stream == Stream::Stuck {
			self.stuck.lock().unwrap().push(sender);
		}
		let lines = futures::stream::unfold(receiver, |mut lines| async move { Some((lines.recv().await?, lines)) });
		Body::from_stream(lines).into_response()
	}

	async fn check(self, request: Value) -> Response {
		match self.recorded.completions.iter().find(|exchange| exchange.check == request) {
			Some(exchange) => Json(exchange.result.clone()).into_response(),
			None => rejected(StatusCode::INTERNAL_SERVER_ERROR, "not recorded"),
		}
	}

	/// Tokenizes the names of special tokens, as the server does. The engine asks for no other texts.
	async fn tokenize(Json(request): Json<Value>) -> Json<Value> {
		let id = NAMES.iter().position(|name| request["prompt"] == *name);
		Json(json!({ "tokens": id.into_iter().collect::<Vec<_>>() }))
	}

	fn serve(self) -> (Runtime, UpstreamConfig) {
		let runtime = Runtime::new().unwrap();
		let recorded = self.recorded.clone();
		let model = json!({ "id": recorded.info["model"], "max_model_len": recorded.info["context_length"] });
		let models = json!({ "data": [model] });
		let size = recorded.info["vocab_size"].as_u64().unwrap() as usize;
		let bytes: Vec<_> = (0..size).map(|id| recorded.bytes.get(&id).cloned().unwrap_or_default()).collect();
		let info = recorded.info.clone();
		let vocabulary = json!({ "bytes": bytes, "special": recorded.special });
		let (generate, check, lost) = (self.clone(), self.clone(), self.lost);
		let router = Router::new()
			.route("/v1/models", get(move || async { Json(models) }))
			.route("/tokenize", post(Self::tokenize))
			.route(
				"/gonka/v1/info",
				get(move || async move {
					if lost.load(Ordering::Relaxed) {
						StatusCode::NOT_FOUND.into_response()
					} else {
						Json(info).into_response()
					}
				}),
			)
			.route("/gonka/v1/vocabulary", get(move || async { Json(vocabulary) }))
			.route("/gonka/v1/generate", post(|Json(request): Json<Value>| generate.generate(request)))
			.route("/gonka/v1/check", post(|Json(request): Json<Value>| check.check(request)));
		let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		runtime.spawn(async move { axum::serve(listener, router).await });
		(runtime, UpstreamConfig::new(url))
	}
}

/// Names of the demo model's first tokens.
const NAMES: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

fn story() -> Vec<u32> {
	ENGINE.tokenizer().encode(STORY)
}

/// The requests that were recorded.
fn requests() -> [GenerateRequest; 4] {
	let message = ChatMessage::new("user", "Say only the word yes.");
	let question = ENGINE.tokenizer().encode_chat(&[message], &ChatOptions::default()).unwrap();
	let sampled = GenerateRequest { prompt: story(), max_tokens: 24, key: seed_key(7), ..Default::default() };
	let penalised = GenerateRequest {
		temperature: 0.8,
		top_k: 40,
		top_p: 0.95,
		repetition_penalty: 1.1,
		presence_penalty: 0.5,
		frequency_penalty: 0.2,
		key: seed_key(8),
		..sampled.clone()
	};
	[greedy(story(), 16), sampled, penalised, greedy(question, 40)]
}

fn check(
	engine: &dyn Engine,
	request: &GenerateRequest,
	output: &[u32],
	reason: FinishReason,
) -> Result<CheckResult, EngineError> {
	let check = CheckRequest { request: request.clone(), output: output.to_vec(), finish_reason: reason };
	engine.check(check)?.blocking_recv().unwrap()
}

fn generate(engine: &dyn Engine, request: &GenerateRequest) -> (Completion, Vec<Fingerprint>) {
	collect_all(engine.generate(request.clone()).unwrap(), request.prompt.len())
}

#[test]
fn the_plug_in_is_found_and_describes_the_model() {
	let replay = Replay::new(Stream::Whole);
	let recorded = replay.recorded.clone();
	let (_runtime, config) = replay.serve();
	let name = Some("smol@vllm".into());
	let engine = UpstreamEngine::connect(UpstreamConfig { max_running: 5, name, ..config.clone() }).unwrap();
	let info = engine.info();
	assert_eq!(info.name, "smol@vllm");
	assert_eq!((info.vocab_size, info.context_length, info.max_running), (49_152, 2_048, 5));
	assert_eq!(info.eos, recorded.ends);
	let configured = UpstreamConfig { eos: vec![7], context_length: 100, ..config };
	let info = UpstreamEngine::connect(configured).unwrap().info();
	assert_eq!((info.eos, info.context_length, info.max_running), (vec![7], 100, 8));
}

#[test]
fn tokens_come_with_fingerprints_and_a_check_by_the_same_server_finds_them_due() {
	let (_runtime, config) = Replay::new(Stream::Whole).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	for request in requests() {
		let (given, fingerprints) = generate(&engine, &request);
		assert_eq!(given.ids.len(), fingerprints.len());
		let result = check(&engine, &request, &given.ids, given.reason).unwrap();
		assert!(result.ends_rightly);
		for (token, fingerprint) in result.tokens.iter().zip(&fingerprints) {
			assert!(token.margin == 0 && distance(&token.fingerprint, fingerprint) < 8, "{token:?} {fingerprint:?}");
		}
	}
}

/// vLLM and libtorch computed the same weights in 32 bits, each in its own way.
#[test]
fn completions_of_vllm_are_due_on_the_tape_in_the_torch_engine() {
	let (_runtime, config) = Replay::new(Stream::Whole).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	for request in requests() {
		let (given, fingerprints) = generate(&engine, &request);
		let result = check(&*ENGINE, &request, &given.ids, given.reason).unwrap();
		assert!(result.ends_rightly, "{given:?}");
		for (token, fingerprint) in result.tokens.iter().zip(&fingerprints) {
			let is_due = token.margin < NAT.unsigned_abs() / 20;
			assert!(is_due && distance(&token.fingerprint, fingerprint) < 8, "{token:?} {fingerprint:?}");
		}
		let other = GenerateRequest { key: seed_key(99), ..request };
		let result = check(&*ENGINE, &other, &given.ids, given.reason).unwrap();
		let far = result.tokens.iter().zip(&fingerprints);
		assert!(far.clone().all(|(token, own)| distance(&token.fingerprint, own) > 1_000), "another tape");
	}
}

#[test]
fn texts_and_ends_are_those_of_the_torch_engine() {
	let (_runtime, config) = Replay::new(Stream::Whole).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	let [story, sampled, _, question] = requests();
	assert_eq!(generate(&engine, &story).0, generate(&*ENGINE, &story).0);
	let (given, _) = generate(&engine, &question);
	assert_eq!((&given, given.reason), (&generate(&*ENGINE, &question).0, FinishReason::Stop));

	// A stop text is no part of the request to the server: the completion ends here.
	let (whole, _) = generate(&engine, &sampled);
	let (at, _) = whole.text.char_indices().nth(whole.text.len() / 2).unwrap();
	let stop = whole.text[at..at + 6].to_owned();
	let stopped = GenerateRequest { stop: vec![stop.clone()], ..sampled };
	let (given, _) = generate(&engine, &stopped);
	assert_eq!(given.reason, FinishReason::Stop);
	assert!(given.ids.len() < whole.ids.len() && !given.text.contains(&stop), "{given:?}");
	assert_eq!(Some(given.text.as_str()), whole.text.split(&stop).next());
}

#[test]
fn a_check_says_whether_a_completion_ends_rightly() {
	let (_runtime, config) = Replay::new(Stream::Whole).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	let [request, ..] = requests();
	let (given, _) = generate(&engine, &request);
	let ends = |reason| check(&engine, &request, &given.ids, reason).unwrap().ends_rightly;
	assert_eq!(given.reason, FinishReason::Length);
	assert!(ends(FinishReason::Length) && ends(FinishReason::Cancelled) && !ends(FinishReason::Stop));
	// The server failed: that says nothing about the completion.
	let error = check(&engine, &request, &given.ids[..3], FinishReason::Cancelled).unwrap_err();
	assert!(matches!(&error, EngineError::Compute(why) if why.contains("not recorded")), "{error}");
}

#[test]
fn other_versions_and_incomplete_responses_are_rejected() {
	let connect = |change: fn(&mut Recorded)| {
		let (_runtime, config) = Replay::changed(change).serve();
		UpstreamEngine::connect(config).err().map(|error| error.to_string()).unwrap_or_default()
	};
	let error = connect(|recorded| recorded.info["protocol"] = json!(2));
	assert!(error.contains("version 2"), "{error}");
	let error = connect(|recorded| recorded.info["max_requests"] = Value::Null);
	assert!(error.contains("max_requests") || error.contains("null"), "{error}");
	let error = connect(|recorded| _ = recorded.bytes.insert(5, "0".into()));
	assert!(error.contains("vocabulary"), "{error}");

	let damaged = |change: fn(&mut Recorded)| {
		let (_runtime, config) = Replay::changed(change).serve();
		let engine = UpstreamEngine::connect(config).unwrap();
		let [request, ..] = requests();
		let mut events = engine.generate(request.clone()).unwrap();
		let mut last = None;
		while let Some(event) = events.blocking_recv() {
			last = Some(event);
		}
		let output: Vec<u32> = Replay::new(Stream::Whole).recorded.completions[0].check["output"]
			.as_array()
			.unwrap()
			.iter()
			.map(|id| id.as_u64().unwrap() as u32)
			.collect();
		(last.unwrap(), check(&engine, &request, &output, FinishReason::Length))
	};
	let (last, result) = damaged(|recorded| {
		let exchange = &mut recorded.completions[0];
		exchange.stream = exchange.stream.replacen("\"fingerprints\": [\"", "\"fingerprints\": [\"00", 1);
		exchange.result["fingerprints"][3] = json!("00");
	});
	assert!(matches!(&last, TokenEvent::Error { message } if message.contains("fingerprint")), "{last:?}");
	assert!(matches!(&result, Err(EngineError::Compute(why)) if why.contains("fingerprint")), "{result:?}");
	let (last, result) = damaged(|recorded| {
		let exchange = &mut recorded.completions[0];
		exchange.stream = exchange.stream.replacen("\"finish\": null", "\"finish\": \"abort\"", 1);
		_ = exchange.result["margins"].as_array_mut().unwrap().pop();
	});
	assert!(matches!(&last, TokenEvent::Error { message } if message.contains("abort")), "{last:?}");
	assert!(matches!(&result, Err(EngineError::Compute(why)) if why.contains("margins")), "{result:?}");
}

#[test]
fn a_stuck_stream_ends_with_an_error_and_an_unread_one_is_closed() {
	let replay = Replay::new(Stream::Stuck);
	let stuck = replay.stuck.clone();
	let (_runtime, config) = replay.serve();
	let [request, ..] = requests();
	let patient = UpstreamEngine::connect(config.clone()).unwrap();
	let mut events = patient.generate(request.clone()).unwrap();
	assert!(matches!(events.blocking_recv(), Some(TokenEvent::Token { .. })));
	assert_eq!(patient.health().running, 1);
	drop(events);
	wait_until("the stream stayed open without a reader", || stuck.lock().unwrap().iter().all(mpsc::Sender::is_closed));
	wait_until("the completion stayed", || patient.health().running == 0);

	// No probe may find the server reachable again before the test has looked.
	let (between_tokens, probe) = (Duration::from_millis(50), Duration::from_secs(86_400));
	let engine = UpstreamEngine::connect(UpstreamConfig { between_tokens, probe, ..config }).unwrap();
	let mut events = engine.generate(request).unwrap();
	assert!(matches!(events.blocking_recv(), Some(TokenEvent::Token { .. })));
	let end = events.blocking_recv();
	assert!(matches!(&end, Some(TokenEvent::Error { message }) if message.contains("silent")), "{end:?}");
	assert!(!engine.health().healthy);
}

#[test]
fn a_server_that_was_started_again_without_the_plug_in_is_unhealthy_until_it_has_it() {
	let replay = Replay::new(Stream::Whole);
	let lost = replay.lost.clone();
	let (_runtime, config) = replay.serve();
	let engine = UpstreamEngine::connect(UpstreamConfig { probe: Duration::from_millis(20), ..config }).unwrap();
	lost.store(true, Ordering::Relaxed);
	wait_until("the engine stayed healthy", || !engine.health().healthy);
	assert!(matches!(engine.generate(greedy(story(), 1)), Err(EngineError::Compute(_))));
	lost.store(false, Ordering::Relaxed);
	wait_until("the engine did not recover", || engine.health().healthy);
}

#[test]
fn a_stream_that_ends_too_early_is_an_error() {
	let (_runtime, config) = Replay::new(Stream::Short).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	let [request, ..] = requests();
	let mut events = engine.generate(request).unwrap();
	assert!(matches!(events.blocking_recv(), Some(TokenEvent::Token { .. })));
	let end = events.blocking_recv();
	assert!(matches!(&end, Some(TokenEvent::Error { message }) if message.contains("ended before")), "{end:?}");
}
