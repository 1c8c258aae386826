//! API keys with limits, as their users and the gateway's owner see them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bytes::Bytes;
use clap::Parser;
use common::{Front, Net, chat_body, eventually};
use gonka_gateway::{
	api_keys::{
		calendar::{Clock, DAY},
		command::{self, Command},
		file::KeyFile,
		limits::Limits,
	},
	auth::ApiKeys,
	config::{Args, Options},
};
use gonka_stand_ins::worker::{Failure, PRICE, PROMPT_TOKENS};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{
	path::Path,
	sync::{
		Arc,
		atomic::{AtomicU64, Ordering},
	},
	time::Duration,
};

const CHAT: &str = "/v1/chat/completions";
/// 2027-01-15 12:00, where the clock stands unless a test sets it.
const NOON: u64 = 1_800_014_400;

/// Runs `gonka-gateway key` as the program does.
fn key_command(folder: &Path, line: &str) {
	let words = ["gonka-gateway", "key"].into_iter().chain(line.split_whitespace());
	let Some(Command::Key { command }) = Args::parse_from(words).command else { panic!("{line}") };
	command::run(command, folder, || Ok(ApiKeys::default())).unwrap();
}

/// Makes a key and returns its secret.
fn create(folder: &Path, name: &str, limits: Limits) -> String {
	KeyFile::in_folder(folder).create(name, limits, NOON).unwrap().1
}

fn fee(tokens: u32) -> u128 {
	PRICE.fee(PROMPT_TOKENS, tokens).unwrap()
}

struct Client<'a> {
	front: &'a Front,
	authorization: String,
}

impl<'a> Client<'a> {
	fn new(front: &'a Front, key: &str) -> Self {
		Self { front, authorization: format!("Bearer {key}") }
	}

	async fn read(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, String) {
		let headers = [("authorization", self.authorization.as_str())];
		let (parts, body) = self.front.open(method, path, &headers, body).await.into_parts();
		let bytes = body.collect().await.unwrap().to_bytes();
		(parts.status.as_u16(), String::from_utf8(bytes.to_vec()).unwrap())
	}

	async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, Value) {
		let (status, text) = self.read(method, path, body).await;
		(status, serde_json::from_str(&text).unwrap_or(Value::Null))
	}

	/// Requests a chat of up to `max_tokens`. Returns the status and the code of an error.
	async fn chat(&self, max_tokens: u32) -> (u16, Value) {
		let (status, body) = self.send("POST", CHAT, chat_body(json!({"max_tokens": max_tokens})).to_string()).await;
		(status, body["error"]["code"].clone())
	}

	async fn usage(&self) -> Value {
		let (status, body) = self.send("GET", "/v1/usage", "").await;
		assert_eq!(status, 200, "{body}");
		body
	}
}

async fn gateway(net: &Net, folder: &Path) -> Front {
	net.gateway(folder, options(|| NOON)).await
}

fn options(now: impl Fn() -> u64 + Send + Sync + 'static) -> Options {
	Options { api_keys: ApiKeys::parse("own:sk-own").unwrap(), clock: Clock::new(now), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_spends_its_budget_and_no_more() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let days = Arc::new(AtomicU64::new(0));
	let clock = days.clone();
	let front = net.gateway(dir.path(), options(move || NOON + DAY * clock.load(Ordering::SeqCst))).await;
	// Enough for two completions of six tokens, and for no third one.
	let limits = Limits { gnk_per_day: Some(2 * fee(6) + 1), ..Limits::default() };
	let client = Client::new(&front, &create(dir.path(), "app", limits));
	assert_eq!(client.chat(6).await.0, 200);
	assert_eq!(client.chat(20).await, (429, json!("insufficient_quota")), "it may need more than is left");
	assert_eq!(client.chat(6).await.0, 200);
	let (status, body) = client.send("POST", CHAT, chat_body(json!({"max_tokens": 6})).to_string()).await;
	assert_eq!(status, 429);
	let message = body["error"]["message"].as_str().unwrap();
	for part in ["'app'", "0.000000261 GNK a day", "0.00000026 GNK are used", "resets at 2027-01-16T00:00:00Z"] {
		assert!(message.contains(part), "{part}: {message}");
	}
	assert_eq!(Client::new(&front, "sk-own").chat(6).await.0, 200, "other keys have no limits");

	let usage = client.usage().await;
	let tokens = (2 * PROMPT_TOKENS, 12);
	for list in ["days", "months"] {
		let latest = &usage[list][0];
		assert_eq!((&latest["requests"], &latest["cost"]), (&json!(4), &json!((2 * fee(6)).to_string())));
		assert_eq!((&latest["prompt_tokens"], &latest["completion_tokens"]), (&json!(tokens.0), &json!(tokens.1)));
		assert_eq!(latest["cost_gnk"], "0.00000026");
	}
	let budget = &usage["budgets"][0];
	assert_eq!((&budget["budget"], &budget["left"]), (&json!("gnk_per_day"), &json!("0.000000001")));
	assert_eq!((&usage["key"], &usage["limits"]["gnk_per_day"]), (&json!("app"), &json!("0.000000261")));
	let (_, metrics) = Client::new(&front, "sk-own").read("GET", "/metrics", "").await;
	for line in [
		"gonka_gateway_key_requests_total{key=\"app\"} 4",
		"gonka_gateway_key_tokens_total{key=\"app\",kind=\"completion\"} 12",
		"gonka_gateway_key_requests_total{key=\"own\"} 1",
		"gonka_gateway_key_cost_gnk_total{key=\"app\"} 0.00000026",
	] {
		assert!(metrics.contains(line), "{line} in {metrics}");
	}
	assert!(front.get("/openapi.json").await.json()["paths"]["/v1/usage"]["get"].is_object());
	assert_eq!(front.get("/v1/usage").await.status, 401);

	days.store(1, Ordering::SeqCst);
	assert_eq!(client.chat(6).await.0, 200, "a new day");
	let usage = client.usage().await;
	assert_eq!((&usage["days"][0]["period"], &usage["days"][0]["requests"]), (&json!("2027-01-16"), &json!(1)));
	assert_eq!((&usage["days"][1]["requests"], &usage["months"][0]["requests"]), (&json!(4), &json!(5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_requests_cannot_exceed_a_budget() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = gateway(&net, dir.path()).await;
	net.workers.iter().for_each(|worker| worker.behave(|behaviour| behaviour.pause = Duration::from_millis(5)));
	let limits = Limits { tokens_per_month: Some(3 * u64::from(PROMPT_TOKENS + 6)), ..Limits::default() };
	let client = Client::new(&front, &create(dir.path(), "app", limits));
	let outcomes = futures::future::join_all((0..12).map(|_| client.chat(6))).await;
	assert_eq!(outcomes.iter().filter(|outcome| outcome.0 == 200).count(), 3, "{outcomes:?}");
	assert!(outcomes.iter().all(|outcome| outcome.0 == 200 || *outcome == (429, json!("insufficient_quota"))));
	let budget = &client.usage().await["budgets"][0];
	assert_eq!((&budget["left"], &budget["reserved"]), (&json!("0"), &json!("0")));
	eventually("all are acknowledged", || net.receipts() == 3 && net.is_square()).await;

	// Each prompt of a request counts.
	let limits = Limits { tokens_per_day: Some(12), ..Limits::default() };
	let client = Client::new(&front, &create(dir.path(), "texts", limits));
	let texts = |prompts: &[&str]| json!({"model": "test/tiny", "prompt": prompts, "max_tokens": 5}).to_string();
	assert_eq!(client.send("POST", "/v1/completions", texts(&["a", "b", "c"])).await.0, 429);
	assert_eq!(client.usage().await["budgets"][0]["left"], "12", "a rejected request reserves nothing");
	assert_eq!(client.send("POST", "/v1/completions", texts(&["a", "b"])).await.0, 200);
	let usage = client.usage().await;
	assert_eq!((&usage["days"][0]["requests"], &usage["budgets"][0]["used"]), (&json!(2), &json!("12")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_notices_new_changed_and_revoked_keys() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = gateway(&net, dir.path()).await;
	let client = Client::new(&front, &create(dir.path(), "app", Limits::default()));
	assert_eq!(client.chat(6).await.0, 200, "a new key is accepted at once");

	let until = async |expected: (u16, Value)| {
		let mut last = (0, Value::Null);
		// The gateway's task reads the file; nothing else tells it.
		for _ in 0..10_000 {
			last = client.chat(6).await;
			if last == expected {
				return;
			}
			tokio::time::sleep(Duration::from_millis(10)).await;
		}
		panic!("never {expected:?}, but {last:?}");
	};
	key_command(dir.path(), "set app --model another/model");
	until((403, json!("permission_denied"))).await;
	key_command(dir.path(), "set app --model test/tiny --tokens-per-day 1");
	until((429, json!("insufficient_quota"))).await;
	key_command(dir.path(), "set app --tokens-per-day none --requests-per-minute 1");
	until((429, json!("rate_limit_exceeded"))).await;
	key_command(dir.path(), "set app --requests-per-minute none");
	until((200, Value::Null)).await;
	key_command(dir.path(), "revoke app");
	until((401, json!("invalid_api_key"))).await;
	let (_, body) = client.send("GET", "/v1/models", "").await;
	assert!(body["error"]["message"].as_str().unwrap().contains("was revoked at"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_told_when_to_retry() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = gateway(&net, dir.path()).await;
	let key = create(dir.path(), "app", Limits { requests_per_minute: Some(2), ..Limits::default() });
	let authorization = format!("Bearer {key}");
	let headers = [("authorization", authorization.as_str())];
	for status in [200, 200, 429] {
		let response = front.open("POST", CHAT, &headers, chat_body(json!({})).to_string()).await;
		assert_eq!(response.status(), status);
		let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse::<u32>().unwrap());
		assert_eq!(wait.is_some_and(|wait| wait == 61), status == 429, "{wait:?}");
	}
	assert_eq!(front.open("GET", "/v1/models", &headers, "").await.status(), 200, "it takes no work");
	assert_eq!(net.receipts(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_read_the_disk_count() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = gateway(&net, dir.path()).await;
	for (index, (method, path)) in [
		("GET", "/v1/responses/resp_1"),
		("DELETE", "/v1/responses/resp_1"),
		("GET", "/v1/responses/resp_1/input_items"),
	]
	.into_iter()
	.enumerate()
	{
		let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
		let client = Client::new(&front, &create(dir.path(), &format!("app-{index}"), limits));
		assert_eq!(client.usage().await["days"][0]["requests"], 0, "to read the usage takes no work");
		assert_eq!(client.send(method, path, "").await.0, 404);
		assert_eq!(client.send(method, path, "").await.0, 429);
		assert_eq!(client.usage().await["days"][0]["requests"], 1);
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_allowed_by_its_name_or_its_alias() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let aliases = [("gpt".into(), "test/tiny".into()), ("other".into(), "test/tiny".into())].into();
	let front = net.gateway(dir.path(), Options { aliases, ..Options::default() }).await;
	for (allowed, expected) in [("test/tiny", [200, 200, 200]), ("gpt", [403, 200, 403])] {
		let limits = Limits { models: vec![allowed.into()], ..Limits::default() };
		let client = Client::new(&front, &create(dir.path(), allowed.split('/').next().unwrap(), limits));
		for (model, status) in ["test/tiny", "gpt", "other"].into_iter().zip(expected) {
			let (found, body) = client.send("POST", CHAT, chat_body(json!({"model": model})).to_string()).await;
			assert_eq!(found, status, "{model} with {allowed}: {body}");
			assert_eq!(body["error"]["param"], if status == 403 { json!("model") } else { Value::Null });
		}
		// Nor may it have a channel opened for a model that nobody uses.
		let (found, body) =
			client.send("POST", "/tokenize", json!({"model": "test/embed", "prompt": "a"}).to_string()).await;
		assert_eq!(found, 403, "{body}");
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_kept_when_the_gateway_stops_and_when_it_is_killed() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let key = create(dir.path(), "app", Limits { gnk_per_month: Some(10_000), ..Limits::default() });
	let used = || {
		command::usage_in(dir.path()).unwrap().values().map(|usage| usage.months.values().last().unwrap().cost).sum()
	};
	for round in 1..4u128 {
		let front = gateway(&net, dir.path()).await;
		let client = Client::new(&front, &key);
		let before = (round - 1) * fee(6);
		assert_eq!(client.usage().await["months"][0]["cost"], json!(before.to_string()));
		assert_eq!(client.chat(6).await.0, 200);
		if round == 1 {
			front.stop().await;
		} else {
			eventually("the usage is on disk", || {
				let cost: u128 = used();
				cost == round * fee(6)
			})
			.await;
			drop(front);
		}
		assert_eq!(used(), round * fee(6));
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_without_an_end_costs_what_is_due_for_it() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = gateway(&net, dir.path()).await;
	let key = create(dir.path(), "app", Limits { gnk_per_day: Some(1_000_000), ..Limits::default() });
	let client = Client::new(&front, &key);

	// All hosts fail before a token: free.
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Ends)));
	assert_eq!(client.chat(6).await, (502, json!("bad_worker")));
	let usage = client.usage().await;
	assert_eq!((&usage["days"][0]["cost"], &usage["budgets"][0]["reserved"]), (&json!("0"), &json!("0")));

	// The client hangs up: tokens may be on their way, and the receipt says how many.
	net.workers[0].behave(|behaviour| {
		behaviour.fails_after = Some((3, Failure::Silent));
		behaviour.length = 1_000;
	});
	eventually("the host is trusted again", || front.running.gateway.router.is_healthy(&[0; 32])).await;
	let headers = [("authorization", client.authorization.as_str())];
	let body = chat_body(json!({"stream": true, "max_tokens": 500})).to_string();
	let mut response = front.open("POST", CHAT, &headers, body).await;
	let mut text = String::new();
	while !text.contains("w2") {
		let frame = response.body_mut().frame().await.unwrap().unwrap();
		text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
	}
	assert_eq!(front.running.gateway.keys.running(), 1);
	assert_ne!(client.usage().await["budgets"][0]["reserved"], "0");
	drop(response);
	eventually("the receipt has come", || front.running.gateway.keys.running() == 0).await;
	let usage = client.usage().await;
	let day = &usage["days"][0];
	assert_eq!((&day["completion_tokens"], &day["cost"]), (&json!(3), &json!(fee(3).to_string())));
	assert_eq!(usage["budgets"][0]["reserved"], "0");
}
