//! Seats of arbiters, judgements that wait for an appeal, appeals, and the places of cases.

use super::{mock::*, world::*};
use crate::{Cases, Error, Event, OpenCases, Records, Suspicions, Terms, ValidityError};
use gonka_primitives::{
	audit::{Finding, MAX_SEATS, Outcome},
	check::Offence,
	traits::{FeeDecision, FeeDecisions},
	views::CaseView,
};
use polkadot_sdk::frame_support::{assert_noop, assert_ok};

const HOSTS: u8 = 24;

/// Hosts of equal weight, and a case against host 1, whose arbiters are drawn.
fn opened() -> CaseView {
	start(&[10; HOSTS as usize]);
	raise_alarm(1, &(2..=HOSTS).collect::<Vec<_>>(), |_| wrong());
	pass(2);
	case_of(1).unwrap()
}

/// A case against host 1 whose arbiters found it guilty.
fn judged(finding: Finding) {
	opened();
	rule_as(1, |_| Some(finding));
	events();
	pass(1);
}

fn appeal() {
	let judgement = judgement_of(1).unwrap();
	assert_ok!(Audits::appeal(RuntimeOrigin::signed(account(1)), judgement.case));
}

fn held() -> u128 {
	use polkadot_sdk::frame_support::traits::fungible::hold::Inspect;
	Balances::balance_on_hold(&crate::HoldReason::Appeal.into(), &account(1))
}

fn outcome() -> Option<Outcome> {
	events().into_iter().find_map(|event| match event {
		Event::CaseClosed { outcome, .. } => Some(outcome),
		_ => None,
	})
}

/// Arbiters with so many seats, at most.
fn some_of(case: &CaseView, most: u32) -> Vec<u8> {
	let (mut seats, mut names) = (0, Vec::new());
	for arbiter in &case.arbiters {
		if seats + arbiter.seats <= most {
			(seats, _) = (seats + arbiter.seats, names.push(name_of(&arbiter.who)));
		}
	}
	names
}

#[test]
fn the_heavier_the_host_the_more_seats_decide() {
	for (host, seats) in [(1, 5), (2, 9), (3, 15)] {
		run(|| {
			start(&[1, 20, 400, 800, 800, 800, 800]);
			raise_alarm(host, &[4, 5, 6, 7], |_| wrong());
			pass(2);
			let drawn = case_of(host).unwrap().arbiters.iter().map(|arbiter| arbiter.seats).sum::<u32>();
			assert_eq!(drawn, seats, "host {host}");
		});
	}
}

#[test]
fn many_light_hosts_get_no_more_seats_than_their_weight() {
	let (mut light, mut all) = (0, 0);
	for salt in 0..12 {
		Salt::set(salt);
		run(|| {
			// Hosts 5 to 24 have 18 % of the weight together.
			let weights: Vec<_> = [10, 300, 300, 300].into_iter().chain([10; 20]).collect();
			start(&weights);
			raise_alarm(1, &[2, 3, 4], |_| wrong());
			pass(2);
			for arbiter in case_of(1).unwrap().arbiters {
				all += arbiter.seats;
				light += if name_of(&arbiter.who) >= 5 { arbiter.seats } else { 0 };
			}
		});
	}
	Salt::set(0);
	assert_eq!(all, 12 * 9, "a host of 0.9 % of the weight");
	assert!((8..=32).contains(&light), "{light} of {all}, 19.6 expected");
}

#[test]
fn one_authors_beacon_does_not_tell_the_seed() {
	let mut seeds = std::collections::BTreeSet::new();
	for salt in 0..3 {
		run(|| {
			start(&[10, 10, 10, 10]);
			raise_alarm(1, &[2, 3, 4], |_| wrong());
			Salt::set(salt);
			pass(RULES.draw_blocks - 1);
			// The last block before the draw has the same beacon each time; the ones before have not.
			Salt::set(0);
			pass(1);
			assert!(seeds.insert(case_of(1).unwrap().seed.unwrap()), "the seed depends on the other beacons");
		});
	}
}

#[test]
fn a_judgement_waits_until_its_term_has_passed() {
	run(|| {
		judged(wrong());
		let (id, decided) = (judgement_of(1).unwrap().case, window());
		let view = judgement_of(1).unwrap();
		assert_eq!((view.outcome, view.until, view.deposit), (Outcome::Guilty, System::block_number() + TERM, DEPOSIT));
		let suspended = Event::Judged { case: id, host: account(1), outcome: Outcome::Guilty, until: view.until };
		assert!(events().contains(&suspended));
		assert!(case_of(1).is_none() && OpenCases::<Test>::get().is_empty());
		assert!(Audits::is_condemned(&account(1)), "gateways send no requests");
		assert!(offences().is_empty() && Records::<Test>::get(account(1)).unwrap().condemned.is_none());
		assert_eq!(Audits::decision(&account(1), decided - 1), None, "fees are held");
		// Findings have no effect meanwhile.
		settle(1, &[(0, 30)]);
		next_window(2);
		(2..=HOSTS).for_each(|checker| {
			check(checker, |_| wrong());
		});
		assert!(case_of(1).is_none() && Suspicions::<Test>::get(account(1), 0).is_none());
		go_to(view.until);
		assert!(offences().is_empty());
		pass(1);
		assert_eq!(outcome(), Some(Outcome::Guilty));
		assert_eq!(offences().len(), 1);
		assert_eq!(offences()[0].2, Offence::WrongInference);
		assert_eq!(Records::<Test>::get(account(1)).unwrap().condemned, Some(decided));
		assert_eq!(Audits::decision(&account(1), decided), Some(FeeDecision::Refund));
		assert!(Cases::<Test>::iter().next().is_none() && Terms::<Test>::iter().next().is_none());
	});
}

#[test]
fn only_the_judged_host_appeals_once_in_time_with_a_deposit() {
	run(|| {
		let case = opened();
		let appeal_by = |name: u8, id| Audits::appeal(RuntimeOrigin::signed(account(name)), id);
		fund(2);
		assert_noop!(appeal_by(1, case.id), Error::<Test>::NoJudgement);
		rule_as(1, |_| Some(wrong()));
		pass(1);
		assert_noop!(appeal_by(2, case.id), Error::<Test>::NoJudgement);
		assert_noop!(appeal_by(1, case.id + 1), Error::<Test>::NoJudgement);
		assert!(appeal_by(1, case.id).is_err(), "it has no money");
		assert!(judgement_of(1).is_some() && held() == 0);
		fund(1);
		let until = judgement_of(1).unwrap().until;
		System::set_block_number(until + 1);
		assert_noop!(appeal_by(1, case.id), Error::<Test>::TermOver);
		System::set_block_number(until);
		assert_ok!(appeal_by(1, case.id));
		assert_eq!(held(), DEPOSIT);
		assert!(events().contains(&Event::Appealed { case: case.id, host: account(1), appeal: case.id + 1 }));
		assert_noop!(appeal_by(1, case.id), Error::<Test>::NoJudgement);
		assert_noop!(appeal_by(1, case.id + 1), Error::<Test>::NoJudgement);
	});
}

#[test]
fn more_arbiters_hear_an_appeal_and_their_acquittal_reverses_it() {
	run(|| {
		let first: Vec<_> = opened().arbiters.iter().map(|arbiter| name_of(&arbiter.who)).collect();
		rule_as(1, |_| Some(wrong()));
		pass(1);
		fund(1);
		let funds = Balances::free_balance(account(1));
		appeal();
		let before = case_of(1).unwrap();
		assert!(before.appeal && before.arbiters.is_empty() && Audits::is_condemned(&account(1)));
		pass(2);
		let case = case_of(1).unwrap();
		assert_eq!(case.arbiters.iter().map(|arbiter| arbiter.seats).sum::<u32>(), MAX_SEATS);
		assert!(case.deadline <= case.opened + RULES.case_blocks);
		events();
		rule_as(1, |_| Some(right()));
		pass(1);
		let all = events();
		let closed = |event: &Event<Test>| matches!(event, Event::CaseClosed { outcome: Outcome::Innocent, .. });
		assert!(all.iter().any(closed));
		let is_discredited = |name: u8| {
			let found =
				|event: &Event<Test>| matches!(event, Event::Discredited { host, .. } if *host == account(name));
			all.iter().any(found)
		};
		assert!(
			first.into_iter().all(is_discredited),
			"arbiters that found it guilty found the opposite of the appeal"
		);
		assert!(offences().is_empty() && !Audits::is_condemned(&account(1)));
		assert_eq!((Balances::free_balance(account(1)), held()), (funds, 0));
		let record = Records::<Test>::get(account(1)).unwrap();
		assert!(record.condemned.is_none() && record.muted.is_none());
		next_window(0);
		next_window(0);
		assert!(balance(1) > funds, "its fees are released");
	});
}

#[test]
fn an_appeal_without_an_acquittal_burns_the_deposit_and_never_softens_the_judgement() {
	for (before, after, last) in [
		(wrong(), wrong(), Outcome::Guilty),
		(wrong(), Finding::Unavailable, Outcome::Guilty),
		(Finding::Unavailable, wrong(), Outcome::Guilty),
		(Finding::Unavailable, Finding::Unavailable, Outcome::Withheld),
	] {
		run(|| {
			judged(before);
			fund(1);
			let (funds, issued) = (Balances::free_balance(account(1)), Balances::total_issuance());
			appeal();
			pass(2);
			events();
			rule_as(1, |_| Some(after));
			pass(1);
			assert_eq!(outcome(), Some(last));
			assert_eq!(offences().len(), usize::from(last == Outcome::Guilty));
			assert_eq!((Balances::free_balance(account(1)), held()), (funds - DEPOSIT, 0));
			assert_eq!(Balances::total_issuance(), issued - DEPOSIT);
		});
	}
}

#[test]
fn absent_arbiters_acquit_in_a_case_and_do_not_reverse_in_an_appeal() {
	run(|| {
		let case = opened();
		let some = some_of(&case, 7);
		// All who rule find the host guilty, but they have no majority of the seats.
		rule_as(1, |name| some.contains(&name).then(wrong));
		events();
		go_to(case.deadline + 1);
		assert_eq!(outcome(), Some(Outcome::Innocent));
	});
	for (seats, last) in [(31, Outcome::Guilty), (30, Outcome::Innocent)] {
		run(|| {
			let (case, some) = appealed(seats);
			rule_as(1, |name| some.contains(&name).then(wrong));
			go_to(case.deadline + 1);
			assert_eq!(outcome(), Some(last), "{seats} of 61 seats");
			assert_eq!(held(), 0);
		});
	}
}

/// An appeal against a judgement, and arbiters with so many of its seats.
fn appealed(seats: u32) -> (CaseView, Vec<u8>) {
	judged(wrong());
	fund(1);
	appeal();
	pass(2);
	let case = case_of(1).unwrap();
	let some = some_of(&case, seats);
	assert_eq!(seats_of(&case, &some), seats);
	events();
	(case, some)
}

#[test]
fn two_thirds_of_an_appeals_seats_confirm_a_judgement() {
	for (seats, last) in [(41, Outcome::Guilty), (40, Outcome::Innocent)] {
		run(|| {
			let (_, some) = appealed(seats);
			rule_as(1, |name| Some(if some.contains(&name) { wrong() } else { right() }));
			pass(1);
			assert_eq!(outcome(), Some(last), "{seats} of 61 seats");
		});
	}
}

fn seats_of(case: &CaseView, names: &[u8]) -> u32 {
	let them = case.arbiters.iter().filter(|arbiter| names.contains(&name_of(&arbiter.who)));
	them.map(|arbiter| arbiter.seats).sum()
}

#[test]
fn a_ruling_of_the_case_does_not_count_in_the_appeal() {
	run(|| {
		let case = opened();
		let old: Vec<_> = (2..=HOSTS).map(|name| ruling(name, &case, wrong(), wrong())).collect();
		rule_as(1, |_| Some(wrong()));
		pass(1);
		for ruling in &old {
			assert_eq!(send_ruling(ruling.clone()), rejected(ValidityError::UnknownCase), "nobody hears the case");
		}
		fund(1);
		appeal();
		pass(2);
		for ruling in old {
			assert_eq!(send_ruling(ruling), rejected(ValidityError::UnknownCase));
		}
	});
}

#[test]
fn without_a_larger_draw_a_judgement_takes_effect_at_once() {
	run(|| {
		start(&[10, 10, 10]);
		raise_alarm(1, &[2, 3], |_| wrong());
		pass(2);
		rule_as(1, |_| Some(wrong()));
		pass(1);
		assert!(judgement_of(1).is_none() && offences().len() == 1);
	});
}

#[test]
fn the_lightest_case_gives_way_and_opens_again() {
	run(|| {
		let weights: Vec<_> = [10, 20, 30, 20].into_iter().chain([100; 10]).collect();
		start(&weights);
		let hosts = [1, 2, 3, 4];
		hosts.iter().for_each(|host| {
			settle(*host, &[(0, 10)]);
		});
		next_window(2);
		let accuse = |of: u8| {
			for checker in 5..=14 {
				let open = open_audits(checker).into_iter().filter(|(_, audit)| audit.host == raw(of));
				open.for_each(|(window, audit)| send_report(checker, window, vec![(audit.index, wrong())]).unwrap());
				if case_of(of).is_some() {
					break;
				}
			}
		};
		let open = || hosts.into_iter().filter(|host| case_of(*host).is_some()).collect::<Vec<_>>();
		accuse(1);
		accuse(2);
		assert_eq!(open(), [1, 2]);
		pass(2);
		accuse(3);
		assert_eq!(open(), [2, 3], "the lightest gave way, though its arbiters were drawn");
		let suspicion = Suspicions::<Test>::get(account(1), 0).unwrap();
		assert!(suspicion.sum >= u64::from(profile().alarm) && suspicion.recent.len() >= 3);
		accuse(4);
		assert_eq!(open(), [2, 3], "an equally heavy host does not displace another");
		next_window(19);
		assert!(open().is_empty());
		settle(1, &[(0, 10)]);
		next_window(2);
		accuse(1);
		assert_eq!(open(), [1]);
		assert_eq!(case_of(1).unwrap().reviewed.len(), suspicion.recent.len() + 1, "the first finding opens it again");
	});
}

#[test]
fn nobody_is_judged_twice_for_the_same_windows() {
	run(|| {
		start(&[10; 5]);
		settle(1, &[(0, 40)]);
		next_window(2);
		// Host 5 has findings about the same window that it reports later.
		for checker in [2, 3, 4] {
			check(checker, |_| wrong());
		}
		let last = case_of(1).unwrap().scope.last().unwrap().window;
		arbitrate(1, |_| wrong());
		let judged = Records::<Test>::get(account(1)).unwrap().condemned.unwrap();
		assert!(judged >= last && offences().len() == 1);
		assert!(check(5, |_| wrong()) >= 3, "as many as raise the alarm");
		assert!(case_of(1).is_none() && Suspicions::<Test>::get(account(1), 0).is_none());
		// A later window counts, by itself.
		next_window(0);
		next_window(0);
		let later = settle(1, &[(0, 40)]);
		assert!(later > judged);
		next_window(2);
		for checker in [2, 3, 4, 5] {
			check(checker, |_| wrong());
		}
		assert!(case_of(1).unwrap().scope.iter().all(|part| part.window > judged));
	});
}
