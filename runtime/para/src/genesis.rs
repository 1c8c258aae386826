//! The presets from which chain specifications are made.

#[path = "../../common/shared/genesis.rs"]
mod shared;

use crate::{RuntimeGenesisConfig, SessionKeys};
use polkadot_sdk::{frame_support::build_struct_json_patch, *};
pub use shared::*;
use sp_keyring::Sr25519Keyring;

/// The parachain's number on local relay chains.
pub const LOCAL_PARA_ID: u32 = 2_000;

/// The part of a network's genesis that only this chain has.
fn own() -> serde_json::Value {
	build_struct_json_patch!(RuntimeGenesisConfig {
		parachain_info: staging_parachain_info::GenesisConfig { parachain_id: LOCAL_PARA_ID.into() },
		polkadot_xcm: pallet_xcm::GenesisConfig { safe_xcm_version: Some(staging_xcm::prelude::XCM_VERSION) },
	})
}

/// The session keys of a well-known collator.
fn session_keys(key: Sr25519Keyring) -> SessionKeys {
	SessionKeys { aura: key.public().into() }
}
