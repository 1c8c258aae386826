//! Chats as agents' clients send them: tools, structured output, several completions, log probabilities.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Net, Reply, eventually};
use gonka_client::worker_api::Grammar;
use gonka_gateway::config::{Options, format_gnk};
use gonka_stand_ins::worker::PRICE;
use serde_json::{Value, json};

/// A function that the model may call.
fn weather(strict: bool) -> Value {
	json!({"type": "function", "function": {
		"name": "weather",
		"description": "The weather of a place.",
		"parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
		"strict": strict,
	}})
}

const CALL: &str = r#"{"name": "weather", "arguments": {"place": "Ys"}}"#;

fn chunks(reply: &Reply) -> Vec<Value> {
	let events = reply.events();
	assert_eq!(*events.last().unwrap(), "[DONE]");
	events[..events.len() - 1].iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_calls_a_function_and_reads_its_result() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.says = Some(CALL.into()));
	let reply = front.chat(json!({"tools": [weather(false)]})).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	let choice = &reply.json()["choices"][0];
	assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &Value::Null));
	let call = &choice["message"]["tool_calls"][0];
	assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("weather")));
	let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
	assert_eq!(arguments, json!({"place": "Ys"}));
	let request = net.workers[0].state().requests[0].clone();
	assert_eq!(request.grammar, None, "the model is free to call or not");
	let prompt = String::from_utf8(request.prompt.iter().map(|id| *id as u8).collect()).unwrap();
	assert!(prompt.contains("The weather of a place.") && prompt.contains("\"place\""), "{prompt}");

	// Streamed, the pieces of the arguments make the same text.
	let reply = front.chat(json!({"tools": [weather(false)], "stream": true})).await;
	let (mut name, mut streamed, mut reasons) = (String::new(), String::new(), Vec::new());
	for chunk in chunks(&reply) {
		let choice = &chunk["choices"][0];
		reasons.extend(choice["finish_reason"].as_str().map(str::to_owned));
		let Some(call) = choice["delta"]["tool_calls"].get(0) else { continue };
		assert_eq!(call["index"], 0);
		if let Some(id) = call["id"].as_str() {
			assert!(id.starts_with("call_") && name.is_empty());
		}
		name.push_str(call["function"]["name"].as_str().unwrap_or_default());
		streamed.push_str(call["function"]["arguments"].as_str().unwrap());
	}
	assert_eq!((name.as_str(), serde_json::from_str::<Value>(&streamed).unwrap()), ("weather", arguments));
	assert_eq!(reasons, ["tool_calls"]);

	// The call and its result are a part of the next prompt.
	net.workers[0].behave(|behaviour| behaviour.says = Some("It rains.".into()));
	let history = json!([
		{"role": "user", "content": "How is the weather in Ys?"},
		{"role": "assistant", "content": null, "tool_calls": [call]},
		{"role": "tool", "tool_call_id": call["id"], "content": [{"type": "text", "text": "rain, 9 °C"}]},
	]);
	let reply = front.chat(json!({"messages": history, "tools": [weather(false)]})).await;
	let choice = &reply.json()["choices"][0];
	assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("stop"), &json!("It rains.")));
	let prompt = net.workers[0].state().requests[2].prompt.clone();
	let prompt = String::from_utf8(prompt.iter().map(|id| *id as u8).collect()).unwrap();
	assert!(prompt.contains("rain, 9 °C"), "{prompt}");
	eventually("all are acknowledged", || net.receipts() == 3 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demanded_form_reaches_the_host_as_a_grammar() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let schema = json!({"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "boolean"}}});
	let strict = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": true}});
	type Check = fn(&Grammar) -> bool;
	let is_lark: Check = |grammar| matches!(grammar, Grammar::Lark(_));
	let is_schema: Check = |grammar| matches!(grammar, Grammar::JsonSchema(_));
	for (more, says, is_right) in [
		(json!({"response_format": strict}), r#"{"b": 1, "a": true}"#, is_schema),
		(json!({"response_format": {"type": "json_object"}}), "{}", is_schema),
		(json!({"guided_regex": "[a-c]+"}), "abc", |grammar| *grammar == Grammar::Regex("[a-c]+".into())),
		(json!({"structured_outputs": {"choice": ["yes", "no"]}}), "yes", is_lark),
		(json!({"tools": [weather(false)], "tool_choice": "required"}), CALL, is_lark),
		(json!({"tools": [weather(true)]}), "It rains.", is_lark),
		(json!({"tools": [weather(true)]}), CALL, is_lark),
	] {
		net.workers[0].behave(|behaviour| behaviour.says = Some(says.into()));
		let reply = front.chat(more.clone()).await;
		assert_eq!(reply.status, 200, "{more}: {}", reply.text);
		let grammar = net.workers[0].state().requests.last().unwrap().grammar.clone().unwrap();
		assert!(is_right(&grammar), "{more}: {grammar:?}");
		if let Grammar::JsonSchema(schema) = grammar
			&& more["response_format"]["type"] == "json_schema"
		{
			let text = schema.to_string();
			assert!(text.find("\"b\"") < text.find("\"a\""), "properties keep their order: {text}");
		}
	}
	let huge = json!({"type": "object", "description": "x".repeat(70_000)});
	let huge = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": huge}}});
	let reply = front.chat(huge).await;
	assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("response_format")));
	let reply = front.chat(json!({"guided_regex": "("})).await;
	assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("guided_regex")));
	let mut tool = weather(false);
	tool["function"]["parameters"]["properties"]["place"] = json!({"type": "string", "pattern": "("});
	let reply = front.chat(json!({"tools": [tool], "tool_choice": "required"})).await;
	let path = json!("tools[0].function.parameters");
	assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &path), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demanded_call_that_is_cut_at_its_beginning_is_no_text() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.says = Some(CALL.into()));
	let cut = |choice: &str| json!({"tools": [weather(false)], "tool_choice": choice, "max_tokens": 5});
	let reply = front.chat(cut("required")).await;
	let choice = &reply.json()["choices"][0];
	assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("length"), &json!("")), "{choice}");
	let reply = front.chat(cut("auto")).await;
	assert_eq!(reply.json()["choices"][0]["message"]["content"], CALL[..5], "it may be any text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_probabilities_that_nobody_asked_for_are_dropped() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.logprobs = Some(200));
	assert_eq!(front.chat(json!({})).await.json()["choices"][0]["logprobs"], Value::Null);
	let reply = front.chat(json!({"logprobs": true, "top_logprobs": 2})).await.json();
	let tokens = reply["choices"][0]["logprobs"]["content"].as_array().unwrap();
	assert!(tokens.len() == 6 && tokens.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_breaks_the_grammar_is_replaced_and_paid_nothing() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.says = Some("12x".into()));
	net.workers[1].behave(|behaviour| behaviour.says = Some("1234".into()));
	let mut requests = 0;
	// The gateway draws the host of each request.
	while net.workers[0].state().requests.is_empty() {
		let reply = front.chat(json!({"guided_regex": "[0-9]{4}"})).await;
		assert_eq!(reply.status, 200, "{}", reply.text);
		assert_eq!(reply.json()["choices"][0]["message"]["content"], "1234");
		requests += 1;
		assert!(requests < 100, "one of two hosts never got a request");
	}
	eventually("the honest host is paid", || {
		net.workers[1].state().accounts.values().all(|account| account.totals == account.due())
	})
	.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_goes_on_after_the_end_is_paid_nothing_more() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	// The worker knows no stop texts.
	let reply = front.chat(json!({"stop": "w2"})).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	let choice = &reply.json()["choices"][0];
	assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("w0 w1 "), &json!("stop")));
	assert_eq!(reply.json()["usage"]["completion_tokens"], 3);
	let prompt = reply.json()["usage"]["prompt_tokens"].as_u64().unwrap() as u32;
	let cost = format_gnk(PRICE.fee(prompt, 3).unwrap());
	assert_eq!(reply.headers["x-gnk-cost"], cost.as_str(), "a receipt for what was asked may come");
	assert_eq!(net.workers[0].state().requests.len(), 1, "nobody needs to go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_have_several_completions() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let reply = front.chat(json!({"n": 3, "seed": 5})).await;
	let body = reply.json();
	assert_eq!(reply.status, 200, "{}", reply.text);
	let indices: Vec<_> = body["choices"].as_array().unwrap().iter().map(|choice| choice["index"].clone()).collect();
	assert_eq!(indices, [0, 1, 2]);
	assert_eq!(body["usage"]["completion_tokens"], 18);
	let reply = front.chat(json!({"n": 2, "stream": true})).await;
	let chunks = chunks(&reply);
	for index in 0..2 {
		let of = chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == index);
		let text: String = of.clone().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
		assert_eq!(text, "w0 w1 w2 w3 w4 ");
		assert_eq!(of.clone().filter(|choice| choice["finish_reason"] == "stop").count(), 1);
		assert_eq!(of.filter(|choice| choice["delta"]["role"] == "assistant").count(), 1);
	}
	let request = json!({"model": "test/tiny", "prompt": ["a", "b"], "n": 2, "echo": true, "max_tokens": 1});
	let reply = front.post("/v1/completions", request).await.json();
	let texts: Vec<_> = reply["choices"].as_array().unwrap().iter().map(|choice| choice["text"].clone()).collect();
	assert_eq!(texts, ["aw0 ", "aw0 ", "bw0 ", "bw0 "]);
	eventually("all are acknowledged", || net.receipts() == 9 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_probabilities_come_with_their_tokens() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let reply = front.chat(json!({"logprobs": true, "top_logprobs": 2})).await.json();
	let tokens = reply["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
	let texts: Vec<_> = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
	assert_eq!(texts, ["w0 ", "w1 ", "w2 ", "w3 ", "w4 ", "<|im_end|>"]);
	assert_eq!((&tokens[1]["logprob"], &tokens[1]["bytes"]), (&json!(-0.5), &json!([119, 49, 32])));
	let top = json!([
		{"token": "w1 ", "logprob": -0.5, "bytes": [119, 49, 32]},
		{"token": "w0 ", "logprob": -1.5, "bytes": [119, 48, 32]},
	]);
	assert_eq!(tokens[1]["top_logprobs"], top);
	let streamed = front.chat(json!({"logprobs": true, "stream": true})).await;
	let entries = |chunk: &Value| chunk["choices"][0]["logprobs"]["content"].as_array().map_or(0, Vec::len);
	assert_eq!(chunks(&streamed).iter().map(entries).sum::<usize>(), 6);
	let request = json!({"model": "test/tiny", "prompt": "a", "logprobs": 1, "max_tokens": 2});
	let reply = front.post("/v1/completions", request).await.json();
	let logprobs = json!({
		"tokens": ["w0 ", "w1 "], "token_logprobs": [-0.5, -0.5], "top_logprobs": [{"w0 ": -0.5}, {"w1 ": -0.5}],
		"text_offset": [0, 3],
	});
	assert_eq!(reply["choices"][0]["logprobs"], logprobs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_that_are_wrong_are_named() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	for (field, value) in [
		("temperature", "1e999"),
		("temperature", "-1e999"),
		("temperature", "\"0.7\""),
		("top_p", "1e999"),
		("max_tokens", "5.5"),
		("seed", "18446744073709551616"),
		("stop_token_ids", "[999]"),
		("logit_bias", "{\"999\": 1}"),
		("messages", "[]"),
		(
			"messages[0].content[0]",
			"[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {\"url\": \"x\"}}]}]",
		),
	] {
		let name = field.split('[').next().unwrap();
		let messages = if name == "messages" {
			String::new()
		} else {
			r#""messages": [{"role": "user", "content": "a"}],"#.into()
		};
		let reply = front
			.send(
				"POST",
				"/v1/chat/completions",
				format!("{{\"model\": \"test/tiny\", {messages} \"{name}\": {value}}}"),
			)
			.await;
		let error = reply.json()["error"].clone();
		let param = error["param"].as_str().unwrap_or_default();
		assert!(reply.status == 400 && param.starts_with(field), "{field}: {}", reply.text);
	}
	for (field, value) in
		[("max_tokens", "5.0"), ("top_k", "40.0"), ("n", "1.0"), ("seed", "18446744073709551615"), ("user", "5")]
	{
		let body = format!(
			"{{\"model\": \"test/tiny\", \"messages\": [{{\"role\": \"user\", \"content\": \"a\"}}], \"{field}\": {value}}}"
		);
		let reply = front.send("POST", "/v1/chat/completions", body).await;
		assert_eq!(reply.status, 200, "{field}: {}", reply.text);
	}
	// No host is asked for a prompt that no host could take.
	let before = net.workers[0].state().requests.len();
	let long = json!([{"role": "user", "content": "word ".repeat(600_000)}]);
	let reply = front.chat(json!({"messages": long, "stream": true})).await;
	assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("context_length_exceeded")));
	assert_eq!(net.workers[0].state().requests.len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_whose_schema_no_grammar_expresses_is_named() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let list = |extra: Value| {
		let mut list = json!({"type": "array", "items": {"type": "string"}});
		list.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
		json!({"type": "object", "properties": {"places": list}, "required": ["places"], "additionalProperties": false})
	};
	let function = |name: &str, extra: Value| json!({"name": name, "parameters": list(extra), "strict": true});
	let functions = [("a", json!({})), ("b", json!({})), ("c", json!({"uniqueItems": true})), ("d", json!({}))];
	let functions = functions.map(|(name, extra)| function(name, extra));
	let chat = functions.clone().map(|function| json!({"type": "function", "function": function}));
	let flat = functions.clone().map(|mut function| {
		function["type"] = "function".into();
		function
	});
	let schemas = functions
		.clone()
		.map(|function| json!({"name": function["name"], "input_schema": function["parameters"], "strict": true}));
	let format = json!({"type": "json_object"});
	let respond = async |tools: &Value| {
		front.post("/v1/responses", json!({"model": "test/tiny", "input": "Hello", "tools": tools})).await
	};
	for (reply, path) in [
		(front.chat(json!({"tools": chat})).await, "tools[2].function.parameters"),
		(front.chat(json!({"tools": chat, "response_format": format})).await, "tools[2].function.parameters"),
		(front.chat(json!({"functions": functions})).await, "functions[2].parameters"),
		(respond(&json!(flat)).await, "tools[2].parameters"),
	] {
		assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(path)), "{}", reply.text);
	}
	let messages = json!([{"role": "user", "content": "Hello"}]);
	let body = json!({"model": "test/tiny", "max_tokens": 9, "messages": messages, "tools": schemas});
	let reply = front.post("/v1/messages", body).await;
	assert!(reply.status == 400 && reply.text.contains("tools[2].input_schema"), "{}", reply.text);
	assert!(net.workers[0].state().requests.is_empty());
}
