//! Tests of bounded completions with the demo model: grammars, biases, a minimum length, log probabilities.

mod common;

use std::{
	sync::LazyLock,
	time::{Duration, Instant},
};

use common::{Completion, ENGINE, collect, completion_of, model};
use gonka_engine::{
	CheckRequest, CheckResult, Engine, EngineError, FinishReason, GenerateRequest, Grammar, LocalConfig, LocalEngine,
	TokenEvent, TokenLogprobs,
};
use gonka_primitives::{sampler::MAX_MARGIN, tape::seed_key};
use serde_json::{Value, json};

static LLAMA: LazyLock<LocalEngine> =
	LazyLock::new(|| LocalEngine::load(&LocalConfig::llama(model())).expect("the model loads"));

fn engines() -> [&'static LocalEngine; 2] {
	[&LLAMA, &ENGINE]
}

/// A person, without spaces between tokens: a small model would write them on and on.
fn person() -> Grammar {
	Grammar::JsonSchema(json!({
		"type": "object",
		"x-guidance": { "whitespace_flexible": false },
		"properties": {
			"name": { "type": "string", "maxLength": 12 },
			"age": { "type": "integer", "minimum": 0, "maximum": 120 },
			"colour": { "enum": ["red", "green", "blue"] },
			"tags": { "type": "array", "items": { "type": "string", "maxLength": 6 }, "maxItems": 2 },
		},
		"required": ["name", "age", "colour", "tags"],
		"additionalProperties": false,
	}))
}

/// Asserts that a text is a person.
fn assert_person(text: &str) {
	let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
	let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
	assert_eq!(keys, ["name", "age", "colour", "tags"], "{text}");
	assert!(value["name"].as_str().unwrap().chars().count() <= 12, "{text}");
	assert!((0..=120).contains(&value["age"].as_i64().unwrap()), "{text}");
	assert!(["red", "green", "blue"].contains(&value["colour"].as_str().unwrap()), "{text}");
	let tags = value["tags"].as_array().unwrap();
	assert!(tags.len() <= 2 && tags.iter().all(|tag| tag.as_str().unwrap().chars().count() <= 6), "{text}");
}

fn request(grammar: Grammar, temperature: f32, seed: u64) -> GenerateRequest {
	GenerateRequest {
		prompt: ENGINE.tokenizer().encode("A person as JSON:\n"),
		max_tokens: 200,
		temperature,
		key: seed_key(seed),
		grammar: Some(grammar),
		..Default::default()
	}
}

fn check(engine: &LocalEngine, request: &GenerateRequest, output: &[u32], finish_reason: FinishReason) -> CheckResult {
	let check = CheckRequest { request: request.clone(), output: output.to_vec(), finish_reason };
	engine.check(check).unwrap().blocking_recv().unwrap().unwrap()
}

/// Asserts that a check by the engine itself finds nothing.
fn assert_confirmed(engine: &LocalEngine, request: &GenerateRequest, completion: &Completion) {
	let found = check(engine, request, &completion.ids, completion.reason);
	assert!(found.is_permitted && found.ends_rightly, "{completion:?}");
	let margins: Vec<u32> = found.tokens.iter().map(|token| token.margin).collect();
	assert!(margins.iter().all(|margin| *margin == 0), "{margins:?}");
}

fn rejected(request: GenerateRequest) -> String {
	match LLAMA.generate(request) {
		Err(EngineError::InvalidRequest(message)) => message,
		other => panic!("{other:?}"),
	}
}

#[test]
fn a_completion_follows_its_schema_and_its_check_finds_nothing() {
	for engine in engines() {
		for (temperature, seed) in [(0.0, 0), (1.0, 1), (1.0, 2), (1.5, 3)] {
			let request = request(person(), temperature, seed);
			let completion = completion_of(engine, request.clone());
			assert_person(&completion.text);
			assert_eq!(completion.reason, FinishReason::Stop);
			assert_confirmed(engine, &request, &completion);
		}
	}
}

#[test]
fn a_continued_completion_follows_the_schema_from_its_beginning() {
	let request = request(person(), 1.0, 4);
	let Completion { ids, .. } = completion_of(&*LLAMA, request.clone());
	for delivered in [1, ids.len() / 2, ids.len() - 1] {
		let mut continued = request.clone();
		continued.prompt.extend(&ids[..delivered]);
		continued.delivered = delivered;
		continued.key = seed_key(5);
		let completion = completion_of(&*LLAMA, continued.clone());
		let all = [&ids[..delivered], &completion.ids].concat();
		assert_person(&LLAMA.tokenizer().decode(&all));
		assert_confirmed(&LLAMA, &continued, &completion);
	}
	let mut other = request;
	other.prompt.extend([ids[0], ids[0]]);
	other.delivered = 2;
	assert!(rejected(other).contains("token 2 of the delivered ones does not fit"));
}

#[test]
fn one_forbidden_token_is_found() {
	let request = request(person(), 1.0, 6);
	let completion = completion_of(&*LLAMA, request.clone());
	let other = LLAMA.tokenizer().encode("#")[0];
	for at in [0, completion.ids.len() / 2, completion.ids.len() - 1] {
		let mut ids = completion.ids.clone();
		// A name may have this character, no other part may.
		ids[at] = if at == completion.ids.len() / 2 { LLAMA.info().eos[0] } else { other };
		let found = check(&LLAMA, &request, &ids, completion.reason);
		assert!(!found.is_permitted, "{at}");
		assert_eq!(found.tokens[at].margin, MAX_MARGIN);
		assert!(found.tokens[..at].iter().all(|token| token.margin == 0));
	}
	// A completion that goes on after the grammar's end.
	let end = completion.ids.len() - 1;
	let ids = [&completion.ids[..end], &[other], &completion.ids[end..]].concat();
	assert!(!check(&LLAMA, &request, &ids, completion.reason).is_permitted);
}

#[test]
fn regular_expressions_and_lark_bind_the_whole_completion() {
	let digits = completion_of(&*LLAMA, request(Grammar::Regex("[0-9]{3}-[a-f]{2}".into()), 1.0, 7)).text;
	let (number, letters) = digits.split_once('-').unwrap();
	assert!(number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
	assert!(letters.len() == 2 && letters.bytes().all(|byte| (b'a'..=b'f').contains(&byte)), "{digits}");
	let lark = "start: \"yes\" | \"no\" (\" \" start)?".to_owned();
	let text = completion_of(&*LLAMA, request(Grammar::Lark(lark), 1.0, 8)).text;
	assert!(text.split(' ').all(|word| ["yes", "no"].contains(&word)), "{text}");
}

#[test]
fn a_grammar_that_leads_nowhere_ends_the_completion() {
	// No token follows "a": the two lines contradict each other only then.
	let lark = "start: \"a\" INSIDE\nINSIDE: /b+/ & /c+/".to_owned();
	let wanted = request(Grammar::Lark(lark), 1.0, 9);
	match LLAMA.generate(wanted.clone()) {
		Ok(events) => {
			let completion = collect(events, wanted.prompt.len());
			assert_eq!(completion.reason, FinishReason::Stop);
			assert_confirmed(&LLAMA, &wanted, &completion);
		},
		Err(EngineError::InvalidRequest(message)) => assert!(message.contains("grammar"), "{message}"),
		Err(error) => panic!("{error}"),
	}
	// The grammar is complete before the minimum length.
	let wanted = GenerateRequest { min_tokens: 50, ..request(Grammar::Regex("x".into()), 1.0, 10) };
	let completion = completion_of(&*LLAMA, wanted.clone());
	assert_eq!((completion.text.as_str(), completion.reason), ("x", FinishReason::Stop));
	assert_confirmed(&LLAMA, &wanted, &completion);
}

#[test]
fn a_minimum_length_forbids_the_end() {
	let prompt = ENGINE.tokenizer().encode("<|im_end|>");
	let mut wanted = GenerateRequest {
		prompt,
		max_tokens: 40,
		temperature: 0.0,
		logit_bias: LLAMA.info().eos.iter().map(|id| (*id, 100.0)).collect(),
		..Default::default()
	};
	let completion = completion_of(&*LLAMA, wanted.clone());
	assert_eq!(completion.ids.len(), 1, "the bias decides");
	assert_confirmed(&LLAMA, &wanted, &completion);
	wanted.min_tokens = 20;
	let completion = completion_of(&*LLAMA, wanted.clone());
	assert_eq!((completion.ids.len(), completion.reason), (21, FinishReason::Stop));
	assert_confirmed(&LLAMA, &wanted, &completion);
	let mut short = completion.ids[..10].to_vec();
	short[9] = LLAMA.info().eos[0];
	let found = check(&LLAMA, &wanted, &short, FinishReason::Stop);
	assert!(found.ends_rightly && !found.is_permitted);
	wanted.min_tokens = 41;
	assert!(rejected(wanted).contains("min_tokens"));
}

#[test]
fn biases_and_penalties_are_checked_as_they_were_generated() {
	let likely = completion_of(&*LLAMA, common::greedy(LLAMA.tokenizer().encode(common::STORY), 12));
	let wanted = GenerateRequest {
		prompt: LLAMA.tokenizer().encode(common::STORY),
		max_tokens: 24,
		logit_bias: likely.ids.iter().map(|id| (*id, -100.0)).collect(),
		repetition_penalty: 1.3,
		presence_penalty: 0.4,
		frequency_penalty: 0.2,
		..Default::default()
	};
	let completion = completion_of(&*LLAMA, wanted.clone());
	assert!(completion.ids.iter().all(|id| !likely.ids.contains(id)));
	assert_confirmed(&LLAMA, &wanted, &completion);
	let unbiased = GenerateRequest { logit_bias: Default::default(), ..wanted.clone() };
	let found = check(&LLAMA, &unbiased, &completion.ids, completion.reason);
	assert!(found.tokens.iter().any(|token| token.margin > 0));
	let with = |bias: f32, id: u32| GenerateRequest { logit_bias: [(id, bias)].into(), ..wanted.clone() };
	for bad in [with(100.5, 1), with(f32::NAN, 1), with(1.0, 49_152)] {
		assert!(rejected(bad).contains("bias"));
	}
}

#[test]
fn log_probabilities_come_when_they_are_asked_for() {
	let wanted =
		GenerateRequest { logprobs: Some(5), temperature: 0.0, ..request(Grammar::Regex("#+".into()), 0.0, 0) };
	let wanted = GenerateRequest { max_tokens: 4, ..wanted };
	let mut events = LLAMA.generate(wanted.clone()).unwrap();
	let mut tokens = 0;
	while let Some(TokenEvent::Token { id, logprobs, .. }) = events.blocking_recv() {
		let TokenLogprobs { chosen, top } = logprobs.unwrap();
		assert_eq!(top.len(), 5);
		assert!(top.windows(2).all(|pair| pair[0].1 >= pair[1].1) && top[0].1 <= 0.0);
		assert!(top.iter().map(|(_, logprob)| logprob.exp()).sum::<f32>() <= 1.0001);
		// The grammar does not show in them.
		assert!(chosen <= top[0].1 && top.iter().all(|(other, logprob)| *other != id || *logprob == chosen));
		tokens += 1;
	}
	assert_eq!(tokens, 4);
	let mut events = LLAMA.generate(GenerateRequest { logprobs: None, ..wanted.clone() }).unwrap();
	assert!(matches!(events.blocking_recv(), Some(TokenEvent::Token { logprobs: None, .. })));
	while events.blocking_recv().is_some() {}
	assert!(rejected(GenerateRequest { logprobs: Some(21), ..wanted }).contains("20"));
}

#[test]
fn completions_side_by_side_are_those_of_each_alone() {
	let requests: Vec<_> = (20..24).map(|seed| request(person(), 1.0, seed)).collect();
	let running: Vec<_> = requests.iter().map(|request| LLAMA.generate(request.clone()).unwrap()).collect();
	for (events, request) in running.into_iter().zip(requests) {
		let completion = collect(events, request.prompt.len());
		assert_person(&completion.text);
		assert_eq!(completion, completion_of(&*LLAMA, request));
	}
}

/// Grammars that would be expensive without bounds.
fn hostile() -> Vec<(&'static str, Grammar)> {
	let nested =
		|depth: usize| (0..depth).fold(json!({"type": "null"}), |inner, _| json!({"type": "array", "items": inner}));
	let unions: Vec<Value> = (0..12)
		.map(|i| {
			let options: Vec<Value> =
				(0..12).map(|j| json!({"properties": {format!("p{i}_{j}"): {"type": "string"}}})).collect();
			json!({ "anyOf": options })
		})
		.collect();
	let many = |count: usize| -> Value {
		(0..count)
			.map(|i| (format!("key{i}"), json!({"type": ["string", "number"]})))
			.collect::<serde_json::Map<_, _>>()
			.into()
	};
	let words: Vec<String> = (0..6_000).map(|i| format!("w{:x}", i * 7_919)).collect();
	let alternatives: String = (0..2_500).map(|i| format!("| r{i} ")).collect();
	let rules: String = (0..2_500).map(|i| format!("r{i}: \"a{i}\"\n")).collect();
	let lark = |text: &str| Grammar::Lark(text.into());
	let regex = |text: &str| Grammar::Regex(text.into());
	vec![
		("deep schema", Grammar::JsonSchema(nested(120))),
		("deeper schema than a parser allows", Grammar::JsonSchema(nested(2_000))),
		("exponential unions", Grammar::JsonSchema(json!({ "allOf": unions }))),
		("many properties", Grammar::JsonSchema(json!({"type": "object", "properties": many(1_500)}))),
		("many required", {
			let names: Vec<String> = (0..1_000).map(|i| format!("key{i}")).collect();
			Grammar::JsonSchema(json!({"type": "object", "properties": many(1_000), "required": names}))
		}),
		("many items", Grammar::JsonSchema(json!({"type": "array", "items": {}, "minItems": 1_000_000}))),
		("long string", Grammar::JsonSchema(json!({"type": "string", "minLength": 1_000_000_000}))),
		("bounded string", Grammar::JsonSchema(json!({"type": "string", "maxLength": 200_000}))),
		("large enum", Grammar::JsonSchema(json!({ "enum": words }))),
		(
			"huge numbers",
			Grammar::JsonSchema(json!({"type": "number", "minimum": 1e300, "maximum": 1.7e308, "multipleOf": 1e-9})),
		),
		("multiple of a large number", Grammar::JsonSchema(json!({"type": "integer", "multipleOf": 982_451_653}))),
		("pattern", Grammar::JsonSchema(json!({"type": "string", "pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}))),
		(
			"two patterns",
			Grammar::JsonSchema(json!({"allOf": [
				{"type": "string", "pattern": "(a|b)*a(a|b){20}"}, {"type": "string", "pattern": "(a|b)*b(a|b){21}"},
			]})),
		),
		(
			"endless references",
			Grammar::JsonSchema(
				json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
			),
		),
		("remote reference", Grammar::JsonSchema(json!({"$ref": "https://example.com/schema.json"}))),
		("nested repetitions", regex("(a{1000}){1000}")),
		("nested open repetitions", regex("((a{0,1000}){0,1000}){0,1000}")),
		("exponential automaton", regex("(a|b)*a(a|b){24}")),
		("exponential automaton of any characters", regex("(.*x.{18})*y.{200}")),
		("deep groups", regex(&["(".repeat(20_000), "a".into(), ")".repeat(20_000)].concat())),
		("long alternatives", regex(&words.join("|"))),
		("long text", regex(&"ab?".repeat(20_000))),
		("unicode classes", regex(&"\\p{L}{0,50}".repeat(400))),
		(
			"deep Lark groups",
			lark(&["start: ".into(), "(".repeat(20_000), "\"a\"".into(), ")".repeat(20_000)].concat()),
		),
		("long chain", lark(&["start: \"a\" ".into(), "\"a\" ".repeat(15_000)].concat())),
		("many rules", lark(&format!("start: \"x\" choice\nchoice: \"z\" {alternatives}\n{rules}"))),
		("ambiguous", lark("start: a\na: a a | a a a | \"x\" | ")),
		("ambiguous repetitions", lark("start: (\"x\"* \"x\"* \"x\"*)*")),
		("repetition of rules", lark("start: a{1000}\na: b{1000}\nb: c{1000}\nc: \"x\"?")),
		("left and right recursion", lark("start: start start | \"a\" start \"a\" | \"a\"")),
		("intersection", lark("start: X\nX: /(.*a.{15})/ & /(.*b.{15})/ & ~/(.*c.{15})/")),
		("substring", lark(&format!("start: %regex {{ \"substring_chars\": \"{}\" }}", "abcdefgh".repeat(4_000)))),
	]
}

/// Bounds keep each of them cheap; how long it takes is printed, not asserted.
#[test]
fn hostile_grammars_are_rejected_or_cheap() {
	for (name, grammar) in hostile() {
		let wanted = GenerateRequest { max_tokens: 8, ..request(grammar, 1.0, 11) };
		let start = Instant::now();
		let events = LLAMA.generate(wanted.clone());
		let compiled = start.elapsed();
		match events {
			Ok(events) => {
				let completion = collect(events, wanted.prompt.len());
				println!(
					"{name}: compiled in {compiled:?}, {} tokens in {:?}: {:?}",
					completion.ids.len(),
					start.elapsed(),
					completion.text
				);
				assert_confirmed(&LLAMA, &wanted, &completion);
			},
			Err(EngineError::InvalidRequest(message)) => {
				println!("{name}: rejected in {compiled:?}: {message}");
				assert!(message.len() < 500 && message.contains("grammar"), "{message}");
			},
			Err(error) => panic!("{name}: {error}"),
		}
		assert!(start.elapsed() < Duration::from_secs(300), "{name}");
	}
}

#[test]
fn a_malformed_grammar_is_rejected_with_its_reason() {
	for (grammar, reason) in [
		(Grammar::Regex("a(".into()), "grammar"),
		(Grammar::Lark("start: unknown".into()), "unknown"),
		(Grammar::Lark(String::new()), "start"),
		(Grammar::JsonSchema(json!({"type": "person"})), "person"),
		(Grammar::JsonSchema(json!(3)), "schema"),
		(Grammar::Regex("a".repeat(70_000)), "bytes"),
	] {
		let message = rejected(request(grammar, 1.0, 0));
		assert!(message.contains(reason), "{message}");
	}
	let endless = GenerateRequest { ignore_eos: true, ..request(person(), 1.0, 0) };
	assert!(rejected(endless).contains("ignore_eos"));
}
