//! The parachain's runtime: Aura block production weighted by compute, and the finality of the relay chain.
//!
//! `configs` configures the pallets, `apis` implements the runtime APIs (`views` those about governance), `genesis` holds the
//! presets of chain specifications. `seats` gives collators their share of the slots, and `beacon` takes the random value of
//! each block from the relay chain. `docs/parachain.md` compares it with the solo chain.

#![cfg_attr(not(feature = "std"), no_std)]
// The SDK's runtime macro nests deeply.
#![recursion_limit = "512"]

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

extern crate alloc;

pub mod apis;
pub mod beacon;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
pub mod configs;
pub mod genesis;
pub mod seats;
#[cfg(test)]
mod tests;
#[path = "../../common/shared/views.rs"]
mod views;

use alloc::{borrow::Cow, vec::Vec};
use polkadot_sdk::{
	sp_runtime::{generic, impl_opaque_keys, traits::BlakeTwo256},
	*,
};
use seats::WeightedAura;
use sp_version::RuntimeVersion;

pub use gonka_runtime_common::{AccountId, Address, Balance, BlockNumber, GNK, Hash, Header, Nonce, Signature};
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// The extensions of every transaction, the same as on the solo chain but for the outermost, which also reclaims proof size.
/// `AuthorizeCall` comes first: it makes the origin of free calls.
pub type TxExtension = cumulus_pallet_weight_reclaim::StorageWeightReclaim<
	Runtime,
	(
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
	),
>;
/// A transaction whose signature is not checked yet.
pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// Executes blocks.
pub type Executive =
	frame_executive::Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

impl_opaque_keys! {
	/// A collator's session keys.
	pub struct SessionKeys {
		pub aura: WeightedAura,
	}
}

include!(concat!(env!("OUT_DIR"), "/version.rs"));

/// The pallets. Indices are part of the wire format and pinned by a test: 0–9 system, 10–19 money, 20–39 consensus,
/// 40–59 governance, 60–79 Gonka, 100–119 relay chain and messages. A pallet that the solo chain has, too, has the same index.
///
/// Their order is also that of hooks and of genesis. `Liveness` and `Authorship` come before `Session`, because a session's
/// first block is still written by the right of the list before: collators follow the list that the parent block left.
/// `Session` reads `Poc`'s power, and `AuraExt` copies the list that `Session` has set.
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
	#[runtime::pallet_index(100)]
	pub type ParachainSystem = cumulus_pallet_parachain_system::Pallet<Runtime>;
	#[runtime::pallet_index(1)]
	pub type Timestamp = pallet_timestamp::Pallet<Runtime>;
	#[runtime::pallet_index(101)]
	pub type ParachainInfo = staging_parachain_info::Pallet<Runtime>;
	#[runtime::pallet_index(2)]
	pub type Utility = pallet_utility::Pallet<Runtime>;

	#[runtime::pallet_index(10)]
	pub type Balances = pallet_balances::Pallet<Runtime>;
	#[runtime::pallet_index(11)]
	pub type TransactionPayment = pallet_transaction_payment::Pallet<Runtime>;
	#[runtime::pallet_index(12)]
	pub type Vesting = pallet_vesting::Pallet<Runtime>;

	#[runtime::pallet_index(30)]
	pub type Aura = pallet_aura::Pallet<Runtime>;
	#[runtime::pallet_index(32)]
	pub type RelayBeacon = beacon::pallet::Pallet<Runtime>;
	#[runtime::pallet_index(21)]
	pub type Poc = pallet_poc::Pallet<Runtime>;
	#[runtime::pallet_index(29)]
	pub type Liveness = pallet_liveness::Pallet<Runtime>;
	#[runtime::pallet_index(25)]
	pub type Authorship = pallet_authorship::Pallet<Runtime>;
	#[runtime::pallet_index(22)]
	pub type Session = pallet_session::Pallet<Runtime>;
	#[runtime::pallet_index(31)]
	pub type AuraExt = cumulus_pallet_aura_ext::Pallet<Runtime>;
	#[runtime::pallet_index(26)]
	pub type SprintCheck = pallet_sprint_check::Pallet<Runtime>;

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

	#[runtime::pallet_index(110)]
	pub type XcmpQueue = cumulus_pallet_xcmp_queue::Pallet<Runtime>;
	#[runtime::pallet_index(111)]
	pub type PolkadotXcm = pallet_xcm::Pallet<Runtime>;
	#[runtime::pallet_index(112)]
	pub type CumulusXcm = cumulus_pallet_xcm::Pallet<Runtime>;
	#[runtime::pallet_index(113)]
	pub type MessageQueue = pallet_message_queue::Pallet<Runtime>;
}

cumulus_pallet_parachain_system::register_validate_block! {
	Runtime = Runtime,
	BlockExecutor = cumulus_pallet_aura_ext::BlockExecutor::<Runtime, Executive>,
}
