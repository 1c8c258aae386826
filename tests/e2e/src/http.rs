//! HTTP requests with `curl`, as a developer types them.

use crate::PATIENCE;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

/// A response.
#[derive(Debug)]
pub struct Response {
	/// The HTTP status.
	pub status: u16,
	/// The headers in lower case, one a line.
	pub headers: String,
	/// The body.
	pub body: Value,
}

impl Response {
	/// The value of a header.
	pub fn header(&self, name: &str) -> Option<&str> {
		self.headers.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
	}

	/// `error.code` of an OpenAI-style error. Fails if one of the error's four keys is missing.
	pub fn error_code(&self) -> Result<&str> {
		let error = self.body.get("error").context("no `error`")?;
		for key in ["message", "type", "param", "code"] {
			ensure!(error.get(key).is_some(), "no `error.{key}` in {}", self.body);
		}
		ensure!(
			error["message"].as_str().is_some_and(|message| message.len() > 10),
			"`error.message` says nothing: {error}"
		);
		error["code"].as_str().context("`error.code` is no string")
	}
}

/// Posts `body` unchanged, with `key` as the API key.
pub async fn post(url: &str, key: &str, body: &str) -> Result<Response> {
	let key = format!("authorization: Bearer {key}");
	curl(&["--header", "content-type: application/json", "--header", &key, "--data-binary", body, url]).await
}

/// Gets the resource at `url`.
pub async fn get(url: &str) -> Result<Response> {
	curl(&[url]).await
}

async fn curl(arguments: &[&str]) -> Result<Response> {
	let output = Command::new("curl")
		.args(["--silent", "--show-error", "--max-time", &PATIENCE.as_secs().to_string()])
		.args(["--dump-header", "/dev/stderr"])
		.args(["--write-out", "\n%{http_code}"])
		.args(arguments)
		.kill_on_drop(true)
		.output()
		.await
		.context("curl is missing: run scripts/setup")?;
	let text = String::from_utf8(output.stdout)?;
	let headers = String::from_utf8_lossy(&output.stderr).replace('\r', "").to_lowercase();
	ensure!(output.status.success(), "curl: {headers}");
	let (body, status) = text.rsplit_once('\n').context("no status")?;
	let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.into()));
	Ok(Response { status: status.parse()?, headers, body })
}
