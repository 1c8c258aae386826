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
		// Minimum: 175_732_000 ps.
		Weight::from_parts(209_132_000, 44439).saturating_add(T::DbWeight::get().reads(7))
	}
	fn commit_digest() -> Weight {
		// Minimum: 4_717_000 ps.
		Weight::from_parts(5_098_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[4, 1278]`.
	fn authorize_reveal(n: u32) -> Weight {
		// Minimum: 64_957_000 ps.
		Weight::from_parts(459_509_502, 350226)
			// Standard error: 62_800.
			.saturating_add(Weight::from_parts(586_569, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(162))
			.saturating_add(Weight::from_parts(0, 94).saturating_mul(n.into()))
	}
	/// `n` is in `[4, 1278]`.
	fn reveal(n: u32) -> Weight {
		// Minimum: 42_763_000 ps.
		Weight::from_parts(287_882_812, 350226)
			// Standard error: 53_621.
			.saturating_add(Weight::from_parts(4_273_743, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(158))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(Weight::from_parts(0, 9477).saturating_mul(n.into()))
	}
	fn authorize_request_openings() -> Weight {
		// Minimum: 85_047_000 ps.
		Weight::from_parts(89_534_000, 44439).saturating_add(T::DbWeight::get().reads(10))
	}
	fn request_openings() -> Weight {
		// Minimum: 17_647_000 ps.
		Weight::from_parts(18_778_000, 6274)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
	fn authorize_answer_openings() -> Weight {
		// Minimum: 365_635_000 ps.
		Weight::from_parts(375_219_000, 20040).saturating_add(T::DbWeight::get().reads(6))
	}
	fn answer_openings() -> Weight {
		// Minimum: 54_361_000 ps.
		Weight::from_parts(64_607_000, 20040)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	fn authorize_accuse() -> Weight {
		// Minimum: 266_698_000 ps.
		Weight::from_parts(295_711_000, 6274).saturating_add(T::DbWeight::get().reads(12))
	}
	/// `g` is in `[1, 41]`.
	fn accuse(g: u32) -> Weight {
		// Minimum: 192_827_000 ps.
		Weight::from_parts(212_063_444, 24724)
			// Standard error: 89_006.
			.saturating_add(Weight::from_parts(946_189, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(13))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(9))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	/// `n` is in `[1, 1536]`.
	fn authorize_challenge(n: u32) -> Weight {
		// Minimum: 157_184_000 ps.
		Weight::from_parts(184_297_984, 44439)
			// Standard error: 2_776.
			.saturating_add(Weight::from_parts(14_277, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(17))
	}
	/// `g` is in `[1, 41]`.
	fn challenge(g: u32) -> Weight {
		// Minimum: 139_128_000 ps.
		Weight::from_parts(181_935_711, 24724)
			// Standard error: 157_240.
			.saturating_add(Weight::from_parts(447_853, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(14))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(11))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	fn authorize_play() -> Weight {
		// Minimum: 328_690_000 ps.
		Weight::from_parts(344_624_000, 15827).saturating_add(T::DbWeight::get().reads(6))
	}
	fn authorize_last_play() -> Weight {
		// Minimum: 202_552_000 ps.
		Weight::from_parts(211_977_000, 15827).saturating_add(T::DbWeight::get().reads(6))
	}
	/// `g` is in `[1, 41]`.
	fn play(g: u32) -> Weight {
		// Minimum: 186_569_000 ps.
		Weight::from_parts(192_186_198, 54761)
			// Standard error: 9_965.
			.saturating_add(Weight::from_parts(1_072_677, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(19))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(9))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	fn authorize_close() -> Weight {
		// Minimum: 13_070_000 ps.
		Weight::from_parts(13_951_000, 15827).saturating_add(T::DbWeight::get().reads(3))
	}
	/// `g` is in `[1, 41]`.
	fn close(g: u32) -> Weight {
		// Minimum: 35_052_000 ps.
		Weight::from_parts(37_689_995, 12857)
			// Standard error: 5_234.
			.saturating_add(Weight::from_parts(905_483, 0).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().reads(7))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(g.into()))
			.saturating_add(T::DbWeight::get().writes(6))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(g.into()))
			.saturating_add(Weight::from_parts(0, 14837).saturating_mul(g.into()))
	}
	fn prune() -> Weight {
		// Minimum: 2_744_000 ps.
		Weight::from_parts(2_985_000, 20040)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `n` is in `[0, 256]`.
	fn draw_refuters(n: u32) -> Weight {
		// Minimum: 3_325_000 ps.
		Weight::from_parts(132_491_108, 44439)
			// Standard error: 174_664.
			.saturating_add(Weight::from_parts(14_207_012, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(1))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
			.saturating_add(Weight::from_parts(0, 11867).saturating_mul(n.into()))
	}
}
