//! Dispatch weights of `pallet_liveness`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_liveness`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_liveness::WeightInfo for WeightInfo<T> {
	fn note_block() -> Weight {
		// Minimum: 8_362_000 ps.
		Weight::from_parts(8_773_000, 19187)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn note_finalized() -> Weight {
		// Minimum: 10_776_000 ps.
		Weight::from_parts(11_236_000, 19187)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `n` is in `[1, 300]`.
	fn change_session(n: u32) -> Weight {
		// Minimum: 14_561_000 ps.
		Weight::from_parts(9_724_338, 19187)
			// Standard error: 2_414.
			.saturating_add(Weight::from_parts(2_753_412, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().writes(7))
	}
}
