//! The presets from which chain specifications are made. What only one runtime has comes from its own `genesis`.

use super::{own, session_keys};
use crate::*;
use alloc::{string::ToString, vec, vec::Vec};
use frame_support::{PalletId, build_struct_json_patch, traits::Get};
use gonka_primitives::{ModelId, audit::CalibrationProfile};
use pallet_inference_market::{GenesisModel, PriceRule};
use sp_core::H256;
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, PresetId};
use sp_keyring::Sr25519Keyring;
use sp_runtime::traits::AccountIdConversion;

/// Presets of networks whose accounts are data (see `chain-spec/networks`), each with the SS58 prefix of its addresses.
pub use gonka_primitives::NETWORKS;
/// The one of them that this build of the runtime is for. It has no other's preset.
pub const NETWORK: (&str, u16) = NETWORKS[if cfg!(feature = "fast-runtime") {
	2
} else if cfg!(feature = "testnet") {
	1
} else {
	0
}];
/// Base units of the community fund.
pub const COMMUNITY: Balance = 120_000_000 * GNK;
/// Base units of the founders, which vest from block to block.
pub const FOUNDERS: Balance = 200_000_000 * GNK;
/// Number of days over which they vest.
const FOUNDERS_DAYS: u32 = 4 * 365;
/// Number of blocks in a day.
pub const DAY: BlockNumber = (24 * 3_600 * 1_000 / configs::consensus::SLOT_MS) as BlockNumber;
/// Base units of each well-known account on local networks, taken from the community fund.
const ENDOWMENT: Balance = 1_000_000 * GNK;

/// The account of the community fund.
pub struct Treasury;
impl Get<AccountId> for Treasury {
	fn get() -> AccountId {
		PalletId(*b"py/trsry").into_account_truncating()
	}
}

/// The account of the founders on local networks.
fn founders() -> AccountId {
	Sr25519Keyring::FerdieStash.to_account_id()
}

/// Genesis balances: everything that is not mined.
fn balances() -> Vec<(AccountId, Balance)> {
	let endowed: Vec<_> = Sr25519Keyring::well_known()
		.map(|key| key.to_account_id())
		.filter(|account| *account != founders())
		.map(|account| (account, ENDOWMENT))
		.collect();
	let spent = ENDOWMENT.saturating_mul(endowed.len() as Balance);
	let rest = [(Treasury::get(), COMMUNITY.saturating_sub(spent)), (founders(), FOUNDERS)];
	endowed.into_iter().chain(rest).collect()
}
/// SHA-256 of `SmolLM2-135M-Instruct.Q4_1.gguf`, which `scripts/get-model` fetches.
const SMOLLM2_SHA256: [u8; 32] = [
	0xb1, 0x79, 0xc9, 0x52, 0x3d, 0x0e, 0x6a, 0x0f, 0x98, 0xa3, 0x30, 0xc7, 0x56, 0x2b, 0x68, 0x27, 0x50, 0xa6, 0xf8,
	0xc8, 0xc1, 0x5e, 0x5b, 0xc7, 0x0e, 0xa3, 0x73, 0x72, 0x81, 0x10, 0xdb, 0x53,
];

/// SHA-256 of its tokenizer file.
const SMOLLM2_TOKENIZER_SHA256: [u8; 32] = [
	0xdf, 0xf5, 0x17, 0x00, 0x99, 0x51, 0xcb, 0xcf, 0x63, 0x80, 0x43, 0x19, 0x63, 0xc0, 0x0c, 0xe1, 0x80, 0x6c, 0x67,
	0x88, 0x2d, 0x59, 0x30, 0xa8, 0xe3, 0x94, 0xc3, 0xbc, 0xa9, 0xce, 0x13, 0x90,
];

/// The names of all presets.
pub fn preset_names() -> Vec<PresetId> {
	vec![PresetId::from(DEV_RUNTIME_PRESET), PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET), PresetId::from(NETWORK.0)]
}

/// A preset as a JSON patch of the default genesis.
pub fn preset(id: &PresetId) -> Option<Vec<u8>> {
	use Sr25519Keyring::{Alice, Bob, Charlie};
	let patch = match id.as_ref() {
		DEV_RUNTIME_PRESET => local(&[Alice]),
		LOCAL_TESTNET_RUNTIME_PRESET => local(&[Alice, Bob, Charlie]),
		// The rules alone: `gonka-node network build` adds the accounts.
		name if name == NETWORK.0 => own(),
		_ => return None,
	};
	Some(patch.to_string().into_bytes())
}

/// A local network: well-known validators with equal power until an epoch is weighed, well-known accounts with funds, one
/// model.
fn local(validators: &[Sr25519Keyring]) -> serde_json::Value {
	let mut patch = build_struct_json_patch!(RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig { balances: balances() },
		inference_market: pallet_inference_market::GenesisConfig { models: models() },
		sampling_validation: pallet_sampling_validation::GenesisConfig { profiles: profiles().collect::<Vec<_>>() },
		poc: pallet_poc::GenesisConfig {
			power: validators.iter().map(|key| (key.to_account_id(), 1)).collect::<Vec<_>>(),
			// A single host has no checkers.
			allow_unchecked: validators.len() == 1,
		},
		session: pallet_session::GenesisConfig {
			keys: validators
				.iter()
				.map(|key| (key.to_account_id(), key.to_account_id(), session_keys(*key)))
				.collect::<Vec<_>>(),
		},
		vesting: pallet_vesting::GenesisConfig { vesting: vec![(founders(), 0, FOUNDERS_DAYS.saturating_mul(DAY), 0)] },
	});
	if let (Some(patch), serde_json::Value::Object(own)) = (patch.as_object_mut(), own()) {
		patch.extend(own);
	}
	patch
}

/// Registrations of the model that `scripts/setup` fetches, each with its calibration profile: one for libtorch, and one for
/// the class of llama.cpp on x86_64.
const SMOLLM2: [(&str, &str); 2] = [
	("SmolLM2-135M-Instruct", include_str!("../../../chain-spec/profiles/SmolLM2-135M-Instruct.json")),
	(
		"SmolLM2-135M-Instruct@llama.cpp-daa7d79e",
		include_str!("../../../chain-spec/profiles/SmolLM2-135M-Instruct@llama.cpp-daa7d79e.json"),
	),
];

/// The calibration profiles of the models, by the models' ids.
pub(crate) fn profiles() -> impl Iterator<Item = (ModelId, CalibrationProfile)> {
	(0..).zip(SMOLLM2).filter_map(|(id, (_, profile))| Some((id, serde_json::from_str(profile).ok()?)))
}

/// The models.
fn models() -> Vec<GenesisModel> {
	let PriceRule { capacity, min, max } = PriceRule::default();
	let registration = |(name, _): (&str, &str)| GenesisModel {
		name: name.to_string(),
		weights_hash: H256(SMOLLM2_SHA256),
		tokenizer_hash: H256(SMOLLM2_TOKENIZER_SHA256),
		quantisation: "Q4_1".to_string(),
		context_length: 8_192,
		input_price: 1_000,
		output_price: 4_000,
		memory_mb: 1_024,
		min_worker_version: 1_000,
		// The capacity of a local network is not known, so the price rests.
		capacity,
		min_input_price: min.input,
		min_output_price: min.output,
		max_input_price: max.input,
		max_output_price: max.output,
	};
	SMOLLM2.map(registration).into()
}
