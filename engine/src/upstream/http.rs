//! HTTP client for one server: JSON in, JSON or a stream of lines out.

use std::{
	error::Error,
	sync::{
		Arc,
		atomic::{AtomicBool, Ordering},
	},
	time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
	Method, Request, StatusCode,
	body::Incoming,
	header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
	client::legacy::{Client, connect::HttpConnector},
	rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::time::timeout;

use super::UpstreamConfig;
use crate::EngineError;

/// Time after which an idle connection is closed. Servers close theirs after 5 s or more; closing first keeps requests
/// off a closing connection.
const IDLE: Duration = Duration::from_secs(2);
/// Maximum number of bytes of a response: log probabilities of 100,000 tokens, 20 each.
const MAX_RESPONSE: usize = 256 << 20;
/// Maximum number of bytes of a line.
const MAX_LINE: usize = 1 << 20;

/// Sends requests to the server, and records whether it responded last time.
pub struct Http {
	client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
	base: String,
	authorization: Option<hyper::header::HeaderValue>,
	/// Whether the server responded to the last request.
	pub is_reachable: AtomicBool,
}

impl Http {
	/// Makes a client. It connects with the first request.
	pub fn new(config: &UpstreamConfig) -> Result<Self, EngineError> {
		let base = config.url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
		let uri = base.parse::<hyper::Uri>().ok();
		if !uri.is_some_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))) {
			let message = format!("the upstream's URL {base:?} must be like http://127.0.0.1:8000");
			return Err(EngineError::InvalidRequest(message));
		}
		let authorization = config.key.as_ref().map(|key| {
			let mut value = hyper::header::HeaderValue::from_str(&format!("Bearer {}", key.0)).map_err(|_| {
				EngineError::InvalidRequest("the upstream's key has characters that an HTTP header cannot carry".into())
			})?;
			value.set_sensitive(true);
			Ok::<_, EngineError>(value)
		});
		let mut tcp = HttpConnector::new();
		tcp.enforce_http(false);
		tcp.set_nodelay(true);
		tcp.set_connect_timeout(Some(config.connect));
		let tls = hyper_rustls::HttpsConnectorBuilder::new()
			.with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))
			.map_err(|error| EngineError::Compute(error.to_string()))?
			.https_or_http()
			.enable_http1()
			.wrap_connector(tcp);
		let client =
			Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(tls);
		Ok(Self { client, base, authorization: authorization.transpose()?, is_reachable: AtomicBool::new(true) })
	}

	/// Sends `body` to `path` by POST, or a GET without a body, and returns the JSON of the response.
	pub async fn request(&self, path: &str, body: Option<&Value>, within: Duration) -> Result<Value, EngineError> {
		let response = timeout(within, async {
			let body = self.send(path, body).await?;
			let bytes =
				Limited::new(body, MAX_RESPONSE).collect().await.map_err(|error| self.unreachable(&*error))?.to_bytes();
			serde_json::from_slice(&bytes).map_err(|error| broken(&format!("{path}: {error}")))
		});
		response.await.map_err(|_| self.silent(within))?
	}

	/// Sends `body` to `path` and returns the lines of the response. `first` is the timeout until the response begins.
	pub async fn stream(&self, path: &str, body: &Value, first: Duration) -> Result<Lines<'_>, EngineError> {
		let body = timeout(first, self.send(path, Some(body))).await.map_err(|_| self.silent(first))??;
		Ok(Lines { http: self, body, buffer: Vec::new() })
	}

	async fn send(&self, path: &str, body: Option<&Value>) -> Result<Incoming, EngineError> {
		let method = if body.is_some() { Method::POST } else { Method::GET };
		let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
		if let Some(authorization) = &self.authorization {
			request = request.header(AUTHORIZATION, authorization);
		}
		let body = body.map_or(Bytes::new(), |body| Bytes::from(body.to_string()));
		let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body));
		let request = request.map_err(|error| EngineError::InvalidRequest(error.to_string()))?;
		let response = self.client.request(request).await.map_err(|error| self.unreachable(&error))?;
		self.is_reachable.store(true, Ordering::Relaxed);
		let (status, body) = (response.status(), response.into_body());
		if status.is_success() {
			return Ok(body);
		}
		let body = Limited::new(body, MAX_LINE).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
		Err(error_of(path, status, &body))
	}

	fn unreachable(&self, error: &(dyn Error + 'static)) -> EngineError {
		self.is_reachable.store(false, Ordering::Relaxed);
		let causes: Vec<_> =
			std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
		EngineError::Compute(format!("the upstream {} cannot be reached: {}", self.base, causes.join(": ")))
	}

	fn silent(&self, within: Duration) -> EngineError {
		self.is_reachable.store(false, Ordering::Relaxed);
		EngineError::Compute(format!("the upstream {} has been silent for {} s", self.base, within.as_secs_f64()))
	}
}

/// Translates an error response.
fn error_of(path: &str, status: StatusCode, body: &[u8]) -> EngineError {
	let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
	let reason = [&json["error"]["message"], &json["message"], &json["error"]];
	let reason = reason.into_iter().find_map(Value::as_str).unwrap_or("no reason given");
	let message = format!("the upstream rejected a request to {path} ({status}): {reason}");
	match status {
		StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => EngineError::Busy { waiting: 0 },
		StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
			EngineError::InvalidRequest(message)
		},
		// Trying again would not help.
		StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => EngineError::Model(message),
		_ => EngineError::Compute(message),
	}
}

/// Makes the error for a response that does not have the expected form.
pub fn broken(what: &str) -> EngineError {
	EngineError::Compute(format!("the upstream's response cannot be read: {what}"))
}

/// A stream of lines. Dropping it closes the connection, which tells the server to stop.
pub struct Lines<'a> {
	http: &'a Http,
	body: Incoming,
	buffer: Vec<u8>,
}

impl Lines<'_> {
	/// Returns the next line without its end; `None` after the last. `within` is the timeout.
	pub async fn next(&mut self, within: Duration) -> Result<Option<Vec<u8>>, EngineError> {
		loop {
			if let Some(line) = take_line(&mut self.buffer) {
				return Ok(Some(line));
			}
			if self.buffer.len() > MAX_LINE {
				return Err(broken("a line is too long"));
			}
			match timeout(within, self.body.frame()).await.map_err(|_| self.http.silent(within))? {
				Some(Ok(frame)) => self.buffer.extend(frame.into_data().unwrap_or_default()),
				Some(Err(error)) => return Err(self.http.unreachable(&error)),
				None => return Ok(None),
			}
		}
	}
}

/// Removes the first line from the buffer.
fn take_line(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
	let end = buffer.iter().position(|&byte| byte == b'\n')?;
	let mut line: Vec<u8> = buffer.drain(..=end).collect();
	line.truncate(line.trim_ascii_end().len());
	Some(line)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn lines_are_cut_wherever_the_bytes_are_split() {
		let text = b"data: 1\r\n\r\n: a comment\n\ndata: 2\n\n";
		for step in 1..text.len() {
			let (mut buffer, mut lines) = (Vec::new(), Vec::new());
			for part in text.chunks(step) {
				buffer.extend_from_slice(part);
				lines.extend(std::iter::from_fn(|| take_line(&mut buffer)));
			}
			let lines: Vec<_> = lines.iter().map(|line| str::from_utf8(line).unwrap()).collect();
			assert_eq!(lines, ["data: 1", "", ": a comment", "", "data: 2", ""], "in steps of {step}");
		}
	}

	#[test]
	fn error_responses_become_errors_by_their_status() {
		let body = br#"{"error":{"message":"too long","type":"BadRequestError","param":null,"code":400}}"#;
		let EngineError::InvalidRequest(message) = error_of("/v1/completions", StatusCode::BAD_REQUEST, body) else {
			panic!("a bad request");
		};
		assert!(message.contains("too long"), "{message}");
		for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
			assert_eq!(error_of("/", status, b""), EngineError::Busy { waiting: 0 });
		}
		assert!(matches!(error_of("/", StatusCode::UNAUTHORIZED, b"{}"), EngineError::Model(_)));
		assert!(matches!(error_of("/", StatusCode::BAD_GATEWAY, b"<html>"), EngineError::Compute(_)));
	}
}
