//! Dispatch weights of `pallet_sampling_validation`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_sampling_validation`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_sampling_validation::WeightInfo for WeightInfo<T> {
	fn set_profile() -> Weight {
		// Minimum: 6_990_000 ps.
		Weight::from_parts(7_521_000, 3708)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[1, 64]`.
	fn authorize_submit_report(n: u32) -> Weight {
		// Minimum: 52_829_000 ps.
		Weight::from_parts(56_255_317, 9927)
			// Standard error: 26_608.
			.saturating_add(Weight::from_parts(950_543, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
	}
	/// `n` is in `[1, 64]`.
	/// `c` is in `[0, 64]`.
	fn submit_report(n: u32, c: u32) -> Weight {
		// Minimum: 114_792_000 ps.
		Weight::from_parts(121_121_000, 48607)
			// Standard error: 1_314_841.
			.saturating_add(Weight::from_parts(32_533_702, 0).saturating_mul(n.into()))
			// Standard error: 1_317_529.
			.saturating_add(Weight::from_parts(18_396_979, 0).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().reads(28))
			.saturating_add(T::DbWeight::get().reads(9).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(6).saturating_mul(c.into()))
			.saturating_add(T::DbWeight::get().writes(7))
			.saturating_add(T::DbWeight::get().writes(2).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 15853).saturating_mul(c.into()))
			.saturating_add(Weight::from_parts(0, 18078).saturating_mul(n.into()))
	}
	fn authorize_rule() -> Weight {
		// Minimum: 64_626_000 ps.
		Weight::from_parts(67_831_000, 15495).saturating_add(T::DbWeight::get().reads(4))
	}
	fn rule() -> Weight {
		// Minimum: 26_659_000 ps.
		Weight::from_parts(28_433_000, 15495)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn appeal() -> Weight {
		// Minimum: 202_011_000 ps.
		Weight::from_parts(212_547_000, 30000)
			.saturating_add(T::DbWeight::get().reads(11))
			.saturating_add(T::DbWeight::get().writes(8))
	}
	/// `h` is in `[1, 32]`.
	/// `r` is in `[0, 512]`.
	fn build(h: u32, r: u32) -> Weight {
		// Minimum: 142_873_000 ps.
		Weight::from_parts(143_995_000, 3632)
			// Standard error: 1_406_787.
			.saturating_add(Weight::from_parts(21_252_044, 0).saturating_mul(h.into()))
			// Standard error: 87_819.
			.saturating_add(Weight::from_parts(1_290_915, 0).saturating_mul(r.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(h.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(5).saturating_mul(h.into()))
			.saturating_add(Weight::from_parts(0, 2764).saturating_mul(h.into()))
			.saturating_add(Weight::from_parts(0, 79).saturating_mul(r.into()))
	}
	/// `b` is in `[1, 32]`.
	/// `p` is in `[1, 128]`.
	fn draw(b: u32, p: u32) -> Weight {
		// Minimum: 4_126_685_000 ps.
		Weight::from_parts(3_294_815_853, 683405)
			// Standard error: 4_635_709.
			.saturating_add(Weight::from_parts(24_664_128, 0).saturating_mul(b.into()))
			// Standard error: 1_147_772.
			.saturating_add(Weight::from_parts(23_241_254, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(336))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(b.into()))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().writes(22))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(b.into()))
			.saturating_add(Weight::from_parts(0, 2801).saturating_mul(b.into()))
			.saturating_add(Weight::from_parts(0, 4185).saturating_mul(p.into()))
	}
	/// `n` is in `[1, 32]`.
	fn close(n: u32) -> Weight {
		// Minimum: 33_600_000 ps.
		Weight::from_parts(34_641_000, 9927)
			// Standard error: 296_509.
			.saturating_add(Weight::from_parts(29_011_404, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().reads(6).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(3).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 8937).saturating_mul(n.into()))
	}
	fn draw_arbiters() -> Weight {
		// Minimum: 13_213_398_000 ps.
		Weight::from_parts(13_443_551_000, 2347910)
			.saturating_add(T::DbWeight::get().reads(1129))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn close_case() -> Weight {
		// Minimum: 1_965_000_000 ps.
		Weight::from_parts(2_031_460_000, 492402)
			.saturating_add(T::DbWeight::get().reads(357))
			.saturating_add(T::DbWeight::get().writes(145))
	}
	fn prune() -> Weight {
		// Minimum: 3_084_000 ps.
		Weight::from_parts(3_345_000, 0).saturating_add(T::DbWeight::get().writes(2))
	}
}
