//! Whether this worker is new enough: governance says since when workers must have which version.

use crate::chain::{Follower, Snapshot};
use gonka_primitives::{BlockNumber, EpochIndex, host::worker_version};

/// What governance asks of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Required {
	/// The oldest version: major · 10⁶ + minor · 10³ + patch.
	pub version: u32,
	/// The first block in which an older one is too old.
	pub from: BlockNumber,
}

impl Required {
	/// Whether this worker is older.
	fn is_unmet(&self) -> bool {
		own() < self.version
	}

	/// Whether this worker is too old at a block: it takes no new work, and only ends what it began.
	pub fn is_outdated(&self, block: BlockNumber) -> bool {
		self.is_unmet() && block >= self.from
	}

	/// What is wrong with this worker at a block, and what to do.
	pub fn complaint(&self, block: BlockNumber) -> Option<String> {
		let (own, from) = (env!("CARGO_PKG_VERSION"), self.from);
		let wanted = words(self.version);
		match () {
			() if !self.is_unmet() => None,
			() if block >= from => Some(format!(
				"this worker is {own}, and since block {from} the network asks for {wanted} or newer: update it"
			)),
			() => Some(format!(
				"this worker is {own}, and from block {from} on the network asks for {wanted} or newer: update it within {} \
				 blocks, then it takes no more work",
				from.saturating_sub(block)
			)),
		}
	}
}

/// This worker's version as a number.
pub(crate) fn own() -> u32 {
	worker_version(env!("CARGO_PKG_VERSION")).unwrap_or_default()
}

fn words(version: u32) -> String {
	format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}

/// Complains in the log: once an epoch, and when the version becomes too old.
#[derive(Default)]
pub struct Watch {
	told: Option<(EpochIndex, bool)>,
}

impl Watch {
	/// Watches for ever.
	pub async fn run(mut self, follower: Follower) {
		let mut snapshots = follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			if let Some(complaint) = self.step(&snapshot) {
				tracing::warn!("{complaint}");
			}
		}
	}

	/// What is to be said at a block.
	pub fn step(&mut self, snapshot: &Snapshot) -> Option<String> {
		let complaint = snapshot.required.complaint(snapshot.block);
		metrics::gauge!("gonka_worker_outdated").set(if snapshot.is_outdated() { 1.0 } else { 0.0 });
		let now = complaint.as_ref().map(|_| (snapshot.epoch.index, snapshot.is_outdated()));
		if std::mem::replace(&mut self.told, now) == now { None } else { complaint }
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn an_older_worker_is_too_old_from_the_block_on() {
		let newer = Required { version: own() + 1, from: 100 };
		assert!(!newer.is_outdated(99) && newer.is_outdated(100));
		assert!(newer.complaint(60).unwrap().contains("within 40 blocks"));
		assert!(newer.complaint(100).unwrap().contains("since block 100"));
		let same = Required { version: own(), from: 0 };
		assert!(!same.is_outdated(100) && same.complaint(100).is_none());
	}

	#[test]
	fn versions_are_written_as_they_are_known() {
		assert_eq!(words(1_002_003), "1.2.3");
		assert_eq!(words(own()), env!("CARGO_PKG_VERSION"));
	}
}
