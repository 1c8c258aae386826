//! The types of the pallet's storage.

use crate::math::{self, BUCKETS};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash, MAX_MODELS_PER_HOST, MAX_URL, ModelId, PublicKey,
	check::Offence,
	epoch::{Phase, Schedule},
	hashing::{blake2_256, domain},
};
use gonka_sprint::{SprintFormat, priority};
use polkadot_sdk::{
	frame_support::{
		BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
		traits::{ConstU32, Get},
	},
	sp_runtime::Perbill,
};
use scale_info::TypeInfo;

/// Maximum number of segments of an epoch, confirmation segments included.
pub const MAX_SEGMENTS: u32 = 16;
/// Maximum number of confirmation segments of an epoch.
pub const MAX_CONFIRMATIONS: u32 = 8;
/// Maximum number of rounds of checks of an epoch: that of the sprint, and one for each confirmation segment.
pub const MAX_ROUNDS: u32 = MAX_CONFIRMATIONS + 1;
/// Maximum number of guardians.
pub const MAX_GUARDIANS: u32 = 16;
/// The number of an epoch's first participant that is a candidate. Other known hosts have numbers below it.
pub const FIRST_CANDIDATE: u32 = 1 << 30;
/// The number of an epoch's first new host.
pub const FIRST_NEW: u32 = 1 << 31;
/// Maximum factor by which the weight that a known host shows grows from one epoch to the next.
pub const GROWTH: u64 = 2;
/// Minimum of the cap on a host's share.
pub const MIN_CAP: Perbill = Perbill::from_percent(10);
/// Number of heaviest weights from which the cap is computed: one more than can exceed the lowest cap.
pub const HEAVIEST: u32 = 10;

/// An epoch, with the parameters of its start.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Epoch {
	/// Its index, from 0 at genesis.
	pub index: EpochIndex,
	/// Its first block.
	pub start: BlockNumber,
	/// The lengths of its phases.
	pub schedule: Schedule,
	/// The sprint format.
	pub format: SprintFormat,
	/// `seed1`: the sprint's model.
	pub model_seed: Hash,
	/// `seed2` of each segment that has begun, confirmation segments last.
	pub segment_seeds: BoundedVec<Hash, ConstU32<MAX_SEGMENTS>>,
	/// Offsets of the confirmation segments that were called.
	pub confirmations: BoundedVec<BlockNumber, ConstU32<MAX_CONFIRMATIONS>>,
	/// The beacon from which committees and the sprint's leaf sets are drawn; `None` before the draw.
	pub beacon: Option<Hash>,
	/// The beacons from which the leaf sets of confirmation segments are drawn, in the order of the segments.
	pub round_beacons: BoundedVec<Hash, ConstU32<MAX_CONFIRMATIONS>>,
}

impl Epoch {
	/// Blocks since the epoch's first.
	pub fn offset(&self, block: BlockNumber) -> BlockNumber {
		block.saturating_sub(self.start)
	}

	/// The phase of `block`.
	pub fn phase(&self, block: BlockNumber) -> Phase {
		self.schedule.phase(self.offset(block))
	}

	/// The beacon of a round; `None` if the round is not drawn.
	pub fn beacon_of(&self, round: u8) -> Option<Hash> {
		match round.checked_sub(1) {
			None => self.beacon,
			Some(number) => self.round_beacons.get(usize::from(number)).copied(),
		}
	}

	/// The offset at which a round was drawn; `None` if it is not drawn.
	pub fn draw_of(&self, round: u8) -> Option<BlockNumber> {
		self.beacon_of(round).and_then(|_| self.schedule.draw_of(round, &self.confirmations))
	}

	/// Number of rounds, the sprint's among them, in which no tags can be revealed after `block`.
	pub fn rounds_over(&self, block: BlockNumber) -> u8 {
		let last = |draw: BlockNumber| draw.saturating_add(self.schedule.checking()).saturating_sub(1);
		let is_over = |round: &u8| self.draw_of(*round).is_some_and(|draw| self.offset(block) >= last(draw));
		(0..=self.rounds()).take_while(is_over).count() as u8
	}

	/// Number of rounds of confirmation segments that are drawn: the segments whose commitments are in.
	pub fn rounds(&self) -> u8 {
		self.round_beacons.len() as u8
	}
}

/// A registered host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Host {
	/// Its worker's key.
	pub worker: PublicKey,
	/// Its worker's URL.
	pub url: BoundedVec<u8, ConstU32<MAX_URL>>,
	/// The models it serves, ascending.
	pub models: BoundedVec<ModelId, ConstU32<MAX_MODELS_PER_HOST>>,
	/// The epoch of its last registration.
	pub registered: EpochIndex,
	/// The revision of that registration.
	pub revision: u8,
	/// The epoch of its first registration.
	pub joined: EpochIndex,
	/// The last epoch in which it was seen to have weight.
	pub weighed: Option<EpochIndex>,
}

impl Host {
	/// The lowest revision of its next registration, in `epoch`.
	pub fn next_revision(&self, epoch: EpochIndex) -> u8 {
		if self.registered == epoch { self.revision.saturating_add(1) } else { 0 }
	}
}

/// Numbers of leaf sets of a checker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct SetDuties {
	/// The sets that it had to check in each round.
	pub due: u32,
	/// Those for which it revealed a tag, if only one of zeros. The others are missed: too many of them cost collateral.
	pub revealed: u32,
	/// Those that count for its pay: sets with a tag that it did not fail to defend, and sets of hosts that left requests
	/// for openings unanswered.
	pub met: u32,
}

/// A participant's standing in an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Standing {
	/// Its number among known hosts, among candidates from [`FIRST_CANDIDATE`] on, or among new hosts from [`FIRST_NEW`] on, by
	/// the order of first commitments.
	pub participant: u32,
	/// The compute weight, `segments × median` of the counts, in leaves. 0 until the host is weighed.
	pub compute: u64,
	/// The backed weight: the part of it that counts by itself or is backed by collateral. 0 until the host is weighed.
	pub backed: u64,
	/// The part of it that the confirmations of the last epoch before in which it took part bore out. 0 until the host is
	/// weighed.
	pub proven: u64,
	/// The part of that which was proven in that epoch, too. 0 until the host is weighed.
	pub votes: u64,
	/// Number of checkers of its committee. 0 until the host is weighed.
	pub committee: u8,
	/// The leaf sets that it had to check.
	pub duties: SetDuties,
	/// Number of audits that were assigned to it, and of those on which it reported.
	pub audits: (u32, u32),
	/// Number of blocks that it had to write as a validator, in thousandths, and of those that it wrote.
	pub blocks: (u32, u32),
	/// Number of requests for openings that it has not answered, by round, at most one of each of its checkers.
	pub unanswered: BoundedVec<u8, ConstU32<MAX_ROUNDS>>,
	/// The last round in which it requested openings, and the numbers of new hosts and of others of which it did, at most
	/// `requests_per_kind` each.
	pub asked: (u8, u8, u8),
	/// Blocks by which its commitments were late, by segment. Nothing is noted after the last late one.
	pub delays: BoundedVec<u8, ConstU32<MAX_SEGMENTS>>,
	/// The offence it was convicted of.
	pub offence: Option<Offence>,
	/// Whether it lost its pay because it missed a turn of a dispute.
	pub forfeited: bool,
	/// Whether it equivocated as a validator. This is separate from `offence`, so that it does not prevent a graver
	/// conviction.
	pub equivocated: bool,
	/// Work units that it settled while the epoch's weights were in force.
	pub work: u64,
}

impl Standing {
	/// A standing of which all of `weight` is backed and proven, for states that tests and benchmarks make.
	pub fn of_weight(participant: u32, weight: u64) -> Self {
		let (compute, backed, proven, votes) = (weight, weight, weight, weight);
		Self { participant, compute, backed, proven, votes, ..Default::default() }
	}

	/// Sets the weights. `last` is what the host showed in an epoch weighed before, and the part that was proven there;
	/// `None` if nobody had weight, so that there is nobody whose weight could have been proven.
	pub fn weigh(&mut self, compute: u64, backed: u64, last: Option<(u64, u64)>) {
		let (shown, before) = last.unwrap_or((backed, backed));
		self.compute = compute;
		self.backed = backed;
		self.proven = backed.min(shown);
		self.votes = self.proven.min(before);
	}

	/// Whether it took part as a new host.
	pub fn is_new(&self) -> bool {
		self.participant >= FIRST_NEW
	}

	/// Whether its epoch counts for the next ones: it had a weight, or lost it by an offence.
	pub fn has_outcome(&self) -> bool {
		self.backed > 0 || self.is_weightless()
	}

	/// The weight that it showed throughout an epoch with this number of rounds of confirmations, and the part that was
	/// proven there. An epoch without a confirmation shows nothing new. A host that was not new shows no more than [`GROWTH`]
	/// times what was proven in that epoch or, by `earlier`, in the one before: checkers may not have requested openings of
	/// all of these. If nothing was proven in either, nobody's weight was. `confirmed` returns millionths.
	pub fn shown(&self, rounds: u8, earlier: impl FnOnce() -> u64, confirmed: impl FnOnce() -> u64) -> (u64, u64) {
		match (self.is_weightless(), rounds) {
			(true, _) => (0, 0),
			(_, 0) => (self.proven, self.proven),
			_ => {
				let limit = match self.proven.max(earlier()) {
					proven if proven > 0 && !self.is_new() => proven.saturating_mul(GROWTH),
					_ => u64::MAX,
				};
				(math::scale(self.backed, confirmed()).min(limit), self.proven)
			},
		}
	}

	/// Notes that the commitment to a segment was `delay` blocks late.
	pub fn note_delay(&mut self, segment: u8, delay: BlockNumber) {
		let delay = u8::try_from(delay).unwrap_or(u8::MAX);
		if delay == 0 {
			return;
		}
		let len = self.delays.len().max(usize::from(segment).saturating_add(1));
		self.delays.bounded_resize(len, 0);
		if let Some(noted) = self.delays.get_mut(usize::from(segment)) {
			*noted = delay;
		}
	}

	/// The worth of its count of a segment of `blocks` blocks.
	pub fn in_time(&self, segment: u8, count: u64, blocks: BlockNumber) -> u64 {
		let delay = self.delays.get(usize::from(segment)).copied().unwrap_or(0);
		math::in_time(count, blocks, delay.into())
	}

	/// The part of a weight or count that is left after the requests of a round that it did not answer. Of a new host a single
	/// one leaves nothing: it is as if its committee had one checker.
	pub fn answered(&self, round: u8, worth: u64) -> u64 {
		let committee = if self.is_new() { 1 } else { self.committee };
		math::answered(worth, self.unanswered_in(round), committee.into())
	}

	/// Numbers of new hosts and of others of which it requested openings in a round.
	pub fn asked_in(&self, round: u8) -> (u8, u8) {
		let (last, new, others) = self.asked;
		if last == round { (new, others) } else { (0, 0) }
	}

	/// Number of requests of a round that it has not answered.
	pub fn unanswered_in(&self, round: u8) -> u32 {
		self.unanswered.get(usize::from(round)).copied().unwrap_or(0).into()
	}

	/// Whether its offence makes its weight 0.
	pub fn is_convicted(&self) -> bool {
		matches!(self.offence, Some(Offence::Fabrication | Offence::FalseAccusation | Offence::WrongInference))
	}

	/// Whether its weight is 0 because of an offence or an equivocation.
	pub fn is_weightless(&self) -> bool {
		self.equivocated || self.is_convicted()
	}

	/// Its gravest offence.
	pub fn gravest(&self) -> Option<Offence> {
		if self.equivocated && !self.is_convicted() { Some(Offence::Equivocation) } else { self.offence }
	}
}

/// The work that hosts settled while the weights of an epoch were in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Traffic {
	/// The work units of all hosts with weight.
	pub work: u64,
	/// The weight of the hosts in each [`math::bucket`]. Hosts that served nothing are in no bucket.
	pub weights: BoundedVec<u64, ConstU32<BUCKETS>>,
}

impl Traffic {
	/// Adds `work` of a host with `weight` that had settled `before`.
	pub fn add(&mut self, weight: u64, before: u64, work: u64) {
		self.work = self.work.saturating_add(work);
		let bucket = |work| math::bucket(math::ratio(work, weight)).map(usize::from);
		if let Some(old) = bucket(before).and_then(|bucket| self.weights.get_mut(bucket)) {
			*old = old.saturating_sub(weight);
		}
		let Some(bucket) = bucket(before.saturating_add(work)) else { return };
		if self.weights.len() <= bucket {
			self.weights.bounded_resize(bucket.saturating_add(1), 0);
		}
		if let Some(new) = self.weights.get_mut(bucket) {
			*new = new.saturating_add(weight);
		}
	}
}

/// A duty of a checker: a host to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty<AccountId> {
	/// The host.
	pub host: AccountId,
	/// The leaf sets, ascending, each with its other checker.
	pub sets: Vec<(u8, Option<AccountId>)>,
}

/// The sum of weights of one kind, and what their cap follows from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Sum {
	/// Sum of the weights.
	pub total: u64,
	/// Hosts with weight.
	pub hosts: u32,
	/// The largest weights, descending.
	pub heaviest: BoundedVec<u64, ConstU32<HEAVIEST>>,
}

impl Sum {
	fn add(&mut self, weight: u64) {
		if weight == 0 {
			return;
		}
		self.total = self.total.saturating_add(weight);
		self.hosts = self.hosts.saturating_add(1);
		let rank = self.heaviest.partition_point(|other| *other >= weight);
		// What falls off the end of a full list is not needed.
		let _ = self.heaviest.force_insert_keep_left(rank, weight);
	}

	/// Cap and capped total, with which no host exceeds `share` millionths.
	pub fn capped(&self, share: u64) -> Capped {
		let cap = math::cap(&self.heaviest, self.total, self.hosts, share);
		Capped { total: math::capped_total(&self.heaviest, self.total, cap), cap }
	}
}

/// A weighing in progress: sums over the participants visited so far.
///
/// The next candidates are a priority sample (Duffield, Lund and Thorup, 2007) of the hosts with proven weight: those with
/// the largest [`priority`]. A host that is lighter than the largest priority left out counts as if it had that
/// weight. So the expected share of any set of hosts in the candidates' weights is its share of the proven weight,
/// however it is split.
#[derive(CloneNoBound, DebugNoBound, PartialEqNoBound, EqNoBound, Encode, Decode, TypeInfo, MaxEncodedLen)]
#[scale_info(skip_type_params(MaxValidators, MaxCheckers))]
pub struct Weighing<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>, MaxCheckers: Get<u32>> {
	/// The last host visited.
	pub after: Option<AccountId>,
	/// The backed weights.
	pub backed: Sum,
	/// The proven weights.
	pub proven: Sum,
	/// The weights that carry votes.
	pub votes: Sum,
	/// The hosts with session keys of the largest proven weight, descending.
	pub validators: BoundedVec<(AccountId, u64), MaxValidators>,
	/// The random value from which candidates are drawn.
	pub beacon: Hash,
	/// The candidates for the next epoch's checkers with their proven weights, by descending priority.
	pub candidates: BoundedVec<(AccountId, u64), MaxCheckers>,
	/// The largest priority of the hosts that are not among them, in leaves. 0 while there are none.
	pub left_out: u64,
}

impl<AccountId: Clone + core::fmt::Debug + Eq + Encode, MaxValidators: Get<u32>, MaxCheckers: Get<u32>>
	Weighing<AccountId, MaxValidators, MaxCheckers>
{
	/// Begins a weighing. `beacon` must not be known before the weights are.
	pub fn new(beacon: Hash) -> Self {
		Self {
			after: None,
			backed: Default::default(),
			proven: Default::default(),
			votes: Default::default(),
			validators: Default::default(),
			beacon,
			candidates: Default::default(),
			left_out: 0,
		}
	}

	/// Adds a host.
	pub fn add(&mut self, who: AccountId, standing: &Standing, has_keys: bool) {
		self.backed.add(standing.backed);
		self.proven.add(standing.proven);
		self.votes.add(standing.votes);
		let weight = standing.proven;
		if weight == 0 {
			return;
		}
		let priority = self.priority(&who, weight);
		let rank = self.candidates.partition_point(|(who, weight)| self.priority(who, *weight) >= priority);
		let left_out = match self.candidates.force_insert_keep_left(rank, (who.clone(), weight)) {
			Ok(dropped) => dropped,
			Err(refused) => Some(refused),
		};
		if let Some((who, weight)) = left_out {
			let leaves = u64::try_from(self.priority(&who, weight) >> 32).unwrap_or(u64::MAX);
			self.left_out = self.left_out.max(leaves);
		}
		if has_keys {
			let rank = self.validators.partition_point(|(_, other)| *other >= weight);
			let _ = self.validators.force_insert_keep_left(rank, (who, weight));
		}
	}

	/// The priority of a host in the sample of candidates.
	pub(crate) fn priority(&self, who: &AccountId, weight: u64) -> u128 {
		priority(weight, &blake2_256(&[domain::CANDIDATES, &self.beacon, &who.encode()]))
	}

	/// The candidates with the weights by which they check, each at most `cap`, descending.
	pub fn into_candidates(self, cap: u64) -> BoundedVec<(AccountId, u64), MaxCheckers> {
		let mut candidates = self.candidates;
		candidates.iter_mut().for_each(|(_, weight)| *weight = self.left_out.max(*weight).min(cap));
		candidates.sort_by_key(|(_, weight)| core::cmp::Reverse(*weight));
		candidates
	}
}

/// Total and cap of weights of one kind.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Capped {
	/// Sum of the capped weights.
	pub total: u64,
	/// A host's weight is at most this.
	pub cap: u64,
}

/// Totals and caps of a weighed epoch.
///
/// Each kind of weight has a cap of its own. Otherwise compute that is rented for a sprint and proves nothing would raise
/// the cap on the power and the votes of a heavy host.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct EpochWeights {
	/// Sum of effective weights.
	pub total: u64,
	/// The cap: a host's effective weight is at most this.
	pub cap: u64,
	/// Hosts with proven weight.
	pub hosts: u32,
	/// Of proven weights, which carry power and are paid.
	pub proven: Capped,
	/// Of the weights that carry votes.
	pub votes: Capped,
}

impl EpochWeights {
	/// An epoch without caps in which all weight is proven, for states that tests and benchmarks make.
	pub const fn of_total(total: u64, hosts: u32) -> Self {
		let uncapped = Capped { total, cap: u64::MAX };
		Self { total, cap: u64::MAX, hosts, proven: uncapped, votes: uncapped }
	}

	/// A host's effective weight.
	pub fn effective(&self, standing: &Standing) -> u64 {
		if standing.is_weightless() { 0 } else { standing.backed.min(self.cap) }
	}

	/// The part of a host's weight that carries power and is paid.
	pub fn proven(&self, standing: &Standing) -> u64 {
		if standing.is_weightless() { 0 } else { self.counted(standing) }
	}

	/// That part without regard to offences.
	pub fn counted(&self, standing: &Standing) -> u64 {
		standing.proven.min(self.proven.cap)
	}

	/// The part of a host's weight that carries votes.
	pub fn votes(&self, standing: &Standing) -> u64 {
		if standing.is_weightless() { 0 } else { standing.votes.min(self.votes.cap) }
	}
}
