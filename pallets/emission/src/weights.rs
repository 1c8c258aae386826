//! Dispatch weights of `pallet_emission`.
//!
//! Estimated from database operations and the measured cost of minting; to be replaced by the output of
//! `frame-omni-bencher v1 benchmark pallet --pallet pallet_emission --extrinsic '*'`.

#![allow(missing_docs)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of `pallet_emission`.
pub trait WeightInfo {
	/// `on_initialize` when no payout waits.
	fn idle() -> Weight;
	/// `on_initialize` when `n` hosts have their turn.
	fn pay(n: u32) -> Weight;
	/// Paying out a host's vested amount after `n` epochs.
	fn claim(n: u32) -> Weight;
	/// Checking in the pool that something has vested.
	fn authorize_claim() -> Weight;
	/// Closing an epoch. The pallet that closes epochs pays for it.
	fn on_epoch_closed() -> Weight;
}

/// Dispatch weights of `pallet_emission` with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	/// Storage: `Emission::Pending` (r:1 w:0)
	fn idle() -> Weight {
		Weight::from_parts(3_000_000, 1_800).saturating_add(T::DbWeight::get().reads(1))
	}
	/// Storage: `Emission::Pending` (r:1 w:1)
	/// Storage: `Emission::Unmined` (r:1 w:1)
	/// Storage: `Balances::TotalIssuance` (r:1 w:1)
	/// Storage: `Poc` epoch, weights, work (r:3 w:0)
	/// Storage: `Poc` weights (r:n w:0)
	/// Storage: `System::Account` (r:n w:n)
	fn pay(n: u32) -> Weight {
		Weight::from_parts(15_000_000, 3_600)
			.saturating_add(Weight::from_parts(25_000_000, 5_200).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			// A host's weight, vesting, grant and ended grant; its duties, and the collateral that missed duties cost.
			.saturating_add(T::DbWeight::get().reads(11).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(4))
			.saturating_add(T::DbWeight::get().writes(6).saturating_mul(n.into()))
	}
	fn claim(n: u32) -> Weight {
		Weight::from_parts(50_000_000, 8_000)
			.saturating_add(T::DbWeight::get().reads_writes(4, 3))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(n.into()))
	}
	fn authorize_claim() -> Weight {
		Weight::from_parts(5_000_000, 4_000).saturating_add(T::DbWeight::get().reads(2))
	}
	/// Storage: `Emission::LastClosed` (r:1 w:1)
	/// Storage: `Emission::Pending` (r:1 w:1)
	/// Storage: `Emission::Unmined` (r:1 w:0)
	fn on_epoch_closed() -> Weight {
		Weight::from_parts(12_000_000, 1_800)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
}
