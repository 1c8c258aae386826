//! `/v1/messages`: chats in the form of Anthropic's API.

mod blocks;
mod input;

use crate::{
	chat::{
		output::{Output, OutputFields},
		tools::{ToolFields, ToolSet},
	},
	gateway::Gateway,
	metering::Pieces,
	openai::{
		errors::{ApiError, ErrorBody, NO_THREADS},
		fields::Fields,
		reading::{Reader, Reading},
		request::{Chat, ValidRequest, max_tokens},
		respond::{self, Merger, Next, Sums},
		sampling::Sampling,
	},
	relay::{Piece, Summary},
};
use axum::{
	Json,
	extract::Request,
	http::{HeaderValue, StatusCode, header},
	middleware::Next as Inner,
	response::{IntoResponse, Response},
};
use blocks::Blocks;
use gonka_client::request_id::RequestId;
use gonka_primitives::market::FinishReason;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

/// Maximum number of events that wait for a slow client.
const MAX_EVENTS: usize = 256;

/// Body of `POST /v1/messages`, in the form of Anthropic's API. Unknown fields are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MessagesRequest {
	/// Name of a model, or an alias.
	pub model: String,
	/// Maximum number of completion tokens.
	pub max_tokens: u32,
	/// The conversation so far.
	#[schema(value_type = Vec<Object>)]
	pub messages: Value,
	/// A text in front of the conversation, or a list of parts of it.
	#[schema(value_type = Option<String>)]
	pub system: Option<Value>,
	/// Texts that end the completion.
	pub stop_sequences: Option<Vec<String>>,
	/// Functions that the model may call.
	#[schema(value_type = Option<Vec<Object>>)]
	pub tools: Option<Value>,
	/// `{"type": "auto"}`, `any`, `none`, or `tool` with a name.
	#[schema(value_type = Option<Object>)]
	pub tool_choice: Option<Value>,
	/// The form of the text: `{"format": {"type": "json_schema", "schema": …}}`.
	#[schema(value_type = Option<Object>)]
	pub output_config: Option<Value>,
	/// `{"type": "disabled"}` for an answer without reasoning.
	#[schema(value_type = Option<Object>)]
	pub thinking: Option<Value>,
	/// Whether the response is a stream of events.
	pub stream: Option<bool>,
}

/// Reads a request. This blocks.
///
/// # Errors
/// 400 with the name of the field that is wrong, 404 or 503 when the model is unknown or not served.
pub fn read(gateway: &Gateway, fields: &Fields) -> Result<ValidRequest, ApiError> {
	let max_tokens = max_tokens(fields, "max_tokens")?;
	if max_tokens.is_none() {
		return Err(ApiError::invalid_value("max_tokens", "'max_tokens' is missing: it must be 1 or more."));
	}
	Chat { max_tokens, ..chat(fields)? }.prepare(gateway).map_err(in_its_words)
}

/// Reads a request whose prompt is to be counted only. This blocks.
///
/// # Errors
/// As [`read`].
pub fn count(gateway: &Gateway, fields: &Fields) -> Result<Value, ApiError> {
	let request = chat(fields)?.without_completion().prepare(gateway).map_err(in_its_words)?;
	Ok(json!({"input_tokens": request.prompts.first().map_or(0, |prompt| prompt.tokens())}))
}

/// Names the fields of tools as this API does.
fn in_its_words(error: ApiError) -> ApiError {
	error.renamed(".function.parameters", ".input_schema").renamed(".function", "")
}

fn chat(fields: &Fields) -> Result<Chat, ApiError> {
	if fields.has("thread") {
		// The prompt would miss the messages that the client takes for known.
		return Err(ApiError::no_threads());
	}
	let (tools, tool_choice) = (fields.value("tools")?, fields.value("tool_choice")?);
	let tools = tools.map(input::tools).transpose()?;
	let (tool_choice, is_single) = tool_choice.map(|choice| input::tool_choice(&choice)).unwrap_or_default();
	let tools = ToolSet::read(ToolFields {
		tools: tools.as_ref(),
		tool_choice: tool_choice.as_ref(),
		parallel_tool_calls: Some(!is_single),
		..ToolFields::default()
	})
	.map_err(in_its_words)?;
	let mut sampling = Sampling { n: 1, ..Sampling::read(fields)? };
	sampling.body.stop = input::stops(fields)?;
	let mut variables = Map::new();
	let thinking = fields.value("thinking")?;
	let is_off = thinking.as_ref().is_none_or(|thinking| thinking["type"] == "disabled");
	variables.insert("enable_thinking".into(), (!is_off).into());
	let (output, output_field) = output(fields)?;
	Ok(Chat {
		model: fields.required_text("model")?,
		messages: input::messages(fields)?,
		add_generation_prompt: true,
		tools,
		output,
		output_field,
		variables,
		sampling,
		max_tokens: None,
		max_tokens_field: "max_tokens",
		logprobs: None,
		stream: fields.flag("stream")?.unwrap_or(false),
		include_usage: false,
	})
}

/// Reads the form that the text must have, and the path of its field. `output_format` is the older place of the format.
fn output(fields: &Fields) -> Result<(Output, String), ApiError> {
	let config = fields.value("output_config")?;
	let (path, format) = match config.as_ref().and_then(|config| config.get("format")) {
		Some(format) => ("output_config.format", Some(format.clone())),
		None => ("output_format", fields.value("output_format")?),
	};
	let read = Output::read(OutputFields { text_format: format.as_ref(), ..OutputFields::default() });
	let (output, _) = read.map_err(|error| error.renamed("text.format", path))?;
	Ok((output, path.to_owned()))
}

/// The reason of a completion's end, as this API names it, and the stop text.
fn stop_reason(summary: &Summary, reader: &Reader) -> (&'static str, Option<String>) {
	match (summary.finish, &summary.stop_text) {
		_ if reader.has_calls() && summary.finish != FinishReason::Length => ("tool_use", None),
		(FinishReason::Length, _) => ("max_tokens", None),
		(_, Some(text)) => ("stop_sequence", Some(text.clone())),
		_ => ("end_turn", None),
	}
}

/// The message without its content.
fn message(id: &str, model: &str, prompt_tokens: u32, completion_tokens: u32) -> Map<String, Value> {
	let message = json!({
		"id": id, "type": "message", "role": "assistant", "model": model, "content": [],
		"stop_reason": null, "stop_sequence": null,
		"usage": {
			"input_tokens": prompt_tokens, "output_tokens": completion_tokens,
			"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
		},
	});
	if let Value::Object(message) = message { message } else { Map::new() }
}

/// Makes the response.
///
/// # Errors
/// Those of the completion, while nothing of a stream was sent.
pub async fn respond(
	gateway: Arc<Gateway>,
	request: ValidRequest,
	mut pieces: Vec<Pieces>,
) -> Result<Response, ApiError> {
	let id = format!("msg_{:032x}", fastrand::u128(..));
	let prompt_tokens = request.prompts.first().map_or(0, |prompt| prompt.tokens());
	let reading = request.reading.clone();
	if request.stream {
		let merger = Merger::start(gateway.clone(), pieces).await?;
		let (sender, receiver) = mpsc::channel(MAX_EVENTS);
		let streaming = Streaming { gateway, merger, reading, sender, started: Instant::now() };
		let start = message(&id, &request.model, prompt_tokens, 0);
		tokio::spawn(async move {
			// Nothing is left to do for a client that is gone: dropping the pieces cancels the completion.
			let _ = streaming.run(start).await;
		});
		return Ok(respond::events(ReceiverStream::new(receiver)));
	}
	let started = Instant::now();
	let mut pieces = pieces.pop().ok_or_else(|| ApiError::internal("There is no completion."))?;
	let (mut reader, mut blocks, mut sums) = (Reader::new(reading), Blocks::default(), Sums::default());
	let summary = loop {
		match pieces.recv().await {
			Some(Piece::Token(token)) => drop(blocks.push(reader.push(token))),
			Some(Piece::Done(summary)) => break summary,
			Some(Piece::Failed(error)) => return Err(error),
			None => return Err(ApiError::internal("The completion broke off.")),
		}
	};
	blocks.push(reader.finish(&summary.rest));
	sums.add(&gateway, &summary, reader.reasoning_tokens());
	gateway.metrics.duration.observe(started.elapsed().as_secs_f64());
	let (reason, stop_text) = stop_reason(&summary, &reader);
	let mut message = message(&id, &request.model, prompt_tokens, summary.completion_tokens);
	message.insert("content".into(), blocks.finish().0.into());
	message.insert("stop_reason".into(), reason.into());
	message.insert("stop_sequence".into(), stop_text.into());
	let mut response = Json(message).into_response();
	sums.add_headers(&mut response);
	Ok(response)
}

/// A message that is streamed. Its task ends when the client hangs up.
struct Streaming {
	gateway: Arc<Gateway>,
	merger: Merger,
	reading: Arc<Reading>,
	sender: mpsc::Sender<String>,
	started: Instant,
}

/// The client has hung up.
struct Gone;

impl Streaming {
	async fn run(mut self, start: Map<String, Value>) -> Result<(), Gone> {
		self.send(json!({"type": "message_start", "message": start})).await?;
		let (mut reader, mut blocks) = (Reader::new(self.reading.clone()), Blocks::default());
		loop {
			match self.merger.next().await {
				Next::Piece(_, Piece::Token(token)) => self.send_all(blocks.push(reader.push(token))).await?,
				Next::Piece(_, Piece::Done(summary)) => {
					self.send_all(blocks.push(reader.finish(&summary.rest))).await?;
					self.send_all(blocks.finish().1).await?;
					Sums::default().add(&self.gateway, &summary, reader.reasoning_tokens());
					self.gateway.metrics.duration.observe(self.started.elapsed().as_secs_f64());
					let (reason, stop_text) = stop_reason(&summary, &reader);
					let delta = json!({"stop_reason": reason, "stop_sequence": stop_text});
					let usage = json!({"output_tokens": summary.completion_tokens});
					self.send(json!({"type": "message_delta", "delta": delta, "usage": usage})).await?;
					return self.send(json!({"type": "message_stop"})).await;
				},
				Next::Piece(_, Piece::Failed(error)) => {
					return self.send(error_body(error.status, &error.body())).await;
				},
				Next::Silence => self.send(json!({"type": "ping"})).await?,
				Next::Broken => {
					let error = ApiError::internal("The completion broke off.");
					return self.send(error_body(error.status, &error.body())).await;
				},
			}
		}
	}

	async fn send_all(&mut self, events: Vec<Value>) -> Result<(), Gone> {
		for event in events {
			self.send(event).await?;
		}
		Ok(())
	}

	async fn send(&mut self, event: Value) -> Result<(), Gone> {
		let kind = event["type"].as_str().unwrap_or_default();
		self.sender.send(format!("event: {kind}\ndata: {event}\n\n")).await.map_err(|_| Gone)
	}
}

/// An error in the form of this API.
fn error_body(status: StatusCode, body: &ErrorBody) -> Value {
	let kind = match status {
		StatusCode::UNAUTHORIZED => "authentication_error",
		StatusCode::FORBIDDEN => "permission_error",
		StatusCode::NOT_FOUND => "not_found_error",
		StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
		StatusCode::TOO_MANY_REQUESTS if body.error.code.as_deref() == Some("insufficient_quota") => "billing_error",
		StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
		StatusCode::GATEWAY_TIMEOUT => "timeout_error",
		StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
		status if status.is_client_error() => "invalid_request_error",
		_ => "api_error",
	};
	let mut error = json!({"type": kind, "message": body.error.message});
	if body.error.code.as_deref() == Some(NO_THREADS) {
		error["details"] = json!({"error_code": NO_THREADS, "unsupported": ["thread"]});
	}
	json!({"type": "error", "error": error})
}

/// Whether a path is one of this API, be there a route or not.
fn is_of_this_api(path: &str) -> bool {
	path.strip_prefix("/v1/messages").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Writes the errors of this API's paths in its form, and the request's id in its header.
pub async fn with_its_form(request: Request, next: Inner) -> Response {
	if !is_of_this_api(request.uri().path()) {
		return next.run(request).await;
	}
	let id = request.extensions().get::<RequestId>().cloned();
	let mut response = next.run(request).await;
	let status = response.status();
	if let Some(mut body) = response.extensions().get::<ErrorBody>().map(|body| error_body(status, body)) {
		body["request_id"] = id.as_ref().map(RequestId::as_str).into();
		let (mut parts, _) = response.into_parts();
		parts.headers.remove(header::CONTENT_LENGTH);
		response = (parts.status, parts.headers, Json(body)).into_response();
	}
	if let Some(id) = id.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
		response.headers_mut().insert("request-id", id);
	}
	response
}
