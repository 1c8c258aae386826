//! The main function of `gonka-worker`.

use crate::{
	app,
	cli::Cli,
	conduct::Conduct,
	engines::{TRY_MODEL, TryModel},
	prometheus,
	tokenizer::{MakeTokenizer, TOKENIZER},
};
use clap::Parser;
use gonka_client::{process, telemetry};
use std::{ffi::OsString, process::ExitCode, sync::Arc};

/// Runs the worker of a command line, which begins with the program's name. The first thing that a process does.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>, conduct: Arc<dyn Conduct>) -> ExitCode {
	// SAFETY: the process has just begun and has one thread.
	unsafe { gonka_engine::round_alike() };
	let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
	if arguments.get(1).is_some_and(|first| first == TRY_MODEL) {
		return try_model(arguments);
	}
	if arguments.get(1).is_some_and(|first| first == TOKENIZER) {
		let options = MakeTokenizer::try_parse_from(arguments.into_iter().skip(1)).unwrap_or_else(|error| error.exit());
		return ended(options.run());
	}
	let cli = Cli::read(arguments).unwrap_or_else(|error| error.exit());
	ended(start(cli, conduct))
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
	match result {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("gonka-worker: {error:#}");
			ExitCode::FAILURE
		},
	}
}

/// Tries a model in this process, which llama.cpp may end. Writes an error to standard output, for the process that waits.
fn try_model(arguments: Vec<OsString>) -> ExitCode {
	// The subcommand is the program's name to the parser.
	let options = TryModel::try_parse_from(arguments.into_iter().skip(1)).unwrap_or_else(|error| error.exit());
	match gonka_engine::try_model(&options.config()) {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			println!("{error}");
			ExitCode::FAILURE
		},
	}
}

fn start(cli: Cli, conduct: Arc<dyn Conduct>) -> anyhow::Result<()> {
	process::hide_files();
	let _telemetry = telemetry::init("gonka-worker", "info", &cli.telemetry)?;
	prometheus::start();
	let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
	let ended = runtime.block_on(app::run(cli, conduct));
	// Threads that are still busy would delay the end.
	runtime.shutdown_background();
	ended
}
