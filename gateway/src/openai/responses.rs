//! `/v1/responses`: chats whose turns the gateway remembers.

pub mod ids;
pub mod input;
pub mod output;
pub mod store;

use super::{
	errors::ApiError,
	fields::Fields,
	request::{Chat, ValidRequest, max_tokens, set_effort},
	respond::{self, Head, KEEP_ALIVE, Merger, Next, Sums, now},
	sampling::{MAX_TOP, Sampling},
	types::Usage,
};
use crate::{
	chat::{
		output::{Output as Form, OutputFields},
		tools::{ToolFields, ToolSet},
	},
	gateway::Gateway,
	metering::Pieces,
	openai::reading::Reader,
	relay::Piece,
};
use axum::{
	Json,
	response::{IntoResponse, Response},
};
use gonka_primitives::market::FinishReason;
use ids::Id;
use output::Output;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Instant};
use store::Stored;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};

/// Maximum number of events that wait for a slow client.
const MAX_EVENTS: usize = 256;
/// The part of a response with log probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";
/// Parts that a response of OpenAI's API may include. Hosts make no others of them than log probabilities.
const PARTS: [&str; 8] = [
	LOGPROBS,
	"reasoning.encrypted_content",
	"file_search_call.results",
	"web_search_call.results",
	"web_search_call.action.sources",
	"message.input_image.image_url",
	"computer_call_output.output.image_url",
	"code_interpreter_call.outputs",
];

/// Body of `POST /v1/responses`. Unknown fields are ignored. The parameters that choose tokens have the names of
/// `/v1/chat/completions`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ResponseRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// A text, or a list of items: messages, calls and their outputs.
	#[schema(value_type = String)]
	pub input: Value,
	/// A system message in front of the conversation.
	pub instructions: Option<String>,
	/// The response that this one follows.
	pub previous_response_id: Option<String>,
	/// Whether to keep the response for later requests. `true` by default.
	pub store: Option<bool>,
	/// Functions that the model may call.
	#[schema(value_type = Option<Vec<Object>>)]
	pub tools: Option<Value>,
	/// `none`, `auto`, `required`, or the function that the model must call.
	#[schema(value_type = Option<Object>)]
	pub tool_choice: Option<Value>,
	/// The form of the text: `{"format": {"type": "json_schema", …}}`.
	#[schema(value_type = Option<Object>)]
	pub text: Option<Value>,
	/// How much a model that reasons does so: `{"effort": "low"}`.
	#[schema(value_type = Option<Object>)]
	pub reasoning: Option<Value>,
	/// Maximum number of tokens, those of the reasoning included.
	pub max_output_tokens: Option<u32>,
	/// Whether the response is a stream of events.
	pub stream: Option<bool>,
}

/// A request for a response, as far as it does not depend on the completion.
#[derive(Debug)]
pub struct Asked {
	/// The request for the completion.
	pub request: ValidRequest,
	/// The response's id.
	id: Id,
	/// The response without its output.
	base: Map<String, Value>,
	/// The stored response, whose own body is still missing; `None` if the client wants nothing stored.
	stored: Option<Stored>,
}

/// Reads a request. `owner` is the id of the API key. This blocks.
///
/// # Errors
/// 400 with the name of the field that is wrong, 404 when the model or the previous response is unknown, 503 when the model is
/// not served.
pub fn read(gateway: &Gateway, fields: &Fields, owner: &str) -> Result<Asked, ApiError> {
	for name in ["background", "conversation", "prompt"] {
		let is_off = fields.value(name)?.is_none_or(|value| value == false);
		if !is_off && !gateway.options.ignore_unsupported {
			return Err(ApiError::unsupported(name));
		}
	}
	let before = match fields.text("previous_response_id")? {
		Some(id) => match gateway.responses.get(&id, owner) {
			Ok(stored) => stored.conversation(),
			Err(_) => return Err(ApiError::previous_response_not_found(&id)),
		},
		None => Vec::new(),
	};
	let mut input = input::items(fields.required("input")?)?;
	input::resolve(&mut input, &gateway.responses, owner)?;
	input::check_length(&before, &input)?;
	let stream = fields.flag("stream")?.unwrap_or(false);
	let chat = Chat { stream, ..chat(fields, &before, &input)? };
	let id = Id::random();
	let base = base(&id, fields, &chat)?;
	let stores = fields.flag("store")?.unwrap_or(true);
	let stored = stores.then(|| {
		let (owner, input) = (owner.to_owned(), input::listed(input, &id));
		Stored { owner, response: Value::Null, input, before }
	});
	let request = chat.prepare(gateway).map_err(|error| error.renamed("messages", "input"))?;
	Ok(Asked { request, id, base, stored })
}

/// Reads a request whose prompt is to be counted only. This blocks.
///
/// # Errors
/// As [`read`].
pub fn count(gateway: &Gateway, fields: &Fields, owner: &str) -> Result<Value, ApiError> {
	let tokens = read(gateway, fields, owner)?.request.prompts.first().map_or(0, |prompt| prompt.tokens());
	Ok(json!({"object": "response.input_tokens", "input_tokens": tokens}))
}

fn chat(fields: &Fields, before: &[Value], input: &[Value]) -> Result<Chat, ApiError> {
	let mut messages = input::messages(before)?;
	messages.extend(input::messages(input)?);
	if let Some(text) = fields.text("instructions")? {
		messages.insert(0, json!({"role": "system", "content": text}));
	}
	let (tools, tool_choice) = (fields.value("tools")?, fields.value("tool_choice")?);
	let tools = ToolSet::read(ToolFields {
		tools: tools.as_ref(),
		tool_choice: tool_choice.as_ref(),
		parallel_tool_calls: fields.flag("parallel_tool_calls")?,
		..ToolFields::default()
	})?;
	let text = fields.value("text")?;
	let format = text.as_ref().and_then(|text| text.get("format"));
	let mut variables = Map::new();
	match fields.value("reasoning")?.as_ref().and_then(|reasoning| reasoning.get("effort")) {
		None | Some(Value::Null) => {},
		Some(effort) => set_effort(&mut variables, "reasoning.effort", effort.as_str().unwrap_or_default())?,
	}
	let wants_logprobs = included(fields)?.iter().any(|item| item == LOGPROBS);
	let top = fields.integer("top_logprobs", 0..=MAX_TOP)?.map(|top| top as u8);
	let (output, output_field) = Form::read(OutputFields { text_format: format, ..OutputFields::default() })?;
	Ok(Chat {
		model: fields.required_text("model")?,
		messages,
		add_generation_prompt: true,
		tools,
		output,
		output_field,
		variables,
		sampling: Sampling { n: 1, ..Sampling::read(fields)? },
		max_tokens: max_tokens(fields, "max_output_tokens")?,
		max_tokens_field: "max_output_tokens",
		logprobs: if wants_logprobs { Some(top.unwrap_or(0)) } else { top.filter(|top| *top > 0) },
		stream: false,
		include_usage: false,
	})
}

/// Reads the parts that the response shall include.
fn included(fields: &Fields) -> Result<Vec<Value>, ApiError> {
	match fields.value("include")? {
		None => Ok(Vec::new()),
		Some(Value::Array(list)) if list.iter().all(|item| item.as_str().is_some_and(|item| PARTS.contains(&item))) => {
			Ok(list)
		},
		Some(_) => Err(fields.wrong("include", format!("a list of any of {}", PARTS.join(", ")))),
	}
}

/// Checks how a conversation that is too long may be cut. The gateway cuts none.
fn check_truncation(fields: &Fields) -> Result<(), ApiError> {
	match fields.value("truncation")? {
		None => Ok(()),
		Some(kind) if kind == "auto" || kind == "disabled" => Ok(()),
		Some(_) => Err(fields.wrong("truncation", "'auto' or 'disabled'")),
	}
}

/// The fields of the response that are known before the completion.
fn base(id: &Id, fields: &Fields, chat: &Chat) -> Result<Map<String, Value>, ApiError> {
	let mut base = Map::new();
	let mut set = |name: &str, value: Value| drop(base.insert(name.to_owned(), value));
	set("id", id.to_string().into());
	set("object", "response".into());
	set("created_at", now().into());
	set("status", "in_progress".into());
	set("background", false.into());
	set("error", Value::Null);
	set("incomplete_details", Value::Null);
	set("model", chat.model.as_str().into());
	set("output", json!([]));
	set("parallel_tool_calls", chat.tools.parallel.into());
	set("store", fields.flag("store")?.unwrap_or(true).into());
	set("usage", Value::Null);
	check_metadata(fields)?;
	check_truncation(fields)?;
	for (name, default) in [
		("instructions", Value::Null),
		("max_output_tokens", Value::Null),
		("previous_response_id", Value::Null),
		("reasoning", json!({"effort": null, "summary": null})),
		("temperature", json!(1.0)),
		("text", json!({"format": {"type": "text"}})),
		("tool_choice", json!("auto")),
		("tools", json!([])),
		("top_p", json!(1.0)),
		("top_logprobs", json!(0)),
		("truncation", json!("disabled")),
		("metadata", json!({})),
		("user", Value::Null),
	] {
		set(name, fields.value(name)?.unwrap_or(default));
	}
	Ok(base)
}

/// Checks that the metadata is as small as OpenAI's API demands it: the response has it as long as it is kept.
fn check_metadata(fields: &Fields) -> Result<(), ApiError> {
	let is_short = |text: &str, most: usize| text.chars().count() <= most;
	let is_pair =
		|(key, value): (&String, &Value)| is_short(key, 64) && value.as_str().is_some_and(|text| is_short(text, 512));
	match fields.value("metadata")? {
		None => Ok(()),
		Some(Value::Object(pairs)) if pairs.len() <= 16 && pairs.iter().all(is_pair) => Ok(()),
		Some(_) => {
			let what = "an object of up to 16 strings of up to 512 characters, with keys of up to 64";
			Err(fields.wrong("metadata", what))
		},
	}
}

/// A response that is being made.
struct Growing {
	gateway: Arc<Gateway>,
	base: Map<String, Value>,
	stored: Option<Stored>,
}

impl Growing {
	fn response(&self) -> Value {
		Value::Object(self.base.clone())
	}

	/// Completes the response, and stores it.
	async fn finish(&mut self, items: Vec<Value>, finish: FinishReason, usage: &Usage) -> Result<Value, ApiError> {
		let is_cut = finish == FinishReason::Length;
		let mut set = |name: &str, value: Value| drop(self.base.insert(name.to_owned(), value));
		set("status", if is_cut { "incomplete" } else { "completed" }.into());
		if is_cut {
			set("incomplete_details", json!({"reason": "max_output_tokens"}));
		}
		set("completed_at", now().into());
		set("output", items.into());
		let usage = json!({
			"input_tokens": usage.prompt_tokens,
			"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
			"output_tokens": usage.completion_tokens,
			"output_tokens_details": {"reasoning_tokens": usage.completion_tokens_details.reasoning_tokens},
			"total_tokens": usage.total_tokens,
		});
		set("usage", usage);
		let response = self.response();
		if let Some(stored) = self.stored.take() {
			let stored = Stored { response: response.clone(), ..stored };
			let id = response["id"].as_str().unwrap_or_default().to_owned();
			let responses = self.gateway.responses.clone();
			let put = tokio::task::spawn_blocking(move || responses.put(&id, &stored)).await;
			put.map_err(|error| ApiError::internal(error.to_string()))??;
		}
		Ok(response)
	}
}

/// Makes the response.
///
/// # Errors
/// Those of the completion, while nothing of a stream was sent.
pub async fn respond(gateway: Arc<Gateway>, asked: Asked, pieces: Vec<Pieces>) -> Result<Response, ApiError> {
	let Asked { request, id, base, stored } = asked;
	let head = Head::new(&request);
	let mut growing = Growing { gateway: gateway.clone(), base, stored };
	if request.stream {
		let merger = Merger::start(gateway.clone(), pieces).await?;
		let (sender, receiver) = mpsc::channel(MAX_EVENTS);
		let reader = Reader::new(request.reading.clone());
		tokio::spawn(
			Streaming { growing, merger, reader, sender, number: 0, started: Instant::now() }.run(Output::new(id)),
		);
		return Ok(respond::events(ReceiverStream::new(receiver)));
	}
	let (mut all, sums) = respond::collect(&gateway, &head, pieces).await?;
	let finished = all.pop().ok_or_else(|| ApiError::internal("There is no completion."))?;
	let mut output = Output::new(id);
	output.push(finished.delta);
	let (items, _) = output.finish(finished.finish == FinishReason::Length);
	let response = growing.finish(items, finished.finish, &sums.usage).await?;
	let mut response = Json(response).into_response();
	sums.add_headers(&mut response);
	Ok(response)
}

/// A response that is streamed. Its task ends when the client hangs up.
struct Streaming {
	growing: Growing,
	merger: Merger,
	reader: Reader,
	sender: mpsc::Sender<String>,
	/// Number of events so far.
	number: u64,
	started: Instant,
}

/// The client has hung up.
struct Gone;

impl Streaming {
	async fn run(mut self, output: Output) {
		// Nothing is left to do for a client that is gone: dropping the pieces cancels the completion.
		let _ = self.stream(output).await;
	}

	async fn stream(&mut self, mut output: Output) -> Result<(), Gone> {
		for kind in ["response.created", "response.in_progress"] {
			self.send(json!({"type": kind, "response": self.growing.response()})).await?;
		}
		loop {
			match self.merger.next().await {
				Next::Piece(_, Piece::Token(token)) => {
					let delta = self.reader.push(token);
					self.send_all(output.push(delta)).await?;
				},
				Next::Piece(_, Piece::Done(summary)) => {
					let rest = self.reader.finish(&summary.rest);
					self.send_all(output.push(rest)).await?;
					let (items, events) = output.finish(summary.finish == FinishReason::Length);
					self.send_all(events).await?;
					let gateway = self.growing.gateway.clone();
					let mut sums = Sums::default();
					sums.add(&gateway, &summary, self.reader.reasoning_tokens());
					gateway.metrics.duration.observe(self.started.elapsed().as_secs_f64());
					return match self.growing.finish(items, summary.finish, &sums.usage).await {
						Ok(response) => {
							let status = response["status"].as_str().unwrap_or_default();
							let event = json!({"type": format!("response.{status}"), "response": response});
							self.send(event).await
						},
						Err(error) => self.fail(&error).await,
					};
				},
				Next::Piece(_, Piece::Failed(error)) => return self.fail(&error).await,
				Next::Silence => self.sender.send(KEEP_ALIVE.to_owned()).await.map_err(|_| Gone)?,
				Next::Broken => return self.fail(&ApiError::internal("The completion broke off.")).await,
			}
		}
	}

	async fn fail(&mut self, error: &ApiError) -> Result<(), Gone> {
		let detail = error.body().error;
		let code = detail.code.unwrap_or(detail.r#type);
		self.growing.base.insert("status".into(), "failed".into());
		self.growing.base.insert("error".into(), json!({"code": code, "message": detail.message}));
		self.send(json!({"type": "response.failed", "response": self.growing.response()})).await
	}

	async fn send_all(&mut self, events: Vec<Value>) -> Result<(), Gone> {
		for event in events {
			self.send(event).await?;
		}
		Ok(())
	}

	async fn send(&mut self, mut event: Value) -> Result<(), Gone> {
		if let Value::Object(event) = &mut event {
			event.insert("sequence_number".into(), self.number.into());
		}
		self.number = self.number.saturating_add(1);
		let kind = event["type"].as_str().unwrap_or_default();
		self.sender.send(format!("event: {kind}\ndata: {event}\n\n")).await.map_err(|_| Gone)
	}
}

/// A part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
	/// `asc` or `desc`; `desc` by default.
	order: Option<String>,
	/// Maximum number of items, 1 to 100; 20 by default.
	#[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
	limit: Option<String>,
	/// The id of the item before the first one.
	after: Option<String>,
}

/// The items of a stored response's input, the last one first unless the order is ascending.
///
/// # Errors
/// 400 when a parameter is malformed.
pub fn input_items(stored: Stored, page: &Page) -> Result<Value, ApiError> {
	let mut data = stored.input;
	match page.order.as_deref() {
		Some("asc") => {},
		None | Some("desc") => data.reverse(),
		Some(_) => return Err(ApiError::invalid_value("order", "'order' must be 'asc' or 'desc'.")),
	}
	let limit =
		page.limit.as_deref().map_or(Some(20), |text| text.parse().ok().filter(|limit| (1..=100).contains(limit)));
	let limit: usize = limit.ok_or_else(|| ApiError::invalid_value("limit", "'limit' must be from 1 to 100."))?;
	let id = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
	if let Some(after) = &page.after {
		let position = data.iter().position(|item| item.get("id").is_some_and(|id| id == after.as_str()));
		let position = position.ok_or_else(|| ApiError::invalid_value("after", "'after' is no item of this list."))?;
		data.drain(..=position);
	}
	let has_more = data.len() > limit;
	data.truncate(limit);
	let (first, last) = (id(data.first()), id(data.last()));
	Ok(json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}))
}
