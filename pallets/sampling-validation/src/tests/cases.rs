//! Cases: guilty hosts are convicted, innocent ones are not, and hosts with false findings are discredited.

use super::{mock::*, world::*};
use crate::{Event, OpenCases, Records, ValidityError};
use gonka_primitives::{
	audit::{Finding, Outcome},
	check::Offence,
	traits::{FeeDecision, FeeDecisions},
};
use polkadot_sdk::frame_support::assert_ok;

fn reputation(host: u8) -> u32 {
	Audits::reputation_view(&account(host)).reputation
}

/// Gives hosts 1 to `hosts` a good reputation.
fn set_reputations(hosts: u8) {
	let epoch = Poc::running_epoch().unwrap().index;
	for host in 1..=hosts {
		let record = crate::Record { reputation: 600_000, epoch, ..Default::default() };
		Records::<Test>::insert(account(host), record);
	}
}

fn closed() -> Option<Outcome> {
	events().into_iter().find_map(|event| match event {
		Event::CaseClosed { outcome, .. } => Some(outcome),
		_ => None,
	})
}

fn discredited() -> Vec<u8> {
	let hosts = events().into_iter().filter_map(|event| match event {
		Event::Discredited { host, .. } => Some(name_of(&host.into())),
		_ => None,
	});
	let mut hosts: Vec<_> = hosts.collect();
	hosts.sort_unstable();
	hosts
}

#[test]
fn arbiters_are_drawn_two_blocks_later() {
	run(|| {
		start(&[10; 8]);
		raise_alarm(1, &[2, 3, 4, 5, 6, 7, 8], |_| wrong());
		let case = case_of(1).unwrap();
		assert!(case.seed.is_none() && case.arbiters.is_empty());
		pass(1);
		assert!(case_of(1).unwrap().arbiters.is_empty(), "the author of the opening block must not know the arbiters");
		pass(1);
		let case = case_of(1).unwrap();
		assert_eq!(
			case.arbiters.iter().map(|arbiter| arbiter.seats).sum::<u32>(),
			15,
			"a host of an eighth of the weight"
		);
		assert!(case.arbiters.iter().all(|arbiter| arbiter.who != raw(1)), "{case:?}");
		assert!(case.deadline - case.opened < WINDOW);
	});
}

#[test]
fn the_guilty_lose_weight_fees_collateral_and_reputation() {
	run(|| {
		start(&[10; 4]);
		set_reputations(4);
		raise_alarm(1, &[2, 3, 4], |_| wrong());
		let (last, epoch) = (window() - 2, Poc::running_epoch().unwrap().index);
		let funds = Balances::free_balance(developer());
		events();
		arbitrate(1, |_| wrong());
		assert_eq!(closed(), Some(Outcome::Guilty));
		assert_eq!(offences(), [(account(1), epoch, Offence::WrongInference)]);
		assert_eq!(Poc::offence(epoch, &account(1)), Some(Offence::WrongInference));
		assert_eq!(Poc::weight(epoch, &account(1)), 0);
		assert_eq!((reputation(1), balance(1)), (0, 0));
		assert_eq!(Audits::decision(&account(1), last), Some(FeeDecision::Refund));
		next_window(0);
		next_window(0);
		assert_eq!(balance(1), 0, "no fee was released");
		assert!(Balances::free_balance(developer()) > funds, "the developer has its fees back");
		assert_eq!(pallet_inference_market::HeldFees::<Test>::iter().count(), 0);
		assert!((2..=4).all(|name| reputation(name) >= 600_000), "no other host lost reputation");
		// Gateways avoid it as long as it is muted.
		assert!(Audits::is_condemned(&account(1)) && !(2..=4).any(|name| Audits::is_condemned(&account(name))));
		let muted = Audits::reputation_view(&account(1)).muted.unwrap();
		Records::<Test>::mutate(account(1), |record| record.as_mut().unwrap().muted = Some(epoch - 1));
		assert!(!Audits::is_condemned(&account(1)));
		assert_eq!(muted, epoch + RULES.mute_epochs);
		// It is paid for later settlements again, after their audits.
		let settled = settle(1, &[(0, 1)]);
		assert_eq!(Audits::decision(&account(1), settled), None);
	});
}

#[test]
fn a_checker_that_finds_every_completion_wrong_gains_nothing_and_is_discredited() {
	run(|| {
		start(&[10, 1_000, 10, 10, 10]);
		set_reputations(5);
		// Host 2 has almost all the audits.
		raise_alarm(1, &[2], |_| wrong());
		events();
		pass(2);
		let case = case_of(1).unwrap();
		assert!(case.reviewed.iter().all(|reviewed| reviewed.checker == raw(2)));
		arbitrate_drawn(1, |_| right());
		assert_eq!(closed_and_discredited(), (Some(Outcome::Innocent), vec![2]));
		let view = Audits::reputation_view(&account(2));
		assert_eq!(view.reputation, 0);
		assert!(view.muted.is_some());
		assert!(offences().is_empty() && reputation(1) >= 600_000);
		next_window(0);
		next_window(0);
		assert!(balance(1) > 0, "its fees are released");
		// It gets no more audits, and its reputation does not rise in this epoch.
		settle(1, &[(0, 30)]);
		next_window(2);
		assert!(open_audits(2).is_empty());
	});
}

fn closed_and_discredited() -> (Option<Outcome>, Vec<u8>) {
	let all = System::read_events_for_pallet::<Event<Test>>();
	let outcome = all.iter().find_map(|event| match event {
		Event::CaseClosed { outcome, .. } => Some(*outcome),
		_ => None,
	});
	(outcome, discredited())
}

#[test]
fn a_checker_that_finds_every_completion_right_is_discredited_when_the_host_is_convicted() {
	run(|| {
		start(&[10; 8]);
		set_reputations(8);
		// Host 2 reports that all is right, before the others.
		settle(1, &[(0, 40)]);
		next_window(2);
		assert!(check(2, |_| right()) > 0);
		let mut others = 3..=8;
		while case_of(1).is_none() {
			check(others.next().unwrap(), |_| wrong());
		}
		let case = case_of(1).unwrap();
		assert!(case.reviewed.iter().any(|reviewed| reviewed.checker == raw(2)));
		pass(2);
		events();
		arbitrate_drawn(1, |_| wrong());
		assert_eq!(closed_and_discredited(), (Some(Outcome::Guilty), vec![2]));
		assert_eq!((reputation(1), reputation(2)), (0, 0));
		assert!((3..=8).all(|name| reputation(name) >= 600_000));
	});
}

#[test]
fn an_arbiter_against_the_clear_majority_is_discredited_and_decides_nothing() {
	for (liar_says, others_say, outcome) in [(wrong(), right(), Outcome::Innocent), (right(), wrong(), Outcome::Guilty)]
	{
		run(|| {
			start(&[10; 8]);
			set_reputations(8);
			raise_alarm(1, &[2, 3, 4], |_| wrong());
			pass(2);
			let liar = name_of(&case_of(1).unwrap().arbiters[1].who);
			events();
			arbitrate_drawn(1, |name| if name == liar { liar_says } else { others_say });
			let (closed, discredited) = closed_and_discredited();
			assert_eq!(closed, Some(outcome));
			assert!(discredited.contains(&liar));
			assert_eq!(reputation(liar), 0);
		});
	}
}

#[test]
fn evidence_withheld_from_arbiters_costs_fees_and_pay_but_no_collateral() {
	run(|| {
		start(&[10; 6]);
		set_reputations(6);
		raise_alarm(1, &[2, 3, 4, 5, 6], |_| Finding::Unavailable);
		let epoch = Poc::running_epoch().unwrap().index;
		events();
		arbitrate(1, |_| Finding::Unavailable);
		assert_eq!(closed_and_discredited(), (Some(Outcome::Withheld), vec![]));
		assert!(offences().is_empty());
		let standing = Poc::standing_view(epoch, &account(1)).unwrap();
		assert_eq!((standing.offence, standing.performance, reputation(1)), (None, 0, 0));
		next_window(0);
		next_window(0);
		assert_eq!(balance(1), 0);
		assert_eq!(pallet_inference_market::HeldFees::<Test>::iter().count(), 0);
	});
}

#[test]
fn a_checker_that_finds_evidence_absent_which_arbiters_get_missed_a_duty() {
	run(|| {
		start(&[10, 1_000, 10, 10, 10]);
		set_reputations(5);
		raise_alarm(1, &[2], |_| Finding::Unavailable);
		events();
		arbitrate(1, |_| right());
		assert_eq!(closed_and_discredited(), (Some(Outcome::Innocent), vec![]));
		assert!(Records::<Test>::get(account(2)).unwrap().missed);
		assert!(Records::<Test>::get(account(3)).is_none_or(|record| !record.missed));
	});
}

#[test]
fn arbiters_that_do_not_rule_miss_duties_and_convict_nobody() {
	run(|| {
		start(&[10; 6]);
		set_reputations(6);
		raise_alarm(1, &[2, 3, 4, 5, 6], |_| wrong());
		pass(2);
		let case = case_of(1).unwrap();
		let first = name_of(&case.arbiters[0].who);
		assert_ok!(send_ruling(ruling(first, &case, wrong(), wrong())));
		go_to(case.deadline);
		let late = name_of(&case.arbiters[1].who);
		assert!(case_of(1).is_some());
		let epoch = Poc::running_epoch().unwrap().index;
		let audits = |name| pallet_poc::Standings::<Test>::get(epoch, account(name)).unwrap().audits;
		let before = [first, late].map(audits);
		events();
		pass(1);
		let all = events();
		assert!(!all.iter().any(|event| matches!(event, Event::AuditsClosed { .. })), "no list ends in this block");
		let outcome = all.iter().find_map(|event| match event {
			Event::CaseClosed { outcome, .. } => Some(*outcome),
			_ => None,
		});
		assert_eq!(outcome, Some(Outcome::Innocent), "one ruling does not decide");
		assert_eq!(send_ruling(ruling(late, &case, wrong(), wrong())), rejected(ValidityError::UnknownCase));
		let after = [first, late].map(audits);
		assert_eq!(after[0], (before[0].0 + 1, before[0].1 + 1), "a ruling is one audit");
		assert_eq!(after[1], (before[1].0 + 1, before[1].1), "a missed one is one audit");
		let missed = |name| Records::<Test>::get(account(name)).unwrap().missed;
		assert!(missed(late) && !missed(first));
	});
}

#[test]
fn a_small_network_has_fewer_arbiters_and_checkers_among_them() {
	run(|| {
		start(&[10, 10, 10]);
		raise_alarm(1, &[2, 3], |_| wrong());
		arbitrate(1, |_| wrong());
		assert_eq!(offences().len(), 1);
	});
	// Two arbiters must agree.
	run(|| {
		start(&[10, 10, 10]);
		raise_alarm(1, &[2, 3], |_| wrong());
		arbitrate(1, |name| if name == 2 { wrong() } else { right() });
		assert!(offences().is_empty());
	});
	// A single checker is the only arbiter.
	run(|| {
		start(&[10, 10]);
		raise_alarm(1, &[2], |_| wrong());
		arbitrate(1, |_| wrong());
		assert_eq!(offences().len(), 1);
	});
}

#[test]
fn a_case_without_arbiters_is_dropped() {
	run(|| {
		start(&[10, 10]);
		raise_alarm(1, &[2], |_| wrong());
		let epoch = Poc::running_epoch().unwrap().index;
		Audits::update_record(&account(2), |record| record.muted = Some(epoch + 9));
		events();
		pass(2);
		assert!(case_of(1).is_none());
		assert_eq!(closed(), Some(Outcome::Innocent));
	});
}

#[test]
fn a_case_is_over_before_fees_are_released_without_a_decision() {
	run(|| {
		start(&[10, 10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		// The last block in which a report is accepted.
		next_window(WINDOW - 1);
		for checker in [2, 3, 4] {
			check(checker, |_| wrong());
		}
		let case = case_of(1).unwrap();
		go_to(case.deadline);
		rule_as(1, |_| Some(wrong()));
		assert_eq!(balance(1), 0);
		for _ in 0..3 {
			next_window(1);
		}
		assert_eq!(balance(1), 0);
		assert_eq!(pallet_inference_market::HeldFees::<Test>::iter().count(), 0);
	});
}

#[test]
fn an_alarm_waits_until_a_case_can_be_opened() {
	run(|| {
		start(&[10; 9]);
		for host in 1..=3 {
			settle(host, &[(0, 40)]);
		}
		next_window(2);
		for checker in 4..=9 {
			check(checker, |_| wrong());
		}
		assert_eq!(OpenCases::<Test>::get().len(), MAX_CASES as usize);
		let waiting = (1..=3).find(|host| case_of(*host).is_none()).unwrap();
		let suspicion = crate::Suspicions::<Test>::get(account(waiting), 0).unwrap();
		assert!(suspicion.sum >= u64::from(profile().alarm));
		assert!(suspicion.recent.len() <= 16);
		next_window(WINDOW - 1);
		next_window(2);
		assert!(OpenCases::<Test>::get().is_empty());
		settle(waiting, &[(0, 40)]);
		next_window(2);
		let first = (2..=9).find(|name| open_audits(*name).iter().any(|(_, s)| s.host == raw(waiting))).unwrap();
		check(first, |_| wrong());
		assert!(case_of(waiting).is_some());
	});
}
