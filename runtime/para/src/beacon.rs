//! The random value of each block: the VRF output of the relay chain's block that the block before builds on.
//!
//! A collator cannot choose it. Its slot must be that of the relay chain's block, and a slot has one block, so each block has
//! its own relay chain's block. Two parties have a choice between a few values: the author of the relay chain's block can
//! withhold it, at the loss of that block, and where the relay chain forks in a slot, the collator can build on either block.
//! The value is known when the relay chain's block is, some seconds before it takes effect; on the solo chain, with the block
//! before.

use gonka_primitives::{Hash, hashing::blake2_256, traits::Beacon};
use polkadot_sdk::{
	cumulus_pallet_parachain_system::{OnSystemEvent, RelayChainStateProof},
	cumulus_primitives_core::{
		PersistedValidationData,
		relay_chain::well_known_keys::{CURRENT_BLOCK_RANDOMNESS, ONE_EPOCH_AGO_RANDOMNESS},
	},
	frame_support::{self, traits::Get, weights::Weight},
	frame_system,
};

/// Keeps the value.
#[allow(clippy::expect_used, reason = "the macro's own code")]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use frame_support::pallet_prelude::*;

	#[pallet::pallet]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config: frame_system::Config {}

	/// The hash of the relay chain's randomness in the block that the last block with it builds on. Written by each block.
	#[pallet::storage]
	pub type Value<T> = StorageValue<_, Hash, ValueQuery>;
}

impl<T: pallet::Config> Beacon for pallet::Pallet<T> {
	/// The value of the parent block: this block's own is read after its hooks.
	fn randomness() -> Hash {
		pallet::Value::<T>::get()
	}
}

impl<T: pallet::Config> OnSystemEvent for pallet::Pallet<T> {
	fn on_validation_data(_: &PersistedValidationData) {}

	fn on_validation_code_applied() {}

	/// Panics, which makes the block invalid, if the proof does not show whether there is a value: with the choice to leave it
	/// out, a collator would have two values to choose from.
	fn on_relay_state_proof(proof: &RelayChainStateProof) -> Weight {
		let of_block = proof.read_optional_entry::<Option<Hash>>(CURRENT_BLOCK_RANDOMNESS);
		let Ok(of_block) = of_block else { panic!("the proof shows the relay chain's randomness") };
		// Chains for development have no block's own randomness.
		let value = of_block.flatten().or_else(|| proof.read_optional_entry(ONE_EPOCH_AGO_RANDOMNESS).ok().flatten());
		pallet::Value::<T>::put(blake2_256(&[b"gonka/beacon", &value.unwrap_or_default()]));
		// Decoding two short entries, from nodes of the proof that other entries need as well.
		Weight::from_parts(20_000_000, 0).saturating_add(T::DbWeight::get().writes(1))
	}
}
