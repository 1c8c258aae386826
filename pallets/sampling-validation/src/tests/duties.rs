//! Missed duties cost pay and reputation.

use super::{mock::*, world::*};
use crate::{Event, Records};
use pallet_poc::Standings;

fn audits(name: u8, epoch: u32) -> (u32, u32) {
	Standings::<Test>::get(epoch, account(name)).unwrap().audits
}

#[test]
fn audits_without_a_finding_at_the_deadline_are_missed_duties() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		let drawn = window();
		let mine = check(2, |_| right()) as u32;
		let others = open_audits(3).len() as u32;
		assert_eq!(mine + others, 30);
		events();
		// Reports are accepted in all of the next window.
		next_window(WINDOW - 1);
		assert_eq!(open_audits(3).len() as u32, others);
		assert_eq!((audits(2, 1), audits(3, 1)), ((0, 0), (0, 0)));
		pass(1);
		assert!(open_audits(3).is_empty());
		let closed = |checker, total, met| Event::AuditsClosed { checker: account(checker), window: drawn, total, met };
		let events = events();
		assert!(events.contains(&closed(2, mine, mine)) && events.contains(&closed(3, others, 0)), "{events:?}");
		let epoch = Poc::running_epoch().unwrap().index;
		assert_eq!((audits(2, epoch), audits(3, epoch)), ((mine, mine), (others, 0)));
		let performance = |name| Poc::standing_view(epoch, &account(name)).unwrap().performance;
		// The leaf sets were checked. No host took part in confirmations, if there were any.
		let called = Poc::running_epoch().unwrap().confirmations.len() as u32;
		let share = |met: u32| met * 1_000_000 / (2 + called);
		assert_eq!((performance(2), performance(3)), (share(2), share(1)));
	});
}

#[test]
fn reputation_rises_in_clean_epochs_and_halves_in_others() {
	run(|| {
		start(&[10, 10, 10]);
		let reputation = |name| Audits::reputation_view(&account(name)).reputation;
		assert_eq!((reputation(1), reputation(2)), (0, 0));
		let mut expected = 0;
		for _ in 0..4 {
			let epoch = Poc::running_epoch().unwrap().index;
			while Poc::running_epoch().unwrap().index == epoch {
				settle(1, &[(0, 10)]);
				next_window(2);
				check(2, |_| right());
				check(3, |_| right());
			}
			expected += (1_000_000 - expected) / 30;
			assert!(reputation(1).abs_diff(expected) <= 40_000, "{} {expected}", reputation(1));
		}
		let before = reputation(3);
		assert!(before > 60_000);
		// Host 3 stops reporting.
		let epoch = Poc::running_epoch().unwrap().index;
		settle(1, &[(0, 60)]);
		next_window(2);
		while Poc::running_epoch().unwrap().index < epoch + 2 {
			check(2, |_| right());
			next_window(2);
		}
		assert!(reputation(3) <= before / 2 + 1, "{} of {before}", reputation(3));
		assert!(reputation(2) > reputation(3));
	});
}

#[test]
fn an_idle_host_gains_no_reputation() {
	run(|| {
		start(&[10, 10, 10]);
		go_to(SCHEDULE.length * 4);
		assert_eq!(Records::<Test>::iter().count(), 0);
		assert_eq!(Audits::reputation_view(&account(1)).reputation, 0);
	});
}
