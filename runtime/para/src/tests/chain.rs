//! The runtime on a state in memory, block by block as a collator runs it.

use crate::*;
use codec::Encode;
use cumulus_primitives_core::{
	PersistedValidationData,
	relay_chain::{HeadData, well_known_keys::CURRENT_BLOCK_RANDOMNESS},
};
use cumulus_primitives_parachain_inherent::{INHERENT_IDENTIFIER, ParachainInherentData};
use cumulus_test_relay_sproof_builder::RelayStateSproofBuilder;
use frame_support::inherent::InherentData;
use sp_consensus_aura::AURA_ENGINE_ID;
use sp_keyring::Sr25519Keyring;
use sp_runtime::{Digest, DigestItem, traits::Header as _};
use std::cell::RefCell;

/// The slot of the block before the first.
const FIRST_SLOT: u64 = 1_000;

thread_local! {
	static PARENT: RefCell<Header> = RefCell::new(genesis_header());
}

fn genesis_header() -> Header {
	Header::new(0, Default::default(), Default::default(), Default::default(), Default::default())
}

/// Runs `test` on the state of a preset's genesis.
pub fn run_preset(preset: &str, test: impl FnOnce()) {
	let patch = genesis::preset(&preset.into()).unwrap();
	let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
	merge(&mut config, serde_json::from_slice(&patch).unwrap());
	PARENT.set(genesis_header());
	sp_io::TestExternalities::new_empty().execute_with(|| {
		let config = serde_json::to_vec(&config).unwrap();
		frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(config).unwrap();
		test();
		#[cfg(feature = "try-runtime")]
		<AllPalletsWithSystem as frame_support::traits::TryState<BlockNumber>>::try_state(
			System::block_number(),
			frame_support::traits::TryStateSelect::All,
		)
		.unwrap();
	});
}

/// Runs `test` on the genesis of a local network with three collators.
pub fn run(test: impl FnOnce()) {
	run_preset(sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET, test);
}

fn merge(into: &mut serde_json::Value, patch: serde_json::Value) {
	match (into, patch) {
		(serde_json::Value::Object(into), serde_json::Value::Object(patch)) => {
			for (key, value) in patch {
				merge(into.entry(key).or_insert(serde_json::Value::Null), value);
			}
		},
		(into, patch) => *into = patch,
	}
}

/// The account of a well-known key.
pub fn account(key: Sr25519Keyring) -> AccountId {
	key.to_account_id()
}

/// The slot of a block.
pub fn slot_of(number: BlockNumber) -> u64 {
	FIRST_SLOT + u64::from(number)
}

/// The relay chain's state under the next block, which the parent is included in.
pub fn relay() -> RelayStateSproofBuilder {
	RelayStateSproofBuilder {
		para_id: ParachainInfo::parachain_id(),
		current_slot: slot_of(System::block_number() + 1).into(),
		included_para_head: Some(HeadData(PARENT.with_borrow(Encode::encode))),
		..Default::default()
	}
}

/// The entry of the relay chain's state with its block's own randomness.
pub fn randomness(value: Option<[u8; 32]>) -> (Vec<u8>, Vec<u8>) {
	(CURRENT_BLOCK_RANDOMNESS.to_vec(), value.encode())
}

/// Runs a block on this state of the relay chain. `inside` is dispatched after the inherents.
pub fn block_on(relay: RelayStateSproofBuilder, inside: impl FnOnce()) {
	let number = System::block_number() + 1;
	let (relay_parent_storage_root, relay_chain_state) = relay.into_state_root_and_proof();
	let slot = slot_of(number);
	let digest = Digest { logs: vec![DigestItem::PreRuntime(AURA_ENGINE_ID, slot.encode())] };
	let parent = PARENT.with_borrow(Header::hash);
	Executive::initialize_block(&Header::new(number, Default::default(), Default::default(), parent, digest));
	let mut data = InherentData::new();
	data.put_data(sp_timestamp::INHERENT_IDENTIFIER, &(slot * configs::consensus::SLOT_MS)).unwrap();
	let inherent = ParachainInherentData {
		validation_data: PersistedValidationData {
			relay_parent_number: number,
			relay_parent_storage_root,
			max_pov_size: 10 * 1024 * 1024,
			..Default::default()
		},
		relay_chain_state,
		downward_messages: Default::default(),
		horizontal_messages: Default::default(),
		relay_parent_descendants: Default::default(),
		collator_peer_id: None,
	};
	data.put_data(INHERENT_IDENTIFIER, &inherent).unwrap();
	for extrinsic in data.create_extrinsics() {
		Executive::apply_extrinsic(extrinsic).unwrap().unwrap();
	}
	inside();
	PARENT.set(Executive::finalize_block());
}

/// Runs the next block. `inside` is dispatched after the inherents.
pub fn block(inside: impl FnOnce()) {
	block_on(relay(), inside);
}

/// Runs `count` blocks.
pub fn blocks(count: BlockNumber) {
	(0..count).for_each(|_| block(|| ()));
}

/// Runs blocks until two more sessions have begun, so that queued collators are active.
pub fn two_sessions() {
	let target = Session::current_index() + 2;
	while Session::current_index() < target {
		blocks(1);
	}
}
