//! What `gonka-worker` does with its command line.

use crate::{app, cli::Cli, telemetry};
use std::{ffi::OsString, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// Runs the worker that a command line, which begins with the program's name, describes.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
	let cli = Cli::read(arguments).unwrap_or_else(|error| error.exit());
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
	tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
	telemetry::start();
	let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
		Ok(runtime) => runtime,
		Err(error) => return failed(&error.into()),
	};
	match runtime.block_on(app::run(cli)) {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => failed(&error),
	}
}

fn failed(error: &anyhow::Error) -> ExitCode {
	eprintln!("gonka-worker: {error:#}");
	ExitCode::FAILURE
}
