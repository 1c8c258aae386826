//! Dispatch weights of `pallet_amendments`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_amendments`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_amendments::WeightInfo for WeightInfo<T> {
	fn amend() -> Weight {
		// Minimum: 3_816_000 ps.
		Weight::from_parts(4_176_000, 3118)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[0, 32]`.
	fn apply(n: u32) -> Weight {
		// Minimum: 1_101_000 ps.
		Weight::from_parts(3_291_794, 3118)
			// Standard error: 1_253.
			.saturating_add(Weight::from_parts(2_722_588, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(2))
	}
}
