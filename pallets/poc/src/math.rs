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

/// The share of consensus power that the genesis guardians together keep on a young network.
const GUARDED: u64 = 340_000;
/// Millionths: the unit of ratios.
pub const MILLION: u64 = 1_000_000;

/// [`normalise`]d weights of which `guardians` together hold at least 34 %, in equal parts, unless nobody else is left.
/// Guardians without weight are added; `weights` holds only hosts that can author blocks, and so must `guardians`.
pub fn guard<A: Clone + Eq>(weights: Vec<(A, u64)>, guardians: &[A]) -> Vec<(A, u64)> {
	let is_guardian = |who: &A| guardians.contains(who);
	let total = weights.iter().fold(0u128, |total, (_, weight)| total.saturating_add((*weight).into()));
	let theirs = weights.iter().filter(|(who, _)| is_guardian(who));
	let theirs = theirs.fold(0u128, |total, (_, weight)| total.saturating_add((*weight).into()));
	let enough = theirs.saturating_mul(MILLION.into()) >= total.saturating_mul(GUARDED.into());
	if guardians.is_empty() || enough {
		return normalise(weights);
	}
	let others = weights.into_iter().filter(|(who, _)| !is_guardian(who)).collect();
	let scale = |power: u64, share: u64| power.saturating_mul(share).checked_div(POWER_BUDGET).unwrap_or(0).max(1);
	let mut power: Vec<_> = normalise(others)
		.into_iter()
		.map(|(who, power)| (who, scale(power, POWER_BUDGET.saturating_sub(GUARDED))))
		.collect();
	let each = GUARDED.checked_div(guardians.len() as u64).unwrap_or(0).max(1);
	power.extend(guardians.iter().map(|guardian| (guardian.clone(), each)));
	power
}

/// The share of its sprint that a host's confirmation segments showed, in millionths, never above a million. `median`:
/// leaves of a segment of the sprint; `confirmed`: leaves of its confirmations; `called`: how many were called.
pub fn confirmed(median: u64, confirmed: &[u64], called: u32) -> u64 {
	let wanted = u128::from(median).saturating_mul(called.into());
	let shown = confirmed.iter().fold(0u128, |sum, count| sum.saturating_add((*count).into()));
	let ratio = shown.saturating_mul(MILLION.into()).checked_div(wanted);
	ratio.map_or(MILLION, |ratio| u64::try_from(ratio).unwrap_or(MILLION).min(MILLION))
}

/// The share of its duties that a host met, in millionths. Each kind of `checks` (to check, checked) is one duty, met in
/// part where only some of it was done; so is each confirmation that was `called`, and each request not `answered`.
pub fn performance(checks: &[(u32, u32)], called: u32, committed: u32, unanswered: u32) -> u64 {
	let million = u128::from(MILLION);
	let mut duties = u128::from(called).saturating_add(unanswered.into());
	let mut met = u128::from(committed.min(called)).saturating_mul(million);
	for (due, done) in checks {
		if let Some(share) = u128::from(*done).saturating_mul(million).checked_div((*due).into()) {
			duties = duties.saturating_add(1);
			met = met.saturating_add(share);
		}
	}
	met.checked_div(duties).map_or(MILLION, |share| u64::try_from(share).unwrap_or(MILLION).min(MILLION))
}

/// `weight` times two ratios in millionths, rounded down.
pub fn paid(weight: u64, confirmed: u64, performance: u64) -> u64 {
	let scaled = u128::from(weight).saturating_mul(confirmed.into()).checked_div(MILLION.into()).unwrap_or(0);
	let scaled = scaled.saturating_mul(performance.into()).checked_div(MILLION.into()).unwrap_or(0);
	u64::try_from(scaled).unwrap_or(weight)
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
