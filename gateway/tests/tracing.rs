//! Log lines of a request: they carry its id and its envelope, but never the prompt.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Net, chat_body, eventually};
use gonka_gateway::config::Options;
use gonka_stand_ins::worker::Failure;
use serde_json::json;
use std::{
	io,
	sync::{Arc, Mutex},
};
use tracing_subscriber::EnvFilter;

/// The log of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
	fn lines(&self) -> Vec<String> {
		String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
	}
}

impl io::Write for Log {
	fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
		self.0.lock().unwrap().extend_from_slice(bytes);
		Ok(bytes.len())
	}

	fn flush(&mut self) -> io::Result<()> {
		Ok(())
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_of_a_request_carry_its_id_and_envelope_and_never_the_prompt() {
	let (log, secret) = (Log::default(), "a secret prompt");
	let writer = log.clone();
	tracing_subscriber::fmt()
		.with_env_filter(EnvFilter::new("gonka_gateway=trace,gonka_client=trace"))
		.with_ansi(false)
		.with_writer(move || writer.clone())
		.init();
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Resets)));
	let body = chat_body(json!({"messages": [{"role": "user", "content": secret}]})).to_string();
	let response = front.open("POST", "/v1/chat/completions", &[("x-request-id", "my-id")], body).await;
	assert_eq!(response.status(), 502);
	eventually("the failure is logged", || log.lines().iter().any(|line| line.contains("trying another host"))).await;
	for line in log.lines() {
		assert!(!line.contains(secret), "{line}");
		if line.contains("trying another host") {
			assert!(line.contains("id=my-id") && line.contains("envelope=\""), "{line}");
		}
		if line.contains("responded") {
			assert!(line.contains("id=my-id"), "{line}");
		}
	}
}
