//! The main function of `gonka-worker`.

use crate::{app, cli::Cli, conduct::Conduct, prometheus};
use gonka_client::telemetry;
use std::{ffi::OsString, process::ExitCode, sync::Arc};

/// Runs the worker of a command line, which begins with the program's name.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>, conduct: Arc<dyn Conduct>) -> ExitCode {
	let cli = Cli::read(arguments).unwrap_or_else(|error| error.exit());
	match start(cli, conduct) {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("gonka-worker: {error:#}");
			ExitCode::FAILURE
		},
	}
}

fn start(cli: Cli, conduct: Arc<dyn Conduct>) -> anyhow::Result<()> {
	let _telemetry = telemetry::init("gonka-worker", "info", &cli.telemetry)?;
	prometheus::start();
	let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
	let ended = runtime.block_on(app::run(cli, conduct));
	// Threads that are still busy would delay the end.
	runtime.shutdown_background();
	ended
}
