//! Responses: from the pieces that the relay sends to OpenAI's bodies and server-sent events.

use super::{
	errors::ApiError,
	request::{Endpoint, ValidRequest},
	types::{AssistantMessage, ChatChoice, ChatCompletion, Completion, TextChoice, Usage},
};
use crate::{
	config::format_gnk,
	gateway::Gateway,
	relay::{Piece, Summary},
};
use axum::{
	Json,
	body::Body,
	http::{HeaderName, HeaderValue, header},
	response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use gonka_primitives::{Balance, market::FinishReason};
use serde::Serialize;
use std::{
	convert::Infallible,
	pin::Pin,
	sync::Arc,
	time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::mpsc, time::timeout};

/// The fields that all parts of a response share.
#[derive(Clone, Debug)]
pub struct Head {
	endpoint: Endpoint,
	/// `chatcmpl-…` or `cmpl-…`.
	id: String,
	/// Unix time in seconds.
	created: u64,
	model: String,
	include_usage: bool,
}

impl Head {
	/// Makes the head of the response to `request`, with a new id.
	pub fn new(request: &ValidRequest) -> Self {
		let prefix = match request.endpoint {
			Endpoint::Chat => "chatcmpl",
			Endpoint::Text => "cmpl",
		};
		Self {
			endpoint: request.endpoint,
			id: format!("{prefix}-{:032x}", fastrand::u128(..)),
			created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()),
			model: request.model.clone(),
			include_usage: request.include_usage,
		}
	}
}

type Pieces = mpsc::UnboundedReceiver<Piece>;

fn finish(reason: FinishReason) -> &'static str {
	match reason {
		FinishReason::Length => "length",
		FinishReason::Stop | FinishReason::Cancelled => "stop",
	}
}

#[derive(Default)]
struct Sums {
	usage: Usage,
	fee: Balance,
	hosts: Vec<String>,
}

impl Sums {
	fn add(&mut self, gateway: &Gateway, summary: &Summary) {
		let usage = &mut self.usage;
		usage.prompt_tokens = usage.prompt_tokens.saturating_add(summary.prompt_tokens);
		usage.completion_tokens = usage.completion_tokens.saturating_add(summary.completion_tokens);
		usage.total_tokens = usage.prompt_tokens.saturating_add(usage.completion_tokens);
		self.fee = self.fee.saturating_add(summary.fee);
		let host = gonka_client::keys::ss58(&summary.host);
		if !self.hosts.contains(&host) {
			self.hosts.push(host);
		}
		let tokens = &gateway.metrics.tokens;
		tokens.with_label_values(&["prompt"]).inc_by(summary.prompt_tokens.into());
		tokens.with_label_values(&["completion"]).inc_by(summary.completion_tokens.into());
	}
}

/// Waits for all completions, one list of pieces per prompt, and returns one JSON body.
pub async fn whole(gateway: &Gateway, head: Head, completions: Vec<Pieces>) -> Result<Response, ApiError> {
	let started = Instant::now();
	let (mut sums, mut choices) = (Sums::default(), Vec::new());
	for mut pieces in completions {
		let mut text = String::new();
		let summary = loop {
			match pieces.recv().await {
				Some(Piece::Text(more)) => text.push_str(&more),
				Some(Piece::Done(summary)) => break summary,
				Some(Piece::Failed(error)) => return Err(error),
				None => return Err(ApiError::internal("The completion broke off.")),
			}
		};
		sums.add(gateway, &summary);
		choices.push((text, finish(summary.finish)));
	}
	gateway.metrics.duration.observe(started.elapsed().as_secs_f64());
	let Head { id, created, model, .. } = head;
	let usage = sums.usage;
	let mut response = match head.endpoint {
		Endpoint::Chat => {
			let choices = choices.into_iter().zip(0..).map(|((content, finish_reason), index)| {
				let message = AssistantMessage { role: "assistant", content, refusal: None };
				ChatChoice { index, message, logprobs: None, finish_reason }
			});
			let (object, choices) = ("chat.completion", choices.collect());
			Json(ChatCompletion { id, object, created, model, choices, usage, system_fingerprint: None })
				.into_response()
		},
		Endpoint::Text => {
			let choices = choices.into_iter().zip(0..).map(|((text, reason), index)| TextChoice {
				index,
				text,
				logprobs: None,
				finish_reason: Some(reason),
			});
			let (object, choices) = ("text_completion", choices.collect());
			Json(Completion { id, object, created, model, choices, usage, system_fingerprint: None }).into_response()
		},
	};
	let headers = response.headers_mut();
	for (name, value) in [("x-gnk-cost", format_gnk(sums.fee)), ("x-gnk-worker", sums.hosts.join(","))] {
		if let Ok(value) = HeaderValue::from_str(&value) {
			headers.insert(HeaderName::from_static(name), value);
		}
	}
	Ok(response)
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
	system_fingerprint: Option<()>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
	index: u32,
	delta: Delta<'a>,
	logprobs: Option<()>,
	finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
	#[serde(skip_serializing_if = "Option::is_none")]
	role: Option<&'static str>,
	#[serde(skip_serializing_if = "Option::is_none")]
	content: Option<&'a str>,
}

impl Head {
	fn frame<C: Serialize>(&self, choices: &[C], usage: Option<Usage>) -> String {
		let object = match self.endpoint {
			Endpoint::Chat => "chat.completion.chunk",
			Endpoint::Text => "text_completion",
		};
		let usage = self.include_usage.then_some(usage);
		let (id, model) = (self.id.as_str(), self.model.as_str());
		event(&Chunk { id, object, created: self.created, model, choices, usage, system_fingerprint: None })
	}

	fn text(&self, index: u32, text: &str, finish_reason: Option<&'static str>) -> String {
		match self.endpoint {
			Endpoint::Chat => {
				let content = finish_reason.is_none().then_some(text);
				let delta = Delta { role: None, content };
				self.frame(&[ChunkChoice { index, delta, logprobs: None, finish_reason }], None)
			},
			Endpoint::Text => {
				let text = text.to_owned();
				self.frame(&[TextChoice { index, text, logprobs: None, finish_reason }], None)
			},
		}
	}

	fn opening(&self) -> Option<String> {
		let delta = Delta { role: Some("assistant"), content: Some("") };
		let choice = ChunkChoice { index: 0, delta, logprobs: None, finish_reason: None };
		(self.endpoint == Endpoint::Chat).then(|| self.frame(&[choice], None))
	}
}

fn event(value: &impl Serialize) -> String {
	format!("data: {}\n\n", serde_json::to_string(value).unwrap_or_default())
}

type Merged = Pin<Box<dyn stream::Stream<Item = (u32, Piece)> + Send>>;

struct Streaming {
	gateway: Arc<Gateway>,
	head: Head,
	pieces: Merged,
	/// A piece that arrived before the headers were sent.
	first: Option<(u32, Piece)>,
	opened: bool,
	open_choices: usize,
	sums: Sums,
	started: Instant,
	ended: bool,
}

/// Streams the completions as they arrive. The headers wait for the first piece, so that an error still sets the
/// status; after [`hold_headers`](crate::config::Timeouts::hold_headers) they are sent without it, before a proxy gives
/// up.
pub async fn streamed(gateway: Arc<Gateway>, head: Head, completions: Vec<Pieces>) -> Result<Response, ApiError> {
	let open_choices = completions.len();
	let numbered = completions.into_iter().zip(0u32..).map(|(pieces, index)| {
		let pieces = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
		pieces.map(move |piece| (index, piece)).boxed()
	});
	let mut pieces: Merged = Box::pin(stream::select_all(numbered));
	let started = Instant::now();
	let first = match timeout(gateway.options.timeouts.hold_headers, pieces.next()).await {
		Ok(Some((_, Piece::Failed(error)))) => return Err(error),
		Ok(first) => first,
		Err(_) => None,
	};
	let sums = Sums::default();
	let state = Streaming { gateway, head, pieces, first, opened: false, open_choices, sums, started, ended: false };
	let frames = stream::unfold(state, |mut state| async move {
		let frame = state.next().await?;
		Some((Ok::<_, Infallible>(Bytes::from(frame)), state))
	});
	let mut response = Response::new(Body::from_stream(frames));
	let headers = response.headers_mut();
	headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
	headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
	headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
	Ok(response)
}

impl Streaming {
	async fn next(&mut self) -> Option<String> {
		if !self.opened {
			self.opened = true;
			if let Some(opening) = self.head.opening() {
				return Some(opening);
			}
		}
		loop {
			if self.ended {
				return None;
			}
			let next = match self.first.take() {
				Some(first) => Some(first),
				None => match timeout(self.gateway.options.timeouts.keep_alive, self.pieces.next()).await {
					Ok(next) => next,
					Err(_) => return Some(": keep-alive\n\n".to_owned()),
				},
			};
			match next {
				Some((_, Piece::Text(text))) if text.is_empty() => {},
				Some((index, Piece::Text(text))) => return Some(self.head.text(index, &text, None)),
				Some((index, Piece::Done(summary))) => return Some(self.finish(index, &summary)),
				Some((_, Piece::Failed(error))) => {
					self.ended = true;
					return Some(event(&error.body()));
				},
				None => {
					self.ended = true;
					return Some(event(&ApiError::internal("The completion broke off.").body()));
				},
			}
		}
	}

	fn finish(&mut self, index: u32, summary: &Summary) -> String {
		self.sums.add(&self.gateway, summary);
		let mut frames = self.head.text(index, "", Some(finish(summary.finish)));
		self.open_choices = self.open_choices.saturating_sub(1);
		if self.open_choices == 0 {
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
