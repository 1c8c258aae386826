//! The ledger of a host's collateral.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{Balance, EpochIndex};
use polkadot_sdk::{
	frame_support::{BoundedVec, traits::ConstU32},
	sp_runtime::{Perbill, Saturating},
};
use scale_info::TypeInfo;

/// Maximum number of waiting withdrawals. Those of one epoch count as one, and none waits longer than two epochs.
pub const MAX_UNBONDING: u32 = 4;

/// A host's collateral, in base units. All of it is on hold in the host's account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct CollateralLedger {
	/// Amount that backs the host's weight.
	pub active: Balance,
	/// Withdrawn amounts by the first epoch in which they can be released, ascending.
	pub unbonding: BoundedVec<(EpochIndex, Balance), ConstU32<MAX_UNBONDING>>,
	/// Epoch of the last equivocations that cost collateral, and the share that they have cost together.
	pub equivocations: (EpochIndex, Perbill),
}

impl CollateralLedger {
	/// Active and unbonding collateral: everything that can be slashed.
	pub fn total(&self) -> Balance {
		self.unbonding.iter().fold(self.active, |total, (_, amount)| total.saturating_add(*amount))
	}

	/// Takes `share` of each part, rounded down. Returns the sum.
	pub fn slash(&mut self, share: Perbill) -> Balance {
		let before = self.total();
		for part in core::iter::once(&mut self.active).chain(self.unbonding.iter_mut().map(|(_, amount)| amount)) {
			part.saturating_reduce(share.mul_floor(*part));
		}
		before.saturating_sub(self.total())
	}

	/// Raises the share that the equivocations of `epoch` have cost to `share`. Returns the amount taken.
	pub fn slash_up_to(&mut self, epoch: EpochIndex, share: Perbill) -> Balance {
		let (last, cost) = self.equivocations;
		let before = if last == epoch { cost } else { Perbill::zero() };
		if share <= before {
			return 0;
		}
		self.equivocations = (epoch, share);
		// `before` of everything is gone: the rest of the share is of what is left.
		let left = Perbill::one().saturating_sub(before);
		self.slash(Perbill::from_rational(share.saturating_sub(before).deconstruct(), left.deconstruct()))
	}

	/// Removes the withdrawals that can be released in `epoch`. Returns their sum.
	pub fn release(&mut self, epoch: EpochIndex) -> Balance {
		let released = self.unbonding.iter().filter(|(from, _)| *from <= epoch);
		let released = released.fold(0, |sum: Balance, (_, amount)| sum.saturating_add(*amount));
		self.unbonding.retain(|(from, _)| *from > epoch);
		released
	}
}
