//! The chains this node knows by name.
//!
//! The runtime holds the genesis of these chains as named presets. This file adds a name, a type and the
//! network's identifiers. Any other chain comes from a file.

use gonka_runtime::{WASM_BINARY, opaque::Block};
use polkadot_sdk::*;
use sc_chain_spec::{ChainSpecExtension, ChainType, GenericChainSpec, Properties};
use serde::{Deserialize, Serialize};

/// Optional fields of a chain specification beside the usual ones.
#[derive(Clone, Default, Deserialize, Serialize, ChainSpecExtension)]
#[serde(default, rename_all = "camelCase")]
pub struct Extensions {
	/// Blocks that must be on the chain, as `[number, hash]`.
	pub fork_blocks: sc_client_api::ForkBlocks<Block>,
	/// Blocks that must not be on the chain, by hash.
	pub bad_blocks: sc_client_api::BadBlocks<Block>,
	/// A finalised state from which light clients start (see `sync_state_genSyncSpec`).
	pub light_sync_state: sc_sync_state_rpc::LightSyncStateExtension,
}

pub type ChainSpec = GenericChainSpec<Extensions>;

/// The specification for `--chain <id>`: a name from this file, or the path of a JSON file.
pub fn load(id: &str) -> Result<ChainSpec, String> {
	match id {
		"dev" => preset(Preset {
			name: "Gonka Development",
			id: "gonka_dev",
			chain_type: ChainType::Development,
			genesis: "development",
		}),
		"local" => preset(Preset {
			name: "Gonka Local Testnet",
			id: "gonka_local",
			chain_type: ChainType::Local,
			genesis: "local_testnet",
		}),
		"" => Err("The chain is missing. Use `--dev` (one validator, temporary), `--chain local` \
			(Alice, Bob and Charlie) or `--chain <path to a chain specification>`."
			.into()),
		path => ChainSpec::from_json_file(path.into())
			.map_err(|e| format!("`{path}` is neither `dev`, nor `local`, nor a readable chain specification: {e}")),
	}
}

struct Preset {
	name: &'static str,
	/// Name of the database's folder and, with `-` for `_`, of the network's protocols.
	id: &'static str,
	chain_type: ChainType,
	/// Name of the preset in the runtime.
	genesis: &'static str,
}

fn preset(preset: Preset) -> Result<ChainSpec, String> {
	let wasm = WASM_BINARY.ok_or(
		"This node was built with SKIP_WASM_BUILD and contains no runtime to start a chain from. \
		Build it without that variable, or pass `--chain <path>`: a file contains its own runtime.",
	)?;
	let mut properties = Properties::new();
	properties.insert("tokenSymbol".into(), "GNK".into());
	properties.insert("tokenDecimals".into(), 9.into());
	properties.insert("ss58Format".into(), 42.into());

	Ok(ChainSpec::builder(wasm, Extensions::default())
		.with_name(preset.name)
		.with_id(preset.id)
		.with_protocol_id(&preset.id.replace('_', "-"))
		.with_chain_type(preset.chain_type)
		.with_properties(properties)
		.with_genesis_config_preset_name(preset.genesis)
		.build())
}
