//! Attacks on audits and cases.

use super::{
	super::{
		audit::{profile, right, wrong},
		chain::*,
	},
	*,
};
use codec::Encode;
use frame_support::{
	BoundedVec, assert_ok,
	traits::{Get, fungible::hold::Inspect},
};
use gonka_primitives::{
	audit::{AuditReport, AuditRules, FRESH, Finding, MAX_FINDINGS, MAX_SEATS, Outcome, Ruling, judge},
	check::Offence,
	hashing::{domain, signing_payload},
	host::Commitment,
	market::{Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum,
	views::{CaseView, JudgementView},
};
use gonka_runtime_common::Time;
use pallet_sampling_validation::{Call, Event, HoldReason, OpenCases, Suspicions};
use sp_core::{Pair, sr25519};
use sp_keyring::Sr25519Keyring::{Alice, Dave, Eve};

/// Fee of a receipt.
const FEE: Balance = GNK / 10;
/// Epochs in which the hosts have weight.
const EPOCHS: u32 = 8;

fn key(name: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[name.saturating_add(1); 32])
}

fn raw(name: u8) -> [u8; 32] {
	key(name).public().0
}

fn who(name: u8) -> AccountId {
	raw(name).into()
}

fn sign(key: &sr25519::Pair, domain: &[u8], body: &impl Encode) -> [u8; 64] {
	key.sign(&signing_payload(domain, &Poc::genesis_hash(), body)).0
}

fn free(call: impl Into<RuntimeCall>) {
	assert_ok!(send(call).expect("the pool accepts it"));
}

fn next_window(offset: BlockNumber) {
	let length = Time::THIS.window;
	let target = (System::block_number() / length + 1) * length + offset;
	blocks(target - System::block_number());
}

/// Runs until the audits of all settlements are drawn.
fn draw_audits() {
	next_window(SamplingValidation::rules().draw_blocks);
}

/// Runs until the arbiters of the cases opened now are drawn.
fn draw_arbiters() {
	blocks(SamplingValidation::rules().draw_blocks);
}

/// Hosts 0, 1, … with these effective weights and a channel of Dave each, which serve the model of the preset.
fn hosts(weights: &[u64]) {
	blocks(1);
	SamplingValidation::set_profile(RuntimeOrigin::root(), 0, Some(profile())).unwrap();
	for (name, weight) in (0u8..).zip(weights) {
		let (host, worker, participant) = (who(name), raw(name), u32::from(name));
		let models = BoundedVec::truncate_from(vec![0]);
		let entry = pallet_poc::Host { worker, url: Default::default(), models, ..Default::default() };
		pallet_poc::Workers::<Runtime>::insert(worker, &host);
		pallet_poc::Hosts::<Runtime>::insert(&host, entry);
		let segments = Time::THIS.schedule.segments;
		let compute = weight * u64::from(segments);
		let duties = pallet_poc::SetDuties { due: 1, revealed: 1, met: 1 };
		for epoch in 0..EPOCHS {
			let standing = pallet_poc::Standing { duties, ..pallet_poc::Standing::of_weight(participant, compute) };
			pallet_poc::Standings::<Runtime>::insert(epoch, &host, standing);
			pallet_poc::Participants::<Runtime>::insert(epoch, participant, &host);
			pallet_poc::KnownCount::<Runtime>::insert(epoch, participant + 1);
			let commitment = Commitment { count: *weight, root: [1; 32] };
			let all: Vec<_> = (0..segments).map(|segment| (segment, commitment)).collect();
			pallet_poc::Commitments::<Runtime>::insert(epoch, &host, BoundedVec::truncate_from(all));
		}
	}
	let total = weights.iter().sum::<u64>() * u64::from(Time::THIS.schedule.segments);
	let weights_of_0 = pallet_poc::EpochWeights::of_total(total, weights.len() as u32);
	pallet_poc::WeighedEpochs::<Runtime>::insert(0, weights_of_0);
	pallet_poc::LastWeighed::<Runtime>::put(0);
	for part in (0u8..).take(weights.len()).collect::<Vec<_>>().chunks(64) {
		let channels = part.iter().map(|name| (who(*name), 100 * GNK)).collect();
		let channels = BoundedVec::truncate_from(channels);
		InferenceMarket::open_channels(RuntimeOrigin::signed(account(Dave)), Eve.public().0, channels).unwrap();
	}
	next_window(1);
}

/// Host `name` settles the last window with so many receipts.
fn settle(name: u8, receipts: u32) -> u32 {
	let window = System::block_number() / Time::THIS.window - 1;
	let leaf = |index: u32| merkle_sum::leaf(&index.to_le_bytes(), Totals { fee: FEE, work: 100, receipts: 1 });
	let root = merkle_sum::root(&(0..receipts).map(leaf).collect::<Vec<_>>()).unwrap();
	let channel = InferenceMarket::host_channels(&who(name), None, 1).pop().unwrap();
	let voucher = Voucher { channel: channel.id, totals: channel.settled.checked_add(&root.sum).unwrap() };
	let signature = sign(&Eve.pair(), domain::VOUCHER, &voucher);
	let vouchers = vec![SignedVoucher { voucher, signature }];
	let settlement = Settlement { host: raw(name), window, root, work: vec![(0, root.sum.work)], vouchers };
	let signature = sign(&key(name), domain::SETTLEMENT, &settlement);
	free(pallet_inference_market::Call::settle { settlement, signature });
	window
}

/// Checker `name` reports on its audits of hosts for which `of` holds. Returns their number.
fn check(name: u8, of: impl Fn(&[u8; 32]) -> bool, finding: Finding) -> usize {
	let mut all = 0;
	for list in SamplingValidation::audits_view(&who(name)) {
		let open = list.audits.iter().filter(|audit| !audit.done && of(&audit.host));
		let findings: Vec<_> = open.map(|audit| (audit.index, finding)).collect();
		all += findings.len();
		for part in findings.chunks(MAX_FINDINGS as usize) {
			let report = AuditReport { checker: raw(name), window: list.window, findings: part.to_vec() };
			let signature = sign(&key(name), domain::AUDIT_REPORT, &report);
			free(Call::submit_report { report, signature });
		}
	}
	all
}

fn case_of(name: u8) -> Option<CaseView> {
	SamplingValidation::case_views().into_iter().find(|case| case.host == raw(name))
}

fn judgement_of(name: u8) -> Option<JudgementView> {
	SamplingValidation::reputation_view(&who(name)).judgement
}

/// The hosts settle; audits of host 0 are reported as wrong until there is a case; its arbiters are drawn.
fn accused(weights: &[u64]) -> CaseView {
	hosts(weights);
	settle(0, 40);
	draw_audits();
	for checker in 1..weights.len() as u8 {
		check(checker, |host| *host == raw(0), wrong());
	}
	draw_arbiters();
	case_of(0).expect("40 wrong completions raise the alarm")
}

/// Arbiters rule in the case about host 0, each with the finding that `word` gives it; those without one are silent.
fn rule(weights: usize, word: impl Fn(u8) -> Option<Finding>) {
	let case = case_of(0).unwrap();
	let rules = SamplingValidation::rules();
	for name in (0..weights as u8).filter(|name| case.arbiters.iter().any(|arbiter| arbiter.who == raw(*name))) {
		let Some(finding) = word(name) else { continue };
		let bounds = (rules.guilty, rules.innocent);
		let mut fresh = vec![finding];
		while judge(&case.profile, &fresh, rules.unavailable, bounds).is_none() {
			fresh.push(finding);
		}
		assert!(fresh.len() <= FRESH as usize);
		let reviewed = vec![finding; case.reviewed.len()];
		let ruling = Ruling { arbiter: raw(name), host: case.host, case: case.id, reviewed, fresh };
		let signature = sign(&key(name), domain::RULING, &ruling);
		free(Call::rule { ruling, signature });
	}
}

/// The outcomes of closed cases.
fn outcomes() -> Vec<Outcome> {
	let events = System::read_events_for_pallet::<Event<Runtime>>().into_iter();
	let closed = events.filter_map(|event| match event {
		Event::CaseClosed { outcome, .. } => Some(outcome),
		_ => None,
	});
	closed.collect()
}

/// Whether host `name` was convicted of wrong inference in any epoch.
fn is_convicted(name: u8) -> bool {
	(0..EPOCHS).any(|epoch| Poc::offence(epoch, &who(name)) == Some(Offence::WrongInference))
}

fn deposit() -> Balance {
	<Runtime as pallet_sampling_validation::Config>::AppealDeposit::get()
}

fn held() -> Balance {
	Balances::balance_on_hold(&HoldReason::Appeal.into(), &who(0))
}

/// Settled fees of host 0 that nobody has yet.
fn held_fees() -> Balance {
	let held = pallet_inference_market::HeldFees::<Runtime>::iter_prefix_values(who(0));
	held.filter_map(|held| held.sum()).sum()
}

/// Host 0 appeals by a paid transaction. It gets the deposit from Alice.
fn appeal() {
	let rich = RuntimeOrigin::signed(account(Alice));
	assert_ok!(Balances::transfer_keep_alive(rich, who(0).into(), deposit() + GNK));
	let call = RuntimeCall::from(Call::appeal { case: judgement_of(0).unwrap().case });
	assert!(validate(&call).is_err(), "without a signature and a fee, nobody appeals");
	assert_ok!(call.dispatch(RuntimeOrigin::signed(who(0))));
	assert_eq!(held(), deposit());
	draw_arbiters();
}

#[test]
fn two_lying_arbiters_convict_nobody() {
	run(|| {
		let case = accused(&[10; 24]);
		let mut arbiters = case.arbiters.clone();
		arbiters.sort_by_key(|arbiter| arbiter.seats);
		let liars: Vec<_> = arbiters.iter().take(2).map(|arbiter| arbiter.who).collect();
		rule(24, |name| Some(if liars.contains(&raw(name)) { wrong() } else { right() }));
		blocks(1);
		assert_eq!(outcomes(), [Outcome::Innocent]);
		assert!(!is_convicted(0) && judgement_of(0).is_none());
		for liar in liars {
			assert!(SamplingValidation::reputation_view(&liar.into()).muted.is_some(), "and they are discredited");
		}
	});
}

#[test]
fn many_light_identities_do_not_fill_the_seats_of_a_case() {
	run(|| {
		// Three honest hosts have 80 % of the weight, twenty identities of an adversary 18 %. The honest check nearly
		// everything; if checkers were no arbiters, or no host had two seats, the adversary would have most of the seats.
		let weights: Vec<_> = [20, 300, 300, 300].into_iter().chain([10; 20]).collect();
		let case = accused(&weights);
		let light = |name: u8| name >= 4;
		let seats = |all: bool| {
			let seats = (0..24).filter(|name| all || light(*name)).flat_map(|name| {
				case.arbiters.iter().filter(move |arbiter| arbiter.who == raw(name)).map(|arbiter| arbiter.seats)
			});
			seats.sum::<u32>()
		};
		assert!(seats(true) == 15 && seats(false) <= 7, "{} of {}", seats(false), seats(true));
		rule(24, |name| Some(if light(name) { wrong() } else { right() }));
		blocks(1);
		assert_eq!(outcomes(), [Outcome::Innocent]);
	});
}

#[test]
fn a_host_that_liars_found_guilty_appeals_and_loses_nothing() {
	run(|| {
		let case = accused(&[10; 24]);
		Collateral::deposit(RuntimeOrigin::signed(account(Alice)), 1_000 * GNK).unwrap();
		rule(24, |_| Some(wrong()));
		blocks(1);
		let judgement = judgement_of(0).unwrap();
		assert_eq!((judgement.outcome, judgement.until), (Outcome::Guilty, System::block_number() + Time::THIS.appeal));
		let view = || Poc::host_view(&who(0), SamplingValidation::is_condemned).unwrap();
		assert!(view().condemned, "it serves nobody while it can appeal");
		assert!(outcomes().is_empty() && !is_convicted(0));
		appeal();
		let hearing = case_of(0).unwrap();
		assert!(hearing.appeal && hearing.id != case.id);
		assert_eq!(hearing.arbiters.iter().map(|arbiter| arbiter.seats).sum::<u32>(), MAX_SEATS);
		assert_eq!(held_fees(), 40 * FEE);
		rule(24, |_| Some(right()));
		blocks(1);
		assert_eq!(outcomes(), [Outcome::Innocent]);
		assert!(!view().condemned && !is_convicted(0) && held() == 0);
		let before = Balances::free_balance(who(0));
		assert_eq!(before, deposit() + GNK, "the deposit is back");
		for liar in case.arbiters {
			assert!(SamplingValidation::reputation_view(&liar.who.into()).muted.is_some());
		}
		let charges: Balance =
			pallet_inference_market::HeldFees::<Runtime>::iter_values().map(|held| held.charge).sum();
		next_window(1);
		next_window(1);
		assert_eq!(Balances::free_balance(who(0)), before + 40 * FEE - charges, "it gets its fees");
	});
}

#[test]
fn an_appeal_of_the_guilty_costs_its_deposit_and_withheld_evidence_saves_nothing() {
	for finding in [wrong(), Finding::Unavailable] {
		run(|| {
			accused(&[10; 24]);
			rule(24, |_| Some(wrong()));
			blocks(1);
			let funds = Balances::free_balance(account(Dave));
			appeal();
			let issued = Balances::total_issuance();
			rule(24, |_| Some(finding));
			blocks(1);
			assert_eq!(outcomes(), [Outcome::Guilty], "withheld evidence does not soften the judgement");
			assert!(is_convicted(0));
			assert_eq!(Balances::free_balance(who(0)), GNK);
			assert!(Balances::total_issuance() <= issued - deposit());
			next_window(1);
			next_window(1);
			assert_eq!(Balances::free_balance(account(Dave)), funds + 40 * FEE, "the developer has its fees back");
		});
	}
}

#[test]
fn nobody_is_convicted_twice_for_the_same_answers() {
	run(|| {
		hosts(&[10; 5]);
		settle(0, 40);
		draw_audits();
		for checker in 1..4 {
			check(checker, |host| *host == raw(0), wrong());
		}
		draw_arbiters();
		rule(5, |_| Some(wrong()));
		blocks(1);
		if let Some(judgement) = judgement_of(0) {
			blocks(judgement.until + 1 - System::block_number());
		}
		assert!(outcomes() == [Outcome::Guilty] && is_convicted(0));
		// Another checker kept its findings about the same window back, until the next epoch if it can.
		let late = check(4, |host| *host == raw(0), wrong());
		assert!(late >= 3, "{late} findings: as many as raise the alarm");
		assert!(case_of(0).is_none() && SamplingValidation::reputation_view(&who(0)).suspicions.is_empty());
	});
}

#[test]
fn true_cases_against_light_identities_do_not_keep_out_a_heavy_host() {
	run(|| {
		let places: u32 = <Runtime as pallet_sampling_validation::Config>::MaxCases::get();
		let places = places as u8;
		// Host 0 cheats and is heavy. As many light identities as there are places cheat as well, to take them.
		let light = 5..5 + places;
		let weights: Vec<_> = [500, 2_000, 2_000, 2_000, 2_000].into_iter().chain(light.clone().map(|_| 1)).collect();
		hosts(&weights);
		settle(0, 20);
		light.clone().for_each(|name| {
			settle(name, 4);
		});
		next_window(12);
		let all = 0..weights.len() as u8;
		for checker in all.clone() {
			check(checker, |host| *host != raw(0), wrong());
		}
		assert_eq!(OpenCases::<Runtime>::get().len(), usize::from(places), "all places are taken");
		for checker in all {
			check(checker, |host| *host == raw(0), wrong());
		}
		assert!(case_of(0).is_some(), "a light identity gave way");
		assert_eq!(OpenCases::<Runtime>::get().len(), usize::from(places));
		let waiting: Vec<_> = light.filter(|name| case_of(*name).is_none()).collect();
		let [waiting] = waiting[..] else { panic!("{waiting:?} gave way") };
		let suspicion = Suspicions::<Runtime>::get(who(waiting), 0).unwrap();
		assert!(suspicion.sum >= profile().alarm.into(), "it is not forgotten");
	});
}

#[test]
fn a_missed_ruling_is_one_missed_audit_of_many() {
	run(|| {
		accused(&[10; 24]);
		let case = case_of(0).unwrap();
		let audits = |name: u8| {
			(0..EPOCHS)
				.filter_map(|epoch| Some(pallet_poc::Standings::<Runtime>::get(epoch, who(name))?.audits))
				.fold((0, 0), |sum, (due, met)| (sum.0 + due, sum.1 + met))
		};
		let arbiters = (1..24).filter(|name| case.arbiters.iter().any(|arbiter| arbiter.who == raw(*name)));
		let [silent, other] = arbiters.take(2).collect::<Vec<_>>()[..] else { panic!("two arbiters") };
		let before = [silent, other].map(audits);
		rule(24, |name| (name != silent).then(right));
		blocks(case.deadline + 1 - System::block_number());
		assert_eq!(outcomes(), [Outcome::Innocent]);
		let after = [silent, other].map(audits);
		assert_eq!((after[0].0 - before[0].0, after[0].1 - before[0].1), (1, 0), "{before:?} {after:?}");
		assert_eq!((after[1].0 - before[1].0, after[1].1 - before[1].1), (1, 1), "{before:?} {after:?}");
	});
}

#[test]
fn fees_are_held_until_an_appeal_can_be_over() {
	let of = |time: &Time| AuditRules::new(time.window, time.appeal).windows_held(time.window);
	sp_io::TestExternalities::new_empty().execute_with(|| {
		let held: u32 = <Runtime as pallet_inference_market::Config>::MaxHold::get();
		assert!(held >= of(&Time::MAINNET) && held >= of(&Time::FAST));
	});
}
