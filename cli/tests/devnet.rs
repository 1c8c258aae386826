//! A network of programs that do not work: every wait ends, and the error names the program and its log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use gonka::devnet::{self, Binaries, Config, Devnet, Engine, Ports};
use std::{
	fs,
	os::unix::fs::PermissionsExt,
	path::Path,
	time::{Duration, Instant},
};

fn config(base: &Path, node: &str) -> Config {
	let script = base.join("node.sh");
	fs::write(&script, format!("#!/bin/sh\n{node}\n")).unwrap();
	fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
	let binaries = Binaries { node: script, worker: "/bin/false".into(), gateway: "/bin/false".into() };
	Config {
		engine: Engine::Mock,
		ports: Ports { any: true, ..Ports::default() },
		patience: Duration::from_secs(2),
		..Config::new(base.join("net"), binaries)
	}
}

#[tokio::test]
async fn a_program_that_ends_is_named_with_its_last_words() {
	let directory = tempfile::tempdir().unwrap();
	let begun = Instant::now();
	let config = config(directory.path(), "echo 'the disk is full' >&2; exit 7");
	let error = format!("{:#}", Devnet::start(config).await.unwrap_err());
	assert!(error.contains("node-") && error.contains("exit status: 7"), "{error}");
	assert!(error.contains("the disk is full") && error.contains("logs/node-"), "{error}");
	assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_program_that_never_is_ready_ends_the_start_and_is_ended() {
	let directory = tempfile::tempdir().unwrap();
	let config = config(directory.path(), "echo $$ >> \"$0.pids\"; exec sleep 1000");
	let error = format!("{:#}", Devnet::start(config).await.unwrap_err());
	assert!(error.contains("not ready within 2 s") && error.contains("node-alice.log"), "{error}");
	let pids = fs::read_to_string(directory.path().join("node.sh.pids")).unwrap();
	assert_eq!(pids.lines().count(), 3);
	for pid in pids.lines() {
		assert!(!Path::new("/proc").join(pid).join("exe").exists(), "{pid} still runs");
	}
	assert!(devnet::stop(&directory.path().join("net")).await.is_err(), "nothing is left to be ended");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
	let directory = tempfile::tempdir().unwrap();
	let mut config = config(directory.path(), "exit 0");
	config.binaries.node = directory.path().join("no-such-node");
	let error = format!("{:#}", Devnet::start(config).await.unwrap_err());
	assert!(error.contains("no-such-node"), "{error}");
}
