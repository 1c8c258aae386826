//! The invariants between blocks.

use crate::{Config, Finality, FormerVoters, Pallet, Starts, Validators, Voters, math};
use alloc::vec::Vec;
use polkadot_sdk::{frame_support::ensure, sp_runtime::TryRuntimeError};

impl<T: Config> Pallet<T> {
	/// Checks the invariants:
	/// 1. No validator is listed twice, and together they have at least one seat and at most `MAX_SEATS`.
	/// 2. Nobody has stated a block that follows its statement.
	/// 3. The first blocks of sessions ascend.
	/// 4. No less than two thirds have reached what one third has.
	/// 5. No vote has weight 0, and the sum of weights fits a `u64`.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let validators = Validators::<T>::get();
		let mut names: Vec<_> = validators.iter().map(|validator| &validator.account).collect();
		names.sort();
		ensure!(names.is_sorted_by(|a, b| a < b), "1: a validator twice");
		let seats = validators.iter().fold(0u32, |sum, validator| sum.saturating_add(validator.seats.into()));
		ensure!(validators.is_empty() || seats > 0 && seats <= math::MAX_SEATS.into(), "1: number of seats");
		ensure!(
			validators.iter().all(|validator| validator.stated == 0 || validator.finalized < validator.stated),
			"2: a final block of the future"
		);
		ensure!(Starts::<T>::get().is_sorted_by(|a, b| a < b), "3: sessions out of order");
		ensure!(Finality::<T>::get().is_none_or(|outlook| outlook.low <= outlook.high), "4: finality");
		for voters in [Voters::<T>::get(), FormerVoters::<T>::get()] {
			ensure!(voters.iter().all(|(_, power)| *power > 0), "5: a vote without weight");
			let sum = voters.iter().try_fold(0u64, |sum, (_, power)| sum.checked_add(*power));
			ensure!(sum.is_some(), "5: the sum of weights overflows");
		}
		Ok(())
	}
}
