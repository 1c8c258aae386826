//! `gonka`: see [`gonka::commands`].

use clap::Parser;
use gonka::commands::Cli;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
	tracing_subscriber::fmt()
		.with_env_filter(filter)
		.with_writer(std::io::stderr)
		.with_ansi(std::io::stderr().is_terminal())
		.init();
	match Cli::parse().run().await {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("gonka: {error:#}");
			ExitCode::FAILURE
		},
	}
}
