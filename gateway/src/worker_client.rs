//! The worker's HTTP/2 interface from the gateway's side: one pooled connection per worker.

use crate::config::Timeouts;
use bytes::{Buf, Bytes, BytesMut};
use gonka_client::wire::{
	Acknowledgement, CHANNEL_PATH, ChannelQuery, ChannelState, ENVELOPE_HEADER, ErrorBody, ErrorCode, Event,
	INFERENCE_PATH, VOUCHERS_PATH, to_hex,
};
use gonka_primitives::market::SignedEnvelope;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::{
	client::legacy::{Client, connect::HttpConnector},
	rt::{TokioExecutor, TokioTimer},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Longest event, in bytes.
const MAX_EVENT: usize = 1 << 20;
/// Longest answer that is not a stream, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// Between pings on a connection, so that a vanished worker is noticed while an answer streams.
const PING: Duration = Duration::from_secs(10);
/// Bytes that a worker may send ahead on one answer.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that a worker may send ahead on all answers. Tokens come in small frames, of which h2 lets pile up about one
/// per 500 bytes of this window (`too_many_data_frames`), and its default of 64 KiB is soon full of many answers.
const CONNECTION_WINDOW: u32 = 32 << 20;

/// Why a worker gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
	/// It cannot have read the request.
	#[error("cannot be reached: {0}")]
	NotSent(String),
	/// It may have read the request.
	#[error("broke off: {0}")]
	Broken(String),
	/// It was silent for too long; it may have read the request.
	#[error("silent for {} s", .0.as_secs())]
	Silent(Duration),
	/// It refused.
	#[error("refused ({code:?}): {message}")]
	Refused {
		/// For programs.
		code: ErrorCode,
		/// For people.
		message: String,
	},
}

/// Talks to workers. Cheap to clone.
#[derive(Clone)]
pub struct WorkerClient {
	client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
	control: Duration,
}

impl WorkerClient {
	/// A client with an empty pool.
	pub fn new(timeouts: &Timeouts) -> Result<Self, String> {
		let mut tcp = HttpConnector::new();
		tcp.enforce_http(false);
		tcp.set_nodelay(true);
		tcp.set_connect_timeout(Some(timeouts.connect));
		let tls = hyper_rustls::HttpsConnectorBuilder::new()
			.with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))
			.map_err(|error| error.to_string())?
			.https_or_http()
			.enable_http2()
			.wrap_connector(tcp);
		let client = Client::builder(TokioExecutor::new())
			.http2_only(true)
			.timer(TokioTimer::new())
			.http2_keep_alive_interval(PING)
			.http2_keep_alive_timeout(PING)
			.http2_initial_stream_window_size(STREAM_WINDOW)
			.http2_initial_connection_window_size(CONNECTION_WINDOW)
			.build(tls);
		Ok(Self { client, control: timeouts.control })
	}

	/// Starts an inference. Dropping the answer tells the worker to stop.
	pub async fn inference(
		&self,
		url: &str,
		envelope: &SignedEnvelope,
		body: Bytes,
		within: Duration,
	) -> Result<EventStream, CallError> {
		let envelope = to_hex(envelope);
		let request = Request::builder()
			.method(Method::POST)
			.uri(join(url, INFERENCE_PATH))
			.header("content-type", "application/json")
			.header("accept", "text/event-stream")
			.header(ENVELOPE_HEADER, envelope)
			.body(Full::new(body))
			.map_err(|error| CallError::NotSent(error.to_string()))?;
		let response = self.send(request, within).await?;
		Ok(EventStream { body: response.into_body(), buffer: BytesMut::new(), ended: false })
	}

	/// Sends a voucher; returns once the worker has it on disk.
	pub async fn acknowledge(&self, url: &str, body: &Acknowledgement) -> Result<(), CallError> {
		self.call::<_, serde_json::Value>(url, VOUCHERS_PATH, body).await.map(|_| ())
	}

	/// Asks what the worker knows of a channel.
	pub async fn channel(&self, url: &str, body: &ChannelQuery) -> Result<ChannelState, CallError> {
		self.call(url, CHANNEL_PATH, body).await
	}

	async fn call<B: Serialize, A: DeserializeOwned>(&self, url: &str, path: &str, body: &B) -> Result<A, CallError> {
		let body = serde_json::to_vec(body).map_err(|error| CallError::NotSent(error.to_string()))?;
		let request = Request::builder()
			.method(Method::POST)
			.uri(join(url, path))
			.header("content-type", "application/json")
			.body(Full::new(Bytes::from(body)))
			.map_err(|error| CallError::NotSent(error.to_string()))?;
		let response = self.send(request, self.control).await?;
		let answer = timeout(self.control, Limited::new(response.into_body(), MAX_ANSWER).collect());
		let answer = answer.await.map_err(|_| CallError::Silent(self.control))?;
		let answer = answer.map_err(|error| CallError::Broken(error.to_string()))?.to_bytes();
		serde_json::from_slice(&answer).map_err(|error| CallError::Broken(format!("unreadable answer: {error}")))
	}

	async fn send(&self, request: Request<Full<Bytes>>, within: Duration) -> Result<Response<Incoming>, CallError> {
		let response = timeout(within, self.client.request(request)).await.map_err(|_| CallError::Silent(within))?;
		let response = response.map_err(|error| {
			let text = describe(&error);
			if error.is_connect() { CallError::NotSent(text) } else { CallError::Broken(text) }
		})?;
		if response.status().is_success() {
			return Ok(response);
		}
		let status = response.status();
		let body = timeout(self.control, Limited::new(response.into_body(), MAX_EVENT).collect()).await;
		let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
		Err(match serde_json::from_slice::<ErrorBody>(&body) {
			Ok(ErrorBody { error }) => CallError::Refused { code: error.code, message: error.message },
			Err(_) => CallError::Broken(format!("HTTP status {status}")),
		})
	}
}

fn join(url: &str, path: &str) -> String {
	format!("{}{path}", url.trim_end_matches('/'))
}

fn describe(error: &dyn std::error::Error) -> String {
	let mut text = error.to_string();
	let mut source = error.source();
	while let Some(cause) = source {
		text = format!("{text}: {cause}");
		source = cause.source();
	}
	text
}

/// The events of one answer.
pub struct EventStream {
	body: Incoming,
	buffer: BytesMut,
	ended: bool,
}

impl EventStream {
	/// The next event; `None` at the end of the stream.
	pub async fn next(&mut self) -> Result<Option<Event>, CallError> {
		loop {
			if let Some(data) = take_event(&mut self.buffer) {
				if data.is_empty() {
					continue;
				}
				let event = serde_json::from_slice(&data);
				return event.map(Some).map_err(|error| CallError::Broken(format!("unreadable event: {error}")));
			}
			if self.ended {
				return Ok(None);
			}
			if self.buffer.len() > MAX_EVENT {
				return Err(CallError::Broken("an event is too long".to_owned()));
			}
			match self.body.frame().await {
				Some(Ok(frame)) => {
					if let Ok(data) = frame.into_data() {
						self.buffer.extend_from_slice(&data);
					}
				},
				Some(Err(error)) => return Err(CallError::Broken(describe(&error))),
				None => self.ended = true,
			}
		}
	}
}

/// Cuts one server-sent event off the front of `buffer` and returns its data; empty for a comment.
fn take_event(buffer: &mut BytesMut) -> Option<Vec<u8>> {
	let (end, gap) = buffer
		.windows(2)
		.position(|pair| pair == b"\n\n")
		.map(|at| (at, 2))
		.or_else(|| buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| (at, 4)))?;
	let event = buffer.split_to(end);
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
	fn events_are_cut_wherever_the_bytes_are_split() {
		let text = b": hello\n\ndata: {\"a\":1}\n\ndata:{\"b\":2}\n\nevent: x\ndata: 3\n\n";
		for step in 1..text.len() {
			let (mut buffer, mut events) = (BytesMut::new(), Vec::new());
			for part in text.chunks(step) {
				buffer.extend_from_slice(part);
				while let Some(data) = take_event(&mut buffer) {
					events.push(String::from_utf8(data).unwrap());
				}
			}
			assert_eq!(events, ["", "{\"a\":1}", "{\"b\":2}", "3"]);
		}
	}
}
