//! Tools: the functions that a model may call, from the forms that OpenAI's APIs allow.

use super::schema;
use crate::openai::errors::ApiError;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Maximum number of tools in a request.
pub const MAX_TOOLS: usize = 128;
/// Maximum length of a function's name, in characters.
pub const MAX_NAME: usize = 64;

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
	/// Its name, unique in a request: 1 to [`MAX_NAME`] letters, digits, `_` or `-`.
	pub name: String,
	/// A text for the model.
	pub description: Option<String>,
	/// The JSON schema of its arguments, an object.
	pub parameters: Value,
	/// Whether the arguments of every call must follow the schema, even where the model is free to call or not.
	pub strict: bool,
	/// The path of the function in the request, such as `tools[0].function`.
	pub path: String,
}

impl Tool {
	/// The tool as chat templates expect it in their variable `tools`.
	pub fn to_template(&self) -> Value {
		let mut function = Map::new();
		function.insert("name".into(), self.name.clone().into());
		if let Some(description) = &self.description {
			function.insert("description".into(), description.clone().into());
		}
		function.insert("parameters".into(), self.parameters.clone());
		json!({"type": "function", "function": function})
	}
}

/// The calls that a request allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
	/// No call.
	#[default]
	None,
	/// As the model chooses: a text or calls.
	Auto,
	/// One call or more.
	Required,
	/// A call of the function with this name.
	Named(String),
}

/// The fields of a request that are about tools, as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToolFields<'a> {
	/// `tools`.
	pub tools: Option<&'a Value>,
	/// `tool_choice`.
	pub tool_choice: Option<&'a Value>,
	/// `parallel_tool_calls`.
	pub parallel_tool_calls: Option<bool>,
	/// `functions`, the older form of `tools`.
	pub functions: Option<&'a Value>,
	/// `function_call`, the older form of `tool_choice`.
	pub function_call: Option<&'a Value>,
}

/// The tools of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolSet {
	/// The functions that the model may call.
	pub tools: Vec<Tool>,
	/// The calls that are allowed. [`ToolChoice::None`] if there is no tool.
	pub choice: ToolChoice,
	/// Whether a completion may have several calls.
	pub parallel: bool,
	/// Whether the client used the older fields, so that it expects `function_call` in the response.
	pub is_older: bool,
}

impl ToolSet {
	/// Reads the tools of a request.
	///
	/// # Errors
	/// 400 with the path of the field, such as `tools[0].function.name`, when a field is malformed, a name is taken twice
	/// or the choice names a function that is not there.
	pub fn read(fields: ToolFields) -> Result<Self, ApiError> {
		let functions = list(fields.functions, "functions")?;
		let tools = list(fields.tools, "tools")?;
		if !functions.is_empty() && !tools.is_empty() {
			let message = "A request can have 'tools' or the older 'functions', and not both.";
			return Err(ApiError::invalid_value("functions", message));
		}
		let is_older = !functions.is_empty();
		let (param, sent) = if is_older { ("functions", functions) } else { ("tools", tools) };
		if sent.len() > MAX_TOOLS {
			let message = format!("'{param}' can have at most {MAX_TOOLS} elements: this request has {}.", sent.len());
			return Err(ApiError::invalid_value(param, message));
		}
		let tools = sent.iter().enumerate().map(|(index, value)| match is_older {
			true => function(value, &format!("functions[{index}]")),
			false => tool(value, &format!("tools[{index}]")),
		});
		let mut set = Self { tools: Vec::new(), choice: ToolChoice::None, parallel: !is_older, is_older };
		let mut names = BTreeSet::new();
		for tool in tools {
			let tool = tool?;
			if !names.insert(tool.name.clone()) {
				let message = format!("The name '{}' is taken: names of functions must be unique.", tool.name);
				return Err(ApiError::invalid_value(&format!("{}.name", tool.path), message));
			}
			set.tools.push(tool);
		}
		set.parallel &= fields.parallel_tool_calls.unwrap_or(true);
		match is_older {
			true => set.choose_older(fields.function_call)?,
			false => set.choose(fields.tool_choice)?,
		}
		Ok(set)
	}

	/// The names of the functions, in order.
	pub fn names(&self) -> Vec<String> {
		self.tools.iter().map(|tool| tool.name.clone()).collect()
	}

	/// Whether the model may call a function.
	pub fn may_call(&self) -> bool {
		self.choice != ToolChoice::None
	}

	fn choose(&mut self, choice: Option<&Value>) -> Result<(), ApiError> {
		const PARAM: &str = "tool_choice";
		let free = if self.tools.is_empty() { ToolChoice::None } else { ToolChoice::Auto };
		let choice = match choice {
			None | Some(Value::Null) => {
				self.choice = free;
				return Ok(());
			},
			Some(choice) => choice,
		};
		if self.tools.is_empty() && choice != "none" && choice != "auto" {
			let message = "'tool_choice' is only allowed when 'tools' are specified.";
			return Err(ApiError::invalid_value(PARAM, message));
		}
		let wrong = || {
			let message = "'tool_choice' must be 'none', 'auto', 'required', or name a function.";
			ApiError::invalid_value(PARAM, message)
		};
		let kind = choice.get("type").and_then(Value::as_str);
		self.choice = match (choice.as_str(), kind) {
			(Some("none"), _) => ToolChoice::None,
			(Some("auto"), _) => free,
			(Some("required"), _) => ToolChoice::Required,
			(None, Some("function")) => {
				let (path, name) = match choice.get("function") {
					Some(function) => ("tool_choice.function.name", function.get("name")),
					None => ("tool_choice.name", choice.get("name")),
				};
				ToolChoice::Named(self.known(name, path)?)
			},
			(None, Some("allowed_tools")) => self.allow(choice)?,
			_ => return Err(wrong()),
		};
		Ok(())
	}

	/// Keeps only the tools that a choice of type `allowed_tools` lists.
	fn allow(&mut self, choice: &Value) -> Result<ToolChoice, ApiError> {
		let (path, allowed) = match choice.get("allowed_tools") {
			Some(inner) => ("tool_choice.allowed_tools", inner),
			None => ("tool_choice", choice),
		};
		let param = format!("{path}.tools");
		let sent = list(allowed.get("tools"), &param)?;
		let names = sent.iter().enumerate().map(|(index, tool)| match tool.get("function") {
			Some(function) => self.known(function.get("name"), &format!("{param}[{index}].function.name")),
			None => self.known(tool.get("name"), &format!("{param}[{index}].name")),
		});
		let names = names.collect::<Result<BTreeSet<_>, _>>()?;
		if names.is_empty() {
			return Err(ApiError::invalid_value(&param, format!("'{param}' must not be empty.")));
		}
		let choice = match allowed.get("mode") {
			None => ToolChoice::Auto,
			Some(mode) if mode == "auto" => ToolChoice::Auto,
			Some(mode) if mode == "required" => ToolChoice::Required,
			Some(_) => {
				let param = format!("{path}.mode");
				return Err(ApiError::invalid_value(&param, format!("'{param}' must be 'auto' or 'required'.")));
			},
		};
		self.tools.retain(|tool| names.contains(&tool.name));
		Ok(choice)
	}

	fn choose_older(&mut self, choice: Option<&Value>) -> Result<(), ApiError> {
		self.choice = match choice {
			None | Some(Value::Null) => ToolChoice::Auto,
			Some(choice) if choice == "auto" => ToolChoice::Auto,
			Some(choice) if choice == "none" => ToolChoice::None,
			Some(Value::Object(choice)) => ToolChoice::Named(self.known(choice.get("name"), "function_call.name")?),
			Some(_) => {
				let message = "'function_call' must be 'none', 'auto', or name a function.";
				return Err(ApiError::invalid_value("function_call", message));
			},
		};
		Ok(())
	}

	/// The name in `value`, if a tool has it.
	fn known(&self, value: Option<&Value>, path: &str) -> Result<String, ApiError> {
		let name = name(value, path)?;
		if self.tools.iter().any(|tool| tool.name == name) {
			return Ok(name);
		}
		Err(ApiError::invalid_value(path, format!("The request has no function '{name}'.")))
	}
}

/// The elements of a list; none if the list is absent.
fn list<'a>(value: Option<&'a Value>, param: &str) -> Result<&'a [Value], ApiError> {
	match value {
		None | Some(Value::Null) => Ok(&[]),
		Some(Value::Array(list)) => Ok(list),
		Some(_) => Err(ApiError::invalid_value(param, format!("'{param}' must be a list."))),
	}
}

/// Reads an element of `tools`, in the form of either API.
fn tool(value: &Value, path: &str) -> Result<Tool, ApiError> {
	let wrong = |field: &str, message: String| Err(ApiError::invalid_value(&format!("{path}{field}"), message));
	let Value::Object(object) = value else {
		return wrong("", format!("'{path}' must be an object."));
	};
	match object.get("type").and_then(Value::as_str) {
		Some("function") => {},
		Some(kind) => {
			let kind: String = kind.chars().take(100).collect();
			return wrong(".type", format!("Tools of type '{kind}' are not supported: only functions are."));
		},
		None => return wrong(".type", format!("'{path}.type' must be 'function'.")),
	}
	match object.get("function") {
		Some(inner) => function(inner, &format!("{path}.function")),
		None if object.contains_key("name") => function(value, path),
		None => wrong(".function", format!("'{path}.function' is missing.")),
	}
}

/// Reads a function.
fn function(value: &Value, path: &str) -> Result<Tool, ApiError> {
	let wrong = |field: &str, kind: &str| {
		let param = format!("{path}{field}");
		ApiError::invalid_value(&param, format!("'{param}' must be {kind}."))
	};
	let Value::Object(object) = value else { return Err(wrong("", "an object")) };
	let tool = Tool {
		name: name(object.get("name"), &format!("{path}.name"))?,
		description: match object.get("description") {
			None | Some(Value::Null) => None,
			Some(Value::String(text)) => Some(text.clone()),
			Some(_) => return Err(wrong(".description", "a string")),
		},
		parameters: match object.get("parameters") {
			None | Some(Value::Null) => json!({"type": "object", "properties": {}}),
			Some(Value::Object(schema)) if schema.is_empty() => json!({"type": "object", "properties": {}}),
			Some(Value::Object(schema)) if schema.get("type").is_none_or(|kind| kind == "object") => {
				Value::Object(schema.clone())
			},
			Some(_) => return Err(wrong(".parameters", "a JSON schema of type 'object'")),
		},
		strict: match object.get("strict") {
			None | Some(Value::Null) => false,
			Some(Value::Bool(strict)) => *strict,
			Some(_) => return Err(wrong(".strict", "a boolean")),
		},
		path: path.to_owned(),
	};
	if tool.strict {
		let param = format!("{path}.parameters");
		let unbound = |error| ApiError::invalid_value(&param, format!("'{param}': {error}."));
		schema::check(&tool.parameters).map_err(unbound)?;
	}
	Ok(tool)
}

/// Reads the name of a function.
fn name(value: Option<&Value>, path: &str) -> Result<String, ApiError> {
	let is_valid = |name: &str| {
		let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
		(1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_allowed)
	};
	match value.and_then(Value::as_str) {
		Some(name) if is_valid(name) => Ok(name.to_owned()),
		_ => {
			let message = format!("'{path}' must have 1 to {MAX_NAME} letters, digits, '_' or '-'.");
			Err(ApiError::invalid_value(path, message))
		},
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn read(body: Value) -> Result<ToolSet, ApiError> {
		ToolSet::read(ToolFields {
			tools: body.get("tools"),
			tool_choice: body.get("tool_choice"),
			parallel_tool_calls: body.get("parallel_tool_calls").and_then(Value::as_bool),
			functions: body.get("functions"),
			function_call: body.get("function_call"),
		})
	}

	fn param(body: Value) -> String {
		read(body).unwrap_err().body().error.param.unwrap()
	}

	fn named(name: &str) -> Value {
		json!({"type": "function", "function": {"name": name}})
	}

	#[test]
	fn both_apis_and_the_older_form_give_the_same_tool() {
		let inner = json!({"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true});
		let mut flat = inner.clone();
		flat["type"] = "function".into();
		let at = |path: &str, set: &ToolSet| vec![Tool { path: path.into(), ..set.tools[0].clone() }];
		let chat = read(json!({"tools": [{"type": "function", "function": inner}]})).unwrap();
		assert_eq!(chat.tools, at("tools[0].function", &chat));
		assert_eq!(read(json!({"tools": [flat]})).unwrap().tools, at("tools[0]", &chat));
		let older = read(json!({"functions": [inner]})).unwrap();
		assert_eq!(older.tools, at("functions[0]", &chat));
		assert!(older.is_older && !older.parallel && older.choice == ToolChoice::Auto);
		assert!(!chat.is_older && chat.parallel && chat.choice == ToolChoice::Auto);
		let mut shown = inner;
		shown.as_object_mut().unwrap().remove("strict");
		assert_eq!(chat.tools[0].to_template(), json!({"type": "function", "function": shown}));
	}

	#[test]
	fn absent_fields_have_defaults() {
		let empty = json!({"type": "object", "properties": {}});
		for function in [
			json!({"name": "f"}),
			json!({"name": "f", "description": null, "parameters": null, "strict": null}),
			json!({"name": "f", "parameters": {}}),
		] {
			let set = read(json!({"tools": [{"type": "function", "function": function}]})).unwrap();
			let (name, path) = ("f".into(), "tools[0].function".into());
			let tool = Tool { name, description: None, parameters: empty.clone(), strict: false, path };
			assert_eq!(set.tools, [tool]);
		}
		for body in [json!({}), json!({"tools": []}), json!({"tools": null, "tool_choice": "auto"})] {
			let set = read(body).unwrap();
			assert!(set.tools.is_empty() && !set.may_call());
		}
	}

	#[test]
	fn a_choice_is_read_in_all_its_forms() {
		let choice = |choice: Value| read(json!({"tools": [named("a"), named("b")], "tool_choice": choice})).unwrap();
		assert_eq!(choice(json!("none")).choice, ToolChoice::None);
		assert_eq!(choice(json!("auto")).choice, ToolChoice::Auto);
		assert_eq!(choice(json!(null)).choice, ToolChoice::Auto);
		assert_eq!(choice(json!("required")).choice, ToolChoice::Required);
		assert_eq!(choice(named("b")).choice, ToolChoice::Named("b".into()));
		assert_eq!(choice(json!({"type": "function", "name": "a"})).choice, ToolChoice::Named("a".into()));
		let allowed = json!({"mode": "required", "tools": [named("b")]});
		let set = choice(json!({"type": "allowed_tools", "allowed_tools": allowed}));
		assert_eq!((set.choice.clone(), set.names()), (ToolChoice::Required, vec!["b".to_owned()]));
		let tools = json!([{"type": "function", "name": "a"}]);
		let set = choice(json!({"type": "allowed_tools", "mode": "auto", "tools": tools}));
		assert_eq!((set.choice.clone(), set.names()), (ToolChoice::Auto, vec!["a".to_owned()]));
		let older = |call: Value| read(json!({"functions": [{"name": "a"}], "function_call": call})).unwrap().choice;
		assert_eq!(older(json!("none")), ToolChoice::None);
		assert_eq!(older(json!("auto")), ToolChoice::Auto);
		assert_eq!(older(json!({"name": "a"})), ToolChoice::Named("a".into()));
		let one = read(json!({"tools": [named("a")], "parallel_tool_calls": false})).unwrap();
		assert!(!one.parallel && one.may_call());
	}

	#[test]
	fn an_error_names_the_path() {
		let function = |function: Value| json!({"tools": [named("a"), {"type": "function", "function": function}]});
		let choice = |choice: Value| json!({"tools": [named("a")], "tool_choice": choice});
		let long = "n".repeat(MAX_NAME + 1);
		let names: Vec<_> = (0..=MAX_TOOLS).map(|index| named(&format!("f{index}"))).collect();
		for (body, path) in [
			(json!({"tools": {}}), "tools"),
			(json!({"tools": names}), "tools"),
			(json!({"tools": [1]}), "tools[0]"),
			(json!({"tools": [{"function": {"name": "f"}}]}), "tools[0].type"),
			(json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
			(json!({"tools": [{"type": "function"}]}), "tools[0].function"),
			(json!({"tools": [{"type": "function", "name": "a b"}]}), "tools[0].name"),
			(function(json!(null)), "tools[1].function"),
			(function(json!({})), "tools[1].function.name"),
			(function(json!({"name": ""})), "tools[1].function.name"),
			(function(json!({"name": "é"})), "tools[1].function.name"),
			(function(json!({"name": long})), "tools[1].function.name"),
			(function(json!({"name": "a"})), "tools[1].function.name"),
			(function(json!({"name": "b", "description": 1})), "tools[1].function.description"),
			(function(json!({"name": "b", "parameters": []})), "tools[1].function.parameters"),
			(function(json!({"name": "b", "parameters": {"type": "array"}})), "tools[1].function.parameters"),
			(function(json!({"name": "b", "strict": "yes"})), "tools[1].function.strict"),
			(choice(named("z")), "tool_choice.function.name"),
			(choice(json!({"type": "function", "name": "z"})), "tool_choice.name"),
			(choice(json!({"type": "function"})), "tool_choice.name"),
			(choice(json!("any")), "tool_choice"),
			(choice(json!(1)), "tool_choice"),
			(choice(json!({"type": "allowed_tools", "tools": []})), "tool_choice.tools"),
			(choice(json!({"type": "allowed_tools", "tools": [named("z")]})), "tool_choice.tools[0].function.name"),
			(choice(json!({"type": "allowed_tools", "mode": 1, "tools": [named("a")]})), "tool_choice.mode"),
			(choice(json!({"type": "allowed_tools", "mode": "x", "tools": [named("a")]})), "tool_choice.mode"),
			(json!({"tool_choice": "required"}), "tool_choice"),
			(json!({"functions": [{"name": "f"}], "tools": [named("f")]}), "functions"),
			(json!({"functions": [{}]}), "functions[0].name"),
			(json!({"functions": [{"name": "f"}], "function_call": {"name": "g"}}), "function_call.name"),
			(json!({"functions": [{"name": "f"}], "function_call": 1}), "function_call"),
		] {
			assert_eq!(param(body.clone()), path, "{body}");
		}
	}
}
