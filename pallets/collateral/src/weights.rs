//! Dispatch weights of the calls and of a slash, estimated by hand.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of `pallet_collateral`.
pub trait WeightInfo {
	/// A deposit.
	fn deposit() -> Weight;
	/// A withdrawal.
	fn withdraw() -> Weight;
	/// Releasing withdrawals.
	fn release() -> Weight;
	/// A slash of collateral and unvested pay. The pallet that convicts pays for it.
	fn slash() -> Weight;
	/// Recording an equivocation with those before it, and `n` slashes.
	fn punish(n: u32) -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn deposit() -> Weight {
		Weight::from_parts(50_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(4, 3))
	}
	fn withdraw() -> Weight {
		Weight::from_parts(20_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(2, 1))
	}
	fn release() -> Weight {
		Weight::from_parts(50_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(6, 3))
	}
	fn slash() -> Weight {
		// The ledger, hold, account and issuance; the vesting record and the account from which it vests.
		Weight::from_parts(90_000_000, 12_000).saturating_add(T::DbWeight::get().reads_writes(8, 6))
	}
	fn punish(n: u32) -> Weight {
		Weight::from_parts(30_000_000, 20_000)
			.saturating_add(T::DbWeight::get().reads_writes(2, 1))
			.saturating_add(Self::slash().saturating_mul(n.into()))
	}
}
