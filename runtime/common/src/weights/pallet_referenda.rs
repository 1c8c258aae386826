//! Dispatch weights of `pallet_referenda`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_referenda`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_referenda::WeightInfo for WeightInfo<T> {
	fn submit() -> Weight {
		// Minimum: 21_152_000 ps.
		Weight::from_parts(22_494_000, 45279)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn place_decision_deposit_preparing() -> Weight {
		// Minimum: 28_923_000 ps.
		Weight::from_parts(30_215_000, 89568)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn place_decision_deposit_queued() -> Weight {
		// Minimum: 37_156_000 ps.
		Weight::from_parts(39_238_000, 45279)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn place_decision_deposit_not_queued() -> Weight {
		// Minimum: 37_256_000 ps.
		Weight::from_parts(39_158_000, 45279)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn place_decision_deposit_passing() -> Weight {
		// Minimum: 34_611_000 ps.
		Weight::from_parts(35_883_000, 89568)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	fn place_decision_deposit_failing() -> Weight {
		// Minimum: 33_140_000 ps.
		Weight::from_parts(34_712_000, 89568)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(5))
	}
	fn refund_decision_deposit() -> Weight {
		// Minimum: 17_477_000 ps.
		Weight::from_parts(18_488_000, 3851)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn refund_submission_deposit() -> Weight {
		// Minimum: 17_867_000 ps.
		Weight::from_parts(18_948_000, 3851)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn cancel() -> Weight {
		// Minimum: 14_502_000 ps.
		Weight::from_parts(15_463_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn kill() -> Weight {
		// Minimum: 60_220_000 ps.
		Weight::from_parts(63_685_000, 45279)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn one_fewer_deciding_queue_empty() -> Weight {
		// Minimum: 5_688_000 ps.
		Weight::from_parts(6_109_000, 5477)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn one_fewer_deciding_failing() -> Weight {
		// Minimum: 24_046_000 ps.
		Weight::from_parts(27_821_000, 45279)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn one_fewer_deciding_passing() -> Weight {
		// Minimum: 24_496_000 ps.
		Weight::from_parts(27_711_000, 45279)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn nudge_referendum_requeued_insertion() -> Weight {
		// Minimum: 14_081_000 ps.
		Weight::from_parts(15_703_000, 5477)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn nudge_referendum_requeued_slide() -> Weight {
		// Minimum: 14_171_000 ps.
		Weight::from_parts(15_894_000, 5477)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn nudge_referendum_queued() -> Weight {
		// Minimum: 16_695_000 ps.
		Weight::from_parts(18_057_000, 5477)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_not_queued() -> Weight {
		// Minimum: 15_833_000 ps.
		Weight::from_parts(16_865_000, 5477)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_no_deposit() -> Weight {
		// Minimum: 11_697_000 ps.
		Weight::from_parts(12_368_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_preparing() -> Weight {
		// Minimum: 11_497_000 ps.
		Weight::from_parts(12_158_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_timed_out() -> Weight {
		// Minimum: 8_373_000 ps.
		Weight::from_parts(8_903_000, 3851)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn nudge_referendum_begin_deciding_failing() -> Weight {
		// Minimum: 15_222_000 ps.
		Weight::from_parts(16_324_000, 45279)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn nudge_referendum_begin_deciding_passing() -> Weight {
		// Minimum: 16_615_000 ps.
		Weight::from_parts(17_556_000, 45279)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn nudge_referendum_begin_confirming() -> Weight {
		// Minimum: 13_390_000 ps.
		Weight::from_parts(14_241_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_end_confirming() -> Weight {
		// Minimum: 13_370_000 ps.
		Weight::from_parts(14_271_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_continue_not_confirming() -> Weight {
		// Minimum: 11_948_000 ps.
		Weight::from_parts(12_649_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_continue_confirming() -> Weight {
		// Minimum: 12_258_000 ps.
		Weight::from_parts(12_990_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn nudge_referendum_approved() -> Weight {
		// Minimum: 20_821_000 ps.
		Weight::from_parts(22_073_000, 89568)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	fn nudge_referendum_rejected() -> Weight {
		// Minimum: 13_740_000 ps.
		Weight::from_parts(14_632_000, 45279)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn set_some_metadata() -> Weight {
		// Minimum: 10_766_000 ps.
		Weight::from_parts(11_437_000, 3851)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn clear_metadata() -> Weight {
		// Minimum: 8_994_000 ps.
		Weight::from_parts(9_645_000, 3851)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(1))
	}
}
