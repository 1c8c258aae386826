use super::*;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

const THINK: ReasoningTags = ReasoningTags { open: "<think>", close: "</think>" };
const FORMATS: [ToolFormat; 5] =
	[ToolFormat::Hermes, ToolFormat::Llama3, ToolFormat::Mistral, ToolFormat::MistralArgs, ToolFormat::Json];

fn names() -> Vec<String> {
	vec!["f".into(), "g".into()]
}

fn splitter(format: ToolFormat) -> Splitter {
	Splitter::new(Some(format), Some(THINK), false, names())
}

/// A completion as a client puts it together.
#[derive(Debug, Default, PartialEq)]
struct Whole {
	reasoning: String,
	content: String,
	calls: Vec<(String, String)>,
}

impl Whole {
	fn add(&mut self, parts: Vec<Part>) {
		for part in parts {
			match part {
				Part::Reasoning(text) => self.reasoning.push_str(&text),
				Part::Content(text) => self.content.push_str(&text),
				Part::CallStart { index, id, name } => {
					assert_eq!(index as usize, self.calls.len());
					let random = id.strip_prefix("call_").unwrap();
					assert!(random.len() == ID_LENGTH && random.chars().all(|c| c.is_ascii_alphanumeric()));
					self.calls.push((name, String::new()));
				},
				Part::CallArguments { index, delta } => {
					assert_eq!(index as usize + 1, self.calls.len());
					self.calls[index as usize].1.push_str(&delta);
				},
			}
		}
	}
}

fn whole<'a>(mut splitter: Splitter, pieces: impl IntoIterator<Item = &'a str>) -> Whole {
	let mut whole = Whole::default();
	for piece in pieces {
		let parts = splitter.push(piece);
		assert!(
			parts.iter().all(|part| !matches!(part, Part::Content(text) | Part::Reasoning(text) if text.is_empty()))
		);
		whole.add(parts);
	}
	whole.add(splitter.finish());
	assert!(splitter.finish().is_empty());
	whole
}

/// Text that is held back is read again with each character, so that this would take very long if it could be long.
#[test]
fn white_space_of_any_length_is_read_once() {
	let space = " \n".repeat(50_000);
	for format in FORMATS {
		let text = read(format, &format!("a{space}b"));
		assert_eq!(text.content, format!("a{space}b"));
		assert_eq!(read(format, &space).content, space);
		let thought = read(format, &format!("<think>a{space}b</think>c"));
		assert_eq!((thought.reasoning, thought.content), (format!("a{space}b"), "c".to_owned()));
	}
	let call = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";
	let calls = read(ToolFormat::Hermes, &format!("{space}{call}{space}{call}"));
	assert_eq!((calls.calls.len(), calls.content.trim()), (2, ""));
	let calls = read(ToolFormat::Llama3, &format!("{{\"name\": \"f\", \"parameters\": {{}}}};{space}"));
	assert_eq!(calls.calls.len(), 1);
}

/// Each of these calls ends where the one around it has text, so that all would be read once for each that is around them.
#[test]
fn calls_within_the_malformed_ends_of_calls_are_read_once() {
	let (begin, depth) = ("<tool_call>{\"name\":\"f\",\"arguments\":{}", 20_000);
	let end = format!(",\"k\":[{}{}x", format!("{begin},\"k\":[").repeat(depth), "]".repeat(3 * depth));
	let read = read(ToolFormat::Hermes, &format!("{begin}{end}"));
	assert_eq!(read.calls, [("f".to_owned(), "{}".to_owned())]);
	assert_eq!(read.content.len(), end.len());
}

fn read(format: ToolFormat, text: &str) -> Whole {
	whole(splitter(format), [text])
}

/// Asserts the content and the calls, each as its name and its arguments.
fn check(format: ToolFormat, text: &str, content: &str, calls: &[(&str, Value)]) {
	let read = read(format, text);
	assert_eq!(read.content, content, "{text}");
	let read: Vec<(&str, Value)> =
		read.calls.iter().map(|(name, text)| (name.as_str(), serde_json::from_str(text).unwrap())).collect();
	assert_eq!(read, calls, "{text}");
}

#[test]
fn calls_in_every_format() {
	let one = json!({"a": "}]\\\"</tool_call>", "b": [1, {"c": null}]});
	let none = json!({});
	let both = [("f", one.clone()), ("g", none.clone())];
	for (format, text) in [
		(
			ToolFormat::Hermes,
			"<tool_call>\n{\"name\": \"f\", \"arguments\": @}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
		),
		(
			ToolFormat::Hermes,
			"<tool_call>{\"arguments\": @, \"name\": \"f\"}</tool_call><tool_call>{\"name\": \"g\"}</tool_call>\n",
		),
		(
			ToolFormat::Hermes,
			"<tool_call>{\"name\":\"f\",\"arguments\":@,\"x\":{\"y\":[]}} <tool_call>{\"name\":\"g\",\"arguments\":null}",
		),
		(ToolFormat::Llama3, "{\"name\": \"f\", \"parameters\": @}; {\"name\": \"g\", \"parameters\": {}}"),
		(
			ToolFormat::Llama3,
			"\n<|python_tag|>{\"name\": \"f\", \"parameters\": @}\n{\"type\": \"function\", \"name\": \"g\"}",
		),
		(
			ToolFormat::Llama3,
			"{\"type\": \"function\", \"name\": \"f\", \"parameters\": @}<|python_tag|>{\"name\": \"g\", \"parameters\": \"{}\"}",
		),
		(
			ToolFormat::Mistral,
			"[TOOL_CALLS][{\"name\": \"f\", \"arguments\": @}, {\"name\": \"g\", \"arguments\": {}, \"id\": \"x\"}]",
		),
		(
			ToolFormat::Mistral,
			"[TOOL_CALLS] [ {\"name\": \"f\", \"arguments\": @} , {\"name\": \"g\", \"arguments\": {}} ] ",
		),
		(ToolFormat::Mistral, "[TOOL_CALLS]{\"name\": \"f\", \"arguments\": @}[TOOL_CALLS]{\"name\": \"g\"}"),
		(ToolFormat::MistralArgs, "[TOOL_CALLS]f[ARGS]@[TOOL_CALLS]g[ARGS]{}"),
		(ToolFormat::MistralArgs, "[TOOL_CALLS]f[CALL_ID]abc123XYZ[ARGS]@[TOOL_CALLS]g {}"),
		(ToolFormat::MistralArgs, "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": @}, {\"name\": \"g\"}]"),
		(ToolFormat::Json, "{\"name\": \"f\", \"arguments\": @}\n{\"name\": \"g\", \"arguments\": {}}"),
		(ToolFormat::Json, " [{\"name\": \"f\", \"arguments\": @}, {\"name\": \"g\", \"arguments\": {}}] "),
	] {
		check(format, &text.replace('@', &one.to_string()), "", &both);
	}
	let quoted = json!(one.to_string()).to_string();
	check(ToolFormat::Json, &format!("{{\"name\": \"f\", \"arguments\": {quoted}}}"), "", &[("f", one)]);
}

#[test]
fn content_stands_around_calls_without_the_white_space() {
	let f = [("f", json!({}))];
	check(
		ToolFormat::Hermes,
		"Let me see.\n\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n\nDone. ",
		"Let me see.Done. ",
		&f,
	);
	check(ToolFormat::Llama3, "Well: <|python_tag|>{\"name\":\"f\",\"parameters\":{}} ok", "Well:ok", &f);
	check(ToolFormat::Mistral, "So\n[TOOL_CALLS][{\"name\":\"f\",\"arguments\":{}}]", "So", &f);
	check(ToolFormat::MistralArgs, "So [TOOL_CALLS]f[ARGS]{} [x", "So[x", &f);
	check(ToolFormat::Json, "{\"name\":\"f\",\"arguments\":{}}; and", "; and", &f);
	check(ToolFormat::Hermes, "<tool_call>{\"name\":\"f\",\"arguments\":{}}}</tool_call>", "}</tool_call>", &f);
	check(ToolFormat::Hermes, "<tool_call>{\"name\":\"f\",\"arguments\":{}, \"\\x\" y", ", \"\\x\" y", &f);
}

#[test]
fn a_malformed_call_and_an_unknown_function_are_content() {
	for (format, text) in [
		(ToolFormat::Hermes, "a <tool_call> b"),
		(ToolFormat::Hermes, "<tool_call>[]</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"name\": \"h\", \"arguments\": {}}</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"name\": \"f\", \"arguments\": \"no JSON\"}</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"name\": \"f\", \"arguments\": nil}</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"arguments\": {}}</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"name\": \"f\", \"more\": {}}</tool_call>"),
		(ToolFormat::Hermes, "<tool_call>{\"name\": \"f\""),
		(ToolFormat::Hermes, "  <tool_ca"),
		(ToolFormat::Hermes, "</tool_call>"),
		(ToolFormat::Llama3, "<|python_tag|>print(1)"),
		(ToolFormat::Llama3, "{\"name\": \"Ann\", \"parameters\": {}}"),
		(ToolFormat::Llama3, "{\"answer\": 1}"),
		(ToolFormat::Mistral, "[TOOL_CALLS][]"),
		(ToolFormat::Mistral, "[TOOL_CALLS]f[ARGS]{}"),
		(ToolFormat::MistralArgs, "[TOOL_CALLS]h[ARGS]{}"),
		(ToolFormat::MistralArgs, "[TOOL_CALLS]f[ARGS]1"),
		(ToolFormat::MistralArgs, "[TOOL_CALLS]f[AR]{}"),
		(ToolFormat::MistralArgs, "[TOOL_CALLS]f"),
		(ToolFormat::Json, "[1, 2]"),
		(ToolFormat::Json, " [ {\"x\": 1} ]"),
		(ToolFormat::Json, "{}"),
		(ToolFormat::Json, "Sure: {\"name\": \"f\", \"arguments\": {}}"),
	] {
		check(format, text, text, &[]);
	}
	// The next call still counts.
	let text = "<tool_call>{\"name\" <tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";
	check(ToolFormat::Hermes, text, "<tool_call>{\"name\" ", &[("f", json!({}))]);
}

#[test]
fn reasoning_is_set_apart() {
	let hermes = Some(ToolFormat::Hermes);
	let call = "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";
	let f = || vec![("f".to_owned(), "{}".to_owned())];
	let read = |format, is_open, text: &str| whole(Splitter::new(format, Some(THINK), is_open, names()), [text]);
	let expected =
		|reasoning: &str, content: &str, calls| Whole { reasoning: reasoning.into(), content: content.into(), calls };
	for format in [None, hermes] {
		assert_eq!(read(format, false, "<think>\na <b> \n c\n</think>\n\nd "), expected("a <b> \n c", "d ", vec![]));
		assert_eq!(read(format, true, "\na\n</think>\n\nd"), expected("a", "d", vec![]));
		assert_eq!(read(format, true, "<think>\na</think>d"), expected("a", "d", vec![]));
		assert_eq!(read(format, false, "<think>\n\n</think>\n\nd"), expected("", "d", vec![]));
		assert_eq!(read(format, false, " d <think>a</think>"), expected("", " d <think>a</think>", vec![]));
		assert_eq!(read(format, false, "<thinking>a"), expected("", "<thinking>a", vec![]));
		assert_eq!(read(format, true, "a </th \n"), expected("a </th", "", vec![]));
		assert_eq!(read(format, true, "a</think>\n<think>b"), expected("a", "<think>b", vec![]));
	}
	assert_eq!(read(hermes, true, &format!("{call}</think>\n\n{call}\n")), expected(call, "", f()));
	assert_eq!(read(hermes, false, &format!("<think>a</think>\n{call}\n")), expected("a", "", f()));
	let text = "<think>a</think>\n{\"name\": \"f\", \"arguments\": {}}";
	assert_eq!(read(Some(ToolFormat::Json), false, text), expected("a", "", f()));
	let no_tags = Splitter::new(None, None, true, vec![]);
	assert_eq!(whole(no_tags, ["<think>a</think>"]), expected("", "<think>a</think>", vec![]));
}

#[test]
fn nothing_is_held_back_without_need() {
	let content = |text: &str| vec![Part::Content(text.into())];
	let mut plain = Splitter::new(None, None, false, vec![]);
	assert_eq!(plain.push(" a <think>\n "), content(" a <think>\n "));
	let mut hermes = splitter(ToolFormat::Hermes);
	assert_eq!(hermes.push("Hello"), content("Hello"));
	assert_eq!(hermes.push(" world <"), content(" world"));
	assert_eq!(hermes.push("b>"), content(" <b>"));
	assert_eq!(hermes.push("{\"name\": \"f\""), content("{\"name\": \"f\""));
	let mut json = splitter(ToolFormat::Json);
	assert_eq!(json.push("{\"answer\""), content("{\"answer\""));
	assert_eq!(json.push(": 1} \n"), content(": 1} \n"));
	let mut call = splitter(ToolFormat::Hermes);
	assert_eq!(call.push("<tool_call>\n{\"name\": \"f\", \"arguments\": "), []);
	assert!(
		matches!(call.push("{").as_slice(), [Part::CallStart { .. }, Part::CallArguments { delta, .. }] if delta == "{")
	);
	assert_eq!(call.push("\"a\": \"</"), [Part::CallArguments { index: 0, delta: "\"a\": \"</".into() }]);
	assert_eq!(call.push("\"}}\n<"), [Part::CallArguments { index: 0, delta: "\"}".into() }]);
	assert_eq!((call.push("/tool_call>\n"), call.finish(), call.calls()), (vec![], vec![], 1));
}

#[test]
fn a_call_that_breaks_off_keeps_its_arguments() {
	let read = read(ToolFormat::Hermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"b");
	assert_eq!(read.calls, [("f".to_owned(), "{\"a\": \"b".to_owned())]);
	assert_eq!(read.content, "");
}

/// Pieces of which completions are put together.
const FRAGMENTS: [&str; 36] = [
	"<tool_call>",
	"</tool_call>",
	"<think>",
	"</think>",
	"[TOOL_CALLS]",
	"[ARGS]",
	"[CALL_ID]",
	"<|python_tag|>",
	"{\"name\": \"f\", \"arguments\": {\"a\": [\"}\\\"\"]}}",
	"{\"name\":\"g\",\"parameters\":{}}",
	"{\"arguments\": {\"x\": 1}, \"name\": \"f\"}",
	"{\"name\": \"h\", \"arguments\": {}}",
	"{\"name\": \"f\"",
	", \"arguments\": ",
	"\"{\\\"a\\\": 1}\"",
	"null",
	"{",
	"}",
	"[",
	"]",
	",",
	";",
	" ",
	"\n",
	"f",
	"g",
	"\"",
	"\\",
	"<",
	"</",
	"text",
	"é",
	"日本",
	":",
	"1",
	"\u{a0}",
];

fn texts() -> impl Strategy<Value = String> {
	vec(select(FRAGMENTS.to_vec()), 0..16).prop_map(|fragments| fragments.concat())
}

/// Cuts `text` at some of its characters' boundaries.
fn cut(text: &str, seed: u64) -> Vec<&str> {
	let mut random = fastrand::Rng::with_seed(seed);
	let mut pieces = Vec::new();
	let mut rest = text;
	while let Some(c) = rest.chars().next() {
		let ends: Vec<_> = rest.char_indices().map(|(at, c)| at + c.len_utf8()).take(9).collect();
		let end = if random.bool() { c.len_utf8() } else { *random.choice(&ends).unwrap() };
		let (piece, tail) = rest.split_at(end);
		pieces.push(piece);
		rest = tail;
	}
	pieces
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(512))]

	#[test]
	fn the_result_does_not_depend_on_the_cuts(text in texts(), seed: u64, is_open: bool, has_reasoning: bool) {
		for format in FORMATS.map(Some).into_iter().chain([None]) {
			let new = || Splitter::new(format, has_reasoning.then_some(THINK), is_open, names());
			prop_assert_eq!(whole(new(), cut(&text, seed)), whole(new(), [text.as_str()]), "{:?}", format);
		}
	}

	#[test]
	fn text_without_a_call_passes_unchanged(text in texts(), seed: u64) {
		for format in FORMATS.map(Some).into_iter().chain([None]) {
			let read = whole(Splitter::new(format, None, false, vec![]), cut(&text, seed));
			prop_assert_eq!(&read.content, &text, "{:?}", format);
			prop_assert!(read.calls.is_empty());
		}
	}

	#[test]
	fn well_formed_calls_come_back(
		calls in vec((select(vec!["f", "g"]), vec((".{0,6}", ".{0,12}"), 0..4)), 1..4),
		seed: u64,
	) {
		let calls: Vec<(String, Value)> = calls.into_iter().map(|(name, pairs)| {
			let map = pairs.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
			(name.to_owned(), Value::Object(map))
		}).collect();
		for format in FORMATS {
			let object = |(name, arguments): &(String, Value)| match format {
				ToolFormat::MistralArgs => format!("[TOOL_CALLS]{name}[ARGS]{arguments}"),
				_ => json!({"name": name, format.arguments_key(): arguments}).to_string(),
			};
			let objects: Vec<_> = calls.iter().map(object).collect();
			let text = match format {
				ToolFormat::Hermes => objects.iter().map(|o| format!("<tool_call>\n{o}\n</tool_call>\n")).collect(),
				ToolFormat::Llama3 => objects.join("; "),
				ToolFormat::Mistral => format!("[TOOL_CALLS][{}]", objects.join(", ")),
				ToolFormat::MistralArgs => objects.concat(),
				ToolFormat::Json | ToolFormat::Channels => format!("[{}]", objects.join(", ")),
			};
			let read = whole(splitter(format), cut(&text, seed));
			let read_calls: Vec<(String, Value)> =
				read.calls.iter().map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap())).collect();
			prop_assert_eq!(&read_calls, &calls, "{:?}: {}", format, text);
			prop_assert_eq!(&read.content, "");
		}
	}
}
