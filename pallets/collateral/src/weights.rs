//! Weights of the calls, in the shape that the benchmark command writes.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// What calls cost.
pub trait WeightInfo {
	/// Holding more.
	fn deposit() -> Weight;
	/// Beginning to unbond.
	fn withdraw() -> Weight;
	/// Releasing what is unbonded.
	fn release() -> Weight;
	/// Slashing, paid by who convicts.
	fn slash() -> Weight;
}

/// Weights with the database's costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn deposit() -> Weight {
		Weight::from_parts(50_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(4, 3))
	}
	fn withdraw() -> Weight {
		Weight::from_parts(20_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(2, 1))
	}
	fn release() -> Weight {
		Weight::from_parts(50_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(4, 3))
	}
	fn slash() -> Weight {
		Weight::from_parts(50_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(5, 4))
	}
}
