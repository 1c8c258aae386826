//! Measures the time that the gateway adds to a worker's own, beside other proxies before the same upstream. README.md
//! beside this crate says how.

mod client;
mod front;
mod measure;
mod program;
mod report;
mod upstream;

use clap::Parser;
use std::time::{SystemTime, UNIX_EPOCH};

/// The gateway's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(version, about)]
enum Command {
	/// Serve tokens at fixed times, as workers and as an OpenAI-style server. Ends with its standard input.
	Upstream(upstream::Args),
	/// Run a gateway whose chain is a market in memory. Ends with its standard input.
	Gateway(front::Args),
	/// Start all programs and measure them.
	Measure(measure::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
	match Command::parse() {
		Command::Upstream(args) => upstream::run(args).await,
		Command::Gateway(args) => front::run(args).await,
		Command::Measure(args) => measure::run(args).await,
	}
}

/// Nanoseconds since 1970, by the clock that all processes of this machine share.
fn now() -> u64 {
	SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

/// Waits until standard input ends: the process that started this one is gone, or wants it to stop.
async fn input_ends() {
	let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}
