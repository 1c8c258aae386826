//! A client's request, validated once. The relay dispatches it without looking at its parameters again.

use super::{
	errors::ApiError,
	fields::Fields,
	infill::infill,
	limits::Limits,
	prompt::{MAX_PROMPTS, Reader},
	reading::{Best, Reading, shown},
	sampling::{MAX_COMPLETIONS, MAX_TOP, Sampling},
	unsupported,
};
use crate::{
	bound::Form,
	chat::{
		format::{ReasoningTags, ToolFormat, instruction},
		grammar::{Setting, grammar, of_each_tool},
		messages,
		output::{Output, OutputFields},
		tools::{ToolChoice, ToolFields, ToolSet},
	},
	gateway::Gateway,
	snapshot::Model,
	tokenizers::Opened,
};
use gonka_client::worker_api::{Grammar, InferenceRequest, MAX_GRAMMAR_BYTES};
use gonka_tokenizer::{ChatOptions, GrammarCompiler, Tokenizer};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Maximum length of a request's body, in bytes.
pub const MAX_BODY: usize = 16 << 20;
/// Minimum number of completion tokens that the gateway chooses for a request without a maximum.
pub const MIN_COMPLETION: u32 = 16;
/// Maximum number of completion tokens of a request to `/v1/completions` that names none. OpenAI's default.
const DEFAULT_TEXT_COMPLETION: u32 = 16;
/// Number of a prompt's last tokens in which a template may open the reasoning.
const PROMPT_END: usize = 32;

/// The endpoint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
	/// `/v1/chat/completions`.
	Chat,
	/// `/v1/completions`.
	Text,
}

/// A validated request.
#[derive(Clone, Debug)]
pub struct ValidRequest {
	/// The endpoint.
	pub endpoint: Endpoint,
	/// The model's name as the client wrote it.
	pub model: String,
	/// Whether the response is a stream.
	pub stream: bool,
	/// Whether the stream ends with the usage.
	pub include_usage: bool,
	/// A completion to produce for each choice of the response.
	pub prompts: Vec<Prompt>,
	/// How the completions are read.
	pub reading: Arc<Reading>,
}

/// A prompt with everything that its dispatch needs.
#[derive(Clone, Debug)]
pub struct Prompt {
	/// The model on chain.
	pub model: Arc<Model>,
	/// The model's tokenizer.
	pub tokenizer: Arc<Tokenizer>,
	/// The body that a worker gets.
	pub body: InferenceRequest,
	/// The form that the completion must have, if it must have one.
	pub form: Option<Form>,
	/// The seed of the envelope.
	pub seed: u64,
	/// Maximum number of completion tokens; 0 for an embedding.
	pub max_tokens: u32,
	/// Whether the gateway chose `max_tokens`, so that it may lower it.
	pub is_adjustable: bool,
}

impl Prompt {
	/// Whether an embedding is wanted, and no completion.
	pub fn is_embedding(&self) -> bool {
		self.tokenizer.pooling().is_some()
	}

	/// Number of its tokens.
	pub fn tokens(&self) -> u32 {
		u32::try_from(self.body.prompt.len()).unwrap_or(u32::MAX)
	}

	/// Whether a token ends the completion, whatever its text.
	pub fn ends(&self, id: u32) -> bool {
		let is_end = !self.body.ignore_eos && self.tokenizer.eos().contains(&id);
		is_end || self.body.stop_token_ids.contains(&id)
	}
}

/// A chat as all endpoints for chats understand it.
#[derive(Debug)]
pub struct Chat {
	/// The model's name as the client wrote it.
	pub model: String,
	/// The messages, in the form of chat completions.
	pub messages: Vec<Value>,
	/// Whether the prompt ends with the beginning of the assistant's message.
	pub add_generation_prompt: bool,
	/// The functions that the model may call.
	pub tools: ToolSet,
	/// The form that the content must have.
	pub output: Output,
	/// Path of the field that demands this form; empty if none does.
	pub output_field: String,
	/// Variables for the model's template.
	pub variables: Map<String, Value>,
	/// The parameters that choose tokens.
	pub sampling: Sampling,
	/// Maximum number of completion tokens, if the client named one.
	pub max_tokens: Option<u32>,
	/// Name of the field with this maximum.
	pub max_tokens_field: &'static str,
	/// Number of likeliest tokens whose log probabilities are reported; `None` for no log probabilities.
	pub logprobs: Option<u8>,
	/// Whether the response is a stream.
	pub stream: bool,
	/// Whether the stream ends with the usage.
	pub include_usage: bool,
}

impl Chat {
	/// Reads a request to `/v1/chat/completions`.
	///
	/// # Errors
	/// 400 with the name of the field that is wrong.
	pub fn read(fields: &Fields) -> Result<Self, ApiError> {
		let [tools, tool_choice, functions, function_call] =
			values(fields, ["tools", "tool_choice", "functions", "function_call"])?;
		let tools = ToolSet::read(ToolFields {
			tools: tools.as_ref(),
			tool_choice: tool_choice.as_ref(),
			parallel_tool_calls: fields.flag("parallel_tool_calls")?,
			functions: functions.as_ref(),
			function_call: function_call.as_ref(),
		})?;
		let max_tokens_field = if fields.has("max_completion_tokens") { "max_completion_tokens" } else { "max_tokens" };
		let (output, output_field) = output(fields)?;
		let top = fields.integer("top_logprobs", 0..=MAX_TOP)?;
		let logprobs = match fields.flag("logprobs")?.unwrap_or(false) {
			true => Some(top.unwrap_or(0) as u8),
			false if top.is_some_and(|top| top > 0) => {
				return Err(ApiError::invalid_value("top_logprobs", "'top_logprobs' needs 'logprobs': true."));
			},
			false => None,
		};
		Ok(Self {
			model: fields.required_text("model")?,
			messages: list(fields, "messages")?,
			add_generation_prompt: true,
			tools,
			output,
			output_field,
			variables: variables(fields)?,
			sampling: Sampling::read(fields)?,
			max_tokens: max_tokens(fields, max_tokens_field)?,
			max_tokens_field,
			logprobs,
			stream: fields.flag("stream")?.unwrap_or(false),
			include_usage: includes_usage(fields)?,
		})
	}

	/// The same chat without limits of its completion, for a prompt that is only counted.
	pub fn without_completion(mut self) -> Self {
		self.max_tokens = Some(1);
		self.sampling.body.min_tokens = 0;
		self
	}

	/// Makes the prompt, and everything that its dispatch needs.
	///
	/// # Errors
	/// 400 when the model cannot honour the request, 404 or 503 when it is unknown or not served.
	pub fn prepare(self, gateway: &Gateway) -> Result<ValidRequest, ApiError> {
		if self.messages.is_empty() {
			return Err(ApiError::invalid_value("messages", "'messages' must not be empty."));
		}
		let target = Target::new(gateway, &self.model)?.that_embeds(false)?;
		let tokenizer = &*target.tokenizer;
		self.sampling.check_ids(tokenizer.vocab_size())?;
		let template = tokenizer.template().ok_or_else(|| {
			let message = "The model was not made for chats, since it has no template: send texts to /v1/completions.";
			ApiError::invalid_value("model", message)
		})?;
		let format = ToolFormat::of_template(template);
		let mut messages = messages::convert(&self.messages, format)?;
		let mut variables = self.variables;
		if self.tools.may_call() {
			if format.is_in_template() {
				let tools = self.tools.tools.iter().map(|tool| tool.to_template()).collect();
				variables.insert("tools".into(), Value::Array(tools));
			} else if let Some(text) = instruction(&self.tools.tools, &self.tools.choice, self.tools.parallel) {
				messages::add_to_system(&mut messages, &text);
			}
		}
		let reader = target.reader();
		let add_generation_prompt = self.add_generation_prompt;
		let prompt = reader.chat(messages, &ChatOptions { add_generation_prompt, variables })?;

		let reasoning = ReasoningTags::of_template(template);
		let end =
			tokenizer.decode_with_special(prompt.get(prompt.len().saturating_sub(PROMPT_END)..).unwrap_or_default());
		let starts_in_reasoning = reasoning.is_some_and(|tags| tags.are_open_after(&end));
		let setting = Setting {
			format,
			tools: &self.tools,
			output: &self.output,
			reasoning,
			starts_in_reasoning,
			control_token: &|text| tokenizer.special_id(text),
		};
		let reading = Reading {
			format: self.tools.may_call().then_some(format),
			reasoning,
			starts_in_reasoning,
			names: self.tools.names(),
			is_single: !self.tools.parallel,
			must_call: matches!(self.tools.choice, ToolChoice::Required | ToolChoice::Named(_)),
			is_older: self.tools.is_older,
			logprobs: self.logprobs,
			shown: shown(tokenizer, self.tools.may_call().then_some(format), reasoning),
			best: None,
			echo: Vec::new(),
			tokenizer: target.tokenizer.clone(),
		};
		let body = InferenceRequest { grammar: grammar(&setting), logprobs: self.logprobs, ..self.sampling.body };
		let sampling = Sampling { body, ..self.sampling };
		let limits = Limits {
			given: self.max_tokens,
			field: self.max_tokens_field,
			default: gateway.options.default_max_tokens,
			least: sampling.body.min_tokens,
			prompt_field: "messages",
		};
		let form_field = match self.output {
			Output::Text if self.tools.is_older => "functions",
			Output::Text => "tools",
			_ => self.output_field.as_str(),
		};
		let form = target.form(&sampling.body, form_field, || of_each_tool(&setting))?;
		Ok(ValidRequest {
			endpoint: Endpoint::Chat,
			prompts: target.prompts(vec![prompt], &sampling, limits, form)?,
			model: self.model,
			stream: self.stream,
			include_usage: self.include_usage,
			reading: Arc::new(reading),
		})
	}
}

impl ValidRequest {
	/// Validates a request to `/v1/chat/completions`.
	///
	/// # Errors
	/// See [`Chat::read`] and [`Chat::prepare`].
	pub fn chat(gateway: &Gateway, fields: &Fields) -> Result<Self, ApiError> {
		if !gateway.options.ignore_unsupported {
			unsupported::check_chat(fields)?;
		}
		Chat::read(fields)?.prepare(gateway)
	}

	/// Validates a request to `/v1/completions`.
	///
	/// # Errors
	/// 400 with the name of the field that is wrong, 404 or 503 when the model is unknown or not served.
	pub fn text(gateway: &Gateway, fields: &Fields) -> Result<Self, ApiError> {
		let model = fields.required_text("model")?;
		let mut sampling = Sampling::read(fields)?;
		let stream = fields.flag("stream")?.unwrap_or(false);
		let keep = sampling.n;
		sampling.n = best_of(fields, keep, stream)?;
		let max_tokens = max_tokens(fields, "max_tokens")?;
		let logprobs = fields.integer("logprobs", 0..=MAX_TOP)?.map(|top| top as u8);
		let (output, output_field) = output(fields)?;
		let prompt = fields.value("prompt")?;
		let target = Target::new(gateway, &model)?.that_embeds(false)?;
		let tokenizer = &*target.tokenizer;
		sampling.check_ids(tokenizer.vocab_size())?;
		let prompts = target.reader().texts(prompt)?;
		check_number(prompts.len(), sampling.n)?;
		let does_echo = fields.flag("echo")?.unwrap_or(false);
		if does_echo && logprobs.is_some() {
			let message =
				"'echo' with 'logprobs' is not supported: hosts report log probabilities of completions only.";
			return Err(ApiError::invalid_value("echo", message));
		}
		let echoed = if does_echo { prompts.clone() } else { Vec::new() };
		let prompts = match fields.text("suffix")?.filter(|suffix| !suffix.is_empty()) {
			Some(suffix) if !gateway.options.ignore_unsupported || infill(tokenizer, &[], "").is_ok() => {
				target.reader().check_length(suffix.len()).map_err(|error| error.about("suffix"))?;
				infill(tokenizer, &prompts, &suffix)?
			},
			_ => prompts,
		};
		let grammar = grammar(&Setting {
			format: ToolFormat::Json,
			tools: &ToolSet::default(),
			output: &output,
			reasoning: None,
			starts_in_reasoning: false,
			control_token: &|text| tokenizer.special_id(text),
		});
		let best = (sampling.n > keep).then_some(Best { of: sampling.n, keep });
		let reading = Reading { logprobs, best, ..Reading::plain(target.tokenizer.clone()) };
		// The best are chosen by log probabilities.
		let logprobs = logprobs.or_else(|| best.map(|_| 0));
		let body = InferenceRequest { grammar, logprobs, ..sampling.body };
		let sampling = Sampling { body, ..sampling };
		let limits = Limits {
			given: max_tokens,
			field: "max_tokens",
			default: DEFAULT_TEXT_COMPLETION,
			least: sampling.body.min_tokens,
			prompt_field: "prompt",
		};
		let form = target.form(&sampling.body, &output_field, Vec::new)?;
		let prompts = target.prompts(prompts, &sampling, limits, form)?;
		// The prompts fit the context.
		let echo = echoed.iter().flat_map(|prompt| std::iter::repeat_n(tokenizer.decode(prompt), sampling.n)).collect();
		let reading = Reading { echo, ..reading };
		Ok(Self {
			endpoint: Endpoint::Text,
			prompts,
			model,
			stream,
			include_usage: includes_usage(fields)?,
			reading: Arc::new(reading),
		})
	}
}

/// The model of a request, with its tokenizer.
pub struct Target {
	/// The model on chain.
	pub model: Arc<Model>,
	/// Its tokenizer.
	pub tokenizer: Arc<Tokenizer>,
	/// Maximum number of tokens of prompt and completion together, as `/v1/models` has it.
	pub context: u32,
	grammars: Arc<GrammarCompiler>,
}

impl Target {
	/// Finds the model with this name or alias.
	///
	/// # Errors
	/// 404 or 503 when it is unknown or not served.
	pub fn new(gateway: &Gateway, name: &str) -> Result<Self, ApiError> {
		let model = gateway.model(name)?;
		// A model that is served counts as in use once the API key may pay for the request.
		let opened = gateway.tokenizer(&model).inspect_err(|_| gateway.router.demand(&model));
		let Opened { tokenizer, grammars } = opened?;
		let context = gateway.context_length(&gateway.snapshots.load(), &model);
		Ok(Self { model, tokenizer, context, grammars })
	}

	/// Requires that the model makes embeddings, or else completions.
	///
	/// # Errors
	/// 400 when it makes the other.
	pub fn that_embeds(self, embeds: bool) -> Result<Self, ApiError> {
		if self.tokenizer.pooling().is_some() == embeds {
			return Ok(self);
		}
		let name = &self.model.name;
		let message = match embeds {
			true => format!("'{name}' makes no embeddings: send chats to /v1/chat/completions."),
			false => format!("'{name}' makes embeddings only: send texts to /v1/embeddings."),
		};
		Err(ApiError::invalid_value("model", message))
	}

	/// Reads prompts for the model, as a request to `/v1/completions` has them.
	pub fn reader(&self) -> Reader<'_> {
		Reader { tokenizer: &self.tokenizer, context: self.context, field: "prompt", most: MAX_PROMPTS }
	}

	/// Completions of each prompt in a form, as many as the sampling demands.
	fn prompts(
		&self,
		prompts: Vec<Vec<u32>>,
		sampling: &Sampling,
		limits: Limits,
		form: Option<Form>,
	) -> Result<Vec<Prompt>, ApiError> {
		check_number(prompts.len(), sampling.n)?;
		let seed = sampling.seed.unwrap_or_else(|| fastrand::u64(..));
		let mut all = Vec::new();
		for prompt in prompts {
			let (max_tokens, is_adjustable) = limits.completion(self.context, prompt.len())?;
			let body = InferenceRequest { prompt, ..sampling.body.clone() };
			for _ in 0..sampling.n {
				let seed = seed.wrapping_add(all.len() as u64);
				let (model, tokenizer, body) = (self.model.clone(), self.tokenizer.clone(), body.clone());
				all.push(Prompt { model, tokenizer, body, form: form.clone(), seed, max_tokens, is_adjustable });
			}
		}
		Ok(all)
	}

	/// Compiles the grammar of a body, if it has one. `field` is the one that demands it, or fields of its `parts` do.
	fn form(
		&self,
		body: &InferenceRequest,
		field: &str,
		parts: impl FnOnce() -> Vec<(String, Grammar)>,
	) -> Result<Option<Form>, ApiError> {
		let Some(grammar) = &body.grammar else { return Ok(None) };
		let size = serde_json::to_vec(grammar).map_or(usize::MAX, |text| text.len());
		if size > MAX_GRAMMAR_BYTES {
			let message = format!(
				"The schemas of the request make a grammar of {size} bytes, and hosts take up to {MAX_GRAMMAR_BYTES}: send fewer \
				 or shorter ones."
			);
			return Err(ApiError::invalid_value(field, message));
		}
		if body.ignore_eos {
			let message = "'ignore_eos' cannot be combined with a demanded form, which says where the completion ends.";
			return Err(ApiError::invalid_value("ignore_eos", message));
		}
		let new = |grammar: &Grammar, field: &str| Form::new(self.grammars.clone(), grammar, field);
		new(grammar, field).map(Some).map_err(|error| {
			let wrong = parts().into_iter().find_map(|(field, part)| new(&part, &field).err());
			wrong.unwrap_or(error)
		})
	}
}

/// Reads several fields of any type.
fn values<const N: usize>(fields: &Fields, names: [&str; N]) -> Result<[Option<Value>; N], ApiError> {
	let mut values = [const { None }; N];
	for (value, name) in values.iter_mut().zip(names) {
		*value = fields.value(name)?;
	}
	Ok(values)
}

/// Checks the number of completions of so many prompts with `n` each.
fn check_number(prompts: usize, n: usize) -> Result<(), ApiError> {
	if prompts.saturating_mul(n) <= MAX_COMPLETIONS {
		return Ok(());
	}
	let message = format!("A request can have at most {MAX_COMPLETIONS} completions, all prompts together.");
	Err(ApiError::invalid_value("n", message))
}

/// Reads the number of completions of each prompt, of which `n` are returned.
fn best_of(fields: &Fields, n: usize, stream: bool) -> Result<usize, ApiError> {
	const NAME: &str = "best_of";
	let best_of = fields.integer(NAME, 1..=MAX_COMPLETIONS as i128)?.map_or(n, |best_of| best_of as usize);
	if best_of < n {
		return Err(ApiError::invalid_value(NAME, format!("'{NAME}' is {best_of}, less than 'n', which is {n}.")));
	}
	if stream && best_of > n {
		let message =
			format!("'{NAME}' above 'n' cannot be streamed: which completions are the best is known at their end.");
		return Err(ApiError::invalid_value(NAME, message));
	}
	Ok(best_of)
}

fn list(fields: &Fields, name: &str) -> Result<Vec<Value>, ApiError> {
	match fields.required(name)? {
		Value::Array(list) => Ok(list),
		_ => Err(fields.wrong(name, "a list")),
	}
}

/// Reads the form that the content must have, and the path of the field that demands it.
fn output(fields: &Fields) -> Result<(Output, String), ApiError> {
	let names =
		["response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"];
	let [response_format, structured_outputs, guided_json, guided_regex, guided_choice, guided_grammar] =
		values(fields, names)?;
	Output::read(OutputFields {
		response_format: response_format.as_ref(),
		text_format: None,
		structured_outputs: structured_outputs.as_ref(),
		guided_json: guided_json.as_ref(),
		guided_regex: guided_regex.as_ref(),
		guided_choice: guided_choice.as_ref(),
		guided_grammar: guided_grammar.as_ref(),
	})
}

/// Reads the variables for the template: `chat_template_kwargs`, and `reasoning_effort`, with which a model that can do
/// without reasoning does.
fn variables(fields: &Fields) -> Result<Map<String, Value>, ApiError> {
	const NAME: &str = "chat_template_kwargs";
	let mut variables = match fields.value(NAME)? {
		None => Map::new(),
		Some(Value::Object(map)) => map,
		Some(_) => return Err(fields.wrong(NAME, "an object")),
	};
	if let Some(effort) = fields.text("reasoning_effort")? {
		set_effort(&mut variables, "reasoning_effort", &effort)?;
	}
	Ok(variables)
}

/// Adds the reasoning effort in the field `param` to a template's variables.
///
/// # Errors
/// 400 when it is none that OpenAI's API knows.
pub fn set_effort(variables: &mut Map<String, Value>, param: &str, effort: &str) -> Result<(), ApiError> {
	const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
	if !EFFORTS.contains(&effort) {
		return Err(ApiError::invalid_value(param, format!("'{param}' must be one of {}.", EFFORTS.join(", "))));
	}
	if effort == "none" {
		variables.entry("enable_thinking").or_insert(false.into());
	} else {
		variables.entry("reasoning_effort").or_insert(effort.into());
	}
	Ok(())
}

/// The maximum number of completion tokens in a request; `None` if it names none.
pub fn max_tokens(fields: &Fields, name: &str) -> Result<Option<u32>, ApiError> {
	Ok(fields.integer(name, 1..=u32::MAX.into())?.map(|tokens| tokens as u32))
}

fn includes_usage(fields: &Fields) -> Result<bool, ApiError> {
	match fields.value("stream_options")? {
		None => Ok(false),
		Some(Value::Object(options)) => Ok(options.get("include_usage").and_then(Value::as_bool).unwrap_or(false)),
		Some(_) => Err(fields.wrong("stream_options", "an object")),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn chat(more: Value) -> Result<Chat, ApiError> {
		let mut request = json!({"model": "m", "messages": []});
		request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
		Chat::read(&Fields::parse(request.to_string().as_bytes()).unwrap())
	}

	#[test]
	fn the_maximum_has_two_names() {
		assert_eq!(chat(json!({"max_tokens": 5.0})).unwrap().max_tokens, Some(5));
		assert_eq!(chat(json!({"max_tokens": null})).unwrap().max_tokens, None);
		assert_eq!(chat(json!({"max_tokens": 5, "max_completion_tokens": 7})).unwrap().max_tokens, Some(7));
		for wrong in [0, -3] {
			let error = chat(json!({"max_tokens": wrong})).unwrap_err().body().error;
			assert_eq!(error.param.as_deref(), Some("max_tokens"));
		}
	}

	#[test]
	fn log_probabilities_are_asked_for_twice() {
		assert_eq!(chat(json!({"logprobs": true})).unwrap().logprobs, Some(0));
		assert_eq!(chat(json!({"logprobs": true, "top_logprobs": 20})).unwrap().logprobs, Some(20));
		assert_eq!(chat(json!({"logprobs": false, "top_logprobs": 0})).unwrap().logprobs, None);
		assert!(chat(json!({"top_logprobs": 2})).is_err());
		assert!(chat(json!({"logprobs": true, "top_logprobs": 21})).is_err());
	}

	#[test]
	fn reasoning_effort_reaches_the_template() {
		let variables = |more| Value::Object(chat(more).unwrap().variables);
		assert_eq!(variables(json!({"reasoning_effort": "low"})), json!({"reasoning_effort": "low"}));
		assert_eq!(variables(json!({"reasoning_effort": "none"})), json!({"enable_thinking": false}));
		let kwargs = json!({"chat_template_kwargs": {"enable_thinking": true}, "reasoning_effort": "none"});
		assert_eq!(variables(kwargs), json!({"enable_thinking": true}));
		let error = chat(json!({"reasoning_effort": "lots"})).unwrap_err().body().error;
		assert_eq!(error.param.as_deref(), Some("reasoning_effort"));
	}

	#[test]
	fn a_prompt_that_is_counted_needs_no_room_for_a_completion() {
		let counted = chat(json!({"min_tokens": 10, "max_tokens": 20})).unwrap().without_completion();
		assert_eq!((counted.max_tokens, counted.sampling.body.min_tokens), (Some(1), 0));
	}
}
