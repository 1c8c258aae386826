//! State of a running network on disk, by which another `gonka` process can stop it.

use super::process::{GRACE, signal_group};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};
use std::{
	fs, io,
	path::{Path, PathBuf},
	time::{Duration, Instant},
};

/// Maximum time that a foreground network gets to stop before its programs are signalled.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(20);
/// Maximum time that the kernel may take to end a killed process.
const KILL_TIMEOUT: Duration = Duration::from_secs(300);
/// Time between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Identity of a process, which differs from that of a later process with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
	id: u32,
	/// Start time in the kernel's clock ticks; 0 if the system does not provide it.
	started: u64,
}

impl Identity {
	/// Identifies the process that has this id now.
	pub fn of(id: u32) -> Self {
		Self { id, started: start_time(id) }
	}

	/// Whether the process is running.
	pub fn runs(&self) -> bool {
		let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw);
		pid.is_some_and(|pid| test_kill_process(pid).is_ok()) && start_time(self.id) == self.started
	}
}

/// Reads field 22 of `/proc/<id>/stat`. The command's name in front of it may contain spaces and brackets.
fn start_time(id: u32) -> u64 {
	let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
	let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
	let mut fields = after_name.split_ascii_whitespace();
	// A zombie has ended, although its id is not free yet.
	if fields.next() == Some("Z") {
		return u64::MAX;
	}
	fields.nth(18).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Processes of a network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
	/// The `gonka devnet` that supervises them; none once detached.
	pub supervisor: Option<Identity>,
	/// Processes by name.
	pub processes: Vec<(String, Identity)>,
}

impl State {
	fn path(base: &Path) -> PathBuf {
		base.join("devnet.json")
	}

	/// Writes the state atomically.
	pub fn write(&self, base: &Path) -> Result<()> {
		let path = Self::path(base);
		let temporary = path.with_extension("new");
		fs::write(&temporary, serde_json::to_vec_pretty(self)?)
			.and_then(|()| fs::rename(&temporary, &path))
			.with_context(|| format!("cannot write {}", path.display()))
	}

	/// Reads the state, which exists while a network runs and after one was killed.
	pub fn read(base: &Path) -> Result<Option<Self>> {
		let path = Self::path(base);
		match fs::read(&path) {
			Ok(bytes) => serde_json::from_slice(&bytes)
				.map(Some)
				.with_context(|| format!("{} is damaged: delete it if no devnet is running", path.display())),
			Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
			Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
		}
	}

	/// Deletes the state of a network that has ended.
	pub fn remove(base: &Path) {
		// The file may be gone already.
		let _ = fs::remove_file(Self::path(base));
	}

	/// Names of the processes that are running.
	pub fn running(&self) -> Vec<&str> {
		self.processes.iter().filter(|(_, process)| process.runs()).map(|(name, _)| name.as_str()).collect()
	}
}

/// Stops the network in `base`, also one that another process started. Returns the names of the programs it stopped.
pub async fn stop(base: &Path) -> Result<Vec<String>> {
	let Some(state) = State::read(base)? else {
		bail!("no devnet is running in {}", base.display());
	};
	let names: Vec<String> = state.running().into_iter().map(str::to_owned).collect();
	if let Some(supervisor) = state.supervisor.filter(Identity::runs) {
		if let Some(pid) = i32::try_from(supervisor.id).ok().and_then(Pid::from_raw) {
			kill_process(pid, Signal::TERM).context("cannot signal the running `gonka devnet`")?;
		}
		wait_until(SUPERVISOR_GRACE, || !supervisor.runs()).await;
	}
	let signal_all = |signal| {
		for (_, process) in state.processes.iter().filter(|(_, process)| process.runs()) {
			signal_group(process.id, signal);
		}
	};
	signal_all(Signal::TERM);
	wait_until(GRACE, || state.running().is_empty()).await;
	signal_all(Signal::KILL);
	wait_until(KILL_TIMEOUT, || state.running().is_empty()).await;
	let left = state.running();
	if !left.is_empty() {
		bail!("{} did not end even when killed: check with `ps` what they wait for", left.join(", "));
	}
	State::remove(base);
	Ok(names)
}

async fn wait_until(timeout: Duration, done: impl Fn() -> bool) {
	let deadline = Instant::now() + timeout;
	while !done() && Instant::now() < deadline {
		tokio::time::sleep(POLL_INTERVAL).await;
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_process_is_distinguished_from_a_later_one_with_the_same_id() {
		let own = Identity::of(std::process::id());
		assert!(own.runs());
		assert!(!Identity { started: own.started + 1, ..own }.runs());
		let mut child = std::process::Command::new("true").spawn().unwrap();
		let other = Identity::of(child.id());
		child.wait().unwrap();
		assert!(!other.runs());
	}

	#[tokio::test]
	async fn a_detached_process_is_stopped() {
		use std::os::unix::process::CommandExt;
		let directory = tempfile::tempdir().unwrap();
		let mut child = std::process::Command::new("sleep").arg("100").process_group(0).spawn().unwrap();
		let processes = vec![("sleeper".to_owned(), Identity::of(child.id()))];
		State { supervisor: None, processes }.write(directory.path()).unwrap();
		assert_eq!(stop(directory.path()).await.unwrap(), ["sleeper"]);
		assert!(!child.wait().unwrap().success());
		assert!(stop(directory.path()).await.unwrap_err().to_string().contains("no devnet is running"));
	}
}
