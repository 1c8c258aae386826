//! The effects of findings on fees and on suspicion.

use super::{mock::*, world::*};
use crate::{Event, Suspicions, types::ClearFinding};
use gonka_primitives::{
	audit::{Counts, Finding},
	traits::{FeeDecision, FeeDecisions},
};

fn sum(host: u8) -> u64 {
	Suspicions::<Test>::get(account(host), 0).map_or(0, |suspicion| suspicion.sum)
}

fn decision(host: u8, window: u32) -> Option<FeeDecision> {
	Audits::decision(&account(host), window)
}

#[test]
fn fees_are_held_until_audits_are_done() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(0, 12)]);
		assert_eq!(decision(1, settled), None, "no audit is drawn yet");
		next_window(2);
		assert_eq!(decision(1, settled), None);
		check(2, |_| right());
		assert_eq!(decision(1, settled), None, "the other checker has not reported");
		check(3, |_| right());
		assert_eq!(decision(1, settled), Some(FeeDecision::Release));
		assert_eq!(balance(1), 0);
		next_window(0);
		assert_eq!(balance(1), 120, "fees are released at the first decision");
	});
}

#[test]
fn a_checker_that_does_not_report_delays_fees_by_a_window() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(0, 12)]);
		next_window(2);
		check(2, |_| right());
		next_window(WINDOW - 1);
		assert_eq!((decision(1, settled), balance(1)), (None, 0));
		pass(1);
		assert_eq!((decision(1, settled), balance(1)), (Some(FeeDecision::Release), 120));
	});
}

#[test]
fn suspicion_is_never_negative_and_adds_up_to_a_case() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		let open = open_audits(2);
		let send = |number: usize, finding| {
			let (window, audit) = &open[number];
			send_report(2, *window, vec![(audit.index, finding)]).unwrap();
		};
		send(0, right());
		assert_eq!(sum(1), 0);
		// Three tokens that the filters exclude.
		let three = Finding::Checked(Counts::new([0, 0, 0, 0, 0, 0, 0, 3], [0; 8]));
		send(1, three);
		assert_eq!(sum(1), 3 << 16);
		send(2, Finding::Inconclusive);
		assert_eq!(sum(1), 3 << 16, "an inconclusive finding adds nothing");
		send(3, wrong());
		assert_eq!(sum(1), 9 << 16, "the clamp is 6 nats");
		send(4, right());
		assert_eq!(sum(1), 3 << 16);
		send(5, broken());
		send(6, Finding::Unavailable);
		assert_eq!(sum(1), 11 << 16);
		let recent = Suspicions::<Test>::get(account(1), 0).unwrap().recent;
		let findings: Vec<_> = recent.iter().map(|finding| finding.clear).collect();
		assert_eq!(
			findings,
			[
				ClearFinding::Right,
				ClearFinding::Wrong,
				ClearFinding::Wrong,
				ClearFinding::Right,
				ClearFinding::Wrong,
				ClearFinding::Absent
			]
		);
		assert!(case_of(1).is_none());
		send(7, wrong());
		events();
		send(8, wrong());
		assert!(case_of(1).is_some(), "17 and 6 nats are above 18");
		assert_eq!(sum(1), 0);
		assert!(events().iter().any(|event| matches!(event, Event::CaseOpened { case: 0, model: 0, .. })));
		// While a case is open, findings only meet duties.
		send(9, wrong());
		assert_eq!(sum(1), 0);
	});
}

#[test]
fn a_host_that_withholds_evidence_gets_a_case() {
	run(|| {
		start(&[10, 10, 10]);
		raise_alarm(1, &[2, 3], |_| Finding::Unavailable);
		let case = case_of(1).unwrap();
		assert!(case.reviewed.len() >= 9, "nine findings of two nats");
	});
}

#[test]
fn five_hundred_honest_completions_open_no_case() {
	run(|| {
		start(&[10, 10, 10]);
		let mut settled = 0u128;
		for _ in 0..10 {
			settle(1, &[(0, 50)]);
			settled += 500;
			next_window(2);
			check(2, |_| right());
			check(3, |_| right());
			assert_eq!(sum(1), 0);
		}
		next_window(0);
		assert_eq!(balance(1), settled);
		assert!(offences().is_empty() && case_of(1).is_none());
		assert!(Audits::reputation_view(&account(1)).reputation > 60_000, "two clean epochs");
	});
}

#[test]
fn findings_of_a_muted_checker_are_ignored() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		let epoch = Poc::running_epoch().unwrap().index;
		Audits::update_record(&account(2), |record| record.muted = Some(epoch + 1));
		assert!(check(2, |_| wrong()) > 3);
		assert_eq!((sum(1), case_of(1)), (0, None));
		settle(1, &[(0, 30)]);
		next_window(2);
		assert!(open_audits(2).is_empty(), "it gets no more audits");
		go_to(SCHEDULE.length * (epoch + 2) + 10);
		settle(3, &[(0, 30)]);
		next_window(2);
		assert!(!open_audits(2).is_empty(), "the mute is over");
	});
}
