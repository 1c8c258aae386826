//! The presets from which chain specifications are made.

#[path = "../../common/shared/genesis.rs"]
mod shared;

use crate::{RuntimeGenesisConfig, SessionKeys, configs};
use polkadot_sdk::{frame_support::build_struct_json_patch, *};
pub use shared::*;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// The part of a network's genesis that only this chain has.
fn own() -> serde_json::Value {
	build_struct_json_patch!(RuntimeGenesisConfig {
		babe: pallet_babe::GenesisConfig { epoch_config: configs::consensus::BABE_CONFIGURATION },
	})
}

/// The session keys of a well-known validator.
fn session_keys(key: Sr25519Keyring) -> SessionKeys {
	let sr25519 = key.public();
	let ed25519 = match key {
		Sr25519Keyring::Bob => Ed25519Keyring::Bob,
		Sr25519Keyring::Charlie => Ed25519Keyring::Charlie,
		_ => Ed25519Keyring::Alice,
	};
	SessionKeys { babe: sr25519.into(), grandpa: ed25519.public().into(), authority_discovery: sr25519.into() }
}
