//! Free transactions: general transactions without a fee and without an account nonce.
//!
//! The signature among a call's arguments authorises it. Each takes one or more *slots*, which are its tags in the
//! pool: of the transactions for one slot, the pool holds one.

use codec::Encode;
use gonka_primitives::{Hash, PublicKey, Signature, hashing::signing_payload};
use polkadot_sdk::{
	frame_support::pallet_prelude::{
		InvalidTransaction, TransactionPriority, TransactionValidityError, ValidTransaction, Weight,
	},
	sp_core::sr25519,
	sp_io::crypto::sr25519_verify,
};

/// Result of a call's `#[pallet::authorize]`.
pub type Authorization = Result<(ValidTransaction, Weight), TransactionValidityError>;

/// The priority of transactions that have a deadline. It is above that of every transaction that pays a fee, so that
/// full blocks make no host miss a deadline. Slots keep such transactions few.
pub const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// A valid transaction of the normal priority. `kind` separates the slots of one call from those of others; the
/// transaction stays valid for `longevity` blocks, at least one.
pub fn valid<S: Encode>(
	kind: &'static str,
	slots: impl IntoIterator<Item = S>,
	longevity: impl Into<u64>,
) -> ValidTransaction {
	ValidTransaction {
		provides: slots.into_iter().map(|slot| (kind, slot).encode()).collect(),
		longevity: longevity.into().max(1),
		propagate: true,
		..Default::default()
	}
}

/// A valid transaction with [`PRIORITY`]; the parameters are those of [`valid`].
pub fn urgent<S: Encode>(
	kind: &'static str,
	slots: impl IntoIterator<Item = S>,
	longevity: impl Into<u64>,
) -> ValidTransaction {
	ValidTransaction { priority: PRIORITY, ..valid(kind, slots, longevity) }
}

/// Turns the result of a pallet's checks into what the pool expects; `E` is the pallet's
/// [validity error](gonka_primitives::validity).
pub fn authorize<E: Into<u8>>(result: Result<ValidTransaction, E>) -> Authorization {
	match result {
		Ok(transaction) => Ok((transaction, Weight::zero())),
		Err(error) => Err(InvalidTransaction::Custom(error.into()).into()),
	}
}

/// Whether `signature` is that of `key` over `body`, on the chain with this genesis hash and for the purpose that
/// `domain` names.
pub fn is_signed(genesis: &Hash, key: &PublicKey, domain: &[u8], body: &impl Encode, signature: &Signature) -> bool {
	let payload = signing_payload(domain, genesis, body);
	sr25519_verify(&sr25519::Signature::from_raw(*signature), &payload, &sr25519::Public::from_raw(*key))
}
