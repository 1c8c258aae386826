//! Dispatch weights of `pallet_balances`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_balances`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_balances::WeightInfo for WeightInfo<T> {
	fn transfer_allow_death() -> Weight {
		// Minimum: 44_145_000 ps.
		Weight::from_parts(46_840_000, 3593)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn transfer_keep_alive() -> Weight {
		// Minimum: 34_381_000 ps.
		Weight::from_parts(36_664_000, 3593)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn force_set_balance_creating() -> Weight {
		// Minimum: 15_433_000 ps.
		Weight::from_parts(16_465_000, 3593)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn force_set_balance_killing() -> Weight {
		// Minimum: 15_543_000 ps.
		Weight::from_parts(16_564_000, 3593)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn force_transfer() -> Weight {
		// Minimum: 44_496_000 ps.
		Weight::from_parts(46_980_000, 6196)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn transfer_all() -> Weight {
		// Minimum: 43_865_000 ps.
		Weight::from_parts(45_969_000, 3593)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn force_unreserve() -> Weight {
		// Minimum: 12_809_000 ps.
		Weight::from_parts(13_610_000, 3593)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `u` is in `[1, 1000]`.
	fn upgrade_accounts(u: u32) -> Weight {
		// Minimum: 13_190_000 ps.
		Weight::from_parts(13_540_000, 990)
			// Standard error: 69_529.
			.saturating_add(Weight::from_parts(13_345_228, 0).saturating_mul(u.into()))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(u.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(u.into()))
			.saturating_add(Weight::from_parts(0, 2603).saturating_mul(u.into()))
	}
	fn force_adjust_total_issuance() -> Weight {
		// Minimum: 3_986_000 ps.
		Weight::from_parts(4_296_000, 0)
	}
	fn burn_allow_death() -> Weight {
		// Minimum: 26_630_000 ps.
		Weight::from_parts(29_093_000, 0)
	}
	fn burn_keep_alive() -> Weight {
		// Minimum: 17_105_000 ps.
		Weight::from_parts(18_367_000, 0)
	}
}
