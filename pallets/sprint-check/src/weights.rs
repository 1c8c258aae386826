//! Dispatch weights of calls and hooks, in the format of the benchmark command.
//!
//! An sr25519 verification takes about 50 µs, a blake2b compression in the runtime about 0.7 µs, expanding a row of
//! 4096 weights about 15 µs; a storage access 25 µs to read and 100 µs to write on the reference machine. The
//! benchmarks in
//! `benchmarking.rs` measure them on the runtime. Without the database, no transaction costs more than a millisecond;
//! only a reveal may, of a checker with more than 32 duties.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of calls and hooks.
pub trait WeightInfo {
	/// Checking a commitment to tags in the pool: the draw over all checkers.
	fn authorize_commit_digest() -> Weight;
	/// Storing it.
	fn commit_digest() -> Weight;
	/// Checking `n` tags in the pool: the duties.
	fn authorize_reveal(n: u32) -> Weight;
	/// Storing `n` tags.
	fn reveal(n: u32) -> Weight;
	/// Checking a request in the pool: a committee and two leaf sets.
	fn authorize_request_openings() -> Weight;
	/// Storing it.
	fn request_openings() -> Weight;
	/// Checking an answer in the pool: four openings.
	fn authorize_answer_openings() -> Weight;
	/// Storing it.
	fn answer_openings() -> Weight;
	/// Checking an accusation in the pool: an opening, 10 kB.
	fn authorize_accuse() -> Weight;
	/// Storing it.
	fn accuse() -> Weight;
	/// Checking a challenge in the pool: two reveals of `n` tags, a committee.
	fn authorize_challenge(n: u32) -> Weight;
	/// Storing it.
	fn challenge() -> Weight;
	/// Checking a turn in the pool, for the most expensive one: 256 hashes, or the last turn. `g`: other refutations.
	fn authorize_play(g: u32) -> Weight;
	/// Taking it, and removing a claim with `g` games.
	fn play(g: u32) -> Weight;
	/// Checking in the pool that a claim can be closed.
	fn authorize_close() -> Weight;
	/// Removing a claim with `g` games.
	fn close(g: u32) -> Weight;
	/// Pruning one item.
	fn prune() -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn authorize_commit_digest() -> Weight {
		Weight::from_parts(400_000_000, 60_000).saturating_add(T::DbWeight::get().reads(8))
	}
	fn commit_digest() -> Weight {
		Weight::from_parts(15_000_000, 4_000).saturating_add(T::DbWeight::get().writes(1))
	}
	fn authorize_reveal(n: u32) -> Weight {
		Weight::from_parts(100_000_000, 60_000)
			.saturating_add(Weight::from_parts(6_000_000, 1_500).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
	}
	fn reveal(n: u32) -> Weight {
		Weight::from_parts(60_000_000, 60_000)
			.saturating_add(Weight::from_parts(6_500_000, 3_000).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(5, 2))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
	}
	fn authorize_request_openings() -> Weight {
		Weight::from_parts(180_000_000, 60_000).saturating_add(T::DbWeight::get().reads(10))
	}
	fn request_openings() -> Weight {
		Weight::from_parts(25_000_000, 6_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
	fn authorize_answer_openings() -> Weight {
		Weight::from_parts(400_000_000, 12_000).saturating_add(T::DbWeight::get().reads(5))
	}
	fn answer_openings() -> Weight {
		Weight::from_parts(50_000_000, 18_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
	fn authorize_accuse() -> Weight {
		Weight::from_parts(350_000_000, 20_000).saturating_add(T::DbWeight::get().reads(10))
	}
	fn accuse() -> Weight {
		Weight::from_parts(130_000_000, 16_000).saturating_add(T::DbWeight::get().reads_writes(5, 5))
	}
	fn authorize_challenge(n: u32) -> Weight {
		Weight::from_parts(150_000_000, 60_000)
			.saturating_add(Weight::from_parts(100_000, 20).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(14))
	}
	fn challenge() -> Weight {
		Weight::from_parts(180_000_000, 30_000).saturating_add(T::DbWeight::get().reads_writes(6, 5))
	}
	fn authorize_play(g: u32) -> Weight {
		Weight::from_parts(430_000_000, 32_000)
			.saturating_add(Weight::from_parts(1_000_000, 100).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(9))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
	}
	fn play(g: u32) -> Weight {
		Weight::from_parts(400_000_000, 32_000)
			.saturating_add(Weight::from_parts(4_000_000, 13_000).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads_writes(14, 9))
			.saturating_add(T::DbWeight::get().reads_writes(2, 1).saturating_mul(g.into()))
	}
	fn authorize_close() -> Weight {
		Weight::from_parts(40_000_000, 26_000).saturating_add(T::DbWeight::get().reads(3))
	}
	fn close(g: u32) -> Weight {
		Weight::from_parts(60_000_000, 26_000)
			.saturating_add(Weight::from_parts(4_000_000, 13_000).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads_writes(11, 9))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(g.into()))
	}
	fn prune() -> Weight {
		Weight::from_parts(5_000_000, 13_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
}
