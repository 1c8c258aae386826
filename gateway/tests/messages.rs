//! `/v1/messages` as Anthropic's clients use it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Front, Net, Reply, eventually};
use gonka_client::worker_api::Grammar;
use gonka_gateway::{auth::ApiKeys, config::Options};
use serde_json::{Value, json};

const CALL: &str = r#"{"name": "weather", "arguments": {"place": "Ys"}}"#;

fn body(more: Value) -> Value {
	let messages = json!([{"role": "user", "content": "Hello"}]);
	let mut body = json!({"model": "test/tiny", "max_tokens": 100, "messages": messages});
	body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
	body
}

async fn say(front: &Front, more: Value) -> Reply {
	front.post("/v1/messages", body(more)).await
}

fn kinds(events: &[Value]) -> Vec<&str> {
	events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn tools() -> Value {
	let schema = json!({"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]});
	json!([{"name": "weather", "description": "The weather.", "input_schema": schema}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_whole_or_a_stream_of_events() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let reply = say(&front, json!({"system": "Be brief."})).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	assert_eq!(reply.headers["request-id"], reply.headers["x-request-id"]);
	let whole = reply.json();
	assert_eq!(
		(&whole["type"], &whole["role"], &whole["model"]),
		(&json!("message"), &json!("assistant"), &json!("test/tiny"))
	);
	assert_eq!(whole["content"], json!([{"type": "text", "text": "w0 w1 w2 w3 w4 "}]));
	assert_eq!((&whole["stop_reason"], &whole["stop_sequence"]), (&json!("end_turn"), &Value::Null));
	assert_eq!(whole["usage"]["output_tokens"], 6);
	let counted = front.post("/v1/messages/count_tokens", body(json!({"system": "Be brief."}))).await.json();
	assert_eq!(whole["usage"]["input_tokens"], counted["input_tokens"]);
	assert_eq!(net.workers[0].state().requests.len(), 1);

	let events = say(&front, json!({"stream": true})).await.named_events();
	let mut expected = vec!["message_start", "content_block_start"];
	expected.extend(["content_block_delta"; 5]);
	expected.extend(["content_block_stop", "message_delta", "message_stop"]);
	assert_eq!(kinds(&events), expected);
	assert!(events[0]["message"]["usage"]["input_tokens"].as_u64() > Some(0));
	let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
	assert_eq!(text, "w0 w1 w2 w3 w4 ");
	let delta = &events[events.len() - 2];
	assert_eq!((&delta["delta"]["stop_reason"], &delta["usage"]["output_tokens"]), (&json!("end_turn"), &json!(6)));

	let cut = say(&front, json!({"max_tokens": 2})).await.json();
	assert_eq!(cut["stop_reason"], "max_tokens");
	net.workers[0].behave(|behaviour| behaviour.says = Some("one two".into()));
	let stopped = say(&front, json!({"stop_sequences": ["two"]})).await.json();
	assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!("two")));
	assert_eq!(stopped["content"], json!([{"type": "text", "text": "one "}]));
	eventually("all are acknowledged", || net.receipts() == 4 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_uses_a_tool_and_reads_its_result() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.says = Some(CALL.into()));
	let made = say(&front, json!({"tools": tools()})).await.json();
	assert_eq!(made["stop_reason"], "tool_use");
	let call = &made["content"][0];
	assert_eq!(
		(&call["type"], &call["name"], &call["input"]),
		(&json!("tool_use"), &json!("weather"), &json!({"place": "Ys"}))
	);

	let events = say(&front, json!({"tools": tools(), "stream": true})).await.named_events();
	assert_eq!(
		(&events[1]["content_block"]["type"], &events[1]["content_block"]["input"]),
		(&json!("tool_use"), &json!({}))
	);
	let streamed: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
	assert_eq!(serde_json::from_str::<Value>(&streamed).unwrap(), json!({"place": "Ys"}));
	assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");

	net.workers[0].behave(|behaviour| behaviour.says = Some("It rains.".into()));
	let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "rain, 9 degrees"});
	let messages = json!([
		{"role": "user", "content": "Hello"},
		{"role": "assistant", "content": made["content"]},
		{"role": "user", "content": [result]},
	]);
	let next = say(&front, json!({"messages": messages, "tools": tools()})).await.json();
	assert_eq!(next["content"], json!([{"type": "text", "text": "It rains."}]));
	let prompt = net.workers[0].state().requests.last().unwrap().prompt.clone();
	let prompt: String = prompt.iter().map(|id| char::from(*id as u8)).collect();
	assert!(prompt.contains("rain, 9 degrees"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demanded_form_reaches_the_host_as_a_grammar() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let format = json!({"type": "json_schema", "schema": {"type": "object", "additionalProperties": false}});
	for (more, says) in [
		(json!({"output_config": {"format": format}}), "{}"),
		(json!({"output_format": format}), "{}"),
		(json!({"tools": tools(), "tool_choice": {"type": "any"}}), CALL),
		(json!({"tools": tools(), "tool_choice": {"type": "tool", "name": "weather"}}), CALL),
	] {
		net.workers[0].behave(|behaviour| behaviour.says = Some(says.into()));
		let reply = say(&front, more.clone()).await;
		assert_eq!(reply.status, 200, "{more}: {}", reply.text);
		let grammar = net.workers[0].state().requests.last().unwrap().grammar.clone().unwrap();
		assert_eq!(matches!(grammar, Grammar::JsonSchema(_)), says == "{}", "{more}: {grammar:?}");
	}
	let reply = say(&front, json!({"output_config": {"format": {"type": "xml"}}})).await;
	assert!(reply.status == 400 && reply.text.contains("output_config.format.type"), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_the_form_of_the_api() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let options = Options { api_keys: ApiKeys::parse("alice:sk-alice").unwrap(), ..Options::default() };
	let front = net.gateway(dir.path(), options).await;
	let send = async |header: (&str, &str), more: Value| {
		let response = front.open("POST", "/v1/messages", &[header], body(more).to_string()).await;
		let (parts, body) = response.into_parts();
		let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
		(parts.status.as_u16(), parts.headers, serde_json::from_slice::<Value>(&bytes).unwrap())
	};
	let key = ("x-api-key", "sk-alice");
	assert_eq!(send(key, json!({})).await.0, 200);
	assert_eq!(send(("authorization", "Bearer sk-alice"), json!({})).await.0, 200);
	for (header, more, status, kind) in [
		(("x-api-key", "sk-bob"), json!({}), 401, "authentication_error"),
		(("x-other", "x"), json!({}), 401, "authentication_error"),
		(key, json!({"max_tokens": null}), 400, "invalid_request_error"),
		(key, json!({"messages": []}), 400, "invalid_request_error"),
		(key, json!({"model": "nothing"}), 404, "not_found_error"),
		(key, json!({"messages": [{"role": "user", "content": [{"type": "image"}]}]}), 400, "invalid_request_error"),
		(key, json!({"thread": {"type": "create"}}), 400, "invalid_request_error"),
	] {
		let (got, headers, reply) = send(header, more.clone()).await;
		assert_eq!(
			(got, &reply["type"], &reply["error"]["type"]),
			(status, &json!("error"), &json!(kind)),
			"{more}: {reply}"
		);
		assert_eq!(reply["request_id"], headers["request-id"].to_str().unwrap());
		assert!(reply["error"]["message"].is_string());
		// The library sends all messages when it reads this.
		let details = if more.get("thread").is_some() { json!("thread_unsupported_request") } else { Value::Null };
		assert_eq!(reply["error"]["details"]["error_code"], details);
	}
	// Those that no route makes, too.
	for (method, path, header, status, kind) in [
		("GET", "/v1/messages", key, 405, "invalid_request_error"),
		("GET", "/v1/messages/count_tokens", key, 405, "invalid_request_error"),
		("POST", "/v1/messages/%ff", key, 404, "not_found_error"),
		("POST", "/v1/messages", ("content-type", "text/plain"), 415, "invalid_request_error"),
	] {
		let response = front.open(method, path, &[header], "{}").await;
		assert_eq!(response.status(), status, "{method} {path}");
		let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
		let reply: Value = serde_json::from_slice(&bytes).unwrap();
		assert_eq!((&reply["type"], &reply["error"]["type"]), (&json!("error"), &json!(kind)), "{method} {path}");
	}
	let other = front.get("/v1/messages2").await;
	assert_eq!((other.status, &other.json()["type"]), (404, &Value::Null), "another API's path");
}
