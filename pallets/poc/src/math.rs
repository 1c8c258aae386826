//! Weight and power as pure functions (PROTOCOL §3, §4).

use alloc::vec::Vec;

/// What consensus power adds up to, give or take rounding: each validator's share of it is its vote.
pub const POWER_BUDGET: u64 = 1_000_000;
/// Most leaves one commitment may claim: far above any hardware, far below overflow.
pub const MAX_LEAVES: u64 = 1 << 40;
/// The cap on one host's share: `CAP_NUMERATOR / CAP_DENOMINATOR`.
const CAP_NUMERATOR: u128 = 3;
const CAP_DENOMINATOR: u128 = 10;
/// Hosts that can exceed the cap at the same time.
const MAX_CAPPED: usize = 3;

/// `segments × median(counts)`; segments without a commitment count 0. In leaves.
pub fn raw_weight(counts: &[u64], segments: u8) -> u64 {
	let segments = usize::from(segments);
	let mut counts: Vec<u64> = counts.iter().copied().take(segments).collect();
	counts.resize(segments, 0);
	counts.sort_unstable();
	let middle = segments.saturating_sub(1) / 2;
	counts.get(middle).copied().unwrap_or(0).saturating_mul(segments as u64)
}

/// The largest weight that may count, such that no host exceeds 30 % of the capped sum; `u64::MAX` where no cap
/// applies. `heaviest`: at least the four largest weights, descending; `total`: the sum over `hosts` hosts with weight.
///
/// With k hosts cut to x, `x = 3/10 · (k·x + rest)`, so `x = 3·rest / (10 − 3k)`.
pub fn cap(heaviest: &[u64], total: u64, hosts: u32) -> u64 {
	if hosts as usize <= MAX_CAPPED {
		return u64::MAX;
	}
	let mut rest = u128::from(total);
	let mut denominator = CAP_DENOMINATOR;
	for weight in heaviest.iter().take(MAX_CAPPED.saturating_add(1)).map(|weight| u128::from(*weight)) {
		let limit = CAP_NUMERATOR.saturating_mul(rest).checked_div(denominator).unwrap_or(0);
		if weight <= limit {
			return if denominator == CAP_DENOMINATOR { u64::MAX } else { u64::try_from(limit).unwrap_or(u64::MAX) };
		}
		rest = rest.saturating_sub(weight);
		denominator = denominator.saturating_sub(CAP_NUMERATOR);
	}
	u64::MAX
}

/// The sum of all weights cut to `cap`. `heaviest` as for [`cap`].
pub fn capped_total(heaviest: &[u64], total: u64, cap: u64) -> u64 {
	heaviest.iter().fold(total, |total, weight| total.saturating_sub(weight.saturating_sub(cap)))
}

/// Shares [`POWER_BUDGET`] in proportion to `weights`, each at least 1: neither BABE nor GRANDPA takes a zero.
pub fn normalise<A>(weights: Vec<(A, u64)>) -> Vec<(A, u64)> {
	let total = weights.iter().fold(0u128, |total, (_, weight)| total.saturating_add((*weight).into())).max(1);
	weights
		.into_iter()
		.map(|(who, weight)| {
			let power = u128::from(weight).saturating_mul(POWER_BUDGET.into()).checked_div(total).unwrap_or(0);
			(who, u64::try_from(power).unwrap_or(u64::MAX).max(1))
		})
		.collect()
}
