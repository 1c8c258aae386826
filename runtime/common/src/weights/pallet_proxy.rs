//! Dispatch weights of `pallet_proxy`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_proxy`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_proxy::WeightInfo for WeightInfo<T> {
	/// `p` is in `[1, 31]`.
	fn proxy(p: u32) -> Weight {
		// Minimum: 7_932_000 ps.
		Weight::from_parts(8_401_143, 4706)
			// Standard error: 331.
			.saturating_add(Weight::from_parts(19_255, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(1))
	}
	/// `a` is in `[0, 31]`.
	/// `p` is in `[1, 31]`.
	fn proxy_announced(a: u32, p: u32) -> Weight {
		// Minimum: 24_196_000 ps.
		Weight::from_parts(24_370_070, 5698)
			// Standard error: 2_230.
			.saturating_add(Weight::from_parts(175_724, 0).saturating_mul(a.into()))
			// Standard error: 2_306.
			.saturating_add(Weight::from_parts(34_226, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `a` is in `[0, 31]`.
	/// `p` is in `[1, 31]`.
	fn remove_announcement(a: u32, p: u32) -> Weight {
		// Minimum: 16_745_000 ps.
		Weight::from_parts(17_216_527, 5698)
			// Standard error: 989.
			.saturating_add(Weight::from_parts(153_344, 0).saturating_mul(a.into()))
			// Standard error: 1_022.
			.saturating_add(Weight::from_parts(8_102, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `a` is in `[0, 31]`.
	/// `p` is in `[1, 31]`.
	fn reject_announcement(a: u32, p: u32) -> Weight {
		// Minimum: 16_505_000 ps.
		Weight::from_parts(17_185_426, 5698)
			// Standard error: 938.
			.saturating_add(Weight::from_parts(150_545, 0).saturating_mul(a.into()))
			// Standard error: 970.
			.saturating_add(Weight::from_parts(5_332, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `a` is in `[0, 31]`.
	/// `p` is in `[1, 31]`.
	fn announce(a: u32, p: u32) -> Weight {
		// Minimum: 21_462_000 ps.
		Weight::from_parts(21_910_357, 5698)
			// Standard error: 997.
			.saturating_add(Weight::from_parts(151_139, 0).saturating_mul(a.into()))
			// Standard error: 1_031.
			.saturating_add(Weight::from_parts(23_744, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// `p` is in `[1, 31]`.
	fn add_proxy(p: u32) -> Weight {
		// Minimum: 16_384_000 ps.
		Weight::from_parts(17_129_401, 4706)
			// Standard error: 386.
			.saturating_add(Weight::from_parts(27_545, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `p` is in `[1, 31]`.
	fn remove_proxy(p: u32) -> Weight {
		// Minimum: 16_084_000 ps.
		Weight::from_parts(16_829_628, 4706)
			// Standard error: 467.
			.saturating_add(Weight::from_parts(23_160, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `p` is in `[1, 31]`.
	fn remove_proxies(p: u32) -> Weight {
		// Minimum: 16_434_000 ps.
		Weight::from_parts(15_875_242, 4706)
			// Standard error: 979.
			.saturating_add(Weight::from_parts(1_431_681, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `p` is in `[1, 31]`.
	fn create_pure(p: u32) -> Weight {
		// Minimum: 18_798_000 ps.
		Weight::from_parts(19_801_691, 4706)
			// Standard error: 422.
			.saturating_add(Weight::from_parts(7_195, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// `p` is in `[0, 30]`.
	fn kill_pure(p: u32) -> Weight {
		// Minimum: 18_117_000 ps.
		Weight::from_parts(18_948_708, 4706)
			// Standard error: 494.
			.saturating_add(Weight::from_parts(16_410, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	fn poke_deposit() -> Weight {
		// Minimum: 31_417_000 ps.
		Weight::from_parts(33_700_000, 5698)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(3))
	}
}
