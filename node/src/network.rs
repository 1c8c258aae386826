//! Released networks: `gonka-node network` checks the file with a network's first accounts, keys and models, makes the raw
//! chain specification of it, and makes a validator's entry. `docs/genesis.md` describes the ceremony.

mod file;
mod interface;
#[cfg(test)]
mod tests;

use crate::chain_spec::{ChainSpec, Extensions};
use clap::{Args, Subcommand};
use codec::{Decode, Encode};
use file::{Genesis, Network};
use gonka_runtime::{
	Balance, Balances, BlockNumber, Hash, SessionKeys, WASM_BINARY,
	genesis::{COMMUNITY, DAY, FOUNDERS, NETWORK, Treasury},
	opaque::Block,
};
use polkadot_sdk::*;
use sc_chain_spec::{
	ChainSpecExtension, ChainType, GenericChainSpec, GenesisConfigBuilderRuntimeCaller, GetExtension, Properties,
	construct_genesis_block, json_merge, resolve_state_version_from_wasm,
};
use sc_cli::KeystoreParams;
use sc_executor::WasmExecutor;
use sc_service::{KeystoreContainer, config::BasePath};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sp_core::{
	bytes::to_hex,
	crypto::{AccountId32, PublicError, Ss58Codec},
	storage::well_known_keys::CODE,
	traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode},
};
use sp_externalities::Externalities;
use sp_io::hashing::blake2_256;
use sp_keystore::{KeystoreExt, KeystorePtr};
use sp_runtime::{
	BuildStorage,
	traits::{BlakeTwo256, Block as _, GeneratedSessionKeys, Get},
};
use sp_state_machine::BasicExternalities;
use sp_version::RuntimeVersion;
use std::{
	fs, io,
	path::{Path, PathBuf},
	sync::LazyLock,
};

/// The version of metadata that clients read.
const METADATA_VERSION: u32 = 15;
/// Number of blocks of the parachain in a day, which come every 6 s in all builds of its runtime.
const PARA_DAY: BlockNumber = 24 * 3_600 / 6;

sp_runtime::impl_opaque_keys! {
	/// A collator's session keys, as the parachain's runtime has them.
	pub struct CollatorKeys {
		/// The key that signs blocks.
		pub aura: sp_consensus_aura::sr25519::AuthorityId,
	}
}

/// Fields of a parachain's specification by which `polkadot-omni-node` finds its relay chain.
#[derive(Clone, Debug, Deserialize, Serialize, ChainSpecExtension)]
pub struct Relay {
	/// Name of the relay chain, as the node knows it.
	relay_chain: String,
	/// Number of the parachain.
	para_id: u32,
}

/// Why a command about a network failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
	/// A file cannot be read.
	#[error("cannot read {}: {cause}", path.display())]
	Read { path: PathBuf, cause: io::Error },
	/// The specification cannot be written.
	#[error("cannot write {}: {cause}", path.display())]
	Write { path: PathBuf, cause: io::Error },
	/// A file is no network file.
	#[error("{} is not a network file: {cause}", path.display())]
	Malformed { path: PathBuf, cause: String },
	/// The genesis of a network has faults.
	#[error("the genesis of {name} is not complete (docs/genesis.md says who brings which part):\n  - {}", faults.join("\n  - "))]
	Incomplete { name: String, faults: Vec<String> },
	/// A text is no address.
	#[error("`{0}` is not an address: {1}")]
	Address(String, PublicError),
	/// This program has no runtime.
	#[error("this node was built without a runtime: name a file")]
	NoRuntime,
	/// This program has other times than the network.
	#[error("this gonka-node is built with other times than those of the preset `{0}`")]
	OtherTimes(String),
	/// The runtime has the rules of another kind of chain than the network.
	#[error("the runtime is named `{0}` instead of `{1}`")]
	OtherChain(String, &'static str),
	/// The runtime has other presets than that of the network.
	#[error("the runtime is not the one of {0}: it has the presets {1:?}")]
	OtherRuntime(String, Vec<String>),
	/// The genesis issues so many base units instead of those of the protocol.
	#[error("the genesis issues {0} base units instead of {1}")]
	Issued(Balance, Balance),
	/// The keystore cannot be used.
	#[error("cannot use the keystore: {0}")]
	Keystore(#[from] sc_cli::Error),
	/// The runtime fails, in the SDK's words.
	#[error("the runtime fails: {0}")]
	Runtime(String),
}

impl From<String> for NetworkError {
	fn from(error: String) -> Self {
		Self::Runtime(error)
	}
}

/// Commands about released networks. They need no chain.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
	/// Check a network file. All faults are printed, and all that is missing.
	Check {
		/// The network file, as those in `chain-spec/networks`.
		file: PathBuf,
	},

	/// Check a network file, write the raw chain specification, and print the genesis hash.
	Build(BuildCmd),

	/// Print what a runtime is: its versions, networks, and the hashes of its code and metadata.
	Runtime {
		/// The runtime's wasm, compressed or not. By default that in this program.
		file: Option<PathBuf>,

		/// Print its interface instead: all types, calls, events, errors, storage items, constants, runtime APIs and extensions, one a
		/// line and sorted, so that `diff` compares two runtimes.
		#[arg(long)]
		interface: bool,
	},

	/// Make a first validator's session keys and print its entry for the network file.
	///
	/// The keys are put into the keystore where a node with the same base path finds them when the network starts. The
	/// statement that is printed must be signed with the account's key.
	Keys(KeysCmd),
}

/// Arguments of `network build`.
#[derive(Debug, Args)]
pub struct BuildCmd {
	/// The network file.
	file: PathBuf,

	/// The runtime's wasm, compressed or not. By default that in this program.
	#[arg(long, value_name = "FILE")]
	runtime: Option<PathBuf>,

	/// Where the raw chain specification is written.
	#[arg(long, value_name = "FILE")]
	output: PathBuf,
}

/// Arguments of `network keys`.
#[derive(Debug, Args)]
pub struct KeysCmd {
	/// The network file. It may lack accounts and keys still.
	file: PathBuf,

	/// The validator's account, SS58 with any prefix.
	#[arg(long, value_name = "ADDRESS")]
	account: String,

	/// Base path of the validator's node.
	#[arg(long, short = 'd', value_name = "PATH")]
	base_path: Option<PathBuf>,

	#[command(flatten)]
	keystore: KeystoreParams,
}

impl NetworkCommand {
	/// Runs the command, where `executable` names the folder of the default base path.
	pub fn run(&self, executable: &str) -> Result<(), NetworkError> {
		match self {
			Self::Check { file } => {
				let network = Network::read(file)?;
				let genesis = network.check()?;
				println!(
					"{} is complete: {} validators, {} guardians, {} models",
					network.name,
					genesis.validators.len(),
					genesis.guardians.len(),
					genesis.models.len()
				);
			},
			Self::Build(cmd) => {
				let network = Network::read(&cmd.file)?;
				let genesis = network.check()?;
				let wasm = wasm(cmd.runtime.as_deref())?;
				let raw = specification(&network, &genesis, &wasm)?.as_json(true)?;
				let hash = genesis_hash(&ChainSpec::from_json_bytes(raw.clone().into_bytes())?)?;
				fs::write(&cmd.output, raw).map_err(|cause| NetworkError::Write { path: cmd.output.clone(), cause })?;
				println!("network  {}", network.id);
				println!("genesis  {hash:?}");
				println!("runtime  {} (blake2-256)", to_hex(&blake2_256(&wasm), false));
				println!("wrote    {}", cmd.output.display());
			},
			Self::Runtime { file, interface: false } => print!("{}", description(&wasm(file.as_deref())?)?),
			Self::Runtime { file, interface: true } => {
				for item in interface::interface(&metadata(&wasm(file.as_deref())?)?)? {
					println!("{item}");
				}
			},
			Self::Keys(cmd) => {
				let network = Network::read(&cmd.file)?;
				let (account, _) = AccountId32::from_ss58check_with_version(&cmd.account)
					.map_err(|cause| NetworkError::Address(cmd.account.clone(), cause))?;
				let base = cmd.base_path.clone().map(BasePath::new);
				let base = base.unwrap_or_else(|| BasePath::from_project("", "", executable));
				let config = cmd.keystore.keystore_config(&base.config_dir(&network.id));
				let keystore = KeystoreContainer::new(&config?).map_err(sc_cli::Error::from)?;
				let (statement, entry) = entry(&network, &account, keystore.keystore());
				println!(
					"Sign this text with the key of the account, and write the signature into the entry:\n\n{statement}\n"
				);
				println!("The entry:\n\n{entry:#}");
			},
		}
		Ok(())
	}
}

/// The wasm of a file, or of this program.
fn wasm(file: Option<&Path>) -> Result<Vec<u8>, NetworkError> {
	match file {
		Some(path) => fs::read(path).map_err(|cause| NetworkError::Read { path: path.to_owned(), cause }),
		None => Ok(WASM_BINARY.ok_or(NetworkError::NoRuntime)?.to_vec()),
	}
}

/// Runs the runtimes of both chains, each compiled once. The parachain's imports a function that measures proofs, which nothing
/// here calls.
static EXECUTOR: LazyLock<WasmExecutor<sp_io::SubstrateHostFunctions>> =
	LazyLock::new(|| WasmExecutor::builder().with_allow_missing_host_functions(true).build());

/// Calls a function of a runtime on an empty state.
fn call(wasm: &[u8], method: &str, data: &[u8]) -> Result<Vec<u8>, NetworkError> {
	let fetcher = WrappedRuntimeCode(wasm.into());
	let code = RuntimeCode { code_fetcher: &fetcher, heap_pages: None, hash: blake2_256(wasm).to_vec() };
	let mut ext = BasicExternalities::new_empty();
	let (result, _) = EXECUTOR.call(&mut ext, &code, method, data, CallContext::Offchain);
	result.map_err(|error| NetworkError::Runtime(format!("{method}: {error}")))
}

fn malformed(error: codec::Error) -> NetworkError {
	NetworkError::Runtime(format!("its response is malformed: {error}"))
}

/// The name and the versions of a runtime.
fn version(wasm: &[u8]) -> Result<RuntimeVersion, NetworkError> {
	RuntimeVersion::decode(&mut &call(wasm, "Core_version", &[])?[..]).map_err(malformed)
}

/// The metadata of a runtime; nothing if it has none of this version.
fn metadata(wasm: &[u8]) -> Result<Vec<u8>, NetworkError> {
	let metadata = call(wasm, "Metadata_metadata_at_version", &METADATA_VERSION.encode())?;
	Ok(Option::decode(&mut &metadata[..]).map_err(malformed)?.unwrap_or_default())
}

/// A runtime's versions, presets and hashes, one a line.
fn description(wasm: &[u8]) -> Result<String, NetworkError> {
	let (version, metadata) = (version(wasm)?, metadata(wasm)?);
	let presets = <GenesisConfigBuilderRuntimeCaller>::new(wasm).preset_names()?.join(", ");
	Ok(format!(
		"name            {}-{}\ntransactions    version {}\npresets         {presets}\ncode            {} (blake2-256)\n\
		metadata        {} (blake2-256 of version {METADATA_VERSION})\n",
		version.spec_name,
		version.spec_version,
		version.transaction_version,
		to_hex(&blake2_256(wasm), false),
		to_hex(&blake2_256(&metadata), false),
	))
}

/// New session keys in `keystore`: the statement that the account signs, and the entry without its signature.
fn entry(network: &Network, account: &AccountId32, keystore: KeystorePtr) -> (String, Value) {
	let mut ext = BasicExternalities::new_empty();
	ext.register_extension(KeystoreExt::from(keystore));
	let (keys, proof) = ext.execute_with(|| match network.parachain {
		None => in_hex(&SessionKeys::generate(&account.encode(), None)),
		Some(_) => in_hex(&CollatorKeys::generate(&account.encode(), None)),
	});
	let address = network.address(account);
	let statement = network.statement(&address, Some(&keys));
	let owner = json!({ "address": address, "signature": "" });
	(statement, json!({ "owner": owner, "power": 1, "keys": keys, "proof": proof }))
}

fn in_hex<Keys: Encode, Proof: Encode>(made: &GeneratedSessionKeys<Keys, Proof>) -> (String, String) {
	(to_hex(&made.keys.encode(), false), to_hex(&made.proof.encode(), false))
}

/// The specification of a network with this runtime.
///
/// # Errors
/// If the runtime is another network's or has other times than this program, if it rejects the genesis, or if the balances
/// that it makes are not those of the protocol.
fn specification(
	network: &Network,
	genesis: &Genesis,
	wasm: &[u8],
) -> Result<Box<dyn sc_chain_spec::ChainSpec>, NetworkError> {
	if (network.preset == "custom") != (NETWORK.0 == "custom") {
		return Err(NetworkError::OtherTimes(network.preset.clone()));
	}
	let (named, expected) = (version(wasm)?.spec_name, network.spec_name());
	if named != expected {
		return Err(NetworkError::OtherChain(named.into_owned(), expected));
	}
	let runtime = <GenesisConfigBuilderRuntimeCaller>::new(wasm);
	let presets = runtime.preset_names()?;
	if !presets.contains(&network.preset) {
		return Err(NetworkError::OtherRuntime(network.preset.clone(), presets));
	}
	let mut patch = runtime.get_named_preset(Some(&network.preset))?;
	json_merge(&mut patch, genesis_patch(genesis));

	let mut storage = runtime.get_storage_for_patch(patch)?;
	let issued: Balance = BasicExternalities::execute_with_storage(&mut storage, Balances::total_issuance);
	let expected = COMMUNITY.saturating_add(FOUNDERS);
	if issued != expected {
		return Err(NetworkError::Issued(issued, expected));
	}
	storage.top.insert(CODE.to_vec(), wasm.to_vec());

	let mut spec = match &genesis.relay {
		None => identified(network, genesis, wasm, Extensions::default()),
		Some(relay) => identified(network, genesis, wasm, relay.clone()),
	};
	spec.set_storage(storage);
	Ok(spec)
}

/// A specification with the network's name, properties and boot nodes.
fn identified<E: GetExtension + Serialize + Clone + Send + Sync + 'static>(
	network: &Network,
	genesis: &Genesis,
	wasm: &[u8],
	extensions: E,
) -> Box<dyn sc_chain_spec::ChainSpec> {
	let mut properties = Properties::new();
	properties.insert("tokenSymbol".into(), network.token_symbol.as_str().into());
	properties.insert("tokenDecimals".into(), network.token_decimals.into());
	properties.insert("ss58Format".into(), network.ss58_prefix.into());
	let spec: GenericChainSpec<E> = GenericChainSpec::builder(wasm, extensions)
		.with_name(&network.name)
		.with_id(&network.id)
		.with_protocol_id(&network.id.replace('_', "-"))
		.with_chain_type(ChainType::Live)
		.with_properties(properties)
		.with_boot_nodes(genesis.boot_nodes.clone())
		.build();
	Box::new(spec)
}

/// A network's accounts, keys and models as a patch of the runtime's default genesis.
fn genesis_patch(genesis: &Genesis) -> Value {
	let Genesis { founders, vesting_days, validators, guardians, maturity, models, profiles, relay, .. } = genesis;
	let day = if relay.is_some() { PARA_DAY } else { DAY };
	let fund = (Treasury::get(), COMMUNITY);
	let balances: Vec<_> = founders.iter().cloned().chain([fund]).collect();
	let vesting: Vec<_> = founders.iter().map(|(who, _)| (who, 0, vesting_days.saturating_mul(day), 0)).collect();
	let keys: Vec<_> = validators.iter().map(|(who, _, keys)| (who, who, keys)).collect();
	let power: Vec<_> = validators.iter().map(|(who, power, _)| (who, power)).collect();
	let mut patch = json!({
		"balances": { "balances": balances },
		"vesting": { "vesting": vesting },
		"session": { "keys": keys },
		"poc": { "power": power, "guardians": guardians, "maturity": maturity, "allowUnchecked": false },
		"inferenceMarket": { "models": models },
		"samplingValidation": { "profiles": profiles },
	});
	if let Some(Relay { para_id, .. }) = relay {
		json_merge(&mut patch, json!({ "parachainInfo": { "parachainId": para_id } }));
	}
	patch
}

/// The hash of the genesis block, by which all signatures are bound to the network.
fn genesis_hash(spec: &ChainSpec) -> Result<Hash, NetworkError> {
	let storage = spec.build_storage()?;
	let version = resolve_state_version_from_wasm::<_, BlakeTwo256>(&storage, &*EXECUTOR)
		.map_err(|error| NetworkError::Runtime(format!("it has no version: {error}")))?;
	let root = BasicExternalities::new(storage).storage_root(version);
	let root = Hash::decode(&mut &root[..]).map_err(malformed)?;
	Ok(construct_genesis_block::<Block>(root, version).hash())
}
