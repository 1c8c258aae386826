use crate::{math::*, types::Traffic};
use proptest::prelude::*;

const CAP: u64 = 300_000;
const GUARDED: u64 = 340_000;

#[test]
fn compute_weight_is_the_median_times_the_segments() {
	assert_eq!(compute_weight(&[1, 2, 3, 4, 5], 5), 15);
	assert_eq!(compute_weight(&[5, 5, 5], 5), 25);
	assert_eq!(compute_weight(&[5, 5], 5), 0);
	assert_eq!(compute_weight(&[], 5), 0);
	assert_eq!(compute_weight(&[7], 0), 0);
}

#[test]
fn three_hosts_are_not_capped() {
	assert_eq!(cap(&[8, 1, 1], 10, 3, CAP), u64::MAX);
	assert_eq!(cap(&[], 0, 0, CAP), u64::MAX);
}

#[test]
fn patience_with_hosts_without_weight_falls_with_the_places_left() {
	let days = |hosts| patience(hosts, 10_000, 7);
	assert_eq!([0, 5_000, 5_625, 6_875, 8_125, 8_749, 8_750, 10_000].map(days), [7, 7, 6, 4, 2, 2, 1, 1]);
	assert_eq!([0, 600].map(|hosts| patience(hosts, 600, 1)), [1, 1]);
	assert_eq!([8_749, 8_750].map(|hosts| least_weight(hosts, 10_000, 1 << 40)), [0, (1 << 40) / 160_000]);
	assert_eq!((patience(1, 0, 7), least_weight(1, 0, 9)), (7, 0));
}

fn descending(weights: &[u64]) -> Vec<u64> {
	let mut weights = weights.to_vec();
	weights.sort_unstable_by(|a, b| b.cmp(a));
	weights
}

proptest! {
	#[test]
	fn the_cap_is_the_largest_that_no_host_exceeds(
		weights in prop::collection::vec(1u64..1 << 50, 10..40),
		share in 100_000u64..=330_000,
	) {
		let sorted = descending(&weights);
		let total: u64 = sorted.iter().sum();
		let heaviest = &sorted[..10];
		let cap = cap(heaviest, total, sorted.len() as u32, share);
		let (share, million) = (u128::from(share), u128::from(MILLION));
		let sum = |cap: u64| sorted.iter().map(|weight| (*weight).min(cap) as u128).sum::<u128>();
		prop_assert_eq!(sum(cap), u128::from(capped_total(heaviest, total, cap)));
		let largest = u128::from(sorted[0].min(cap));
		prop_assert!(largest * million <= sum(cap) * share + million);
		if cap < sorted[0] {
			// A higher cap would be exceeded, unless all weights are above it.
			let more = cap + 2;
			prop_assert!(u128::from(more) * million > sum(more) * share || sorted[9] >= cap);
		}
	}

	#[test]
	fn compute_weight_does_not_depend_on_the_order_of_counts(mut counts in prop::collection::vec(0u64..1 << 40, 0..16)) {
		let weight = compute_weight(&counts, 5);
		counts.truncate(5);
		counts.reverse();
		prop_assert_eq!(weight, compute_weight(&counts, 5));
	}

	#[test]
	fn power_is_proportional_and_never_zero(weights in prop::collection::vec(0u64..=u64::MAX, 1..300)) {
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
fn factors_are_in_millionths() {
	assert_eq!(confirmed(100, &[100, 50], 2), 750_000);
	assert_eq!(confirmed(100, &[300], 2), MILLION, "never above 1");
	assert_eq!(confirmed(100, &[], 3), 0);
	assert_eq!(confirmed(100, &[], 0), MILLION, "none was called");
	assert_eq!(confirmed(0, &[1], 1), MILLION);
	assert_eq!(performance(&[(4, 4)], 0, 0), MILLION);
	assert_eq!(performance(&[(0, 0), (0, 0)], 0, 0), MILLION, "no duties");
	assert_eq!(performance(&[(4, 2)], 1, 1), 750_000);
	assert_eq!(performance(&[(4, 4)], 1, 0), 500_000);
	assert_eq!(performance(&[(4, 4), (10, 5)], 0, 0), 750_000, "audits are a duty of their own");
	assert_eq!([0, 1, 2, 3, 4].map(|unanswered| answered(900, unanswered, 9)), [900, 600, 300, 0, 0]);
	assert_eq!([1, 2, 3, 6].map(|committee| answered(900, 1, committee)), [0, 0, 0, 450]);
	assert_eq!((answered(900, 0, 0), answered(u64::MAX, 0, 9), answered(7, u32::MAX, 9)), (900, u64::MAX, 0));
	let idle = |due, done| is_idle(&[(due, done), (1, 1)], 950_000);
	assert_eq!([(18, 0), (19, 18), (19, 17), (0, 0)].map(|(due, done)| idle(due, done)), [false, false, true, false]);
	let old = [(1, 400_000), (2, 600_000)];
	assert!(!has_moved(&old, &[(1, 405_000), (2, 595_000)]) && has_moved(&old, &[(1, 411_000), (2, 589_000)]));
	assert!(has_moved(&old, &[(1, 400_000), (3, 600_000)]));
	let many: Vec<_> = (0..300).map(|who| (who, 3_333)).collect();
	let fewer: Vec<_> = (0..300).map(|who| (who, if who < 30 { 1 } else { 3_703 })).collect();
	assert!(has_moved(&many, &fewer), "many small validators count as much as a large one");
	assert_eq!(paid(1_000, 1_000, 500_000, [500_000, 200_000]), 50);
	assert_eq!(paid(1_000, 400, 500_000, [500_000, 200_000]), 40, "no more than what was proven before");
	assert_eq!(paid(1_000, 900, 900_000, [MILLION; 2]), 900, "two days with a tenth missing cost a tenth");
	assert_eq!(paid(u64::MAX, u64::MAX, MILLION, [MILLION; 2]), u64::MAX);
	assert_eq!([0, 1, 30].map(|delay| in_time(310, 30, delay)), [310, 300, 155]);
	assert_eq!(in_time(u64::MAX, u32::MAX, u32::MAX), u64::MAX / 2);
}

proptest! {
	#[test]
	fn guardians_get_their_share_and_every_validator_has_power(
		weights in prop::collection::vec(1u64..1 << 40, 1..50),
		guardians in prop::collection::vec(0usize..60, 0..8),
	) {
		let mut guardians = guardians;
		guardians.sort_unstable();
		guardians.dedup();
		let before: Vec<_> = weights.iter().copied().enumerate().collect();
		let power = guard(before.clone(), &guardians, GUARDED);
		let sum = |of: &dyn Fn(&usize) -> bool| -> u64 {
			power.iter().filter(|(who, _)| of(who)).map(|(_, power)| power).sum()
		};
		let total = sum(&|_| true);
		prop_assert!(power.iter().all(|(_, power)| *power > 0));
		// Each validator's power is rounded when it is normalised, and when the guardians take their part.
		prop_assert!(total.abs_diff(POWER_BUDGET) <= 2 * power.len() as u64);
		if !guardians.is_empty() {
			prop_assert!(sum(&|who| guardians.contains(who)) + 2 * power.len() as u64 >= total / 100 * 34);
		}
		let mut names: Vec<_> = power.iter().map(|(who, _)| who).collect();
		names.sort_unstable();
		names.dedup();
		prop_assert_eq!(names.len(), power.len(), "no validator has two entries");
	}

	#[test]
	fn paid_weight_is_never_above_backed_or_proven_weight(
		weight: u64,
		proven: u64,
		a in 0..=MILLION,
		b in 0..=MILLION,
		c in 0..=MILLION,
	) {
		prop_assert!(paid(weight, proven, a, [b, c]) <= weight.min(proven));
	}
}

/// The [`Traffic`] of hosts with these pairs of work and weight, and the sum of their weights.
fn traffic(hosts: &[(u64, u64)]) -> (Traffic, u64) {
	let mut traffic = Traffic::default();
	for (work, weight) in hosts {
		// In two settlements.
		traffic.add(*weight, 0, work / 3);
		traffic.add(*weight, work / 3, work - work / 3);
	}
	(traffic, hosts.iter().map(|(_, weight)| weight).sum())
}

/// The lowest ratio that hosts of half the weight do not exceed.
fn exact_median(hosts: &[(u64, u64)], total: u64) -> u64 {
	let mut ratios: Vec<_> = hosts.iter().map(|(work, weight)| (ratio(*work, *weight), *weight)).collect();
	ratios.sort_unstable();
	let mut seen = 0;
	let median = ratios.into_iter().find(|(_, weight)| {
		seen += weight;
		seen * 2 >= total
	});
	median.unwrap().0
}

#[test]
fn buckets_cover_all_ratios_in_order() {
	assert_eq!(bucket(0), None);
	assert_eq!([1, 2, 3, 4, 5, u64::MAX].map(bucket), [Some(0), Some(4), Some(6), Some(8), Some(9), Some(255)]);
	// Below 4, there are fewer than four numbers from one power of two to the next.
	for number in 12..=255 {
		assert_eq!(bucket(lower_edge(number)), Some(number));
		assert_eq!(bucket(lower_edge(number) - 1), Some(number - 1));
	}
	assert_eq!([12, 13, 14, 15, 16, 255].map(lower_edge), [8, 10, 12, 14, 16, 7 << 61]);
}

#[test]
fn hosts_are_paid_in_full_from_a_fifth_of_the_median_on() {
	assert_eq!(
		[0, 1, 10, 19, 20, 21, 500].map(|ratio| served(ratio, 100)),
		[0, 50_000, 500_000, 950_000, MILLION, MILLION, MILLION]
	);
	assert_eq!(served(0, 0), MILLION, "without a median no host is compared");
	assert_eq!(served(u64::MAX, 1), MILLION);
}

fn hosts() -> impl Strategy<Value = Vec<(u64, u64)>> {
	let work = prop_oneof![Just(0), 1u64..1_000, 0u64..1 << 40];
	prop::collection::vec((work, 1u64..1 << 45), 1..80)
}

proptest! {
	#[test]
	fn the_median_is_found_within_a_bucket(hosts in hosts()) {
		let (traffic, total) = traffic(&hosts);
		let (found, exact) = (median_ratio(&traffic.weights, total), exact_median(&hosts, total));
		prop_assert_eq!(bucket(found), bucket(exact));
		prop_assert!(found <= exact && exact - found <= found / 4);
		prop_assert_eq!(traffic.work, hosts.iter().map(|(work, _)| work).sum::<u64>());
	}

	#[test]
	fn hosts_that_serve_in_proportion_to_weight_are_paid_in_full(weights in prop::collection::vec(1u64..1 << 40, 1..50), rate in 1u64..1 << 20) {
		let hosts: Vec<_> = weights.iter().map(|weight| (weight * rate, *weight)).collect();
		let (traffic, total) = traffic(&hosts);
		let median = median_ratio(&traffic.weights, total);
		prop_assert!(median > 0);
		prop_assert!(hosts.iter().all(|(work, weight)| served(ratio(*work, *weight), median) == MILLION));
	}

	#[test]
	fn a_host_that_serves_nothing_earns_nothing_if_most_serve(hosts in hosts(), idle in 1u64..1 << 45) {
		let (traffic, total) = traffic(&hosts);
		let median = median_ratio(&traffic.weights, total.saturating_add(idle));
		prop_assert_eq!(served(ratio(0, idle), median), if median > 0 { 0 } else { MILLION });
		// At least half of the weight is always paid in full.
		let full = |(work, weight): &&(u64, u64)| served(ratio(*work, *weight), median) == MILLION;
		let paid: u64 = hosts.iter().filter(full).map(|(_, weight)| weight).sum();
		prop_assert!(median == 0 || paid * 2 >= total);
	}
}
