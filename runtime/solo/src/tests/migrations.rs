//! Upgrades from the state of the last release.

use super::chain::run;
use crate::{configs::parameters::dynamic::poc, *};
use frame_support::{
	storage::{StoragePrefixedMap, unhashed},
	traits::{Get, GetStorageVersion, StorageVersion, dynamic_params::AggregatedKeyValue},
};
use pallet_parameters::Parameters as Store;
use sp_runtime::{Perbill, traits::Header as _};

/// Leaves the state of release 0.1.0: its storage versions, and what its governance may have decided.
fn version_0() {
	StorageVersion::new(0).put::<Amendments>();
	let stored = [
		// Out of bounds: at least half of the duties.
		poc::Parameters::MinPerformance(poc::MinPerformance, Some(Perbill::from_percent(10))),
		poc::Parameters::HostExpiry(poc::HostExpiry, Some(30)),
	];
	for parameter in stored {
		let (key, value) = configs::parameters::RuntimeParameters::Poc(parameter).into_parts();
		Store::<Runtime>::set(key, value);
	}
	// A schedule with fewer fields, and a parameter that is no more.
	let phases = poc::Parameters::Phases(poc::Phases, Some(poc::Phases::get()));
	let (key, value) = configs::parameters::RuntimeParameters::Poc(phases).into_parts();
	let mut shorter = codec::Encode::encode(&value.unwrap());
	shorter.truncate(shorter.len() - 4);
	unhashed::put_raw(&Store::<Runtime>::hashed_key_for(key), &shorter);
	unhashed::put_raw(&no_more(), &[200, 0, 1]);
	unhashed::put(&root_key(), &super::chain::account(sp_keyring::Sr25519Keyring::Alice));
}

/// The storage key of `Sudo.Key`, an account that was root.
fn root_key() -> Vec<u8> {
	frame_support::storage::storage_prefix(b"Sudo", b"Key").to_vec()
}

fn no_more() -> Vec<u8> {
	let key = [200, 0];
	let hashed = [sp_io::hashing::blake2_128(&key).as_slice(), &key].concat();
	[Store::<Runtime>::final_prefix().as_slice(), &hashed].concat()
}

fn assert_upgraded() {
	assert_eq!(poc::MinPerformance::get(), Perbill::from_percent(95), "the default is back in force");
	assert_eq!(poc::HostExpiry::get(), 30, "an allowed value stays in force");
	assert_eq!(Store::<Runtime>::iter_keys().count(), 1);
	assert_eq!(unhashed::get_raw(&no_more()), None);
	assert_eq!(unhashed::get_raw(&root_key()), None);
}

/// Also checks that all state decodes, and the invariants of all pallets.
#[cfg(feature = "try-runtime")]
#[test]
fn a_chain_of_the_last_release_upgrades_and_its_invariants_hold() {
	run(|| {
		version_0();
		super::chain::blocks(3);
		assert_eq!(poc::MinPerformance::get(), Perbill::from_percent(10));
		let weight = Executive::try_runtime_upgrade(frame_try_runtime::UpgradeCheckSelect::All).unwrap();
		let max = <Runtime as frame_system::Config>::BlockWeights::get().max_block;
		assert!(weight.all_lte(max / 2), "{weight:?}");
		assert_upgraded();
		super::chain::blocks(3);
	});
}

#[test]
fn the_first_block_of_a_new_runtime_runs_the_migrations() {
	run(|| {
		version_0();
		let older = sp_version::RuntimeVersion { spec_version: VERSION.spec_version - 1, ..VERSION };
		frame_system::LastRuntimeUpgrade::<Runtime>::put(frame_system::LastRuntimeUpgradeInfo::from(older));
		// Executes the hooks of block 1, in the same way as a node does.
		let digest = super::chain::claim(1);
		Executive::initialize_block(&Header::new(
			1,
			Default::default(),
			Default::default(),
			Default::default(),
			digest,
		));
		assert_upgraded();
		let run = frame_system::LastRuntimeUpgrade::<Runtime>::get().unwrap();
		assert_eq!(run.spec_version.0, VERSION.spec_version);
	});
}

/// A pallet whose storage version was raised without a migration from the last one fails here.
#[test]
fn after_an_upgrade_the_state_has_the_versions_of_the_code() {
	run(|| {
		version_0();
		Executive::execute_on_runtime_upgrade();
		macro_rules! assert_current {
			($($pallet:ident)+) => {
				$(assert_eq!($pallet::on_chain_storage_version(), $pallet::in_code_storage_version(), stringify!($pallet));)+
			};
		}
		assert_current!(Poc SprintCheck ConvictionVoting Amendments Emission InferenceMarket Collateral SamplingValidation);
	});
}
