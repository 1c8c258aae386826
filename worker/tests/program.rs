//! Messages and exit codes of the program.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::demo_model;
use std::{
	net::TcpListener,
	os::unix::fs::PermissionsExt,
	process::{Command, Output},
};

const HOST: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

fn run(arguments: &[&str]) -> (Option<i32>, String) {
	let Output { status, stderr, stdout } =
		Command::new(env!("CARGO_BIN_EXE_gonka-worker")).args(arguments).env_remove("RUST_LOG").output().unwrap();
	(status.code(), String::from_utf8_lossy(&stderr).into_owned() + &String::from_utf8_lossy(&stdout))
}

#[test]
fn errors_say_what_to_do() {
	let directory = tempfile::tempdir().unwrap();
	let base = directory.path().to_str().unwrap();
	let taken = TcpListener::bind("127.0.0.1:0").unwrap();
	let address = taken.local_addr().unwrap().to_string();
	let common = ["--model", "none.gguf", "--base-path", base];
	for (arguments, code, words) in [
		(vec!["--help"], 0, "Exit codes"),
		(vec!["--no-such-option"], 2, "no-such-option"),
		(vec!["--hostile", "copy"], 2, "unexpected argument"),
		(vec!["--model", "m"], 2, "--host"),
		(vec!["--host", HOST, "--listen", &address], 1, "another program listens"),
		(vec!["--host", "5Grw"], 1, "5Grw"),
		(vec!["--host-key", "none.key"], 1, "none.key"),
		(vec!["--host", HOST, "--device", "tpu", "--listen", "127.0.0.1:0"], 1, "cuda:0"),
	] {
		let all: Vec<&str> = if code == 1 { arguments.iter().chain(&common).copied().collect() } else { arguments };
		let (status, output) = run(&all);
		assert_eq!(status, Some(code), "{all:?}: {output}");
		assert!(output.contains(words), "{all:?}: {output}");
		assert!(code != 0 || !output.contains("hostile"), "{output}");
	}
}

/// They hold prompts and what is due to the host.
#[test]
fn a_workers_files_are_closed_to_other_users() {
	let directory = tempfile::tempdir().unwrap();
	let base = directory.path().join("base");
	let common = ["--model", "none.gguf", "--base-path", base.to_str().unwrap(), "--listen", "127.0.0.1:0"];
	// It ends after it has made its folder.
	let (status, output) = run(&[&common[..], &["--host", HOST, "--device", "tpu"]].concat());
	assert_eq!(status, Some(1), "{output}");
	let folder = std::fs::metadata(&base).unwrap();
	assert_eq!(folder.permissions().mode() & 0o077, 0);
}

/// The worker runs itself in this way before it loads a model with llama.cpp.
#[test]
fn a_model_is_tried_in_a_process_of_its_own() {
	let directory = tempfile::tempdir().unwrap();
	let page = directory.path().join("page.gguf");
	std::fs::write(&page, "<!DOCTYPE html><html>Sign in</html>").unwrap();
	let model = demo_model();
	for (model, code, words) in [(&model, 0, ""), (&page, 1, "a web page of 35 bytes")] {
		let options = ["--context", "64", "--slots", "1", "--threads", "1"];
		let (status, output) = run(&[&["try-model", model.to_str().unwrap()][..], &options].concat());
		assert_eq!(status, Some(code), "{output}");
		assert!(output.contains(words), "{output}");
	}
}
