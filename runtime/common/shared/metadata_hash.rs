//! The hash of the metadata (RFC 78), by which offline signers know that they show what they sign.
//!
//! The wasm has to know its hash, and cannot be compiled before it is known. The hash follows from the types of calls, the names
//! of extensions and the version, which native code has, too. So it stands in the file `metadata-hashes` of the runtime's package,
//! from which the build script takes it, and this test keeps the file right.

use crate::*;
use codec::Decode;
use frame_metadata::RuntimeMetadataPrefixed;
use merkleized_metadata::{ExtraInfo, generate_metadata_digest};
use std::{env, fs, path::Path};

#[test]
fn the_wasm_is_built_with_the_hash_of_its_metadata() {
	let metadata = sp_io::TestExternalities::default().execute_with(|| Runtime::metadata_at_version(15)).unwrap();
	let metadata = RuntimeMetadataPrefixed::decode(&mut metadata.as_slice()).unwrap().1;
	let line = |(network, prefix): (&str, u16)| {
		let info = ExtraInfo {
			spec_version: VERSION.spec_version,
			spec_name: VERSION.spec_name.to_string(),
			base58_prefix: prefix,
			decimals: 9,
			// As in `chain-spec/networks`.
			token_symbol: if network == "testnet" { "tGNK" } else { "GNK" }.to_string(),
		};
		let hash = Hash::from(generate_metadata_digest(&metadata, info).unwrap().hash());
		format!("{network} {hash:?}\n")
	};
	let hashes = genesis::NETWORKS.map(line).concat();
	// At run time: a test that was built in another checkout must not read the file of that one.
	let path = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("metadata-hashes");
	if env::var_os("UPDATE_DOCS").is_some() {
		fs::write(&path, &hashes).unwrap();
	}
	let written = fs::read_to_string(&path).unwrap_or_default();
	assert_eq!(written, hashes, "{} is not what the code says: run this test with UPDATE_DOCS=1", path.display());
}
