//! Dispatch weights of `pallet_treasury`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_treasury`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_treasury::WeightInfo for WeightInfo<T> {
	fn spend_local() -> Weight {
		// Minimum: 5_579_000 ps.
		Weight::from_parts(6_170_000, 1887)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn remove_approval() -> Weight {
		// Minimum: 3_174_000 ps.
		Weight::from_parts(3_466_000, 1887)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `p` is in `[0, 99]`.
	fn on_initialize_proposals(p: u32) -> Weight {
		// Minimum: 6_530_000 ps.
		Weight::from_parts(8_412_209, 3593)
			// Standard error: 495.
			.saturating_add(Weight::from_parts(34_108, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn spend() -> Weight {
		// Minimum: 5_458_000 ps.
		Weight::from_parts(6_059_000, 1489)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn payout() -> Weight {
		// Minimum: 40_060_000 ps.
		Weight::from_parts(42_564_000, 6196)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn check_status() -> Weight {
		// Minimum: 6_680_000 ps.
		Weight::from_parts(7_230_000, 3534)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn void_spend() -> Weight {
		// Minimum: 6_119_000 ps.
		Weight::from_parts(6_740_000, 3534)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
