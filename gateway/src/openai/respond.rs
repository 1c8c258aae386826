//! Responses: from the pieces that the relay sends to OpenAI's bodies and server-sent events.

use super::{
	errors::ApiError,
	reading::{Delta, Reader, Reading},
	request::{Endpoint, ValidRequest},
	types::{
		AssistantMessage, CallDelta, ChatChoice, ChatCompletion, ChatLogprob, ChatLogprobs, Completion, FunctionCall,
		TextChoice, TextLogprobs, ToolCall, Usage,
	},
};
use crate::{
	config::format_gnk,
	gateway::Gateway,
	metering::Pieces,
	relay::{Piece, Summary},
};
use axum::{
	Json,
	body::Body,
	http::{HeaderName, HeaderValue, header},
	response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, future::try_join_all, stream};
use gonka_primitives::{Balance, market::FinishReason};
use serde::Serialize;
use serde_json::Map;
use std::{
	convert::Infallible,
	pin::Pin,
	sync::Arc,
	time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio::time::timeout;

/// The fields that all parts of a response share.
#[derive(Clone, Debug)]
pub struct Head {
	endpoint: Endpoint,
	/// `chatcmpl-…` or `cmpl-…`.
	id: String,
	/// Unix time in seconds.
	created: u64,
	model: String,
	system_fingerprint: String,
	include_usage: bool,
	reading: Arc<Reading>,
}

impl Head {
	/// Makes the head of the response to `request`, with a new id.
	pub fn new(request: &ValidRequest) -> Self {
		let prefix = match request.endpoint {
			Endpoint::Chat => "chatcmpl",
			Endpoint::Text => "cmpl",
		};
		let weights = request.prompts.first().map(|prompt| prompt.model.weights_hash()).unwrap_or_default();
		Self {
			endpoint: request.endpoint,
			id: format!("{prefix}-{:032x}", fastrand::u128(..)),
			created: now(),
			model: request.model.clone(),
			system_fingerprint: format!("fp_{}", hex::encode(&weights[..5])),
			include_usage: request.include_usage,
			reading: request.reading.clone(),
		}
	}

	fn finish_reason(&self, reason: FinishReason, reader: &Reader) -> &'static str {
		match reason {
			FinishReason::Length => "length",
			FinishReason::Stop | FinishReason::Cancelled if !reader.has_calls() => "stop",
			FinishReason::Stop | FinishReason::Cancelled if self.reading.is_older => "function_call",
			FinishReason::Stop | FinishReason::Cancelled => "tool_calls",
		}
	}
}

/// Unix time in seconds.
pub fn now() -> u64 {
	SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// The sums over all completions of a response.
#[derive(Default)]
pub struct Sums {
	/// Numbers of tokens.
	pub usage: Usage,
	/// Base units.
	pub fee: Balance,
	/// The hosts that generated the last tokens, SS58.
	pub hosts: Vec<String>,
}

impl Sums {
	/// Adds a completion. Prompts that several completions share count once for each, as they are paid.
	pub fn add(&mut self, gateway: &Gateway, summary: &Summary, reasoning_tokens: u32) {
		let usage = &mut self.usage;
		usage.prompt_tokens = usage.prompt_tokens.saturating_add(summary.prompt_tokens);
		usage.completion_tokens = usage.completion_tokens.saturating_add(summary.completion_tokens);
		usage.total_tokens = usage.prompt_tokens.saturating_add(usage.completion_tokens);
		let details = &mut usage.completion_tokens_details;
		details.reasoning_tokens = details.reasoning_tokens.saturating_add(reasoning_tokens);
		self.fee = self.fee.saturating_add(summary.fee);
		let host = gonka_client::keys::ss58(&summary.host);
		if !self.hosts.contains(&host) {
			self.hosts.push(host);
		}
		let tokens = &gateway.metrics.tokens;
		tokens.with_label_values(&["prompt"]).inc_by(summary.prompt_tokens.into());
		tokens.with_label_values(&["completion"]).inc_by(summary.completion_tokens.into());
	}

	/// Adds the headers with the cost and the hosts.
	pub fn add_headers(&self, response: &mut Response) {
		for (name, value) in [("x-gnk-cost", format_gnk(self.fee)), ("x-gnk-worker", self.hosts.join(","))] {
			if let Ok(value) = HeaderValue::from_str(&value) {
				response.headers_mut().insert(HeaderName::from_static(name), value);
			}
		}
	}
}

/// A completion that has ended.
pub struct Finished {
	/// All of it.
	pub delta: Delta,
	/// Why it ended.
	pub finish: FinishReason,
	/// The same, as OpenAI's API names it.
	pub finish_reason: &'static str,
	/// Mean log probability of its tokens, if it has some and they are known.
	mean_logprob: Option<f32>,
}

/// Waits for all completions, one list of pieces for each.
pub async fn collect(
	gateway: &Gateway,
	head: &Head,
	completions: Vec<Pieces>,
) -> Result<(Vec<Finished>, Sums), ApiError> {
	let started = Instant::now();
	let (mut sums, mut all) = (Sums::default(), Vec::new());
	let ended = try_join_all(completions.into_iter().map(|pieces| end(head, pieces))).await?;
	for (finished, summary, reasoning_tokens) in ended {
		sums.add(gateway, &summary, reasoning_tokens);
		all.push(finished);
	}
	gateway.metrics.duration.observe(started.elapsed().as_secs_f64());
	Ok((all, sums))
}

/// Waits for a completion. Returns it, the facts about it, and the number of tokens of its reasoning.
async fn end(head: &Head, mut pieces: Pieces) -> Result<(Finished, Summary, u32), ApiError> {
	let (mut reader, mut delta) = (Reader::new(head.reading.clone()), Delta::default());
	let mut logprobs = Vec::new();
	let summary = loop {
		match pieces.recv().await {
			Some(Piece::Token(token)) => {
				logprobs.extend(token.logprob);
				delta.add(reader.push(token));
			},
			Some(Piece::Done(summary)) => break summary,
			Some(Piece::Failed(error)) => return Err(error),
			None => return Err(ApiError::internal("The completion broke off.")),
		}
	};
	delta.add(reader.finish(&summary.rest));
	let finish = summary.finish;
	let mean_logprob = (!logprobs.is_empty()).then(|| logprobs.iter().sum::<f32>() / logprobs.len() as f32);
	let finished = Finished { delta, finish, finish_reason: head.finish_reason(finish, &reader), mean_logprob };
	Ok((finished, summary, reader.reasoning_tokens()))
}

/// Waits for all completions, and returns one JSON body.
pub async fn whole(gateway: &Gateway, head: Head, completions: Vec<Pieces>) -> Result<Response, ApiError> {
	let (choices, sums) = collect(gateway, &head, completions).await?;
	let usage = sums.usage;
	let choices = kept(&head, choices).into_iter().zip(0..);
	let mut response = match head.endpoint {
		Endpoint::Chat => {
			let choices = choices.map(|((finished, _), index)| chat_choice(&head, index, finished)).collect();
			let Head { id, created, model, system_fingerprint, .. } = head;
			let object = "chat.completion";
			Json(ChatCompletion { id, object, created, model, choices, usage, system_fingerprint }).into_response()
		},
		Endpoint::Text => {
			let choices = choices.map(|((finished, number), index)| {
				let echo = head.reading.echo.get(number).map(String::as_str).unwrap_or_default();
				TextChoice {
					index,
					text: format!("{echo}{}", finished.delta.content),
					logprobs: head.reading.logprobs.map(|_| text_logprobs(finished.delta.logprobs, &mut 0)),
					finish_reason: Some(finished.finish_reason),
				}
			});
			let choices = choices.collect();
			let Head { id, created, model, system_fingerprint, .. } = head;
			let object = "text_completion";
			Json(Completion { id, object, created, model, choices, usage, system_fingerprint }).into_response()
		},
	};
	sums.add_headers(&mut response);
	Ok(response)
}

/// The completions that are returned, each with its number among all.
fn kept(head: &Head, all: Vec<Finished>) -> Vec<(Finished, usize)> {
	let Some(best) = head.reading.best else { return all.into_iter().zip(0..).collect() };
	let means: Vec<_> = all.iter().map(|finished| finished.mean_logprob).collect();
	let mut all: Vec<_> = all.into_iter().map(Some).collect();
	let take = |number: usize| Some((all.get_mut(number)?.take()?, number));
	best.choose(&means).into_iter().filter_map(take).collect()
}

fn chat_choice(head: &Head, index: u32, finished: Finished) -> ChatChoice {
	let Finished { delta, finish_reason, .. } = finished;
	let mut calls = delta.calls.into_iter().map(|call| ToolCall {
		id: call.id.unwrap_or_default(),
		r#type: "function",
		function: FunctionCall { name: call.function.name.unwrap_or_default(), arguments: call.function.arguments },
	});
	let function_call = if head.reading.is_older { calls.next().map(|call| call.function) } else { None };
	let tool_calls: Vec<_> = calls.collect();
	let has_calls = function_call.is_some() || !tool_calls.is_empty();
	let message = AssistantMessage {
		role: "assistant",
		content: (!has_calls || !delta.content.is_empty()).then_some(delta.content),
		refusal: None,
		reasoning_content: (!delta.reasoning.is_empty()).then_some(delta.reasoning),
		tool_calls: (!tool_calls.is_empty()).then_some(tool_calls),
		function_call,
	};
	let logprobs = head.reading.logprobs.map(|_| ChatLogprobs { content: delta.logprobs, refusal: None });
	ChatChoice { index, message, logprobs, finish_reason }
}

/// Converts log probabilities to the form of `/v1/completions`. `offset` is the number of characters before them.
fn text_logprobs(entries: Vec<ChatLogprob>, offset: &mut usize) -> TextLogprobs {
	let mut all = TextLogprobs::default();
	for entry in entries {
		all.text_offset.push(*offset);
		*offset = offset.saturating_add(entry.token.chars().count());
		let top = entry.top_logprobs.into_iter().map(|top| (top.token, top.logprob.into()));
		all.top_logprobs.push(top.collect::<Map<_, _>>());
		all.tokens.push(entry.token);
		all.token_logprobs.push(entry.logprob);
	}
	all
}

#[derive(Serialize)]
struct Chunk<'a, C> {
	id: &'a str,
	object: &'static str,
	created: u64,
	model: &'a str,
	choices: &'a [C],
	#[serde(skip_serializing_if = "Option::is_none")]
	usage: Option<Option<Usage>>,
	system_fingerprint: &'a str,
}

#[derive(Serialize)]
struct ChunkChoice {
	index: u32,
	delta: ChunkDelta,
	logprobs: Option<ChatLogprobs>,
	finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct ChunkDelta {
	#[serde(skip_serializing_if = "Option::is_none")]
	role: Option<&'static str>,
	#[serde(skip_serializing_if = "Option::is_none")]
	content: Option<String>,
	#[serde(skip_serializing_if = "Option::is_none")]
	reasoning_content: Option<String>,
	#[serde(skip_serializing_if = "Option::is_none")]
	tool_calls: Option<Vec<CallDelta>>,
	#[serde(skip_serializing_if = "Option::is_none")]
	function_call: Option<super::types::FunctionDelta>,
}

impl Head {
	fn frame<C: Serialize>(&self, choices: &[C], usage: Option<Usage>) -> String {
		let object = match self.endpoint {
			Endpoint::Chat => "chat.completion.chunk",
			Endpoint::Text => "text_completion",
		};
		let usage = self.include_usage.then_some(usage);
		let (id, model, system_fingerprint) = (self.id.as_str(), self.model.as_str(), self.system_fingerprint.as_str());
		event(&Chunk { id, object, created: self.created, model, choices, usage, system_fingerprint })
	}

	/// The chunk for what a token made certain, or for the end.
	fn chunk(&self, index: u32, delta: Delta, finish_reason: Option<&'static str>, offset: &mut usize) -> String {
		let has_logprobs = self.reading.logprobs.is_some() && !delta.logprobs.is_empty();
		match self.endpoint {
			Endpoint::Chat => {
				let logprobs = has_logprobs.then_some(ChatLogprobs { content: delta.logprobs, refusal: None });
				let some = |text: String| (!text.is_empty()).then_some(text);
				let mut calls = (!delta.calls.is_empty()).then_some(delta.calls);
				let older = if self.reading.is_older { calls.take() } else { None };
				let delta = ChunkDelta {
					role: None,
					content: some(delta.content),
					reasoning_content: some(delta.reasoning),
					tool_calls: calls,
					function_call: older.and_then(|calls| calls.into_iter().next()).map(|call| call.function),
				};
				self.frame(&[ChunkChoice { index, delta, logprobs, finish_reason }], None)
			},
			Endpoint::Text => {
				let logprobs = has_logprobs.then(|| text_logprobs(delta.logprobs, offset));
				self.frame(&[TextChoice { index, text: delta.content, logprobs, finish_reason }], None)
			},
		}
	}

	/// The first chunk of a choice, if it has one before the tokens.
	fn opening(&self, index: u32) -> Option<String> {
		match self.endpoint {
			Endpoint::Chat => {
				let content = Some(String::new());
				let delta = ChunkDelta { role: Some("assistant"), content, ..ChunkDelta::default() };
				Some(self.frame(&[ChunkChoice { index, delta, logprobs: None, finish_reason: None }], None))
			},
			Endpoint::Text => {
				let text = self.reading.echo.get(index as usize)?.clone();
				Some(self.frame(&[TextChoice { index, text, logprobs: None, finish_reason: None }], None))
			},
		}
	}
}

fn event(value: &impl Serialize) -> String {
	format!("data: {}\n\n", serde_json::to_string(value).unwrap_or_default())
}

type Merged = Pin<Box<dyn stream::Stream<Item = (u32, Piece)> + Send>>;

/// The pieces of all completions of a response, as they arrive.
pub struct Merger {
	gateway: Arc<Gateway>,
	pieces: Merged,
	/// A piece that arrived before the headers were sent.
	first: Option<(u32, Piece)>,
}

/// The next item of a stream.
pub enum Next {
	/// A piece of the completion with this number.
	Piece(u32, Piece),
	/// Nothing for a while: a comment keeps the connection open.
	Silence,
	/// Nothing more, though completions are open.
	Broken,
}

impl Merger {
	/// Waits for the first piece, so that an error still sets the status; after
	/// [`hold_headers`](crate::config::Timeouts::hold_headers) it goes on without it, before a proxy gives up.
	pub async fn start(gateway: Arc<Gateway>, completions: Vec<Pieces>) -> Result<Self, ApiError> {
		let numbered = completions.into_iter().zip(0u32..).map(|(pieces, index)| {
			let pieces = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
			pieces.map(move |piece| (index, piece)).boxed()
		});
		let mut pieces: Merged = Box::pin(stream::select_all(numbered));
		let first = match timeout(gateway.options.timeouts.hold_headers, pieces.next()).await {
			Ok(Some((_, Piece::Failed(error)))) => return Err(error),
			Ok(first) => first,
			Err(_) => None,
		};
		Ok(Self { gateway, pieces, first })
	}

	/// Waits for the next piece.
	pub async fn next(&mut self) -> Next {
		if let Some((index, piece)) = self.first.take() {
			return Next::Piece(index, piece);
		}
		match timeout(self.gateway.options.timeouts.keep_alive, self.pieces.next()).await {
			Ok(Some((index, piece))) => Next::Piece(index, piece),
			Ok(None) => Next::Broken,
			Err(_) => Next::Silence,
		}
	}
}

/// A response of server-sent events.
pub fn events(frames: impl stream::Stream<Item = String> + Send + 'static) -> Response {
	let frames = frames.map(|frame| Ok::<_, Infallible>(Bytes::from(frame)));
	let mut response = Response::new(Body::from_stream(frames));
	let headers = response.headers_mut();
	headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
	headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
	headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
	response
}

/// A comment, which clients skip.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

struct Streaming {
	gateway: Arc<Gateway>,
	head: Head,
	merger: Merger,
	/// The completions that have not ended, with the number of characters of each.
	readers: Vec<Option<(Reader, usize)>>,
	opened: bool,
	sums: Sums,
	started: Instant,
	ended: bool,
}

/// Streams the completions as they arrive.
pub async fn streamed(gateway: Arc<Gateway>, head: Head, completions: Vec<Pieces>) -> Result<Response, ApiError> {
	let started = Instant::now();
	let readers = completions.iter().map(|_| Some((Reader::new(head.reading.clone()), 0))).collect();
	let merger = Merger::start(gateway.clone(), completions).await?;
	let sums = Sums::default();
	let state = Streaming { gateway, head, merger, readers, opened: false, sums, started, ended: false };
	Ok(events(stream::unfold(state, |mut state| async move { Some((state.next().await?, state)) })))
}

impl Streaming {
	async fn next(&mut self) -> Option<String> {
		if !self.opened {
			self.opened = true;
			let openings: String =
				(0..).take(self.readers.len()).filter_map(|index| self.head.opening(index)).collect();
			if !openings.is_empty() {
				return Some(openings);
			}
		}
		while !self.ended {
			match self.merger.next().await {
				Next::Piece(index, Piece::Token(token)) => {
					let Some(Some((reader, offset))) = self.readers.get_mut(index as usize) else { continue };
					let delta = reader.push(token);
					if !delta.is_empty() {
						return Some(self.head.chunk(index, delta, None, offset));
					}
				},
				Next::Piece(index, Piece::Done(summary)) => return Some(self.finish(index, &summary)),
				Next::Piece(_, Piece::Failed(error)) => {
					self.ended = true;
					return Some(event(&error.body()));
				},
				Next::Silence => return Some(KEEP_ALIVE.to_owned()),
				Next::Broken => {
					self.ended = true;
					return Some(event(&ApiError::internal("The completion broke off.").body()));
				},
			}
		}
		None
	}

	fn finish(&mut self, index: u32, summary: &Summary) -> String {
		let mut frames = String::new();
		if let Some((mut reader, mut offset)) = self.readers.get_mut(index as usize).and_then(Option::take) {
			let rest = reader.finish(&summary.rest);
			if !rest.is_empty() {
				frames.push_str(&self.head.chunk(index, rest, None, &mut offset));
			}
			let reason = self.head.finish_reason(summary.finish, &reader);
			frames.push_str(&self.head.chunk(index, Delta::default(), Some(reason), &mut offset));
			self.sums.add(&self.gateway, summary, reader.reasoning_tokens());
		}
		if self.readers.iter().all(Option::is_none) {
			self.gateway.metrics.duration.observe(self.started.elapsed().as_secs_f64());
			if self.head.include_usage {
				frames.push_str(&self.head.frame::<TextChoice>(&[], Some(self.sums.usage)));
			}
			frames.push_str("data: [DONE]\n\n");
			self.ended = true;
		}
		frames
	}
}
