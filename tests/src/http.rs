//! Requests with `curl`: what a developer types.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

/// An answer.
#[derive(Debug)]
pub struct Answer {
	/// The HTTP status.
	pub status: u16,
	/// The headers, lower case, one a line.
	pub headers: String,
	/// The body.
	pub body: Value,
}

impl Answer {
	/// The value of a header.
	pub fn header(&self, name: &str) -> Option<&str> {
		self.headers.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
	}

	/// `error.code` of an OpenAI-style error, after checking that all four keys are there.
	pub fn error_code(&self) -> Result<&str> {
		let error = self.body.get("error").context("no `error`")?;
		for key in ["message", "type", "param", "code"] {
			ensure!(error.get(key).is_some(), "no `error.{key}` in {}", self.body);
		}
		ensure!(error["message"].as_str().is_some_and(|message| message.len() > 10), "no message: {error}");
		error["code"].as_str().context("`error.code` is no string")
	}
}

/// Posts `body` as it is.
pub async fn post(url: &str, key: &str, body: &str) -> Result<Answer> {
	let key = format!("authorization: Bearer {key}");
	curl(&["--header", "content-type: application/json", "--header", &key, "--data-binary", body, url]).await
}

/// Gets what is there.
pub async fn get(url: &str) -> Result<Answer> {
	curl(&[url]).await
}

async fn curl(arguments: &[&str]) -> Result<Answer> {
	let output = Command::new("curl")
		.args(["--silent", "--show-error", "--max-time", "120", "--dump-header", "/dev/stderr"])
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
	Ok(Answer { status: status.parse()?, headers, body })
}
