//! What `gonka-worker` does with its command line.

use crate::{
	app,
	cli::{Calibrate, Cli, Command},
	telemetry, version,
};
use gonka_calibration::{Options, calibrate};
use std::{ffi::OsString, process::ExitCode, thread::available_parallelism};
use tracing_subscriber::EnvFilter;

/// Runs the worker that a command line, which begins with the program's name, describes.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
	let cli = Cli::read(arguments).unwrap_or_else(|error| error.exit());
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
	tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
	if let Some(Command::Calibrate(options)) = cli.command {
		return measure(options).unwrap_or_else(|error| failed(&error));
	}
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

/// Calibrates, and says what came of it.
fn measure(options: Calibrate) -> anyhow::Result<ExitCode> {
	let Calibrate { model, name, out, tokens, length, answers, prompts, profile, jobs } = options;
	let jobs = jobs.unwrap_or_else(|| available_parallelism().map_or(1, |cores| cores.get()));
	let min_worker_version = version::own();
	let options = Options { model, name, out, tokens, answers, length, prompts, jobs, min_worker_version, profile };
	let report = calibrate(&options)?;
	println!("{} says what was found", options.out.join("report.md").display());
	println!("{} tokens of honest hosts: {} false alarms", report.honest_tokens, report.false_alarms);
	println!("in less than 99 % of answers one sees: {}", list(&report.missed));
	Ok(if report.false_alarms == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(names: &[String]) -> String {
	if names.is_empty() { "nothing".into() } else { names.join("; ") }
}

fn failed(error: &anyhow::Error) -> ExitCode {
	eprintln!("gonka-worker: {error:#}");
	ExitCode::FAILURE
}
