//! HTTP requests that show whether the network serves.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// Maximum number of bytes of a response that are read.
const MAX_RESPONSE: usize = 64 * 1024;

/// Sends a request. A response of any status is a success.
async fn send(method: Method, url: &str, key: Option<&str>, body: Option<String>) -> Result<Response<Incoming>> {
	let mut request = Request::builder().method(method).uri(url);
	if let Some(key) = key {
		request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
	}
	if body.is_some() {
		request = request.header(header::CONTENT_TYPE, "application/json");
	}
	let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
	let client = Client::builder(TokioExecutor::new()).build_http();
	client.request(request).await.with_context(|| format!("nothing listens at {url}"))
}

async fn text(mut response: Response<Incoming>) -> Result<String> {
	let mut all = Vec::new();
	while let Some(frame) = response.frame().await {
		if let Some(data) = frame?.data_ref() {
			all.extend_from_slice(data);
		}
		if all.len() > MAX_RESPONSE {
			break;
		}
	}
	Ok(String::from_utf8_lossy(&all).into_owned())
}

/// Gets JSON.
pub(super) async fn get(url: &str, key: Option<&str>) -> Result<serde_json::Value> {
	let response = send(Method::GET, url, key, None).await?;
	let status = response.status();
	let text = text(response).await?;
	if status != StatusCode::OK {
		bail!("{url} responds with {status}: {}", text.trim());
	}
	serde_json::from_str(&text).with_context(|| format!("{url} does not respond with JSON"))
}

/// Checks that a server responds to HTTP at `url`, with any status.
pub(super) async fn responds(url: &str) -> Result<()> {
	send(Method::GET, url, None, None).await.map(drop)
}

/// Requests a chat completion and waits for its first token.
pub(super) async fn first_token(gateway: &str, key: &str, model: &str) -> Result<String> {
	let body = serde_json::json!({
		"model": model,
		"messages": [{ "role": "user", "content": "Say hello." }],
		"stream": true,
		"max_tokens": 16,
	});
	let url = format!("{gateway}/v1/chat/completions");
	let mut response = send(Method::POST, &url, Some(key), Some(body.to_string())).await?;
	let status = response.status();
	if status != StatusCode::OK {
		bail!("{url} responds with {status}: {}", text(response).await?.trim());
	}
	let mut received = Vec::new();
	while let Some(frame) = response.frame().await {
		if let Some(data) = frame?.data_ref() {
			received.extend_from_slice(data);
		}
		if let Some(token) = token_in(&String::from_utf8_lossy(&received))? {
			return Ok(token);
		}
	}
	bail!("the completion ended without a token")
}

/// Finds the first token in the server-sent events received so far, whose last line may be incomplete.
fn token_in(received: &str) -> Result<Option<String>> {
	let Some((complete, _)) = received.rsplit_once('\n') else { return Ok(None) };
	for data in complete.lines().filter_map(|line| line.strip_prefix("data:")) {
		let Ok(event) = serde_json::from_str::<serde_json::Value>(data.trim()) else { continue };
		if let Some(error) = event.get("error") {
			bail!("the gateway reports {error}");
		}
		let token = event.pointer("/choices/0/delta/content").and_then(serde_json::Value::as_str).unwrap_or_default();
		if !token.is_empty() {
			return Ok(Some(token.to_owned()));
		}
	}
	Ok(None)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_token_is_found_once_its_line_is_complete() {
		let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
		let token = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}";
		assert_eq!(token_in(": keep-alive").unwrap(), None);
		assert_eq!(token_in(role).unwrap(), None);
		assert_eq!(token_in(&format!("{role}{token}")).unwrap(), None);
		assert_eq!(token_in(&format!("{role}{token}\n")).unwrap().as_deref(), Some("Hi"));
		assert!(token_in("data: {\"error\":{\"message\":\"no hosts\"}}\n").is_err());
	}
}
