//! Dispatch weights of `frame_system`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `frame_system`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::WeightInfo for WeightInfo<T> {
	/// `b` is in `[0, 3932160]`.
	fn remark(b: u32) -> Weight {
		// Minimum: 1_482_000 ps.
		Weight::from_parts(12_683_012, 0)
			// Standard error: 1.
			.saturating_add(Weight::from_parts(207, 0).saturating_mul(b.into()))
	}
	/// `b` is in `[0, 3932160]`.
	fn remark_with_event(b: u32) -> Weight {
		// Minimum: 3_756_000 ps.
		Weight::from_parts(3_896_000, 0)
			// Standard error: 1.
			.saturating_add(Weight::from_parts(1_475, 0).saturating_mul(b.into()))
	}
	fn set_heap_pages() -> Weight {
		// Minimum: 2_794_000 ps.
		Weight::from_parts(3_044_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	fn set_code() -> Weight {
		// Minimum: 86_256_110_000 ps.
		Weight::from_parts(90_683_123_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	/// `i` is in `[0, 1000]`.
	fn set_storage(i: u32) -> Weight {
		// Minimum: 1_612_000 ps.
		Weight::from_parts(1_682_000, 0)
			// Standard error: 804.
			.saturating_add(Weight::from_parts(678_091, 0).saturating_mul(i.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(i.into()))
	}
	/// `i` is in `[0, 1000]`.
	fn kill_storage(i: u32) -> Weight {
		// Minimum: 1_542_000 ps.
		Weight::from_parts(1_623_000, 0)
			// Standard error: 1_023.
			.saturating_add(Weight::from_parts(502_320, 0).saturating_mul(i.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(i.into()))
	}
	/// `p` is in `[0, 1000]`.
	fn kill_prefix(p: u32) -> Weight {
		// Minimum: 2_554_000 ps.
		Weight::from_parts(2_694_000, 0)
			// Standard error: 1_458.
			.saturating_add(Weight::from_parts(916_651, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(p.into()))
			.saturating_add(Weight::from_parts(0, 70).saturating_mul(p.into()))
	}
	fn authorize_upgrade() -> Weight {
		// Minimum: 6_630_000 ps.
		Weight::from_parts(10_966_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	fn apply_authorized_upgrade() -> Weight {
		// Minimum: 91_762_262_000 ps.
		Weight::from_parts(92_906_670_000, 1518)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(2))
	}
}
