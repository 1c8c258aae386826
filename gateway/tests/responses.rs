//! `/v1/responses` as OpenAI's clients use it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Front, Net, Reply, eventually};
use gonka_client::worker_api::ErrorCode;
use gonka_gateway::{auth::ApiKeys, config::Options};
use gonka_stand_ins::worker::Failure;
use http_body_util::BodyExt;
use serde_json::{Value, json};

const CALL: &str = r#"{"name": "weather", "arguments": {"place": "Ys"}}"#;

async fn respond(front: &Front, more: Value) -> Reply {
	let mut body = json!({"model": "test/tiny", "input": "Hello"});
	body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
	front.post("/v1/responses", body).await
}

fn kinds(events: &[Value]) -> Vec<&str> {
	events.iter().map(|event| event["type"].as_str().unwrap().strip_prefix("response.").unwrap()).collect()
}

fn tools() -> Value {
	let parameters = json!({"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]});
	json!([{"type": "function", "name": "weather", "description": "The weather.", "parameters": parameters}])
}

/// The text of the last prompt of the first worker.
fn prompt(net: &Net) -> String {
	let request = net.workers[0].state().requests.last().unwrap().prompt.clone();
	request.iter().map(|id| char::from(*id as u8)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_is_whole_or_a_stream_of_numbered_events() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	for wrong in [json!({"a": [0]}), json!({"a": "b".repeat(513)}), json!([0, 0])] {
		let reply = respond(&front, json!({"metadata": wrong})).await;
		assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("metadata")), "{}", reply.text);
	}
	let reply = respond(&front, json!({"metadata": {"a": "b"}})).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	assert!(reply.headers.contains_key("x-gnk-cost"));
	let whole = reply.json();
	for (name, value) in [
		("object", json!("response")),
		("status", json!("completed")),
		("model", json!("test/tiny")),
		("metadata", json!({"a": "b"})),
		("tools", json!([])),
		("tool_choice", json!("auto")),
		("parallel_tool_calls", json!(true)),
		("error", Value::Null),
		("incomplete_details", Value::Null),
		("instructions", Value::Null),
		("previous_response_id", Value::Null),
	] {
		assert_eq!(whole[name], value, "{name}");
	}
	let item = &whole["output"][0];
	assert_eq!(
		(&item["type"], &item["role"], &item["status"]),
		(&json!("message"), &json!("assistant"), &json!("completed"))
	);
	let part = json!([{"type": "output_text", "text": "w0 w1 w2 w3 w4 ", "annotations": [], "logprobs": []}]);
	assert_eq!(item["content"], part);
	assert_eq!(whole["usage"]["output_tokens"], 6);

	let events = respond(&front, json!({"stream": true})).await.named_events();
	let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
	assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
	let mut expected = vec!["created", "in_progress", "output_item.added", "content_part.added"];
	expected.extend(["output_text.delta"; 5]);
	expected.extend(["output_text.done", "content_part.done", "output_item.done", "completed"]);
	assert_eq!(kinds(&events), expected);
	let last = &events.last().unwrap()["response"];
	assert_eq!(last["output"][0]["content"], part);
	assert_eq!(last["id"], events[0]["response"]["id"]);
	assert_eq!(events[0]["response"]["status"], "in_progress");
	let item = last["output"][0]["id"].clone();
	assert!(events.iter().filter(|event| event.get("content_index").is_some()).all(|event| event["item_id"] == item));
	eventually("all are acknowledged", || net.receipts() == 2 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_is_cut_is_incomplete() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let whole = respond(&front, json!({"max_output_tokens": 2})).await.json();
	assert_eq!((&whole["status"], &whole["output"][0]["status"]), (&json!("incomplete"), &json!("incomplete")));
	assert_eq!(whole["incomplete_details"], json!({"reason": "max_output_tokens"}));
	let events = respond(&front, json!({"max_output_tokens": 2, "stream": true})).await.named_events();
	assert_eq!(*kinds(&events).last().unwrap(), "incomplete");
	let done = events.iter().find(|event| event["type"] == "response.output_item.done").unwrap();
	assert_eq!(done["item"]["status"], "incomplete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_is_kept_for_its_key_until_it_is_deleted() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let api_keys = ApiKeys::parse("alice:sk-alice\nbob:sk-bob").unwrap();
	let front = net.gateway(dir.path(), Options { api_keys, ..Options::default() }).await;
	let send = async |key: &str, method: &str, path: &str, body: Value| {
		let authorization = format!("Bearer {key}");
		let body = if body.is_null() { String::new() } else { body.to_string() };
		let (parts, body) = front.open(method, path, &[("authorization", &authorization)], body).await.into_parts();
		let bytes = body.collect().await.unwrap().to_bytes();
		(parts.status.as_u16(), serde_json::from_slice::<Value>(&bytes).unwrap())
	};
	let create = async |key: &str, more: Value| {
		let mut body = json!({"model": "test/tiny", "input": "Hello"});
		body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
		send(key, "POST", "/v1/responses", body).await
	};
	let (_, made) = create("sk-alice", json!({"instructions": "Be brief."})).await;
	let path = format!("/v1/responses/{}", made["id"].as_str().unwrap());
	assert_eq!(send("sk-alice", "GET", &path, Value::Null).await, (200, made.clone()));
	assert_eq!(send("sk-bob", "GET", &path, Value::Null).await.0, 404);
	assert_eq!(send("sk-bob", "DELETE", &path, Value::Null).await.0, 404);
	let follow = json!({"previous_response_id": made["id"], "input": "And then?"});
	let (status, error) = create("sk-bob", follow.clone()).await;
	assert_eq!((status, &error["error"]["code"]), (400, &json!("previous_response_not_found")));

	let (status, next) = create("sk-alice", follow.clone()).await;
	assert_eq!((status, &next["previous_response_id"]), (200, &made["id"]));
	let text = prompt(&net);
	assert!(text.contains("Hello") && text.contains("And then?") && !text.contains("Be brief."), "{text}");
	let list = send("sk-alice", "GET", &format!("{path}/input_items"), Value::Null).await.1;
	let item = &list["data"][0];
	assert_eq!((&item["type"], &item["role"]), (&json!("message"), &json!("user")));
	assert_eq!(item["content"], json!([{"type": "input_text", "text": "Hello"}]));
	assert_eq!((&list["first_id"], &list["has_more"]), (&item["id"], &json!(false)));

	// References stand for the items themselves, of the input as of the output.
	let reference = |id: &Value| json!({"type": "item_reference", "id": id});
	let input =
		json!([reference(&item["id"]), reference(&made["output"][0]["id"]), {"role": "user", "content": "Why?"}]);
	assert_eq!(create("sk-alice", json!({"input": input, "store": false})).await.0, 200);
	let text = prompt(&net);
	assert!(text.contains("Hello") && text.contains("Why?"), "{text}");
	let (status, error) = create("sk-bob", json!({"input": input})).await;
	assert_eq!((status, &error["error"]["param"]), (404, &json!("input")));

	let deleted = json!({"id": made["id"], "object": "response", "deleted": true});
	assert_eq!(send("sk-alice", "DELETE", &path, Value::Null).await, (200, deleted));
	assert_eq!(send("sk-alice", "GET", &path, Value::Null).await.0, 404);
	assert_eq!(create("sk-alice", follow).await.0, 400);
	// The turn after it has a copy of the conversation.
	let follow = json!({"previous_response_id": next["id"], "input": "Why?"});
	assert_eq!(create("sk-alice", follow).await.0, 200);
	let (_, made) = create("sk-alice", json!({"store": false})).await;
	assert_eq!(
		send("sk-alice", "GET", &format!("/v1/responses/{}", made["id"].as_str().unwrap()), Value::Null).await.0,
		404
	);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_calls_a_function_and_reads_its_output() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.says = Some(CALL.into()));
	let made = respond(&front, json!({"tools": tools()})).await.json();
	let call = &made["output"][0];
	assert_eq!(
		(&call["type"], &call["name"], &call["status"]),
		(&json!("function_call"), &json!("weather"), &json!("completed"))
	);
	assert_eq!(serde_json::from_str::<Value>(call["arguments"].as_str().unwrap()).unwrap(), json!({"place": "Ys"}));
	assert_eq!(made["tools"], tools());

	let events = respond(&front, json!({"tools": tools(), "stream": true})).await.named_events();
	let mut expected = vec!["created", "in_progress", "output_item.added"];
	let deltas: Vec<_> =
		events.iter().filter(|event| event["type"] == "response.function_call_arguments.delta").collect();
	expected.extend(std::iter::repeat_n("function_call_arguments.delta", deltas.len()));
	expected.extend(["function_call_arguments.done", "output_item.done", "completed"]);
	assert_eq!(kinds(&events), expected);
	let streamed: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
	assert_eq!(call["arguments"], streamed);
	assert_eq!(events[2]["item"]["arguments"], "");

	net.workers[0].behave(|behaviour| behaviour.says = Some("It rains.".into()));
	let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "rain, 9 degrees"});
	let more = json!({"previous_response_id": made["id"], "input": [output], "tools": tools()});
	let next = respond(&front, more).await.json();
	assert_eq!(next["output"][0]["content"][0]["text"], "It rains.");
	assert!(prompt(&net).contains("rain, 9 degrees"));
	let items = front.get(&format!("/v1/responses/{}/input_items", next["id"].as_str().unwrap())).await.json();
	assert_eq!(
		(&items["data"][0]["type"], &items["data"][0]["status"]),
		(&json!("function_call_output"), &json!("completed"))
	);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_items_come_in_pages_and_tokens_are_counted() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let input: Vec<_> = (0..25).map(|index| json!({"role": "user", "content": format!("text {index}")})).collect();
	let made = respond(&front, json!({"input": input})).await.json();
	let path = format!("/v1/responses/{}/input_items", made["id"].as_str().unwrap());
	let page = front.get(&path).await.json();
	assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (20, &json!(true)));
	assert_eq!(page["data"][0]["content"][0]["text"], "text 24");
	let rest = front.get(&format!("{path}?after={}", page["last_id"].as_str().unwrap())).await.json();
	assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (5, &json!(false)));
	let first = front.get(&format!("{path}?order=asc&limit=1")).await.json();
	assert_eq!(first["data"][0]["content"][0]["text"], "text 0");
	for wrong in ["order=up", "limit=0", "limit=x", "after=x"] {
		let reply = front.get(&format!("{path}?{wrong}")).await;
		assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("invalid_value")), "{wrong}");
	}
	let count = front.post("/v1/responses/input_tokens", json!({"model": "test/tiny", "input": input})).await.json();
	assert_eq!(
		(&count["object"], &count["input_tokens"]),
		(&json!("response.input_tokens"), &made["usage"]["input_tokens"])
	);
	assert_eq!(net.workers[0].state().requests.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_be_finished_ends_with_the_error() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((1, Failure::Resets)));
	let body = json!({"model": "test/tiny", "input": "Hello", "stream": true}).to_string();
	let mut body = front.open("POST", "/v1/responses", &[], body).await.into_body();
	let mut text = String::new();
	while !text.contains("w0") {
		let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
		text.push_str(std::str::from_utf8(&frame).unwrap());
	}
	net.workers[0].behave(|behaviour| behaviour.refuses = Some(ErrorCode::Internal));
	net.workers[0].reset.notify_one();
	text.push_str(std::str::from_utf8(&body.collect().await.unwrap().to_bytes()).unwrap());
	let events = Reply { status: 200, headers: Default::default(), text }.named_events();
	let last = events.last().unwrap();
	assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.failed"), &json!("failed")));
	assert!(last["response"]["error"]["code"].is_string() && last["response"]["error"]["message"].is_string());
	let path = format!("/v1/responses/{}", last["response"]["id"].as_str().unwrap());
	assert_eq!(front.get(&path).await.status, 404);
	for (more, param) in [
		(json!({"background": true}), "background"),
		(json!({"input": 5}), "input"),
		(json!({"input": [{"type": "computer_call"}]}), "input[0]"),
		(json!({"input": []}), "input"),
		(json!({"text": {"format": {"type": "xml"}}}), "text.format.type"),
		(json!({"max_output_tokens": 5_000}), "max_output_tokens"),
		(json!({"truncation": "sometimes"}), "truncation"),
		(json!({"include": ["message.output_text.logprobs", "everything"]}), "include"),
		(json!({"reasoning": {"effort": "lots"}}), "reasoning.effort"),
		(json!({"input": "a ".repeat(30_000)}), "input"),
		(json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
	] {
		let reply = respond(&front, more).await;
		assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)), "{}", reply.text);
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_kept_up_to_a_length() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	// Reasoning is kept with the conversation, and no part of the prompt.
	let long = json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "x".repeat(9 << 20)}]});
	let turn = json!({"role": "user", "content": "Hello"});
	let made = respond(&front, json!({"input": [long, turn]})).await;
	assert_eq!(made.status, 200, "{}", made.text);
	let id = made.json()["id"].clone();
	let follow = async |input: Value| respond(&front, json!({"previous_response_id": id, "input": input})).await;
	let too_long = |reply: Reply, why: &str| {
		assert_eq!((reply.status, &reply.json()["error"]["code"]), (413, &json!("request_too_large")));
		assert!(reply.text.contains(why), "{}", reply.text);
	};
	too_long(follow(json!([long, turn])).await, "The conversation is larger than 16 MiB");
	assert_eq!(follow(json!("And then?")).await.status, 200);
	// A reference is short, and stands for an item that is not.
	let items = front.get(&format!("/v1/responses/{}/input_items?order=asc&limit=1", id.as_str().unwrap())).await;
	let reference = json!({"type": "item_reference", "id": items.json()["first_id"]});
	let reply = respond(&front, json!({"input": [reference, reference, turn]})).await;
	too_long(reply, "The items of the input are larger than 16 MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_probabilities_of_text_that_is_held_back_come_with_it() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	// After each `ab`, the stop text may follow.
	net.workers[0].behave(|behaviour| behaviour.says = Some("abcabx".into()));
	let asked = |stream: bool| {
		let include = ["message.output_text.logprobs"];
		respond(&front, json!({"stop": "ab!", "include": include, "stream": stream}))
	};
	let tokens = |logprobs: &Value| -> String {
		logprobs.as_array().unwrap().iter().map(|entry| entry["token"].as_str().unwrap()).collect()
	};
	let whole = asked(false).await.json();
	let part = &whole["output"][0]["content"][0];
	assert_eq!((&part["text"], tokens(&part["logprobs"]).as_str()), (&json!("abcabx"), "abcabx<|im_end|>"));
	let events = asked(true).await.named_events();
	let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
	let deltas: Vec<_> = deltas.map(|event| (event["delta"].clone(), tokens(&event["logprobs"]))).collect();
	assert_eq!(deltas, [(json!("abc"), "abc".to_owned()), (json!("abx"), "abx".to_owned())]);
	assert_eq!(&events.last().unwrap()["response"]["output"][0]["content"][0], part, "the end has no text");
}
