//! Dispatch weights of `pallet_emission`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_emission`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_emission::WeightInfo for WeightInfo<T> {
	fn idle() -> Weight {
		// Minimum: 430_000 ps.
		Weight::from_parts(511_000, 1648).saturating_add(T::DbWeight::get().reads(1))
	}
	/// `n` is in `[0, 100]`.
	fn pay(n: u32) -> Weight {
		// Minimum: 16_044_000 ps.
		Weight::from_parts(16_565_000, 7679)
			// Standard error: 233_389.
			.saturating_add(Weight::from_parts(65_528_586, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(10))
			.saturating_add(T::DbWeight::get().reads(7).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(3))
			.saturating_add(T::DbWeight::get().writes(5).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 3192).saturating_mul(n.into()))
	}
	/// `n` is in `[0, 16]`.
	fn claim(n: u32) -> Weight {
		// Minimum: 44_927_000 ps.
		Weight::from_parts(48_178_932, 6196)
			// Standard error: 2_139.
			.saturating_add(Weight::from_parts(16_252, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_claim() -> Weight {
		// Minimum: 3_085_000 ps.
		Weight::from_parts(3_355_000, 3597).saturating_add(T::DbWeight::get().reads(2))
	}
	fn on_epoch_closed() -> Weight {
		// Minimum: 7_991_000 ps.
		Weight::from_parts(8_653_000, 3531)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(2))
	}
}
