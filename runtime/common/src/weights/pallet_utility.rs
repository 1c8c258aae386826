//! Dispatch weights of `pallet_utility`, measured by `scripts/weights`. Do not edit.
//!
//! 2026-11-29, AMD EPYC; frame-benchmarking-cli 64.0.0, steps 20, repeat 10,
//! wasm execution Compiled, database cache 1024 MiB.

#![allow(missing_docs, unused_imports, unused_parens, clippy::unnecessary_cast)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	*,
};

/// The measured dispatch weights of `pallet_utility`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_utility::WeightInfo for WeightInfo<T> {
	/// `c` is in `[0, 1000]`.
	fn batch(c: u32) -> Weight {
		// Minimum: 3_185_000 ps.
		Weight::from_parts(1_616_917, 0)
			// Standard error: 3_426.
			.saturating_add(Weight::from_parts(2_886_842, 0).saturating_mul(c.into()))
	}
	fn as_derivative() -> Weight {
		// Minimum: 3_565_000 ps.
		Weight::from_parts(3_886_000, 0)
	}
	/// `c` is in `[0, 1000]`.
	fn batch_all(c: u32) -> Weight {
		// Minimum: 3_104_000 ps.
		Weight::from_parts(3_181_758, 0)
			// Standard error: 3_142.
			.saturating_add(Weight::from_parts(3_111_166, 0).saturating_mul(c.into()))
	}
	fn dispatch_as() -> Weight {
		// Minimum: 4_577_000 ps.
		Weight::from_parts(4_947_000, 0)
	}
	/// `c` is in `[0, 1000]`.
	fn force_batch(c: u32) -> Weight {
		// Minimum: 3_125_000 ps.
		Weight::from_parts(3_247_224, 0)
			// Standard error: 2_829.
			.saturating_add(Weight::from_parts(2_788_540, 0).saturating_mul(c.into()))
	}
	fn dispatch_as_fallible() -> Weight {
		// Minimum: 4_527_000 ps.
		Weight::from_parts(4_948_000, 0)
	}
	fn if_else() -> Weight {
		// Minimum: 6_109_000 ps.
		Weight::from_parts(6_790_000, 0)
	}
}
