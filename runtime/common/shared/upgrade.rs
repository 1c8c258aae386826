//! The upgrade of a running chain, whose state `scripts/try-runtime` has fetched.
//!
//! It does what Parity's `try-runtime on-runtime-upgrade --checks all` does, with the SDK of this runtime: the registry's last
//! `try-runtime-cli` is a library for an SDK of 2024.

use crate::*;
use frame_try_runtime::UpgradeCheckSelect;
use serde_json::Value;
use sp_core::{
	bytes::from_hex,
	storage::{Storage, well_known_keys::CODE},
};
use sp_runtime::StateVersion;
use std::{collections::BTreeMap, env, fs};

#[test]
#[ignore = "needs the state of a running chain: run by `make try-runtime`"]
fn a_running_chain_upgrades_and_its_invariants_hold() {
	let path = env::var_os("SNAPSHOT").expect("SNAPSHOT names a file that scripts/try-runtime wrote");
	let snapshot: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
	let state = snapshot["genesis"]["raw"]["top"].as_object().unwrap();
	let bytes = |text: &str| from_hex(text).unwrap();
	let top: BTreeMap<_, _> = state.iter().map(|(key, value)| (bytes(key), bytes(value.as_str().unwrap()))).collect();
	let items = top.len();
	let root = sp_io::trie::blake2_256_root(top.clone().into_iter().collect(), StateVersion::V1);
	assert_eq!(snapshot["stateRoot"], format!("{root:?}"), "the snapshot is not the whole state of its block");

	let code = top[CODE].clone();
	let storage = Storage { top, ..Default::default() };
	let mut chain = sp_io::TestExternalities::new_with_code_and_state(&code, storage, StateVersion::V1);
	chain.execute_with(|| {
		let last = frame_system::LastRuntimeUpgrade::<Runtime>::get().unwrap();
		assert_eq!(last.spec_name, VERSION.spec_name);
		assert!(last.spec_version.0 <= VERSION.spec_version, "the chain runs a newer runtime: {last:?}");
		// The migrations with their checks, then that all state decodes, and the invariants of all pallets.
		let weight = Executive::try_runtime_upgrade(UpgradeCheckSelect::All).unwrap();
		let max = <Runtime as frame_system::Config>::BlockWeights::get().max_block;
		assert!(weight.all_lte(max / 2), "{weight:?} of {max:?}");
		let root = sp_io::storage::root(StateVersion::V1);
		Executive::try_runtime_upgrade(UpgradeCheckSelect::None).unwrap();
		assert!(
			sp_io::storage::root(StateVersion::V1) == root,
			"a migration changes the state again when it runs again"
		);
		let (from, to, block) = (last.spec_version.0, VERSION.spec_version, System::block_number());
		println!("block {block}, {items} items: spec version {from} → {to} takes {weight:?}");
	});
}
