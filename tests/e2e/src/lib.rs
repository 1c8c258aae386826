//! Helpers of the end-to-end tests: small networks, RPC calls to a node, HTTP requests with `curl`, scripts with
//! polkadot.js, clients that behave at random, and waits for conditions.

pub mod audit_events;
pub mod blocks;
pub mod clients;
pub mod http;
pub mod network;
pub mod node;

use anyhow::{Context, Result, bail, ensure};
use std::{
	path::{Path, PathBuf},
	process::Stdio,
	time::{Duration, Instant},
};
use tokio::{
	process::Command,
	signal::unix::{SignalKind, signal},
};

/// Maximum time of every wait. A wait ends when its condition holds; this bound only ends a test that hangs, so it is
/// longer than any wait on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Prints the step that begins, so that a failure tells where it happened.
pub fn step(name: &str) {
	println!("\n=== {name}");
}

/// Runs a test that starts programs. SIGTERM, which nextest sends at the time limit, and Ctrl-C drop the test, so that
/// the programs end with it.
pub async fn interruptible(test: impl Future<Output = Result<()>>) -> Result<()> {
	let mut terminate = signal(SignalKind::terminate())?;
	tokio::select! {
		outcome = test => outcome,
		_ = terminate.recv() => bail!("terminated"),
		_ = tokio::signal::ctrl_c() => bail!("interrupted"),
	}
}

/// Repeats `attempt` every half second until it succeeds. Fails with the last error after [`PATIENCE`].
pub async fn until<T, F: Future<Output = Result<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> Result<T> {
	let deadline = Instant::now() + PATIENCE;
	loop {
		match attempt().await {
			Ok(value) => return Ok(value),
			Err(error) if Instant::now() >= deadline => {
				bail!("{what}: not within {} s: {error:#}", PATIENCE.as_secs())
			},
			Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
		}
	}
}

/// Runs a script of `tests/e2e/polkadotjs` with a node's `ws://` address. The packages come from `scripts/setup`.
pub async fn polkadotjs(script: &str, url: &str) -> Result<()> {
	// Read at run time: the compiled test may serve another checkout.
	let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("run this through cargo")?;
	let folder = Path::new(&folder);
	let run = Command::new("node")
		.arg(folder.join("polkadotjs").join(script))
		.arg(url)
		.env("NODE_PATH", folder.join("../../examples/node_modules"))
		.stdin(Stdio::null())
		.kill_on_drop(true)
		.output();
	let output = tokio::time::timeout(PATIENCE, run).await.with_context(|| format!("{script} does not end"))?;
	let output = output.context("Node.js is missing: run scripts/setup")?;
	let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
	ensure!(output.status.success(), "{script} failed:\n{out}{err}");
	print!("{out}");
	Ok(())
}

/// The folder in which `scripts/setup` keeps what it fetched: `$GONKA_HOME`, or `~/.cache/gonka`.
pub fn gonka_home() -> PathBuf {
	let default = || std::env::home_dir().unwrap_or_default().join(".cache/gonka");
	std::env::var_os("GONKA_HOME").map_or_else(default, PathBuf::from)
}
