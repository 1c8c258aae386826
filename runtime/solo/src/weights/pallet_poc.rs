//! Dispatch weights of `pallet_poc`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_poc`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_poc::WeightInfo for WeightInfo<T> {
	fn authorize_register() -> Weight {
		// Minimum: 159_027_000 ps.
		Weight::from_parts(167_170_000, 44478).saturating_add(T::DbWeight::get().reads(23))
	}
	fn register() -> Weight {
		// Minimum: 54_181_000 ps.
		Weight::from_parts(56_014_000, 3754)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_commit() -> Weight {
		// Minimum: 42_383_000 ps.
		Weight::from_parts(44_446_000, 4182).saturating_add(T::DbWeight::get().reads(5))
	}
	fn commit() -> Weight {
		// Minimum: 14_081_000 ps.
		Weight::from_parts(15_182_000, 4182)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn tick() -> Weight {
		// Minimum: 15_713_000 ps.
		Weight::from_parts(16_605_000, 3531)
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `n` is in `[1, 1024]`.
	fn draw(n: u32) -> Weight {
		// Minimum: 9_534_000 ps.
		Weight::from_parts(9_664_000, 42447)
			// Standard error: 9_367.
			.saturating_add(Weight::from_parts(3_113_436, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(Weight::from_parts(0, 2642).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 99]`.
	fn weigh(n: u32) -> Weight {
		// Minimum: 259_608_000 ps.
		Weight::from_parts(231_025_271, 53283)
			// Standard error: 280_123.
			.saturating_add(Weight::from_parts(30_507_331, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(6).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 3192).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 300]`.
	fn follow_confirmations(n: u32) -> Weight {
		// Minimum: 17_336_000 ps.
		Weight::from_parts(17_747_000, 13487)
			// Standard error: 14_672.
			.saturating_add(Weight::from_parts(7_085_504, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(Weight::from_parts(0, 3192).saturating_mul(n.into()))
	}
	fn note_equivocation() -> Weight {
		// Minimum: 100_340_000 ps.
		Weight::from_parts(117_656_000, 54761)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// `n` is in `[0, 64]`.
	fn sweep(n: u32) -> Weight {
		// Minimum: 9_785_000 ps.
		Weight::from_parts(7_359_086, 3754)
			// Standard error: 37_527.
			.saturating_add(Weight::from_parts(9_301_414, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2764).saturating_mul(n.into()))
	}
	fn expire() -> Weight {
		// Minimum: 84_376_000 ps.
		Weight::from_parts(89_133_000, 211230)
			.saturating_add(T::DbWeight::get().reads(80))
			.saturating_add(T::DbWeight::get().writes(77))
	}
	fn prune() -> Weight {
		// Minimum: 6_650_000 ps.
		Weight::from_parts(7_100_000, 3754)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(3))
	}
}
