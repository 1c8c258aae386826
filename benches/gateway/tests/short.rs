//! A short form of the measurement, without other proxies. It asserts nothing about times.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

#[test]
fn every_request_gets_its_tokens_and_every_receipt_is_acknowledged() {
	let work = tempfile::tempdir().unwrap();
	let output = Command::new(env!("CARGO_BIN_EXE_gonka-bench-gateway"))
		.args([
			"measure",
			"--streams",
			"1,4",
			"--first",
			"2",
			"--gap",
			"1",
			"--rounds",
			"1",
			"--turn",
			"100",
			"--crowd",
			"40",
		])
		.arg("--work")
		.arg(work.path())
		.output()
		.unwrap();
	let (report, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
	assert!(output.status.success(), "{errors}");
	// One row in each of three tables, and one for memory.
	let rows = |name: &str| report.lines().filter(|line| line.starts_with(name)).count();
	assert_eq!((rows("upstream "), rows("gateway ")), (3, 4), "{report}");
	assert!(report.ends_with("as many receipts, all of them acknowledged once\n"), "{report}");
}
