//! Keys and signatures of benchmarks. They come from the node's keystore: a runtime cannot sign by itself.

use codec::Encode;
use gonka_primitives::{Hash, Signature, hashing::signing_payload};
use polkadot_sdk::{
	frame_benchmarking::BenchmarkError,
	frame_support::pallet_prelude::{Authorize, TransactionSource},
	sp_core::{crypto::KeyTypeId, sr25519},
	sp_io::crypto::{sr25519_generate, sr25519_sign},
};

const KEY_TYPE: KeyTypeId = KeyTypeId(*b"gnka");

/// A new key in the keystore.
pub fn new_key() -> sr25519::Public {
	sr25519_generate(KEY_TYPE, None)
}

/// The signature of a key of the keystore over `body`.
pub fn sign(
	key: &sr25519::Public,
	genesis: &Hash,
	domain: &[u8],
	body: &impl Encode,
) -> Result<Signature, BenchmarkError> {
	let signature = sr25519_sign(KEY_TYPE, key, &signing_payload(domain, genesis, body));
	Ok(signature.ok_or(BenchmarkError::Stop("the keystore does not sign"))?.0)
}

/// Authorises a call as the pool does.
pub fn authorize(call: &impl Authorize) -> Result<(), BenchmarkError> {
	let validity = call.authorize(TransactionSource::External).ok_or("the call has no authorisation")?;
	Ok(validity.map(|_| ()).map_err(|_| "the call is not valid")?)
}
