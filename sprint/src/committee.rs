//! Committees drawn from the beacon, the leaf sets within a committee, and the tags that checkers compare.
//!
//! Each of the first [`Draw::checkable`] participants has [`SEATS`] slots. The first [`COMMITTEE`] different checkers of its
//! slots are its committee. A keyed permutation maps slots to seats, and the seats are dealt to the checkers in contiguous
//! ranges, by weight. So the checkers of a participant and the participants of a checker are both found with a few
//! permutations, however many there are, and each checker has its exact share of seats.
//!
//! ```text
//! seats     = 12·checkable; slot = 12·participant + k
//! seat      = Feistel(slot), 8 rounds over the next even power of two, walked until it is below `seats`
//! checker i = seats ⌊seats·cum(i)/total⌋ .. ⌊seats·cum(i+1)/total⌋, cum(i) the weights before i
//! ```

mod permutation;

use crate::{
	SprintFormat,
	hash::{Hash, Stream, blake2_256},
	sample::{below_or_equal, sample},
};
use alloc::{vec, vec::Vec};
pub use permutation::Order;
use permutation::Permutation;

/// Maximum number of members of a committee.
pub const COMMITTEE: u32 = 9;
/// Number of seats for each participant. A checker may hold several of them, so there are more seats than members.
pub const SEATS: u32 = 12;
/// Maximum number of leaves of a leaf set of the sprint.
pub const LEAVES_PER_SET: u32 = 32;
/// Maximum number of leaves of a leaf set of a confirmation segment.
pub const LEAVES_PER_CONFIRMATION: u32 = 8;
/// Number of participants that one checker of the largest weight makes checkable. Participants beyond have no committee.
pub const PARTICIPANTS_PER_CHECKER: u32 = 64;
/// With this number of checkers or fewer, all check all others.
pub const SMALL: usize = 10;

/// Number of requests for openings of new hosts that all checkers of a round share, and that of other hosts.
const REQUESTS_PER_KIND: u32 = 12 * 1_024;

/// Maximum number of new hosts of which a checker may request openings in a round, and that of other hosts, where there are
/// so many checkers.
///
/// They share 12,288 requests of a kind. So few checkers can ask as many silent hosts as many can, and each of 1,024 has 12.
pub const fn requests_per_kind(checkers: u32) -> u8 {
	match REQUESTS_PER_KIND.checked_div(checkers) {
		Some(share) if share < u8::MAX as u32 => share as u8,
		Some(_) => u8::MAX,
		None => 0,
	}
}

/// Number of places that new hosts have in any draw.
const NEW_PLACES: u32 = 8;

/// Number of places of `new` hosts in a draw, beside those of `known` hosts. `weights[i]` is the [qualified](qualify) weight
/// of checker i.
///
/// They have 8, and about as many more as there are known hosts, so that a checker has about as many new hosts to
/// check as others. These are no more than checkers can request the openings of on chain, should they all serve none, and no
/// more than the [`capacity`] leaves beside known hosts.
pub fn new_places(weights: &[u64], known: u32, new: u32) -> u32 {
	let checkers = weights.len() as u32;
	let can_ask = checkers.saturating_mul(requests_per_kind(checkers).into()) / COMMITTEE;
	let left = capacity(weights).saturating_sub(NEW_PLACES).saturating_sub(known);
	let limit = known.min(can_ask).min(left);
	new.min(limit.saturating_add(NEW_PLACES))
}

/// Maximum number of participants with a committee: [`PARTICIPANTS_PER_CHECKER`] for each checker of the largest weight that
/// would have the same total, or for each checker of a small network.
pub fn capacity(weights: &[u64]) -> u32 {
	let total = weights.iter().fold(0u128, |sum, weight| sum.saturating_add(u128::from(*weight)));
	let heaviest = weights.iter().copied().max().unwrap_or(0);
	let worth =
		if weights.len() > SMALL { total.checked_div(heaviest.into()).unwrap_or(0) } else { weights.len() as u128 };
	u32::try_from(worth).unwrap_or(u32::MAX).saturating_mul(PARTICIPANTS_PER_CHECKER)
}

/// Number of draws of refuters for an accusation. With this number of checkers or fewer, all are appointed.
pub const APPOINTED: u32 = 24;

/// Maximum number of draws until [`APPOINTED`] fell on checkers that are no parties.
const MAX_DRAWS: usize = 96;

/// What a checker publishes of its digests of one leaf set.
pub type Tag = [u8; 4];

/// Turns hosts' effective weights, descending, into weights of checkers.
///
/// Each weight is cut to twice the median by weight: half of the total is in hosts of that weight or more. So the heaviest
/// hosts do not check everything, and hosts without weight, however many, change nothing. Then hosts below a third of the
/// mean are left out, except for the [`SMALL`] heaviest: with a seat or two a checker would have too few partners.
pub fn qualify(weights: &mut Vec<u64>) {
	let sum = |weights: &[u64]| weights.iter().fold(0u128, |sum, weight| sum.saturating_add(u128::from(*weight)));
	let total = sum(weights);
	let mut heavier = 0u128;
	let reaches_half = |weight: &&u64| {
		heavier = heavier.saturating_add(u128::from(**weight));
		heavier.saturating_mul(2) >= total
	};
	let median = weights.iter().find(reaches_half).copied().unwrap_or(0);
	for weight in weights.iter_mut() {
		*weight = median.saturating_mul(2).min(*weight);
	}
	let (total, count) = (sum(weights), weights.len() as u128);
	let is_heavy = |weight: &u64| u128::from(*weight).saturating_mul(count).saturating_mul(3) >= total;
	weights.truncate(weights.partition_point(is_heavy).max(SMALL));
}

/// The committees of one segment.
#[derive(Clone, Debug)]
pub struct Draw {
	/// Number of participants with a committee.
	checkable: u32,
	/// The first seat of each checker, then the number of seats: one entry more than there are checkers.
	bounds: Vec<u64>,
	/// With [`SMALL`] checkers or fewer, those with a weight; they check all others.
	all: Option<Vec<u32>>,
	permutation: Permutation,
}

impl Draw {
	/// Draws the committees. `weights[i]` is the [qualified](qualify) weight of checker i. No checker has more than
	/// `SEATS · PARTICIPANTS_PER_CHECKER` seats. Costs O(checkers).
	pub fn new(beacon: Hash, weights: &[u64], participants: u32) -> Self {
		let total: u128 = weights.iter().fold(0, |sum, weight| sum.saturating_add(u128::from(*weight)));
		let checkable = participants.min(capacity(weights));
		let seats = u64::from(checkable).saturating_mul(SEATS.into());
		let share = |before: u128| u128::from(seats).saturating_mul(before).checked_div(total).unwrap_or(0) as u64;
		let mut before = 0u128;
		let mut bounds = vec![0];
		for weight in weights {
			before = before.saturating_add(u128::from(*weight));
			bounds.push(share(before));
		}
		let weighty = || (0..).zip(weights).filter(|(_, weight)| **weight > 0).map(|(checker, _)| checker).collect();
		let all = (weights.len() <= SMALL).then(weighty);
		Self { checkable, bounds, all, permutation: Permutation::new(&beacon, seats) }
	}

	/// Number of participants with a committee: the first ones.
	pub fn checkable(&self) -> u32 {
		self.checkable
	}

	/// The checkers of `participant`, as positions in the weights. They are distinct and in the order of its seats (ascending
	/// if all check all), without `own`, the participant's own position if it is a checker. Empty from [`Draw::checkable`]
	/// on.
	pub fn committee(&self, participant: u32, own: Option<u32>) -> Vec<u32> {
		if participant >= self.checkable {
			return Vec::new();
		}
		if let Some(all) = &self.all {
			return all.iter().copied().filter(|checker| Some(*checker) != own).collect();
		}
		let mut checkers = Vec::with_capacity(COMMITTEE as usize);
		let first = u64::from(participant).saturating_mul(SEATS.into());
		for slot in first..first.saturating_add(SEATS.into()) {
			let checker = self.holder(self.permutation.seat(slot));
			checkers.extend(checker.filter(|checker| Some(*checker) != own && !checkers.contains(checker)));
		}
		checkers.truncate(COMMITTEE as usize);
		checkers
	}

	/// The participants, ascending, in whose slots `checker` has a seat. They include all whose committee it belongs to, itself
	/// if it is a participant and drew itself, and some whose committee was full before its seat.
	pub fn duties(&self, checker: u32) -> Vec<u32> {
		if let Some(all) = &self.all {
			return if all.contains(&checker) { (0..self.checkable).collect() } else { Vec::new() };
		}
		let mut participants: Vec<u32> = self.seats(checker).map(|seat| self.participant(seat)).collect();
		participants.sort_unstable();
		participants.dedup();
		participants
	}

	/// The participants of [`Draw::duties`], in the order of the checker's seats and once for each seat. Computes each when it
	/// is taken.
	pub fn places(&self, checker: u32) -> impl Iterator<Item = u32> + '_ {
		let all = self.all.as_ref().map(|all| 0..if all.contains(&checker) { self.checkable } else { 0 });
		let seats = if all.is_some() { 0..0 } else { self.seats(checker) };
		all.into_iter().flatten().chain(seats.map(|seat| self.participant(seat)))
	}

	/// Number of seats of `checker`; `None` if all checkers check all others.
	pub fn seat_count(&self, checker: u32) -> Option<u32> {
		let seats = self.seats(checker);
		self.all.is_none().then(|| u32::try_from(seats.end.saturating_sub(seats.start)).unwrap_or(u32::MAX))
	}

	fn participant(&self, seat: u64) -> u32 {
		self.permutation.slot(seat).div_euclid(SEATS.into()) as u32
	}

	fn seats(&self, checker: u32) -> core::ops::Range<u64> {
		let checker = checker as usize;
		match (self.bounds.get(checker), self.bounds.get(checker.saturating_add(1))) {
			(Some(first), Some(end)) => *first..*end,
			_ => 0..0,
		}
	}

	/// The checker with this seat: the last whose range starts at or before it. Empty ranges end where they start.
	fn holder(&self, seat: u64) -> Option<u32> {
		let after = self.bounds.partition_point(|bound| *bound <= seat);
		(after < self.bounds.len()).then(|| after.saturating_sub(1) as u32)
	}
}

/// The leaf sets of `member` of a committee of `size`, ascending. Set p is checked by members p and p + 1, around the ring.
/// Empty if there is no such member.
pub fn sets_of(member: u32, size: u32) -> Vec<u32> {
	if member >= size {
		return Vec::new();
	}
	let before = member.checked_sub(1).unwrap_or(size.saturating_sub(1));
	let mut sets = vec![before.min(member), before.max(member)];
	sets.dedup();
	sets
}

/// The other member with `set`; `None` if `member` does not check that set, or is alone.
pub fn partner(member: u32, set: u32, size: u32) -> Option<u32> {
	if size < 2 || member >= size || set >= size {
		return None;
	}
	let next = set.checked_add(1).filter(|next| *next < size).unwrap_or(0);
	if member == set { Some(next) } else { (member == next).then_some(set) }
}

/// The refuters that the beacon appoints for an accusation, as ascending positions in the weights.
///
/// `weights[i]` is the [qualified](qualify) weight of checker i, and `parties` are the positions of the accuser and of the
/// accused host, which are never appointed. With [`APPOINTED`] checkers or fewer, all with a weight are appointed.
/// Otherwise [`APPOINTED`] draws are made with replacement, each by weight, from `ChaCha8(H("gonka/sprint/refuters" ‖
/// beacon))`. So there are fewer if one is drawn twice. The order of the draws depends on nothing but the beacon: an
/// accuser that knows it cannot choose among accusations. Costs O(checkers).
pub fn appoint(beacon: &Hash, weights: &[u64], parties: &[u32]) -> Vec<u32> {
	let is_free = |checker: &u32| !parties.contains(checker);
	if weights.len() <= APPOINTED as usize {
		let weighty = (0..).zip(weights).filter(|(_, weight)| **weight > 0).map(|(checker, _)| checker);
		return weighty.filter(is_free).collect();
	}
	let mut total = 0u64;
	let mut bounds = Vec::with_capacity(weights.len());
	for weight in weights {
		total = total.saturating_add(*weight);
		bounds.push(total);
	}
	let Some(last) = total.checked_sub(1) else { return Vec::new() };
	let mut stream = Stream::new(&blake2_256(&[b"gonka/sprint/refuters", beacon]));
	let draw = || {
		let at = below_or_equal(&mut stream, last);
		bounds.partition_point(|bound| *bound <= at) as u32
	};
	let draws = core::iter::repeat_with(draw).take(MAX_DRAWS).filter(is_free);
	let mut appointed: Vec<u32> = draws.take(APPOINTED as usize).collect();
	appointed.sort_unstable();
	appointed.dedup();
	appointed
}

/// The layer after which the residual's digest is taken: uniform in `layers/4 .. 3·layers/4`, read from
/// `ChaCha8(H("gonka/sprint/layer" ‖ beacon))`.
pub fn middle_layer(beacon: &Hash, format: SprintFormat) -> u16 {
	let layers = format.params().layers;
	let (first, end) = (layers / 4, layers.saturating_mul(3) / 4);
	let mut stream = Stream::new(&blake2_256(&[b"gonka/sprint/layer", beacon]));
	first.saturating_add(below_or_equal(&mut stream, u64::from(end.saturating_sub(first).saturating_sub(1))) as u16)
}

/// The first 4 bytes of `H("gonka/sprint/digests" ‖ digests…)`. Never all zero, which means "could not be checked".
pub fn tag(digests: &[Hash]) -> Tag {
	let [a, b, c, d, ..] = blake2_256(&[b"gonka/sprint/digests", digests.as_flattened()]);
	if [a, b, c, d] == [0; 4] { [0, 0, 0, 1] } else { [a, b, c, d] }
}

/// Maximum number of leaves of a leaf set of a round. Round 0 checks the sprint, the others a confirmation segment each.
pub const fn set_size(round: u8) -> u32 {
	if round == 0 { LEAVES_PER_SET } else { LEAVES_PER_CONFIRMATION }
}

/// The leaves of a set of at most `size`, ascending by segment and position in its commitment. `counts` are the segments that
/// the host committed to, ascending, with their numbers of leaves.
///
/// Each segment has a [`sample`] of its own, of ⌊size / segments⌋ leaves. The remainder goes to the segments in turn, from
/// number `set` on. So no segment can draw the samples of the others, however many leaves a host claims to have in it.
pub fn leaf_set(beacon: &Hash, host: &[u8; 32], set: u32, counts: &[(u8, u64)], size: u32) -> Vec<(u8, u64)> {
	let segments = counts.len() as u32;
	let (Some(each), Some(rest), Some(first)) =
		(size.checked_div(segments), size.checked_rem(segments), set.checked_rem(segments))
	else {
		return Vec::new();
	};
	let leaves = |(number, (segment, count)): (u32, &(u8, u64))| {
		let turn = number.checked_sub(first).unwrap_or(number.saturating_add(segments).saturating_sub(first));
		let n = each.saturating_add(u32::from(turn < rest));
		let segment = *segment;
		sample(beacon, host, set, segment, *count, n).into_iter().map(move |position| (segment, position))
	};
	(0..).zip(counts).flat_map(leaves).collect()
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;
	use std::collections::BTreeSet;

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(64))]

		#[test]
		fn committees_and_duties_are_inverse(
			beacon: Hash, weights in prop::collection::vec(0u64..1000, 0..60), participants in 0u32..400, own in 0u32..60,
		) {
			let draw = Draw::new(beacon, &weights, participants);
			let checkers = weights.len() as u32;
			let heaviest = weights.iter().copied().max().unwrap_or(0);
			let worth = if weights.len() > SMALL { weights.iter().sum::<u64>().checked_div(heaviest).unwrap_or(0) } else { weights.len() as u64 };
			prop_assert_eq!(u64::from(draw.checkable()), u64::from(participants).min(64 * worth));
			prop_assert!(weights.len() <= SMALL || (0..checkers).all(|checker| draw.seats(checker).count() <= 12 * 64));
			let duties: Vec<BTreeSet<u32>> = (0..checkers)
				.map(|checker| {
					let duties = draw.duties(checker);
					assert!(duties.windows(2).all(|pair| pair[0] < pair[1]), "ascending");
					duties.into_iter().collect()
				})
				.collect();
			prop_assert!(draw.duties(checkers).is_empty() && draw.duties(u32::MAX).is_empty());
			for checker in 0..checkers + 1 {
				let places: BTreeSet<u32> = draw.places(checker).collect();
				prop_assert!(places.into_iter().eq(draw.duties(checker)));
			}
			for participant in 0..participants + 2 {
				let committee = draw.committee(participant, None);
				let members: BTreeSet<u32> = committee.iter().copied().collect();
				prop_assert_eq!(members.len(), committee.len());
				prop_assert!(weights.len() <= SMALL || committee.len() <= 9);
				let seated: BTreeSet<u32> =
					(0..checkers).filter(|checker| duties[*checker as usize].contains(&participant)).collect();
				prop_assert!(members.is_subset(&seated) && (members == seated || members.len() == 9));
				let without = draw.committee(participant, Some(own));
				prop_assert!(!without.contains(&own));
				prop_assert!(without.len() >= committee.len() - usize::from(committee.contains(&own)));
			}
		}

		#[test]
		fn seats_are_dealt_in_proportion_to_weight(
			beacon: Hash, weights in prop::collection::vec(prop_oneof![Just(0), 1u64..1000, any::<u64>()], 1..60),
			participants: u32,
		) {
			let draw = Draw::new(beacon, &weights, participants);
			let seats = 12 * u128::from(draw.checkable());
			let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
			prop_assume!(total > 0);
			let mut next = 0;
			for (checker, weight) in (0..).zip(&weights) {
				let range = draw.seats(checker);
				prop_assert_eq!(range.start, next);
				next = range.end;
				let (share, given) = (seats * u128::from(*weight) / total, u128::from(range.end - range.start));
				prop_assert!(given == share || given == share + 1);
				prop_assert!(*weight > 0 || given == 0);
				for seat in range.clone().take(3).chain(range.rev().take(3)) {
					prop_assert_eq!(draw.holder(seat), Some(checker));
				}
			}
			prop_assert_eq!(u128::from(next), seats);
			prop_assert_eq!(draw.holder(next), None);
		}

		#[test]
		fn refuters_are_distinct_weighty_and_no_parties(
			beacon: Hash, weights in prop::collection::vec(prop_oneof![Just(0), 1u64..1000], 0..60), one in 0u32..60,
			other in 0u32..60,
		) {
			let appointed = appoint(&beacon, &weights, &[one, other]);
			prop_assert!(appointed.len() <= APPOINTED as usize && appointed.windows(2).all(|pair| pair[0] < pair[1]));
			prop_assert!(appointed.iter().all(|checker| weights[*checker as usize] > 0));
			prop_assert!(!appointed.contains(&one) && !appointed.contains(&other));
			let free = (0..weights.len() as u32).filter(|checker| weights[*checker as usize] > 0);
			let free: Vec<u32> = free.filter(|checker| ![one, other].contains(checker)).collect();
			prop_assert!(weights.len() > APPOINTED as usize || appointed == free);
		}

		/// With other parties, only their own draws fall on others.
		#[test]
		fn an_accuser_cannot_choose_among_draws(beacon: Hash, one in 0u32..100, other in 0u32..100) {
			let weights = [10u64; 100];
			let without = appoint(&beacon, &weights, &[]);
			let with = appoint(&beacon, &weights, &[one, other]);
			prop_assert!(without.iter().all(|checker| [one, other].contains(checker) || with.contains(checker)));
		}

		#[test]
		fn in_a_small_network_all_check_all_others(
			beacon: Hash, weights in prop::collection::vec(0u64..3, 1..=SMALL), participants in 1u32..400,
		) {
			let draw = Draw::new(beacon, &weights, participants);
			for participant in 0..draw.checkable() {
				let others = (0u32..).zip(&weights).filter(|(checker, weight)| **weight > 0 && *checker != participant);
				let others: Vec<u32> = others.map(|(checker, _)| checker).collect();
				prop_assert_eq!(draw.committee(participant, Some(participant)), others);
			}
			prop_assert!(draw.committee(draw.checkable(), None).is_empty());
		}

		#[test]
		fn hosts_of_no_weight_get_no_seats(
			honest in prop::collection::vec(1_000u64..10_000, 11..60), tiny in 0usize..1_000,
		) {
			let mut honest = honest;
			honest.sort_unstable_by(|a, b| b.cmp(a));
			let mut alone = honest.clone();
			qualify(&mut alone);
			let mut flooded = honest.clone();
			flooded.extend(vec![1; tiny]);
			qualify(&mut flooded);
			// Tiny ones may let in a light one that would be left out otherwise, but no tiny one.
			prop_assert!(flooded.len() >= alone.len() && flooded.len() <= honest.len());
			for (before, after) in honest.iter().zip(&flooded) {
				prop_assert!(after <= before);
			}
			let (first, total) = (u128::from(flooded[0]), flooded.iter().map(|weight| u128::from(*weight)).sum::<u128>());
			prop_assert!(first * 4 <= total * 2, "nobody has more than half of what two medians are");
		}

		#[test]
		fn qualifying_keeps_every_checker_of_a_small_network(weights in prop::collection::vec(0u64..1 << 40, 0..=SMALL)) {
			let mut weights = weights;
			weights.sort_unstable_by(|a, b| b.cmp(a));
			let mut after = weights.clone();
			qualify(&mut after);
			prop_assert_eq!(after.len(), weights.len());
		}

		#[test]
		fn partners_share_their_sets(size in 0u32..40, member in 0u32..42, set in 0u32..42) {
			let sets = sets_of(member, size);
			prop_assert!(sets.windows(2).all(|pair| pair[0] < pair[1]));
			prop_assert_eq!(sets.len() as u32, if member < size { size.min(2) } else { 0 });
			let partner = partner(member, set, size);
			prop_assert_eq!(partner.is_some(), size > 1 && sets.contains(&set));
			if let Some(other) = partner {
				prop_assert!(other != member && other < size && sets_of(other, size).contains(&set));
				prop_assert_eq!(super::partner(other, set, size), Some(member));
			}
		}

		#[test]
		fn a_leaf_set_is_spread_over_all_segments(
			beacon: Hash, counts in prop::collection::vec(1u64..1 << 40, 1..9), size in 8u32..40, set in 0u32..20,
		) {
			let counts: Vec<(u8, u64)> = (3..).zip(counts).collect();
			let leaves = leaf_set(&beacon, &[1; 32], set, &counts, size);
			prop_assert!(leaves.is_sorted_by(|a, b| a < b));
			let segments = counts.len() as u64;
			for (segment, count) in &counts {
				let mine: Vec<u64> = leaves.iter().filter(|(of, _)| of == segment).map(|(_, at)| *at).collect();
				prop_assert!(mine.iter().all(|position| position < count));
				let (low, high) = (u64::from(size) / segments, u64::from(size).div_ceil(segments));
				prop_assert!((low.min(*count)..=high.min(*count)).contains(&(mine.len() as u64)));
			}
			// In as many sets as there are segments, each segment has the same number.
			let of_sets = |segment: u8| (set..set + segments as u32)
				.map(|set| leaf_set(&beacon, &[1; 32], set, &counts, size))
				.map(|leaves| leaves.iter().filter(|(of, _)| *of == segment).count())
				.sum::<usize>();
			let large = counts.iter().filter(|(_, count)| *count >= 40).map(|(segment, _)| of_sets(*segment));
			prop_assert!(large.into_iter().all(|number| number == size as usize));
			prop_assert!(leaf_set(&beacon, &[1; 32], set, &[], size).is_empty());
		}

		/// A segment's sample depends on no other segment.
		#[test]
		fn a_huge_count_draws_no_sample_of_another_segment(beacon: Hash, junk in 1u64..1 << 40, set in 0u32..9) {
			let honest = [(0, 100), (1, 100), (2, 100), (3, 100)];
			let with = |count| leaf_set(&beacon, &[1; 32], set, &[&honest[..], &[(4, count)]].concat(), LEAVES_PER_SET);
			let of_honest = |leaves: Vec<(u8, u64)>| leaves.into_iter().filter(|(of, _)| *of < 4).collect::<Vec<_>>();
			prop_assert_eq!(of_honest(with(junk)), of_honest(with(100)));
			prop_assert!(of_honest(with(junk)).len() >= 25);
		}
	}

	#[test]
	fn all_checkers_together_have_12_288_requests_of_a_kind() {
		assert_eq!([0, 1, 48, 49, 100, 1_024].map(requests_per_kind), [0, 255, 255, 250, 122, 12]);
		assert!((1..=1_024).all(|checkers| checkers * u32::from(requests_per_kind(checkers)) <= 12_288));
	}

	#[test]
	fn every_middle_layer_is_drawn() {
		let drawn = |format| (0..=255).map(|byte| middle_layer(&[byte; 32], format)).collect::<BTreeSet<_>>();
		assert_eq!(drawn(SprintFormat::Nano), BTreeSet::from([0]));
		assert_eq!(drawn(SprintFormat::P400), (6..18).collect());
	}

	/// Committees of nine of a thousand are nine different checkers.
	#[test]
	fn committees_are_full() {
		let draw = Draw::new([5; 32], &[7; 1024], 10_000);
		let members: usize = (0..10_000).map(|participant| draw.committee(participant, None).len()).sum();
		assert_eq!(members, 90_000);
	}

	/// 40 % of the weight, in as many hosts as there are others, gets 40 % of the draws.
	#[test]
	fn refuters_are_drawn_by_weight() {
		let weights: Vec<u64> = (0..100).map(|checker| if checker < 50 { 2 } else { 3 }).collect();
		let (mut light, mut all) = (0, 0);
		for beacon in 0..2_000u32 {
			let beacon = blake2_256(&[&beacon.to_le_bytes()]);
			let appointed = appoint(&beacon, &weights, &[]);
			light += appointed.iter().filter(|checker| **checker < 50).count();
			all += appointed.len();
		}
		let share = light as f64 / all as f64;
		assert!((0.395..0.42).contains(&share), "{share}");
	}
}
