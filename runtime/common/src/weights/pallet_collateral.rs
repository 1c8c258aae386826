//! Dispatch weights of `pallet_collateral`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_collateral`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_collateral::WeightInfo for WeightInfo<T> {
	fn deposit() -> Weight {
		// Minimum: 37_606_000 ps.
		Weight::from_parts(39_519_000, 3850)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn withdraw() -> Weight {
		// Minimum: 6_640_000 ps.
		Weight::from_parts(7_041_000, 3850)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn release() -> Weight {
		// Minimum: 31_958_000 ps.
		Weight::from_parts(32_979_000, 3850)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn slash() -> Weight {
		// Minimum: 24_706_000 ps.
		Weight::from_parts(26_409_000, 3850)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `n` is in `[1, 30]`.
	fn punish(n: u32) -> Weight {
		// Minimum: 32_007_000 ps.
		Weight::from_parts(5_209_274, 14279)
			// Standard error: 35_318.
			.saturating_add(Weight::from_parts(28_363_812, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(4).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(3).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2860).saturating_mul(n.into()))
	}
}
