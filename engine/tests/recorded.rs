//! Tests of the upstream engine against responses of vLLM, written down from its source and replayed over HTTP: vLLM
//! itself needs a GPU.

mod common;

use std::{
	sync::{Arc, Mutex},
	time::Duration,
};

use axum::{
	Json, Router,
	body::Body,
	http::StatusCode,
	response::{IntoResponse, Response},
	routing::{get, post},
};
use common::{completion_of, greedy, wait_until};
use gonka_engine::{
	CheckRequest, Engine, EngineError, FinishReason, GenerateRequest, Grammar, TokenEvent, UpstreamConfig,
	UpstreamEngine,
};
use gonka_primitives::tape::NAT;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

/// Sender of the lines of a stream.
type Lines = mpsc::Sender<Result<String, std::io::Error>>;

/// Behaviour of a stream.
#[derive(Clone, Copy, PartialEq)]
enum Stream {
	Whole,
	/// It sends nothing after its first line.
	Stuck,
}

#[derive(Clone)]
struct Replay {
	stream: Stream,
	prompt_logprobs: bool,
	/// Bodies of requests to `/v1/completions`.
	requests: Arc<Mutex<Vec<Value>>>,
	/// Senders of the streams that are stuck; they close when nobody reads them.
	stuck: Arc<Mutex<Vec<Lines>>>,
}

fn choice(choice: Value) -> Value {
	json!({ "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "big", "choices": [choice] })
}

impl Replay {
	fn new(stream: Stream, prompt_logprobs: bool) -> Self {
		Self { stream, prompt_logprobs, requests: Arc::default(), stuck: Arc::default() }
	}

	async fn complete(self, request: Value) -> Response {
		self.requests.lock().unwrap().push(request.clone());
		let prompt = request["prompt"].as_array().unwrap();
		if request["stream"] == true {
			let (sender, receiver) = mpsc::channel(8);
			let line = |piece: Value| Ok(format!("data: {}\n\n", choice(piece)));
			let first = json!({ "index": 0, "text": " a", "prompt_token_ids": prompt, "token_ids": [11] });
			sender.try_send(line(first)).unwrap();
			if self.stream == Stream::Stuck {
				self.stuck.lock().unwrap().push(sender);
			} else {
				let last = json!({ "index": 0, "text": " b", "token_ids": [12, 2], "finish_reason": "stop", "stop_reason": 2 });
				sender.try_send(line(last)).unwrap();
				sender.try_send(Ok("data: [DONE]\n\n".into())).unwrap();
			}
			let lines =
				futures::stream::unfold(receiver, |mut lines| async move { Some((lines.recv().await?, lines)) });
			return Response::builder()
				.header("content-type", "text/event-stream")
				.body(Body::from_stream(lines))
				.unwrap();
		}
		let mut piece = json!({ "index": 0, "text": " a", "token_ids": [11], "finish_reason": "length" });
		if !request["prompt_logprobs"].is_null() {
			if !self.prompt_logprobs {
				let error =
					json!({ "error": { "message": "no prompt_logprobs", "type": "BadRequestError", "code": 400 } });
				return (StatusCode::BAD_REQUEST, Json(error)).into_response();
			}
			let row = |id: &Value| json!({ id.to_string(): { "logprob": -2.0, "rank": 2 }, "0": { "logprob": -0.5, "rank": 1 } });
			piece["prompt_logprobs"] =
				prompt.iter().enumerate().map(|(at, id)| if at == 0 { Value::Null } else { row(id) }).collect();
		}
		Json(choice(piece)).into_response()
	}

	fn serve(self) -> (Runtime, UpstreamConfig) {
		let runtime = Runtime::new().unwrap();
		let model = json!({ "data": [{ "id": "big", "object": "model", "owned_by": "vllm", "max_model_len": 64 }] });
		let tokenize = |Json(request): Json<Value>| async move {
			let tokens = if request["prompt"] == "<|im_end|>" { json!([2]) } else { json!([5, 6]) };
			Json(json!({ "count": 1, "max_model_len": 64, "tokens": tokens, "token_strs": null }))
		};
		let router = Router::new()
			.route("/v1/models", get(move || async { Json(model) }))
			.route("/tokenize", post(tokenize))
			.route("/detokenize", post(|| async { Json(json!({ "prompt": " a b" })) }))
			.route("/v1/completions", post(move |Json(request): Json<Value>| self.complete(request)));
		let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
		let url = format!("http://{}/v1/", listener.local_addr().unwrap());
		runtime.spawn(async move { axum::serve(listener, router).await });
		(runtime, UpstreamConfig { vocab_size: Some(100), ..UpstreamConfig::new(url) })
	}
}

#[test]
fn vllm_is_recognised_and_its_token_ids_are_streamed() {
	let replay = Replay::new(Stream::Whole, true);
	let requests = replay.requests.clone();
	let (_runtime, config) = replay.serve();
	let error = UpstreamEngine::connect(UpstreamConfig { vocab_size: None, ..config.clone() }).err().unwrap();
	assert!(error.to_string().contains("vocab_size"), "{error}");
	let error =
		UpstreamEngine::connect(UpstreamConfig { name: Some("big@vllm".into()), ..config.clone() }).err().unwrap();
	assert!(matches!(&error, EngineError::Model(why) if why.contains("VLLM_PLUGINS")), "{error}");
	let engine = UpstreamEngine::connect(config).unwrap();
	let info = engine.info();
	assert_eq!((info.name.as_str(), info.context_length, info.vocab_size, info.eos), ("big", 64, 100, vec![2]));

	let given = completion_of(&engine, greedy(vec![5, 6], 8));
	assert_eq!((given.ids, given.text.as_str(), given.reason), (vec![11, 12, 2], " a b", FinishReason::Stop));
	let body = requests.lock().unwrap().pop().unwrap();
	let wanted = json!({
		"model": "big", "prompt": [5, 6], "stream": true, "return_token_ids": true, "max_tokens": 8, "temperature": 0.0,
		"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "ignore_eos": true, "stop_token_ids": [2],
	});
	for (field, value) in wanted.as_object().unwrap() {
		assert_eq!(&body[field], value, "{field}");
	}
}

#[test]
fn a_completion_is_read_with_prompt_logprobs() {
	let (_runtime, config) = Replay::new(Stream::Whole, true).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	let check = |output: &[u32], finish_reason| {
		let check = CheckRequest { request: greedy(vec![5, 6], 8), output: output.to_vec(), finish_reason };
		engine.check(check).unwrap().blocking_recv().unwrap().unwrap()
	};
	let result = check(&[11, 0, 2], FinishReason::Stop);
	let margins: Vec<_> = result.tokens.iter().map(|token| token.margin).collect();
	assert_eq!(margins, [NAT.unsigned_abs() * 3 / 2, 0, NAT.unsigned_abs() * 3 / 2]);
	assert!(result.ends_rightly);
	for (output, claimed) in [
		([11, 2, 12].as_slice(), FinishReason::Stop),
		(&[2, 11], FinishReason::Cancelled),
		(&[11, 12], FinishReason::Stop),
		(&[11, 12], FinishReason::Length),
	] {
		assert!(!check(output, claimed).ends_rightly, "{output:?} {claimed:?}");
	}
	assert!(check(&[11, 12], FinishReason::Cancelled).ends_rightly);
	assert!(check(&[11; 8], FinishReason::Length).ends_rightly);

	let stopped = |stop: &str| {
		let request = gonka_engine::GenerateRequest { stop: vec![stop.into()], ..greedy(vec![5, 6], 8) };
		let check = CheckRequest { request, output: vec![11, 12], finish_reason: FinishReason::Stop };
		engine.check(check).unwrap().blocking_recv().unwrap().unwrap().ends_rightly
	};
	assert!(stopped("a b") && !stopped("c"));
}

#[test]
fn without_prompt_logprobs_a_check_is_unsupported() {
	let (_runtime, config) = Replay::new(Stream::Whole, false).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	let check = CheckRequest { request: greedy(vec![5], 1), output: vec![11], finish_reason: FinishReason::Length };
	assert!(matches!(engine.check(check), Err(EngineError::Unsupported(_))));
}

#[test]
fn bounds_that_no_server_keeps_are_unsupported() {
	let (_runtime, config) = Replay::new(Stream::Whole, true).serve();
	let engine = UpstreamEngine::connect(config).unwrap();
	let unsupported = |change: fn(&mut GenerateRequest), is_checked: bool| {
		let mut request = greedy(vec![5], 1);
		change(&mut request);
		assert!(matches!(engine.generate(request.clone()), Err(EngineError::Unsupported(_))));
		let check = engine.check(CheckRequest { request, output: vec![11], finish_reason: FinishReason::Length });
		assert_eq!(matches!(check, Err(EngineError::Unsupported(_))), !is_checked);
	};
	unsupported(|request| request.grammar = Some(Grammar::Regex("a".into())), false);
	unsupported(|request| request.logit_bias = [(3, 1.0)].into(), false);
	unsupported(|request| request.min_tokens = 1, false);
	// Log probabilities make no difference for a check.
	unsupported(|request| request.logprobs = Some(1), true);
}

#[test]
fn a_stuck_stream_ends_with_an_error_and_an_unread_one_is_closed() {
	let replay = Replay::new(Stream::Stuck, true);
	let stuck = replay.stuck.clone();
	let (_runtime, config) = replay.serve();
	let patient = UpstreamEngine::connect(config.clone()).unwrap();
	let mut events = patient.generate(greedy(vec![5], 8)).unwrap();
	assert!(matches!(events.blocking_recv(), Some(TokenEvent::Token { id: 11, .. })));
	drop(events);
	wait_until("the stream stayed open without a reader", || stuck.lock().unwrap().iter().all(mpsc::Sender::is_closed));
	assert!(patient.health().healthy);

	// No probe may find the server reachable again before the test has looked.
	let (between_tokens, probe) = (Duration::from_millis(50), Duration::from_secs(86_400));
	let config = UpstreamConfig { between_tokens, probe, ..config };
	let engine = UpstreamEngine::connect(config).unwrap();
	let mut events = engine.generate(greedy(vec![5], 8)).unwrap();
	assert!(matches!(events.blocking_recv(), Some(TokenEvent::Token { id: 11, .. })));
	let end = events.blocking_recv();
	assert!(matches!(&end, Some(TokenEvent::Error { message }) if message.contains("silent")), "{end:?}");
	assert!(!engine.health().healthy);
}
