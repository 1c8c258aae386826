//! The few HTTP requests that tell whether the network serves.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::time::Duration;

/// How long a short answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the first words of a completion may take.
const TOKEN_PATIENCE: Duration = Duration::from_secs(60);
/// Most of an answer that is read.
const MOST: usize = 64 * 1024;

/// Sends a request; the status tells nothing yet.
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
	client.request(request).await.with_context(|| format!("nothing answers at {url}"))
}

async fn text(mut response: Response<Incoming>) -> Result<String> {
	let mut all = Vec::new();
	while let Some(frame) = response.frame().await {
		if let Some(data) = frame?.data_ref() {
			all.extend_from_slice(data);
		}
		if all.len() > MOST {
			break;
		}
	}
	Ok(String::from_utf8_lossy(&all).into_owned())
}

/// `GET` of JSON.
pub(super) async fn get(url: &str, key: Option<&str>) -> Result<serde_json::Value> {
	let ask = async {
		let response = send(Method::GET, url, key, None).await?;
		let status = response.status();
		let text = text(response).await?;
		if status != StatusCode::OK {
			bail!("{url} answers {status}: {}", text.trim());
		}
		serde_json::from_str(&text).with_context(|| format!("{url} does not answer in JSON"))
	};
	tokio::time::timeout(PATIENCE, ask).await.with_context(|| format!("{url} does not answer"))?
}

/// Whether something answers HTTP at `url`, whatever it says.
pub(super) async fn answers(url: &str) -> Result<()> {
	let asked = tokio::time::timeout(PATIENCE, send(Method::GET, url, None, None));
	asked.await.with_context(|| format!("{url} does not answer"))?.map(drop)
}

/// Asks for a chat completion and waits for the first words of it.
pub(super) async fn first_words(gateway: &str, key: &str, model: &str) -> Result<String> {
	let body = serde_json::json!({
		"model": model,
		"messages": [{ "role": "user", "content": "Say hello." }],
		"stream": true,
		"max_tokens": 16,
	});
	let url = format!("{gateway}/v1/chat/completions");
	let ask = async {
		let mut response = send(Method::POST, &url, Some(key), Some(body.to_string())).await?;
		let status = response.status();
		if status != StatusCode::OK {
			bail!("{url} answers {status}: {}", text(response).await?.trim());
		}
		let mut received = Vec::new();
		while let Some(frame) = response.frame().await {
			if let Some(data) = frame?.data_ref() {
				received.extend_from_slice(data);
			}
			if let Some(words) = words_in(&String::from_utf8_lossy(&received))? {
				return Ok(words);
			}
		}
		bail!("the answer ended without a word");
	};
	let asked = tokio::time::timeout(TOKEN_PATIENCE, ask).await;
	asked.with_context(|| format!("no word within {} s", TOKEN_PATIENCE.as_secs()))?
}

/// The first words in the server-sent events received so far. The last line may be incomplete.
fn words_in(received: &str) -> Result<Option<String>> {
	let Some((complete, _)) = received.rsplit_once('\n') else { return Ok(None) };
	for data in complete.lines().filter_map(|line| line.strip_prefix("data:")) {
		let Ok(event) = serde_json::from_str::<serde_json::Value>(data.trim()) else { continue };
		if let Some(error) = event.get("error") {
			bail!("the gateway says {error}");
		}
		let words = event.pointer("/choices/0/delta/content").and_then(serde_json::Value::as_str).unwrap_or_default();
		if !words.is_empty() {
			return Ok(Some(words.to_owned()));
		}
	}
	Ok(None)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn words_are_found_once_their_line_is_complete() {
		let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
		let word = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}";
		assert_eq!(words_in(": keep-alive").unwrap(), None);
		assert_eq!(words_in(role).unwrap(), None);
		assert_eq!(words_in(&format!("{role}{word}")).unwrap(), None);
		assert_eq!(words_in(&format!("{role}{word}\n")).unwrap().as_deref(), Some("Hi"));
		assert!(words_in("data: {\"error\":{\"message\":\"no hosts\"}}\n").is_err());
	}
}
