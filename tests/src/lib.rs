//! Helpers of the end-to-end tests: small networks, raw questions to a node, HTTP as `curl` does it, waiting
//! for conditions.

pub mod blocks;
pub mod http;
pub mod judgements;
pub mod network;
pub mod node;

use anyhow::{Result, bail};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Says which step of a scenario runs, so that a failure tells where.
pub fn step(name: &str) {
	println!("\n=== {name}");
}

/// Runs a test that starts programs. SIGTERM, which a test that takes too long gets, and Ctrl-C drop it, so that what it
/// started ends, too.
pub async fn interruptible(test: impl Future<Output = Result<()>>) -> Result<()> {
	let mut terminate = signal(SignalKind::terminate())?;
	tokio::select! {
		outcome = test => outcome,
		_ = terminate.recv() => bail!("terminated"),
		_ = tokio::signal::ctrl_c() => bail!("interrupted"),
	}
}

/// Tries `attempt` every half second until it gives a value; fails with the last reason after `patience`.
pub async fn until<T, F: Future<Output = Result<T>>>(
	what: &str,
	patience: Duration,
	mut attempt: impl FnMut() -> F,
) -> Result<T> {
	let deadline = Instant::now() + patience;
	loop {
		match attempt().await {
			Ok(value) => return Ok(value),
			Err(error) if Instant::now() >= deadline => {
				bail!("{what}: not within {} s: {error:#}", patience.as_secs())
			},
			Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
		}
	}
}
