//! The draw of audits: in proportion to work, to missing reputation, and to weight.

use super::{mock::*, world::*};
use crate::{Batches, Event, Record, Records, types::Batch};
use gonka_primitives::audit::{MILLION, Pick};
use std::collections::BTreeMap;

/// Sets the record of a host that settled its first receipts, with this reputation.
fn trusted(host: u8, reputation: u32) {
	let record = Record { reputation, receipts: RULES.first, ..Default::default() };
	Records::<Test>::insert(account(host), record);
}

fn batch(host: u8, window: u32) -> Batch {
	Batches::<Test>::get(account(host), window).unwrap()
}

#[test]
fn audits_are_drawn_in_the_second_block_of_the_next_window() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(0, 3)]);
		next_window(0);
		assert!(!batch(1, settled).drawn);
		assert!(open_audits(2).is_empty() && open_audits(3).is_empty());
		pass(1);
		assert!(batch(1, settled).drawn);
		let all: Vec<_> = [2, 3].into_iter().flat_map(open_audits).collect();
		assert_eq!(all.len(), 3);
		assert_eq!(batch(1, settled).pending, 3);
		assert!(all.iter().all(|(drawn, audit)| *drawn == window() && audit.window == settled && audit.model == 0));
		assert_eq!(events(), [Event::AuditsDrawn { host: account(1), window: settled, audits: 3 }]);
	});
}

#[test]
fn the_first_fifty_receipts_are_all_audited() {
	run(|| {
		start(&[10, 10, 10]);
		for (count, expected) in [(30, 30), (30, 20)] {
			let settled = settle(1, &[(0, count)]);
			next_window(1);
			let mut numbers: Vec<_> = [2, 3]
				.into_iter()
				.flat_map(open_audits)
				.filter(|(_, audit)| audit.window == settled)
				.filter_map(|(_, audit)| match audit.pick {
					Pick::Receipt(number) => Some(number),
					Pick::Work(_) => None,
				})
				.collect();
			numbers.sort_unstable();
			assert_eq!(numbers, (0..expected).collect::<Vec<u64>>());
		}
		assert_eq!(Audits::reputation_view(&account(1)).receipts, 50);
	});
}

#[test]
fn a_pick_is_one_leaf_that_the_root_proves() {
	run(|| {
		start(&[10, 10, 10]);
		trusted(1, 0);
		let settled = settle(1, &[(0, 40), (1, 60)]);
		let leaves = leaves(1, settled, 100);
		next_window(1);
		let audits: Vec<_> = [2, 3].into_iter().flat_map(open_audits).map(|(_, audit)| audit).collect();
		assert!(!audits.is_empty());
		for audit in audits {
			let index = audit.pick.find(&leaves).unwrap();
			let path = gonka_primitives::merkle_sum::prove(&leaves, index).unwrap();
			assert!(audit.pick.is_shown(&audit.root, &leaves[index], &path));
			assert!(!audit.pick.is_shown(&audit.root, &leaves[(index + 1) % 100], &path));
			assert_eq!(audit.model, u32::from(index >= 40), "leaves ascend by model");
		}
	});
}

#[test]
fn rates_follow_reputation_and_models_follow_work() {
	for (reputation, rate) in [(MILLION, 0.01), (MILLION / 2, 0.0325), (0, 0.1)] {
		let (mut audits, mut of_second, rounds) = (0, 0, 30);
		for salt in 0..rounds {
			Salt::set(salt + u64::from(reputation));
			run(|| {
				start(&[10, 10, 10, 10]);
				trusted(1, reputation);
				let settled = settle(1, &[(0, 100), (1, 300)]);
				next_window(1);
				audits += batch(1, settled).pending;
				let all = [2, 3, 4].into_iter().flat_map(open_audits);
				of_second += all.filter(|(_, audit)| audit.model == 1).count();
			});
		}
		Salt::set(0);
		let expected = 400.0 * rate * rounds as f64;
		assert!((f64::from(audits) - expected).abs() < 0.1 * expected, "{reputation}: {audits} of {expected}");
		let share = of_second as f64 / f64::from(audits);
		assert!((share - 0.75).abs() < 0.12, "{reputation}: {share}");
	}
}

#[test]
fn checkers_are_drawn_by_weight_and_never_check_themselves() {
	let (weights, mut drawn) = ([20, 5, 10, 15, 20, 30], BTreeMap::<u8, f64>::new());
	for salt in 0..60 {
		Salt::set(salt);
		run(|| {
			start(&weights);
			settle(1, &[(0, 40)]);
			next_window(1);
			assert!(open_audits(1).is_empty());
			for name in 2..=6 {
				*drawn.entry(name).or_default() += open_audits(name).len() as f64;
			}
		});
	}
	Salt::set(0);
	assert_eq!(drawn.values().sum::<f64>(), 2_400.0, "each audit has a checker");
	for (name, weight) in (1..).zip(weights).skip(1) {
		let expected = 2_400.0 * weight as f64 / 80.0;
		assert!((drawn[&name] - expected).abs() < 4.0 * expected.sqrt(), "{name}: {} of {expected}", drawn[&name]);
	}
}

#[test]
fn models_without_a_profile_are_not_audited_and_their_fees_are_released() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(2, 10)]);
		assert!(Batches::<Test>::get(account(1), settled).is_none());
		next_window(2);
		assert!(open_audits(2).is_empty() && open_audits(3).is_empty());
		next_window(0);
		assert_eq!(balance(1), 100);
		// Of a settlement with both kinds of models, only the work of those with a profile is audited.
		settle(2, &[(0, 25), (2, 25)]);
		next_window(2);
		let audits: Vec<_> = [1, 3].into_iter().flat_map(open_audits).map(|(_, audit)| audit).collect();
		assert_eq!(audits.len(), 25);
		assert!(audits.iter().all(|audit| matches!(audit.pick, Pick::Work(unit) if unit < 2_500)));
	});
}

#[test]
fn an_audit_goes_to_another_checker_if_a_list_is_full() {
	run(|| {
		start(&[10, 1_000_000, 10]);
		for host in [1, 3] {
			settle(host, &[(0, 30)]);
		}
		next_window(3);
		let counts: Vec<_> = (1..=3).map(|name| open_audits(name).len()).collect();
		assert_eq!(counts[1], MAX_ASSIGNED as usize);
		assert_eq!(counts.iter().sum::<usize>(), 60, "{counts:?}");
	});
}

#[test]
fn a_draw_continues_over_blocks_and_ends_with_its_window() {
	run(|| {
		start(&[10; 12]);
		let settled: Vec<_> = (1..=12).map(|host| settle(host, &[(0, 20)])).collect();
		let drawn = || (1..=12).filter(|host| batch(*host, settled[0]).drawn).count();
		next_window(1);
		assert_eq!(drawn(), 4, "a block draws from at most MaxBatches settlements");
		pass(2);
		assert_eq!(drawn(), 12);
		pass(1);
		assert!(crate::Drawing::<Test>::get().is_none());
		assert_eq!((1..=12).map(|name| open_audits(name).len()).sum::<usize>(), 240);
	});
}

#[test]
fn new_tables_follow_each_weighed_epoch_and_old_ones_are_pruned() {
	run(|| {
		start(&[26, 28, 30, 32, 34]);
		assert_eq!(crate::Tables::<Test>::get(0, 0), (5, 750));
		assert_eq!(crate::Tables::<Test>::get(0, 2), (0, 0), "it has no profile");
		go_to(1 + SCHEDULE.length + SCHEDULE.weigh_start() + 3);
		assert_eq!(crate::TableEpoch::<Test>::get(), Some(1));
		pass(3);
		assert_eq!(crate::Tables::<Test>::iter().filter(|(epoch, ..)| *epoch == 0).count(), 0);
		assert_eq!(crate::TableRows::<Test>::iter().count(), 10, "two models, five hosts");
		// Each ticket finds the first row above it.
		let find = |ticket| crate::TableRows::<Test>::get((1, 0, Audits::find_row(1, 0, 5, ticket))).unwrap();
		let rows: Vec<_> = (0..5).map(|index| crate::TableRows::<Test>::get((1, 0, index)).unwrap()).collect();
		for ticket in 0..750 {
			let expected = rows.iter().find(|row| row.cumulative > ticket).unwrap();
			assert_eq!(find(ticket), *expected);
		}
	});
}

#[test]
fn an_epoch_without_weights_keeps_the_tables_before() {
	run(|| {
		start(&[10, 20]);
		let _ = pallet_poc::Standings::<Test>::clear_prefix(1, 100, None);
		go_to(1 + SCHEDULE.length + SCHEDULE.weigh_start() + 3);
		assert_eq!((crate::LastBuilt::<Test>::get(), crate::TableEpoch::<Test>::get()), (Some(1), Some(0)));
		settle(1, &[(0, 5)]);
		next_window(2);
		assert_eq!(open_audits(2).len(), 5);
	});
}

#[test]
fn settlements_are_pruned_after_some_windows() {
	run(|| {
		start(&[10, 20]);
		let settled = settle(1, &[(0, 5)]);
		for _ in 0..8 {
			next_window(5);
		}
		assert!(Batches::<Test>::contains_key(account(1), settled));
		next_window(5);
		assert!(!Batches::<Test>::contains_key(account(1), settled));
		assert_eq!(crate::Posted::<Test>::iter().count(), 0);
	});
}
