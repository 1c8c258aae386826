//! Makes the grammar that a completion has to follow.
//!
//! A grammar is made if the request demands a form of the content ([`Output`]), demands a call, or leaves the model free
//! but has a function whose arguments must follow their schema (`strict`). It describes the whole completion: the
//! reasoning in front, which is free text without control tokens, and then the content or the calls, in the text of the
//! model's [`ToolFormat`].

use super::{
	channels::{ANALYSIS, RECIPIENT, TAGS},
	format::{ReasoningTags, ToolFormat},
	output::Output,
	schema,
	tools::{Tool, ToolChoice, ToolSet},
};
use gonka_client::worker_api::Grammar;
use serde_json::{Map, Value, json};

/// Everything that a grammar depends on.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
	/// The text in which the model writes calls.
	pub format: ToolFormat,
	/// The tools, and the calls that are allowed.
	pub tools: &'a ToolSet,
	/// The form of the content.
	pub output: &'a Output,
	/// The tags of the model's reasoning.
	pub reasoning: Option<ReasoningTags>,
	/// Whether the prompt ends inside the reasoning.
	pub starts_in_reasoning: bool,
	/// The id of the control token with this text; `None` if the model writes the text with ordinary tokens. Tokens that a
	/// vocabulary added without making them control tokens count as ordinary.
	pub control_token: &'a dyn Fn(&str) -> Option<u32>,
}

/// The grammar of a completion; `None` if every text will do.
pub fn grammar(setting: &Setting) -> Option<Grammar> {
	let tools: Vec<&Tool> = match &setting.tools.choice {
		ToolChoice::None => Vec::new(),
		ToolChoice::Auto | ToolChoice::Required => setting.tools.tools.iter().collect(),
		ToolChoice::Named(name) => setting.tools.tools.iter().filter(|tool| tool.name == *name).collect(),
	};
	let lark = Lark { setting, tools };
	if setting.reasoning == Some(ANALYSIS) {
		return lark.in_channels();
	}
	let body = match setting.tools.choice {
		_ if lark.tools.is_empty() => lark.output()?,
		ToolChoice::Required | ToolChoice::Named(_) => Body::Rules(lark.calls_only()),
		_ if *setting.output != Output::Text => lark.output_or_calls(),
		_ if lark.tools.iter().any(|tool| tool.strict) => Body::Free(lark.text_or_calls()),
		_ => return None,
	};
	Some(lark.after_reasoning(body))
}

/// The grammars of the tools, each by itself, with the paths of their schemas: one that cannot be used shows which tool is wrong.
pub fn of_each_tool(setting: &Setting) -> Vec<(String, Grammar)> {
	let choice = match &setting.tools.choice {
		ToolChoice::Auto => ToolChoice::Required,
		choice => choice.clone(),
	};
	let alone = |tool: &Tool| {
		let tools = ToolSet { tools: vec![tool.clone()], choice: choice.clone(), ..ToolSet::default() };
		let grammar = grammar(&Setting { tools: &tools, output: &Output::Text, ..*setting })?;
		Some((format!("{}.parameters", tool.path), grammar))
	};
	setting.tools.tools.iter().filter_map(alone).collect()
}

/// A grammar without the reasoning in front.
enum Body {
	/// A grammar by itself.
	Whole(Grammar),
	/// Rules in Lark, the first of which is `body`.
	Rules(String),
	/// The same, where `body` may begin with any white space.
	Free(String),
}

/// The rule of free text.
const TEXT: &str = "TEXT: /(?s:.+)/\n";
/// The rule of a little white space.
const SPACE: &str = "SPACE: /[ \\t\\r\\n]{1,8}/\n";

/// The white space between two tokens of JSON: as much as indented JSON has. Some models never leave off where any is allowed.
const JSON_SPACE: &str = r" |\r?\n( {0,32}|\t{0,8})";

/// The characters behind a backslash in JSON's strings: without `u`, each text is written in one way.
const JSON_ESCAPES: &str = r#"nrbtf"\"#;
/// The same with `u`.
const ALL_JSON_ESCAPES: &str = r#"nrbtf"\u"#;

struct Lark<'a> {
	setting: &'a Setting<'a>,
	/// The functions that may be called.
	tools: Vec<&'a Tool>,
}

impl Lark<'_> {
	/// Puts the reasoning in front of `body`.
	fn after_reasoning(&self, body: Body) -> Grammar {
		let Some(tags) = self.setting.reasoning else {
			return match body {
				Body::Whole(grammar) => grammar,
				Body::Rules(rules) | Body::Free(rules) => Grammar::Lark(format!("start: body\n{rules}")),
			};
		};
		let (rules, space) = match body {
			Body::Whole(grammar) => (format!("body: {}\n{SPACE}", inline(&grammar)), "SPACE? "),
			Body::Rules(rules) => (format!("{rules}{SPACE}"), "SPACE? "),
			Body::Free(rules) => (rules, ""),
		};
		// A tag that is text ends a lazy lexeme, so that nothing else can match it.
		let rest = match (self.setting.control_token)(tags.close) {
			Some(id) => format!("thoughts: THOUGHT? <[{id}]>\nTHOUGHT: /(?s:.+)/\n"),
			None => format!("thoughts[lazy]: THOUGHT {}\nTHOUGHT: /(?s:.*)/\n", quoted(tags.close)),
		};
		let start = if self.setting.starts_in_reasoning {
			format!("start: thoughts {space}body\n")
		} else {
			let open = match (self.setting.control_token)(tags.open) {
				Some(id) => format!("open: <[{id}]>\n"),
				None => format!("open[lazy]: {}\n", quoted(tags.open)),
			};
			format!("start: (open thoughts {space})? body\n{open}")
		};
		Grammar::Lark(format!("{start}{rest}{rules}"))
	}

	/// The grammar for a model with channels: thoughts, and then the content or a call.
	fn in_channels(&self) -> Option<Grammar> {
		let has_tools = !self.tools.is_empty();
		let (content, mut rules) = match (self.output(), &self.setting.tools.choice) {
			(_, ToolChoice::Required | ToolChoice::Named(_)) if has_tools => (None, String::new()),
			(Some(Body::Whole(grammar)), _) => (Some("body"), format!("body: {}\n", inline(&grammar))),
			(Some(Body::Rules(rules) | Body::Free(rules)), _) => (Some("body"), rules),
			(None, _) if self.tools.iter().any(|tool| tool.strict) => (Some("TEXT?"), TEXT.to_owned()),
			(None, _) => return None,
		};
		let [start, channel, message, constrain, end, ..] = TAGS.map(|tag| self.tag(tag));
		let mut forms: Vec<String> =
			content.into_iter().map(|text| format!("{channel} \"final\" {message} {text}")).collect();
		for (index, tool) in self.tools.iter().enumerate() {
			let header = quoted(&format!("commentary {RECIPIENT}{} ", tool.name));
			let schema = with_options(&arguments(tool), tool.strict);
			rules
				.push_str(&format!("call_{index}: {channel} {header} {constrain} \"json\" {message} %json {schema}\n"));
			forms.push(format!("call_{index}"));
		}
		let thoughts = match (self.setting.control_token)(ANALYSIS.close) {
			Some(_) => format!("thoughts: THOUGHT? {end}\nTHOUGHT: /(?s:.+)/\n"),
			None => format!("thoughts[lazy]: THOUGHT {end}\nTHOUGHT: /(?s:.*)/\n"),
		};
		Some(Grammar::Lark(format!(
			"start: ({channel} \"analysis\" {message} thoughts {start} \"assistant\")? ({})\n{thoughts}{rules}",
			forms.join(" | ")
		)))
	}

	/// The content in the form that the request demands; `None` if it demands none.
	fn output(&self) -> Option<Body> {
		let grammar = match self.setting.output {
			Output::Text => return None,
			Output::Json { schema, strict } => Grammar::JsonSchema(with_options(schema, *strict)),
			Output::Regex(regex) => Grammar::Regex(regex.clone()),
			Output::Choice(choices) => {
				let choices: Vec<_> = choices.iter().map(|choice| quoted(choice)).collect();
				return Some(Body::Rules(format!("body: {}\n", choices.join(" | "))));
			},
			Output::Lark(grammar) => Grammar::Lark(grammar.clone()),
		};
		Some(Body::Whole(grammar))
	}

	/// Calls and nothing else.
	fn calls_only(&self) -> String {
		let (calls, rules) = self.calls();
		let calls = match self.open() {
			Some(open) if self.setting.format != ToolFormat::Llama3 => {
				let more =
					if self.repeats() { format!(" ({} {open} {calls})*", self.between()) } else { String::new() };
				format!("{open} {calls}{more}")
			},
			Some(open) => format!("{open}? {calls}"),
			None => calls,
		};
		format!("body: {calls}\n{rules}")
	}

	/// Free text, and calls after it or in place of it.
	fn text_or_calls(&self) -> String {
		let (calls, rules) = self.calls();
		if self.is_tagged() {
			let tag = self.setting.format.open_tag().unwrap_or_default();
			let head = match (self.setting.control_token)(tag) {
				Some(id) => format!("head: TEXT? <[{id}]>\n"),
				None => format!("head[lazy]: ANY {}\nANY: /(?s:.*)/\n", quoted(tag)),
			};
			let body = match self.repeats() {
				true => format!("(head {calls})* TEXT?"),
				false => format!("TEXT? | head {calls}"),
			};
			return format!("body: {body}\n{head}{TEXT}{rules}");
		}
		// A text that begins like a call would be one.
		let plain = match self.setting.format {
			ToolFormat::Json => r"PLAIN: /[ \t\r\n]*([^{\[ \t\r\n](?s:.*)|\[[ \t\r\n]*[^{ \t\r\n](?s:.*))/",
			_ => r"PLAIN: /[ \t\r\n]*[^{ \t\r\n](?s:.*)/",
		};
		let tagged = self.open().map(|open| format!(" | (PLAIN | SPACE)? {open} {calls}")).unwrap_or_default();
		format!("body: PLAIN? | SPACE? {calls}{tagged}\n{plain}\n{SPACE}{rules}")
	}

	/// The content in the form that the request demands, or calls.
	fn output_or_calls(&self) -> Body {
		if let (false, Output::Json { schema, strict }) = (self.is_tagged(), self.setting.output) {
			return Body::Whole(Grammar::JsonSchema(self.joined(schema, *strict)));
		}
		let calls = self.calls_only().replacen("body: ", "calls: ", 1);
		match self.output() {
			Some(Body::Whole(grammar)) => Body::Rules(format!("body: {} | calls\n{calls}", inline(&grammar))),
			Some(Body::Rules(rules) | Body::Free(rules)) => {
				Body::Rules(format!("body: output | calls\n{}{calls}", rules.replacen("body: ", "output: ", 1)))
			},
			None => Body::Rules(calls),
		}
	}

	/// One schema for the content and for calls without a tag, since a parser cannot tell apart two that begin alike.
	fn joined(&self, content: &Value, strict: bool) -> Value {
		let mut definitions = Map::new();
		let mut forms = vec![json!({"$ref": "#/$defs/content"})];
		definitions.insert("content".into(), moved(content.clone(), "#/$defs/content"));
		for (index, tool) in self.tools.iter().enumerate() {
			let key = format!("arguments_{index}");
			let path = format!("#/$defs/{key}");
			let mut properties = Map::new();
			properties.insert("name".into(), json!({"const": tool.name}));
			properties.insert(self.setting.format.arguments_key().into(), json!({"$ref": path}));
			let required: Vec<_> = properties.keys().cloned().collect();
			forms.push(json!({
				"type": "object", "properties": properties, "required": required, "additionalProperties": false,
			}));
			definitions.insert(key, moved(arguments(tool), &path));
		}
		let is_strict = strict && self.tools.iter().all(|tool| tool.strict);
		with_options(&json!({"anyOf": forms, "$defs": definitions}), is_strict)
	}

	/// The calls behind the opening tag, as an expression, and the rules that it needs.
	fn calls(&self) -> (String, String) {
		let format = self.setting.format;
		let key = format.arguments_key();
		let line = if format == ToolFormat::Hermes { "\n" } else { "" };
		let mut names = Vec::new();
		let mut rules = String::new();
		for (index, tool) in self.tools.iter().enumerate() {
			let schema = with_options(&arguments(tool), tool.strict);
			let head = match format {
				ToolFormat::MistralArgs => format!("{} mark", quoted(&tool.name)),
				_ => quoted(&format!("{line}{{\"name\": {}, \"{key}\": ", Value::from(tool.name.as_str()))),
			};
			rules.push_str(&format!("call_{index}: {head} %json {schema}\n"));
			names.push(format!("call_{index}"));
		}
		let calls = format!("({})", names.join(" | "));
		if format == ToolFormat::MistralArgs {
			let id = (self.setting.control_token)("[CALL_ID]");
			let id = id.map(|id| format!("(<[{id}]> /[a-zA-Z0-9]{{9}}/)? ")).unwrap_or_default();
			rules.push_str(&format!("mark: {id}{}\n", self.tag("[ARGS]")));
			return (calls, rules);
		}
		rules.push_str(&format!("call: {calls} {}\n", quoted(&format!("}}{line}"))));
		let several = |separator: &str| match self.setting.tools.parallel {
			true => format!("call ({} call)*", quoted(separator)),
			false => "call".into(),
		};
		let calls = match format {
			ToolFormat::Hermes => format!("call {}", self.tag("</tool_call>")),
			ToolFormat::Llama3 => several("; "),
			ToolFormat::Json | ToolFormat::Channels if !self.setting.tools.parallel => "call".into(),
			ToolFormat::Json | ToolFormat::Channels => format!("(call | \"[\" {} \"]\")", several(", ")),
			ToolFormat::Mistral | ToolFormat::MistralArgs => format!("\"[\" {} \"]\"", several(", ")),
		};
		(calls, rules)
	}

	/// Whether every call begins with a tag.
	fn is_tagged(&self) -> bool {
		matches!(self.setting.format, ToolFormat::Hermes | ToolFormat::Mistral | ToolFormat::MistralArgs)
	}

	/// Whether the opening tag comes again for the next call, and there may be one.
	fn repeats(&self) -> bool {
		let has_own_tag = matches!(self.setting.format, ToolFormat::Hermes | ToolFormat::MistralArgs);
		self.setting.tools.parallel && has_own_tag
	}

	/// The text between a call and the opening tag of the next one.
	fn between(&self) -> &'static str {
		if self.setting.format == ToolFormat::Hermes { "\"\\n\"" } else { "" }
	}

	/// The opening tag as an expression. Llama's is left out where the vocabulary does not have it.
	fn open(&self) -> Option<String> {
		let tag = self.setting.format.open_tag()?;
		let is_optional = self.setting.format == ToolFormat::Llama3;
		if is_optional && (self.setting.control_token)(tag).is_none() {
			return None;
		}
		Some(self.tag(tag))
	}

	/// A tag as an expression.
	fn tag(&self, tag: &str) -> String {
		// By its id, because the syntax has no names with brackets.
		(self.setting.control_token)(tag).map_or_else(|| quoted(tag), |id| format!("<[{id}]>"))
	}
}

/// The schema of a function's arguments, which are an object.
fn arguments(tool: &Tool) -> Value {
	let mut schema = tool.parameters.clone();
	if let Value::Object(map) = &mut schema
		&& !map.contains_key("type")
	{
		map.insert("type".into(), "object".into());
	}
	schema
}

/// A schema with the engine's options: little white space, one way to write each string if that is possible, so that a name
/// cannot be passed off as another one, and unless it is strict, keywords that the engine does not know are ignored.
fn with_options(schema: &Value, strict: bool) -> Value {
	const OPTIONS: &str = "x-guidance";
	let needs_escapes = schema::needs_escapes(schema);
	let mut schema = schema::rewritten(schema.clone());
	if let Value::Object(map) = &mut schema
		&& !map.contains_key(OPTIONS)
	{
		let escapes = if needs_escapes { ALL_JSON_ESCAPES } else { JSON_ESCAPES };
		let mut options = json!({"whitespace_pattern": JSON_SPACE, "json_allowed_escapes": escapes});
		if !strict {
			options["lenient"] = true.into();
		}
		map.insert(OPTIONS.into(), options);
	}
	schema
}

/// Changes the references in a schema that is moved to `path`.
fn moved(mut schema: Value, path: &str) -> Value {
	match &mut schema {
		Value::Object(map) => {
			for (key, value) in map.iter_mut() {
				match value {
					Value::String(text) if key == "$ref" && text.starts_with('#') => {
						*text = format!("{path}{}", &text[1..]);
					},
					value => *value = moved(value.take(), path),
				}
			}
		},
		Value::Array(list) => list.iter_mut().for_each(|value| *value = moved(value.take(), path)),
		_ => {},
	}
	schema
}

/// A grammar as an expression in Lark.
fn inline(grammar: &Grammar) -> String {
	match grammar {
		Grammar::JsonSchema(schema) => format!("%json {schema}"),
		Grammar::Regex(regex) if regex.is_empty() => "\"\"".into(),
		Grammar::Regex(regex) => format!("/{}/", pattern(regex)),
		Grammar::Lark(rules) => format!("%lark {{\n{rules}\n}}"),
	}
}

/// A regular expression between slashes.
fn pattern(regex: &str) -> String {
	let mut out = String::with_capacity(regex.len());
	let mut is_escaped = false;
	for c in regex.chars() {
		match c {
			'/' if !is_escaped => out.push_str("\\/"),
			// A line end behind a backslash stands for itself, too.
			'\n' if is_escaped => out.push('n'),
			'\n' => out.push_str("\\n"),
			c => out.push(c),
		}
		is_escaped = c == '\\' && !is_escaped;
	}
	out
}

/// A literal in Lark, which has JSON's escapes.
fn quoted(text: &str) -> String {
	Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests;
