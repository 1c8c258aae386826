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

/// The lowest priority of transactions that have a deadline, so that full blocks make no host miss one. Slots keep such
/// transactions few. To fill a block with transactions above it by their tips costs more GNK than there is, since
/// `pallet-transaction-payment` multiplies a tip by the number of such transactions that fit into a block.
pub const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// A valid transaction of the lowest priority. `kind` separates the slots of one call from those of others; the
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

/// A valid transaction with a deadline. `rank` is the sender's effective weight in the last weighed epoch, 0 for a
/// transaction without a sender. The heavier host comes first, so that any number of hosts without weight delays none
/// with weight. The other parameters are those of [`valid`].
pub fn urgent<S: Encode>(
	kind: &'static str,
	slots: impl IntoIterator<Item = S>,
	longevity: impl Into<u64>,
	rank: u64,
) -> ValidTransaction {
	let priority = PRIORITY.saturating_add(rank.min(PRIORITY.saturating_sub(1)));
	ValidTransaction { priority, ..valid(kind, slots, longevity) }
}

/// A valid registration, of a host with `rank` and a proof of work of `bits` zero bits; the other parameters are those
/// of [`urgent`]. Hosts with weight come before every transaction that pays, and after those with a deadline. The work
/// of the others counts as a tip, so that more of it, or a higher tip of those that pay, comes first.
pub fn registration<S: Encode>(
	kind: &'static str,
	slots: impl IntoIterator<Item = S>,
	longevity: impl Into<u64>,
	rank: u64,
	bits: u32,
) -> ValidTransaction {
	const WITH_WEIGHT: TransactionPriority = PRIORITY / 2;
	let priority = match rank {
		0 => 1u64.checked_shl(bits).unwrap_or(WITH_WEIGHT).min(WITH_WEIGHT),
		rank => WITH_WEIGHT.saturating_add(rank.min(WITH_WEIGHT)),
	};
	ValidTransaction { priority, ..valid(kind, slots, longevity) }
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
