use super::*;
use crate::chat::{
	format::ToolFormat,
	grammar::{Setting, grammar},
	output::Output,
	tools::ToolSet,
};
use fastrand::Rng;
use gonka_client::worker_api;
use gonka_tokenizer::{Grammar, GrammarCompiler, grammar::GRAMMAR_STACK, mock_tokenizer, open_tokenizer};
use llguidance::Matcher;
use std::{sync::Arc, thread};

/// Tokens beside the bytes: pieces of the generated schemas' texts, and other ways to write names.
const WORDS: [&str; 22] = [
	"{\"", "\":", "\": ", ", \"", "\"}", "\"a\"", "\"ab\"", "\"b\"", "\\u0061", "\\u0062", "é", "𝄞", "12", "0.", "-1",
	"null", "true", "-02-29", "2023", "1900", ":59:60", "\\n",
];
const END: u32 = 256 + WORDS.len() as u32;
/// Whether a text matches.
type Matches = fn(&str) -> bool;
/// Patterns, and what each matches.
const PATTERNS: [(&str, Matches); 5] = [
	("^a+$", |text| !text.is_empty() && text.bytes().all(|byte| byte == b'a')),
	("b", |text| text.contains('b')),
	("^[0-9]{2}", |text| text.len() > 1 && text.bytes().take(2).all(|byte| byte.is_ascii_digit())),
	("^a|b$", |text| text.starts_with('a') || text.ends_with('b')),
	("^.{0,3}é", |text| text.chars().take(4).any(|c| c == 'é') && !text.split('é').next().unwrap().contains('\n')),
];

/// A schema of kinds that grammars can express.
fn generate(rng: &mut Rng, depth: u32) -> Value {
	let kind = rng.u32(0..if depth > 0 { 12 } else { 7 });
	match kind {
		0 => json!({"type": "string", "minLength": rng.u32(0..3), "maxLength": rng.u32(3..6)}),
		1 => json!({"type": "string", "pattern": PATTERNS[rng.usize(..PATTERNS.len())].0}),
		2 => json!({"type": "string", "format": "date"}),
		3 => json!({"enum": [1, "a", null, 2.5, [true, {"b": -3}], "\n\"é"]}),
		4 => {
			let (low, high) = (rng.i32(-300..0), rng.i32(1..300));
			let bounds = json!({"type": "integer", "minimum": low, "exclusiveMaximum": high});
			let multiple = json!({"type": "integer", "multipleOf": rng.u32(1..8), "minimum": low, "maximum": high});
			if rng.bool() { bounds } else { multiple }
		},
		5 => json!({"type": "number", "exclusiveMinimum": f64::from(rng.i32(-99..9)) / 8.0, "maximum": rng.u32(2..99)}),
		6 => json!({"type": ["boolean", "null"]}),
		7 => {
			let mut array = json!({"type": "array", "items": generate(rng, depth - 1), "minItems": rng.u32(0..2)});
			if rng.bool() {
				array["prefixItems"] = json!([generate(rng, depth - 1)]);
			}
			array["maxItems"] = rng.u32(1..4).into();
			array
		},
		8 | 9 => object(rng, depth - 1),
		10 => json!({"anyOf": [generate(rng, depth - 1), generate(rng, depth - 1)]}),
		_ => {
			let (first, second) = (object(rng, depth - 1), object(rng, depth - 1));
			json!({rng.choice(["allOf", "oneOf"]).unwrap(): [first, second]})
		},
	}
}

fn object(rng: &mut Rng, depth: u32) -> Value {
	let mut map = json!({"type": "object"});
	let names = ["a", "b", "ab", "é\n"];
	for name in names {
		if rng.bool() {
			map["properties"][name] = generate(rng, depth);
		}
	}
	map["required"] = names.iter().filter(|_| rng.u32(0..3) == 0).copied().collect();
	if rng.u32(0..3) == 0 {
		map["patternProperties"] = json!({PATTERNS[rng.usize(..PATTERNS.len())].0: generate(rng, depth)});
	}
	match rng.u32(0..4) {
		0 => {},
		1 => map["additionalProperties"] = generate(rng, depth),
		_ => map["additionalProperties"] = false.into(),
	}
	match rng.u32(0..6) {
		0 => map["minProperties"] = rng.u32(1..3).into(),
		1 => map["maxProperties"] = rng.u32(1..4).into(),
		_ => {},
	}
	map
}

/// Whether the value follows a schema of the generated kinds.
fn follows(value: &Value, schema: &Value) -> bool {
	let Value::Object(map) = schema else { return schema == &Value::Bool(true) };
	map.iter().all(|(key, limit)| holds(value, map, key, limit))
}

fn holds(value: &Value, schema: &Map<String, Value>, key: &str, limit: &Value) -> bool {
	let number = |holds: fn(f64, f64) -> bool| {
		value.as_f64().is_none_or(|number| value.is_string() || holds(number, limit.as_f64().unwrap()))
	};
	let size = |size: Option<usize>, holds: fn(u64, u64) -> bool| {
		size.is_none_or(|size| holds(size as u64, limit.as_u64().unwrap()))
	};
	let schemas = || limit.as_array().unwrap().iter();
	let prefix = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
	let of_pattern =
		|name: &str, pattern: &str| PATTERNS.iter().any(|(text, matches)| *text == pattern && matches(name));
	let is_named = |map: &str, fits: &dyn Fn(&String) -> bool| {
		schema.get(map).and_then(Value::as_object).is_some_and(|map| map.keys().any(fits))
	};
	let all = |fits: &dyn Fn(&String, &Value) -> bool| {
		value.as_object().is_none_or(|map| map.iter().all(|(k, v)| fits(k, v)))
	};
	match key {
		"type" => match limit {
			Value::Array(kinds) => kinds.iter().any(|kind| is_of(value, kind)),
			kind => is_of(value, kind),
		},
		"enum" => schemas().any(|one| one == value),
		"minimum" => number(|number, limit| number >= limit),
		"maximum" => number(|number, limit| number <= limit),
		"exclusiveMinimum" => number(|number, limit| number > limit),
		"exclusiveMaximum" => number(|number, limit| number < limit),
		"multipleOf" => number(|number, limit| number % limit == 0.0),
		"minLength" => size(value.as_str().map(|text| text.chars().count()), |size, limit| size >= limit),
		"maxLength" => size(value.as_str().map(|text| text.chars().count()), |size, limit| size <= limit),
		"minItems" => size(value.as_array().map(Vec::len), |size, limit| size >= limit),
		"maxItems" => size(value.as_array().map(Vec::len), |size, limit| size <= limit),
		"minProperties" => size(value.as_object().map(Map::len), |size, limit| size >= limit),
		"maxProperties" => size(value.as_object().map(Map::len), |size, limit| size <= limit),
		"pattern" => value.as_str().is_none_or(|text| of_pattern(text, limit.as_str().unwrap())),
		"format" => value.as_str().is_none_or(is_day),
		"items" => value.as_array().is_none_or(|list| list.iter().skip(prefix).all(|item| follows(item, limit))),
		"prefixItems" => {
			value.as_array().is_none_or(|list| list.iter().zip(schemas()).all(|(item, one)| follows(item, one)))
		},
		"properties" => all(&|name, value| limit.get(name).is_none_or(|one| follows(value, one))),
		"patternProperties" => all(&|name, value| {
			limit.as_object().unwrap().iter().all(|(pattern, one)| !of_pattern(name, pattern) || follows(value, one))
		}),
		"additionalProperties" => all(&|name, value| {
			is_named("properties", &|key| key == name)
				|| is_named("patternProperties", &|pattern| of_pattern(name, pattern))
				|| follows(value, limit)
		}),
		"required" => {
			value.as_object().is_none_or(|map| schemas().all(|name| map.contains_key(name.as_str().unwrap())))
		},
		"anyOf" => schemas().any(|one| follows(value, one)),
		"allOf" => schemas().all(|one| follows(value, one)),
		"oneOf" => schemas().filter(|one| follows(value, one)).count() == 1,
		key => panic!("{key} is not generated"),
	}
}

fn is_of(value: &Value, kind: &Value) -> bool {
	match kind.as_str().unwrap() {
		"null" => value.is_null(),
		"boolean" => value.is_boolean(),
		"integer" => value.is_number() && value.as_f64().is_some_and(|number| number.fract() == 0.0),
		"number" => value.is_number(),
		"string" => value.is_string(),
		"array" => value.is_array(),
		_ => value.is_object(),
	}
}

/// Whether the text is a day of the calendar.
fn is_day(text: &str) -> bool {
	let parts: Vec<u32> = text.split('-').filter_map(|part| part.parse().ok()).collect();
	let [year, month, day] = parts[..] else { return false };
	let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	let days = match month {
		2 => 28 + u32::from(is_leap),
		4 | 6 | 9 | 11 => 30,
		1..=12 => 31,
		_ => 0,
	};
	text.len() == 10 && year > 0 && (1..=days).contains(&day)
}

fn compiler() -> GrammarCompiler {
	let folder = tempfile::tempdir().unwrap();
	let path = folder.path().join("tokenizer.gguf");
	std::fs::write(&path, mock_tokenizer(&WORDS)).unwrap();
	GrammarCompiler::new(Arc::new(open_tokenizer(&path).unwrap()))
}

/// The matcher of a request with this schema and `strict`; `None` if it is rejected.
fn matcher(compiler: &GrammarCompiler, schema: &Value) -> Option<Matcher> {
	let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
	let fields = crate::chat::output::OutputFields { response_format: Some(&format), ..Default::default() };
	let (output, _) = Output::read(fields).ok()?;
	let setting = Setting {
		format: ToolFormat::Hermes,
		tools: &ToolSet::default(),
		output: &output,
		reasoning: None,
		starts_in_reasoning: false,
		control_token: &|_| None,
	};
	let worker_api::Grammar::JsonSchema(bound) = grammar(&setting).unwrap() else { panic!("a schema") };
	let mut matcher = compiler.compile(&Grammar::JsonSchema(bound), &[]).ok()?;
	matcher.compute_mask_or_eos().is_ok().then_some(matcher)
}

/// A text that the grammar permits, of random tokens; `None` if it does not come to an end.
fn random_text(mut matcher: Matcher, rng: &mut Rng) -> Option<String> {
	let mut text = Vec::new();
	for step in 0..400 {
		let mask = matcher.compute_mask_or_eos().ok()?;
		let mut allowed: Vec<u32> = (0..=END).filter(|id| mask.is_allowed(*id)).collect();
		if allowed.contains(&END) && (allowed.len() == 1 || rng.u32(0..3) > 0) {
			return Some(String::from_utf8(text).unwrap());
		}
		// Words are as likely as bytes, and the ends of texts and lists likelier after a while.
		let ends: Vec<u32> =
			allowed.iter().copied().filter(|id| b"\"}]0".contains(&(*id).try_into().unwrap_or(0))).collect();
		let words: Vec<u32> = allowed.iter().copied().filter(|id| (256..END).contains(id)).collect();
		if !ends.is_empty() && (step > 60 || rng.u32(0..4) == 0) {
			allowed = ends;
		} else if !words.is_empty() && rng.bool() {
			allowed = words;
		}
		allowed.retain(|id| *id != END);
		let id = *rng.choice(&allowed)?;
		matcher.consume_token(id).unwrap();
		match id.checked_sub(256) {
			Some(word) => text.extend(WORDS[word as usize].bytes()),
			None => text.push(id as u8),
		}
	}
	None
}

/// Runs a test with the stack that grammars need.
fn with_stack(test: fn()) {
	thread::Builder::new().stack_size(GRAMMAR_STACK).spawn(test).unwrap().join().unwrap();
}

#[test]
fn every_text_that_a_schemas_grammar_permits_follows_the_schema() {
	with_stack(|| {
		let (compiler, mut accepted, mut ended) = (compiler(), 0, 0);
		for seed in 0..1500 {
			let mut rng = Rng::with_seed(seed);
			let schema = generate(&mut rng, 2);
			let Some(matcher) = matcher(&compiler, &schema) else { continue };
			accepted += 1;
			for _ in 0..4 {
				let Some(text) = random_text(matcher.deep_clone(), &mut rng) else { continue };
				ended += 1;
				let value: Value = serde_json::from_str(&text).unwrap();
				assert!(follows(&value, &schema), "seed {seed}: {schema} permits {text}");
			}
		}
		println!("{accepted} schemas, {ended} texts");
		assert!(accepted > 1000 && ended > 3 * accepted);
	});
}

#[test]
fn what_llguidance_misreads_is_said_in_other_words() {
	with_stack(|| {
		let compiler = compiler();
		let draft = |number: &str, rest: Value| {
			let mut schema = json!({"$schema": format!("http://json-schema.org/draft-{number}/schema#")});
			schema.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
			schema
		};
		let names = json!({"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "integer"}});
		let pair = json!({"items": [{"const": 1}], "anyOf": [{"minItems": 1}, {}], "additionalItems": false});
		let above = json!({"minimum": 1, "anyOf": [{"type": "integer"}], "exclusiveMinimum": true});
		for (schema, accepted, rejected) in [
			(
				json!({"format": "date"}),
				&["\"2024-02-29\"", "\"2000-02-29\"", "\"0999-12-31\""][..],
				&["\"2023-02-29\"", "\"1900-02-29\"", "\"0000-01-01\""][..],
			),
			(json!({"format": "time"}), &["\"23:59:59Z\""], &["\"23:59:60Z\""]),
			(
				json!({"format": "date-time"}),
				&["\"2024-02-29T00:00:00.5+01:30\""],
				&["\"2023-02-29T00:00:00Z\"", "\"2024-02-29T23:59:60Z\""],
			),
			(names, &["{\"a\":null,\"b\":1}"], &["{\"\\u0061\":1}", "{\"a\":1}"]),
			(json!({"prefixItems": [{"const": 1}], "additionalItems": false}), &["[1,2]"], &["[2]"]),
			(draft("07", pair), &["[1]"], &["[1,2]", "[2]"]),
			(draft("04", above), &["2"], &["1"]),
			(json!({"const": "a\u{0}b"}), &["\"a\\u0000b\""], &["\"ab\""]),
			(json!({"type": "string", "pattern": "^a\\x7fb$"}), &["\"a\\u007fb\""], &["\"ab\""]),
			(json!(true), &["[1, {}]"], &["a"]),
		] {
			let matcher = matcher(&compiler, &schema).unwrap();
			let permits = |text: &str| {
				let mut matcher = matcher.deep_clone();
				let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
				matcher.try_consume_tokens(&tokens).unwrap() == tokens.len() && matcher.is_accepting().unwrap()
			};
			for text in accepted {
				assert!(permits(text), "{schema}: {text}");
			}
			for text in rejected {
				assert!(!permits(text), "{schema}: {text}");
			}
		}
	});
}

#[test]
fn what_no_grammar_can_hold_a_text_to_is_an_error() {
	let number = |text: &str| SchemaError::Number(serde_json::from_str(text).unwrap());
	let exact = json!({"enum": [MAX_EXACT, 0.1, 1e300, -5, "9007199254740993"], "default": u64::MAX});
	let open = json!({"required": ["a"], "minProperties": 2});
	let closed = json!({"minProperties": 3, "additionalProperties": false});
	let base = json!({"$id": "https://a.example/", "properties": {"$id": {"$ref": "#/$defs/a"}}});
	let control = json!({"properties": {"a\u{1}": {"const": "\u{1}"}}, "additionalProperties": false});
	for schema in [exact, open, closed, base, control, json!({"items": {"$id": "b"}}), json!(true)] {
		assert_eq!(check(&schema), Ok(()), "{schema}");
	}
	let inner = |key: &str| json!({"items": {key: "b", "properties": {"a": {"$ref": "#/$defs/c"}}}});
	for (schema, error) in [
		(r#"{"anyOf": [{"const": {"a": [9007199254740993]}}]}"#.into(), number("9007199254740993")),
		(r#"{"$defs": {"a": {"maximum": 0.1234567890123456}}}"#.into(), number("0.1234567890123456")),
		(r#"{"not": {"minProperties": 3, "required": ["a", "a"]}}"#.into(), SchemaError::MinProperties(3)),
		(
			r#"{"minProperties": 2, "additionalProperties": false, "patternProperties": {"a": true}}"#.into(),
			SchemaError::MinProperties(2),
		),
		(inner("$id").to_string(), SchemaError::Base("$id")),
		(inner("id").to_string(), SchemaError::Base("id")),
		(r#"{"properties": {"a": {"enum": [["\u0000"]]}}}"#.into(), SchemaError::Control),
		(r#"{"patternProperties": {"\\cA": true}, "additionalProperties": false}"#.into(), SchemaError::Control),
	] {
		assert_eq!(check(&serde_json::from_str(&schema).unwrap()), Err(error), "{schema}");
	}
}
