//! `docs/cli.md` holds what the programs' `--help` says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use clap::{Command, CommandFactory};
use std::{env, fs, path::Path};

#[test]
fn the_reference_matches_the_help_texts() {
	// Read at run time: the compiled test may serve another checkout.
	let folder = env::var_os("CARGO_MANIFEST_DIR").expect("run this through cargo");
	let path = Path::new(&folder).join("../../docs/cli.md");
	let rendered = gonka_reference::markdown();
	if env::var_os("UPDATE_DOCS").is_some() {
		fs::write(&path, &rendered).unwrap();
	}
	let written = fs::read_to_string(&path).unwrap_or_default();
	let difference = written.lines().zip(rendered.lines()).find(|(written, rendered)| written != rendered);
	assert!(
		written == rendered,
		"docs/cli.md differs from the programs' help, first at {difference:?}. UPDATE_DOCS=1 rewrites it."
	);
}

/// Checks a command and those below it. The line that shows how it is called has no breaks.
fn check_width(command: &mut Command) {
	let help = command.render_long_help().to_string();
	let long = help.lines().find(|line| line.chars().count() > 100 && !line.starts_with("Usage: "));
	assert_eq!(long, None, "of `{} --help`", command.get_bin_name().unwrap_or_default());
	command.get_subcommands_mut().for_each(check_width);
}

#[test]
fn help_has_a_hundred_columns_at_most() {
	let programs =
		[gonka::commands::Cli::command(), gonka_gateway::config::Args::command(), gonka_worker::cli::Cli::command()];
	for mut program in programs {
		program.build();
		check_width(&mut program);
	}
}

#[test]
fn every_command_has_a_man_page() {
	let folder = tempfile::tempdir().unwrap();
	gonka_reference::write_man_pages(folder.path()).unwrap();
	for page in ["gonka.1", "gonka-host-show.1", "gonka-gov-propose-parameter.1", "gonka-gateway.1", "gonka-worker.1"] {
		let text = fs::read_to_string(folder.path().join(page)).unwrap();
		assert!(text.contains(".SH SYNOPSIS"), "{page}:\n{text}");
	}
}
