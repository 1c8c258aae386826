//! The chains this node knows by name.
//!
//! What a chain holds at its start is written in the runtime, as named presets; here each preset
//! only gets a name, a type and its network's identifiers. Any other chain comes from a file.

use gonka_runtime::{WASM_BINARY, opaque::Block};
use polkadot_sdk::*;
use sc_chain_spec::{ChainSpecExtension, ChainType, GenericChainSpec, Properties};
use serde::{Deserialize, Serialize};

/// What a spec may carry beside the usual fields. All of it is optional.
#[derive(Clone, Default, Deserialize, Serialize, ChainSpecExtension)]
#[serde(default, rename_all = "camelCase")]
pub struct Extensions {
	/// Blocks that must be on the chain: `[number, hash]`.
	pub fork_blocks: sc_client_api::ForkBlocks<Block>,
	/// Blocks that must not be on the chain, by hash.
	pub bad_blocks: sc_client_api::BadBlocks<Block>,
	/// A finalised point from which light clients start (see `sync_state_genSyncSpec`).
	pub light_sync_state: sc_sync_state_rpc::LightSyncStateExtension,
}

pub type ChainSpec = GenericChainSpec<Extensions>;

/// The spec for `--chain <id>`: a name from this file, or the path of a JSON file.
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
		"" => Err("No chain was named. Try `--dev` (one validator, nothing kept), `--chain local` \
			(Alice, Bob and Charlie) or `--chain <path to a chain spec>`."
			.into()),
		path => ChainSpec::from_json_file(path.into())
			.map_err(|e| format!("`{path}` is neither `dev`, nor `local`, nor a chain spec: {e}")),
	}
}

struct Preset {
	name: &'static str,
	/// Names the folder of the database and, with `_` turned to `-`, the network's protocols.
	id: &'static str,
	chain_type: ChainType,
	/// The preset's name in the runtime.
	genesis: &'static str,
}

fn preset(preset: Preset) -> Result<ChainSpec, String> {
	let wasm = WASM_BINARY.ok_or(
		"This node was built with SKIP_WASM_BUILD and so holds no runtime to start a chain from. \
		Build it again without that variable, or pass `--chain <path>`: a file brings its own.",
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
