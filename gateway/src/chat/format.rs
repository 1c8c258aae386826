//! The ways in which models write calls and reasoning, found in the source of their chat templates.

use super::{
	channels::{ANALYSIS, TAGS},
	tools::{Tool, ToolChoice},
};
use serde_json::{Map, Value};

/// Name of the call's arguments in every format except [`ToolFormat::Llama3`].
const ARGUMENTS: &str = "arguments";

/// The text in which a model writes its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolFormat {
	/// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, once for each call: Qwen, Hermes.
	Hermes,
	/// `{"name": …, "parameters": {…}}` as the whole completion or after `<|python_tag|>`. Several are separated by `;`
	/// or line ends.
	Llama3,
	/// `[TOOL_CALLS][{"name": …, "arguments": {…}}, …]`.
	Mistral,
	/// `[TOOL_CALLS]name[ARGS]{…}`, once for each call, with `[CALL_ID]…` in front of `[ARGS]` for some models.
	MistralArgs,
	/// `<|channel|>commentary to=functions.name <|constrain|>json<|message|>{…}<|call|>`: gpt-oss, see [`super::channels`].
	Channels,
	/// `{"name": …, "arguments": {…}}`, or a list of such objects, as the whole completion. The template knows no tools:
	/// [`instruction`] tells the model how to call.
	Json,
}

impl ToolFormat {
	/// The format of a model with this chat template.
	///
	/// A template whose format is none of these counts as one that knows no tools.
	pub fn of_template(source: &str) -> Self {
		let has = |text: &str| source.contains(text);
		if !has("tools") {
			return Self::Json;
		}
		if has(ANALYSIS.open) {
			return Self::Channels;
		}
		if has("[TOOL_CALLS]") {
			return if has("[ARGS]") { Self::MistralArgs } else { Self::Mistral };
		}
		// Other models write tags of their own between the same outer tags.
		if has("<tool_call>") && has(ARGUMENTS) && !has("<function=") && !has("<arg_key>") {
			return Self::Hermes;
		}
		// The templates of Llama 3.2's small models have no `<|python_tag|>`.
		if has("<|python_tag|>") || (has("<|start_header_id|>") && has("\"parameters\"")) {
			return Self::Llama3;
		}
		Self::Json
	}

	/// Whether the template describes the tools, so that it gets them in its variable `tools`. Otherwise the model gets
	/// [`instruction`] as a system message.
	pub fn is_in_template(self) -> bool {
		self != Self::Json
	}

	/// The tags of the format. Text for [`super::split::Splitter`] must hold them also where they are special tokens.
	pub fn tags(self) -> &'static [&'static str] {
		match self {
			Self::Hermes => &["<tool_call>", "</tool_call>"],
			Self::Llama3 => &["<|python_tag|>"],
			Self::Mistral => &["[TOOL_CALLS]"],
			Self::MistralArgs => &["[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"],
			Self::Channels => &TAGS,
			Self::Json => &[],
		}
	}

	/// The tag that opens a call, if the format has one.
	pub fn open_tag(self) -> Option<&'static str> {
		self.tags().first().copied()
	}

	/// The name of the arguments in a call's object.
	pub fn arguments_key(self) -> &'static str {
		match self {
			Self::Llama3 => "parameters",
			Self::Hermes | Self::Mistral | Self::MistralArgs | Self::Channels | Self::Json => ARGUMENTS,
		}
	}
}

/// The tags around a model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasoningTags {
	/// The tag in front of the reasoning.
	pub open: &'static str,
	/// The tag behind the reasoning.
	pub close: &'static str,
}

/// The tags that are known.
const REASONING: [ReasoningTags; 6] = [
	ANALYSIS,
	ReasoningTags { open: "<think>", close: "</think>" },
	ReasoningTags { open: "[THINK]", close: "[/THINK]" },
	ReasoningTags { open: "<seed:think>", close: "</seed:think>" },
	ReasoningTags { open: "<reasoning>", close: "</reasoning>" },
	ReasoningTags { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
];

impl ReasoningTags {
	/// The tags of a model with this chat template; `None` if it has none that are known.
	pub fn of_template(source: &str) -> Option<Self> {
		// Templates of other models have the end of the analysis, too.
		let has = |tags: &Self| source.contains(tags.open) || *tags != ANALYSIS && source.contains(tags.close);
		REASONING.into_iter().find(has)
	}

	/// Whether a completion of `prompt` begins inside the reasoning: some templates open it themselves.
	pub fn are_open_after(&self, prompt: &str) -> bool {
		prompt.trim_end().ends_with(self.open)
	}
}

/// The text that tells a model without tools in its template which functions there are and how to call them; `None` if
/// the model may not call any.
pub fn instruction(tools: &[Tool], choice: &ToolChoice, parallel: bool) -> Option<String> {
	let callable: Vec<_> = match choice {
		ToolChoice::None => return None,
		ToolChoice::Named(name) => tools.iter().filter(|tool| tool.name == *name).collect(),
		ToolChoice::Auto | ToolChoice::Required => tools.iter().collect(),
	};
	if callable.is_empty() {
		return None;
	}
	let mut text = String::from("You can call these functions. Their parameters are JSON schemas.\n\n");
	for tool in callable {
		let mut object = Map::new();
		object.insert("name".into(), tool.name.clone().into());
		if let Some(description) = &tool.description {
			object.insert("description".into(), description.clone().into());
		}
		object.insert("parameters".into(), tool.parameters.clone());
		text.push_str(&format!("{}\n", Value::Object(object)));
	}
	text.push_str("\nTo call a function, reply with one JSON object and nothing else, in this form:\n");
	text.push_str("{\"name\": \"the function's name\", \"arguments\": {\"parameter\": \"value\"}}\n");
	if parallel {
		text.push_str("To call several functions, reply with a JSON list of such objects and nothing else.\n");
	}
	text.push_str("The result of a call comes in the next message.\n");
	match choice {
		ToolChoice::Named(name) => text.push_str(&format!("Reply with a call of '{name}' now.")),
		ToolChoice::Required => text.push_str("Reply with a call now."),
		ToolChoice::Auto | ToolChoice::None => text.push_str("If no call is needed, reply to the user with text."),
	}
	Some(text)
}

/// A call as [`ToolFormat::Json`] writes it. `arguments` is a JSON text.
pub fn json_call(name: &str, arguments: &str) -> String {
	format!("{{\"name\": {}, \"{ARGUMENTS}\": {arguments}}}", Value::from(name))
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	/// Shortened templates: only the passages that matter here, in our own words.
	const TEMPLATES: [(&str, ToolFormat); 10] = [
		("{% if tools %}<|channel|>analysis<|message|>{{ x }}<|end|>{% endif %}", ToolFormat::Channels),
		("{% for m in messages %}{{ m.content }}{% endfor %}", ToolFormat::Json),
		("{% if tools %}<tool_call>{\"name\": x, \"arguments\": y}</tool_call>{% endif %}", ToolFormat::Hermes),
		("{% if tools %}<tool_call><function=x><parameter=y>{{ arguments }}{% endif %}", ToolFormat::Json),
		("{% if tools %}<tool_call>x<arg_key>{{ arguments }}{% endif %}", ToolFormat::Json),
		("{% if tools %}{\"name\": x, \"parameters\": y}<|python_tag|>{% endif %}", ToolFormat::Llama3),
		("{% if tools %}<|start_header_id|>{\"name\": x, \"parameters\": y}{% endif %}", ToolFormat::Llama3),
		("{% if tools %}[AVAILABLE_TOOLS][TOOL_CALLS]{% endif %}", ToolFormat::Mistral),
		("{% if tools %}[AVAILABLE_TOOLS][TOOL_CALLS]{{ name }}[ARGS]{% endif %}", ToolFormat::MistralArgs),
		("{% if tools %}<|tool_call|>{{ tools }}{% endif %}", ToolFormat::Json),
	];

	#[test]
	fn the_format_is_found_in_the_template() {
		for (source, format) in TEMPLATES {
			assert_eq!(ToolFormat::of_template(source), format, "{source}");
			assert_eq!(format.is_in_template(), format.open_tag().is_some());
		}
	}

	#[test]
	fn the_reasoning_tags_are_found_in_the_template_and_at_the_prompt_s_end() {
		assert_eq!(ReasoningTags::of_template("{{ x.split('</think>') }}"), Some(REASONING[1]));
		assert_eq!(ReasoningTags::of_template("[THINK]"), Some(REASONING[2]));
		assert_eq!(ReasoningTags::of_template("<|user|>{{ x }}<|end|>"), None);
		assert_eq!(ReasoningTags::of_template("{{ messages }}"), None);
		assert!(REASONING[1].are_open_after("<|im_start|>assistant\n<think>\n"));
		assert!(!REASONING[1].are_open_after("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
		assert!(!REASONING[1].are_open_after("<|im_start|>assistant\n"));
	}

	#[test]
	fn the_instruction_lists_the_functions_that_may_be_called() {
		let tool = |name: &str| Tool {
			name: name.into(),
			description: Some(format!("about {name}")),
			parameters: json!({"type": "object"}),
			strict: false,
			path: String::new(),
		};
		let tools = [tool("first"), tool("second")];
		let auto = instruction(&tools, &ToolChoice::Auto, true).unwrap();
		assert!(auto.contains("about first") && auto.contains("about second") && auto.contains("JSON list"));
		assert!(!instruction(&tools, &ToolChoice::Required, false).unwrap().contains("JSON list"));
		let named = instruction(&tools, &ToolChoice::Named("second".into()), true).unwrap();
		assert!(!named.contains("about first") && named.ends_with("a call of 'second' now."));
		assert_eq!(instruction(&tools, &ToolChoice::None, true), None);
		assert_eq!(instruction(&[], &ToolChoice::Auto, true), None);
		assert_eq!(json_call("f", "{}"), r#"{"name": "f", "arguments": {}}"#);
	}
}
