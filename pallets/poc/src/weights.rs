//! Dispatch weights of calls and hooks, in the format of the benchmark command.
//!
//! An sr25519 verification takes about 50 µs, a storage access 25 µs to read and 100 µs to write on the reference
//! machine; the benchmarks in `benchmarking.rs` measure them on the runtime.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of calls and hooks.
pub trait WeightInfo {
	/// Checking a registration in the pool.
	fn authorize_register() -> Weight;
	/// Storing a registration.
	fn register() -> Weight;
	/// Checking a commitment in the pool.
	fn authorize_commit() -> Weight;
	/// Storing a commitment.
	fn commit() -> Weight;
	/// A block's tick: starting an epoch is the most expensive.
	fn tick() -> Weight;
	/// Drawing the committees out of `n` hosts.
	fn draw(n: u32) -> Weight;
	/// Weighing `n` hosts, and the last of them; closing the epoch before.
	fn weigh(n: u32) -> Weight;
	/// Pruning one item.
	fn prune() -> Weight;
	/// Taking an equivocator's power.
	fn note_equivocation() -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn authorize_register() -> Weight {
		Weight::from_parts(70_000_000, 20_000).saturating_add(T::DbWeight::get().reads(23))
	}
	fn register() -> Weight {
		Weight::from_parts(25_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(4, 5))
	}
	fn authorize_commit() -> Weight {
		Weight::from_parts(65_000_000, 8_000).saturating_add(T::DbWeight::get().reads(4))
	}
	fn commit() -> Weight {
		Weight::from_parts(30_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(5, 5))
	}
	fn tick() -> Weight {
		Weight::from_parts(20_000_000, 6_000).saturating_add(T::DbWeight::get().reads_writes(5, 2))
	}
	fn draw(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 4_000)
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads(3).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(3, 2))
	}
	fn weigh(n: u32) -> Weight {
		// A draw over all checkers once, then a committee and perhaps duties for each host.
		Weight::from_parts(100_000_000, 50_000)
			.saturating_mul(n.into())
			.saturating_add(Weight::from_parts(500_000_000, 50_000))
			.saturating_add(T::DbWeight::get().reads_writes(15, 1).saturating_mul(n.into()))
			// At the end the guardians' keys and standings, too.
			.saturating_add(T::DbWeight::get().reads_writes(47, 10))
	}
	fn note_equivocation() -> Weight {
		// Through the lists of candidates and validators, and those of a weighing in progress.
		Weight::from_parts(40_000_000, 120_000).saturating_add(T::DbWeight::get().reads_writes(6, 5))
	}
	fn prune() -> Weight {
		Weight::from_parts(5_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
}
