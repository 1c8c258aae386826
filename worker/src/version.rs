//! The worker version that governance requires.

use gonka_primitives::{BlockNumber, host::worker_version};

/// The oldest worker version that the network accepts, and from which block on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequiredVersion {
	/// The oldest accepted version: major · 10⁶ + minor · 10³ + patch.
	pub version: u32,
	/// The first block from which on older versions are outdated.
	pub from: BlockNumber,
}

impl RequiredVersion {
	fn is_unmet(&self) -> bool {
		own() < self.version
	}

	/// Returns whether this worker is outdated at a block. An outdated worker takes no new work, and only finishes what
	/// it began.
	pub fn is_outdated(&self, block: BlockNumber) -> bool {
		self.is_unmet() && block >= self.from
	}

	/// Returns a warning if this worker is too old, now or from a later block on: what is wrong, and what to do.
	pub fn warning(&self, block: BlockNumber) -> Option<String> {
		if !self.is_unmet() {
			return None;
		}
		let (own, from, required) = (env!("CARGO_PKG_VERSION"), self.from, text(self.version));
		Some(if block >= from {
			format!(
				"this worker has version {own}; since block {from} the network requires {required} or newer: update it"
			)
		} else {
			let left = from.saturating_sub(block);
			format!(
				"this worker has version {own}; from block {from} on the network requires {required} or newer: update it \
				 within {left} blocks, or it will take no more work"
			)
		})
	}
}

/// Returns this worker's version as a number.
pub(crate) fn own() -> u32 {
	worker_version(env!("CARGO_PKG_VERSION")).unwrap_or_default()
}

fn text(version: u32) -> String {
	format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn an_older_worker_is_outdated_from_the_required_block_on() {
		let newer = RequiredVersion { version: own() + 1, from: 100 };
		assert!(!newer.is_outdated(99) && newer.is_outdated(100));
		assert!(newer.warning(60).unwrap().contains("within 40 blocks"));
		assert!(newer.warning(100).unwrap().contains("since block 100"));
		let same = RequiredVersion { version: own(), from: 0 };
		assert!(!same.is_outdated(100) && same.warning(100).is_none());
	}

	#[test]
	fn version_numbers_are_written_with_dots() {
		assert_eq!(text(1_002_003), "1.2.3");
		assert_eq!(text(own()), env!("CARGO_PKG_VERSION"));
	}
}
