//! From a row of logits to a token, and back: how far a token is from the one that was due.
//!
//! A row has one logit for each token, in 2⁻⁶ nats, rounded to the nearest, ties to even, and cut to ±2¹⁴ nats. The
//! rule, in this order:
//!
//! 1. **Penalties** ([`Sampling::penalise`]).
//! 2. **Temperature.** Where `δ` is a token's distance from the largest logit, its deficit is `δ / τ` in 2⁻¹⁶ nats
//!    (`δ · ⌊1000 · 2²⁴ / τ⌋ / 2¹⁴`, rounded down), its weight [`weight`] of that. Who weighs nothing is out. With `τ = 0`
//!    or `top_k = 1` the rule ends here: the token with the largest logit, the lowest of several.
//! 3. **min-p**: who weighs less than this share of the best token is out.
//! 4. **top-k**: of the others the first so many stay, ordered by logit, equal ones by id, the lower first.
//! 5. **top-p**: of these the fewest first ones that reach this share of their sum stay.
//! 6. **The tape**: the token with the largest score, `noise − deficit`, the lowest of several.
//!
//! Who computes the same rounded logits gets the same token. Rounding moves a probability by 2⁻⁷ / τ of itself at most.
//!
//! Who computes nearly the same logits may get another token, be it that two scores change places or that a filter ends
//! elsewhere. So a token's **margin** ([`Sampling::margin`]) is in logits, before the temperature: how much differences
//! between logits have to be off for the token to be due.

use crate::{
	Hash,
	tape::{NAT, ONE, REACH, TapeRow, ln, weight},
};
use alloc::{vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::ops::Range;
use scale_info::TypeInfo;

/// The unit of logits: this many make a nat.
pub const LOGIT_NAT: i32 = 64;
/// The largest logit, and the smallest negated: 2¹⁴ nats.
pub const MAX_LOGIT: i32 = 1 << 20;
/// The highest temperature, in thousandths: higher ones count as this.
pub const MAX_TEMPERATURE: u32 = 100_000;
/// The largest margin, and that of a token which the vocabulary lacks.
pub const MAX_MARGIN: u32 = u32::MAX;

/// A whole, of which `top_p` and `min_p` are shares.
const MILLION: u32 = 1_000_000;

/// How a request wants tokens chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Sampling {
	/// In thousandths; 0 always takes the likeliest token.
	pub temperature: u32,
	/// Most tokens to choose from; 0 for all.
	pub top_k: u32,
	/// In millionths of the sum; 10⁶ or more for all.
	pub top_p: u32,
	/// In millionths of the likeliest token; 0 for all.
	pub min_p: u32,
	/// In thousandths: divides positive logits of tokens that occurred, multiplies negative ones. 1000 for none.
	pub repetition: u32,
	/// In 10⁻³ nats: taken from the logit of a token that the answer has.
	pub presence: i32,
	/// In 10⁻³ nats: taken from a token's logit for each time that the answer has it.
	pub frequency: i32,
}

impl Default for Sampling {
	/// From the unchanged distribution.
	fn default() -> Self {
		Self { temperature: 1000, top_k: 0, top_p: MILLION, min_p: 0, repetition: 1000, presence: 0, frequency: 0 }
	}
}

impl Sampling {
	/// Whether there are penalties.
	pub fn penalises(&self) -> bool {
		self.repetition != 1000 || self.presence != 0 || self.frequency != 0
	}

	/// Changes the logits of tokens that occurred. `seen` names each token of prompt and answer once, with its number
	/// in the answer. First repetition, then the others; all divisions round towards zero.
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

	/// The token for `position` on the tape with `key`. 0 if there are no logits.
	pub fn choose(&self, key: &Hash, position: u32, logits: &[i32]) -> u32 {
		Row::new(self, key, position, logits).map_or(0, |row| row.best().0)
	}

	/// How much differences between logits have to be off for `token` to be due, in 2⁻¹⁶ nats: 0 for the token that
	/// [`choose`](Self::choose) takes, and for its equals; [`MAX_MARGIN`] for one that there is not.
	///
	/// Each token with a better score has to lose its lead, or to be left out by a filter; the token itself must not be left
	/// out. The margin is what the hardest of these takes, each filter taken by itself ([`Ends`]).
	pub fn margin(&self, key: &Hash, position: u32, logits: &[i32], token: u32) -> u32 {
		Row::new(self, key, position, logits).and_then(|row| row.margin(self, token)).unwrap_or(MAX_MARGIN)
	}

	/// The temperature that scores have, in thousandths. Greedy choice counts distances as temperature 1 does.
	fn divisor(&self) -> u32 {
		if self.temperature == 0 { 1000 } else { self.temperature.min(MAX_TEMPERATURE) }
	}

	/// A difference of scores in logits, both in 2⁻¹⁶ nats: rounded up, so that none becomes nothing.
	fn in_logits(&self, scores: i64) -> u32 {
		let logits = (scores.max(0) as u64).saturating_mul(self.divisor().into()).div_ceil(1000);
		u32::try_from(logits).unwrap_or(MAX_MARGIN)
	}

	/// 2²⁴ over the temperature.
	fn scale(&self) -> u64 {
		(1000 << 24) / u64::from(self.divisor())
	}
}

/// A row of logits, and what may be taken from it.
struct Row<'a> {
	logits: &'a [i32],
	/// The lowest token with the largest logit.
	first: u32,
	largest: i32,
	/// 2²⁴ over the temperature.
	scale: u64,
	cut: Cut,
	/// `None` where all may be taken.
	filter: Option<Filter>,
	/// `None` for greedy choice.
	tape: Option<TapeRow>,
}

/// Where the filters end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
	/// The largest distance from the largest logit that stays.
	distance: u32,
	/// The last token that stays at that distance.
	last: u32,
}

/// Tokens by their distance from the largest logit, as far as min-p lets them be.
struct Filter {
	/// What each weighs.
	weights: Vec<u64>,
	/// How many there are.
	counts: Vec<u32>,
	/// How many of these top-k lets stay.
	stay: Vec<u32>,
	/// What these weigh together.
	sum: u64,
}

impl<'a> Row<'a> {
	fn new(sampling: &Sampling, key: &Hash, position: u32, logits: &'a [i32]) -> Option<Self> {
		let largest = *logits.iter().max()?;
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

	/// The distance of a logit from the largest.
	fn distance(&self, logit: i32) -> u32 {
		// Not negative, so right even where the difference of two is not 32 bits wide.
		self.largest.wrapping_sub(logit) as u32
	}

	/// A distance over the temperature, in 2⁻¹⁶ nats.
	fn deficit(&self, distance: u32) -> u32 {
		(u64::from(distance).saturating_mul(self.scale) >> 14).min(u32::MAX.into()) as u32
	}

	/// Applies min-p and top-k. Counting the tokens at every distance replaces sorting them.
	fn filter(&self, sampling: &Sampling) -> Filter {
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
	fn cut(&self, sampling: &Sampling, filter: &Filter) -> Cut {
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

	/// The `count`th token, from 1, at a distance; the last possible one if there are not more.
	fn nth(&self, distance: u32, count: u64) -> u32 {
		let there = self.logits.iter().enumerate().filter(|&(_, &logit)| self.distance(logit) == distance);
		there.map(|(token, _)| token as u32).nth((count as usize).saturating_sub(1)).unwrap_or(u32::MAX)
	}

	/// Whether a token at this distance may be taken.
	fn stays(&self, token: u32, distance: u32) -> bool {
		self.tape.is_none() || distance < self.cut.distance || distance == self.cut.distance && token <= self.cut.last
	}

	/// The score of a token, in 2⁻¹⁶ nats; `None` if it is out.
	fn score(&self, token: u32) -> Option<i32> {
		let distance = self.distance(*self.logits.get(token as usize)?);
		self.stays(token, distance).then(|| self.score_at(token, distance))
	}

	/// The score of a token at this distance, be it out or not.
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

	/// Tokens that are no farther than the last that stays, and their distances.
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

/// What it takes to be due: see [`Sampling::margin`].
impl Row<'_> {
	fn margin(&self, sampling: &Sampling, token: u32) -> Option<u32> {
		let distance = self.distance(*self.logits.get(token as usize)?);
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

/// What it takes to enter or to leave what the filters let be taken, at least 1, in 2⁻¹⁶ nats of logits.
///
/// When no difference between two logits is off by more than `m`, the i-th largest logit is off by `m / 2` at most. So a
/// token only changes places with those within `m`, and the odds of the first so many tokens against the others change by
/// `exp(m / τ)` at most.
struct Ends<'a> {
	sampling: &'a Sampling,
	filter: &'a Filter,
	/// What all tokens weigh together that are nearer than each distance, and at last than all.
	nearer: Vec<u64>,
	/// The same with all that are as near, but for the last of them.
	but_one: Vec<u64>,
	/// The nearest of which top-k leaves out some.
	top_k: Option<u32>,
}

impl<'a> Ends<'a> {
	fn new(sampling: &'a Sampling, filter: &'a Filter) -> Self {
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

	/// For a token at this distance, which is out.
	fn enter(&self, distance: u32) -> u32 {
		let min_p = way(self.filter.weights.len().saturating_sub(1) as u32, distance);
		let is_full = self.sampling.top_k > 0 && self.filter.stay.iter().sum::<u32>() == self.sampling.top_k;
		let last = self.filter.stay.iter().rposition(|stay| *stay > 0).filter(|_| is_full);
		let top_k = last.map_or(0, |last| way(last as u32, distance));
		// It comes before all but those that are nearer by more than `m`. The farther these reach, the smaller is `m`, and
		// the more it has to be to make up for their sum.
		let beyond = |near: u32| self.off(self.sum(&self.nearer, near), share_odds(self.sampling.top_p));
		let near = first(0..distance, |near| beyond(near) >= way(near, distance));
		let before = near.checked_sub(1).map_or(MAX_MARGIN, |near| way(near, distance));
		min_p.max(top_k).max(beyond(near).max(way(near, distance)).min(before)).max(1)
	}

	/// For a token at this distance, which may be taken.
	fn leave(&self, distance: u32) -> u32 {
		let end = self.filter.weights.len() as u32;
		let min_p = way(distance, end);
		let top_k = self.top_k.map_or(MAX_MARGIN, |first| way(distance, first));
		// It comes after all that are farther by `m` at most: the same the other way round.
		let within = |far: u32| self.off(share_odds(self.sampling.top_p), self.sum(&self.but_one, far));
		let far = first(distance..end, |far| way(distance, far) >= within(far));
		let top_p = if far < end { way(distance, far) } else { MAX_MARGIN };
		let before = if far > distance { within(far - 1) } else { MAX_MARGIN };
		min_p.min(top_k).min(top_p).min(before).max(1)
	}

	/// How much logits have to be off for the first odds, or more, to be the second.
	fn off(&self, high: i64, low: i64) -> u32 {
		self.sampling.in_logits(high.saturating_sub(low))
	}

	/// The odds of the sum at a distance.
	fn sum(&self, sums: &[u64], distance: u32) -> i64 {
		let part = sums.get(distance as usize).or(sums.last()).copied().unwrap_or_default();
		odds(part, self.filter.sum.saturating_sub(part))
	}
}

/// The first number of a range for which this holds, as for all after it; the range's end if there is none.
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

/// Logarithm of odds, in 2⁻¹⁶ nats; without end where one of them is nothing.
fn odds(part: u64, rest: u64) -> i64 {
	match (part, rest) {
		(0, _) => i64::MIN,
		(_, 0) => i64::MAX,
		_ => ln(part) - ln(rest),
	}
}

/// Odds of a share in millionths. The first token stays, whatever the share.
fn share_odds(share: u32) -> i64 {
	let share = share.clamp(1, MILLION);
	odds(share.into(), (MILLION - share).into())
}

/// How much farther the second distance is, in 2⁻¹⁶ nats.
fn way(near: u32, far: u32) -> u32 {
	far.saturating_sub(near).saturating_mul((NAT / LOGIT_NAT) as u32)
}

/// The largest uniform whose noise can reach `score` without a deficit: as `g ≤ −ln p`, `2³² exp(−score)` and a little
/// more for what tables are off.
fn limit(score: i32) -> u32 {
	let Ok(score) = u32::try_from(score) else { return u32::MAX };
	let bound = weight(score);
	(bound + (bound >> 10) + 1).min(u32::MAX.into()) as u32
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	/// The filters as their definition has them, by sorting.
	fn kept(sampling: &Sampling, logits: &[i32]) -> Vec<u32> {
		let row = Row::new(&Sampling { top_k: 0, top_p: MILLION, min_p: 0, ..*sampling }, &[0; 32], 0, logits).unwrap();
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

	fn any_sampling() -> impl Strategy<Value = Sampling> {
		let temperature = prop_oneof![Just(1000u32), 1u32..3000, Just(MAX_TEMPERATURE)];
		let top_k = prop_oneof![Just(0u32), 2u32..60];
		let top_p = prop_oneof![Just(MILLION), 0..MILLION];
		let min_p = prop_oneof![Just(0), 0..=MILLION];
		(temperature, top_k, top_p, min_p).prop_map(|(temperature, top_k, top_p, min_p)| Sampling {
			temperature,
			top_k,
			top_p,
			min_p,
			..Default::default()
		})
	}

	proptest! {
		#[test]
		fn counting_keeps_what_sorting_keeps(
			sampling in any_sampling(),
			logits in prop::collection::vec(prop_oneof![-40i32..40, -2000i32..2000, Just(-MAX_LOGIT)], 1..400),
		) {
			let row = Row::new(&sampling, &[7; 32], 3, &logits).unwrap();
			let stay: Vec<u32> = (0..logits.len() as u32).filter(|&token| row.score(token).is_some()).collect();
			prop_assert_eq!(stay, kept(&sampling, &logits));
		}

		#[test]
		fn the_best_is_the_best_of_all(
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

		/// What honest hosts rest on: who is off by `off` at most has tokens with margins of twice that at most.
		#[test]
		fn margins_are_no_larger_than_logits_are_off(
			sampling in any_sampling(),
			key in any::<[u8; 32]>(),
			rows in prop::collection::vec((-500i32..500, -8i32..=8), 1..300),
		) {
			// A share of a share near min-p's limit is the one case that is not covered; one in a million is not weighed.
			let sampling = Sampling {
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
		fn no_request_and_no_row_overflows(
			temperature: u32, top_k: u32, top_p: u32, min_p: u32, repetition: u32, presence: i32, frequency: i32,
			mut logits in prop::collection::vec(-MAX_LOGIT..=MAX_LOGIT, 0..50),
			seen in prop::collection::vec((0u32..60, any::<u32>()), 0..9),
		) {
			let sampling = Sampling { temperature, top_k, top_p, min_p, repetition, presence, frequency };
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
