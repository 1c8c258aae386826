//! A complete network file with generated keys, the same with one fault each, and the files of this repository.

use super::*;
use sc_network::PeerId;
use sc_service::config::KeystoreConfig;
use sp_core::{Pair, sr25519};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use std::collections::BTreeSet;

fn pair() -> sr25519::Pair {
	sr25519::Pair::generate().0
}

fn address(account: impl Into<AccountId32>) -> String {
	account.into().to_ss58check_with_version(NETWORK.1.into())
}

fn sign(pair: &sr25519::Pair, text: &str) -> Value {
	to_hex(&pair.sign(text.as_bytes()).0, false).into()
}

fn network(file: &Value) -> Network {
	serde_json::from_value(file.clone()).unwrap()
}

/// All faults of a network file.
fn faults_of(network: &Network) -> Vec<String> {
	match network.check() {
		Ok(_) => Vec::new(),
		Err(NetworkError::Incomplete { faults, .. }) => faults,
		Err(error) => panic!("{error}"),
	}
}

/// A network file of four validators and two founders, one of which is a multisig account.
fn complete() -> Value {
	complete_with(json!({}))
}

/// The same for a parachain.
fn complete_parachain() -> Value {
	complete_with(json!({ "parachain": { "relayChain": "polkadot", "paraId": 2_345 } }))
}

/// A complete network file with more fields.
fn complete_with(more: Value) -> Value {
	let boot_node = |name: &str| format!("/dns/{name}.gonka.network/tcp/30333/p2p/{}", PeerId::random());
	let mut file = json!({
		"name": "Test",
		"id": "gonka_test",
		"preset": NETWORK.0,
		"ss58Prefix": NETWORK.1,
		"tokenSymbol": "TST",
		"tokenDecimals": 9,
		"communityFund": { "address": address(Treasury::get()), "gnk": 120_000_000 },
		"vestingDays": 1_460,
		"maturity": 1_000_000,
		"models": [{
			"name": "SmolLM2-135M-Instruct",
			"weightsHash": Hash::repeat_byte(1),
			"tokenizerHash": Hash::repeat_byte(2),
			"quantisation": "Q4_1",
			"contextLength": 8_192,
			"inputPrice": 1_000,
			"outputPrice": 4_000,
			"memoryMb": 1_024,
			"minWorkerVersion": 1_000,
			"profile": concat!(env!("CARGO_MANIFEST_DIR"), "/../chain-spec/profiles/SmolLM2-135M-Instruct.json"),
		}],
		"bootNodes": [boot_node("a"), boot_node("b")],
	});
	json_merge(&mut file, more);
	let incomplete = network(&file);
	let validators: Vec<_> = (0..4)
		.map(|_| {
			let (pair, keystore) = (pair(), KeystoreContainer::new(&KeystoreConfig::InMemory).unwrap());
			let (statement, mut entry) = entry(&incomplete, &pair.public().into(), keystore.keystore());
			entry["owner"]["signature"] = sign(&pair, &statement);
			entry
		})
		.collect();
	file["guardians"] = json!([validators[0]["owner"]["address"], validators[1]["owner"]["address"]]);
	file["validators"] = validators.into();

	let single = pair();
	let statement = incomplete.statement(&address(single.public()), None);
	// As browser extensions sign.
	let signature = sign(&single, &format!("<Bytes>{statement}</Bytes>"));
	let mut board: Vec<_> = (0..3).map(|_| pair()).collect();
	board.sort_by_key(|pair| pair.public());
	let accounts: Vec<AccountId32> = board.iter().map(|pair| pair.public().into()).collect();
	let multisig = address(gonka_runtime::Multisig::multi_account_id(&accounts, 2));
	let statement = incomplete.statement(&multisig, None);
	let signatories =
		board.iter().map(|pair| json!({ "address": address(pair.public()), "signature": sign(pair, &statement) }));
	let signatories: Vec<_> = signatories.collect();
	file["founders"] = json!([
		{ "owner": { "address": address(single.public()), "signature": signature }, "gnk": 150_000_000 },
		{ "owner": { "address": multisig, "threshold": 2, "signatories": signatories }, "gnk": 50_000_000 },
	]);
	file
}

#[test]
fn a_complete_file_makes_the_same_genesis_every_time() {
	let network = network(&complete());
	let build = || {
		let genesis = network.check().unwrap();
		let spec = specification(&network, &genesis, WASM_BINARY.unwrap()).unwrap();
		let raw = spec.as_json(true).unwrap();
		(genesis_hash(&ChainSpec::from_json_bytes(raw.clone().into_bytes()).unwrap()).unwrap(), raw)
	};
	let (first, second) = (build(), build());
	assert_eq!(first.0, second.0);
	assert!(first.1 == second.1);

	let spec = ChainSpec::from_json_bytes(first.1.into_bytes()).unwrap();
	assert_eq!(spec.properties()["ss58Format"], NETWORK.1);
	let mut storage = spec.build_storage().unwrap();
	BasicExternalities::execute_with_storage(&mut storage, || {
		let genesis = network.check().unwrap();
		assert_eq!(Balances::free_balance(Treasury::get()), COMMUNITY);
		for (founder, share) in &genesis.founders {
			assert_eq!(Balances::free_balance(founder), *share);
			assert_eq!(Balances::usable_balance(founder), 0, "nothing has vested yet");
		}
		let validators: BTreeSet<_> = genesis.validators.into_iter().map(|(who, ..)| who).collect();
		assert_eq!(gonka_runtime::Session::validators().into_iter().collect::<BTreeSet<_>>(), validators);
	});
}

#[test]
fn a_parachains_file_makes_a_genesis_of_the_parachains_runtime() {
	let network = network(&complete_parachain());
	let wasm = gonka_para_runtime::WASM_BINARY.unwrap();
	let genesis = network.check().unwrap();
	let raw = specification(&network, &genesis, wasm).unwrap().as_json(true).unwrap();
	let fields: Value = serde_json::from_str(&raw).unwrap();
	assert_eq!(fields["relay_chain"], "polkadot");
	assert_eq!(fields["para_id"], 2_345);
	assert_eq!(fields["properties"], json!({ "ss58Format": NETWORK.1, "tokenSymbol": "TST", "tokenDecimals": 9 }));
	let spec = ChainSpec::from_json_bytes(raw.into_bytes()).unwrap();
	genesis_hash(&spec).unwrap();
	let mut storage = spec.build_storage().unwrap();
	BasicExternalities::execute_with_storage(&mut storage, || {
		use gonka_para_runtime::{ParachainInfo, Runtime, Session, genesis::DAY};
		assert_eq!(u32::from(ParachainInfo::parachain_id()), 2_345);
		let first: BTreeSet<_> = genesis.validators.iter().map(|(who, ..)| who.clone()).collect();
		assert_eq!(Session::validators().into_iter().collect::<BTreeSet<_>>(), first);
		let keys = pallet_aura::Authorities::<Runtime>::get();
		for (_, _, own) in &genesis.validators {
			let own: CollatorKeys = serde_json::from_value(own.clone()).unwrap();
			assert!(keys.contains(&own.aura), "every collator has a slot");
		}
		let (founder, share) = &genesis.founders[0];
		let vesting = pallet_vesting::Vesting::<Runtime>::get(founder).unwrap();
		assert_eq!(vesting[0].per_block(), share / Balance::from(genesis.vesting_days * DAY));
	});
}

#[test]
fn a_runtime_of_another_kind_of_chain_is_rejected() {
	let para = gonka_para_runtime::WASM_BINARY.unwrap();
	for (file, wasm) in [(complete(), para), (complete_parachain(), WASM_BINARY.unwrap())] {
		let network = network(&file);
		let error = specification(&network, &network.check().unwrap(), wasm).err().unwrap();
		assert!(matches!(error, NetworkError::OtherChain(..)), "{error}");
	}
}

#[test]
fn a_runtime_is_described_by_its_versions_and_hashes() {
	let text = description(WASM_BINARY.unwrap()).unwrap();
	let version = gonka_runtime::VERSION;
	let code = to_hex(&blake2_256(WASM_BINARY.unwrap()), false);
	assert!(text.contains(&format!("{}-{}\n", version.spec_name, version.spec_version)), "{text}");
	assert!(text.contains(NETWORK.0) && text.contains(&code), "{text}");
	let none = to_hex(&blake2_256(&[]), false);
	assert!(!text.contains(&none), "the runtime has metadata of this version: {text}");
}

#[test]
fn the_interface_of_a_runtime_has_all_kinds_of_items() {
	let of = |wasm: Option<&[u8]>| interface::interface(&metadata(wasm.unwrap()).unwrap()).unwrap();
	let (solo, para) = (of(WASM_BINARY), of(gonka_para_runtime::WASM_BINARY));
	for start in [
		"pallet Poc = 21",
		"storage System.Account: Default [Blake2_128Concat] ",
		"constant System.SS58Prefix: u16 = 0x",
		"api GonkaApi.epoch() -> Option<",
		"extension 0 AuthorizeCall: ",
		"type pallet_balances::pallet::Call::transfer_keep_alive = 3 { dest: ",
		"type gonka_primitives::views::EpochView { ",
	] {
		assert!(solo.iter().any(|item| item.starts_with(start)), "{start}");
	}
	let new: Vec<_> = para.difference(&solo).collect();
	assert!(new.iter().any(|item| *item == "pallet ParachainSystem = 100"), "{new:?}");
	assert!(!new.iter().any(|item| item.starts_with("pallet Poc")), "{new:?}");
}

#[test]
fn a_runtime_with_other_times_is_rejected() {
	let mut network = network(&complete());
	let genesis = network.check().unwrap();
	network.preset = if NETWORK.0 == "custom" { "mainnet" } else { "custom" }.to_owned();
	let error = specification(&network, &genesis, WASM_BINARY.unwrap()).err().unwrap();
	assert!(matches!(error, NetworkError::OtherTimes(_)), "{error}");
}

/// A change of a network file.
type Change = fn(&mut Value);

/// Checks that each change makes a fault whose text contains the words before it.
fn assert_faults(file: &Value, changes: &[(&str, Change)]) {
	for (expected, change) in changes {
		let mut faulty = file.clone();
		change(&mut faulty);
		let faults = faults_of(&network(&faulty));
		assert!(faults.iter().any(|fault| fault.contains(expected)), "expected `{expected}`: {faults:?}");
	}
}

#[test]
fn a_parachains_file_with_a_fault_is_rejected_by_name() {
	assert!(faults_of(&network(&complete_parachain())).is_empty());
	let changes: [(&str, Change); 7] = [
		("paraId is missing", |file| file["parachain"]["paraId"] = Value::Null),
		("paraId 1000 is below 2000", |file| file["parachain"]["paraId"] = 1_000.into()),
		("relayChain rococo-local is none of", |file| {
			file["preset"] = "mainnet".into();
			file["parachain"]["relayChain"] = "rococo-local".into();
		}),
		("keys are not 32 bytes", |file| file["validators"][0]["keys"] = to_hex(&[1; 96], false).into()),
		("the proof is not made by the session keys", |file| {
			file["validators"][0]["proof"] = file["validators"][1]["proof"].clone();
		}),
		("the development key Bob", |file| {
			let keys = CollatorKeys { aura: Sr25519Keyring::Bob.public().into() };
			file["validators"][0]["keys"] = to_hex(&keys.encode(), false).into();
		}),
		// Made for the solo chain.
		("keys are not 96 bytes", |file| {
			file.as_object_mut().unwrap().remove("parachain");
		}),
	];
	assert_faults(&complete_parachain(), &changes);
}

#[test]
fn a_file_with_a_fault_is_rejected_by_name() {
	let changes: [(&str, Change); 24] = [
		("the development key Alice", |file| {
			file["founders"][0]["owner"]["address"] = address(Sr25519Keyring::Alice.public()).into();
		}),
		("the development key Bob", |file| {
			let keys = SessionKeys {
				babe: Sr25519Keyring::Bob.public().into(),
				grandpa: Ed25519Keyring::Bob.public().into(),
				authority_discovery: Sr25519Keyring::Charlie.public().into(),
			};
			file["validators"][0]["keys"] = to_hex(&keys.encode(), false).into();
		}),
		("the account of zeros", |file| {
			file["founders"][0]["owner"]["address"] = address([0u8; 32]).into();
		}),
		("is the community fund, too", |file| {
			file["founders"][0]["owner"]["address"] = address(Treasury::get()).into();
		}),
		("founders: 200000001 GNK instead of 200000000", |file| file["founders"][0]["gnk"] = 150_000_001.into()),
		("communityFund: 1 GNK instead of 120000000", |file| file["communityFund"]["gnk"] = 1.into()),
		("communityFund.address is not the fund's", |file| {
			file["communityFund"]["address"] = file["founders"][0]["owner"]["address"].clone();
		}),
		("is validator", |file| file["validators"][1] = file["validators"][0].clone()),
		("is a session key of validator", |file| {
			file["validators"][1]["keys"] = file["validators"][0]["keys"].clone();
		}),
		("another network's address", |file| {
			let account = AccountId32::from(pair().public());
			file["founders"][0]["owner"]["address"] = account.to_ss58check_with_version(2u16.into()).into();
		}),
		("is not an address", |file| {
			let text = file["founders"][0]["owner"]["address"].as_str().unwrap().to_owned();
			file["founders"][0]["owner"]["address"] = text[..text.len() - 1].into();
		}),
		("no signature by its key", |file| file["founders"][0]["owner"]["signature"] = "".into()),
		("no signature by its key", |file| {
			let other = file["validators"][1]["owner"]["signature"].clone();
			file["validators"][0]["owner"]["signature"] = other;
		}),
		("the proof is not made by the session keys", |file| {
			file["validators"][0]["proof"] = file["validators"][1]["proof"].clone();
		}),
		("keys are not 96 bytes", |file| file["validators"][0]["keys"] = "0x00".into()),
		("is not the multisig account", |file| file["founders"][1]["owner"]["threshold"] = 3.into()),
		("threshold is not between", |file| file["founders"][1]["owner"]["threshold"] = 1.into()),
		("is there twice", |file| file["guardians"][1] = file["guardians"][0].clone()),
		("is no first validator", |file| {
			file["guardians"][0] = file["founders"][0]["owner"]["address"].clone();
		}),
		("a third of the power", |file| file["validators"][0]["power"] = 2.into()),
		("the peer is there twice", |file| file["bootNodes"][1] = file["bootNodes"][0].clone()),
		("cannot be reached", |file| {
			file["bootNodes"][0] = format!("/ip4/192.168.0.1/tcp/30333/p2p/{}", PeerId::random()).into();
		}),
		("ss58Prefix is 0", |file| file["ss58Prefix"] = 0.into()),
		("is no readable profile", |file| file["models"][0]["profile"] = "none.json".into()),
	];
	assert_faults(&complete(), &changes);
}

#[test]
fn a_file_without_a_part_is_rejected_and_says_what_is_missing() {
	let file = complete();
	for (part, text) in [
		("founders", "founders are missing"),
		("validators", "validators are missing: 0 of at least 4"),
		("guardians", "guardians are missing"),
		("maturity", "maturity is missing"),
		("bootNodes", "bootNodes are missing: 0 of at least 2"),
	] {
		let mut incomplete = file.clone();
		incomplete.as_object_mut().unwrap().remove(part);
		let faults = faults_of(&network(&incomplete));
		assert!(faults.iter().any(|fault| fault.contains(text)), "{faults:?}");
	}
	let path = tempfile::NamedTempFile::new().unwrap();
	let mut elsewhere = file.clone();
	elsewhere["id"] = "../elsewhere".into();
	fs::write(path.path(), elsewhere.to_string()).unwrap();
	assert!(Network::read(path.path()).is_err_and(|error| matches!(error, NetworkError::Malformed { .. })));
	let mut misspelt = file;
	misspelt["guardian"] = json!([]);
	assert!(serde_json::from_value::<Network>(misspelt).is_err());
}

#[test]
fn the_files_of_this_repository_lack_only_what_their_owners_must_bring() {
	for (name, preset) in [("mainnet", "mainnet"), ("testnet", "testnet"), ("parachain", "mainnet")] {
		let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../chain-spec/networks/{name}.json"));
		let network = Network::read(&path).unwrap();
		assert_eq!(network.preset, preset);
		assert_eq!(network.parachain.is_some(), name == "parachain");
		for fault in faults_of(&network) {
			assert!(fault.contains("missing"), "{name}: {fault}");
		}
	}
}

#[test]
fn session_keys_are_made_where_a_node_of_the_network_finds_them() {
	for (network, count) in [(complete(), 3), (complete_parachain(), 1)] {
		let base = tempfile::tempdir().unwrap();
		let file = base.path().join("network.json");
		fs::write(&file, network.to_string()).unwrap();
		let keystore = KeystoreParams {
			keystore_path: None,
			password_interactive: false,
			password: None,
			password_filename: None,
		};
		let keys = KeysCmd { file, account: address(pair().public()), base_path: Some(base.path().into()), keystore };
		NetworkCommand::Keys(keys).run("gonka-node").unwrap();
		assert_eq!(fs::read_dir(base.path().join("chains/gonka_test/keystore")).unwrap().count(), count);
	}
}
