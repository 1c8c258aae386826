//! `/v1/embeddings`, with workers that make vectors without a model.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Front, Net, eventually};
use gonka_client::worker_api::{ErrorCode, Vector};
use gonka_gateway::{
	api_keys::{file::KeyFile, limits::Limits},
	auth::ApiKeys,
	config::Options,
};
use gonka_stand_ins::worker::{Lie, PRICE, embedding};
use serde_json::{Value, json};
use std::path::Path;

/// A gateway to hosts that also serve a model for embeddings.
async fn start(net: &Net, path: &Path, options: Options) -> Front {
	net.market.state.lock().unwrap().hosts.iter_mut().for_each(|host| host.models = vec![4, 7]);
	let front = net.gateway(path, options).await;
	eventually("the tokenizer is open", || {
		let gateway = &front.running.gateway;
		gateway.model("test/embed").is_ok_and(|model| gateway.tokenizers.of(&model).is_some())
	})
	.await;
	front
}

fn body(more: Value) -> Value {
	let mut body = json!({"model": "test/embed", "input": "ab"});
	body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
	body
}

/// The vector of an input, as JSON shows it.
fn shown(prompt: &[u32]) -> Value {
	json!(embedding(prompt))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_of_every_form_become_vectors_and_are_paid() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = start(&net, dir.path(), Options::default()).await;
	for (input, prompts) in [
		(json!("ab"), vec![vec![97, 98]]),
		(json!(["a", "bc"]), vec![vec![97], vec![98, 99]]),
		(json!([1, 2, 3]), vec![vec![1, 2, 3]]),
		(json!([[1], [2, 3]]), vec![vec![1], vec![2, 3]]),
	] {
		let reply = front.post("/v1/embeddings", body(json!({"input": input, "user": "u", "other": 1}))).await;
		let list = reply.json();
		assert_eq!((reply.status, &list["object"], &list["model"]), (200, &json!("list"), &json!("test/embed")));
		let data = list["data"].as_array().unwrap();
		assert_eq!(data.len(), prompts.len());
		for (index, (entry, prompt)) in data.iter().zip(&prompts).enumerate() {
			assert_eq!((&entry["object"], &entry["index"]), (&json!("embedding"), &json!(index)));
			assert_eq!(entry["embedding"], shown(prompt), "{input}");
		}
		let tokens = prompts.iter().map(Vec::len).sum::<usize>();
		assert_eq!(list["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
		assert!(reply.headers.contains_key("x-gnk-cost") && reply.headers.contains_key("x-gnk-worker"));
	}
	let reply = front.post("/v1/embeddings", body(json!({"encoding_format": "base64"}))).await;
	assert_eq!(reply.json()["data"][0]["embedding"], Vector(embedding(&[97, 98])).to_base64());
	assert_eq!(net.workers[0].state().models, [7; 7]);
	eventually("all are acknowledged", || net.receipts() == 7 && net.is_square()).await;
	let due: u128 = net.workers[0].state().accounts.values().map(|account| account.due().fee).sum();
	assert_eq!(due, 13 * PRICE.input, "the tokens of all inputs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_have_openais_errors() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = start(&net, dir.path(), Options::default()).await;
	for (more, param, code) in [
		(json!({"input": null}), "input", "invalid_value"),
		(json!({"input": {}}), "input", "invalid_value"),
		(json!({"input": ""}), "input", "invalid_value"),
		(json!({"input": [[]]}), "input", "invalid_value"),
		(json!({"input": ["a", 1]}), "input", "invalid_value"),
		(json!({"input": [5_000]}), "input", "invalid_value"),
		(json!({"input": vec!["a"; 2049]}), "input", "invalid_value"),
		(json!({"input": "a".repeat(2049)}), "input", "context_length_exceeded"),
		(json!({"input": "a".repeat(100_000)}), "input", "context_length_exceeded"),
		(json!({"encoding_format": "int8"}), "encoding_format", "invalid_value"),
		(json!({"dimensions": 64}), "dimensions", "unsupported_parameter"),
		(json!({"model": "test/tiny"}), "model", "invalid_value"),
	] {
		let reply = front.post("/v1/embeddings", body(more.clone())).await;
		let error = &reply.json()["error"];
		assert_eq!((reply.status, &error["param"], &error["code"]), (400, &json!(param), &json!(code)), "{error}");
	}
	assert_eq!(front.post("/v1/embeddings", body(json!({"model": "none"}))).await.status, 404);
	for (path, more) in [
		("/v1/completions", json!({"prompt": "a"})),
		("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "a"}]})),
		("/v1/responses", json!({})),
		("/v1/messages", json!({"max_tokens": 5, "messages": [{"role": "user", "content": "a"}]})),
	] {
		let reply = front.post(path, body(more)).await;
		assert!(reply.status == 400 && reply.text.contains("/v1/embeddings"), "{path}: {}", reply.text);
	}
	assert_eq!(net.receipts(), 0);
	let model = front.get("/v1/models/test/embed").await.json();
	assert_eq!((&model["supported_features"], &model["max_output_length"]), (&json!(["embeddings"]), &json!(0)));
	assert!(front.get("/openapi.json").await.json()["paths"]["/v1/embeddings"]["post"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_sends_no_valid_vector_is_replaced_and_not_paid() {
	for wrong in [vec![], vec![2.0, 0.0], vec![f32::NAN, 1.0], vec![1.0], vec![0.6, 0.8, 0.0]] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		let front = start(&net, dir.path(), Options::default()).await;
		net.workers[0].behave(|worker| worker.embedding = Some(wrong.clone()));
		let mut requests = 0;
		// The gateway draws the host of each request.
		while net.workers[0].state().requests.is_empty() {
			let reply = front.post("/v1/embeddings", body(json!({}))).await;
			assert_eq!((reply.status, &reply.json()["data"][0]["embedding"]), (200, &shown(&[97, 98])), "{wrong:?}");
			requests += 1;
			assert!(requests < 100, "one of two hosts never got a request");
		}
		eventually("the receipt is rejected", || front.running.gateway.metrics.rejected.get() == 1).await;
		assert!(net.workers[0].state().accounts.values().all(|account| account.acknowledged.is_empty()));
	}
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = start(&net, dir.path(), Options::default()).await;
	net.workers[0].behave(|worker| (worker.embedding, worker.refuses) = (None, Some(ErrorCode::Internal)));
	assert_eq!(front.post("/v1/embeddings", body(json!({}))).await.status, 200);
	// A receipt for another vector: the client has the one that was sent, and the host is not paid.
	net.workers.iter().for_each(|worker| worker.behave(|worker| worker.lie = Some(Lie::Output)));
	net.workers[0].behave(|worker| worker.refuses = None);
	let reply = front.post("/v1/embeddings", body(json!({}))).await;
	assert_eq!((reply.status, reply.headers["x-gnk-cost"].to_str().unwrap()), (200, "0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_many_inputs_does_not_find_its_host_busy() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = start(&net, dir.path(), Options::default()).await;
	net.workers[0].behave(|worker| worker.busy = 3);
	let inputs: Vec<Vec<u32>> = (0..200).map(|id| vec![id + 1, 7]).collect();
	let list = front.post("/v1/embeddings", body(json!({"input": inputs}))).await.json();
	let vectors = list["data"].as_array().unwrap().iter().map(|entry| entry["embedding"].clone());
	assert!(vectors.eq(inputs.iter().map(|input| shown(input))));
	assert_eq!(list["usage"]["prompt_tokens"], 400);
	eventually("all are acknowledged", || net.receipts() == 200 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_budget_counts_the_tokens_of_all_inputs() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let limits = Limits { tokens_per_day: Some(5), ..Limits::default() };
	let key = KeyFile::in_folder(dir.path()).create("app", limits, 1_800_000_000).unwrap().1;
	let options = Options { api_keys: ApiKeys::parse("own:sk-own").unwrap(), ..Options::default() };
	let front = start(&net, dir.path(), options).await;
	let authorization = format!("Bearer {key}");
	let status = async |input: Value| {
		let body = body(json!({"input": input})).to_string();
		front.open("POST", "/v1/embeddings", &[("authorization", &authorization)], body).await.status().as_u16()
	};
	assert_eq!(status(json!(["abc", "def"])).await, 429, "six tokens");
	assert_eq!(status(json!(["ab", "cd"])).await, 200);
	assert_eq!(status(json!("ef")).await, 429, "one is left");
}
