//! Dispatch weights of `pallet_vesting`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_vesting`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_vesting::WeightInfo for WeightInfo<T> {
	/// `l` is in `[0, 49]`.
	/// `s` is in `[1, 28]`.
	fn vest_locked(l: u32, s: u32) -> Weight {
		// Minimum: 23_084_000 ps.
		Weight::from_parts(20_547_712, 4764)
			// Standard error: 22_228.
			.saturating_add(Weight::from_parts(102_603, 0).saturating_mul(l.into()))
			// Standard error: 40_026.
			.saturating_add(Weight::from_parts(413_285, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[1, 28]`.
	fn vest_unlocked(l: u32, s: u32) -> Weight {
		// Minimum: 22_924_000 ps.
		Weight::from_parts(23_439_436, 4764)
			// Standard error: 1_985.
			.saturating_add(Weight::from_parts(28_422, 0).saturating_mul(l.into()))
			// Standard error: 3_574.
			.saturating_add(Weight::from_parts(31_384, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[1, 28]`.
	fn vest_other_locked(l: u32, s: u32) -> Weight {
		// Minimum: 23_605_000 ps.
		Weight::from_parts(23_294_833, 4764)
			// Standard error: 2_074.
			.saturating_add(Weight::from_parts(28_120, 0).saturating_mul(l.into()))
			// Standard error: 3_736.
			.saturating_add(Weight::from_parts(61_663, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[1, 28]`.
	fn vest_other_unlocked(l: u32, s: u32) -> Weight {
		// Minimum: 24_426_000 ps.
		Weight::from_parts(24_813_974, 4764)
			// Standard error: 7_284.
			.saturating_add(Weight::from_parts(48_416, 0).saturating_mul(l.into()))
			// Standard error: 13_118.
			.saturating_add(Weight::from_parts(42_413, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[0, 27]`.
	fn vested_transfer(_l: u32, s: u32) -> Weight {
		// Minimum: 59_549_000 ps.
		Weight::from_parts(62_831_694, 4764)
			// Standard error: 15_822.
			.saturating_add(Weight::from_parts(93_745, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[0, 27]`.
	fn force_vested_transfer(l: u32, s: u32) -> Weight {
		// Minimum: 61_081_000 ps.
		Weight::from_parts(63_359_393, 6196)
			// Standard error: 11_800.
			.saturating_add(Weight::from_parts(20_953, 0).saturating_mul(l.into()))
			// Standard error: 21_248.
			.saturating_add(Weight::from_parts(91_764, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[2, 28]`.
	fn not_unlocking_merge_schedules(l: u32, s: u32) -> Weight {
		// Minimum: 22_714_000 ps.
		Weight::from_parts(22_535_312, 4764)
			// Standard error: 1_275.
			.saturating_add(Weight::from_parts(32_313, 0).saturating_mul(l.into()))
			// Standard error: 2_382.
			.saturating_add(Weight::from_parts(38_374, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[2, 28]`.
	fn unlocking_merge_schedules(l: u32, s: u32) -> Weight {
		// Minimum: 23_806_000 ps.
		Weight::from_parts(23_648_011, 4764)
			// Standard error: 4_448.
			.saturating_add(Weight::from_parts(27_340, 0).saturating_mul(l.into()))
			// Standard error: 8_306.
			.saturating_add(Weight::from_parts(72_938, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `l` is in `[0, 49]`.
	/// `s` is in `[2, 28]`.
	fn force_remove_vesting_schedule(l: u32, s: u32) -> Weight {
		// Minimum: 26_149_000 ps.
		Weight::from_parts(26_168_178, 4764)
			// Standard error: 3_271.
			.saturating_add(Weight::from_parts(25_576, 0).saturating_mul(l.into()))
			// Standard error: 6_108.
			.saturating_add(Weight::from_parts(47_110, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
}
