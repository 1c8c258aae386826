//! Dispatch weights of `pallet_governance`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_governance`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_governance::WeightInfo for WeightInfo<T> {
	/// `d` is in `[0, 32]`.
	fn vote(d: u32) -> Weight {
		// Minimum: 36_675_000 ps.
		Weight::from_parts(39_600_595, 89568)
			// Standard error: 5_699.
			.saturating_add(Weight::from_parts(9_779_451, 0).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().reads(9))
			.saturating_add(T::DbWeight::get().reads(3).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().writes(6))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(d.into()))
			.saturating_add(Weight::from_parts(0, 2642).saturating_mul(d.into()))
	}
	/// `d` is in `[0, 32]`.
	fn remove_vote(d: u32) -> Weight {
		// Minimum: 29_263_000 ps.
		Weight::from_parts(29_879_072, 89568)
			// Standard error: 4_020.
			.saturating_add(Weight::from_parts(3_692_447, 0).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().writes(6))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(d.into()))
			.saturating_add(Weight::from_parts(0, 2551).saturating_mul(d.into()))
	}
	/// `v` is in `[0, 16]`.
	fn delegate(v: u32) -> Weight {
		// Minimum: 264_875_000 ps.
		Weight::from_parts(270_376_016, 89568)
			// Standard error: 114_561.
			.saturating_add(Weight::from_parts(37_497_950, 0).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(74))
			.saturating_add(T::DbWeight::get().reads(3).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().writes(5))
			.saturating_add(T::DbWeight::get().writes(4).saturating_mul(v.into()))
			.saturating_add(Weight::from_parts(0, 5102).saturating_mul(v.into()))
	}
	/// `v` is in `[0, 16]`.
	fn undelegate(v: u32) -> Weight {
		// Minimum: 16_224_000 ps.
		Weight::from_parts(10_833_956, 89568)
			// Standard error: 126_720.
			.saturating_add(Weight::from_parts(25_056_172, 0).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().writes(4))
			.saturating_add(T::DbWeight::get().writes(3).saturating_mul(v.into()))
			.saturating_add(Weight::from_parts(0, 2861).saturating_mul(v.into()))
	}
	fn end_stall() -> Weight {
		// Minimum: 4_977_000 ps.
		Weight::from_parts(5_288_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	fn idle() -> Weight {
		// Minimum: 1_011_000 ps.
		Weight::from_parts(1_152_000, 4175).saturating_add(T::DbWeight::get().reads(3))
	}
	/// `n` is in `[1, 8]`.
	fn note(n: u32) -> Weight {
		// Minimum: 6_139_000 ps.
		Weight::from_parts(3_086_178, 4175)
			// Standard error: 1_365.
			.saturating_add(Weight::from_parts(3_721_252, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2861).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 100]`.
	fn copy(n: u32) -> Weight {
		// Minimum: 11_738_000 ps.
		Weight::from_parts(6_190_775, 4175)
			// Standard error: 5_399.
			.saturating_add(Weight::from_parts(4_499_236, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 2642).saturating_mul(n.into()))
	}
	/// `n` is in `[1, 100]`.
	fn close(n: u32) -> Weight {
		// Minimum: 21_772_000 ps.
		Weight::from_parts(9_959_308, 5976)
			// Standard error: 12_258.
			.saturating_add(Weight::from_parts(8_005_956, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(T::DbWeight::get().writes(2).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 4408).saturating_mul(n.into()))
	}
	fn sweep() -> Weight {
		// Minimum: 20_761_000 ps.
		Weight::from_parts(22_403_000, 13625)
			.saturating_add(T::DbWeight::get().reads(11))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	/// `p` is in `[0, 16]`.
	/// `d` is in `[0, 32]`.
	fn withdraw_from_class(p: u32, d: u32) -> Weight {
		// Minimum: 116_013_000 ps.
		Weight::from_parts(116_674_000, 89568)
			// Standard error: 2_077_085.
			.saturating_add(Weight::from_parts(49_884_727, 0).saturating_mul(p.into()))
			// Standard error: 1_051_180.
			.saturating_add(Weight::from_parts(15_565_629, 0).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			.saturating_add(T::DbWeight::get().reads(14).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(6).saturating_mul(d.into()))
			.saturating_add(T::DbWeight::get().writes(34))
			.saturating_add(T::DbWeight::get().writes(13).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().writes(6).saturating_mul(d.into()))
			.saturating_add(Weight::from_parts(0, 15823).saturating_mul(d.into()))
			.saturating_add(Weight::from_parts(0, 26435).saturating_mul(p.into()))
	}
}
