//! The ledger of a host's collateral, and the equivocations of an epoch.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{Balance, EpochIndex};
use polkadot_sdk::{
	frame_support::{BoundedVec, traits::ConstU32},
	sp_runtime::{Perbill, Saturating},
};
use scale_info::TypeInfo;

/// Maximum number of waiting withdrawals. Those of one epoch count as one; beyond the maximum, the last two wait together.
pub const MAX_UNBONDING: u32 = 16;

/// A host's collateral, in base units. All of it is on hold in the host's account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct CollateralLedger {
	/// Amount that backs the host's weight.
	pub active: Balance,
	/// Withdrawn amounts by the epoch of the withdrawal, ascending. It is the last one whose weights they may have backed.
	pub unbonding: BoundedVec<(EpochIndex, Balance), ConstU32<MAX_UNBONDING>>,
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
		self.unbonding.retain(|(_, amount)| *amount > 0);
		before.saturating_sub(self.total())
	}

	/// Makes `amount` unbonding in `epoch`. A full list takes it into its last entry, which then waits as long.
	pub fn unbond(&mut self, epoch: EpochIndex, amount: Balance) {
		let is_full = self.unbonding.len() >= MAX_UNBONDING as usize;
		match self.unbonding.last_mut() {
			Some((last, waiting)) if *last == epoch || is_full => {
				*last = epoch;
				*waiting = waiting.saturating_add(amount);
			},
			// The list has room.
			_ => self.unbonding.force_push((epoch, amount)),
		}
	}

	/// Removes the withdrawals of epochs before `epoch`. Returns their sum.
	pub fn release(&mut self, epoch: EpochIndex) -> Balance {
		let released = self.unbonding.iter().filter(|(withdrawn, _)| *withdrawn < epoch);
		let released = released.fold(0, |sum: Balance, (_, amount)| sum.saturating_add(*amount));
		self.unbonding.retain(|(withdrawn, _)| *withdrawn >= epoch);
		released
	}
}

/// The share of collateral and unvested pay that each of the validators loses that equivocate with the power of one
/// epoch: `min(1, (3p)²)`, at least `floor`, where `p` is their share of the power.
///
/// Validators with a third of the power can break finality, so they lose everything. A small validator that runs twice by
/// mistake loses the floor.
pub fn equivocation_share(power: Perbill, floor: Perbill) -> Perbill {
	let tripled = Perbill::from_parts(power.deconstruct().saturating_mul(3).min(Perbill::one().deconstruct()));
	tripled.square().max(floor)
}

/// The share of what is left that has to be taken so that `before` and it add up to `after` of the whole.
pub fn further_share(before: Perbill, after: Perbill) -> Perbill {
	let left = Perbill::one().saturating_sub(before);
	Perbill::from_rational(after.saturating_sub(before).deconstruct(), left.deconstruct().max(1))
}
