//! What the pallet stores.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{Balance, EpochIndex};
use polkadot_sdk::{
	frame_support::{BoundedVec, traits::ConstU32},
	sp_runtime::{Perbill, Saturating},
};
use scale_info::TypeInfo;

/// Most withdrawals that wait at a time: those of one epoch are one, and none waits longer than two.
pub const MAX_UNBONDING: u32 = 4;

/// A host's collateral, in base units. All of it is held in its account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Ledger {
	/// What backs its weight.
	pub active: Balance,
	/// What was withdrawn, by the epoch from which it can be released, ascending.
	pub unbonding: BoundedVec<(EpochIndex, Balance), ConstU32<MAX_UNBONDING>>,
	/// The epoch of the equivocations that cost something last, and the share of everything that they have cost.
	pub equivocations: (EpochIndex, Perbill),
}

impl Ledger {
	/// Everything that can be slashed.
	pub fn total(&self) -> Balance {
		self.unbonding.iter().fold(self.active, |total, (_, amount)| total.saturating_add(*amount))
	}

	/// Takes `share` of each part, rounded down; what was taken.
	pub fn slash(&mut self, share: Perbill) -> Balance {
		let before = self.total();
		for part in core::iter::once(&mut self.active).chain(self.unbonding.iter_mut().map(|(_, amount)| amount)) {
			part.saturating_reduce(share.mul_floor(*part));
		}
		before.saturating_sub(self.total())
	}

	/// Raises the share that equivocations of `epoch` have cost to `share`; what was taken for it.
	pub fn slash_up_to(&mut self, epoch: EpochIndex, share: Perbill) -> Balance {
		let (last, cost) = self.equivocations;
		let before = if last == epoch { cost } else { Perbill::zero() };
		if share <= before {
			return 0;
		}
		self.equivocations = (epoch, share);
		// Of what is left: `before` of it is gone.
		let left = Perbill::one().saturating_sub(before);
		self.slash(Perbill::from_rational(share.saturating_sub(before).deconstruct(), left.deconstruct()))
	}

	/// Takes out what can be released in `epoch`.
	pub fn release(&mut self, epoch: EpochIndex) -> Balance {
		let released = self.unbonding.iter().filter(|(from, _)| *from <= epoch);
		let released = released.fold(0, |sum: Balance, (_, amount)| sum.saturating_add(*amount));
		self.unbonding.retain(|(from, _)| *from > epoch);
		released
	}
}
