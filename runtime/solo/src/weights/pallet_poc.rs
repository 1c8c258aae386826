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
		// Minimum: 150_494_000 ps.
		Weight::from_parts(157_244_000, 44478).saturating_add(T::DbWeight::get().reads(23))
	}
	fn register() -> Weight {
		// Minimum: 47_260_000 ps.
		Weight::from_parts(50_896_000, 3754)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_commit() -> Weight {
		// Minimum: 42_343_000 ps.
		Weight::from_parts(43_925_000, 4182).saturating_add(T::DbWeight::get().reads(5))
	}
	fn commit() -> Weight {
		// Minimum: 13_951_000 ps.
		Weight::from_parts(15_303_000, 4182)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn tick() -> Weight {
		// Minimum: 15_853_000 ps.
		Weight::from_parts(16_635_000, 3531)
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `n` is in `[1, 1024]`.
	fn draw(n: u32) -> Weight {
		// Minimum: 11_888_000 ps.
		Weight::from_parts(6_251_416, 42447)
			// Standard error: 15_038.
			.saturating_add(Weight::from_parts(2_992_852, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(Weight::from_parts(0, 2642).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 99]`.
	fn weigh(n: u32) -> Weight {
		// Minimum: 247_139_000 ps.
		Weight::from_parts(225_753_035, 53287)
			// Standard error: 155_961.
			.saturating_add(Weight::from_parts(27_898_273, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(6).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 3192).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 300]`.
	fn follow_confirmations(n: u32) -> Weight {
		// Minimum: 17_146_000 ps.
		Weight::from_parts(17_316_000, 13487)
			// Standard error: 13_413.
			.saturating_add(Weight::from_parts(6_774_140, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(Weight::from_parts(0, 3192).saturating_mul(n.into()))
	}
	fn note_equivocation() -> Weight {
		// Minimum: 94_801_000 ps.
		Weight::from_parts(106_790_000, 54761)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// `n` is in `[0, 64]`.
	fn sweep(n: u32) -> Weight {
		// Minimum: 9_564_000 ps.
		Weight::from_parts(9_252_805, 3754)
			// Standard error: 7_555.
			.saturating_add(Weight::from_parts(8_625_097, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2764).saturating_mul(n.into()))
	}
	fn expire() -> Weight {
		// Minimum: 80_911_000 ps.
		Weight::from_parts(84_706_000, 211230)
			.saturating_add(T::DbWeight::get().reads(80))
			.saturating_add(T::DbWeight::get().writes(77))
	}
	fn prune() -> Weight {
		// Minimum: 6_319_000 ps.
		Weight::from_parts(6_870_000, 3754)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(3))
	}
}
