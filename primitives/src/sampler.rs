//! The choice of a token from a row of logits, and the margin of a token that another host chose.
//!
//! A row has one logit for each token, in 2⁻⁶ nats, rounded to the nearest, ties to even, and clamped to ±2¹⁴ nats. The
//! steps, in this order:
//!
//! 1. **Penalties** ([`SamplingParams::penalise`]).
//! 2. **Biases** ([`bias`]) are added to the logits of the tokens that the request names.
//! 3. **The mask** ([`mask`], [`forbid`]) gives forbidden tokens the value [`FORBIDDEN`] in place of a logit: those that the
//!    request's grammar does not permit, and those that end the completion before its minimum length. A forbidden token is
//!    never chosen, and no later step depends on its logit. If all tokens are forbidden, the row has no choice; engines then
//!    permit the model's end tokens.
//! 4. **Temperature.** Let `δ` be a token's distance from the largest logit. Its deficit is `δ / τ` in 2⁻¹⁶ nats
//!    (`δ · ⌊1000 · 2²⁴ / τ⌋ / 2¹⁴`, rounded down), and its weight is [`weight`] of the deficit. Tokens of weight 0 are
//!    excluded. With `τ = 0` or `top_k = 1`, the largest logit decides, the lowest token id first, and no step follows.
//! 5. **min-p** excludes tokens that weigh less than this share of the best token.
//! 6. **top-k** keeps this number of the remaining tokens, ordered by logit and then by id, ascending.
//! 7. **top-p** keeps the smallest number of the first of these that reach this share of their sum.
//! 8. **The tape** decides: the token with the largest score, `noise − deficit`, the lowest id first.
//!
//! Equal rounded logits give the same token. Rounding changes a probability by at most 2⁻⁷ / τ of itself.
//!
//! Nearly equal logits may give another token: two scores change their order, or a filter ends elsewhere. A token's
//! **margin** ([`SamplingParams::margin`]) measures this in logits, before the temperature: how far differences between
//! logits have to be off for the token to be the one that was due.

use crate::{
	Hash,
	tape::{NAT, ONE, REACH, TapeRow, ln, weight},
};
use alloc::{vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::ops::Range;
use scale_info::TypeInfo;

/// Units of logits in a nat.
pub const LOGIT_NAT: i32 = 64;
/// Maximum magnitude of a logit: 2¹⁴ nats.
pub const MAX_LOGIT: i32 = 1 << 20;
/// Maximum temperature, in thousandths. Higher ones count as this one.
pub const MAX_TEMPERATURE: u32 = 100_000;
/// A forbidden token's place in a row: lower than every logit, and no logit.
pub const FORBIDDEN: i32 = i32::MIN;
/// Maximum margin. A forbidden token and one outside the vocabulary have this margin.
pub const MAX_MARGIN: u32 = u32::MAX;

/// The whole of which `top_p` and `min_p` are shares.
const MILLION: u32 = 1_000_000;

/// The sampling parameters of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SamplingParams {
	/// Temperature in thousandths; 0 always chooses the likeliest token.
	pub temperature: u32,
	/// Maximum number of tokens to choose from; 0 for all.
	pub top_k: u32,
	/// top-p in millionths of the sum; 10⁶ or more for all tokens.
	pub top_p: u32,
	/// min-p in millionths of the likeliest token; 0 for all tokens.
	pub min_p: u32,
	/// Repetition penalty in thousandths. It divides positive logits of tokens that occurred, and multiplies negative
	/// ones; 1000 for none.
	pub repetition: u32,
	/// Presence penalty in 10⁻³ nats, subtracted from the logit of a token that is in the completion.
	pub presence: i32,
	/// Frequency penalty in 10⁻³ nats, subtracted from a token's logit for each occurrence in the completion.
	pub frequency: i32,
}

impl Default for SamplingParams {
	/// Samples from the unchanged distribution.
	fn default() -> Self {
		Self { temperature: 1000, top_k: 0, top_p: MILLION, min_p: 0, repetition: 1000, presence: 0, frequency: 0 }
	}
}

impl SamplingParams {
	/// Whether there are penalties.
	pub fn penalises(&self) -> bool {
		self.repetition != 1000 || self.presence != 0 || self.frequency != 0
	}

	/// Applies the penalties to the logits of tokens that occurred. `seen` has each token of prompt and completion
	/// once, with its count in the completion. Repetition comes first, then the others; all divisions round towards
	/// 0.
	pub fn penalise(&self, logits: &mut [i32], seen: impl IntoIterator<Item = (u32, u32)>) {
		let repetition = i64::from(self.repetition.max(1));
		for (token, count) in seen {
			let Some(logit) = logits.get_mut(token as usize) else { continue };
			let mut penalised = i64::from(*logit);
			penalised = if penalised > 0 { penalised * 1000 / repetition } else { penalised * repetition / 1000 };
			if count > 0 {
				// Both are 32 bits wide: no product or sum leaves 128.
				let millis = i128::from(self.presence) + i128::from(self.frequency) * i128::from(count);
				let change = (millis * i128::from(LOGIT_NAT) / 1000).clamp(-1 << 40, 1 << 40) as i64;
				penalised -= change;
			}
			*logit = penalised.clamp((-MAX_LOGIT).into(), MAX_LOGIT.into()) as i32;
		}
	}

	/// The token for `position` on the tape with `key`. 0 if there are no logits, or none that is permitted.
	pub fn choose(&self, key: &Hash, position: u32, logits: &[i32]) -> u32 {
		Row::new(self, key, position, logits).map_or(0, |row| row.best().0)
	}

	/// How far differences between logits have to be off for `token` to be due, in 2⁻¹⁶ nats: 0 for the token that
	/// [`choose`](Self::choose) returns and for its equals, [`MAX_MARGIN`] for a token that is forbidden or outside the
	/// vocabulary. Forbidden tokens raise nobody's margin.
	///
	/// Each token with a better score has to lose its lead or be excluded by a filter, and the token itself must not be
	/// excluded. The margin is that of the hardest of these conditions, each filter taken by itself.
	pub fn margin(&self, key: &Hash, position: u32, logits: &[i32], token: u32) -> u32 {
		Row::new(self, key, position, logits).and_then(|row| row.margin(self, token)).unwrap_or(MAX_MARGIN)
	}

	/// The temperature of the scores, in thousandths. Greedy choice uses temperature 1.
	fn divisor(&self) -> u32 {
		if self.temperature == 0 { 1000 } else { self.temperature.min(MAX_TEMPERATURE) }
	}

	/// A difference of scores in logits, both in 2⁻¹⁶ nats, rounded up so that no difference becomes 0.
	fn in_logits(&self, scores: i64) -> u32 {
		let logits = (scores.max(0) as u64).saturating_mul(self.divisor().into()).div_ceil(1000);
		u32::try_from(logits).unwrap_or(MAX_MARGIN)
	}

	/// 2²⁴ over the temperature.
	fn scale(&self) -> u64 {
		(1000 << 24) / u64::from(self.divisor())
	}
}

/// Adds biases to the logits of tokens, in 10⁻³ nats: `l + 64 · bias / 1000`, the quotient rounded towards 0, cut to ±2¹⁴
/// nats. Tokens outside the vocabulary are skipped, and [`FORBIDDEN`] ones stay so.
pub fn bias(logits: &mut [i32], biases: impl IntoIterator<Item = (u32, i32)>) {
	for (token, bias) in biases {
		let Some(logit) = logits.get_mut(token as usize).filter(|logit| **logit != FORBIDDEN) else { continue };
		let biased = i64::from(*logit) + i64::from(bias) * i64::from(LOGIT_NAT) / 1000;
		*logit = biased.clamp((-MAX_LOGIT).into(), MAX_LOGIT.into()) as i32;
	}
}

/// Forbids all tokens whose bit is not set in `permitted`: bit `i % 32` of word `i / 32` is that of token `i`. Tokens without
/// a word are forbidden.
pub fn mask(logits: &mut [i32], permitted: &[u32]) {
	let words = permitted.iter().copied().chain(core::iter::repeat(0));
	for (chunk, word) in logits.chunks_mut(32).zip(words) {
		if word == u32::MAX {
			continue;
		}
		for (bit, logit) in chunk.iter_mut().enumerate() {
			if word >> bit & 1 == 0 {
				*logit = FORBIDDEN;
			}
		}
	}
}

/// Forbids these tokens. Those outside the vocabulary are skipped.
pub fn forbid(logits: &mut [i32], tokens: impl IntoIterator<Item = u32>) {
	for token in tokens {
		if let Some(logit) = logits.get_mut(token as usize) {
			*logit = FORBIDDEN;
		}
	}
}

/// A row of logits, and the tokens that may be chosen.
struct Row<'a> {
	logits: &'a [i32],
	/// The lowest token with the largest logit.
	first: u32,
	largest: i32,
	/// 2²⁴ over the temperature.
	scale: u64,
	cut: Cut,
	/// `None` if all tokens may be chosen.
	filter: Option<Filter>,
	/// `None` for greedy choice.
	tape: Option<TapeRow>,
}

/// Where the filters end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
	/// The largest distance from the largest logit that is kept.
	distance: u32,
	/// The last token that is kept at that distance.
	last: u32,
}

/// Tokens by their distance from the largest logit, as far as min-p keeps them.
struct Filter {
	/// The weight of each token.
	weights: Vec<u64>,
	/// The number of tokens.
	counts: Vec<u32>,
	/// The number of these that top-k keeps.
	stay: Vec<u32>,
	/// The sum of the weights of the kept tokens.
	sum: u64,
}

impl<'a> Row<'a> {
	/// `None` if there are no logits, or none that is permitted.
	fn new(sampling: &SamplingParams, key: &Hash, position: u32, logits: &'a [i32]) -> Option<Self> {
		let largest = logits.iter().copied().max().filter(|logit| *logit != FORBIDDEN)?;
		let first = logits.iter().position(|&logit| logit == largest)? as u32;
		let greedy = sampling.temperature == 0 || sampling.top_k == 1;
		let tape = (!greedy).then(|| TapeRow::new(key, position));
		let scale = sampling.scale();
		// The largest distance that still weighs something.
		let distance = ((u64::from(REACH) + 1) << 14).div_ceil(scale).saturating_sub(1);
		let all = Cut { distance: u32::try_from(distance).unwrap_or(u32::MAX), last: u32::MAX };
		let filtered = !greedy && (sampling.top_k != 0 || sampling.top_p < MILLION || sampling.min_p != 0);
		let mut row = Self { logits, first, largest, scale, cut: all, filter: None, tape };
		if filtered {
			let filter = row.filter(sampling);
			row.cut = row.cut(sampling, &filter);
			row.filter = Some(filter);
		}
		Some(row)
	}

	/// The distance of a logit from the largest. That of [`FORBIDDEN`] is about 2³¹, beyond every cut: at the highest
	/// temperature a token has a weight up to a distance of 141,955.
	fn distance(&self, logit: i32) -> u32 {
		// Not negative, so right even where the difference of two is not 32 bits wide.
		self.largest.wrapping_sub(logit) as u32
	}

	/// A distance over the temperature, in 2⁻¹⁶ nats.
	fn deficit(&self, distance: u32) -> u32 {
		(u64::from(distance).saturating_mul(self.scale) >> 14).min(u32::MAX.into()) as u32
	}

	/// Applies min-p and top-k. Counting the tokens at every distance replaces sorting them.
	fn filter(&self, sampling: &SamplingParams) -> Filter {
		let least = u64::from(sampling.min_p.min(MILLION)) * ONE;
		let weights: Vec<u64> = (0..=self.cut.distance.min(self.largest.abs_diff(-MAX_LOGIT)))
			.map(|distance| weight(self.deficit(distance)))
			.take_while(|weight| weight * u64::from(MILLION) >= least)
			.collect();
		let mut counts = vec![0u32; weights.len()];
		for &logit in self.logits {
			if let Some(count) = counts.get_mut(self.distance(logit) as usize) {
				*count += 1;
			}
		}
		let mut room = if sampling.top_k == 0 { u32::MAX } else { sampling.top_k };
		let stays = |count: &u32| {
			let stay = room.min(*count);
			room -= stay;
			stay
		};
		let stay: Vec<u32> = counts.iter().map(stays).collect();
		let sum = stay.iter().zip(&weights).map(|(stay, weight)| u64::from(*stay) * weight).sum();
		Filter { weights, counts, stay, sum }
	}

	/// Applies top-p.
	fn cut(&self, sampling: &SamplingParams, filter: &Filter) -> Cut {
		let share = u128::from(filter.sum) * u128::from(sampling.top_p.min(MILLION));
		let mut needed = share.div_ceil(MILLION.into()).max(1) as u64;
		let mut end = (0, 1);
		for (distance, (stay, weight)) in filter.stay.iter().zip(&filter.weights).enumerate() {
			if *stay > 0 && needed > 0 {
				let taken = needed.div_ceil((*weight).max(1)).min((*stay).into());
				needed = needed.saturating_sub(taken * weight);
				end = (distance, taken);
			}
		}
		let (distance, taken) = end;
		let all = filter.counts.get(distance).is_some_and(|count| u64::from(*count) == taken);
		let distance = distance as u32;
		Cut { distance, last: if all { u32::MAX } else { self.nth(distance, taken) } }
	}

	/// The `count`th token, from 1, at a distance; `u32::MAX` if there are fewer.
	fn nth(&self, distance: u32, count: u64) -> u32 {
		let there = self.logits.iter().enumerate().filter(|&(_, &logit)| self.distance(logit) == distance);
		there.map(|(token, _)| token as u32).nth((count as usize).saturating_sub(1)).unwrap_or(u32::MAX)
	}

	/// Whether a token at this distance may be chosen.
	fn stays(&self, token: u32, distance: u32) -> bool {
		self.tape.is_none() || distance < self.cut.distance || distance == self.cut.distance && token <= self.cut.last
	}

	/// The score of a token, in 2⁻¹⁶ nats; `None` if it is excluded.
	fn score(&self, token: u32) -> Option<i32> {
		let distance = self.distance(*self.logits.get(token as usize)?);
		self.stays(token, distance).then(|| self.score_at(token, distance))
	}

	/// The score of a token at this distance, whether it is excluded or not.
	fn score_at(&self, token: u32, distance: u32) -> i32 {
		let noise = self.tape.map_or(0, |tape| tape.noise(token));
		noise.saturating_sub_unsigned(self.deficit(distance))
	}

	/// The best token and its score.
	fn best(&self) -> (u32, i32) {
		let mut best = (self.first, self.score(self.first).unwrap_or(i32::MIN));
		let Some(tape) = self.tape else { return best };
		if self.filter.is_some() {
			return self.candidates().fold(best, |best, (token, _)| self.better(best, token));
		}
		// Few uniforms are low enough to matter, so few scores are computed.
		let mut most = limit(best.1);
		for (token, [low, high]) in (0u32..).step_by(2).zip(tape.pairs()).take(self.logits.len().div_ceil(2)) {
			if low <= most {
				best = self.better(best, token);
				most = limit(best.1);
			}
			if high <= most {
				best = self.better(best, token + 1);
				most = limit(best.1);
			}
		}
		best
	}

	/// Tokens at most as far as the last that is kept, and their distances.
	fn candidates(&self) -> impl Iterator<Item = (u32, u32)> {
		let distances = self.logits.iter().map(|&logit| self.distance(logit));
		(0u32..).zip(distances).filter(|(_, distance)| *distance <= self.cut.distance)
	}

	/// The better one of the best so far and of another token.
	fn better(&self, best: (u32, i32), token: u32) -> (u32, i32) {
		match self.score(token) {
			Some(score) if score > best.1 || score == best.1 && token < best.0 => (token, score),
			_ => best,
		}
	}
}

/// The margin of a token: see [`SamplingParams::margin`].
impl Row<'_> {
	fn margin(&self, sampling: &SamplingParams, token: u32) -> Option<u32> {
		let logit = *self.logits.get(token as usize).filter(|logit| **logit != FORBIDDEN)?;
		let distance = self.distance(logit);
		let (stays, score) = (self.stays(token, distance), self.score_at(token, distance));
		let lead = |other: i32| sampling.in_logits(i64::from(other) - i64::from(score));
		let Some(filter) = &self.filter else {
			let enter = if stays { 0 } else { way(self.cut.distance, distance).max(1) };
			return Some(enter.max(lead(self.best().1)));
		};
		let best = lead(self.best().1);
		if stays && best == 0 {
			return Some(0);
		}
		let ends = Ends::new(sampling, filter);
		let pass = |most: u32, (other, distance): (u32, u32)| {
			let lead = if self.stays(other, distance) { lead(self.score_at(other, distance)) } else { 0 };
			if lead <= most { most } else { most.max(lead.min(ends.leave(distance))) }
		};
		Some(self.candidates().fold(if stays { 0 } else { ends.enter(distance) }, pass))
	}
}

/// The margins at which a token enters or leaves the set of tokens that the filters keep, at least 1, in 2⁻¹⁶ nats of
/// logits.
///
/// If no difference between two logits is off by more than `m`, the i-th largest logit is off by at most `m / 2`. So a
/// token only changes its order with tokens within `m`, and the odds of the first i tokens against the others change by
/// at most the factor `exp(m / τ)`.
struct Ends<'a> {
	sampling: &'a SamplingParams,
	filter: &'a Filter,
	/// The sums of the weights of all tokens nearer than each distance, and last the sum of all.
	nearer: Vec<u64>,
	/// The same sums, including the tokens at the distance except the last of them.
	but_one: Vec<u64>,
	/// The nearest distance of which top-k excludes some tokens.
	top_k: Option<u32>,
}

impl<'a> Ends<'a> {
	fn new(sampling: &'a SamplingParams, filter: &'a Filter) -> Self {
		let (mut nearer, mut but_one) = (Vec::new(), Vec::new());
		let (mut sum, mut last) = (0u64, 0);
		for (stay, weight) in filter.stay.iter().zip(&filter.weights) {
			nearer.push(sum);
			if *stay > 0 {
				sum += u64::from(*stay) * weight;
				last = *weight;
			}
			but_one.push(sum.saturating_sub(last));
		}
		nearer.push(sum);
		let top_k = filter.counts.iter().zip(&filter.stay).position(|(count, stay)| count > stay);
		Self { sampling, filter, nearer, but_one, top_k: top_k.map(|distance| distance as u32) }
	}

	/// The margin at which an excluded token at this distance is kept.
	fn enter(&self, distance: u32) -> u32 {
		let min_p = way(self.filter.weights.len().saturating_sub(1) as u32, distance);
		let is_full = self.sampling.top_k > 0 && self.filter.stay.iter().sum::<u32>() == self.sampling.top_k;
		let last = self.filter.stay.iter().rposition(|stay| *stay > 0).filter(|_| is_full);
		let top_k = last.map_or(0, |last| way(last as u32, distance));
		// The token comes before all but those that are nearer by more than `m`. The farther these reach, the smaller
		// is `m`, but the larger it has to be to make up for their sum.
		let beyond = |near: u32| self.off(self.sum(&self.nearer, near), share_odds(self.sampling.top_p));
		let near = first(0..distance, |near| beyond(near) >= way(near, distance));
		let before = near.checked_sub(1).map_or(MAX_MARGIN, |near| way(near, distance));
		min_p.max(top_k).max(beyond(near).max(way(near, distance)).min(before)).max(1)
	}

	/// The margin at which a kept token at this distance is excluded.
	fn leave(&self, distance: u32) -> u32 {
		let end = self.filter.weights.len() as u32;
		let min_p = way(distance, end);
		let top_k = self.top_k.map_or(MAX_MARGIN, |first| way(distance, first));
		// The token comes after all that are farther by at most `m`: the mirror image of `enter`.
		let within = |far: u32| self.off(share_odds(self.sampling.top_p), self.sum(&self.but_one, far));
		let far = first(distance..end, |far| way(distance, far) >= within(far));
		let top_p = if far < end { way(distance, far) } else { MAX_MARGIN };
		let before = if far > distance { within(far - 1) } else { MAX_MARGIN };
		min_p.min(top_k).min(top_p).min(before).max(1)
	}

	/// How far logits have to be off for the odds `high` to become `low`.
	fn off(&self, high: i64, low: i64) -> u32 {
		self.sampling.in_logits(high.saturating_sub(low))
	}

	/// The odds of the sum at a distance.
	fn sum(&self, sums: &[u64], distance: u32) -> i64 {
		let part = sums.get(distance as usize).or(sums.last()).copied().unwrap_or_default();
		odds(part, self.filter.sum.saturating_sub(part))
	}
}

/// The first number of a range for which `holds`, which then holds for all after it; the range's end if there is none.
fn first(range: Range<u32>, holds: impl Fn(u32) -> bool) -> u32 {
	let Range { mut start, mut end } = range;
	while start < end {
		let middle = start + (end - start) / 2;
		if holds(middle) {
			end = middle;
		} else {
			start = middle + 1;
		}
	}
	start
}

/// The logarithm of odds, in 2⁻¹⁶ nats; the extreme value if one side is 0.
fn odds(part: u64, rest: u64) -> i64 {
	match (part, rest) {
		(0, _) => i64::MIN,
		(_, 0) => i64::MAX,
		_ => ln(part) - ln(rest),
	}
}

/// The odds of a share in millionths. The first token is kept, whatever the share.
fn share_odds(share: u32) -> i64 {
	let share = share.clamp(1, MILLION);
	odds(share.into(), (MILLION - share).into())
}

/// How much farther the distance `far` is, in 2⁻¹⁶ nats.
fn way(near: u32, far: u32) -> u32 {
	far.saturating_sub(near).saturating_mul((NAT / LOGIT_NAT) as u32)
}

/// The largest uniform whose noise can reach `score` without a deficit. As `g ≤ −ln p`, it is `2³² exp(−score)` plus
/// the error of the tables.
fn limit(score: i32) -> u32 {
	let Ok(score) = u32::try_from(score) else { return u32::MAX };
	let bound = weight(score);
	(bound + (bound >> 10) + 1).min(u32::MAX.into()) as u32
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	/// The filters by their definition, with sorting.
	fn kept(sampling: &SamplingParams, logits: &[i32]) -> Vec<u32> {
		let row =
			Row::new(&SamplingParams { top_k: 0, top_p: MILLION, min_p: 0, ..*sampling }, &[0; 32], 0, logits).unwrap();
		let weight = |token: u32| weight(row.deficit(row.distance(logits[token as usize])));
		let mut order: Vec<u32> = (0..logits.len() as u32).filter(|&token| weight(token) > 0).collect();
		order.sort_by_key(|&token| (core::cmp::Reverse(logits[token as usize]), token));
		order.retain(|&token| weight(token) as u128 * 1_000_000 >= u128::from(sampling.min_p) << 32);
		if sampling.top_k > 0 {
			order.truncate(sampling.top_k as usize);
		}
		let sum: u128 = order.iter().map(|&token| u128::from(weight(token))).sum();
		let mut reached = 0;
		let enough = order.iter().position(|&token| {
			reached += u128::from(weight(token));
			reached * 1_000_000 >= sum * u128::from(sampling.top_p)
		});
		order.truncate(enough.map_or(order.len(), |last| last + 1));
		order.sort_unstable();
		order
	}

	fn any_sampling() -> impl Strategy<Value = SamplingParams> {
		let temperature = prop_oneof![Just(1000u32), 1u32..3000, Just(MAX_TEMPERATURE)];
		let top_k = prop_oneof![Just(0u32), 2u32..60];
		let top_p = prop_oneof![Just(MILLION), 0..MILLION];
		let min_p = prop_oneof![Just(0), 0..=MILLION];
		(temperature, top_k, top_p, min_p).prop_map(|(temperature, top_k, top_p, min_p)| SamplingParams {
			temperature,
			top_k,
			top_p,
			min_p,
			..Default::default()
		})
	}

	proptest! {
		#[test]
		fn the_filters_keep_the_same_tokens_as_sorting(
			sampling in any_sampling(),
			logits in prop::collection::vec(prop_oneof![-40i32..40, -2000i32..2000, Just(-MAX_LOGIT)], 1..400),
		) {
			let row = Row::new(&sampling, &[7; 32], 3, &logits).unwrap();
			let stay: Vec<u32> = (0..logits.len() as u32).filter(|&token| row.score(token).is_some()).collect();
			prop_assert_eq!(stay, kept(&sampling, &logits));
		}

		#[test]
		fn the_chosen_token_has_the_best_score_of_all(
			sampling in any_sampling(),
			key in any::<[u8; 32]>(),
			position in any::<u32>(),
			logits in prop::collection::vec(-600i32..600, 1..400),
		) {
			let row = Row::new(&sampling, &key, position, &logits).unwrap();
			let scores = (0..logits.len() as u32).filter_map(|token| Some((row.score(token)?, core::cmp::Reverse(token))));
			let (score, core::cmp::Reverse(token)) = scores.max().unwrap();
			prop_assert_eq!(row.best(), (token, score));
			prop_assert_eq!(sampling.choose(&key, position, &logits), token);
			for claimed in 0..logits.len() as u32 {
				let margin = row.margin(&sampling, claimed).unwrap();
				prop_assert_eq!(margin == 0, row.score(claimed) == Some(score));
				if row.filter.is_none() && row.score(claimed).is_some() {
					let lead = i64::from(score) - i64::from(row.score(claimed).unwrap());
					prop_assert_eq!(margin, sampling.in_logits(lead));
				}
			}
		}

		/// The guarantee for honest hosts: logits that are off by at most `off` give margins of at most twice that.
		#[test]
		fn margins_are_at_most_twice_the_error_of_logits(
			sampling in any_sampling(),
			key in any::<[u8; 32]>(),
			rows in prop::collection::vec((-500i32..500, -8i32..=8), 1..300),
		) {
			// The one case without this guarantee is a share of a share near min-p's limit.
			let sampling = SamplingParams {
				top_p: if sampling.min_p > 0 { MILLION } else { sampling.top_p.min(MILLION - 1_000) },
				..sampling
			};
			let (logits, near): (Vec<i32>, Vec<i32>) = rows.into_iter().map(|(logit, off)| (logit, logit + off)).unzip();
			let token = sampling.choose(&key, 5, &near);
			// Deficits are rounded down, weights off by a few 2⁻³².
			let most = 16 * 1024 + 2 * sampling.temperature / 1000 + 64;
			let margin = sampling.margin(&key, 5, &logits, token);
			prop_assert!(margin <= most, "{} of {}", margin, most);
		}

		#[test]
		fn no_parameters_and_no_logits_overflow(
			temperature: u32, top_k: u32, top_p: u32, min_p: u32, repetition: u32, presence: i32, frequency: i32,
			mut logits in prop::collection::vec(-MAX_LOGIT..=MAX_LOGIT, 0..50),
			seen in prop::collection::vec((0u32..60, any::<u32>()), 0..9),
		) {
			let sampling = SamplingParams { temperature, top_k, top_p, min_p, repetition, presence, frequency };
			sampling.penalise(&mut logits, seen);
			prop_assert!(logits.iter().all(|logit| logit.abs() <= MAX_LOGIT));
			let token = sampling.choose(&[1; 32], u32::MAX, &logits);
			if !logits.is_empty() {
				prop_assert_eq!(sampling.margin(&[1; 32], u32::MAX, &logits, token), 0);
			}
			prop_assert_eq!(sampling.margin(&[1; 32], 0, &logits, 99), MAX_MARGIN);
		}
	}
}
