//! Code that the pallets' mock runtimes share. Hosts are named by small numbers, from which their keys are made.

#![allow(clippy::unwrap_used, reason = "only tests use this module")]

use codec::Encode;
use gonka_primitives::{EpochIndex, Hash, Signature, check::Offence, hashing::signing_payload, traits::OnOffence};
use polkadot_sdk::{
	frame_support::{
		pallet_prelude::{InvalidTransaction, TransactionSource, TransactionValidityError, ValidTransaction},
		parameter_types,
		traits::{Authorize, UnfilteredDispatchable},
	},
	frame_system::RawOrigin,
	sp_core::{Pair, sr25519},
	sp_io::{self, TestExternalities},
	sp_keystore::{KeystoreExt, testing::MemoryKeystore},
	sp_runtime::{AccountId32, Perbill, StateVersion, Storage},
};
use std::cell::RefCell;

parameter_types! {
	/// Mainnet's cap on the share of one host.
	pub const MaxShare: Perbill = Perbill::from_percent(30);
	/// Mainnet's share of the power for the genesis guardians.
	pub const GuardianShare: Perbill = Perbill::from_percent(34);
	/// Mainnet's share of duties that a host must meet.
	pub const MinPerformance: Perbill = Perbill::from_percent(95);
}

/// The result of sending a transaction.
pub type Sent = Result<(), TransactionValidityError>;

thread_local! {
	static OFFENCES: RefCell<Vec<(AccountId32, EpochIndex, Offence)>> = const { RefCell::new(Vec::new()) };
}

/// Records the offences that it is told of: see [`offences`].
pub struct RecordOffences;

impl OnOffence<AccountId32> for RecordOffences {
	fn on_offence(host: &AccountId32, epoch: EpochIndex, offence: Offence) {
		OFFENCES.with_borrow_mut(|offences| offences.push((host.clone(), epoch, offence)));
	}
}

/// The offences recorded since [`externalities`] was called on this thread.
pub fn offences() -> Vec<(AccountId32, EpochIndex, Offence)> {
	OFFENCES.with_borrow(Clone::clone)
}

/// A fresh chain with this genesis state, a keystore, and no offence recorded.
pub fn externalities(genesis: Storage) -> TestExternalities {
	OFFENCES.with_borrow_mut(Vec::clear);
	let mut chain = TestExternalities::new(genesis);
	chain.register_extension(KeystoreExt::new(MemoryKeystore::new()));
	chain
}

/// The key of a host's account.
pub fn host_key(name: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[name; 32])
}

/// The key of a host's worker.
pub fn worker_key(name: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[name; 32].map(|byte| byte ^ 0x80))
}

/// The bytes of a host's account.
pub fn raw(name: u8) -> [u8; 32] {
	host_key(name).public().0
}

/// A host's account.
pub fn account(name: u8) -> AccountId32 {
	AccountId32::new(raw(name))
}

/// A key's signature over `body`, on the chain with this genesis hash.
pub fn sign(key: &sr25519::Pair, genesis: &Hash, domain: &[u8], body: &impl Encode) -> Signature {
	key.sign(&signing_payload(domain, genesis, body)).0
}

/// The result of a transaction that the pool rejects with this validity error.
pub fn rejected(error: impl Into<u8>) -> Sent {
	Err(InvalidTransaction::Custom(error.into()).into())
}

/// Validates a call as the pool does and dispatches it as a block does. Validation must not change the state, and a
/// valid call must have a slot, stay valid for a block and succeed. Returns how the pool sees the transaction.
pub fn submit<C>(call: C) -> Result<ValidTransaction, TransactionValidityError>
where
	C: Authorize + UnfilteredDispatchable<RuntimeOrigin: From<RawOrigin<AccountId32>>>,
{
	let root = sp_io::storage::root(StateVersion::V1);
	let validity = call.authorize(TransactionSource::External).unwrap();
	assert_eq!(sp_io::storage::root(StateVersion::V1), root, "validation changed the state");
	let (transaction, _) = validity?;
	assert!(transaction.longevity > 0 && !transaction.provides.is_empty());
	call.dispatch_bypass_filter(RawOrigin::Authorized.into()).unwrap();
	Ok(transaction)
}
