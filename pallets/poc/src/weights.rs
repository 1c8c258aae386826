//! Weights of the calls and hooks, in the shape that the benchmark command writes.
//!
//! An sr25519 verification takes about 50 µs, a storage access 25 µs to read and 100 µs to write on the reference
//! machine; the benchmarks in `benchmarking.rs` measure them on the runtime.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// What calls and hooks cost.
pub trait WeightInfo {
	/// Checking a registration in the pool.
	fn authorize_register() -> Weight;
	/// Storing a registration.
	fn register() -> Weight;
	/// Checking a commitment in the pool.
	fn authorize_commit() -> Weight;
	/// Storing a commitment.
	fn commit() -> Weight;
	/// A block's tick: starting an epoch is the dearest.
	fn tick() -> Weight;
	/// Settling `n` hosts, and the last of them: what `OnEpochSettled` does is in it.
	fn settle(n: u32) -> Weight;
	/// Pruning one item.
	fn prune() -> Weight;
}

/// Weights with the database's costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn authorize_register() -> Weight {
		Weight::from_parts(70_000_000, 20_000).saturating_add(T::DbWeight::get().reads(22))
	}
	fn register() -> Weight {
		Weight::from_parts(25_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(4, 5))
	}
	fn authorize_commit() -> Weight {
		Weight::from_parts(65_000_000, 8_000).saturating_add(T::DbWeight::get().reads(3))
	}
	fn commit() -> Weight {
		Weight::from_parts(20_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(3, 2))
	}
	fn tick() -> Weight {
		Weight::from_parts(20_000_000, 6_000).saturating_add(T::DbWeight::get().reads_writes(4, 2))
	}
	fn settle(n: u32) -> Weight {
		Weight::from_parts(12_000_000, 6_000)
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads_writes(2, 1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(5, 7))
	}
	fn prune() -> Weight {
		Weight::from_parts(5_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
}
