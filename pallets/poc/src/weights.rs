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
	/// A block's tick, with its beacon: starting an epoch is the most expensive.
	fn tick() -> Weight;
	/// Drawing the committees out of `n` hosts.
	fn draw(n: u32) -> Weight;
	/// Weighing `n` hosts, and the last of them; closing the epoch before.
	fn weigh(n: u32) -> Weight;
	/// Letting the power of `n` validators follow their confirmations.
	fn follow_confirmations(n: u32) -> Weight;
	/// Pruning one item.
	fn prune() -> Weight;
	/// Visiting `n` hosts to see whether they expire.
	fn sweep(n: u32) -> Weight;
	/// Removing a host, and what other pallets keep of it.
	fn expire() -> Weight;
	/// Taking an equivocator's power.
	fn note_equivocation() -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn authorize_register() -> Weight {
		Weight::from_parts(127_000_000, 24_000).saturating_add(T::DbWeight::get().reads(28))
	}
	fn register() -> Weight {
		Weight::from_parts(25_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(4, 5))
	}
	fn authorize_commit() -> Weight {
		Weight::from_parts(67_000_000, 12_000).saturating_add(T::DbWeight::get().reads(7))
	}
	fn commit() -> Weight {
		Weight::from_parts(30_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(4, 4))
	}
	fn tick() -> Weight {
		Weight::from_parts(22_000_000, 6_000).saturating_add(T::DbWeight::get().reads_writes(6, 3))
	}
	fn draw(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 4_000)
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads(3).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(3, 2))
	}
	fn weigh(n: u32) -> Weight {
		// A draw over all checkers once, then a committee for each host. Of a host that revealed nothing, the seats until one
		// is a duty: three on average, each with a lookup and a committee.
		Weight::from_parts(110_000_000, 52_000)
			.saturating_mul(n.into())
			.saturating_add(Weight::from_parts(500_000_000, 50_000))
			// Three of the reads are the host's standings of the two epochs before, and its commitments.
			.saturating_add(T::DbWeight::get().reads_writes(19, 1).saturating_mul(n.into()))
			// At the end the guardians' keys and standings, too.
			.saturating_add(T::DbWeight::get().reads_writes(48, 10))
	}
	fn follow_confirmations(n: u32) -> Weight {
		Weight::from_parts(10_000_000, 2_000)
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			// The guardians' keys and standings, too.
			.saturating_add(T::DbWeight::get().reads_writes(40, 2))
	}
	fn note_equivocation() -> Weight {
		// Through the lists of candidates and validators, and those of a weighing in progress.
		Weight::from_parts(40_000_000, 120_000).saturating_add(T::DbWeight::get().reads_writes(6, 5))
	}
	fn prune() -> Weight {
		Weight::from_parts(5_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
	fn sweep(n: u32) -> Weight {
		Weight::from_parts(6_000_000, 5_000)
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads_writes(2, 1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(10_000_000, 4_000))
			.saturating_add(T::DbWeight::get().reads_writes(8, 1))
	}
	fn expire() -> Weight {
		// The records of other pallets: suspicions, and windows with their roots.
		Weight::from_parts(100_000_000, 120_000).saturating_add(T::DbWeight::get().reads_writes(100, 80))
	}
}
