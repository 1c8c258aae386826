//! A network whose programs fail. Every start ends with an error that names the program and its log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use gonka::devnet::{self, Binaries, Config, Devnet, Engine, Ports};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// More time than any machine needs.
const AMPLE: Duration = Duration::from_secs(3_600);

fn config(base: &Path, node: &str, patience: Duration) -> Config {
	let script = base.join("node.sh");
	fs::write(&script, format!("#!/bin/sh\n{node}\n")).unwrap();
	fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
	let binaries = Binaries { node: script, worker: "/bin/false".into(), gateway: "/bin/false".into() };
	Config {
		engine: Engine::Mock,
		ports: Ports { any: true, ..Ports::default() },
		patience,
		..Config::new(base.join("net"), binaries)
	}
}

/// Command lines of the running processes that mention `path`.
fn processes_of(path: &Path) -> Vec<String> {
	let entries = fs::read_dir("/proc").unwrap().flatten();
	let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
	lines.filter(|line| line.contains(path.to_str().unwrap())).collect()
}

#[tokio::test]
async fn the_error_about_a_program_that_ended_shows_its_status_and_last_lines() {
	let directory = tempfile::tempdir().unwrap();
	let config = config(directory.path(), "echo 'the disk is full' >&2; exit 7", AMPLE);
	let error = format!("{:#}", Devnet::start(config).await.unwrap_err());
	assert!(error.contains("node-") && error.contains("exit status: 7"), "{error}");
	assert!(error.contains("the disk is full") && error.contains("logs/node-"), "{error}");
}

#[tokio::test]
async fn a_start_whose_patience_is_over_stops_the_programs_it_started() {
	let directory = tempfile::tempdir().unwrap();
	let config = config(directory.path(), "while :; do sleep 1; done", Duration::from_millis(1));
	let error = format!("{:#}", Devnet::start(config).await.unwrap_err());
	assert!(error.contains("was not ready within") && error.contains("node-alice.log"), "{error}");
	for name in ["alice", "bob", "charlie"] {
		let log = fs::read_to_string(directory.path().join(format!("net/logs/node-{name}.log"))).unwrap();
		assert!(log.contains("node.sh"), "node-{name} was not started: {log}");
	}
	assert_eq!(processes_of(directory.path()), [""; 0]);
	assert!(devnet::stop(&directory.path().join("net")).await.is_err(), "no network is left to stop");
}

#[tokio::test]
async fn the_error_about_a_missing_program_shows_its_path() {
	let directory = tempfile::tempdir().unwrap();
	let mut config = config(directory.path(), "exit 0", AMPLE);
	config.binaries.node = directory.path().join("no-such-node");
	let error = format!("{:#}", Devnet::start(config).await.unwrap_err());
	assert!(error.contains("no-such-node"), "{error}");
}
