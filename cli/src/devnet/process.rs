//! A program of the network: a process group of its own, its log, its end.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
	env,
	ffi::OsString,
	fs::{self, File, OpenOptions},
	io::{Read, Seek, SeekFrom, Write},
	path::{Path, PathBuf},
	process::{ExitStatus, Stdio},
	time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// Time that a program gets to end after SIGTERM before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// Time between two checks of a program that is ending.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum number of bytes of a log that are read for its last lines.
const MAX_TAIL_BYTES: u64 = 16 * 1024;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Spec {
	/// Name within the network, such as `node-alice`.
	pub name: String,
	/// Path of the program.
	pub program: PathBuf,
	/// Arguments.
	pub arguments: Vec<OsString>,
	/// File that its output is appended to.
	pub log: PathBuf,
}

/// A program that was started. Dropping it stops it.
#[derive(Debug)]
pub struct Process {
	/// The program.
	pub spec: Spec,
	/// Time that it gets to end after SIGTERM.
	grace: Duration,
	child: Option<Child>,
}

impl Process {
	/// Starts the program.
	pub fn start(spec: Spec) -> Result<Self> {
		let mut process = Self { spec, grace: GRACE, child: None };
		process.start_again()?;
		Ok(process)
	}

	/// Starts the program again after its end.
	pub fn start_again(&mut self) -> Result<()> {
		let Spec { name, program, arguments, log } = &self.spec;
		let mut out = OpenOptions::new()
			.create(true)
			.append(true)
			.open(log)
			.with_context(|| format!("cannot write to the log {}", log.display()))?;
		let line: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
		writeln!(out, "$ {} {}", program.display(), line.join(" "))?;
		let mut command = Command::new(program);
		// The user's variables are meant for other programs.
		for (variable, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GONKA_")) {
			command.env_remove(variable);
		}
		let child = command
			.args(arguments)
			.env("NO_COLOR", "1")
			.stdin(Stdio::null())
			.stdout(out.try_clone()?)
			.stderr(out)
			.process_group(0)
			.spawn()
			.with_context(|| format!("cannot start {name} ({})", program.display()))?;
		self.child = Some(child);
		Ok(())
	}

	/// Process id, while it runs.
	pub fn id(&self) -> Option<u32> {
		self.child.as_ref().and_then(Child::id)
	}

	/// Exit status, if it ended by itself.
	pub fn ended(&mut self) -> Option<ExitStatus> {
		self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
	}

	/// Sends a signal to its process group.
	pub(super) fn signal(&self, signal: Signal) {
		if let Some(id) = self.id() {
			signal_group(id, signal);
		}
	}

	/// Waits for its end after a signal. Kills it when the grace is over.
	pub(super) async fn wait(&mut self) {
		let Some(child) = self.child.as_mut() else { return };
		if tokio::time::timeout(self.grace, child.wait()).await.is_err() {
			if let Some(id) = child.id() {
				signal_group(id, Signal::KILL);
			}
			// SIGKILL always ends it. An error means that it has ended already.
			let _ = child.wait().await;
		}
		self.child = None;
	}

	/// Stops it: sends SIGTERM, waits, and kills it when the grace is over.
	pub async fn stop(&mut self) {
		self.signal(Signal::TERM);
		self.wait().await;
	}

	/// Kills it at once, as a power cut would.
	pub async fn kill(&mut self) {
		self.signal(Signal::KILL);
		self.wait().await;
	}

	/// Leaves it running when this process ends.
	pub(super) fn release(&mut self) {
		self.child = None;
	}

	/// Last lines of its log.
	pub fn tail(&self, lines: usize) -> String {
		tail(&self.spec.log, lines)
	}
}

impl Drop for Process {
	fn drop(&mut self) {
		end_blocking(std::slice::from_mut(self));
	}
}

/// Stops processes without async, as a destructor has to.
pub fn end_blocking(processes: &mut [Process]) {
	for process in processes.iter() {
		process.signal(Signal::TERM);
	}
	let begun = Instant::now();
	for process in processes.iter_mut() {
		while process.id().is_some() && process.ended().is_none() {
			if begun.elapsed() >= process.grace {
				process.signal(Signal::KILL);
			}
			std::thread::sleep(POLL_INTERVAL);
		}
		process.child = None;
	}
}

/// Sends a signal to a process group, if the group still exists.
pub(super) fn signal_group(id: u32, signal: Signal) {
	if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
		let _ = kill_process_group(pid, signal);
	}
}

/// Returns the last lines of a file, or nothing if it cannot be read.
pub(super) fn tail(path: &Path, lines: usize) -> String {
	let read = || -> std::io::Result<String> {
		let mut file = File::open(path)?;
		let length = fs::metadata(path)?.len();
		file.seek(SeekFrom::Start(length.saturating_sub(MAX_TAIL_BYTES)))?;
		let mut bytes = Vec::new();
		file.read_to_end(&mut bytes)?;
		Ok(String::from_utf8_lossy(&bytes).into_owned())
	};
	let text = read().unwrap_or_default();
	let all: Vec<&str> = text.lines().collect();
	all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
	use super::*;

	/// More time than any machine needs.
	const AMPLE: Duration = Duration::from_secs(3_600);

	fn shell(directory: &Path, script: &str, grace: Duration) -> Process {
		let spec = Spec {
			name: "shell".into(),
			program: "/bin/sh".into(),
			arguments: vec!["-c".into(), script.into()],
			log: directory.join("log"),
		};
		let mut process = Process::start(spec).unwrap();
		process.grace = grace;
		process
	}

	async fn until(mut condition: impl FnMut() -> bool) {
		while !condition() {
			tokio::time::sleep(POLL_INTERVAL).await;
		}
	}

	async fn until_logged(process: &Process, wanted: &str) {
		until(|| process.tail(10).lines().any(|line| line == wanted)).await;
	}

	#[tokio::test]
	async fn stop_sends_sigterm_to_the_whole_group_and_waits() {
		let directory = tempfile::tempdir().unwrap();
		let script = "trap 'echo terminated; exit 0' TERM; echo up; sleep 100000 & wait";
		let mut process = shell(directory.path(), script, AMPLE);
		until_logged(&process, "up").await;
		process.stop().await;
		assert_eq!(process.tail(1), "terminated");
		assert_eq!(process.id(), None);
	}

	#[tokio::test]
	async fn a_program_that_ignores_sigterm_is_killed() {
		let directory = tempfile::tempdir().unwrap();
		let mut process = shell(directory.path(), "trap '' TERM; echo up; while :; do sleep 1; done", Duration::ZERO);
		until_logged(&process, "up").await;
		process.stop().await;
		assert_eq!(process.id(), None);
	}

	#[tokio::test]
	async fn a_program_that_ended_by_itself_can_be_started_again() {
		let directory = tempfile::tempdir().unwrap();
		let mut process = shell(directory.path(), "echo gone; exit 3", AMPLE);
		let mut status = None;
		until(|| {
			status = process.ended();
			status.is_some()
		})
		.await;
		assert_eq!(status.unwrap().code(), Some(3));
		process.start_again().unwrap();
		process.wait().await;
		assert_eq!(process.tail(10).lines().filter(|line| *line == "gone").count(), 2);
	}

	#[tokio::test]
	async fn dropping_a_process_stops_it() {
		let directory = tempfile::tempdir().unwrap();
		let script = "trap 'echo terminated; exit 0' TERM; echo up; sleep 100000 & wait";
		let process = shell(directory.path(), script, AMPLE);
		until_logged(&process, "up").await;
		drop(process);
		assert_eq!(tail(&directory.path().join("log"), 1), "terminated");
	}

	#[test]
	fn the_tail_of_a_missing_file_is_empty() {
		assert_eq!(tail(Path::new("/no/such/file"), 5), "");
	}
}
