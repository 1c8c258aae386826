//! `gonka-calibrate`: makes a model's calibration profile.

use anyhow::{Context, Result};
use clap::Parser;
use gonka_calibration::{Options, calibrate, plan::EngineKind};
use gonka_primitives::host::worker_version;
use std::{path::PathBuf, process::ExitCode, thread::available_parallelism};
use tracing_subscriber::EnvFilter;

/// Measures how completions of honest and of dishonest hosts differ for a model, and makes the calibration profile that
/// governance registers.
///
/// It needs no chain. Measurements are kept, so an interrupted run continues where it stopped.
#[derive(Debug, Parser)]
#[command(
	name = "gonka-calibrate",
	version,
	after_help = "\
Example:
  gonka-calibrate --model SmolLM2-135M-Instruct.Q4_1.gguf --name SmolLM2-135M-Instruct --out smollm2
writes smollm2/profile.json, report.md and roc.svg, and prints the name of the registration, with the engine's class. To
propose the profile to governance:
  gonka gov propose calibration-profile SmolLM2-135M-Instruct@llama.cpp-… smollm2/profile.json --key …
Exit codes: 0 done, 1 failed or an honest host raised an alarm, 2 wrong options."
)]
struct Cli {
	/// The model's GGUF file.
	#[arg(long, value_name = "FILE")]
	model: PathBuf,
	/// The engine of the hosts to which the profile applies.
	#[arg(long, value_enum, default_value_t = EngineKind::Llama)]
	engine: EngineKind,
	/// The model's name in the report.
	#[arg(long, default_value = "SmolLM2-135M-Instruct", value_name = "NAME")]
	name: String,
	/// Folder for measurements, profile and report.
	#[arg(long, default_value = "calibration", value_name = "DIR")]
	out: PathBuf,
	/// Number of tokens of honest hosts that checkers audit. A million take about four hours of a core.
	#[arg(long, default_value_t = 1_000_000, value_name = "N")]
	tokens: u64,
	/// Number of tokens of a completion.
	#[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
	length: u32,
	/// Number of completions of each kind of cheat.
	#[arg(long, default_value_t = 64, value_name = "N")]
	completions: usize,
	/// File with texts that completions begin with, one a line. By default 64 texts of all kinds.
	#[arg(long, value_name = "FILE")]
	prompts: Option<PathBuf>,
	/// Try this profile instead of making one: would honest hosts on this machine raise an alarm?
	#[arg(long, value_name = "FILE")]
	profile: Option<PathBuf>,
	/// Number of measurements at the same time, each on a core and with the model in memory twice. By default one for each
	/// core.
	#[arg(long, value_name = "N")]
	jobs: Option<usize>,
}

fn main() -> ExitCode {
	// SAFETY: the process has just begun and has one thread.
	unsafe { gonka_engine::round_alike() };
	let cli = Cli::parse();
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
	tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
	run(cli).unwrap_or_else(|error| {
		eprintln!("gonka-calibrate: {error:#}");
		ExitCode::FAILURE
	})
}

/// Calibrates, and prints a summary.
fn run(cli: Cli) -> Result<ExitCode> {
	let Cli { model, engine, name, out, tokens, length, completions, prompts, profile, jobs } = cli;
	let jobs = jobs.unwrap_or_else(|| available_parallelism().map_or(1, |cores| cores.get()));
	// All crates of the workspace, the worker included, have the same version.
	let min_worker_version =
		worker_version(env!("CARGO_PKG_VERSION")).context("this version is not a worker version")?;
	let options =
		Options { model, name, engine, out, tokens, completions, length, prompts, jobs, min_worker_version, profile };
	let report = calibrate(&options)?;
	println!("the report is in {}", options.out.join("report.md").display());
	println!("the profile is for the registration {}", report.model);
	println!("false alarms in {} audited tokens of honest hosts: {}", report.honest_tokens, report.false_alarms);
	let missed = if report.missed.is_empty() { "none".into() } else { report.missed.join("; ") };
	println!("cheats that are flagged in less than 99 % of completions: {missed}");
	Ok(if report.false_alarms == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::CommandFactory;

	#[test]
	fn the_options_are_consistent() {
		Cli::command().debug_assert();
		let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
		assert!(parse("gonka-calibrate --model m").is_ok());
		assert!(parse("gonka-calibrate").is_err(), "a model is required");
		assert!(parse("gonka-calibrate --model m --length 0").is_err());
	}
}
