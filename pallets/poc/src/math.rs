//! Weight and power as pure functions (PROTOCOL §3, §4).

use alloc::vec::Vec;

/// What consensus power adds up to, give or take rounding: each validator's share of it is its vote.
pub const POWER_BUDGET: u64 = 1_000_000;
/// Most leaves one commitment may claim: far above any hardware, far below overflow.
pub const MAX_LEAVES: u64 = 1 << 40;
/// `segments × median(counts)`; segments without a commitment count 0. In leaves.
pub fn raw_weight(counts: &[u64], segments: u8) -> u64 {
	let segments = usize::from(segments);
	let mut counts: Vec<u64> = counts.iter().copied().take(segments).collect();
	counts.resize(segments, 0);
	counts.sort_unstable();
	let middle = segments.saturating_sub(1) / 2;
	counts.get(middle).copied().unwrap_or(0).saturating_mul(segments as u64)
}

/// The largest weight that may count, such that no host exceeds `share` of the capped sum; `u64::MAX` where no cap
/// applies, as with fewer hosts than could all keep to it. `share`: in millionths, not 0; `heaviest`: the largest weights, descending, one more than
/// can exceed the cap; `total`: the sum over `hosts` hosts with weight.
///
/// With k hosts cut to x, `x = share · (k·x + rest)`, so `x = share · rest / (1 − k · share)`.
pub fn cap(heaviest: &[u64], total: u64, hosts: u32, share: u64) -> u64 {
	let (share, whole) = (u128::from(share), u128::from(MILLION));
	let Some(least_hosts) = whole.checked_add(share).and_then(|sum| sum.checked_sub(1)?.checked_div(share)) else {
		return u64::MAX;
	};
	if u128::from(hosts) < least_hosts {
		return u64::MAX;
	}
	let mut rest = u128::from(total);
	let mut denominator = whole;
	for weight in heaviest.iter().map(|weight| u128::from(*weight)) {
		let limit = share.saturating_mul(rest).checked_div(denominator).unwrap_or(0);
		if weight <= limit {
			return if denominator == whole { u64::MAX } else { u64::try_from(limit).unwrap_or(u64::MAX) };
		}
		rest = rest.saturating_sub(weight);
		denominator = denominator.saturating_sub(share);
	}
	u64::MAX
}

/// The sum of all weights cut to `cap`. `heaviest` as for [`cap`].
pub fn capped_total(heaviest: &[u64], total: u64, cap: u64) -> u64 {
	heaviest.iter().fold(total, |total, weight| total.saturating_sub(weight.saturating_sub(cap)))
}

/// Millionths: the unit of ratios.
pub const MILLION: u64 = 1_000_000;

/// [`normalise`]d weights of which `guardians` together hold at least `guarded` millionths, in equal parts, unless nobody else is left.
/// Guardians without weight are added; `weights` holds only hosts that can author blocks, and so must `guardians`.
pub fn guard<A: Clone + Eq>(weights: Vec<(A, u64)>, guardians: &[A], guarded: u64) -> Vec<(A, u64)> {
	let is_guardian = |who: &A| guardians.contains(who);
	let total = weights.iter().fold(0u128, |total, (_, weight)| total.saturating_add((*weight).into()));
	let theirs = weights.iter().filter(|(who, _)| is_guardian(who));
	let theirs = theirs.fold(0u128, |total, (_, weight)| total.saturating_add((*weight).into()));
	let enough = theirs.saturating_mul(MILLION.into()) >= total.saturating_mul(guarded.into());
	if guardians.is_empty() || enough {
		return normalise(weights);
	}
	let others = weights.into_iter().filter(|(who, _)| !is_guardian(who)).collect();
	let scale = |power: u64, share: u64| power.saturating_mul(share).checked_div(POWER_BUDGET).unwrap_or(0).max(1);
	let mut power: Vec<_> = normalise(others)
		.into_iter()
		.map(|(who, power)| (who, scale(power, POWER_BUDGET.saturating_sub(guarded))))
		.collect();
	let each = guarded.checked_div(guardians.len() as u64).unwrap_or(0).max(1);
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

/// `weight` times ratios in millionths, each rounded down.
pub fn paid(weight: u64, ratios: [u64; 3]) -> u64 {
	let scale = |weight: u128, ratio: u64| weight.saturating_mul(ratio.into()).checked_div(MILLION.into()).unwrap_or(0);
	u64::try_from(ratios.into_iter().fold(weight.into(), scale)).unwrap_or(weight)
}

/// Buckets of [`bucket`].
pub const BUCKETS: u32 = 4 * u64::BITS;
/// The share of the median that is enough: one in so many.
const ENOUGH: u64 = 5;

/// Work units for each leaf of `weight`, in units of 2⁻³².
pub fn ratio(work: u64, weight: u64) -> u64 {
	let ratio = (u128::from(work) << 32).checked_div(weight.into()).unwrap_or(0);
	u64::try_from(ratio).unwrap_or(u64::MAX)
}

/// The bucket of a [`ratio`]: four of equal width from each power of two to the next. None for 0.
pub fn bucket(ratio: u64) -> Option<u8> {
	let octave = ratio.checked_ilog2()?;
	let quarter = ((u128::from(ratio) << 2) >> octave) & 3;
	u8::try_from(octave.saturating_mul(4)).ok()?.checked_add(quarter as u8)
}

/// The least [`ratio`] of a bucket.
pub fn lower_edge(bucket: u8) -> u64 {
	let (octave, quarter) = (bucket / 4, bucket % 4);
	u64::try_from((u128::from(quarter).saturating_add(4) << octave) >> 2).unwrap_or(u64::MAX)
}

/// The median by weight of the [`ratio`]s of hosts that together weigh `total`, rounded down to a bucket's edge.
/// `weights`: those in each [`bucket`]; the rest of the total has ratio 0.
pub fn median_ratio(weights: &[u64], total: u64) -> u64 {
	let served = weights.iter().fold(0u128, |sum, weight| sum.saturating_add((*weight).into()));
	let mut seen = u128::from(total).saturating_sub(served);
	let mut is_half = |weight: u64| {
		seen = seen.saturating_add(weight.into());
		seen.saturating_mul(2) >= total.into()
	};
	if is_half(0) {
		return 0;
	}
	let bucket = weights.iter().position(|weight| is_half(*weight));
	bucket.and_then(|bucket| u8::try_from(bucket).ok()).map_or(0, lower_edge)
}

/// The served factor of a host, in millionths: 1 from a fifth of the median on, below in proportion. Nobody is compared
/// with a median of 0.
pub fn served(ratio: u64, median: u64) -> u64 {
	let wanted = u128::from(ratio).saturating_mul(ENOUGH.into()).saturating_mul(MILLION.into());
	let share = wanted.checked_div(median.into());
	share.map_or(MILLION, |share| u64::try_from(share).unwrap_or(MILLION).min(MILLION))
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
