//! Structured output: the form that a request demands of the content, from OpenAI's and vLLM's fields.

use super::schema;
use crate::openai::errors::ApiError;
use serde_json::{Value, json};

/// Maximum number of choices in `guided_choice`.
pub const MAX_CHOICES: usize = 1024;
/// Maximum length of a schema's name, in characters.
const MAX_NAME: usize = 64;

/// The form of the content.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Output {
	/// Any text.
	#[default]
	Text,
	/// JSON.
	Json {
		/// Its schema.
		schema: Value,
		/// Whether every keyword of the schema must be heeded. Otherwise those that the engine does not know are ignored.
		strict: bool,
	},
	/// A text that the regular expression matches as a whole.
	Regex(String),
	/// One of these texts.
	Choice(Vec<String>),
	/// A text of this grammar, in llguidance's variant of Lark.
	Lark(String),
}

/// The fields of a request that are about the form of the content, as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputFields<'a> {
	/// `response_format` of chat completions.
	pub response_format: Option<&'a Value>,
	/// `text.format` of responses.
	pub text_format: Option<&'a Value>,
	/// vLLM's `structured_outputs`.
	pub structured_outputs: Option<&'a Value>,
	/// vLLM's older `guided_json`: a schema, or its text.
	pub guided_json: Option<&'a Value>,
	/// vLLM's older `guided_regex`.
	pub guided_regex: Option<&'a Value>,
	/// vLLM's older `guided_choice`.
	pub guided_choice: Option<&'a Value>,
	/// vLLM's older `guided_grammar`.
	pub guided_grammar: Option<&'a Value>,
}

impl Output {
	/// Reads the form of the content, and the path of the field that demands it; it is empty for [`Output::Text`].
	///
	/// # Errors
	/// 400 with the path of the field when one is malformed, is not supported, or several demand a form.
	pub fn read(fields: OutputFields) -> Result<(Self, String), ApiError> {
		let read: [(&str, Option<&Value>, Reader); 6] = [
			("response_format", fields.response_format, response_format),
			("text.format", fields.text_format, response_format),
			("guided_json", fields.guided_json, json_schema),
			("guided_regex", fields.guided_regex, regex),
			("guided_choice", fields.guided_choice, choice),
			("guided_grammar", fields.guided_grammar, lark),
		];
		let mut given = Vec::new();
		for (param, value, reader) in read {
			if let Some(value) = value.filter(|value| !value.is_null()) {
				given.push((param.to_owned(), reader(value, param)?));
			}
		}
		if let Some(value) = fields.structured_outputs.filter(|value| !value.is_null()) {
			given.extend(structured_outputs(value, "structured_outputs")?);
		}
		only(given)
	}
}

/// Reads a field; the second argument is its path.
type Reader = fn(&Value, &str) -> Result<Output, ApiError>;

/// The only form that is not [`Output::Text`], and the path of its field.
fn only(given: Vec<(String, Output)>) -> Result<(Output, String), ApiError> {
	let mut demanding = given.into_iter().filter(|(_, output)| *output != Output::Text);
	let (param, output) = demanding.next().unwrap_or_default();
	match demanding.next() {
		None => Ok((output, param)),
		Some((param, _)) => {
			let message = format!("'{param}' is the second field that demands a form of the content: send only one.");
			Err(ApiError::invalid_value(&param, message))
		},
	}
}

/// Any JSON object.
fn json_object() -> Output {
	Output::Json { schema: json!({"type": "object"}), strict: true }
}

/// Reads a response format, in the form of either API.
fn response_format(value: &Value, param: &str) -> Result<Output, ApiError> {
	let kind = value.get("type").and_then(Value::as_str);
	match kind {
		Some("text") => Ok(Output::Text),
		Some("json_object") => Ok(json_object()),
		Some("json_schema") => {
			let (parent, object) = match value.get("json_schema") {
				Some(inner) => (format!("{param}.json_schema"), inner),
				// Chat completions have the schema one level deeper, though some clients send it here.
				None if param == "response_format" && value.get("schema").is_none() => {
					(format!("{param}.json_schema"), value)
				},
				None => (param.to_owned(), value),
			};
			check_name(object.get("name"), &format!("{parent}.name"))?;
			let path = format!("{parent}.schema");
			let schema = object.get("schema").ok_or_else(|| wrong(&path, "a JSON schema"))?;
			let strict = object.get("strict").and_then(Value::as_bool).unwrap_or(false);
			json_output(schema, &path, strict)
		},
		_ => Err(wrong(&format!("{param}.type"), "'text', 'json_object' or 'json_schema'")),
	}
}

/// Checks the name of a schema, which some clients leave out.
fn check_name(name: Option<&Value>, param: &str) -> Result<(), ApiError> {
	let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
	match name {
		None | Some(Value::Null) => Ok(()),
		Some(Value::String(name)) if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_allowed) => Ok(()),
		Some(_) => Err(wrong(param, &format!("1 to {MAX_NAME} letters, digits, '_' or '-'"))),
	}
}

/// Reads vLLM's object of forms: each with its path.
fn structured_outputs(value: &Value, param: &str) -> Result<Vec<(String, Output)>, ApiError> {
	let Value::Object(object) = value else { return Err(wrong(param, "an object")) };
	let given = object.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| {
		let path = format!("{param}.{key}");
		let output = match key.as_str() {
			"json" => json_schema(value, &path),
			"regex" => regex(value, &path),
			"choice" => choice(value, &path),
			"grammar" => lark(value, &path),
			"json_object" if *value == Value::Bool(true) => Ok(json_object()),
			// These choose among white spaces and engines.
			"json_object" | "disable_any_whitespace" | "disable_fallback" | "whitespace_pattern" => Ok(Output::Text),
			_ => Err(ApiError::unsupported(&path)),
		};
		output.map(|output| (path, output))
	});
	given.collect()
}

fn json_schema(value: &Value, param: &str) -> Result<Output, ApiError> {
	json_output(value, param, true)
}

fn json_output(value: &Value, param: &str, strict: bool) -> Result<Output, ApiError> {
	let parsed = match value {
		Value::String(text) => gonka_client::json::from_str(text).ok(),
		value => Some(value.clone()),
	};
	let schema = match parsed {
		Some(schema @ Value::Object(_)) => schema,
		Some(Value::Bool(true)) => json!({}),
		_ => return Err(wrong(param, "a JSON schema")),
	};
	if strict {
		schema::check(&schema).map_err(|error| ApiError::invalid_value(param, format!("'{param}': {error}.")))?;
	}
	Ok(Output::Json { schema, strict })
}

fn regex(value: &Value, param: &str) -> Result<Output, ApiError> {
	let text = value.as_str().ok_or_else(|| wrong(param, "a regular expression"))?;
	// The expression matches the whole text, so that these say nothing.
	let text = text.strip_prefix('^').unwrap_or(text);
	let is_anchored = text.ends_with('$') && text.bytes().rev().skip(1).take_while(|&b| b == b'\\').count() % 2 == 0;
	let text = if is_anchored { &text[..text.len() - 1] } else { text };
	Ok(Output::Regex(text.to_owned()))
}

fn choice(value: &Value, param: &str) -> Result<Output, ApiError> {
	let message = || wrong(param, &format!("a list of 1 to {MAX_CHOICES} strings"));
	let list = value.as_array().filter(|list| (1..=MAX_CHOICES).contains(&list.len())).ok_or_else(message)?;
	let texts = list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(message));
	texts.collect::<Result<_, _>>().map(Output::Choice)
}

fn lark(value: &Value, param: &str) -> Result<Output, ApiError> {
	let text = value.as_str().filter(|text| !text.trim().is_empty());
	text.map(|text| Output::Lark(text.to_owned())).ok_or_else(|| wrong(param, "a grammar in Lark"))
}

fn wrong(param: &str, kind: &str) -> ApiError {
	ApiError::invalid_value(param, format!("'{param}' must be {kind}."))
}

#[cfg(test)]
mod tests {
	use super::*;

	fn read_named(body: Value) -> Result<(Output, String), ApiError> {
		Output::read(OutputFields {
			response_format: body.get("response_format"),
			text_format: body.get("text").and_then(|text| text.get("format")),
			structured_outputs: body.get("structured_outputs"),
			guided_json: body.get("guided_json"),
			guided_regex: body.get("guided_regex"),
			guided_choice: body.get("guided_choice"),
			guided_grammar: body.get("guided_grammar"),
		})
	}

	fn read(body: Value) -> Result<Output, ApiError> {
		read_named(body).map(|(output, _)| output)
	}

	#[test]
	fn a_form_comes_with_the_field_that_demands_it() {
		for (body, field) in [
			(json!({"response_format": {"type": "text"}}), ""),
			(json!({"response_format": {"type": "json_object"}}), "response_format"),
			(json!({"text": {"format": {"type": "json_object"}}}), "text.format"),
			(json!({"response_format": {"type": "text"}, "guided_regex": "a"}), "guided_regex"),
			(json!({"structured_outputs": {"regex": null, "choice": ["a"]}}), "structured_outputs.choice"),
		] {
			assert_eq!(read_named(body.clone()).unwrap().1, field, "{body}");
		}
	}

	fn json(schema: Value, strict: bool) -> Output {
		Output::Json { schema, strict }
	}

	#[test]
	fn every_field_is_read() {
		let object = json!({"type": "object"});
		let format = json!({"name": "n", "schema": object});
		let flat = json!({"type": "json_schema", "name": "n", "schema": object, "strict": true});
		for (body, output) in [
			(json!({}), Output::Text),
			(json!({"response_format": null, "guided_json": null, "structured_outputs": {}}), Output::Text),
			(json!({"response_format": {"type": "text"}, "guided_regex": "a"}), Output::Regex("a".into())),
			(json!({"response_format": {"type": "json_object"}}), json(object.clone(), true)),
			(json!({"response_format": {"type": "json_schema", "json_schema": format}}), json(object.clone(), false)),
			(json!({"text": {"format": flat}}), json(object.clone(), true)),
			(json!({"guided_json": object}), json(object.clone(), true)),
			(json!({"guided_json": "{\"type\": \"object\"}"}), json(object.clone(), true)),
			(json!({"guided_regex": "^a\\$$"}), Output::Regex("a\\$".into())),
			(json!({"guided_regex": "a\\$"}), Output::Regex("a\\$".into())),
			(json!({"guided_choice": ["a", ""]}), Output::Choice(vec!["a".into(), String::new()])),
			(json!({"guided_grammar": "start: \"a\""}), Output::Lark("start: \"a\"".into())),
			(json!({"structured_outputs": {"json": object, "regex": null}}), json(object.clone(), true)),
			(json!({"structured_outputs": {"json_object": true, "disable_any_whitespace": true}}), json(object, true)),
			(json!({"structured_outputs": {"choice": ["a"]}}), Output::Choice(vec!["a".into()])),
			(json!({"structured_outputs": {"regex": "a|b"}}), Output::Regex("a|b".into())),
			(json!({"structured_outputs": {"grammar": "start: /a/"}}), Output::Lark("start: /a/".into())),
		] {
			assert_eq!(read(body.clone()).unwrap(), output, "{body}");
		}
	}

	#[test]
	fn an_error_names_the_path() {
		let schema = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": 1}});
		for (body, path) in [
			(json!({"response_format": "json"}), "response_format.type"),
			(json!({"response_format": {"type": "xml"}}), "response_format.type"),
			(json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema.schema"),
			(json!({"response_format": {"type": "json_schema", "schema": 1}}), "response_format.schema"),
			(json!({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}), "text.format.name"),
			(json!({"text": {"format": {"type": "json_schema", "name": "", "schema": {}}}}), "text.format.name"),
			(json!({"response_format": schema}), "response_format.json_schema.schema"),
			(json!({"text": {"format": {"type": "json_schema", "name": "n"}}}), "text.format.schema"),
			(json!({"guided_json": "{"}), "guided_json"),
			(json!({"guided_json": []}), "guided_json"),
			(json!({"guided_regex": 1}), "guided_regex"),
			(json!({"guided_choice": []}), "guided_choice"),
			(json!({"guided_choice": ["a", 1]}), "guided_choice"),
			(json!({"guided_choice": vec!["a"; MAX_CHOICES + 1]}), "guided_choice"),
			(json!({"guided_grammar": " "}), "guided_grammar"),
			(json!({"guided_json": true, "guided_regex": "a"}), "guided_regex"),
			(json!({"structured_outputs": []}), "structured_outputs"),
			(json!({"structured_outputs": {"regex": []}}), "structured_outputs.regex"),
			(json!({"structured_outputs": {"regex": "a", "json": {}}}), "structured_outputs.json"),
			(json!({"structured_outputs": {"structural_tag": "x"}}), "structured_outputs.structural_tag"),
		] {
			assert_eq!(read(body.clone()).unwrap_err().body().error.param.as_deref(), Some(path), "{body}");
		}
	}
}
