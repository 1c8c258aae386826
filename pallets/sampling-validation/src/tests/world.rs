//! Hosts that settle, check and arbitrate, and know only the runtime API.

use super::mock::*;
use gonka_primitives::{
	Balance, GNK, ModelId,
	audit::{AuditReport, Breach, CalibrationProfile, Counts, FRESH, Finding, MAX_FINDINGS, Ruling, fresh_draw, judge},
	hashing::domain,
	host::Commitment,
	market::{FinishReason, Receipt, Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum::{self, SumNode},
	views::{AuditView, CaseView, JudgementView},
};
use pallet_poc::{Commitments, Hosts, Standing, Standings, Workers};
use polkadot_sdk::{
	frame_support::{BoundedVec, assert_ok},
	sp_core::Pair,
};

const NAT: i32 = 1 << 16;
/// Epochs in which the hosts have weight.
const EPOCHS: u32 = 12;

/// A profile with ratios of −1/20 nat for a token that fits and of 1 nat for one that the filters exclude.
pub fn profile() -> CalibrationProfile {
	CalibrationProfile {
		margins: [1, 2, 3, 4, 5, 6].map(|quarter| quarter * NAT / 4),
		tape: [-NAT / 20, 0, 0, 0, 0, 0, 0, NAT],
		distances: [1, 2, 3, 4, 5, 6, 7].map(|step| step * 100),
		fingerprint: [0; 8],
		alarm: 18 << 16,
		clamp: 6 << 16,
		min_worker_version: 0,
	}
}

pub fn right() -> Finding {
	Finding::Checked(Counts::new([200, 0, 0, 0, 0, 0, 0, 0], [200, 0, 0, 0, 0, 0, 0, 0]))
}

pub fn wrong() -> Finding {
	Finding::Checked(Counts::new([160, 0, 0, 0, 0, 0, 0, 40], [200, 0, 0, 0, 0, 0, 0, 0]))
}

pub fn broken() -> Finding {
	Finding::Broken(Breach::Output)
}

/// Registers hosts 1, 2, … with these numbers of leaves in each segment of all epochs, serving models 0 and 1.
pub fn hosts(weights: &[u64]) {
	for (name, weight) in (1..).zip(weights) {
		let (host, worker) = (account(name), worker_key(name).public().0);
		let entry = pallet_poc::Host {
			worker,
			url: b"http://h".to_vec().try_into().unwrap(),
			models: vec![0, 1].try_into().unwrap(),
			..Default::default()
		};
		Hosts::<Test>::insert(&host, entry);
		Workers::<Test>::insert(worker, &host);
		for epoch in 0..EPOCHS {
			let duties = pallet_poc::SetDuties { due: 1, revealed: 1, met: 1 };
			let weight_of = Standing::of_weight(u32::from(name), weight * u64::from(SCHEDULE.segments));
			let standing = Standing { duties, ..weight_of };
			Standings::<Test>::insert(epoch, &host, standing);
			let commitment = Commitment { count: *weight, root: [1; 32] };
			let all: Vec<_> = (0..SCHEDULE.segments).map(|segment| (segment, commitment)).collect();
			Commitments::<Test>::insert(epoch, &host, BoundedVec::truncate_from(all));
		}
		let channels = vec![(host, 1_000 * GNK)].try_into().unwrap();
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer()), gateway_key().public().0, channels));
	}
}

/// Hosts with these weights, profiles for models 0 and 1, and the first tables: the first epoch is weighed.
pub fn start(weights: &[u64]) {
	hosts(weights);
	for model in 0..2 {
		assert_ok!(Audits::set_profile(RuntimeOrigin::root(), model, Some(profile())));
	}
	go_to(3 * WINDOW + 1);
	assert_eq!(crate::TableEpoch::<Test>::get(), Some(0));
	events();
}

/// The leaves of `receipts` receipts of 100 tokens each.
pub fn leaves(host: u8, window: u32, receipts: u32) -> Vec<SumNode<Totals>> {
	let leaf = |index: u32| {
		let receipt = Receipt {
			envelope: [host; 32],
			output: [window as u8; 32],
			fingerprint: [0; 32],
			prompt_tokens: index,
			completion_tokens: 100u32.saturating_sub(index % 50),
			finish: FinishReason::Stop,
			fee: 0,
		};
		merkle_sum::leaf(&receipt.prompt_tokens.to_le_bytes(), Totals { fee: 10, work: 100, receipts: 1 })
	};
	(0..receipts).map(leaf).collect()
}

/// Settles the window that ended last, with these numbers of receipts by model, each with a fee of 10 and 100 tokens.
pub fn settle(host: u8, receipts: &[(ModelId, u32)]) -> u32 {
	let settled = window() - 1;
	let all: u32 = receipts.iter().map(|(_, count)| count).sum();
	let root = merkle_sum::root(&leaves(host, settled, all)).unwrap();
	let channel = Market::host_channels(&account(host), None, 9).into_iter().next().unwrap();
	let voucher = Voucher { channel: channel.id, totals: channel.settled.checked_add(&root.sum).unwrap() };
	let signature = sign_with(&gateway_key(), domain::VOUCHER, &voucher);
	let work = receipts.iter().map(|(model, count)| (*model, u64::from(*count) * 100)).collect();
	let vouchers = vec![SignedVoucher { voucher, signature }];
	let settlement = Settlement { host: raw(host), window: settled, root, work, vouchers };
	let signature = sign(host, domain::SETTLEMENT, &settlement);
	submit(pallet_inference_market::Call::<Test>::settle { settlement, signature }).unwrap();
	settled
}

/// The free balance of a host.
pub fn balance(host: u8) -> Balance {
	Balances::free_balance(account(host))
}

/// The audits that a checker has not reported on, with the window of their draw.
pub fn open_audits(checker: u8) -> Vec<(u32, AuditView)> {
	let lists = Audits::audits_view(&account(checker)).into_iter();
	let all = lists.flat_map(|list| list.audits.into_iter().map(move |audit| (list.window, audit)));
	all.filter(|(_, audit)| !audit.done).collect()
}

pub fn send_report(checker: u8, window: u32, findings: Vec<(u16, Finding)>) -> Sent {
	let report = AuditReport { checker: raw(checker), window, findings };
	let signature = sign(checker, domain::AUDIT_REPORT, &report);
	submit(crate::Call::<Test>::submit_report { report, signature })
}

/// The checker reports on all its audits. Returns their number.
pub fn check(checker: u8, mind: impl Fn(u8) -> Finding) -> usize {
	let open = open_audits(checker);
	let mut windows: Vec<_> = open.iter().map(|(window, _)| *window).collect();
	windows.dedup();
	for window in windows {
		let of_window = open.iter().filter(|(other, _)| *other == window);
		let findings: Vec<_> = of_window.map(|(_, audit)| (audit.index, mind(name_of(&audit.host)))).collect();
		for part in findings.chunks(MAX_FINDINGS as usize) {
			assert_ok!(send_report(checker, window, part.to_vec()));
		}
	}
	open.len()
}

pub fn name_of(raw_account: &[u8; 32]) -> u8 {
	(1..=64).find(|name| raw(*name) == *raw_account).unwrap()
}

pub fn case_of(host: u8) -> Option<CaseView> {
	Audits::case_views().into_iter().find(|case| case.host == raw(host))
}

/// A ruling with equal findings about all receipts, as many as the test needs.
pub fn ruling(arbiter: u8, case: &CaseView, reviewed: Finding, fresh: Finding) -> Ruling {
	let number = case.arbiters.iter().position(|seat| seat.who == raw(arbiter)).unwrap_or(0);
	let mut all = Vec::new();
	for k in 0..FRESH {
		let (part, _) = fresh_draw(&case.seed.unwrap_or_default(), number as u32, k, &case.scope).unwrap();
		assert!(part < case.scope.len());
		all.push(fresh);
		if judge(&case.profile, &all, RULES.unavailable, (RULES.guilty, RULES.innocent)).is_some() {
			break;
		}
	}
	Ruling {
		arbiter: raw(arbiter),
		host: case.host,
		case: case.id,
		reviewed: vec![reviewed; case.reviewed.len()],
		fresh: all,
	}
}

pub fn send_ruling(ruling: Ruling) -> Sent {
	let signature = sign(name_of(&ruling.arbiter), domain::RULING, &ruling);
	submit(crate::Call::<Test>::rule { ruling, signature })
}

/// The arbiters of a host's case or appeal rule, each with the finding of `mind`; those without one do not.
pub fn rule_as(host: u8, mind: impl Fn(u8) -> Option<Finding>) {
	let case = case_of(host).unwrap();
	assert!(!case.arbiters.is_empty());
	for name in case.arbiters.iter().map(|arbiter| name_of(&arbiter.who)) {
		if let Some(finding) = mind(name) {
			assert_ok!(send_ruling(ruling(name, &case, finding, finding)));
		}
	}
}

/// All arbiters of a host's case rule, each with the finding of `mind`. The case is decided; a judgement takes effect.
pub fn arbitrate_drawn(host: u8, mind: impl Fn(u8) -> Finding) {
	rule_as(host, |name| Some(mind(name)));
	pass(1);
	if let Some(judgement) = judgement_of(host) {
		go_to(judgement.until + 1);
	}
	assert!(case_of(host).is_none());
}

/// Like [`arbitrate_drawn`], for a case whose arbiters are not drawn yet.
pub fn arbitrate(host: u8, mind: impl Fn(u8) -> Finding) {
	pass(2);
	arbitrate_drawn(host, mind);
}

/// The judgement against a host that can be appealed.
pub fn judgement_of(host: u8) -> Option<JudgementView> {
	Audits::reputation_view(&account(host)).judgement
}

/// Gives a host money for an appeal.
pub fn fund(host: u8) {
	let balance = Balances::free_balance(account(host)) + DEPOSIT + 1;
	assert_ok!(Balances::force_set_balance(RuntimeOrigin::root(), account(host), balance));
}

/// Host `host` settles, and `checkers` report the findings of `mind`, until a case is open against it.
pub fn raise_alarm(host: u8, checkers: &[u8], mind: impl Fn(u8) -> Finding) {
	for _ in 0..4 {
		settle(host, &[(0, 30)]);
		next_window(2);
		for checker in checkers {
			check(*checker, |of| if of == host { mind(*checker) } else { right() });
			if case_of(host).is_some() {
				return;
			}
		}
	}
	panic!("no case was opened");
}
