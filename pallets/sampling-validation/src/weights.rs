//! Dispatch weights of calls and hooks, in the format of the benchmark command.
//!
//! An sr25519 verification takes about 50 µs, a blake2b compression in the runtime about 0.7 µs, decoding or encoding
//! an assigned audit about 0.1 µs; a storage access 25 µs to read and 100 µs to write on the reference machine. The
//! benchmarks in `benchmarking.rs` measure them on the runtime.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of calls and hooks.
pub trait WeightInfo {
	/// Registering a profile.
	fn set_profile() -> Weight;
	/// Checking `n` findings in the pool.
	fn authorize_submit_report(n: u32) -> Weight;
	/// Applying `n` findings, which open `c` cases.
	fn submit_report(n: u32, c: u32) -> Weight;
	/// Checking a ruling in the pool: the test over all its fresh findings.
	fn authorize_rule() -> Weight;
	/// Storing it.
	fn rule() -> Weight;
	/// Opening an appeal.
	fn appeal() -> Weight;
	/// Entering `h` hosts with `r` rows into the tables.
	fn build(h: u32, r: u32) -> Weight;
	/// Drawing from `b` settlements, with `p` lookups of checkers.
	fn draw(b: u32, p: u32) -> Weight;
	/// Closing `n` checkers' lists.
	fn close(n: u32) -> Weight;
	/// Drawing the arbiters of a case.
	fn draw_arbiters() -> Weight;
	/// Deciding a case, or letting its judgement take effect.
	fn close_case() -> Weight;
	/// Pruning one item.
	fn prune() -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn set_profile() -> Weight {
		Weight::from_parts(15_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(1, 1))
	}
	fn authorize_submit_report(n: u32) -> Weight {
		Weight::from_parts(80_000_000, 12_000)
			.saturating_add(Weight::from_parts(300_000, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(7))
	}
	fn submit_report(n: u32, c: u32) -> Weight {
		// Of each finding: the settlement, the host's case and record, the profile, the suspicion; above the alarm the
		// queue and the host's weight. Of each case: up to 48 settlements more, the next number, and a case that gives
		// way with its suspicion.
		Weight::from_parts(60_000_000, 12_000)
			.saturating_add(Weight::from_parts(16_000_000, 14_000).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(45_000_000, 24_000).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads_writes(10, 3))
			.saturating_add(T::DbWeight::get().reads_writes(6, 2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(52, 5).saturating_mul(c.into()))
	}
	fn authorize_rule() -> Weight {
		Weight::from_parts(92_000_000, 16_000).saturating_add(T::DbWeight::get().reads(6))
	}
	fn rule() -> Weight {
		Weight::from_parts(60_000_000, 18_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
	fn appeal() -> Weight {
		// The case, the queue, the table, the host's weight and account; a case that gives way with its suspicion.
		Weight::from_parts(90_000_000, 30_000).saturating_add(T::DbWeight::get().reads_writes(13, 9))
	}
	fn build(h: u32, r: u32) -> Weight {
		Weight::from_parts(15_000_000, 8_000)
			.saturating_add(Weight::from_parts(6_000_000, 3_500).saturating_mul(h.into()))
			.saturating_add(Weight::from_parts(3_000_000, 0).saturating_mul(r.into()))
			.saturating_add(T::DbWeight::get().reads_writes(5, 4))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(h.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(r.into()))
			// The tables' sums: at most as many as rows.
			.saturating_add(T::DbWeight::get().reads_writes(2, 1).saturating_mul(r.min(256).into()))
	}
	fn draw(b: u32, p: u32) -> Weight {
		Weight::from_parts(10_000_000, 4_000)
			.saturating_add(Weight::from_parts(20_000_000, 6_000).saturating_mul(b.into()))
			// Up to 14 rows of the table, then the host, its record, its list.
			.saturating_add(Weight::from_parts(50_000_000, 40_000).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads_writes(5, 1))
			// A settlement has up to 16 models, each with a profile and a table.
			.saturating_add(T::DbWeight::get().reads_writes(38, 2).saturating_mul(b.into()))
			.saturating_add(T::DbWeight::get().reads_writes(17, 1).saturating_mul(p.into()))
	}
	fn close(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 2_000)
			.saturating_add(Weight::from_parts(30_000_000, 15_000).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads_writes(1, 1))
			.saturating_add(T::DbWeight::get().reads_writes(7, 3).saturating_mul(n.into()))
	}
	fn draw_arbiters() -> Weight {
		// 128 tickets of up to 14 rows; of each the row, the one before, the host and its record. The host's weight.
		Weight::from_parts(4_005_000_000, 3_004_000).saturating_add(T::DbWeight::get().reads_writes(2_322, 3))
	}
	fn close_case() -> Weight {
		// The records of up to 61 arbiters of an appeal, 15 of the case, and 16 checkers; the standings of 61, each looked for in
		// three epochs; the term, the deposit; the conviction of one by `pallet-poc` and the slashing of its collateral.
		Weight::from_parts(708_000_000, 306_000).saturating_add(T::DbWeight::get().reads_writes(375, 172))
	}
	fn prune() -> Weight {
		Weight::from_parts(4_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
	}
}
