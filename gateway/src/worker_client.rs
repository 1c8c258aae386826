//! The client side of the worker's HTTP/2 API: one pooled connection per worker.

use crate::config::Timeouts;
use bytes::{Buf, Bytes, BytesMut};
use gonka_client::{
	json,
	peer_http::{self, Addresses, PeerHttp, ReadError, TlsError, describe, endpoint},
	request_id::{REQUEST_ID_HEADER, RequestId},
	worker_api::{
		self, Acknowledgement, CHANNEL_PATH, ChannelQuery, ChannelState, ENVELOPE_HEADER, ErrorBody, ErrorCode, Event,
		HEALTH_PATH, Health, INFERENCE_PATH, TOKENIZER_PATH, TokenizerQuery, VOUCHERS_PATH, to_hex,
	},
};
use gonka_primitives::market::SignedEnvelope;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, http};
use serde::{
	Serialize,
	de::{DeserializeOwned, IgnoredAny},
};
use std::{error::Error, time::Duration};
use tokio::time::timeout;

/// Maximum length of a worker's message, in characters.
const MAX_MESSAGE: usize = 300;
/// Maximum length of an event or of an error's body, in bytes.
const MAX_EVENT: usize = 1 << 20;
/// Maximum length of a response, in bytes: a million tokens.
const MAX_RESPONSE: usize = 64 << 20;
/// Maximum time to fetch a tokenizer: they have up to some ten megabytes.
const TRANSFER: Duration = Duration::from_secs(300);
/// Interval of pings on a connection. They show that a worker has vanished while a completion streams.
const PING: Duration = Duration::from_secs(10);
/// Bytes that a worker may send ahead on one stream.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that a worker may send ahead on all streams of a connection. Tokens come in small frames. h2 lets about one
/// frame per 500 bytes of this window wait (`too_many_data_frames`), so its default of 64 KiB is too small for many
/// completions at once.
const CONNECTION_WINDOW: u32 = 32 << 20;

/// Why a call to a worker failed. The texts continue a sentence that begins with "the worker".
#[derive(Debug, thiserror::Error)]
pub enum CallError {
	/// The worker cannot have read the request.
	#[error("cannot be reached: {}", describe(.0.as_ref()))]
	Unreachable(Box<dyn Error + Send + Sync>),
	/// The connection or the response broke; the worker may have read the request.
	#[error("broke off: {}", describe(.0.as_ref()))]
	Broken(Box<dyn Error + Send + Sync>),
	/// The response is an error that is not the API's.
	#[error("sent HTTP status {0}")]
	Status(StatusCode),
	/// An event exceeds the maximum length.
	#[error("sent an event of more than {MAX_EVENT} bytes")]
	EventTooLong,
	/// The response exceeds the maximum length.
	#[error("sent more than {MAX_RESPONSE} bytes")]
	TooLong,
	/// Nothing arrived in time; the worker may have read the request.
	#[error("sent nothing for {} s", .0.as_secs())]
	Silent(Duration),
	/// The worker rejected the request.
	#[error("rejected the request ({code:?}): {message}")]
	Refused {
		/// The reason, for programs.
		code: ErrorCode,
		/// The reason, for people.
		message: String,
	},
}

impl CallError {
	/// The rejection by a worker, with no more of its text than people read.
	pub fn refused(error: worker_api::Error) -> Self {
		let is_shown = |c: &char| !c.is_control();
		Self::Refused { code: error.code, message: error.message.chars().filter(is_shown).take(MAX_MESSAGE).collect() }
	}
}

impl From<http::Error> for CallError {
	fn from(error: http::Error) -> Self {
		Self::Unreachable(error.into())
	}
}

/// The client for all workers. Clones share its connections.
#[derive(Clone)]
pub struct WorkerClient {
	client: PeerHttp,
	control: Duration,
}

impl WorkerClient {
	/// Makes a client without connections. It connects to `addresses` alone.
	pub fn new(timeouts: &Timeouts, addresses: Addresses) -> Result<Self, TlsError> {
		let client = peer_http::client(addresses, timeouts.connect, |http| {
			http.http2_keep_alive_interval(PING)
				.http2_keep_alive_timeout(PING)
				.http2_initial_stream_window_size(STREAM_WINDOW)
				.http2_initial_connection_window_size(CONNECTION_WINDOW);
		});
		Ok(Self { client: client?, control: timeouts.control })
	}

	/// Sends a request for a completion and returns its events. Dropping them tells the worker to stop.
	pub async fn inference(
		&self,
		url: &str,
		id: &RequestId,
		envelope: &SignedEnvelope,
		body: Bytes,
		limit: Duration,
	) -> Result<EventStream, CallError> {
		let request = Request::builder()
			.method(Method::POST)
			.uri(endpoint(url, INFERENCE_PATH))
			.header("content-type", "application/json")
			.header("accept", "text/event-stream")
			.header(REQUEST_ID_HEADER, id.as_str())
			.header(ENVELOPE_HEADER, to_hex(envelope))
			.body(Full::new(body))?;
		let response = self.send(request, limit).await?;
		Ok(EventStream { body: response.into_body(), buffer: BytesMut::new(), scanned: 0, read: 0, ended: false })
	}

	/// Sends a voucher. Returns when the worker has it on disk.
	pub async fn acknowledge(&self, url: &str, body: &Acknowledgement) -> Result<(), CallError> {
		self.call::<_, IgnoredAny>(url, VOUCHERS_PATH, body).await.map(drop)
	}

	/// Queries the worker's record of a channel.
	pub async fn channel(&self, url: &str, body: &ChannelQuery) -> Result<ChannelState, CallError> {
		self.call(url, CHANNEL_PATH, body).await
	}

	/// Fetches a tokenizer file. Its hash is not checked.
	pub async fn tokenizer(&self, url: &str, body: &TokenizerQuery) -> Result<Bytes, CallError> {
		self.post(url, TOKENIZER_PATH, body, TRANSFER).await
	}

	/// Queries which models the worker serves.
	pub async fn health(&self, url: &str) -> Result<Health, CallError> {
		let request = Request::builder().method(Method::GET).uri(endpoint(url, HEALTH_PATH)).body(Full::default())?;
		let body = self.read(request, self.control, MAX_EVENT).await?;
		json::from_slice(&body).map_err(|error| CallError::Broken(error.into()))
	}

	async fn call<B: Serialize, R: DeserializeOwned>(&self, url: &str, path: &str, body: &B) -> Result<R, CallError> {
		let body = self.post(url, path, body, self.control).await?;
		json::from_slice(&body).map_err(|error| CallError::Broken(error.into()))
	}

	/// Posts JSON. Returns the body of the response, for which there is so much time.
	async fn post(&self, url: &str, path: &str, body: &impl Serialize, limit: Duration) -> Result<Bytes, CallError> {
		let body = serde_json::to_vec(body).map_err(|error| CallError::Unreachable(error.into()))?;
		let request = Request::builder()
			.method(Method::POST)
			.uri(endpoint(url, path))
			.header("content-type", "application/json")
			.body(Full::new(Bytes::from(body)))?;
		self.read(request, limit, MAX_RESPONSE).await
	}

	/// Sends a request. Returns the body of the response, of at most so many bytes, for which there is so much time.
	async fn read(&self, request: Request<Full<Bytes>>, limit: Duration, max: usize) -> Result<Bytes, CallError> {
		let response = self.send(request, self.control).await?;
		let body = timeout(limit, peer_http::read(response.into_body(), max));
		body.await.map_err(|_| CallError::Silent(limit))?.map_err(|error| match error {
			ReadError::TooLarge(_) => CallError::TooLong,
			ReadError::BrokenOff(error) => CallError::Broken(error),
		})
	}

	async fn send(&self, request: Request<Full<Bytes>>, limit: Duration) -> Result<Response<Incoming>, CallError> {
		let response = timeout(limit, self.client.request(request)).await.map_err(|_| CallError::Silent(limit))?;
		let response = response.map_err(|error| {
			if error.is_connect() { CallError::Unreachable(error.into()) } else { CallError::Broken(error.into()) }
		})?;
		let status = response.status();
		if status.is_success() {
			return Ok(response);
		}
		let body = timeout(self.control, peer_http::read(response.into_body(), MAX_EVENT)).await;
		let body = body.ok().and_then(Result::ok).unwrap_or_default();
		Err(match json::from_slice::<ErrorBody>(&body) {
			Ok(ErrorBody { error }) => CallError::refused(error),
			Err(_) => CallError::Status(status),
		})
	}
}

/// The events of one response.
pub struct EventStream {
	body: Incoming,
	buffer: BytesMut,
	/// Number of bytes at the buffer's start in which no event ends.
	scanned: usize,
	/// Number of bytes read so far.
	read: usize,
	ended: bool,
}

impl EventStream {
	/// Returns the next event, or `None` at the end of the stream.
	pub async fn next(&mut self) -> Result<Option<Event>, CallError> {
		loop {
			if let Some(data) = take_event(&mut self.buffer, &mut self.scanned) {
				if data.is_empty() {
					continue;
				}
				#[expect(clippy::disallowed_methods, reason = "an event is short, and has no value of any type")]
				let event = serde_json::from_slice::<Event>(&data);
				return event.map(Some).map_err(|error| CallError::Broken(error.into()));
			}
			if self.ended {
				return Ok(None);
			}
			if self.buffer.len() > MAX_EVENT {
				return Err(CallError::EventTooLong);
			}
			match self.body.frame().await {
				Some(Ok(frame)) => {
					if let Ok(data) = frame.into_data() {
						self.read = self.read.saturating_add(data.len());
						if self.read > MAX_RESPONSE {
							return Err(CallError::TooLong);
						}
						self.buffer.extend_from_slice(&data);
					}
				},
				Some(Err(error)) => return Err(CallError::Broken(error.into())),
				None => self.ended = true,
			}
		}
	}
}

/// Cuts one server-sent event off the front of `buffer` and returns its data; a comment has none. In the first `scanned` bytes,
/// no event ends: a host that sends a long one byte by byte has them read once.
fn take_event(buffer: &mut BytesMut, scanned: &mut usize) -> Option<Vec<u8>> {
	let start = scanned.saturating_sub(3);
	let new = buffer.get(start..).unwrap_or_default();
	let found = new
		.windows(2)
		.position(|pair| pair == b"\n\n")
		.map(|at| (at, 2))
		.or_else(|| new.windows(4).position(|four| four == b"\r\n\r\n").map(|at| (at, 4)));
	*scanned = if found.is_some() { 0 } else { buffer.len() };
	let (end, gap) = found?;
	let event = buffer.split_to(start.saturating_add(end));
	buffer.advance(gap);
	let mut data = Vec::new();
	for line in event.as_ref().split(|byte: &u8| *byte == b'\n') {
		let line = line.strip_suffix(b"\r").unwrap_or(line);
		if let Some(rest) = line.strip_prefix(b"data:") {
			data.extend_from_slice(rest.strip_prefix(b" ").unwrap_or(rest));
		}
	}
	Some(data)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn of_a_workers_message_no_more_is_kept_than_people_read() {
		let error = worker_api::Error { code: worker_api::ErrorCode::Busy, message: "a\nb".repeat(1_000) };
		let CallError::Refused { message, .. } = CallError::refused(error) else { panic!("a rejection") };
		assert_eq!(message, "ab".repeat(MAX_MESSAGE / 2));
	}

	#[test]
	fn events_are_cut_the_same_wherever_the_bytes_are_split() {
		let text = b": hello\n\ndata: {\"a\":1}\n\ndata:{\"b\":2}\n\nevent: x\ndata: 3\n\ndata: 4\r\n\r\n";
		for step in 1..text.len() {
			let (mut buffer, mut scanned, mut events) = (BytesMut::new(), 0, Vec::new());
			for part in text.chunks(step) {
				buffer.extend_from_slice(part);
				while let Some(data) = take_event(&mut buffer, &mut scanned) {
					events.push(String::from_utf8(data).unwrap());
				}
			}
			assert_eq!(events, ["", "{\"a\":1}", "{\"b\":2}", "3", "4"]);
		}
	}
}
