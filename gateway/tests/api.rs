//! Responses as a client sees them: shapes, streams, errors, request ids.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use axum::{body::Body, http::Request};
use common::{Net, chat_body, eventually};
use gonka_client::worker_api::ErrorCode;
use gonka_gateway::{
	api_keys::{file::KeyFile, limits::Limits},
	auth::ApiKeys,
	config::Options,
	guard::HostNames,
	server,
};
use gonka_stand_ins::worker::{PRICE, PROMPT_TOKENS};
use serde_json::{Value, json};
use tower::ServiceExt;

const FULL: &str = "w0 w1 w2 w3 w4 ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_completion_has_openais_shape_and_is_paid() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let reply = front.chat(json!({"seed": -3, "stop": "x", "temperature": 0})).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	let body = reply.json();
	assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
	assert_eq!(body["object"], "chat.completion");
	assert_eq!(body["model"], "test/tiny");
	assert!(body["created"].as_u64().unwrap() > 1_600_000_000);
	let choice = &body["choices"][0];
	assert_eq!(choice["index"], 0);
	assert_eq!(choice["finish_reason"], "stop");
	assert_eq!(choice["message"], json!({"role": "assistant", "content": FULL, "refusal": null}));
	assert!(choice.as_object().unwrap().contains_key("logprobs"));
	let total = PROMPT_TOKENS + 6;
	let usage = json!({
		"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 6, "total_tokens": total,
		"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
	});
	assert_eq!(body["usage"], usage);
	assert!(body["system_fingerprint"].as_str().unwrap().starts_with("fp_"));
	assert_eq!(reply.headers["x-gnk-worker"], gonka_client::keys::ss58(&[0; 32]).as_str());
	assert_eq!(reply.headers["x-gnk-cost"], "0.00000013");
	eventually("the receipt is acknowledged", || net.receipts() == 1 && net.is_square()).await;
	let dispatched = net.workers[0].state().requests[0].clone();
	assert_eq!((dispatched.temperature, dispatched.stop), (0.0, vec!["x".to_owned()]));
	let fee = PRICE.fee(PROMPT_TOKENS, 6).unwrap();
	eventually("the ledger records it", || front.running.gateway.ledger.confirmed(0).fee == fee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_stream_has_openais_shape() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	for usage in [false, true] {
		let reply = front.chat(json!({"stream": true, "stream_options": {"include_usage": usage}})).await;
		assert_eq!(reply.headers["content-type"], "text/event-stream; charset=utf-8");
		let events = reply.events();
		assert_eq!(*events.last().unwrap(), "[DONE]");
		let chunks: Vec<Value> =
			events[..events.len() - 1].iter().map(|data| serde_json::from_str(data).unwrap()).collect();
		assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
		for chunk in &chunks {
			for key in ["id", "created", "model"] {
				assert_eq!(chunk[key], chunks[0][key]);
			}
			assert_eq!(chunk["object"], "chat.completion.chunk");
			assert_eq!(chunk.as_object().unwrap().contains_key("usage"), usage);
		}
		let finished = |chunk: &&Value| !chunk["choices"][0]["finish_reason"].is_null();
		assert_eq!(chunks.iter().filter(finished).count(), 1);
		if usage {
			let last = chunks.last().unwrap();
			assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(6)));
			assert!(chunks[..chunks.len() - 1].iter().all(|chunk| chunk["usage"].is_null()));
		}
		let end = chunks.iter().find(finished).unwrap();
		assert_eq!(end["choices"][0]["delta"], json!({}));
		assert_eq!(reply.streamed_text(), FULL);
	}
	eventually("both are acknowledged", || net.receipts() == 2 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_best_of_several_completions_are_returned_and_all_are_paid() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let request = |more: Value| {
		let mut body = json!({"model": "test/tiny", "prompt": ["a", "b"], "max_tokens": 3, "echo": true});
		body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
		body
	};
	let reply = front.post("/v1/completions", request(json!({"best_of": 3, "n": 2}))).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	let body = reply.json();
	let texts: Vec<_> = body["choices"].as_array().unwrap().iter().map(|choice| choice["text"].clone()).collect();
	assert_eq!(texts, ["aw0 w1 w2 ", "aw0 w1 w2 ", "bw0 w1 w2 ", "bw0 w1 w2 "]);
	assert!(body["choices"][0]["logprobs"].is_null(), "nobody asked for them");
	assert_eq!(body["usage"]["completion_tokens"], 18);
	assert!(net.workers[0].state().requests.iter().all(|request| request.logprobs == Some(0)));
	eventually("all are paid", || net.receipts() == 6 && net.is_square()).await;
	for wrong in [json!({"best_of": 1, "n": 2}), json!({"best_of": 2, "stream": true}), json!({"best_of": 40})] {
		let reply = front.post("/v1/completions", request(wrong)).await;
		assert_eq!(reply.status, 400, "{}", reply.text);
	}
	let reply = front.post("/v1/completions", request(json!({"suffix": ")"}))).await;
	assert_eq!(
		(reply.status, &reply.json()["error"]["param"]),
		(400, &json!("suffix")),
		"the model has no tokens for it"
	);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_request_takes_every_form_of_prompt() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	for (prompt, choices) in [(json!("a"), 1), (json!(["a", "b"]), 2), (json!([1, 2]), 1), (json!([[1], [2, 3]]), 2)] {
		let request = json!({"model": "test/tiny", "prompt": prompt, "max_tokens": 3, "echo": false});
		let reply = front.post("/v1/completions", request).await;
		assert_eq!(reply.status, 200, "{}", reply.text);
		let body = reply.json();
		assert_eq!(body["object"], "text_completion");
		assert_eq!(body["choices"].as_array().unwrap().len(), choices);
		for (index, choice) in body["choices"].as_array().unwrap().iter().enumerate() {
			assert_eq!(choice["index"], index);
			assert_eq!(choice["text"], "w0 w1 w2 ");
			assert_eq!(choice["finish_reason"], "length");
		}
		assert_eq!(body["usage"]["completion_tokens"], 3 * choices);
	}
	assert_eq!(net.workers[0].state().requests[3].prompt, [1, 2]);
	let request = json!({"model": "test/tiny", "prompt": ["a", "b"], "stream": true});
	let reply = front.post("/v1/completions", request).await;
	let events = reply.events();
	assert_eq!(*events.last().unwrap(), "[DONE]");
	for index in 0..2 {
		let chunks = events[..events.len() - 1].iter().map(|data| serde_json::from_str::<Value>(data).unwrap());
		let ours: Vec<Value> = chunks.filter(|chunk| chunk["choices"][0]["index"] == index).collect();
		let text: String = ours.iter().map(|chunk| chunk["choices"][0]["text"].as_str().unwrap()).collect();
		assert_eq!(text, FULL);
		assert_eq!(ours.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count(), 1);
	}
	eventually("all are acknowledged", || net.receipts() == 8 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_readiness_metrics_and_openapi_describe_the_network() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let aliases = [("gpt-4o-mini", "test/tiny"), ("gpt-lost", "test/lost")];
	let aliases = aliases.map(|(alias, model)| (alias.to_owned(), model.to_owned())).into();
	let options = Options { aliases, ..Options::default() };
	let front = net.gateway(dir.path(), options).await;
	let list = front.get("/v1/models").await.json();
	let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
	assert_eq!(ids, ["gpt-4o-mini", "test/tiny"]);
	let model = front.get("/v1/models/test/tiny").await.json();
	assert_eq!((&model["object"], &model["hosts"], &model["is_ready"]), (&json!("model"), &json!(2), &json!(true)));
	assert_eq!(
		(&model["pricing"]["prompt"], &model["supported_features"][0]),
		(&json!("0.000000002"), &json!("tools"))
	);
	assert_eq!(front.get("/v1/models/none").await.status, 404);
	let tokens = front.post("/tokenize", json!({"model": "test/tiny", "prompt": "ab"})).await.json();
	assert_eq!(tokens, json!({"count": 2, "max_model_len": 2048, "tokens": [97, 98]}));
	let more = json!({"model": "test/tiny", "prompt": "aé", "return_token_strs": true});
	let tokens = front.post("/tokenize", more).await.json();
	assert_eq!(tokens["token_strs"], json!(["a", "\u{fffd}", "\u{fffd}"]));
	let chat = front.post("/tokenize", chat_body(json!({}))).await.json();
	assert_eq!(chat["count"], PROMPT_TOKENS);
	let (template, bare) = (chat["tokens"].clone(), json!({"add_generation_prompt": false, "min_tokens": 9}));
	let bare = front.post("/tokenize", chat_body(bare)).await.json()["tokens"].clone();
	let (template, bare) = (template.as_array().unwrap(), bare.as_array().unwrap());
	assert!(template.len() > bare.len() && template.starts_with(bare), "{template:?} {bare:?}");
	for (wrong, param) in [
		(json!({"model": "test/tiny"}), "prompt"),
		(chat_body(json!({"prompt": "ab"})), "messages"),
		(chat_body(json!({"add_generation_prompt": 1})), "add_generation_prompt"),
	] {
		let reply = front.post("/tokenize", wrong).await;
		assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)), "{}", reply.text);
	}
	let text = front.post("/detokenize", json!({"model": "test/tiny", "tokens": [97, 256, 356]})).await.json();
	assert_eq!(text, json!({"prompt": "aw0 <|im_end|>"}));
	assert_eq!(front.get("/health").await.status, 200);
	let ready = front.get("/ready").await;
	assert_eq!((ready.status, &ready.json()["models"]), (200, &json!(["test/tiny"])));
	let reply = front.chat(json!({"model": "gpt-4o-mini"})).await;
	assert_eq!((reply.status, &reply.json()["model"]), (200, &json!("gpt-4o-mini")));
	let lost = front.get("/v1/models/gpt-lost").await;
	assert!(lost.status == 404 && lost.text.contains("gpt-lost") && lost.text.contains("test/lost"), "{}", lost.text);
	let metrics = front.get("/metrics").await.text;
	for line in [
		"gonka_gateway_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1",
		"gonka_gateway_tokens_total{kind=\"completion\"} 6",
		"gonka_gateway_first_token_seconds_count 1",
		"gonka_gateway_channel_remaining_gnk{",
	] {
		assert!(metrics.contains(line), "{line} in {metrics}");
	}
	let openapi = front.get("/openapi.json").await.json();
	let failures = &openapi["paths"]["/v1/chat/completions"]["post"]["responses"];
	for status in ["4XX", "5XX"] {
		let schema = &failures[status]["content"]["application/json"]["schema"];
		assert_eq!(schema["$ref"], "#/components/schemas/ErrorBody", "{failures}");
	}
	assert!(openapi["components"]["schemas"]["ErrorBody"].is_object());
}

/// Hosts of all classes of engines serve a model, each by the registration of its class.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_served_by_hosts_of_all_engine_classes() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	net.market.state.lock().unwrap().hosts[1].models = vec![6];
	let front = net.gateway(dir.path(), Options::default()).await;
	let model = front.get("/v1/models/test/tiny").await.json();
	assert_eq!(model["hosts"], json!(2));
	assert_eq!(front.get("/v1/models/test/tiny@llama.cpp").await.json()["hosts"], json!(1));
	let models = |worker: usize| net.workers[worker].state().models.clone();
	let mut requests = 0;
	// The gateway draws the host of each request.
	while models(0).is_empty() || models(1).is_empty() {
		assert_eq!(front.chat(json!({})).await.status, 200);
		requests += 1;
		assert!(requests < 100, "one of two hosts never got a request");
	}
	assert!(models(0).iter().all(|model| *model == 4) && models(1).iter().all(|model| *model == 6));
	let before = models(0).len();
	for _ in 0..8 {
		assert_eq!(front.chat(json!({"model": "test/tiny@llama.cpp"})).await.status, 200);
	}
	assert_eq!(models(0).len(), before, "its class was not asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_host_is_asked_for_more_than_its_context() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	net.workers[0].behave(|behaviour| behaviour.context = 100);
	net.workers[1].behave(|behaviour| behaviour.context = 300);
	let front = net.gateway(dir.path(), Options::default()).await;
	assert_eq!(front.get("/v1/models/test/tiny").await.json()["context_length"], 300);
	let asked = |worker: usize| net.workers[worker].state().requests.len();
	for _ in 0..8 {
		assert_eq!(front.chat(json!({"max_tokens": 200})).await.status, 200);
	}
	assert_eq!((asked(0), asked(1)), (0, 8));
	let reply = front.chat(json!({"max_tokens": 400})).await;
	let error = &reply.json()["error"];
	assert_eq!((reply.status, &error["code"]), (400, &json!("context_length_exceeded")));
	let message = error["message"].as_str().unwrap();
	assert!(message.contains("300") && message.contains("400") && message.contains("50"), "{message}");
	assert_eq!(error["param"], "max_tokens");
	let reply = front.chat(json!({"max_tokens": 100_000})).await;
	assert!(reply.text.contains("context length is 300 tokens"), "the number of /v1/models: {}", reply.text);
	let reply = front.chat(json!({"min_tokens": 20, "max_tokens": 10})).await;
	assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("min_tokens")), "{}", reply.text);
	assert_eq!((asked(0), asked(1)), (0, 8), "no host was asked");
	// Without a maximum, a completion gets what the context has room for.
	assert_eq!(front.chat(json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_error_has_openais_four_keys_and_its_status() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let check = |reply: common::Reply, status: u16, code: Value| {
		assert_eq!(reply.status, status, "{}", reply.text);
		let error = &reply.json()["error"];
		let mut keys: Vec<_> = error.as_object().unwrap().keys().cloned().collect();
		keys.sort();
		assert_eq!(keys, ["code", "message", "param", "type"]);
		assert_eq!(error["code"], code);
		assert_eq!(reply.headers["x-request-id"].len(), 32);
	};
	check(front.chat(json!({"model": "gpt-none"})).await, 404, json!("model_not_found"));
	check(front.chat(json!({"model": "nobody-serves-it"})).await, 503, json!("no_worker_available"));
	check(front.chat(json!({"max_tokens": 5000})).await, 400, json!("context_length_exceeded"));
	check(front.chat(json!({"modalities": ["audio"]})).await, 400, json!("unsupported_parameter"));
	check(front.chat(json!({"tools": [{"type": "function"}]})).await, 400, json!("invalid_value"));
	check(front.chat(json!({"n": 65})).await, 400, json!("invalid_value"));
	check(front.chat(json!({"messages": []})).await, 400, json!("invalid_value"));
	check(front.send("POST", "/v1/chat/completions", "{\"model\":").await, 400, Value::Null);
	check(front.send("POST", "/v1/chat/completions", "{}").await, 400, json!("invalid_value"));
	check(
		front.send("POST", "/v1/chat/completions", vec![b' '; (16 << 20) + 1]).await,
		413,
		json!("request_too_large"),
	);
	check(front.get("/v1/none").await, 404, Value::Null);
	for (method, path, allowed) in [
		("GET", "/v1/chat/completions", "use POST."),
		("POST", "/v1/models/test/tiny", "use GET."),
		("POST", "/v1/responses/resp_1", "use GET or DELETE."),
		("DELETE", "/openapi.json", "use GET."),
	] {
		let reply = front.send(method, path, "{}").await;
		assert!(reply.text.contains(allowed), "{method} {path}: {}", reply.text);
		check(reply, 405, Value::Null);
	}
	for (method, path) in [
		("GET", "/v1/models/%ff"),
		("GET", "/v1/responses/%ff"),
		("DELETE", "/v1/responses/%ff"),
		("GET", "/v1/responses/%ff/input_items"),
		("GET", "/v1/responses/resp_1/input_items?limit=1&limit=2"),
	] {
		check(front.send(method, path, "").await, 400, Value::Null);
	}
	net.workers[0].behave(|behaviour| behaviour.refuses = Some(ErrorCode::ContextTooLong));
	check(front.chat(json!({"max_tokens": 100})).await, 400, json!("context_length_exceeded"));
	assert_eq!(net.receipts(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_clients_with_an_api_key_are_served() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let options = Options { api_keys: ApiKeys::parse("app:sk-right").unwrap(), ..Options::default() };
	let front = net.gateway(dir.path(), options).await;
	let body = chat_body(json!({})).to_string();
	let wrong: [&[(&str, &str)]; 2] = [&[], &[("authorization", "Bearer sk-wrong")]];
	for headers in wrong {
		let reply = front.open("POST", "/v1/chat/completions", headers, body.clone()).await;
		assert_eq!(reply.status(), 401);
	}
	let right = [("authorization", "Bearer sk-right")];
	assert_eq!(front.open("POST", "/v1/chat/completions", &right, body).await.status(), 200);
	assert_eq!(front.get("/v1/models").await.json()["error"]["code"], "invalid_api_key");
	assert_eq!(front.get("/health").await.status, 200);
}

/// The metrics tell what each API key has used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_machines_need_a_key_of_the_settings_for_the_metrics() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let own = "sk-right".to_owned();
	let (_, given) = KeyFile::in_folder(dir.path()).create("guest", Limits::default(), 1).unwrap();
	let proxied = HostNames::Local(vec!["ai.example.org".into()]);
	for (host_names, statuses) in
		[(HostNames::Local(Vec::new()), [200, 200, 200]), (HostNames::Any, [401, 403, 200]), (proxied, [401, 403, 200])]
	{
		let api_keys = ApiKeys::parse(&format!("app:{own}")).unwrap();
		let front = net.gateway(dir.path(), Options { api_keys, host_names, ..Options::default() }).await;
		for (key, status) in [None, Some(&given), Some(&own)].into_iter().zip(statuses) {
			let authorization = key.map(|key| format!("Bearer {key}"));
			let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
			let reply = front.open("GET", "/metrics", &headers, "").await;
			assert_eq!(reply.status(), status, "{key:?}");
		}
		assert_eq!(front.get("/ready").await.status, 200, "which needs none");
	}
}

/// A browser sends such requests to programs on the user's machine for any page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_cannot_spend_the_users_gnk() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let options = Options {
		cors_origins: vec!["https://app.example.org".into()],
		host_names: HostNames::Local(Vec::new()),
		..Options::default()
	};
	let front = net.gateway(dir.path(), options).await;
	let (path, body) = ("/v1/chat/completions", chat_body(json!({})).to_string());
	for (headers, status) in [
		([("content-type", "text/plain"), ("origin", "https://evil.example.org")], 415),
		([("content-type", "application/x-www-form-urlencoded"), ("origin", "null")], 415),
		([("content-type", "application/json"), ("host", "evil.example.org")], 403),
	] {
		assert_eq!(front.open("POST", path, &headers, body.clone()).await.status(), status, "{headers:?}");
	}
	assert_eq!(net.receipts(), 0);

	let asked = ("access-control-request-headers", "authorization,content-type,x-stainless-os");
	for (origin, is_allowed) in [("https://evil.example.org", false), ("https://app.example.org", true)] {
		let headers = [("origin", origin), ("access-control-request-method", "POST"), asked];
		let preflight = front.open("OPTIONS", path, &headers, "").await;
		let header = |name| preflight.headers().get(name).map(|value| value.to_str().unwrap());
		let allowed = is_allowed.then_some(origin);
		assert_eq!(header("access-control-allow-origin"), allowed);
		assert_eq!(
			header("access-control-allow-headers"),
			Some(asked.1),
			"with a star, Authorization would be left out"
		);
	}
	let headers = [("origin", "https://app.example.org")];
	assert_eq!(front.open("POST", path, &headers, body).await.status(), 200);
	assert_eq!(net.receipts(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_funds_the_client_is_told_not_to_retry() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	net.market.state.lock().unwrap().balance = 1;
	let front = net.gateway_until(dir.path(), Options::default(), None).await;
	eventually("the chain is read", || front.running.gateway.shortage().is_some()).await;
	let reply = front.chat(json!({})).await;
	assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("insufficient_quota")));
	assert_eq!(reply.headers["x-should-retry"], "false");
	let ready = front.get("/ready").await;
	assert_eq!(ready.status, 503);
	assert!(ready.json()["reason"].as_str().unwrap().contains("Fund the account"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_holds_too_little_is_topped_up() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	// A completion costs 130; its maximum fee is far higher.
	let front = net.gateway(dir.path(), Options { deposit: 700, ..Options::default() }).await;
	for _ in 0..30 {
		let reply = front.chat(json!({"max_tokens": 6})).await;
		assert_eq!(reply.status, 200, "{}", reply.text);
		eventually("acknowledged", || net.is_square()).await;
		net.market.next_block();
	}
	let reply = front.chat(json!({"max_tokens": 200})).await;
	assert_eq!(reply.status, 200, "a request larger than the channel: {}", reply.text);
	let deposit = net.market.state.lock().unwrap().channels[0].deposit;
	assert!((3900..=12000).contains(&deposit), "{deposit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_goes_from_client_to_worker_and_back() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let chat = async |headers: &[(&str, &str)], more: Value| {
		let body = chat_body(more).to_string();
		let response = front.open("POST", "/v1/chat/completions", headers, body).await;
		response.headers()["x-request-id"].to_str().unwrap().to_owned()
	};
	assert_eq!(chat(&[("x-request-id", "mine-7")], json!({})).await, "mine-7");
	assert_eq!(chat(&[("x-request-id", "mine-8")], json!({"n": 0})).await, "mine-8", "errors have it as well");
	let made = chat(&[("x-request-id", "two words")], json!({})).await;
	assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
	assert_eq!(net.workers[0].state().request_ids, ["mine-7".to_owned(), made]);
}

#[tokio::test]
async fn a_gateway_that_has_not_reached_its_node_responds_with_a_request_id() {
	let routes = server::starting(Default::default());
	for (path, status, kind) in [
		("/health", 200, Value::Null),
		("/v1/models", 503, json!("server_error")),
		("/v1/messages", 503, json!("overloaded_error")),
	] {
		let request = Request::builder().uri(path).header("x-request-id", "early").body(Body::empty()).unwrap();
		let response = routes.clone().oneshot(request).await.unwrap();
		assert_eq!(response.status(), status);
		assert_eq!(response.headers()["x-request-id"], "early");
		let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
		assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["type"], kind, "{path}");
	}
}
