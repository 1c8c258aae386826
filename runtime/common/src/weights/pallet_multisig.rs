//! Dispatch weights of `pallet_multisig`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_multisig`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_multisig::WeightInfo for WeightInfo<T> {
	/// `z` is in `[0, 10000]`.
	fn as_multi_threshold_1(z: u32) -> Weight {
		// Minimum: 17_366_000 ps.
		Weight::from_parts(18_039_749, 0)
			// Standard error: 6.
			.saturating_add(Weight::from_parts(9_014, 0).saturating_mul(z.into()))
	}
	/// `s` is in `[2, 32]`.
	/// `z` is in `[0, 10000]`.
	fn as_multi_create(s: u32, z: u32) -> Weight {
		// Minimum: 31_688_000 ps.
		Weight::from_parts(22_061_269, 4634)
			// Standard error: 2_362.
			.saturating_add(Weight::from_parts(326_062, 0).saturating_mul(s.into()))
			// Standard error: 7.
			.saturating_add(Weight::from_parts(9_008, 0).saturating_mul(z.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `s` is in `[3, 32]`.
	/// `z` is in `[0, 10000]`.
	fn as_multi_approve(s: u32, z: u32) -> Weight {
		// Minimum: 21_101_000 ps.
		Weight::from_parts(11_495_716, 4634)
			// Standard error: 2_203.
			.saturating_add(Weight::from_parts(310_456, 0).saturating_mul(s.into()))
			// Standard error: 6.
			.saturating_add(Weight::from_parts(8_977, 0).saturating_mul(z.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `s` is in `[2, 32]`.
	/// `z` is in `[0, 10000]`.
	fn as_multi_complete(s: u32, z: u32) -> Weight {
		// Minimum: 35_563_000 ps.
		Weight::from_parts(23_376_969, 4634)
			// Standard error: 12_419.
			.saturating_add(Weight::from_parts(404_558, 0).saturating_mul(s.into()))
			// Standard error: 37.
			.saturating_add(Weight::from_parts(9_083, 0).saturating_mul(z.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `s` is in `[2, 32]`.
	fn approve_as_multi_create(s: u32) -> Weight {
		// Minimum: 20_651_000 ps.
		Weight::from_parts(21_102_307, 4634)
			// Standard error: 970.
			.saturating_add(Weight::from_parts(318_206, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `s` is in `[2, 32]`.
	fn approve_as_multi_approve(s: u32) -> Weight {
		// Minimum: 10_436_000 ps.
		Weight::from_parts(10_421_345, 4634)
			// Standard error: 1_308.
			.saturating_add(Weight::from_parts(317_432, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `s` is in `[2, 32]`.
	fn cancel_as_multi(s: u32) -> Weight {
		// Minimum: 20_220_000 ps.
		Weight::from_parts(21_049_971, 4634)
			// Standard error: 2_894.
			.saturating_add(Weight::from_parts(334_589, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `s` is in `[2, 32]`.
	fn poke_deposit(s: u32) -> Weight {
		// Minimum: 19_309_000 ps.
		Weight::from_parts(19_893_912, 4634)
			// Standard error: 2_169.
			.saturating_add(Weight::from_parts(328_031, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
