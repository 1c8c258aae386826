//! Indices, presets, times and encodings on which clients rely.

use crate::*;
use frame_support::traits::PalletInfoAccess;
use gonka_runtime_common::Time;

#[test]
fn pallet_indices_are_pinned() {
	let indices = [
		(System::index(), 0),
		(Timestamp::index(), 1),
		(Utility::index(), 2),
		(Balances::index(), 10),
		(TransactionPayment::index(), 11),
		(Vesting::index(), 12),
		(Babe::index(), 20),
		(Poc::index(), 21),
		(Session::index(), 22),
		(Grandpa::index(), 23),
		(AuthorityDiscovery::index(), 24),
		(Authorship::index(), 25),
		(SprintCheck::index(), 26),
		(Historical::index(), 28),
		(Liveness::index(), 29),
		(Preimage::index(), 41),
		(ConvictionVoting::index(), 42),
		(Referenda::index(), 43),
		(Scheduler::index(), 44),
		(Treasury::index(), 45),
		(Multisig::index(), 46),
		(Proxy::index(), 47),
		(Parameters::index(), 48),
		(Amendments::index(), 49),
		(TxPause::index(), 50),
		(Emission::index(), 60),
		(InferenceMarket::index(), 61),
		(Collateral::index(), 62),
		(SamplingValidation::index(), 63),
	];
	for (index, expected) in indices {
		assert_eq!(index, expected);
	}
}

#[test]
fn both_local_presets_audit_the_demo_model() {
	let profiles: Vec<_> = genesis::profiles().collect();
	assert_eq!(profiles.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 1], "for libtorch and for llama.cpp");
	assert!(profiles.iter().all(|(_, profile)| profile.is_well_formed()));
	for id in [sp_genesis_builder::DEV_RUNTIME_PRESET, sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET] {
		let preset: serde_json::Value = serde_json::from_slice(&genesis::preset(&id.into()).unwrap()).unwrap();
		assert_eq!(preset["samplingValidation"]["profiles"], serde_json::json!(profiles));
	}
	super::chain::run(|| {
		for (id, profile) in profiles {
			assert_eq!(SamplingValidation::profile(id), Some(profile));
		}
	});
}

#[test]
fn a_build_is_for_one_network_and_has_no_other_networks_preset() {
	let (name, prefix) = genesis::NETWORK;
	assert_eq!(<Runtime as frame_system::Config>::SS58Prefix::get(), prefix);
	assert_eq!(name == "custom", Time::THIS == Time::FAST, "released networks have mainnet's times");
	for (other, _) in genesis::NETWORKS {
		assert_eq!(genesis::preset(&other.into()).is_some(), other == name);
	}
	let preset: serde_json::Value = serde_json::from_slice(&genesis::preset(&name.into()).unwrap()).unwrap();
	let keys: Vec<_> = preset.as_object().unwrap().keys().collect();
	assert_eq!(keys, ["babe"], "accounts are data");
}

#[test]
fn mined_and_genesis_supply_are_a_billion_gnk() {
	use frame_support::traits::Get;
	let mined: Balance = <Runtime as pallet_emission::Config>::Cap::get();
	assert_eq!(mined + genesis::COMMUNITY + genesis::FOUNDERS, 1_000_000_000 * GNK);
}

#[test]
fn both_clocks_are_valid() {
	for time in [Time::MAINNET, Time::FAST] {
		assert!(time.schedule.is_valid());
		assert!(time.challenge_period > time.window, "a host can still settle after a channel closed");
		assert!(
			u64::from(time.schedule.length) > 3 * time.session,
			"power changes once per epoch, and arrives within it"
		);
	}
	assert_eq!(Time::MAINNET.schedule.length as u64 * Time::MAINNET.slot_ms, 24 * 3600 * 1000, "a day");
}

#[test]
fn general_transactions_carry_these_extension_bytes() {
	use codec::Encode;
	assert_eq!(super::attacks::extensions().encode(), [0; 4], "era, nonce, tip and mode, as workers send them");
}

#[test]
fn the_version_is_made_of_the_common_constants() {
	use gonka_runtime_common::version::*;
	let next = u32::from(cfg!(feature = "next-spec-version"));
	assert_eq!((&*VERSION.spec_name, VERSION.spec_version), (SPEC_NAME, SPEC_VERSION + next));
	assert_eq!((VERSION.authoring_version, VERSION.impl_version), (AUTHORING_VERSION, IMPL_VERSION));
	assert_eq!((VERSION.transaction_version, VERSION.system_version), (TRANSACTION_VERSION, SYSTEM_VERSION));
}
