//! The chains this node knows by name.
//!
//! The runtime holds the genesis of these chains as named presets. This file adds a name, a type and the
//! network's identifiers. Any other chain comes from a file.

use gonka_runtime::{Runtime, WASM_BINARY, genesis::NETWORK, opaque::Block};
use polkadot_sdk::*;
use sc_chain_spec::{ChainSpec as _, ChainSpecExtension, ChainType, GenericChainSpec, Properties, json_merge};
use serde::{Deserialize, Serialize};
use sp_core::{
	crypto::set_default_ss58_version,
	storage::{Storage, well_known_keys::CODE},
};
use sp_genesis_builder::{
	DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, runtime_decl_for_genesis_builder::GenesisBuilder,
};
use sp_state_machine::BasicExternalities;

/// Optional fields of a chain specification beside the usual ones.
#[derive(Clone, Default, Deserialize, Serialize, ChainSpecExtension)]
#[serde(default, rename_all = "camelCase")]
pub struct Extensions {
	/// Blocks that must be on the chain, as `[number, hash]`.
	pub fork_blocks: sc_client_api::ForkBlocks<Block>,
	/// Blocks that must not be on the chain, by hash.
	pub bad_blocks: sc_client_api::BadBlocks<Block>,
	/// A final block, its voters and epochs: where light clients begin, and what nodes demand (see [`crate::checkpoint`]).
	pub light_sync_state: sc_sync_state_rpc::LightSyncStateExtension,
}

pub type ChainSpec = GenericChainSpec<Extensions>;

/// The specification for `--chain <id>`, with the genesis state of a chain that this file knows.
///
/// The node's own runtime makes that state, where a specification has the runtime in it do so: a node would compile it twice
/// for that at each start. [`load`] is for those who write the specification.
pub fn load_with_state(id: &str) -> Result<ChainSpec, String> {
	let mut spec = load(id)?;
	if let Some(preset) = genesis_of(id) {
		spec.set_storage(genesis(preset)?);
	}
	Ok(spec)
}

/// The genesis preset of a chain that this file knows.
fn genesis_of(id: &str) -> Option<&'static str> {
	match id {
		"dev" => Some(DEV_RUNTIME_PRESET),
		"local" => Some(LOCAL_TESTNET_RUNTIME_PRESET),
		_ => None,
	}
}

fn genesis(preset: &str) -> Result<Storage, String> {
	let config = |preset: Option<&str>| -> Result<serde_json::Value, String> {
		let json = Runtime::get_preset(&preset.map(Into::into)).ok_or("the runtime has no such preset")?;
		serde_json::from_slice(&json).map_err(|error| format!("the genesis preset is malformed: {error}"))
	};
	let mut whole = config(None)?;
	json_merge(&mut whole, config(Some(preset))?);
	let mut storage = Storage::default();
	BasicExternalities::execute_with_storage(&mut storage, || Runtime::build_state(whole.to_string().into_bytes()))?;
	storage.top.insert(CODE.to_vec(), wasm()?.to_vec());
	Ok(storage)
}

/// The specification for `--chain <id>`: a name from this file, or the path of a JSON file.
pub fn load(id: &str) -> Result<ChainSpec, String> {
	match id {
		"dev" => preset(Preset {
			name: "Gonka Development",
			id: "gonka_dev",
			chain_type: ChainType::Development,
			genesis: DEV_RUNTIME_PRESET,
		}),
		"local" => preset(Preset {
			name: "Gonka Local Testnet",
			id: "gonka_local",
			chain_type: ChainType::Local,
			genesis: LOCAL_TESTNET_RUNTIME_PRESET,
		}),
		"mainnet" | "testnet" => Err(format!(
			"The specification of a released network comes with the release. \
			Use `--chain <path to {id}.json>`."
		)),
		"" => Err("The chain is missing. Use `--dev` (one validator, temporary), `--chain local` \
			(Alice, Bob and Charlie) or `--chain <path to a chain specification>`."
			.into()),
		path => ChainSpec::from_json_file(path.into())
			.map_err(|e| format!("`{path}` is neither `dev`, nor `local`, nor a readable chain specification: {e}")),
	}
}

/// Makes the addresses of a chain those which this process reads and prints. RPC would reject a prefix of our own.
pub fn use_prefix(spec: &ChainSpec) {
	let properties = spec.properties();
	let prefix = properties.get("ss58Format").and_then(|prefix| u16::try_from(prefix.as_u64()?).ok());
	if let Some(prefix) = prefix {
		set_default_ss58_version(prefix.into());
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

fn wasm() -> Result<&'static [u8], String> {
	let missing = "This node was built with SKIP_WASM_BUILD and contains no runtime to start a chain from. \
		Build it without that variable, or pass `--chain <path>`: a file contains its own runtime.";
	WASM_BINARY.ok_or_else(|| missing.into())
}

fn preset(preset: Preset) -> Result<ChainSpec, String> {
	let mut properties = Properties::new();
	properties.insert("tokenSymbol".into(), "GNK".into());
	properties.insert("tokenDecimals".into(), 9.into());
	properties.insert("ss58Format".into(), NETWORK.1.into());

	Ok(ChainSpec::builder(wasm()?, Extensions::default())
		.with_name(preset.name)
		.with_id(preset.id)
		.with_protocol_id(&preset.id.replace('_', "-"))
		.with_chain_type(preset.chain_type)
		.with_properties(properties)
		.with_genesis_config_preset_name(preset.genesis)
		.build())
}

#[cfg(test)]
mod tests {
	use super::*;
	use sp_runtime::BuildStorage;

	#[test]
	fn the_genesis_state_is_the_one_that_the_chains_runtime_makes() {
		for id in ["dev", "local"] {
			let made = load_with_state(id).unwrap().build_storage().unwrap();
			let specified = load(id).unwrap().build_storage().unwrap();
			assert!(made.top == specified.top && made.children_default == specified.children_default, "{id}");
		}
	}
}
