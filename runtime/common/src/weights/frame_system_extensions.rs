//! Dispatch weights of `frame_system_extensions`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `frame_system_extensions`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::ExtensionsWeightInfo for WeightInfo<T> {
	fn check_genesis() -> Weight {
		// Minimum: 1_282_000 ps.
		Weight::from_parts(1_452_000, 0)
	}
	fn check_mortality_mortal_transaction() -> Weight {
		// Minimum: 2_864_000 ps.
		Weight::from_parts(3_115_000, 0)
	}
	fn check_mortality_immortal_transaction() -> Weight {
		// Minimum: 2_864_000 ps.
		Weight::from_parts(3_125_000, 0)
	}
	fn check_non_zero_sender() -> Weight {
		// Minimum: 430_000 ps.
		Weight::from_parts(501_000, 0)
	}
	fn check_nonce() -> Weight {
		// Minimum: 5_378_000 ps.
		Weight::from_parts(5_779_000, 3593)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn check_spec_version() -> Weight {
		// Minimum: 330_000 ps.
		Weight::from_parts(381_000, 0)
	}
	fn check_tx_version() -> Weight {
		// Minimum: 320_000 ps.
		Weight::from_parts(380_000, 0)
	}
	fn check_weight() -> Weight {
		// Minimum: 2_784_000 ps.
		Weight::from_parts(3_025_000, 0)
	}
	fn weight_reclaim() -> Weight {
		// Minimum: 1_562_000 ps.
		Weight::from_parts(1_743_000, 0)
	}
}
