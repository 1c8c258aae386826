//! A program that runs for the network: its own process group, its log, its end.

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

/// How long a program may take to end when asked.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// Between two looks at a program that is ending.
const LOOK: Duration = Duration::from_millis(50);
/// Most of a log that is read for its last lines, in bytes.
const TAIL_BYTES: u64 = 16 * 1024;

/// What to run.
#[derive(Clone, Debug)]
pub struct Spec {
	/// Its name within the network, such as `node-alice`.
	pub name: String,
	/// The program.
	pub program: PathBuf,
	/// What it is told.
	pub arguments: Vec<OsString>,
	/// Where its output goes, after what is there.
	pub log: PathBuf,
}

/// A program that runs, or ran. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
	/// What it is.
	pub spec: Spec,
	child: Option<Child>,
}

impl Process {
	/// Starts the program.
	pub fn start(spec: Spec) -> Result<Self> {
		let mut process = Self { spec, child: None };
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
			.with_context(|| format!("cannot write the log {}", log.display()))?;
		let line: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
		writeln!(out, "$ {} {}", program.display(), line.join(" "))?;
		let mut command = Command::new(program);
		// What the user set for other programs is not meant for these.
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

	/// Its process id, while it runs.
	pub fn id(&self) -> Option<u32> {
		self.child.as_ref().and_then(Child::id)
	}

	/// How it ended, if it did by itself.
	pub fn ended(&mut self) -> Option<ExitStatus> {
		self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
	}

	/// Sends a signal to its whole group.
	pub(super) fn signal(&self, signal: Signal) {
		if let Some(id) = self.id() {
			signal_group(id, signal);
		}
	}

	/// Waits for its end after a signal; kills it when the grace is over.
	pub(super) async fn wait(&mut self) {
		let Some(child) = self.child.as_mut() else { return };
		if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
			if let Some(id) = child.id() {
				signal_group(id, Signal::KILL);
			}
			// After SIGKILL the end is certain; an error here means that it has come already.
			let _ = child.wait().await;
		}
		self.child = None;
	}

	/// Ends it: asks, waits, kills.
	pub async fn stop(&mut self) {
		self.signal(Signal::TERM);
		self.wait().await;
	}

	/// Kills it at once, as a power cut would.
	pub async fn kill(&mut self) {
		self.signal(Signal::KILL);
		self.wait().await;
	}

	/// Lets it run on after this program.
	pub(super) fn release(&mut self) {
		self.child = None;
	}

	/// The last lines of its log.
	pub fn tail(&self, lines: usize) -> String {
		tail(&self.spec.log, lines)
	}
}

impl Drop for Process {
	fn drop(&mut self) {
		end_blocking(std::slice::from_mut(self));
	}
}

/// Ends processes where nothing can be awaited.
pub fn end_blocking(processes: &mut [Process]) {
	for process in processes.iter() {
		process.signal(Signal::TERM);
	}
	let deadline = Instant::now() + GRACE;
	for process in processes.iter_mut() {
		while process.id().is_some() && process.ended().is_none() {
			if Instant::now() >= deadline {
				process.signal(Signal::KILL);
			}
			std::thread::sleep(LOOK);
		}
		process.child = None;
	}
}

/// Sends a signal to a process group. A group that has ended needs none.
pub(super) fn signal_group(id: u32, signal: Signal) {
	if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
		let _ = kill_process_group(pid, signal);
	}
}

/// The last lines of a file; empty if it cannot be read.
pub(super) fn tail(path: &Path, lines: usize) -> String {
	let read = || -> std::io::Result<String> {
		let mut file = File::open(path)?;
		let length = fs::metadata(path)?.len();
		file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
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

	fn shell(directory: &Path, script: &str) -> Process {
		Process::start(Spec {
			name: "shell".into(),
			program: "/bin/sh".into(),
			arguments: vec!["-c".into(), script.into()],
			log: directory.join("log"),
		})
		.unwrap()
	}

	async fn lines_in_log(process: &Process, wanted: &str) {
		for _ in 0..100 {
			if process.tail(10).lines().any(|line| line == wanted) {
				return;
			}
			tokio::time::sleep(LOOK).await;
		}
		panic!("{wanted} never came: {}", process.tail(10));
	}

	#[tokio::test]
	async fn a_stop_asks_first_and_reaches_the_whole_group() {
		let directory = tempfile::tempdir().unwrap();
		let mut process = shell(directory.path(), "trap 'echo asked; exit 0' TERM; echo up; sleep 100 & wait");
		lines_in_log(&process, "up").await;
		let begun = Instant::now();
		process.stop().await;
		assert!(begun.elapsed() < GRACE);
		assert_eq!(process.tail(1), "asked");
		assert_eq!(process.id(), None);
	}

	#[tokio::test]
	async fn what_does_not_listen_is_killed() {
		let directory = tempfile::tempdir().unwrap();
		let mut process = shell(directory.path(), "trap '' TERM; echo up; while :; do sleep 1; done");
		lines_in_log(&process, "up").await;
		process.stop().await;
		assert_eq!(process.id(), None);
	}

	#[tokio::test]
	async fn an_end_of_its_own_is_noticed_and_it_can_start_again() {
		let directory = tempfile::tempdir().unwrap();
		let mut process = shell(directory.path(), "echo gone; exit 3");
		let mut status = None;
		for _ in 0..100 {
			status = process.ended();
			if status.is_some() {
				break;
			}
			tokio::time::sleep(LOOK).await;
		}
		assert_eq!(status.unwrap().code(), Some(3));
		process.start_again().unwrap();
		process.wait().await;
		assert_eq!(process.tail(10).lines().filter(|line| *line == "gone").count(), 2);
	}

	#[tokio::test]
	async fn a_drop_ends_it() {
		let directory = tempfile::tempdir().unwrap();
		let process = shell(directory.path(), "trap 'echo asked; exit 0' TERM; echo up; sleep 100 & wait");
		lines_in_log(&process, "up").await;
		drop(process);
		assert_eq!(tail(&directory.path().join("log"), 1), "asked");
	}

	#[test]
	fn the_tail_of_nothing_is_empty() {
		assert_eq!(tail(Path::new("/no/such/file"), 5), "");
	}
}
