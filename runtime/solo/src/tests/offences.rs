//! Equivocations, proven with real signatures, and their costs.

use super::chain::*;
use crate::*;
use codec::{Decode, Encode};
use finality_grandpa::{Equivocation as Twice, Message, Precommit};
use frame_support::{
	storage::{TransactionOutcome, transactional::with_transaction_unchecked},
	traits::KeyOwnerProofSystem,
};
use gonka_runtime_common::Time;
use pallet_session::historical::HistoricalSessions;
use sp_consensus_babe::{
	EquivocationProof as BabeProof,
	digests::{CompatibleDigestItem, PreDigest, SecondaryPlainPreDigest},
	runtime_decl_for_babe_api::BabeApiV2,
};
use sp_consensus_grandpa::{
	AuthorityId, AuthoritySignature, Equivocation, EquivocationProof as GrandpaProof, localized_payload,
	runtime_decl_for_grandpa_api::GrandpaApiV3,
};
use sp_core::{
	Pair,
	offchain::{TransactionPoolExt, testing::TestTransactionPoolExt},
};
use sp_keyring::{
	Ed25519Keyring,
	Sr25519Keyring::{self, Alice, Bob, Charlie, Dave},
};
use sp_runtime::{
	DigestItem,
	traits::Header as _,
	transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidity},
};
use sp_session::MembershipProof;

/// Two blocks of the current slot, sealed by `key`.
pub fn two_blocks(key: Sr25519Keyring) -> BabeProof<Header> {
	let slot = Babe::current_slot();
	let pre = PreDigest::SecondaryPlain(SecondaryPlainPreDigest { authority_index: 1, slot });
	let header = |root: u8| {
		let mut header = Header::new(9, [root; 32].into(), Default::default(), Default::default(), Default::default());
		header.digest_mut().push(DigestItem::babe_pre_digest(pre.clone()));
		let seal = key.pair().sign(header.hash().as_ref());
		header.digest_mut().push(DigestItem::babe_seal(seal.into()));
		header
	};
	BabeProof { offender: key.public().into(), slot, first_header: header(1), second_header: header(2) }
}

pub type Votes = Twice<AuthorityId, Precommit<Hash, BlockNumber>, AuthoritySignature>;

/// Two precommits of a round of the current set, signed by `key`.
pub fn two_votes(key: Ed25519Keyring, round_number: u64) -> Votes {
	let set = pallet_grandpa::CurrentSetId::<Runtime>::get();
	let vote = |block: u8| {
		let vote = Precommit { target_hash: Hash::from([block; 32]), target_number: 9 };
		let payload = localized_payload(round_number, set, &Message::Precommit(vote.clone()));
		(vote, key.sign(&payload).into())
	};
	Twice { round_number, identity: key.public().into(), first: vote(1), second: vote(2) }
}

pub fn in_set(votes: Votes) -> GrandpaProof<Hash, BlockNumber> {
	GrandpaProof::new(pallet_grandpa::CurrentSetId::<Runtime>::get(), Equivocation::Precommit(votes))
}

pub fn babe_owner(key: Sr25519Keyring) -> MembershipProof {
	Historical::prove((sp_consensus_babe::KEY_TYPE, key.public().encode())).unwrap()
}

pub fn babe_report(proof: BabeProof<Header>, key_owner_proof: MembershipProof) -> UncheckedExtrinsic {
	let equivocation_proof = Box::new(proof);
	let call = pallet_babe::Call::report_equivocation_unsigned { equivocation_proof, key_owner_proof };
	UncheckedExtrinsic::new_bare(call.into())
}

pub fn grandpa_report(proof: GrandpaProof<Hash, BlockNumber>, key: Ed25519Keyring) -> UncheckedExtrinsic {
	let key_owner_proof = Historical::prove((sp_consensus_grandpa::KEY_TYPE, key.public().encode())).unwrap();
	let equivocation_proof = Box::new(proof);
	let call = pallet_grandpa::Call::report_equivocation_unsigned { equivocation_proof, key_owner_proof };
	UncheckedExtrinsic::new_bare(call.into())
}

/// The validity of a report in the pool, without a change of state.
pub fn pool(source: TransactionSource, report: &UncheckedExtrinsic) -> TransactionValidity {
	with_transaction_unchecked(|| {
		TransactionOutcome::Rollback(Executive::validate_transaction(source, report.clone(), Hash::default()))
	})
}

/// Sends a report through the pool of the author into the block.
pub fn submit(report: UncheckedExtrinsic) {
	let validity = pool(TransactionSource::Local, &report).unwrap();
	assert!(!validity.propagate && validity.longevity >= u64::from(Time::THIS.schedule.length));
	Executive::apply_extrinsic(report).unwrap().unwrap();
}

#[track_caller]
pub fn assert_rejected(report: UncheckedExtrinsic, reason: InvalidTransaction) {
	assert_eq!(pool(TransactionSource::Local, &report), Err(reason.into()));
	assert_eq!(Executive::apply_extrinsic(report), Err(reason.into()), "an author cannot include it either");
}

/// Three validators with weight and collateral.
fn with_collateral() {
	blocks(1);
	weigh(&[(Alice, 400), (Bob, 300), (Charlie, 300)]);
	for key in [Alice, Bob, Charlie] {
		Collateral::deposit(RuntimeOrigin::signed(account(key)), 1_000 * GNK).unwrap();
	}
	Collateral::withdraw(RuntimeOrigin::signed(account(Bob)), 600 * GNK).unwrap();
}

fn has_power(key: Sr25519Keyring) -> bool {
	pallet_poc::Power::<Runtime>::get().iter().any(|(who, _)| *who == account(key))
}

/// Bob has lost all collateral, power and pay, the others nothing.
fn assert_bob_lost(issued: Balance) {
	let collateral = Collateral::view(&account(Bob));
	assert_eq!(collateral.active + collateral.unbonding.iter().map(|(_, amount)| amount).sum::<Balance>(), 0);
	assert_eq!(Balances::total_issuance(), issued - 1_000 * GNK, "active and unbonding are burnt");
	assert_eq!(Collateral::view(&account(Alice)).active, 1_000 * GNK);
	assert_eq!([Alice, Bob, Charlie].map(has_power), [true, false, true]);
	assert_eq!([Alice, Bob, Charlie].map(|key| Poc::weight(0, &account(key))), [400, 0, 300]);
	assert_eq!([Alice, Bob, Charlie].map(|key| paid()[&account(key)]), [400, 0, 300]);
	two_sessions();
	assert_eq!(Session::validators().len(), 2);
	assert_eq!((writers().len(), Grandpa::grandpa_authorities().len()), (2, 2));
}

#[test]
fn two_blocks_of_a_slot_cost_collateral_power_and_pay() {
	run(|| {
		with_collateral();
		let issued = Balances::total_issuance();
		let report = babe_report(two_blocks(Bob), babe_owner(Bob));
		submit(report.clone());
		assert_rejected(report, InvalidTransaction::Stale);
		assert_bob_lost(issued);
	});
}

#[test]
fn two_votes_of_a_round_cost_the_same() {
	run(|| {
		with_collateral();
		let issued = Balances::total_issuance();
		let report = grandpa_report(in_set(two_votes(Ed25519Keyring::Bob, 7)), Ed25519Keyring::Bob);
		submit(report.clone());
		assert_rejected(report, InvalidTransaction::Stale);
		assert_bob_lost(issued);
	});
}

#[test]
fn forged_reports_and_reports_from_other_nodes_are_rejected() {
	run(|| {
		with_collateral();
		let issued = Balances::total_issuance();
		let good = two_blocks(Bob);
		let report = babe_report(good.clone(), babe_owner(Bob));
		assert_eq!(pool(TransactionSource::External, &report), Err(InvalidTransaction::Call.into()));
		let forged = [
			// The same block twice.
			BabeProof { second_header: good.first_header.clone(), ..good.clone() },
			// Sealed by another validator.
			BabeProof { offender: Alice.public().into(), ..good.clone() },
			// Of another slot.
			BabeProof { slot: good.slot + 1, ..good.clone() },
		];
		for proof in forged {
			let owner = if proof.offender == Alice.public().into() { Alice } else { Bob };
			assert_rejected(babe_report(proof, babe_owner(owner)), InvalidTransaction::BadProof);
		}
		// The key of another validator, another session, another number of validators.
		assert_rejected(babe_report(good.clone(), babe_owner(Alice)), InvalidTransaction::BadProof);
		let owner = babe_owner(Bob);
		let session = MembershipProof { session: owner.session + 9, ..owner.clone() };
		assert_rejected(babe_report(good.clone(), session), InvalidTransaction::BadProof);
		let many = MembershipProof { validator_count: 300, ..owner };
		assert_rejected(babe_report(good, many), InvalidTransaction::BadProof);

		// Votes of another round than they were signed for, and the same vote twice.
		let Twice { identity, first, second, .. } = two_votes(Ed25519Keyring::Bob, 7);
		let moved = Twice { round_number: 8, identity: identity.clone(), first: first.clone(), second };
		let once = Twice { round_number: 7, identity, first: first.clone(), second: first };
		for votes in [moved, once] {
			assert_rejected(grandpa_report(in_set(votes), Ed25519Keyring::Bob), InvalidTransaction::BadProof);
		}
		assert_eq!(Balances::total_issuance(), issued);
		assert!(has_power(Bob));
	});
}

#[test]
fn nodes_report_through_the_runtime_api() {
	let mut node = sp_io::TestExternalities::new_empty();
	let (pool, state) = TestTransactionPoolExt::new();
	node.register_extension(TransactionPoolExt::new(pool));
	run_in(node, || {
		with_collateral();
		let proof = two_blocks(Bob);
		let owner = <Runtime as BabeApiV2<Block>>::generate_key_ownership_proof(proof.slot, proof.offender.clone());
		<Runtime as BabeApiV2<Block>>::submit_report_equivocation_unsigned_extrinsic(proof, owner.unwrap()).unwrap();
		let proof = in_set(two_votes(Ed25519Keyring::Charlie, 1));
		let owner = <Runtime as GrandpaApiV3<Block>>::generate_key_ownership_proof(
			proof.set_id(),
			Ed25519Keyring::Charlie.public().into(),
		);
		<Runtime as GrandpaApiV3<Block>>::submit_report_equivocation_unsigned_extrinsic(proof, owner.unwrap()).unwrap();
		let sent = std::mem::take(&mut state.write().transactions);
		for report in sent {
			submit(UncheckedExtrinsic::decode(&mut &report[..]).unwrap());
		}
		assert_eq!([Alice, Bob, Charlie].map(has_power), [true, false, false]);
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn past_sessions_can_be_reported_from_genesis_on_until_they_are_forgotten() {
	run(|| {
		with_collateral();
		let (blocks_proof, owner) = (two_blocks(Bob), babe_owner(Bob));
		let report = babe_report(blocks_proof, owner);
		let votes = grandpa_report(in_set(two_votes(Ed25519Keyring::Charlie, 3)), Ed25519Keyring::Charlie);
		two_sessions();
		assert_eq!(Session::validators().len(), 3);
		submit(votes);
		assert!(!has_power(Charlie));
		let sessions = Time::THIS.reportable_sessions();
		while Session::current_index() <= sessions {
			assert!(pool(TransactionSource::Local, &report).is_ok());
			blocks(Time::THIS.session as u32);
		}
		two_sessions();
		assert_rejected(report, InvalidTransaction::BadProof);
		let kept = HistoricalSessions::<Runtime>::iter().count();
		assert!(kept as u32 <= sessions + 3, "{kept} sessions are on record");
	});
}

#[test]
fn new_session_keys_can_be_proven_without_a_change_of_power() {
	run(|| {
		with_collateral();
		let mut keys = Session::load_keys(&account(Bob)).unwrap();
		keys.babe = Dave.public().into();
		pallet_session::NextKeys::<Runtime>::insert(account(Bob), keys);
		two_sessions();
		let report = babe_report(two_blocks(Dave), babe_owner(Dave));
		two_sessions();
		submit(report);
		assert_eq!([Alice, Bob, Charlie].map(has_power), [true, false, true]);
	});
}

#[test]
fn equivocators_lose_as_much_more_as_their_common_power_grows() {
	run(|| {
		with_collateral();
		let power = [(Alice, 75), (Bob, 15), (Charlie, 10)].map(|(key, power)| (account(key), power));
		let power = pallet_poc::math::normalise(power.to_vec());
		pallet_poc::Power::<Runtime>::put(frame_support::BoundedVec::truncate_from(power));
		pallet_poc::PowerChanged::<Runtime>::put(true);
		two_sessions();
		let held = |key| {
			let view = Collateral::view(&account(key));
			view.active + view.unbonding.iter().map(|(_, amount)| amount).sum::<Balance>()
		};
		let assert_held = |key, expected: Balance| assert!(held(key).abs_diff(expected * GNK / 2) < GNK / 1_000);
		let owner = babe_owner(Charlie);
		submit(grandpa_report(in_set(two_votes(Ed25519Keyring::Charlie, 1)), Ed25519Keyring::Charlie));
		assert_held(Charlie, 2 * 910);
		// Another proof of the same, and of other messages.
		assert_rejected(babe_report(two_blocks(Charlie), owner), InvalidTransaction::Stale);
		submit(babe_report(two_blocks(Bob), babe_owner(Bob)));
		// (3 · 25 %)² of active and unbonding collateral.
		[Bob, Charlie].into_iter().for_each(|key| assert_held(key, 2 * 437 + 1));
	});
}

#[test]
fn the_last_validator_keeps_its_power() {
	run(|| {
		with_collateral();
		for key in [Alice, Bob, Charlie] {
			submit(babe_report(two_blocks(key), babe_owner(key)));
		}
		assert_eq!([Alice, Bob, Charlie].map(has_power), [false, false, true]);
		two_sessions();
		assert_eq!(Session::validators(), [account(Charlie)]);
		blocks(3);
	});
}

#[test]
fn an_equivocating_validator_without_weight_loses_its_power() {
	run(|| {
		blocks(1);
		assert!(has_power(Alice), "the genesis gave it power");
		submit(babe_report(two_blocks(Alice), babe_owner(Alice)));
		assert!(!has_power(Alice));
		two_sessions();
		assert_eq!(Session::validators().len(), 2);
	});
}
