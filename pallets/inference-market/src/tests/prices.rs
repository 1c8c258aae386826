//! Prices move once a window, by the work that was settled in it.

use super::mock::*;
use crate::{Error, Event, Models, PriceRule, WindowWork};
use gonka_primitives::market::Price;
use polkadot_sdk::frame_support::{assert_noop, assert_ok};
use proptest::prelude::*;

const CAPACITY: u64 = 1_000;

fn both(price: u128) -> Price {
	Price { input: price, output: price }
}

fn rule(capacity: u64, min: u128, max: u128) -> PriceRule {
	PriceRule { capacity, min: both(min), max: both(max) }
}

fn set(rule: PriceRule, price: Price) {
	assert_ok!(Market::set_price_rule(
		RuntimeOrigin::root(),
		0,
		PriceRule { capacity: rule.capacity, ..Default::default() }
	));
	assert_ok!(Market::set_price(RuntimeOrigin::root(), 0, price));
	assert_ok!(Market::set_price_rule(RuntimeOrigin::root(), 0, rule));
}

fn price() -> Price {
	Models::<Test>::get(0).unwrap().price
}

/// Sets the work that was settled since the window began.
fn work(work: u64) {
	WindowWork::<Test>::insert(0, work);
}

fn next_window() {
	run_to((System::block_number() / WINDOW + 1) * WINDOW);
}

#[test]
fn prices_rest_between_low_and_high_use_and_move_in_proportion_outside() {
	let rule = rule(CAPACITY, 1, u64::MAX.into());
	let at = |work| rule.step(both(1_000_000), work, STEERING).input;
	for work in [400, 401, 500, 599, 600] {
		assert_eq!(at(work), 1_000_000);
	}
	assert_eq!((at(601), at(700), at(800), at(1_000)), (1_000_050, 1_005_000, 1_010_000, 1_020_000));
	assert_eq!((at(399), at(300), at(200), at(0)), (999_950, 995_000, 990_000, 980_000));
	// Work above the capacity moves the price by 2 %, too.
	assert_eq!((at(1_001), at(u64::MAX)), (1_020_000, 1_020_000));
}

#[test]
fn a_step_is_at_least_one_unit() {
	let rule = rule(CAPACITY, 1, 60);
	assert_eq!(rule.step(both(1), 601, STEERING), both(2));
	assert_eq!(rule.step(both(2), 399, STEERING), both(1));
	assert_eq!(rule.step(both(1), 0, STEERING), both(1));
	assert_eq!(rule.step(both(59), u64::MAX, STEERING), both(60));
	assert_eq!(rule.step(both(60), u64::MAX, STEERING), both(60));
}

#[test]
fn a_price_moves_when_the_window_of_the_settlement_ends() {
	build_and_execute(|| {
		set(rule(100, 1, 10_000), both(1_000));
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		submit(settlement(0, &[voucher(&gateway(0), id, totals(100_000, 100, 1))]));
		assert_eq!(WindowWork::<Test>::get(0), 100);
		run_to(2 * WINDOW - 1);
		assert_eq!(price(), both(1_000));
		run_to(2 * WINDOW);
		assert_eq!((price(), WindowWork::<Test>::get(0)), (both(1_020), 0));
		assert_eq!(last_event(), Event::PriceMoved { model: 0, price: both(1_020), work: 100 });
		run_to(3 * WINDOW - 1);
		assert_eq!(price(), both(1_020));
		// Nothing was settled in this window.
		run_to(3 * WINDOW);
		assert_eq!(price(), both(1_000));
	});
}

#[test]
fn settlements_of_several_hosts_and_models_are_summed() {
	build_and_execute(|| {
		second_model();
		let id = open(&[(host(0), MIN_DEPOSIT), (host(1), MIN_DEPOSIT)]);
		let mut first = settlement(0, &[voucher(&gateway(0), id, totals(50_000, 50, 1))]);
		first.work = vec![(0, 20), (1, 30)];
		submit(first);
		let mut second = settlement(0, &[voucher(&gateway(0), id + 1, totals(50_000, 50, 1))]);
		second.host = host(1).into();
		assert_ok!(submit_as(&worker(1), second).unwrap());
		assert_eq!((WindowWork::<Test>::get(0), WindowWork::<Test>::get(1)), (70, 30));
		run_to(2 * WINDOW);
		assert_eq!((price(), Models::<Test>::get(1).unwrap().price), (both(1_005), both(995)));
	});
}

/// Registers model 1 at the price of model 0.
fn second_model() {
	set(rule(100, 1, 10_000), both(1_000));
	let (name, rule) = (b"other".to_vec().try_into().unwrap(), rule(100, 1, 10_000));
	let (hash, quantisation) = ([0; 32], Default::default());
	assert_ok!(Market::register_model(
		RuntimeOrigin::root(),
		name,
		hash,
		hash,
		quantisation,
		1,
		both(1_000),
		1,
		1,
		rule
	));
}

/// Settles 20 units of model 0 and 30 of model 1 for `fee`. Returns what counts of each.
fn counted(fee: u128) -> (u64, u64) {
	let id = open(&[(host(0), MIN_DEPOSIT)]);
	let mut claim = settlement(0, &[voucher(&gateway(0), id, totals(fee, 50, 1))]);
	claim.work = vec![(0, 20), (1, 30)];
	submit(claim);
	let counted = (WindowWork::<Test>::get(0), WindowWork::<Test>::get(1));
	assert_eq!(Work::get().values().sum::<u64>(), counted.0 + counted.1, "prices and `served` see the same");
	counted
}

#[test]
fn work_counts_as_far_as_it_is_paid_for() {
	for (fee, expected) in [(49_999, (19, 29)), (50_000, (20, 30)), (90_000, (20, 30)), (25_000, (10, 15)), (0, (0, 0))]
	{
		build_and_execute(|| {
			second_model();
			assert_eq!(counted(fee), expected);
		});
	}
}

#[test]
fn the_lower_price_is_enough_for_work_to_count() {
	build_and_execute(|| {
		second_model();
		assert_ok!(Market::set_price(RuntimeOrigin::root(), 1, Price { input: 9_000, output: 1_000 }));
		assert_eq!(counted(50_000), (20, 30));
	});
}

#[test]
fn work_of_a_model_that_is_not_audited_does_not_count() {
	build_and_execute(|| {
		second_model();
		Unaudited::set(vec![1]);
		assert_eq!(counted(50_000), (20, 0));
	});
}

#[test]
fn work_of_a_model_that_the_host_does_not_declare_does_not_count() {
	build_and_execute(|| {
		second_model();
		Declared::set(vec![1]);
		assert_eq!(counted(50_000), (0, 30));
	});
}

#[test]
fn work_of_a_retired_model_does_not_count_and_needs_no_fee() {
	build_and_execute(|| {
		second_model();
		assert_ok!(Market::retire_model(RuntimeOrigin::root(), 1));
		assert_eq!(counted(20_000), (20, 0));
	});
}

#[test]
fn no_work_counts_in_the_free_period() {
	build_and_execute(|| {
		second_model();
		Epoch::set(FREE_EPOCHS - 1);
		assert_eq!(counted(50_000), (0, 0));
	});
}

#[test]
fn a_price_without_capacity_rests() {
	build_and_execute(|| {
		work(u64::MAX);
		next_window();
		assert_eq!(price(), Price { input: 1, output: 2 });
		assert_eq!(WindowWork::<Test>::iter().count(), 0);
	});
}

#[test]
fn a_price_stays_within_its_bounds() {
	build_and_execute(|| {
		set(rule(CAPACITY, 990, 1_030), both(1_000));
		for expected in [1_020, 1_030, 1_030] {
			work(CAPACITY);
			next_window();
			assert_eq!(price(), both(expected));
		}
		for expected in [1_010, 990, 990] {
			next_window();
			assert_eq!(price(), both(expected));
		}
	});
}

#[test]
fn prices_are_shown_as_zero_and_rest_in_the_free_period() {
	build_and_execute(|| {
		set(rule(CAPACITY, 1, 10_000), both(1_000));
		Epoch::set(FREE_EPOCHS - 1);
		for _ in 0..3 {
			work(CAPACITY);
			next_window();
			assert_eq!(Market::models()[0].price, Price::default());
			assert_eq!(price(), both(1_000));
		}
		Epoch::set(FREE_EPOCHS);
		assert_eq!(Market::models()[0].price, both(1_000));
		work(CAPACITY);
		next_window();
		assert_eq!(Market::models()[0].price, both(1_020));
	});
}

#[test]
fn a_new_rule_brings_the_price_within_its_bounds() {
	build_and_execute(|| {
		let new = PriceRule { capacity: 5, min: both(10), max: both(20) };
		assert_ok!(Market::set_price_rule(RuntimeOrigin::root(), 0, new));
		assert_eq!((price(), Models::<Test>::get(0).unwrap().rule), (both(10), new));
		assert_eq!(last_event(), Event::PriceSet { model: 0, price: both(10) });
		let out = Price { input: 10, output: 21 };
		assert_noop!(Market::set_price(RuntimeOrigin::root(), 0, out), Error::<Test>::PriceOutOfBounds);
		assert_ok!(Market::set_price_rule(RuntimeOrigin::root(), 0, rule(0, 10, 30)));
		assert_eq!(last_event(), Event::PriceRuleSet { model: 0, rule: rule(0, 10, 30) });

		for bad in [rule(1, 0, 5), rule(1, 6, 5), PriceRule { max: Price { input: 9, output: 0 }, ..rule(1, 1, 9) }] {
			assert_noop!(Market::set_price_rule(RuntimeOrigin::root(), 0, bad), Error::<Test>::Malformed);
		}
		assert_noop!(Market::set_price_rule(RuntimeOrigin::root(), 7, new), Error::<Test>::NotFound);
	});
}

#[test]
fn a_model_with_a_price_out_of_bounds_is_not_registered() {
	build_and_execute(|| {
		let name: crate::Name = b"pricey".to_vec().try_into().unwrap();
		let register = |price, rule| {
			let quantisation = Default::default();
			Market::register_model(
				RuntimeOrigin::root(),
				name.clone(),
				[0; 32],
				[0; 32],
				quantisation,
				1,
				price,
				1,
				1,
				rule,
			)
		};
		assert_noop!(register(both(0), PriceRule::default()), Error::<Test>::PriceOutOfBounds);
		assert_noop!(register(both(9), rule(1, 1, 8)), Error::<Test>::PriceOutOfBounds);
		assert_noop!(register(both(9), rule(1, 0, 9)), Error::<Test>::Malformed);
		assert_ok!(register(both(9), rule(1, 9, 9)));
	});
}

#[test]
fn a_retired_model_leaves_no_work() {
	build_and_execute(|| {
		work(9);
		assert_ok!(Market::retire_model(RuntimeOrigin::root(), 0));
		assert_eq!(WindowWork::<Test>::iter().count(), 0);
		next_window();
	});
}

proptest! {
	#[test]
	fn a_step_is_bounded_and_follows_use(
		capacity: u64, work: u64, old in 1..=u128::MAX, min in 1..=u128::MAX, max in 1..=u128::MAX,
	) {
		let rule = rule(capacity, min.min(max), max.max(min));
		prop_assert!(rule.is_well_formed());
		let old = rule.bound(both(old)).input;
		let new = rule.step(both(old), work, STEERING).input;
		let (part, max_step) = (u128::from(work) * 100, (old / 50).max(1));
		let (low, high) = (u128::from(capacity) * 40, u128::from(capacity) * 60);
		prop_assert!(new.abs_diff(old) <= max_step && rule.allows(&both(new)));
		if capacity == 0 || (low..=high).contains(&part) {
			prop_assert_eq!(new, old);
		} else if part > high {
			prop_assert!(new > old || old == rule.max.input);
		} else {
			prop_assert!(new < old || old == rule.min.input);
		}
	}
}
