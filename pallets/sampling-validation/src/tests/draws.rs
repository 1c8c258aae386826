//! What is drawn: in proportion to work, to reputation, and to weight.

use super::{mock::*, world::*};
use crate::{Batches, Event, Record, Records, types::Batch};
use gonka_primitives::sampling::{MILLION, Pick};
use std::collections::BTreeMap;

/// The record of a host that settled enough, with this reputation.
fn trusted(host: u8, reputation: u32) {
	let record = Record { reputation, receipts: RULES.first, ..Default::default() };
	Records::<Test>::insert(account(host), record);
}

fn batch(host: u8, window: u32) -> Batch {
	Batches::<Test>::get(account(host), window).unwrap()
}

#[test]
fn samples_are_drawn_in_the_second_block_of_the_next_window() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(0, 3)]);
		next_window(0);
		assert!(!batch(1, settled).drawn);
		assert!(open_samples(2).is_empty() && open_samples(3).is_empty());
		pass(1);
		assert!(batch(1, settled).drawn);
		let all: Vec<_> = [2, 3].into_iter().flat_map(open_samples).collect();
		assert_eq!(all.len(), 3);
		assert_eq!(batch(1, settled).pending, 3);
		assert!(all.iter().all(|(drawn, sample)| *drawn == window() && sample.window == settled && sample.model == 0));
		assert_eq!(events(), [Event::Sampled { host: account(1), window: settled, samples: 3 }]);
	});
}

#[test]
fn the_first_fifty_receipts_are_all_checked() {
	run(|| {
		start(&[10, 10, 10]);
		for (count, expected) in [(30, 30), (30, 20)] {
			let settled = settle(1, &[(0, count)]);
			next_window(1);
			let mut numbers: Vec<_> = [2, 3]
				.into_iter()
				.flat_map(open_samples)
				.filter(|(_, sample)| sample.window == settled)
				.filter_map(|(_, sample)| match sample.pick {
					Pick::Receipt(number) => Some(number),
					Pick::Work(_) => None,
				})
				.collect();
			numbers.sort_unstable();
			assert_eq!(numbers, (0..expected).collect::<Vec<u64>>());
		}
		assert_eq!(Sampling::sampling_view(&account(1)).receipts, 50);
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
		let samples: Vec<_> = [2, 3].into_iter().flat_map(open_samples).map(|(_, sample)| sample).collect();
		assert!(!samples.is_empty());
		for sample in samples {
			let index = sample.pick.find(&leaves).unwrap();
			let path = gonka_primitives::merkle_sum::prove(&leaves, index).unwrap();
			assert!(sample.pick.is_shown(&sample.root, &leaves[index], &path));
			assert!(!sample.pick.is_shown(&sample.root, &leaves[(index + 1) % 100], &path));
			assert_eq!(sample.model, u32::from(index >= 40), "leaves ascend by model");
		}
	});
}

#[test]
fn rates_follow_reputation_and_models_follow_work() {
	for (reputation, rate) in [(MILLION, 0.01), (MILLION / 2, 0.0325), (0, 0.1)] {
		let (mut samples, mut of_second, rounds) = (0, 0, 30);
		for salt in 0..rounds {
			Salt::set(salt + u64::from(reputation));
			run(|| {
				start(&[10, 10, 10, 10]);
				trusted(1, reputation);
				let settled = settle(1, &[(0, 100), (1, 300)]);
				next_window(1);
				samples += batch(1, settled).pending;
				let all = [2, 3, 4].into_iter().flat_map(open_samples);
				of_second += all.filter(|(_, sample)| sample.model == 1).count();
			});
		}
		Salt::set(0);
		let expected = 400.0 * rate * rounds as f64;
		assert!((f64::from(samples) - expected).abs() < 0.1 * expected, "{reputation}: {samples} of {expected}");
		let share = of_second as f64 / f64::from(samples);
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
			assert!(open_samples(1).is_empty());
			for name in 2..=6 {
				*drawn.entry(name).or_default() += open_samples(name).len() as f64;
			}
		});
	}
	Salt::set(0);
	assert_eq!(drawn.values().sum::<f64>(), 2_400.0, "each sample has a checker");
	for (name, weight) in (1..).zip(weights).skip(1) {
		let expected = 2_400.0 * weight as f64 / 80.0;
		assert!((drawn[&name] - expected).abs() < 4.0 * expected.sqrt(), "{name}: {} of {expected}", drawn[&name]);
	}
}

#[test]
fn models_without_profile_are_not_sampled_and_fees_are_released() {
	run(|| {
		start(&[10, 10, 10]);
		let settled = settle(1, &[(2, 10)]);
		assert!(Batches::<Test>::get(account(1), settled).is_none());
		next_window(2);
		assert!(open_samples(2).is_empty() && open_samples(3).is_empty());
		next_window(0);
		assert_eq!(balance(1), 100);
		// Of a settlement with both, only what can be sampled is.
		settle(2, &[(0, 25), (2, 25)]);
		next_window(2);
		let samples: Vec<_> = [1, 3].into_iter().flat_map(open_samples).map(|(_, sample)| sample).collect();
		assert_eq!(samples.len(), 25);
		assert!(samples.iter().all(|sample| matches!(sample.pick, Pick::Work(unit) if unit < 2_500)));
	});
}

#[test]
fn full_lists_pass_samples_on() {
	run(|| {
		start(&[10, 1_000_000, 10]);
		for host in [1, 3] {
			settle(host, &[(0, 30)]);
		}
		next_window(3);
		let counts: Vec<_> = (1..=3).map(|name| open_samples(name).len()).collect();
		assert_eq!(counts[1], MAX_ASSIGNED as usize);
		assert_eq!(counts.iter().sum::<usize>(), 60, "{counts:?}");
	});
}

#[test]
fn a_draw_goes_on_over_blocks_and_ends_with_its_window() {
	run(|| {
		start(&[10; 12]);
		let settled: Vec<_> = (1..=12).map(|host| settle(host, &[(0, 20)])).collect();
		let drawn = || (1..=12).filter(|host| batch(*host, settled[0]).drawn).count();
		next_window(1);
		assert_eq!(drawn(), 4, "a block draws from so many settlements");
		pass(2);
		assert_eq!(drawn(), 12);
		pass(1);
		assert!(crate::Drawing::<Test>::get().is_none());
		assert_eq!((1..=12).map(|name| open_samples(name).len()).sum::<usize>(), 240);
	});
}

#[test]
fn a_new_table_follows_each_settled_epoch_and_old_ones_go() {
	run(|| {
		start(&[26, 28, 30, 32, 34]);
		assert_eq!(crate::Tables::<Test>::get(0, 0), (5, 750));
		assert_eq!(crate::Tables::<Test>::get(0, 2), (0, 0), "it has no profile");
		go_to(1 + SCHEDULE.length + SCHEDULE.settle_start() + 3);
		assert_eq!(crate::TableEpoch::<Test>::get(), Some(1));
		pass(3);
		assert_eq!(crate::Tables::<Test>::iter().filter(|(epoch, ..)| *epoch == 0).count(), 0);
		assert_eq!(crate::Table::<Test>::iter().count(), 10, "two models, five hosts");
		// Each ticket finds the first row above it.
		let find = |ticket| crate::Table::<Test>::get((1, 0, Sampling::find_row(1, 0, 5, ticket))).unwrap();
		let rows: Vec<_> = (0..5).map(|index| crate::Table::<Test>::get((1, 0, index)).unwrap()).collect();
		for ticket in 0..750 {
			let expected = rows.iter().find(|row| row.cumulative > ticket).unwrap();
			assert_eq!(find(ticket), *expected);
		}
	});
}

#[test]
fn without_weights_the_table_before_goes_on() {
	run(|| {
		start(&[10, 20]);
		let _ = pallet_poc::Standings::<Test>::clear_prefix(1, 100, None);
		go_to(1 + SCHEDULE.length + SCHEDULE.settle_start() + 3);
		assert_eq!((crate::Built::<Test>::get(), crate::TableEpoch::<Test>::get()), (Some(1), Some(0)));
		settle(1, &[(0, 5)]);
		next_window(2);
		assert_eq!(open_samples(2).len(), 5);
	});
}

#[test]
fn settlements_are_forgotten_after_some_windows() {
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
