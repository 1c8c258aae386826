//! Dispatch weights of the call and of an epoch's start, estimated by hand.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of `pallet_amendments`.
pub trait WeightInfo {
	/// Storing an amendment.
	fn amend() -> Weight;
	/// Bringing `n` amendments into force.
	fn apply(n: u32) -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn amend() -> Weight {
		Weight::from_parts(20_000_000, 6_000).saturating_add(T::DbWeight::get().reads_writes(2, 1))
	}
	fn apply(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 2_000)
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads_writes(1, 1))
	}
}
