//! Dispatch weights of `pallet_poc`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_poc`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_poc::WeightInfo for WeightInfo<T> {
	fn authorize_register() -> Weight {
		// Minimum: 146_188_000 ps.
		Weight::from_parts(155_221_000, 44478).saturating_add(T::DbWeight::get().reads(23))
	}
	fn register() -> Weight {
		// Minimum: 50_646_000 ps.
		Weight::from_parts(53_379_000, 3754)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_commit() -> Weight {
		// Minimum: 47_911_000 ps.
		Weight::from_parts(51_908_000, 4182).saturating_add(T::DbWeight::get().reads(7))
	}
	fn commit() -> Weight {
		// Minimum: 39_990_000 ps.
		Weight::from_parts(52_949_000, 42447)
			.saturating_add(T::DbWeight::get().reads(11))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn tick() -> Weight {
		// Minimum: 15_143_000 ps.
		Weight::from_parts(16_384_000, 3531)
			.saturating_add(T::DbWeight::get().reads(8))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `n` is in `[1, 1024]`.
	fn draw(n: u32) -> Weight {
		// Minimum: 11_757_000 ps.
		Weight::from_parts(12_459_000, 42447)
			// Standard error: 221_436.
			.saturating_add(Weight::from_parts(4_673_018, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(Weight::from_parts(0, 2641).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 99]`.
	fn weigh(n: u32) -> Weight {
		// Minimum: 282_592_000 ps.
		Weight::from_parts(294_339_000, 59018)
			// Standard error: 2_439_102.
			.saturating_add(Weight::from_parts(57_264_977, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().reads(9).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(3))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 7923).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 300]`.
	fn follow_confirmations(n: u32) -> Weight {
		// Minimum: 17_016_000 ps.
		Weight::from_parts(17_286_000, 13487)
			// Standard error: 708_521.
			.saturating_add(Weight::from_parts(12_886_191, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(Weight::from_parts(0, 3192).saturating_mul(n.into()))
	}
	fn note_equivocation() -> Weight {
		// Minimum: 94_380_000 ps.
		Weight::from_parts(118_056_000, 54761)
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// `n` is in `[0, 64]`.
	fn sweep(n: u32) -> Weight {
		// Minimum: 9_954_000 ps.
		Weight::from_parts(2_717_202, 3754)
			// Standard error: 53_978.
			.saturating_add(Weight::from_parts(9_238_229, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2764).saturating_mul(n.into()))
	}
	fn expire() -> Weight {
		// Minimum: 83_064_000 ps.
		Weight::from_parts(88_211_000, 211230)
			.saturating_add(T::DbWeight::get().reads(80))
			.saturating_add(T::DbWeight::get().writes(77))
	}
	fn prune() -> Weight {
		// Minimum: 6_199_000 ps.
		Weight::from_parts(6_740_000, 3754)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(3))
	}
}
