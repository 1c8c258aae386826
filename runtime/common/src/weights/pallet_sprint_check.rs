//! Dispatch weights of `pallet_sprint_check`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_sprint_check`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_sprint_check::WeightInfo for WeightInfo<T> {
	fn authorize_commit_digest() -> Weight {
		// Minimum: 175_672_000 ps.
		Weight::from_parts(189_823_000, 44439).saturating_add(T::DbWeight::get().reads(9))
	}
	fn commit_digest() -> Weight {
		// Minimum: 4_827_000 ps.
		Weight::from_parts(5_158_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[4, 1278]`.
	fn authorize_reveal(n: u32) -> Weight {
		// Minimum: 71_927_000 ps.
		Weight::from_parts(464_854_292, 350226)
			// Standard error: 63_024.
			.saturating_add(Weight::from_parts(517_772, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(164))
			.saturating_add(Weight::from_parts(0, 94).saturating_mul(n.into()))
	}
	/// `n` is in `[4, 1278]`.
	fn reveal(n: u32) -> Weight {
		// Minimum: 46_940_000 ps.
		Weight::from_parts(408_423_419, 350226)
			// Standard error: 69_546.
			.saturating_add(Weight::from_parts(3_979_264, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(160))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(Weight::from_parts(0, 1321).saturating_mul(n.into()))
	}
	fn authorize_request_openings() -> Weight {
		// Minimum: 282_331_000 ps.
		Weight::from_parts(311_735_000, 44439).saturating_add(T::DbWeight::get().reads(12))
	}
	fn request_openings() -> Weight {
		// Minimum: 60_400_000 ps.
		Weight::from_parts(85_107_000, 6274)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_answer_openings() -> Weight {
		// Minimum: 360_287_000 ps.
		Weight::from_parts(394_638_000, 20040).saturating_add(T::DbWeight::get().reads(6))
	}
	fn answer_openings() -> Weight {
		// Minimum: 72_238_000 ps.
		Weight::from_parts(104_036_000, 20040)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_accuse() -> Weight {
		// Minimum: 270_514_000 ps.
		Weight::from_parts(288_791_000, 6274).saturating_add(T::DbWeight::get().reads(12))
	}
	/// `g` is in `[1, 41]`.
	fn accuse(g: u32) -> Weight {
		// Minimum: 169_472_000 ps.
		Weight::from_parts(203_245_496, 24724)
			// Standard error: 88_917.
			.saturating_add(Weight::from_parts(1_054_016, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(13))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(9))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	/// `n` is in `[1, 1536]`.
	fn authorize_challenge(n: u32) -> Weight {
		// Minimum: 145_677_000 ps.
		Weight::from_parts(163_178_670, 44439)
			// Standard error: 1_371.
			.saturating_add(Weight::from_parts(9_424, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(19))
	}
	/// `g` is in `[1, 41]`.
	fn challenge(g: u32) -> Weight {
		// Minimum: 107_050_000 ps.
		Weight::from_parts(118_848_087, 24724)
			// Standard error: 152_610.
			.saturating_add(Weight::from_parts(1_787_689, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(14))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(11))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	fn authorize_play() -> Weight {
		// Minimum: 327_488_000 ps.
		Weight::from_parts(343_632_000, 15827).saturating_add(T::DbWeight::get().reads(6))
	}
	fn authorize_last_play() -> Weight {
		// Minimum: 205_076_000 ps.
		Weight::from_parts(214_840_000, 15827).saturating_add(T::DbWeight::get().reads(6))
	}
	/// `g` is in `[1, 41]`.
	fn play(g: u32) -> Weight {
		// Minimum: 186_158_000 ps.
		Weight::from_parts(190_586_094, 54801)
			// Standard error: 48_218.
			.saturating_add(Weight::from_parts(1_952_832, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(19))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(9))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	fn authorize_close() -> Weight {
		// Minimum: 12_979_000 ps.
		Weight::from_parts(14_412_000, 15827).saturating_add(T::DbWeight::get().reads(3))
	}
	/// `g` is in `[1, 41]`.
	fn close(g: u32) -> Weight {
		// Minimum: 34_271_000 ps.
		Weight::from_parts(37_344_933, 12857)
			// Standard error: 6_526.
			.saturating_add(Weight::from_parts(940_093, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(6))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	fn prune() -> Weight {
		// Minimum: 2_694_000 ps.
		Weight::from_parts(2_974_000, 20040)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[0, 256]`.
	fn draw_refuters(n: u32) -> Weight {
		// Minimum: 4_597_000 ps.
		Weight::from_parts(38_086_741, 44439)
			// Standard error: 164_414.
			.saturating_add(Weight::from_parts(15_588_454, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 11867).saturating_mul(n.into()))
	}
}
