//! Indices, presets and encodings on which clients rely.

use super::chain::*;
use crate::*;
use codec::Encode;
use frame_support::traits::PalletInfoAccess;

#[test]
fn pallet_indices_are_pinned() {
	let indices = [
		(System::index(), 0),
		(Timestamp::index(), 1),
		(Utility::index(), 2),
		(Balances::index(), 10),
		(TransactionPayment::index(), 11),
		(Vesting::index(), 12),
		(Poc::index(), 21),
		(Session::index(), 22),
		(Authorship::index(), 25),
		(SprintCheck::index(), 26),
		(Liveness::index(), 29),
		(Aura::index(), 30),
		(AuraExt::index(), 31),
		(RelayBeacon::index(), 32),
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
		(ParachainSystem::index(), 100),
		(ParachainInfo::index(), 101),
		(XcmpQueue::index(), 110),
		(PolkadotXcm::index(), 111),
		(CumulusXcm::index(), 112),
		(MessageQueue::index(), 113),
	];
	for (index, expected) in indices {
		assert_eq!(index, expected);
	}
}

#[test]
fn both_local_presets_make_blocks() {
	for preset in [sp_genesis_builder::DEV_RUNTIME_PRESET, sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET] {
		run_preset(preset, || {
			blocks(2);
			assert_eq!(System::block_number(), 2);
			assert_eq!(ParachainInfo::parachain_id(), genesis::LOCAL_PARA_ID.into());
			assert_eq!(Poc::running_epoch().unwrap().index, 0);
		});
	}
}

#[test]
fn general_transactions_carry_the_same_extension_bytes_as_on_the_solo_chain() {
	let extension = TxExtension::new((
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
	));
	assert_eq!(extension.encode(), [0; 4], "era, nonce, tip and mode");
}

#[test]
fn the_version_names_the_parachain() {
	use gonka_runtime_common::version::*;
	let next = u32::from(cfg!(feature = "next-spec-version"));
	assert_eq!((&*VERSION.spec_name, VERSION.spec_version), (PARA_SPEC_NAME, SPEC_VERSION + next));
}
