//! Dispatch weights of `pallet_scheduler`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_scheduler`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_scheduler::WeightInfo for WeightInfo<T> {
	fn service_agendas_base() -> Weight {
		// Minimum: 2_404_000 ps.
		Weight::from_parts(2_614_000, 1489)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `s` is in `[0, 200]`.
	fn service_agenda_base(s: u32) -> Weight {
		// Minimum: 2_243_000 ps.
		Weight::from_parts(4_011_330, 45279)
			// Standard error: 630.
			.saturating_add(Weight::from_parts(283_318, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn service_task_base() -> Weight {
		// Minimum: 1_953_000 ps.
		Weight::from_parts(2_133_000, 0)
	}
	/// `s` is in `[128, 4194304]`.
	fn service_task_fetched(s: u32) -> Weight {
		// Minimum: 11_437_000 ps.
		Weight::from_parts(2_990_993, 3556)
			// Standard error: 6.
			.saturating_add(Weight::from_parts(604, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(Weight::from_parts(0, 1).saturating_mul(s.into()))
	}
	fn service_task_named() -> Weight {
		// Minimum: 3_035_000 ps.
		Weight::from_parts(3_335_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	fn service_task_periodic() -> Weight {
		// Minimum: 2_013_000 ps.
		Weight::from_parts(2_203_000, 0)
	}
	fn execute_dispatch_signed() -> Weight {
		// Minimum: 1_803_000 ps.
		Weight::from_parts(1_993_000, 0)
	}
	fn execute_dispatch_unsigned() -> Weight {
		// Minimum: 1_572_000 ps.
		Weight::from_parts(1_723_000, 0)
	}
	/// `s` is in `[0, 199]`.
	fn schedule(s: u32) -> Weight {
		// Minimum: 6_480_000 ps.
		Weight::from_parts(6_871_965, 45279)
			// Standard error: 1_803.
			.saturating_add(Weight::from_parts(323_391, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `s` is in `[1, 200]`.
	fn cancel(s: u32) -> Weight {
		// Minimum: 10_436_000 ps.
		Weight::from_parts(7_716_078, 45279)
			// Standard error: 2_525.
			.saturating_add(Weight::from_parts(535_080, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `s` is in `[0, 199]`.
	fn schedule_named(s: u32) -> Weight {
		// Minimum: 8_743_000 ps.
		Weight::from_parts(10_513_457, 45279)
			// Standard error: 1_803.
			.saturating_add(Weight::from_parts(318_352, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `s` is in `[1, 200]`.
	fn cancel_named(s: u32) -> Weight {
		// Minimum: 11_757_000 ps.
		Weight::from_parts(10_389_143, 45279)
			// Standard error: 2_451.
			.saturating_add(Weight::from_parts(532_399, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	/// `s` is in `[1, 200]`.
	fn schedule_retry(s: u32) -> Weight {
		// Minimum: 6_430_000 ps.
		Weight::from_parts(6_273_875, 45279)
			// Standard error: 581.
			.saturating_add(Weight::from_parts(20_933, 0).saturating_mul(s.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn set_retry() -> Weight {
		// Minimum: 50_595_000 ps.
		Weight::from_parts(56_494_000, 45279)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn set_retry_named() -> Weight {
		// Minimum: 56_865_000 ps.
		Weight::from_parts(73_140_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn cancel_retry() -> Weight {
		// Minimum: 50_355_000 ps.
		Weight::from_parts(58_718_000, 45279)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn cancel_retry_named() -> Weight {
		// Minimum: 55_553_000 ps.
		Weight::from_parts(65_247_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
