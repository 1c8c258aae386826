//! Fees, and calls that money can be sent by.

use super::chain::*;
use crate::{
	configs::{
		consensus::{MAX_BLOCK, WeightToFee},
		governance::Unpausable,
	},
	*,
};
use frame_support::{
	traits::Contains,
	weights::{Weight, WeightToFee as _},
};

#[test]
fn proof_size_costs_as_much_as_computation() {
	let computation = WeightToFee::weight_to_fee(&Weight::from_parts(MAX_BLOCK.ref_time(), 0));
	let proof = WeightToFee::weight_to_fee(&Weight::from_parts(0, MAX_BLOCK.proof_size()));
	assert!(computation >= proof && computation - proof < computation / 100, "{computation} {proof}");
	assert_eq!(WeightToFee::weight_to_fee(&MAX_BLOCK), computation, "the larger of the two, not their sum");
	assert_eq!(computation, 2 * GNK, "a whole block");
}

#[test]
fn a_full_proof_raises_fees() {
	run(|| {
		blocks(1);
		let lowest = TransactionPayment::next_fee_multiplier();
		let proof = Weight::from_parts(0, MAX_BLOCK.proof_size() / 2);
		block(|| System::register_extra_weight_unchecked(proof, frame_support::dispatch::DispatchClass::Normal));
		assert!(TransactionPayment::next_fee_multiplier() > lowest);
	});
}

#[test]
fn transfers_to_other_chains_can_be_paused() {
	let name = |pallet: &str, call: &str| {
		let bytes = |text: &str| text.as_bytes().to_vec().try_into().unwrap();
		(bytes(pallet), bytes(call))
	};
	assert!(!Unpausable::contains(&name("PolkadotXcm", "transfer_assets")));
	assert!(Unpausable::contains(&name("PolkadotXcm", "no_such_call")));
	assert!(Unpausable::contains(&name("ParachainSystem", "set_validation_data")));
}
