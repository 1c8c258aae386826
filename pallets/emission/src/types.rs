//! Values kept between blocks.

use crate::math;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{Balance, EpochIndex};
use scale_info::TypeInfo;

/// An epoch that is being paid, or waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Payout<AccountId> {
	/// The epoch whose weights are paid.
	pub epoch: EpochIndex,
	/// Maximum number of base units that are minted for it.
	pub emission: Balance,
	/// Total proven weight of all hosts. Not 0.
	pub total: u64,
	/// Base units minted so far.
	pub minted: Balance,
	/// Number of hosts paid so far.
	pub hosts: u32,
	/// The last host that had its turn.
	pub after: Option<AccountId>,
}

impl<AccountId> Payout<AccountId> {
	/// A payout that has not begun.
	pub fn new(epoch: EpochIndex, emission: Balance, total: u64) -> Self {
		Self { epoch, emission, total, minted: 0, hosts: 0, after: None }
	}

	/// Base units that are promised and not minted.
	pub fn outstanding(&self) -> Balance {
		self.emission.saturating_sub(self.minted)
	}

	/// Base units due to a host of `weight`: at most what is outstanding, even if weights contradict the total.
	pub fn share(&self, weight: u64) -> Balance {
		math::share(self.emission, weight, self.total).min(self.outstanding())
	}
}

/// The epoch that was closed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Closed {
	/// Its index.
	pub epoch: EpochIndex,
	/// Base units that it may mint; 0 if it had no weight or its emission was skipped.
	pub emission: Balance,
}
