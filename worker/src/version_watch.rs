//! Warnings in the log when governance requires a newer worker.

use crate::chain::{Follower, Snapshot};
use gonka_primitives::EpochIndex;

/// Warns once an epoch, and once more when this worker becomes outdated.
#[derive(Default)]
pub struct VersionWatch {
	/// Epoch of the last warning, and whether the worker was outdated then.
	warned: Option<(EpochIndex, bool)>,
}

impl VersionWatch {
	/// Watches until the chain is no longer followed.
	pub async fn run(mut self, follower: Follower) {
		let mut snapshots = follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			if let Some(warning) = self.step(&snapshot) {
				tracing::warn!("{warning}");
			}
		}
	}

	/// Returns the warning that is due at a block, if any.
	pub fn step(&mut self, snapshot: &Snapshot) -> Option<String> {
		let warning = snapshot.required.warning(snapshot.block);
		metrics::gauge!("gonka_worker_outdated").set(if snapshot.is_outdated() { 1.0 } else { 0.0 });
		let now = warning.as_ref().map(|_| (snapshot.epoch.index, snapshot.is_outdated()));
		if std::mem::replace(&mut self.warned, now) == now { None } else { warning }
	}
}
