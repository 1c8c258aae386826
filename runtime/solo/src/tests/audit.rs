//! Settlements through the whole runtime: drawn, audited, reported on, paid or refunded.

use super::chain::*;
use crate::*;
use codec::Encode;
use frame_support::{
	BoundedVec,
	pallet_prelude::TransactionSource,
	traits::{Authorize, UnfilteredDispatchable},
};
use gonka_primitives::{
	audit::{AuditReport, CalibrationProfile, Counts, Finding, Pick, Ruling},
	check::Offence,
	hashing::{domain, signing_payload},
	host::Commitment,
	market::{Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum,
};
use gonka_runtime_common::Time;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve};

const FEE: Balance = 30 * GNK;
const RECEIPTS: u32 = 30;

/// A token that a filter excludes counts one nat against the host; a token that fits counts a twentieth of a nat for it.
/// Three wrong completions raise the alarm.
pub(super) fn profile() -> CalibrationProfile {
	CalibrationProfile {
		margins: [1, 2, 3, 4, 5, 6],
		tape: [-3_276, 0, 0, 0, 0, 0, 0, 65_536],
		distances: [1, 2, 3, 4, 5, 6, 7],
		fingerprint: [0; 8],
		alarm: 18 << 16,
		clamp: 6 << 16,
		min_worker_version: 0,
	}
}

pub(super) fn right() -> Finding {
	Finding::Checked(Counts::new([200, 0, 0, 0, 0, 0, 0, 0], [0; 8]))
}

pub(super) fn wrong() -> Finding {
	Finding::Checked(Counts::new([150, 0, 0, 0, 0, 0, 0, 50], [0; 8]))
}

fn sign(key: Sr25519Keyring, domain: &[u8], body: &impl Encode) -> [u8; 64] {
	key.sign(&signing_payload(domain, &Poc::genesis_hash(), body)).0
}

fn submit(call: RuntimeCall) {
	call.authorize(TransactionSource::External).unwrap().unwrap();
	call.dispatch_bypass_filter(frame_system::RawOrigin::Authorized.into()).unwrap();
}

fn next_window(offset: BlockNumber) {
	let length = Time::THIS.window;
	let target = (System::block_number() / length + 1) * length + offset;
	blocks(target - System::block_number());
}

/// Three hosts with weight and collateral that serve the model of the preset; Alice has settled a window.
fn settled() {
	blocks(1);
	SamplingValidation::set_profile(RuntimeOrigin::root(), 0, Some(profile())).unwrap();
	for (participant, key) in (0..).zip([Alice, Bob, Charlie]) {
		let (host, worker) = (account(key), key.public().0);
		let models = BoundedVec::truncate_from(vec![0]);
		let entry = pallet_poc::Host { worker, url: Default::default(), models, ..Default::default() };
		pallet_poc::Workers::<Runtime>::insert(worker, &host);
		pallet_poc::Hosts::<Runtime>::insert(&host, entry);
		for epoch in 0..3 {
			let standing = pallet_poc::Standing::of_weight(participant, 10);
			pallet_poc::Standings::<Runtime>::insert(epoch, &host, standing);
			pallet_poc::Participants::<Runtime>::insert(epoch, participant, &host);
			pallet_poc::KnownCount::<Runtime>::insert(epoch, participant + 1);
			let segments = 0..Time::THIS.schedule.segments;
			let commitments: Vec<_> =
				segments.map(|segment| (segment, Commitment { count: 2, root: [1; 32] })).collect();
			pallet_poc::Commitments::<Runtime>::insert(epoch, &host, BoundedVec::truncate_from(commitments));
		}
	}
	pallet_poc::WeighedEpochs::<Runtime>::insert(0, pallet_poc::EpochWeights::of_total(30, 3));
	pallet_poc::LastWeighed::<Runtime>::put(0);
	Collateral::deposit(RuntimeOrigin::signed(account(Alice)), 1_000 * GNK).unwrap();
	let channels = BoundedVec::truncate_from(vec![(account(Alice), 100 * GNK)]);
	InferenceMarket::open_channels(RuntimeOrigin::signed(account(Dave)), Eve.public().0, channels).unwrap();
	next_window(1);
	let window = System::block_number() / Time::THIS.window - 1;
	let leaf = |index: u32| {
		merkle_sum::leaf(&index.to_le_bytes(), Totals { fee: FEE / Balance::from(RECEIPTS), work: 100, receipts: 1 })
	};
	let root = merkle_sum::root(&(0..RECEIPTS).map(leaf).collect::<Vec<_>>()).unwrap();
	let voucher = Voucher { channel: 0, totals: root.sum };
	let vouchers = vec![SignedVoucher { voucher, signature: sign(Eve, domain::VOUCHER, &voucher) }];
	let work = vec![(0, root.sum.work)];
	let settlement = Settlement { host: Alice.public().0, window, root, work, vouchers };
	let signature = sign(Alice, domain::SETTLEMENT, &settlement);
	submit(RuntimeCall::InferenceMarket(pallet_inference_market::Call::settle { settlement, signature }));
	next_window(SamplingValidation::rules().draw_blocks);
}

/// Both checkers report the same finding about all their audits. Returns the number of audits.
fn check(finding: Finding) -> usize {
	let mut all = 0;
	for checker in [Bob, Charlie] {
		for list in SamplingValidation::audits_view(&account(checker)) {
			let picks: Vec<_> = list.audits.iter().map(|audit| audit.pick).collect();
			assert!(picks.iter().all(|pick| matches!(pick, Pick::Receipt(number) if *number < RECEIPTS.into())));
			let findings: Vec<_> = list.audits.iter().map(|audit| (audit.index, finding)).collect();
			all += findings.len();
			let report = AuditReport { checker: checker.public().0, window: list.window, findings };
			let signature = sign(checker, domain::AUDIT_REPORT, &report);
			let call = pallet_sampling_validation::Call::submit_report { report, signature };
			submit(RuntimeCall::SamplingValidation(call));
		}
	}
	all
}

#[test]
fn honest_completions_are_audited_and_paid() {
	run(|| {
		settled();
		let before = Balances::free_balance(account(Alice));
		assert_eq!(check(right()), RECEIPTS as usize, "all first receipts of a new host are audited");
		assert_eq!(Balances::free_balance(account(Alice)), before);
		next_window(2);
		assert_eq!(Balances::free_balance(account(Alice)), before + FEE);
		assert!(SamplingValidation::case_views().is_empty());
	});
}

#[test]
fn wrong_completions_cost_collateral_and_are_refunded() {
	run(|| {
		settled();
		let (alice, dave) = (account(Alice), account(Dave));
		let before = (Balances::free_balance(&alice), Balances::free_balance(&dave));
		check(wrong());
		blocks(SamplingValidation::rules().draw_blocks);
		let case = SamplingValidation::case_views().pop().unwrap();
		assert_eq!(case.arbiters.len(), 2, "both other hosts of a network of three");
		for arbiter in [Bob, Charlie] {
			let (reviewed, fresh) = (vec![wrong(); case.reviewed.len()], vec![wrong(); 4]);
			let ruling = Ruling { arbiter: arbiter.public().0, host: case.host, case: case.id, reviewed, fresh };
			let signature = sign(arbiter, domain::RULING, &ruling);
			let call = pallet_sampling_validation::Call::rule { ruling, signature };
			submit(RuntimeCall::SamplingValidation(call));
		}
		blocks(1);
		assert!(SamplingValidation::case_views().is_empty());
		assert_eq!(Collateral::view(&alice).active, 800 * GNK);
		let epoch = Poc::epoch_at_stake(&alice).unwrap();
		assert_eq!(Poc::offence(epoch, &alice), Some(Offence::WrongInference));
		next_window(2);
		assert_eq!((Balances::free_balance(&alice), Balances::free_balance(&dave)), (before.0, before.1 + FEE));
		assert_eq!(SamplingValidation::reputation_view(&alice).reputation, 0);
		let condemned = |host| Poc::host_view(&account(host), SamplingValidation::is_condemned).unwrap().condemned;
		assert!(condemned(Alice) && !condemned(Bob));
	});
}
