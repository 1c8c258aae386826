//! Dispatch weights of `pallet_preimage`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_preimage`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_preimage::WeightInfo for WeightInfo<T> {
	/// `s` is in `[0, 4194304]`.
	fn note_preimage(s: u32) -> Weight {
		// Minimum: 42_583_000 ps.
		Weight::from_parts(47_902_762, 3604)
			// Standard error: 6.
			.saturating_add(Weight::from_parts(1_626, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `s` is in `[0, 4194304]`.
	fn note_requested_preimage(s: u32) -> Weight {
		// Minimum: 8_893_000 ps.
		Weight::from_parts(9_003_000, 3556)
			// Standard error: 4.
			.saturating_add(Weight::from_parts(1_622, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `s` is in `[0, 4194304]`.
	fn note_no_deposit_preimage(s: u32) -> Weight {
		// Minimum: 8_853_000 ps.
		Weight::from_parts(8_984_000, 3556)
			// Standard error: 6.
			.saturating_add(Weight::from_parts(1_638, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn unnote_preimage() -> Weight {
		// Minimum: 80_560_000 ps.
		Weight::from_parts(87_380_000, 3604)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn unnote_no_deposit_preimage() -> Weight {
		// Minimum: 37_867_000 ps.
		Weight::from_parts(42_103_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn request_preimage() -> Weight {
		// Minimum: 32_599_000 ps.
		Weight::from_parts(39_690_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn request_no_deposit_preimage() -> Weight {
		// Minimum: 22_653_000 ps.
		Weight::from_parts(25_678_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn request_unnoted_preimage() -> Weight {
		// Minimum: 14_332_000 ps.
		Weight::from_parts(26_439_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn request_requested_preimage() -> Weight {
		// Minimum: 6_560_000 ps.
		Weight::from_parts(8_012_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn unrequest_preimage() -> Weight {
		// Minimum: 34_341_000 ps.
		Weight::from_parts(38_117_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn unrequest_unnoted_preimage() -> Weight {
		// Minimum: 6_149_000 ps.
		Weight::from_parts(8_763_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn unrequest_multi_referenced_preimage() -> Weight {
		// Minimum: 6_810_000 ps.
		Weight::from_parts(8_283_000, 3556)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[1, 1024]`.
	fn ensure_updated(n: u32) -> Weight {
		// Minimum: 46_519_000 ps.
		Weight::from_parts(47_070_000, 990)
			// Standard error: 211_392.
			.saturating_add(Weight::from_parts(55_159_617, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(3).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(4).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2614).saturating_mul(n.into()))
	}
}
