//! Dispatch weights of the inherent and the hook, estimated by hand. `benchmarking.rs` measures them.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of `pallet_liveness`.
pub trait WeightInfo {
	/// Counting a block for its author.
	fn note_block() -> Weight;
	/// An author's statement of the last final block.
	fn note_finalized() -> Weight;
	/// A change of session with `n` validators: counting, dealing seats, deciding about GRANDPA's set.
	fn change_session(n: u32) -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn note_block() -> Weight {
		// Reading and writing a list of 300 validators takes most of it.
		Weight::from_parts(40_000_000, 20_000).saturating_add(T::DbWeight::get().reads_writes(2, 1))
	}
	fn note_finalized() -> Weight {
		Weight::from_parts(40_000_000, 20_000).saturating_add(T::DbWeight::get().reads_writes(3, 2))
	}
	fn change_session(n: u32) -> Weight {
		Weight::from_parts(3_000_000, 200)
			.saturating_mul(n.into())
			.saturating_add(Weight::from_parts(100_000_000, 60_000))
			.saturating_add(T::DbWeight::get().reads_writes(9, 9))
	}
}
