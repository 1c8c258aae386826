//! Attacks by name, through the transaction pool and the whole runtime. `docs/security.md` lists them with their costs.

mod audits;
mod consensus;
mod disputes;
mod governance;
mod hosts;
mod market;
mod penalties;
mod sprint;
#[cfg(feature = "runtime-benchmarks")]
mod weights;

use crate::*;
use frame_support::dispatch::DispatchResultWithPostInfo;
use sp_runtime::{
	traits::Dispatchable,
	transaction_validity::{TransactionSource, TransactionValidity, TransactionValidityError},
};

/// The extensions of a free transaction.
pub(super) fn extensions() -> TxExtension {
	(
		frame_system::AuthorizeCall::new(),
		frame_system::CheckNonZeroSender::new(),
		frame_system::CheckSpecVersion::new(),
		frame_system::CheckTxVersion::new(),
		frame_system::CheckGenesis::new(),
		frame_system::CheckMortality::from(sp_runtime::generic::Era::Immortal),
		frame_system::CheckNonce::from(0),
		frame_system::CheckWeight::new(),
		pallet_transaction_payment::ChargeTransactionPayment::from(0),
		frame_metadata_hash_extension::CheckMetadataHash::new(false),
		frame_system::WeightReclaim::new(),
	)
}

/// The transaction pool's decision about a free transaction, after all extensions.
fn validate(call: &RuntimeCall) -> TransactionValidity {
	let transaction = UncheckedExtrinsic::new_transaction(call.clone(), extensions());
	// Validation begins a block of its own.
	sp_io::storage::start_transaction();
	let validity = Executive::validate_transaction(TransactionSource::External, transaction, Default::default());
	sp_io::storage::rollback_transaction();
	validity
}

/// Sends a free transaction: the pool validates it, and the block includes it.
fn send(call: impl Into<RuntimeCall>) -> Result<DispatchResultWithPostInfo, TransactionValidityError> {
	let call = call.into();
	validate(&call)?;
	Ok(call.dispatch(frame_system::RawOrigin::Authorized.into()))
}
