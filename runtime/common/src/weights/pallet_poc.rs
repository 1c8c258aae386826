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
		// Minimum: 158_696_000 ps.
		Weight::from_parts(163_163_000, 44478).saturating_add(T::DbWeight::get().reads(23))
	}
	fn register() -> Weight {
		// Minimum: 40_941_000 ps.
		Weight::from_parts(54_041_000, 3754)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_commit() -> Weight {
		// Minimum: 49_634_000 ps.
		Weight::from_parts(52_939_000, 4182).saturating_add(T::DbWeight::get().reads(7))
	}
	fn commit() -> Weight {
		// Minimum: 40_931_000 ps.
		Weight::from_parts(45_788_000, 42447)
			.saturating_add(T::DbWeight::get().reads(11))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn tick() -> Weight {
		// Minimum: 16_164_000 ps.
		Weight::from_parts(16_855_000, 3531)
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `n` is in `[1, 1024]`.
	fn draw(n: u32) -> Weight {
		// Minimum: 8_824_000 ps.
		Weight::from_parts(289_436, 42447)
			// Standard error: 39_215.
			.saturating_add(Weight::from_parts(3_106_421, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(Weight::from_parts(0, 2642).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 99]`.
	fn weigh(n: u32) -> Weight {
		// Minimum: 320_608_000 ps.
		Weight::from_parts(238_728_976, 59019)
			// Standard error: 300_071.
			.saturating_add(Weight::from_parts(56_527_325, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().reads(9).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(3))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 7926).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 300]`.
	fn follow_confirmations(n: u32) -> Weight {
		// Minimum: 17_837_000 ps.
		Weight::from_parts(18_167_000, 13487)
			// Standard error: 21_345.
			.saturating_add(Weight::from_parts(7_229_711, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(Weight::from_parts(0, 3192).saturating_mul(n.into()))
	}
	fn note_equivocation() -> Weight {
		// Minimum: 98_727_000 ps.
		Weight::from_parts(111_856_000, 54801)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// `n` is in `[0, 64]`.
	fn sweep(n: u32) -> Weight {
		// Minimum: 9_905_000 ps.
		Weight::from_parts(10_224_945, 3754)
			// Standard error: 34_400.
			.saturating_add(Weight::from_parts(8_931_600, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2764).saturating_mul(n.into()))
	}
	fn expire() -> Weight {
		// Minimum: 84_666_000 ps.
		Weight::from_parts(88_922_000, 211230)
			.saturating_add(T::DbWeight::get().reads(80))
			.saturating_add(T::DbWeight::get().writes(77))
	}
	fn prune() -> Weight {
		// Minimum: 6_519_000 ps.
		Weight::from_parts(6_990_000, 3754)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(3))
	}
}
