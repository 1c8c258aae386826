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
	/// Checking an answer in the pool: eight openings.
	fn authorize_answer_openings() -> Weight;
	/// Storing it.
	fn answer_openings() -> Weight;
	/// Checking an accusation in the pool: an opening, 10 kB.
	fn authorize_accuse() -> Weight;
	/// Storing it, and removing a claim with `g` games that gives way.
	fn accuse(g: u32) -> Weight;
	/// Checking a challenge in the pool: two reveals of `n` tags, a committee.
	fn authorize_challenge(n: u32) -> Weight;
	/// Storing it, and removing a claim with `g` games that gives way.
	fn challenge(g: u32) -> Weight;
	/// Checking a turn in the pool: 256 hashes.
	fn authorize_play() -> Weight;
	/// Checking the last turn in the pool: a value from two rows of 4 kB.
	fn authorize_last_play() -> Weight;
	/// Taking it, and removing a claim with `g` games.
	fn play(g: u32) -> Weight;
	/// Checking in the pool that a claim can be closed.
	fn authorize_close() -> Weight;
	/// Removing a claim with `g` games.
	fn close(g: u32) -> Weight;
	/// Pruning one item.
	fn prune() -> Weight;
	/// Drawing the refuters of `n` accusations.
	fn draw_refuters(n: u32) -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn authorize_commit_digest() -> Weight {
		Weight::from_parts(400_000_000, 60_000).saturating_add(T::DbWeight::get().reads(11))
	}
	fn commit_digest() -> Weight {
		Weight::from_parts(15_000_000, 4_000).saturating_add(T::DbWeight::get().writes(1))
	}
	fn authorize_reveal(n: u32) -> Weight {
		Weight::from_parts(100_000_000, 60_000)
			.saturating_add(Weight::from_parts(6_000_000, 1_500).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(11))
			// Some seats are of places that are not used: up to three lookups for two tags.
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
	}
	fn reveal(n: u32) -> Weight {
		Weight::from_parts(60_000_000, 60_000)
			.saturating_add(Weight::from_parts(6_500_000, 3_000).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(5, 2))
			.saturating_add(T::DbWeight::get().reads(3).saturating_mul(n.into()))
	}
	fn authorize_request_openings() -> Weight {
		Weight::from_parts(200_000_000, 60_000).saturating_add(T::DbWeight::get().reads(14))
	}
	fn request_openings() -> Weight {
		Weight::from_parts(30_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(3, 3))
	}
	fn authorize_answer_openings() -> Weight {
		Weight::from_parts(750_000_000, 16_000).saturating_add(T::DbWeight::get().reads(8))
	}
	fn answer_openings() -> Weight {
		Weight::from_parts(70_000_000, 22_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
	fn authorize_accuse() -> Weight {
		Weight::from_parts(355_000_000, 24_000).saturating_add(T::DbWeight::get().reads(15))
	}
	fn accuse(g: u32) -> Weight {
		Weight::from_parts(160_000_000, 44_000)
			.saturating_add(Weight::from_parts(4_000_000, 13_000).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads_writes(14, 12))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(g.into()))
	}
	fn authorize_challenge(n: u32) -> Weight {
		Weight::from_parts(150_000_000, 60_000)
			.saturating_add(Weight::from_parts(100_000, 20).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(20))
	}
	fn challenge(g: u32) -> Weight {
		Weight::from_parts(210_000_000, 58_000)
			.saturating_add(Weight::from_parts(4_000_000, 13_000).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads_writes(14, 12))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(g.into()))
	}
	fn authorize_play() -> Weight {
		Weight::from_parts(430_000_000, 33_000).saturating_add(T::DbWeight::get().reads(12))
	}
	fn authorize_last_play() -> Weight {
		Weight::from_parts(430_000_000, 32_000).saturating_add(T::DbWeight::get().reads(12))
	}
	fn play(g: u32) -> Weight {
		Weight::from_parts(402_000_000, 37_000)
			.saturating_add(Weight::from_parts(4_000_000, 13_000).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads_writes(18, 13))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(g.into()))
	}
	fn authorize_close() -> Weight {
		Weight::from_parts(40_000_000, 26_000).saturating_add(T::DbWeight::get().reads(3))
	}
	fn close(g: u32) -> Weight {
		Weight::from_parts(60_000_000, 26_000)
			.saturating_add(Weight::from_parts(4_000_000, 13_000).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads_writes(14, 12))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(g.into()))
	}
	fn prune() -> Weight {
		Weight::from_parts(5_000_000, 13_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
	fn draw_refuters(n: u32) -> Weight {
		let base = Weight::from_parts(2_000_000, 3_600).saturating_add(T::DbWeight::get().reads(1));
		if n == 0 {
			return base;
		}
		// The checkers are read once, or twice where the claims are of two epochs.
		base.saturating_add(Weight::from_parts(120_000_000, 86_000))
			.saturating_add(T::DbWeight::get().reads_writes(5, 1))
			.saturating_add(Weight::from_parts(45_000_000, 12_000).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(n.into()))
	}
}
