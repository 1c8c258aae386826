//! Dispatch weights of `pallet_sudo`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_sudo`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_sudo::WeightInfo for WeightInfo<T> {
	fn set_key() -> Weight {
		// Minimum: 4_777_000 ps.
		Weight::from_parts(5_178_000, 1517)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn sudo() -> Weight {
		// Minimum: 5_679_000 ps.
		Weight::from_parts(6_090_000, 1517).saturating_add(T::DbWeight::get().reads(1))
	}
	fn sudo_as() -> Weight {
		// Minimum: 5_609_000 ps.
		Weight::from_parts(6_089_000, 1517).saturating_add(T::DbWeight::get().reads(1))
	}
	fn remove_key() -> Weight {
		// Minimum: 4_306_000 ps.
		Weight::from_parts(4_687_000, 1517)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn check_only_sudo_account() -> Weight {
		// Minimum: 2_254_000 ps.
		Weight::from_parts(2_464_000, 1517).saturating_add(T::DbWeight::get().reads(1))
	}
}
