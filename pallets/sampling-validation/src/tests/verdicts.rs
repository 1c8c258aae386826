//! What findings do to fees and to suspicion.

use super::{mock::*, world::*};
use crate::{Event, Suspicions, types::Said};
use gonka_primitives::{
	sampling::{Counts, Finding},
	traits::{SampleVerdicts, Verdict},
};

fn sum(host: u8) -> u64 {
	Suspicions::<Test>::get(account(host), 0).sum
}

fn verdict(host: u8, window: u32) -> Option<Verdict> {
	Sampling::verdict(&account(host), window)
}

#[test]
fn fees_wait_for_samples_and_no_longer() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(0, 12)]);
		assert_eq!(verdict(1, settled), None, "nothing is drawn yet");
		next_window(2);
		assert_eq!(verdict(1, settled), None);
		check(2, |_| right());
		assert_eq!(verdict(1, settled), None, "the other checker has some");
		check(3, |_| right());
		assert_eq!(verdict(1, settled), Some(Verdict::Release));
		assert_eq!(balance(1), 0);
		next_window(0);
		assert_eq!(balance(1), 120, "at the first look");
	});
}

#[test]
fn a_checker_that_does_not_answer_delays_fees_by_a_window() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(0, 12)]);
		next_window(2);
		check(2, |_| right());
		next_window(WINDOW - 1);
		assert_eq!((verdict(1, settled), balance(1)), (None, 0));
		pass(1);
		assert_eq!((verdict(1, settled), balance(1)), (Some(Verdict::Release), 120));
	});
}

#[test]
fn suspicion_never_falls_below_nothing_and_adds_up_to_a_case() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		let open = open_samples(2);
		let send = |number: usize, finding| {
			let (window, sample) = &open[number];
			send_verdicts(2, *window, vec![(sample.index, finding)]).unwrap();
		};
		send(0, right());
		assert_eq!(sum(1), 0);
		// Three tokens that were filtered out.
		let three = Finding::Checked(Counts::new([0, 0, 0, 0, 0, 0, 0, 3], [0; 8]));
		send(1, three);
		assert_eq!(sum(1), 3 << 16);
		send(2, Finding::Inconclusive);
		assert_eq!(sum(1), 3 << 16, "it says nothing");
		send(3, wrong());
		assert_eq!(sum(1), 9 << 16, "a receipt weighs 6 nats at most");
		send(4, right());
		assert_eq!(sum(1), 3 << 16);
		send(5, broken());
		send(6, Finding::Unavailable);
		assert_eq!(sum(1), 11 << 16);
		let heard = Suspicions::<Test>::get(account(1), 0).heard;
		let said: Vec<_> = heard.iter().map(|heard| heard.said).collect();
		assert_eq!(said, [Said::Right, Said::Wrong, Said::Wrong, Said::Right, Said::Wrong, Said::Absent]);
		assert!(case_of(1).is_none());
		send(7, wrong());
		events();
		send(8, wrong());
		assert!(case_of(1).is_some(), "17 and 6 nats are above 18");
		assert_eq!(sum(1), 0);
		assert!(events().iter().any(|event| matches!(event, Event::CaseOpened { case: 0, model: 0, .. })));
		// While it is open, findings are duties met and nothing else.
		send(9, wrong());
		assert_eq!(sum(1), 0);
	});
}

#[test]
fn a_host_that_hides_its_data_ends_in_a_case() {
	run(|| {
		start(&[10, 10, 10]);
		raise_alarm(1, &[2, 3], |_| Finding::Unavailable);
		let case = case_of(1).unwrap();
		assert!(case.audit.len() >= 9, "nine times two nats");
	});
}

#[test]
fn five_hundred_honest_answers_leave_a_host_untouched() {
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
		assert!(Sampling::sampling_view(&account(1)).reputation > 90_000);
	});
}

#[test]
fn nobody_listens_to_a_muted_checker() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		let epoch = Poc::running_epoch().unwrap().index;
		Sampling::touch(&account(2), |record| record.muted = Some(epoch + 1));
		assert!(check(2, |_| wrong()) > 3);
		assert_eq!((sum(1), case_of(1)), (0, None));
		settle(1, &[(0, 30)]);
		next_window(2);
		assert!(open_samples(2).is_empty(), "it is asked for nothing more");
		go_to(SCHEDULE.length * (epoch + 2) + 10);
		settle(3, &[(0, 30)]);
		next_window(2);
		assert!(!open_samples(2).is_empty(), "the time is over");
	});
}
