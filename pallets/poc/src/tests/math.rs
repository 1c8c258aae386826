use crate::math::*;
use proptest::prelude::*;

#[test]
fn the_median_decides() {
	assert_eq!(raw_weight(&[1, 2, 3, 4, 5], 5), 15);
	assert_eq!(raw_weight(&[5, 5, 5], 5), 25);
	assert_eq!(raw_weight(&[5, 5], 5), 0);
	assert_eq!(raw_weight(&[], 5), 0);
	assert_eq!(raw_weight(&[7], 0), 0);
}

#[test]
fn three_hosts_are_not_capped() {
	assert_eq!(cap(&[8, 1, 1], 10, 3), u64::MAX);
	assert_eq!(cap(&[], 0, 0), u64::MAX);
}

fn descending(weights: &[u64]) -> Vec<u64> {
	let mut weights = weights.to_vec();
	weights.sort_unstable_by(|a, b| b.cmp(a));
	weights
}

proptest! {
	#[test]
	fn nobody_exceeds_the_cap_and_it_is_the_largest(weights in prop::collection::vec(1u64..1 << 50, 4..40)) {
		let sorted = descending(&weights);
		let total: u64 = sorted.iter().sum();
		let heaviest = &sorted[..4];
		let cap = cap(heaviest, total, sorted.len() as u32);
		let sum = |cap: u64| sorted.iter().map(|weight| (*weight).min(cap) as u128).sum::<u128>();
		prop_assert_eq!(sum(cap), u128::from(capped_total(heaviest, total, cap)));
		let largest = u128::from(sorted[0].min(cap));
		prop_assert!(largest * 10 <= sum(cap) * 3 + 10);
		if cap < sorted[0] {
			// A little more would be too much.
			let more = cap + 2;
			prop_assert!(u128::from(more) * 10 > sum(more) * 3);
		}
	}

	#[test]
	fn the_weight_does_not_depend_on_order(mut counts in prop::collection::vec(0u64..1 << 40, 0..16)) {
		let weight = raw_weight(&counts, 5);
		counts.truncate(5);
		counts.reverse();
		prop_assert_eq!(weight, raw_weight(&counts, 5));
	}

	#[test]
	fn power_is_never_zero_and_keeps_proportion(weights in prop::collection::vec(0u64..=u64::MAX, 1..300)) {
		let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
		let power = normalise(weights.iter().copied().enumerate().collect());
		prop_assert!(power.iter().all(|(_, power)| *power >= 1));
		let sum: u64 = power.iter().map(|(_, power)| power).sum();
		prop_assert!(sum <= POWER_BUDGET + weights.len() as u64);
		for ((_, power), weight) in power.iter().zip(&weights) {
			let exact = u128::from(*weight) * u128::from(POWER_BUDGET) / total.max(1);
			prop_assert!(u128::from(*power) == exact.max(1));
		}
	}
}

#[test]
fn ratios_are_millionths() {
	assert_eq!(confirmed(100, &[100, 50], 2), 750_000);
	assert_eq!(confirmed(100, &[300], 2), MILLION, "never above 1");
	assert_eq!(confirmed(100, &[], 3), 0);
	assert_eq!(confirmed(100, &[], 0), MILLION, "none was called");
	assert_eq!(confirmed(0, &[1], 1), MILLION);
	assert_eq!(performance(&[(4, 4)], 0, 0, 0), MILLION);
	assert_eq!(performance(&[(0, 0), (0, 0)], 0, 0, 0), MILLION, "no duties");
	assert_eq!(performance(&[(4, 2)], 1, 1, 0), 750_000);
	assert_eq!(performance(&[(4, 4)], 0, 0, 1), 500_000);
	assert_eq!(performance(&[(4, 4), (10, 5)], 0, 0, 0), 750_000, "samples are a duty of their own");
	assert_eq!(paid(1_000, 500_000, 500_000), 250);
	assert_eq!(paid(u64::MAX, MILLION, MILLION), u64::MAX);
}

proptest! {
	#[test]
	fn guardians_get_their_third_and_nobody_nothing(
		weights in prop::collection::vec(1u64..1 << 40, 1..50),
		guardians in prop::collection::vec(0usize..60, 0..8),
	) {
		let mut guardians = guardians;
		guardians.sort_unstable();
		guardians.dedup();
		let before: Vec<_> = weights.iter().copied().enumerate().collect();
		let power = guard(before.clone(), &guardians);
		let sum = |of: &dyn Fn(&usize) -> bool| -> u64 {
			power.iter().filter(|(who, _)| of(who)).map(|(_, power)| power).sum()
		};
		let total = sum(&|_| true);
		prop_assert!(power.iter().all(|(_, power)| *power > 0));
		prop_assert!(total.abs_diff(POWER_BUDGET) <= power.len() as u64);
		if !guardians.is_empty() {
			prop_assert!(sum(&|who| guardians.contains(who)) + 2 * power.len() as u64 >= total / 100 * 34);
		}
		let mut names: Vec<_> = power.iter().map(|(who, _)| who).collect();
		names.sort_unstable();
		names.dedup();
		prop_assert_eq!(names.len(), power.len(), "nobody twice");
	}

	#[test]
	fn pay_is_never_above_weight(weight: u64, a in 0..=MILLION, b in 0..=MILLION) {
		prop_assert!(paid(weight, a, b) <= weight);
	}
}
