//! Weight and power as pure functions (`docs/protocol.md#8-weight`, `docs/protocol.md#9-power`).

use alloc::{collections::BTreeMap, vec::Vec};
use gonka_primitives::EpochIndex;

/// The sum of all power, up to rounding. A validator's share of it is its share of the votes.
pub const POWER_BUDGET: u64 = 1_000_000;
/// Maximum number of leaves in a commitment: far above any hardware, far below overflow.
pub const MAX_LEAVES: u64 = 1 << 40;

/// The compute weight in leaves: `segments × median(counts)`. Segments without a commitment count 0.
pub fn compute_weight(counts: &[u64], segments: u8) -> u64 {
	let segments = usize::from(segments);
	let mut counts: Vec<u64> = counts.iter().copied().take(segments).collect();
	counts.resize(segments, 0);
	counts.sort_unstable();
	let middle = segments.saturating_sub(1) / 2;
	counts.get(middle).copied().unwrap_or(0).saturating_mul(segments as u64)
}

/// The worth of a count of a segment of `segment` blocks whose commitment came `delay` blocks late: leaves could be computed
/// in these blocks, too.
pub fn in_time(count: u64, segment: u32, delay: u32) -> u64 {
	if delay == 0 {
		return count;
	}
	let whole = u128::from(segment).saturating_add(delay.into());
	let worth = u128::from(count).saturating_mul(segment.into()).checked_div(whole);
	worth.and_then(|worth| u64::try_from(worth).ok()).unwrap_or(count)
}

/// A host's weight or count after `unanswered` of the requests for openings of its `committee` checkers: a third of a
/// full committee that got no answer leaves nothing, in a committee of three or fewer a single one does.
///
/// A committee has nine checkers, or fewer in a small network. A host that withholds the openings of a fabricated leaf
/// from the few checkers that drew it thus loses far more than the leaf could bring.
pub fn answered(weight: u64, unanswered: u32, committee: u32) -> u64 {
	if unanswered == 0 {
		return weight;
	}
	let left = u128::from(committee.saturating_sub(unanswered.saturating_mul(3)));
	let kept = u128::from(weight).saturating_mul(left).checked_div(committee.into());
	kept.map_or(0, |kept| u64::try_from(kept).unwrap_or(weight))
}

/// The cap: the largest weight with which no host exceeds `share` of the capped sum; `u64::MAX` if no cap applies, as
/// with too few hosts to satisfy it.
///
/// - `heaviest`: the largest weights, descending, one more than can exceed the cap;
/// - `total`: the sum over `hosts` hosts with weight;
/// - `share`: in millionths, not 0.
///
/// With k hosts cut to x, `x = share · (k·x + rest)`, so `x = share · rest / (1 − k · share)`.
pub fn cap(heaviest: &[u64], total: u64, hosts: u32, share: u64) -> u64 {
	let (share, whole) = (u128::from(share), u128::from(MILLION));
	let Some(min_hosts) = whole.checked_add(share).and_then(|sum| sum.checked_sub(1)?.checked_div(share)) else {
		return u64::MAX;
	};
	if u128::from(hosts) < min_hosts {
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

/// The sum of all weights, each at most `cap`. `heaviest` is that of [`cap`].
pub fn capped_total(heaviest: &[u64], total: u64, cap: u64) -> u64 {
	heaviest.iter().fold(total, |total, weight| total.saturating_sub(weight.saturating_sub(cap)))
}

/// Millionths: the unit of ratios.
pub const MILLION: u64 = 1_000_000;

/// [`normalise`]d weights of which `guardians` together hold at least `guarded` millionths, in equal parts. Guardians
/// without weight are added. All hosts in `weights` and `guardians` must be able to author blocks.
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

/// The confirmed factor in millionths, at most a million: the share of its sprint that a host's confirmation segments
/// showed. `median` is the number of leaves of a segment of the sprint, `confirmed` those of the confirmations,
/// `called` the number of confirmations called.
pub fn confirmed(median: u64, confirmed: &[u64], called: u32) -> u64 {
	let wanted = u128::from(median).saturating_mul(called.into());
	let shown = confirmed.iter().fold(0u128, |sum, count| sum.saturating_add((*count).into()));
	let ratio = shown.saturating_mul(MILLION.into()).checked_div(wanted);
	ratio.map_or(MILLION, |ratio| u64::try_from(ratio).unwrap_or(MILLION).min(MILLION))
}

/// The performance factor in millionths: the share of its duties that a host met. Each pair of `checks` (assigned,
/// done) is one duty, which may be met in part. Each confirmation that was `called` is a duty, too.
pub fn performance(checks: &[(u32, u32)], called: u32, committed: u32) -> u64 {
	let mut duties = u128::from(called);
	let mut met = u128::from(committed.min(called)).saturating_mul(MILLION.into());
	for (due, done) in checks {
		if let Some(share) = u128::from(*done).saturating_mul(MILLION.into()).checked_div((*due).into()) {
			duties = duties.saturating_add(1);
			met = met.saturating_add(share);
		}
	}
	met.checked_div(duties).map_or(MILLION, |share| u64::try_from(share).unwrap_or(MILLION).min(MILLION))
}

/// Number of duties from which on missing some of them costs collateral. With fewer, a single duty would be more than
/// the share that a host may miss.
pub const MIN_DUTIES: u32 = 20;

/// Whether a host missed so many duties that it loses collateral. Each pair of `checks` has the number of duties and of
/// those that the host did anything for. `share` is the part of all of them that it must do, in millionths.
pub fn is_idle(checks: &[(u32, u32)], share: u64) -> bool {
	let sum = |of: fn(&(u32, u32)) -> u32| checks.iter().map(of).fold(0u64, |sum, one| sum.saturating_add(one.into()));
	let (due, done) = (sum(|(due, _)| *due), sum(|(_, done)| *done));
	due >= MIN_DUTIES.into() && done.saturating_mul(MILLION) < due.saturating_mul(share)
}

/// Blocks from which a validator's number of blocks is a duty: with fewer, chance decides too much.
pub const MIN_BLOCKS: u32 = 20;

/// The duty of a validator as a pair for [`performance`]. `due` blocks, in thousandths, were expected of it. Three quarters
/// of them meet it; below [`MIN_BLOCKS`] there is none.
pub fn blocks_duty((due, written): (u32, u32)) -> (u32, u32) {
	let (needed, written) = ((due / 4).saturating_mul(3), written.saturating_mul(1_000));
	if due < MIN_BLOCKS.saturating_mul(1_000) { (0, 0) } else { (needed, written.min(needed)) }
}

/// `weight` times a ratio in millionths, rounded down.
pub fn scale(weight: u64, ratio: u64) -> u64 {
	let scaled = u128::from(weight).saturating_mul(ratio.into()).checked_div(MILLION.into());
	scaled.and_then(|scaled| u64::try_from(scaled).ok()).unwrap_or(weight)
}

/// The paid weight: the lesser of the weight that a host showed today (its backed weight times the factor `confirmed`) and of
/// its capped `proven` weight, times the factors `ratios`. Factors are in millionths; each product is rounded down.
pub fn paid(backed: u64, proven: u64, confirmed: u64, ratios: [u64; 2]) -> u64 {
	ratios.into_iter().fold(scale(backed, confirmed).min(proven), scale)
}

/// Whether more than a hundredth of the power is in other hands in `new` than in `old`, both normalised. Changes add up,
/// so that many small validators count as much as a large one.
pub fn has_moved<A: Ord>(old: &[(A, u64)], new: &[(A, u64)]) -> bool {
	let old: BTreeMap<&A, u64> = old.iter().map(|(who, power)| (who, *power)).collect();
	let change = |(who, power): &(A, u64)| old.get(who).copied().unwrap_or(0).abs_diff(*power);
	// What some lose others gain, so the changes sum to twice what moves.
	let sum = new.iter().map(change).fold(0u64, u64::saturating_add);
	sum > POWER_BUDGET / 50
}

/// Weighed epochs without weight after which a host expires: `longest` while less than half of the places are taken, then
/// fewer in proportion, 1 from seven eighths on.
pub fn patience(hosts: u32, max: u32, longest: EpochIndex) -> EpochIndex {
	let (hosts, max) = (u64::from(hosts), u64::from(max));
	let range = max.saturating_mul(3);
	let over = hosts.saturating_mul(8).saturating_sub(max.saturating_mul(4)).min(range);
	let fewer = u64::from(longest.saturating_sub(1)).saturating_mul(over).checked_div(range).unwrap_or(0);
	longest.saturating_sub(fewer as EpochIndex).max(1)
}

/// The effective weight above which a host keeps its place: from seven eighths of the places on a sixteenth of what hosts
/// had of the proven `total` if all places were taken and all hosts equal, before that 0. So a host that holds many places needs compute for them.
pub fn least_weight(hosts: u32, max: u32, total: u64) -> u64 {
	let (hosts, max) = (u64::from(hosts), u64::from(max));
	let is_full = hosts.saturating_mul(8) >= max.saturating_mul(7);
	if is_full { total.checked_div(max.saturating_mul(16)).unwrap_or(0) } else { 0 }
}

/// Number of buckets: see [`bucket`].
pub const BUCKETS: u32 = 4 * u64::BITS;
/// A host is paid in full from this part of the median on: a fifth.
const ENOUGH: u64 = 5;

/// Work units per leaf of `weight`, in units of 2⁻³².
pub fn ratio(work: u64, weight: u64) -> u64 {
	let ratio = (u128::from(work) << 32).checked_div(weight.into()).unwrap_or(0);
	u64::try_from(ratio).unwrap_or(u64::MAX)
}

/// The bucket of a [`ratio`]; `None` for 0. There are four of equal width from each power of two to the next.
pub fn bucket(ratio: u64) -> Option<u8> {
	let octave = ratio.checked_ilog2()?;
	let quarter = ((u128::from(ratio) << 2) >> octave) & 3;
	u8::try_from(octave.saturating_mul(4)).ok()?.checked_add(quarter as u8)
}

/// The lowest [`ratio`] of a bucket.
pub fn lower_edge(bucket: u8) -> u64 {
	let (octave, quarter) = (bucket / 4, bucket % 4);
	u64::try_from((u128::from(quarter).saturating_add(4) << octave) >> 2).unwrap_or(u64::MAX)
}

/// The median by weight of the [`ratio`]s of hosts whose weights sum to `total`, rounded down to a bucket's edge.
/// `weights` are those in each [`bucket`]; the rest of the total has ratio 0.
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

/// The served factor in millionths: a million from a fifth of the median on, below it in proportion. With a median of
/// 0, all hosts have a million.
pub fn served(ratio: u64, median: u64) -> u64 {
	let wanted = u128::from(ratio).saturating_mul(ENOUGH.into()).saturating_mul(MILLION.into());
	let share = wanted.checked_div(median.into());
	share.map_or(MILLION, |share| u64::try_from(share).unwrap_or(MILLION).min(MILLION))
}

/// Shares [`POWER_BUDGET`] in proportion to `weights`, each share at least 1: BABE and GRANDPA reject 0.
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
