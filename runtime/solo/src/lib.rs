//! The solo chain's runtime: BABE block production and GRANDPA finality, both weighted by compute.
//!
//! `configs` configures the pallets, `apis` implements the runtime APIs (`views` those about governance), `genesis` holds the
//! presets of chain specifications. `power` gives the validators their power, and `offences` punishes equivocations.

#![cfg_attr(not(feature = "std"), no_std)]
// The SDK's runtime macro nests deeply.
#![recursion_limit = "512"]

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

extern crate alloc;

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
pub mod configs;
pub mod genesis;
pub mod offences;
pub mod power;
#[cfg(test)]
mod tests;
#[path = "../../common/shared/views.rs"]
mod views;

use alloc::{borrow::Cow, vec::Vec};
use polkadot_sdk::{
	sp_runtime::{generic, impl_opaque_keys, traits::BlakeTwo256},
	*,
};
use power::{WeightedBabe, WeightedGrandpa};
use sp_version::RuntimeVersion;

pub use gonka_runtime_common::{AccountId, Address, Balance, BlockNumber, GNK, Hash, Header, Nonce, Signature};
pub use pallet_liveness::INHERENT_IDENTIFIER as FINALITY_INHERENT;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// The extensions of every transaction. `AuthorizeCall` comes first: it makes the origin of free calls.
pub type TxExtension = (
	frame_system::AuthorizeCall<Runtime>,
	frame_system::CheckNonZeroSender<Runtime>,
	frame_system::CheckSpecVersion<Runtime>,
	frame_system::CheckTxVersion<Runtime>,
	frame_system::CheckGenesis<Runtime>,
	frame_system::CheckMortality<Runtime>,
	frame_system::CheckNonce<Runtime>,
	frame_system::CheckWeight<Runtime>,
	pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
	frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
	frame_system::WeightReclaim<Runtime>,
);
/// A transaction whose signature is not checked yet.
pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// Executes blocks.
pub type Executive =
	frame_executive::Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

/// Types for nodes, which do not decode transactions.
pub mod opaque {
	use super::*;
	/// A block with opaque transactions.
	pub type Block = generic::Block<Header, sp_runtime::OpaqueExtrinsic>;
}

impl_opaque_keys! {
	/// A validator's session keys. BABE and GRANDPA get their authorities' weights from the sprint.
	pub struct SessionKeys {
		pub babe: WeightedBabe<Runtime>,
		pub grandpa: WeightedGrandpa<Runtime>,
		pub authority_discovery: AuthorityDiscovery,
	}
}

include!(concat!(env!("OUT_DIR"), "/version.rs"));

/// The pallets. Indices are part of the wire format and pinned by a test: 0–9 system, 10–19 money, 20–39 consensus,
/// 40–59 governance, 60–79 Gonka.
///
/// Their order is also that of hooks and of genesis: `Poc` reads BABE's randomness, and `Session` reads `Poc`'s power.
#[frame_support::runtime]
mod runtime {
	use super::*;

	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask,
		RuntimeViewFunction
	)]
	pub struct Runtime;

	#[runtime::pallet_index(0)]
	pub type System = frame_system::Pallet<Runtime>;
	#[runtime::pallet_index(1)]
	pub type Timestamp = pallet_timestamp::Pallet<Runtime>;
	#[runtime::pallet_index(2)]
	pub type Utility = pallet_utility::Pallet<Runtime>;

	#[runtime::pallet_index(10)]
	pub type Balances = pallet_balances::Pallet<Runtime>;
	#[runtime::pallet_index(11)]
	pub type TransactionPayment = pallet_transaction_payment::Pallet<Runtime>;
	#[runtime::pallet_index(12)]
	pub type Vesting = pallet_vesting::Pallet<Runtime>;

	#[runtime::pallet_index(20)]
	pub type Babe = pallet_babe::Pallet<Runtime>;
	#[runtime::pallet_index(21)]
	pub type Poc = pallet_poc::Pallet<Runtime>;
	#[runtime::pallet_index(22)]
	pub type Session = pallet_session::Pallet<Runtime>;
	#[runtime::pallet_index(23)]
	pub type Grandpa = pallet_grandpa::Pallet<Runtime>;
	#[runtime::pallet_index(24)]
	pub type AuthorityDiscovery = pallet_authority_discovery::Pallet<Runtime>;
	#[runtime::pallet_index(25)]
	pub type Authorship = pallet_authorship::Pallet<Runtime>;
	#[runtime::pallet_index(26)]
	pub type SprintCheck = pallet_sprint_check::Pallet<Runtime>;
	#[runtime::pallet_index(28)]
	pub type Historical = pallet_session::historical::Pallet<Runtime>;
	/// After `Session`, so that a session's first block counts for it.
	#[runtime::pallet_index(29)]
	pub type Liveness = pallet_liveness::Pallet<Runtime>;

	#[runtime::pallet_index(41)]
	pub type Preimage = pallet_preimage::Pallet<Runtime>;
	/// Before the scheduler, so that referenda are decided by up-to-date votes.
	#[runtime::pallet_index(42)]
	pub type ConvictionVoting = pallet_governance::Pallet<Runtime>;
	#[runtime::pallet_index(43)]
	pub type Referenda = pallet_referenda::Pallet<Runtime>;
	#[runtime::pallet_index(44)]
	pub type Scheduler = pallet_scheduler::Pallet<Runtime>;
	#[runtime::pallet_index(45)]
	pub type Treasury = pallet_treasury::Pallet<Runtime>;
	#[runtime::pallet_index(46)]
	pub type Multisig = pallet_multisig::Pallet<Runtime>;
	#[runtime::pallet_index(47)]
	pub type Proxy = pallet_proxy::Pallet<Runtime>;
	#[runtime::pallet_index(48)]
	pub type Parameters = pallet_parameters::Pallet<Runtime>;
	#[runtime::pallet_index(49)]
	pub type Amendments = pallet_amendments::Pallet<Runtime>;
	#[runtime::pallet_index(50)]
	pub type TxPause = pallet_tx_pause::Pallet<Runtime>;

	#[runtime::pallet_index(60)]
	pub type Emission = pallet_emission::Pallet<Runtime>;
	#[runtime::pallet_index(61)]
	pub type InferenceMarket = pallet_inference_market::Pallet<Runtime>;
	#[runtime::pallet_index(62)]
	pub type Collateral = pallet_collateral::Pallet<Runtime>;
	#[runtime::pallet_index(63)]
	pub type SamplingValidation = pallet_sampling_validation::Pallet<Runtime>;
}
