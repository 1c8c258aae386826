//! Dispatch weights of `pallet_inference_market`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_inference_market`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_inference_market::WeightInfo for WeightInfo<T> {
	fn register_model() -> Weight {
		// Minimum: 9_654_000 ps.
		Weight::from_parts(10_305_000, 3708)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn retire_model() -> Weight {
		// Minimum: 9_715_000 ps.
		Weight::from_parts(10_445_000, 3708)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn set_price() -> Weight {
		// Minimum: 6_940_000 ps.
		Weight::from_parts(7_421_000, 3708)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[1, 64]`.
	fn open_channels(n: u32) -> Weight {
		// Minimum: 52_098_000 ps.
		Weight::from_parts(38_066_321, 3604)
			// Standard error: 24_286.
			.saturating_add(Weight::from_parts(14_619_415, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(3))
			.saturating_add(T::DbWeight::get().writes(4).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2764).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 64]`.
	fn top_up(n: u32) -> Weight {
		// Minimum: 43_094_000 ps.
		Weight::from_parts(38_187_827, 3604)
			// Standard error: 9_230.
			.saturating_add(Weight::from_parts(4_653_672, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2640).saturating_mul(n.into()))
	}
	fn close_channel() -> Weight {
		// Minimum: 10_887_000 ps.
		Weight::from_parts(11_628_000, 3630)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn withdraw() -> Weight {
		// Minimum: 39_028_000 ps.
		Weight::from_parts(40_981_000, 3630)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// `v` is in `[1, 256]`.
	/// `m` is in `[1, 16]`.
	fn settle(v: u32, m: u32) -> Weight {
		// Minimum: 72_258_000 ps.
		Weight::from_parts(71_459_922, 6072)
			// Standard error: 29_871.
			.saturating_add(Weight::from_parts(3_980_729, 0).saturating_mul(v.into()))
			// Standard error: 500_851.
			.saturating_add(Weight::from_parts(2_490_680, 0).saturating_mul(m.into()))
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(m.into()))
			.saturating_add(T::DbWeight::get().writes(7))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(v.into()))
			.saturating_add(Weight::from_parts(0, 2615).saturating_mul(m.into()))
			.saturating_add(Weight::from_parts(0, 2640).saturating_mul(v.into()))
	}
	/// `v` is in `[1, 256]`.
	/// `m` is in `[1, 16]`.
	fn authorize_settle(v: u32, m: u32) -> Weight {
		// Minimum: 128_552_000 ps.
		Weight::from_parts(128_872_000, 3754)
			// Standard error: 68_933.
			.saturating_add(Weight::from_parts(37_746_969, 0).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(11))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(m.into()))
			.saturating_add(Weight::from_parts(0, 2615).saturating_mul(m.into()))
			.saturating_add(Weight::from_parts(0, 2640).saturating_mul(v.into()))
	}
	fn set_price_rule() -> Weight {
		// Minimum: 8_392_000 ps.
		Weight::from_parts(8_983_000, 3708)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[1, 256]`.
	fn move_prices(n: u32) -> Weight {
		// Minimum: 15_503_000 ps.
		Weight::from_parts(15_793_000, 8613)
			// Standard error: 9_511.
			.saturating_add(Weight::from_parts(8_894_242, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2718).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 256]`.
	fn release_fees(n: u32) -> Weight {
		// Minimum: 61_322_000 ps.
		Weight::from_parts(61_892_000, 3531)
			// Standard error: 119_423.
			.saturating_add(Weight::from_parts(60_523_678, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(8).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(5).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 16897).saturating_mul(n.into()))
	}
}
