use super::*;
use crate::chat::{
	output::OutputFields,
	split::{Part, Splitter},
	tools::ToolFields,
};
use llguidance::{
	Matcher, ParserFactory,
	api::TopLevelGrammar,
	toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie},
};
use std::sync::Arc;

/// Control tokens of the vocabulary, which follow the 256 bytes. The last one ends a text.
const CONTROL: [&str; 12] = [
	"[TOOL_CALLS]",
	"[ARGS]",
	"[CALL_ID]",
	"<|python_tag|>",
	"<tool_call>",
	"</think>",
	"<|start|>",
	"<|channel|>",
	"<|message|>",
	"<|constrain|>",
	"<|end|>",
	"<|return|>",
];

/// Further tokens, which lie across the borders of a grammar's parts.
const WORDS: [&str; 26] = [
	"{\"",
	"\":",
	" {\"",
	"\": {\"",
	"\": {",
	"name",
	"arguments",
	"1}}",
	"}}",
	"}}\n",
	"}}; ",
	"}}]",
	"{}}",
	"{}}\n",
	"}, {",
	"}]",
	"</",
	"</th",
	"ink>\n\n{\"",
	">\n\n",
	">\n{\"",
	". <",
	" <",
	"tool",
	"_call>\n",
	" }",
];

/// The token whose text is `text`, if it is one of `control`.
fn id(control: &[&str], text: &str) -> Option<u32> {
	let index = CONTROL.iter().position(|name| *name == text && control.contains(name))?;
	u32::try_from(index + 256).ok()
}

struct Case {
	format: ToolFormat,
	tools: ToolSet,
	output: Output,
	reasoning: Option<ReasoningTags>,
	is_open: bool,
	control: &'static [&'static str],
}

const THINK: Option<ReasoningTags> = Some(ReasoningTags { open: "<think>", close: "</think>" });
const MISTRAL: &[&str] = &["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"];

impl Case {
	fn new(format: ToolFormat, body: Value) -> Self {
		let tools = ToolFields {
			tools: body.get("tools"),
			tool_choice: body.get("tool_choice"),
			parallel_tool_calls: body.get("parallel_tool_calls").and_then(Value::as_bool),
			..Default::default()
		};
		let output = OutputFields {
			response_format: body.get("response_format"),
			structured_outputs: body.get("structured_outputs"),
			..Default::default()
		};
		Self {
			format,
			tools: ToolSet::read(tools).unwrap(),
			output: Output::read(output).unwrap().0,
			reasoning: None,
			is_open: false,
			control: &[],
		}
	}

	fn control(self, control: &'static [&'static str]) -> Self {
		Self { control, ..self }
	}

	fn reasoning(self, is_open: bool) -> Self {
		Self { reasoning: THINK, is_open, ..self }
	}

	fn grammar(&self) -> Option<Grammar> {
		grammar(&Setting {
			format: self.format,
			tools: &self.tools,
			output: &self.output,
			reasoning: self.reasoning,
			starts_in_reasoning: self.is_open,
			control_token: &|text| id(self.control, text),
		})
	}

	/// Asserts that the grammar accepts exactly these texts, and that the splitter finds calls in those that have some.
	fn check(&self, accepted: &[&str], rejected: &[&str]) {
		let grammar = self.grammar().unwrap();
		let matcher = matcher(&grammar);
		for text in accepted {
			assert_eq!(read(&matcher, self.control, text), Ok(true), "{text}\n{grammar:?}");
		}
		for text in rejected {
			assert_ne!(read(&matcher, self.control, text), Ok(true), "{text}\n{grammar:?}");
		}
	}

	/// The names and the arguments of the calls that the splitter finds.
	fn calls(&self, text: &str) -> (String, Vec<String>) {
		let mut splitter = Splitter::new(Some(self.format), self.reasoning, self.is_open, self.tools.names());
		let mut parts = splitter.push(text);
		parts.extend(splitter.finish());
		let (mut content, mut calls) = (String::new(), Vec::new());
		for part in parts {
			match part {
				Part::Content(text) => content.push_str(&text),
				Part::CallStart { name, .. } => calls.push(name),
				Part::CallArguments { delta, .. } => calls.last_mut().unwrap().push_str(&delta),
				Part::Reasoning(_) => {},
			}
		}
		(content, calls)
	}
}

fn environment() -> TokEnv {
	let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
	words.extend(CONTROL.map(|name| [&[0xff], name.as_bytes()].concat()));
	let end = u32::try_from(words.len()).unwrap() - 1;
	words.extend(WORDS.map(|word| word.as_bytes().to_vec()));
	let count = u32::try_from(words.len()).unwrap();
	Arc::new(ApproximateTokEnv::new(TokTrie::from(&TokRxInfo::new(count, end), &words)))
}

/// A matcher at the beginning of a completion. The grammar must compile.
fn matcher(grammar: &Grammar) -> Matcher {
	let factory = ParserFactory::new(&environment(), InferenceCapabilities::default(), &[]).unwrap();
	let parsed = match grammar {
		Grammar::JsonSchema(schema) => TopLevelGrammar::from_json_schema(schema.clone()),
		Grammar::Regex(regex) => TopLevelGrammar::from_regex(regex),
		Grammar::Lark(lark) => TopLevelGrammar::from_lark(lark.clone()),
	};
	let matcher = Matcher::new(factory.create_parser(parsed));
	assert!(!matcher.is_error(), "{:?}\n{grammar:?}", matcher.get_error());
	matcher
}

/// Whether the grammar accepts the text as a whole; the number of tokens that it accepts if it rejects one.
fn read(matcher: &Matcher, control: &[&str], text: &str) -> Result<bool, usize> {
	let mut matcher = matcher.deep_clone();
	let environment = environment();
	let mut tokens = Vec::new();
	let mut rest = text;
	while !rest.is_empty() {
		if let Some(name) = control.iter().find(|name| rest.starts_with(**name)) {
			tokens.push(id(control, name).unwrap());
			rest = &rest[name.len()..];
			continue;
		}
		let end = control.iter().filter_map(|name| rest.find(name)).min().unwrap_or(rest.len());
		tokens.extend(environment.tok_trie().greedy_tokenize(&rest.as_bytes()[..end]));
		rest = &rest[end..];
	}
	for (count, token) in tokens.into_iter().enumerate() {
		let is_allowed = matcher.compute_mask_or_eos().unwrap().is_allowed(token);
		assert_eq!(matcher.try_consume_tokens(&[token]).unwrap() == 1, is_allowed, "{text}, token {count}");
		if !is_allowed {
			return Err(count);
		}
	}
	Ok(matcher.is_accepting().unwrap())
}

/// A function `f` with a number `n`, and a function `g` without arguments.
fn tools(strict: bool) -> Value {
	let parameters = json!({
		"type": "object", "properties": {"n": {"$ref": "#/$defs/number"}}, "required": ["n"],
		"additionalProperties": false, "$defs": {"number": {"type": "integer"}},
	});
	let none = json!({"type": "object", "properties": {}, "additionalProperties": false});
	json!([
		{"type": "function", "function": {"name": "f", "parameters": parameters, "strict": strict}},
		{"type": "function", "function": {"name": "g", "parameters": none, "strict": strict}},
	])
}

fn body(choice: Value, parallel: bool, strict: bool) -> Value {
	json!({"tools": tools(strict), "tool_choice": choice, "parallel_tool_calls": parallel})
}

fn required(parallel: bool) -> Value {
	body(json!("required"), parallel, false)
}

fn auto(parallel: bool) -> Value {
	body(json!("auto"), parallel, true)
}

#[test]
fn a_request_that_demands_nothing_has_no_grammar() {
	for body in [
		json!({}),
		body(json!("auto"), true, false),
		body(json!("none"), true, true),
		json!({"response_format": {"type": "text"}}),
	] {
		assert_eq!(Case::new(ToolFormat::Hermes, body).reasoning(true).grammar(), None);
	}
}

#[test]
fn the_content_has_the_form_that_is_demanded() {
	let case = |output: Value| Case::new(ToolFormat::Json, json!({"structured_outputs": output}));
	let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
	let strict = case(json!({"json": schema}));
	assert_eq!(strict.grammar(), Some(Grammar::JsonSchema(with_options(&schema, true))));
	let good = ["{\"a\": 1}", "{\"a\":1}", "{\n  \"a\": 1\n}", "{\r\n\t\"a\": 1\r\n}"];
	strict.check(&good, &["{}", "{\"a\": \"b\"}", "a", "{\n\n\"a\": 1}", "{\"a\":  1}", "{\"a\": 1 \n}"]);
	let format =
		json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"a-keyword": 1, "oneOf": [schema]}}});
	Case::new(ToolFormat::Json, json!({"response_format": format})).check(&["{\"a\":1}"], &["1"]);
	let object = Case::new(ToolFormat::Json, json!({"response_format": {"type": "json_object"}}));
	object.check(&["{}", "{\"b\": [1, null]}"], &["[]", "1"]);
	case(json!({"regex": "^[a-c]+/\\d$"})).check(&["ab/1"], &["ab", "d/1", "ab/12"]);
	case(json!({"choice": ["a", "a b", "\"\\\n\u{7f}é", "日本"]}))
		.check(&["a", "a b", "\"\\\n\u{7f}é", "日本"], &["", "b", "a ", "日"]);
	case(json!({"choice": ["", "a"]})).check(&["", "a"], &["b"]);
	case(json!({"grammar": "start: \"a\" number\nnumber: /[0-9]+/"})).check(&["a12"], &["12"]);
}

#[test]
fn the_reasoning_in_front_is_free() {
	for (output, good, bad) in [
		(json!({"json": {"type": "object"}}), "{\"a\": 1}", "[1]"),
		(json!({"regex": "a/\n\\/[b-d]+"}), "a/\n/bd", "a"),
		(json!({"regex": ""}), "", "a"),
		(json!({"choice": ["x", "y"]}), "x", "z"),
		(json!({"grammar": "start: \"a\" number\nnumber: /[0-9]{2,4}/"}), "a12", "a1"),
	] {
		for control in [&[][..], &["</think>"][..]] {
			let case = Case::new(ToolFormat::Json, json!({"structured_outputs": output})).control(control);
			let open = case.reasoning(true);
			let (thought, wrong) = (format!("I <think>\n {bad} </th\n</think>\n\n{good}"), format!("a</think>{bad}"));
			open.check(&[&thought, &format!("</think>{good}")], &[&wrong, "a", "a</think>\n\n\n\n\n\n\n\n\n\n{"]);
			let case = Case { is_open: false, ..open };
			let (thought, wrong) = (format!("<think>{thought}"), format!("<think>{wrong}"));
			case.check(&[good, &thought], &[bad, &wrong, &format!("a</think>{good}"), "<think>a"]);
		}
	}
}

/// In each format: the control tokens, a call of `f` with 1, one of `g`, and text that the grammar puts between them.
const CALLS: [(ToolFormat, &[&str], &str, &str, &str); 8] = {
	const HERMES_F: &str = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": 1}}\n</tool_call>";
	const HERMES_G: &str = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
	const LLAMA_F: &str = "{\"name\": \"f\", \"parameters\": {\"n\": 1}}";
	const LLAMA_G: &str = "{\"name\": \"g\", \"parameters\": {}}";
	[
		(ToolFormat::Hermes, &[], HERMES_F, HERMES_G, "\n"),
		(ToolFormat::Hermes, &["<tool_call>"], HERMES_F, HERMES_G, "\n"),
		(ToolFormat::Llama3, &[], LLAMA_F, LLAMA_G, "; "),
		(ToolFormat::Llama3, &["<|python_tag|>"], LLAMA_F, LLAMA_G, "; "),
		(ToolFormat::MistralArgs, MISTRAL, "[TOOL_CALLS]f[ARGS]{\"n\": 1}", "[TOOL_CALLS]g[ARGS]{}", ""),
		(
			ToolFormat::MistralArgs,
			MISTRAL,
			"[TOOL_CALLS]f[CALL_ID]abcdef123[ARGS]{\"n\":1}",
			"[TOOL_CALLS]g[ARGS]{}",
			"",
		),
		(ToolFormat::MistralArgs, &[], "[TOOL_CALLS]f[ARGS]{\"n\": 1}", "[TOOL_CALLS]g[ARGS]{}", ""),
		(
			ToolFormat::Json,
			&[],
			"{\"name\": \"f\", \"arguments\": {\"n\": 1}}",
			"{\"name\": \"g\", \"arguments\": {}}",
			"\0",
		),
	]
};

/// Several calls in a format that puts them into a list.
fn lists() -> [(ToolFormat, &'static [&'static str], String, String); 3] {
	let f = "{\"name\": \"f\", \"arguments\": {\"n\": 1}}";
	let two = format!("[{f}, {{\"name\": \"g\", \"arguments\": {{}}}}]");
	let mistral = |text: &str| format!("[TOOL_CALLS]{text}");
	let one = format!("[{f}]");
	[
		(ToolFormat::Mistral, MISTRAL, mistral(&one), mistral(&two)),
		(ToolFormat::Mistral, &[], mistral(&one), mistral(&two)),
		(ToolFormat::Json, &[], one, two),
	]
}

#[test]
fn a_demanded_call_is_forced_in_every_format() {
	for (format, control, f, g, between) in CALLS {
		let wrong = f.replace('1', "true");
		let unknown = g.replace("g", "h");
		let both = format!("{f}{between}{g}");
		let case = |body| Case::new(format, body).control(control);
		case(required(false)).check(&[f, g], &["", "text", &wrong, &unknown, &both, &f[..f.len() - 1]]);
		let named = json!({"type": "function", "function": {"name": "g"}});
		case(body(named, false, false)).check(&[g], &[f, "text"]);
		let thought = |text: &str| format!("a {} </think>\n\n{text}", without(control, f));
		case(required(false)).reasoning(true).check(&[&thought(f)], &[f, &thought("b")]);
		assert_eq!(case(required(true)).calls(f), (String::new(), vec![format!("f{}", arguments_of(f))]));
		if between != "\0" {
			case(required(true)).check(&[f, g, &both], &["", "text", &wrong, &unknown]);
			let calls = vec![format!("f{}", arguments_of(f)), "g{}".to_owned()];
			assert_eq!(case(required(true)).calls(&both), (String::new(), calls), "{both}");
		}
	}
	for (format, control, one, two) in lists() {
		let case = |body| Case::new(format, body).control(control);
		case(required(true)).check(&[&one, &two], &["", "[]", "text"]);
		case(required(false)).check(&[], &[&two]);
		let calls = vec!["f{\"n\": 1}".to_owned(), "g{}".to_owned()];
		assert_eq!(case(required(true)).calls(&two), (String::new(), calls));
	}
	let tagged = format!("<|python_tag|>{}", CALLS[3].2);
	Case::new(ToolFormat::Llama3, required(true)).control(&["<|python_tag|>"]).check(&[&tagged], &["<|python_tag|>a"]);
}

/// The text without control tokens, which reasoning cannot have under a grammar.
fn without(control: &[&str], text: &str) -> String {
	control.iter().fold(text.to_owned(), |text, tag| text.replace(tag, ""))
}

/// The arguments of a call of `f`.
fn arguments_of(call: &str) -> &'static str {
	if call.contains("\"n\":1") { "{\"n\":1}" } else { "{\"n\": 1}" }
}

#[test]
fn strict_arguments_follow_the_schema_where_the_model_is_free() {
	for (format, control, f, g, between) in CALLS {
		let is_tagged = !matches!(format, ToolFormat::Llama3 | ToolFormat::Json);
		let wrong = f.replace('1', "true");
		let case = |body| Case::new(format, body).control(control);
		let plain = ["", "text", "text {\"a\": 1} <think> é\n\n", "<tool", " a"];
		for parallel in [false, true] {
			let case = case(auto(parallel));
			case.check(&plain, &[&wrong]);
			case.check(&[f, g], &[&f[..f.len() - 1]]);
			if is_tagged {
				case.check(&[&format!("Let me see. {f}")], &[&format!("Let me see. {wrong}")]);
			}
		}
		if between != "\0" {
			let both = format!("{f}{between}{g}");
			case(auto(true)).check(&[&both], &[&format!("{f}{between}{wrong}")]);
			case(auto(false)).check(&[], &[&both]);
		}
		let thought = |text: &str| format!("hm, {} </think>\n\n{text}", without(control, &wrong));
		case(auto(true)).reasoning(true).check(&[&thought(f), &thought("text")], &[&thought(&wrong)]);
		let thought = |text: &str| format!("<think>{}", thought(text));
		case(auto(true))
			.reasoning(false)
			.check(&[f, "text", &thought(f), &thought("text")], &[&wrong, &thought(&wrong)]);
	}
	for (format, control, one, two) in lists() {
		let case = |body| Case::new(format, body).control(control);
		let wrong = two.replace('1', "true");
		case(auto(true)).check(&[&one, &two, "text", "[1]: text"], &[&wrong]);
	}
	let tagged = |text: &str| format!("So: <|python_tag|>{text}");
	let llama = Case::new(ToolFormat::Llama3, auto(true)).control(&["<|python_tag|>"]);
	llama.check(&[&tagged(CALLS[3].2)], &[&tagged("text"), "{\"a\": 1}"]);
}

#[test]
fn the_content_has_the_form_that_is_demanded_or_there_are_calls() {
	let schema = json!({
		"type": "object", "properties": {"name": {"$ref": "#/$defs/text"}, "x": {"type": "boolean"}},
		"required": ["name"], "additionalProperties": false, "$defs": {"text": {"type": "string"}},
	});
	let content = "{\"name\": \"f\", \"x\": true}";
	for strict in [false, true] {
		for (format, control, f, g, _) in CALLS {
			let wrong = f.replace('1', "true");
			let case = |output: Value| {
				let mut body = body(json!("auto"), true, strict);
				body["structured_outputs"] = output;
				Case::new(format, body).control(control)
			};
			let json = case(json!({"json": schema}));
			json.check(&[content, "{\"name\":\"g\"}", f, g], &["text", "{\"name\": 1}", &wrong]);
			let thought = |text: &str| format!("a\n</think>\n\n{text}");
			json.reasoning(true).check(&[&thought(content), &thought(f)], &[&thought("text"), content, f]);
			case(json!({"choice": ["x", "y"]})).check(&["x", "y", f], &["z", &wrong]);
			case(json!({"regex": "[x-z]+"})).check(&["xyz", f], &["a", &wrong]);
			case(json!({"grammar": "start: \"x\" y\ny: \"y\""})).check(&["xy", f], &["x", &wrong]);
		}
	}
}

#[test]
fn arguments_are_an_object_and_unknown_keywords_are_ignored_unless_strict() {
	let parameters = json!({"properties": {"a": {"type": "string", "format": "colour", "x-order": 1}}});
	let tools = json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
	let case = Case::new(ToolFormat::Json, json!({"tools": tools, "tool_choice": "required"}));
	case.check(&["{\"name\": \"f\", \"arguments\": {\"a\": \"red\"}}"], &["{\"name\": \"f\", \"arguments\": 1}"]);
}

#[test]
fn many_tools_compile() {
	let tools: Vec<_> = (0..128).map(|index| json!({"type": "function", "name": format!("tool_{index}")})).collect();
	for format in
		[ToolFormat::Hermes, ToolFormat::Llama3, ToolFormat::Mistral, ToolFormat::MistralArgs, ToolFormat::Json]
	{
		let case = Case::new(format, json!({"tools": tools, "tool_choice": "required"}));
		case.check(&[], &["text"]);
	}
}

#[test]
fn a_model_with_channels_thinks_and_then_writes_the_form_or_the_call() {
	const CHANNELS: &[&str] = &["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>"];
	const THOUGHT: &str = "<|channel|>analysis<|message|>A <b> {\"a\": 1}.<|end|><|start|>assistant";
	let case =
		|body: Value| Case { reasoning: Some(ANALYSIS), ..Case::new(ToolFormat::Channels, body).control(CHANNELS) };
	let call = |name: &str, arguments: &str| {
		format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}")
	};
	let text = |text: &str| format!("<|channel|>final<|message|>{text}");
	let (f, g) = (call("f", "{\"n\": 1}"), call("g", "{}"));
	let after = |text: &str| format!("{THOUGHT}{text}");

	let form = json!({"response_format": {"type": "json_object"}});
	case(form).check(
		&[&text("{\"a\":1}"), &after(&text("{}"))],
		&["{}", &text("1"), &f, THOUGHT, &after("{}"), &text("{}<|end|>")],
	);
	case(json!({"structured_outputs": {"choice": ["yes", "no"]}})).check(&[&after(&text("no"))], &[&text("perhaps")]);
	let any = case(required(true));
	any.check(
		&[&f, &g, &after(&f)],
		&[&text("Hello"), &call("h", "{}"), &call("f", "{}"), &call("g", "{\"n\": 1}"), &format!("{f}{g}")],
	);
	assert_eq!(any.calls(&after(&f)), (String::new(), vec!["f{\"n\": 1}".into()]));
	let strict = case(body(json!("auto"), true, true));
	strict.check(&[&text("Hello"), &text(""), &after(&f)], &[&call("f", "{}"), "Hello"]);
	assert_eq!(strict.calls(&after(&text("Hello"))), ("Hello".into(), vec![]));
	assert_eq!(case(body(json!("auto"), true, false)).grammar(), None);
}
