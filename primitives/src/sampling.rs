//! Sampled validation (PROTOCOL §7): what is drawn, what checkers say of it, and what the chain makes of that.
//!
//! **Draw.** In the second block of window W the chain takes a seed for everything that was settled in W − 1. Of a
//! settlement, some receipts are picked by a position in its Merkle-sum tree ([`Pick`]), and each pick goes to a host
//! that serves the model. Everything that follows from the seed is here, as pure functions.
//!
//! **Verdicts.** A checker sends a [`Finding`] for each of its samples. Counts of tokens by bin become a log-likelihood
//! ratio by the model's [`Profile`]; these are summed by host and model, never below 0, and the profile's threshold
//! opens a case.
//!
//! **Cases.** Up to [`ARBITERS`] hosts look at what raised the alarm and at [`FRESH`] newly drawn receipts each
//! ([`Ruling`]). [`judge`] is Wald's sequential test over the latter.
//!
//! Log-likelihood ratios are in units of 2⁻¹⁶ nats ([`NAT`]): above 0 speaks for wrong weights or a wrong sampler.

use crate::{
	AccountId, Hash, ModelId,
	hashing::{blake2_256, domain},
	market::Totals,
	merkle_sum::{self, Sibling, SumNode},
};
use alloc::vec::Vec;
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Bins of the tape's margins.
pub const TAPE_BINS: usize = 8;
/// Bins of the fingerprints' distances.
pub const FINGERPRINT_BINS: usize = 8;
/// One nat of log-likelihood ratio.
pub const NAT: i64 = 1 << 16;
/// Millionths: the unit of reputation and of rates.
pub const MILLION: u32 = 1_000_000;
/// Most findings in one message.
pub const MAX_FINDINGS: u32 = 64;
/// Most arbiters of a case.
pub const ARBITERS: u32 = 3;
/// Most findings about a host that its case looks at again.
pub const MAX_AUDIT: u32 = 16;
/// Receipts that each arbiter draws anew.
pub const FRESH: u32 = 32;
/// Most settlements that a case draws from.
pub const MAX_SCOPE: u32 = 16;

/// A receipt of a settlement, by its place in the Merkle-sum tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Pick {
	/// The receipt that this work unit belongs to, counted from 0 through all leaves.
	#[codec(index = 0)]
	Work(u64),
	/// The receipt of this number, counted from 0.
	#[codec(index = 1)]
	Receipt(u64),
}

impl Pick {
	/// Whether a leaf with these sums, and with these before it, is the one picked.
	pub fn is(&self, before: &Totals, leaf: &Totals) -> bool {
		match self {
			Self::Work(position) => position.checked_sub(before.work).is_some_and(|within| within < leaf.work),
			Self::Receipt(number) => before.receipts == *number && leaf.receipts == 1,
		}
	}

	/// The index of the leaf picked: for the host that must show it.
	pub fn find(&self, leaves: &[SumNode<Totals>]) -> Option<usize> {
		let mut before = Totals::default();
		for (index, leaf) in leaves.iter().enumerate() {
			if self.is(&before, &leaf.sum) {
				return Some(index);
			}
			before = before.checked_add(&leaf.sum)?;
		}
		None
	}

	/// Whether `path` leads from `leaf` to `root`, and the leaf is the one picked: for the checker.
	pub fn is_shown(&self, root: &SumNode<Totals>, leaf: &SumNode<Totals>, path: &[Sibling<Totals>]) -> bool {
		let before = path.iter().try_fold(Totals::default(), |sum, sibling| match sibling {
			Sibling::Left(left) => sum.checked_add(&left.sum),
			Sibling::Right(_) => Some(sum),
		});
		before.is_some_and(|before| self.is(&before, &leaf.sum)) && merkle_sum::verify(root, *leaf, path)
	}
}

/// How a model's answers differ by chip and by library, and how much more if they are not its answers. Governance
/// registers it; without one a model is not sampled. Its JSON has the names of the fields.
#[derive(
	Clone,
	Copy,
	Debug,
	PartialEq,
	Eq,
	Encode,
	Decode,
	DecodeWithMemTracking,
	TypeInfo,
	MaxEncodedLen,
	Serialize,
	Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Profile {
	/// Upper edges of the tape's bins 1 to 6, excluded, ascending, above 0: margins in 2⁻¹⁶ nats. See [`Profile::tape_bin`].
	pub margins: [i32; TAPE_BINS - 2],
	/// Log-likelihood ratio of a token in each bin of the tape, in 2⁻¹⁶ nats.
	pub tape: [i32; TAPE_BINS],
	/// Upper edges of the fingerprint's bins 0 to 6, excluded, ascending: squared distances. See
	/// [`Profile::fingerprint_bin`].
	pub distances: [u32; FINGERPRINT_BINS - 1],
	/// Log-likelihood ratio of a token in each bin of the fingerprint, in 2⁻¹⁶ nats.
	pub fingerprint: [i32; FINGERPRINT_BINS],
	/// The sum at which a case is opened, in 2⁻¹⁶ nats.
	pub alarm: u32,
	/// What one receipt may weigh, either way, in 2⁻¹⁶ nats. At most the alarm.
	pub clamp: u32,
	/// The oldest worker that this was calibrated with: an older one answers [`Finding::Inconclusive`].
	pub min_worker_version: u32,
}

impl Profile {
	/// Whether edges ascend and no threshold is 0 or out of order.
	pub fn is_well_formed(&self) -> bool {
		self.margins.first().is_some_and(|first| *first > 0)
			&& self.margins.is_sorted_by(|a, b| a < b)
			&& self.distances.is_sorted_by(|a, b| a < b)
			&& (1..=self.alarm).contains(&self.clamp)
	}

	/// The tape's bin of a token by its margin in 2⁻¹⁶ nats ([`Sampling::margin`](crate::sampler::Sampling::margin)): bin 0
	/// for 0 or less, the last one from the last edge on.
	pub fn tape_bin(&self, margin: i32) -> usize {
		if margin <= 0 { 0 } else { self.margins.partition_point(|edge| *edge <= margin).saturating_add(1) }
	}

	/// Whether an answer cannot have ended by itself with a token of this margin: if it is in the last bin. There is one such
	/// token in an answer, so it decides alone, where others count.
	pub fn is_false_end(&self, margin: i32) -> bool {
		self.margins.last().is_some_and(|edge| *edge <= margin)
	}

	/// The bin of a squared distance between two fingerprints of a token: see [`distance`].
	pub fn fingerprint_bin(&self, distance: u32) -> usize {
		self.distances.partition_point(|edge| *edge <= distance)
	}

	/// The log-likelihood ratio of a receipt's tokens, in 2⁻¹⁶ nats, within ± the clamp.
	pub fn ratio(&self, counts: &Counts) -> i64 {
		let term = |(count, ratio): (&Compact<u16>, &i32)| i64::from(count.0).saturating_mul((*ratio).into());
		let tape = counts.tape.iter().zip(&self.tape).map(term);
		let fingerprint = counts.fingerprint.iter().zip(&self.fingerprint).map(term);
		let sum = tape.chain(fingerprint).fold(0, i64::saturating_add);
		sum.max(i64::from(self.clamp).saturating_neg()).min(self.clamp.into())
	}

	/// What a finding weighs, in 2⁻¹⁶ nats; `None` if it says nothing. `unavailable`: what one of that kind weighs.
	pub fn weigh(&self, finding: &Finding, unavailable: u32) -> Option<i64> {
		match finding {
			Finding::Checked(counts) => Some(self.ratio(counts)),
			Finding::Broken(_) => Some(self.clamp.into()),
			Finding::Unavailable => Some(unavailable.min(self.clamp).into()),
			Finding::Inconclusive => None,
		}
	}
}

/// Tokens of an answer by bin; 65,535 stands for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Counts {
	/// By the tape's bins.
	pub tape: [Compact<u16>; TAPE_BINS],
	/// By the fingerprint's bins.
	pub fingerprint: [Compact<u16>; FINGERPRINT_BINS],
}

impl Counts {
	/// From plain numbers.
	pub fn new(tape: [u16; TAPE_BINS], fingerprint: [u16; FINGERPRINT_BINS]) -> Self {
		Self { tape: tape.map(Compact), fingerprint: fingerprint.map(Compact) }
	}
}

/// What does not fit to the settlement or to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Breach {
	/// The leaf is not under the root, or not where it should be.
	#[codec(index = 0)]
	Proof,
	/// The receipt is of another model.
	#[codec(index = 1)]
	Model,
	/// The envelope is not the receipt's, not signed by the channel's gateway, or its body is another one.
	#[codec(index = 2)]
	Envelope,
	/// The tokens are not those of the output hash.
	#[codec(index = 3)]
	Output,
	/// Tokens or the fee are not what was counted.
	#[codec(index = 4)]
	Counts,
	/// The fingerprints are not those of the receipt.
	#[codec(index = 5)]
	Fingerprint,
	/// It ended for another reason than it says.
	#[codec(index = 6)]
	Finish,
}

/// What a checker found out about a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Finding {
	/// The answer was replayed.
	#[codec(index = 0)]
	Checked(Counts),
	/// What the host shows is not what it settled: weighs as much as one receipt can.
	#[codec(index = 1)]
	Broken(Breach),
	/// The host does not show it.
	#[codec(index = 2)]
	Unavailable,
	/// The checker cannot say. A met duty, and no word about the host.
	#[codec(index = 3)]
	Inconclusive,
}

/// Findings about samples that were drawn in a window, signed by the checker's worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Verdicts {
	/// Who checked.
	pub checker: AccountId,
	/// The window in which the samples were drawn.
	pub window: u32,
	/// By the sample's place in the checker's list of that window: ascending, 1 to [`MAX_FINDINGS`].
	pub findings: Vec<(u16, Finding)>,
}

/// An arbiter's word in a case, signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Ruling {
	/// Who rules.
	pub arbiter: AccountId,
	/// Whom the case is about.
	pub host: AccountId,
	/// The case.
	pub case: u32,
	/// About each sample of the case's audit list, in its order.
	pub audit: Vec<Finding>,
	/// About the arbiter's own draws from 0 on: all [`FRESH`], or fewer once [`judge`] has decided. A receipt that is on the
	/// audit list, or that an earlier draw fell into, is [`Finding::Inconclusive`].
	pub fresh: Vec<Finding>,
}

/// A checker asks a host's worker for what it needs to check a sample; signed by the checker's worker key. It does not go
/// on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SampleQuery {
	/// Who asks.
	pub checker: AccountId,
	/// Who must answer.
	pub host: AccountId,
	/// The settled window.
	pub window: u32,
	/// The receipt.
	pub pick: Pick,
}

/// What a case found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Outcome {
	/// Nothing that stands against chance.
	#[codec(index = 0)]
	Innocent,
	/// What was shown is not enough, but with what was not shown it would be.
	#[codec(index = 1)]
	Withheld,
	/// The answers are not the model's.
	#[codec(index = 2)]
	Guilty,
}

/// Wald's test over what fresh findings weigh; `None` as long as it wants more of them, which it does not beyond `FRESH`.
/// Guilt counts what was shown alone. `bounds`: guilty at or above the first, innocent at or below minus the second.
pub fn judge(profile: &Profile, fresh: &[Finding], unavailable: u32, bounds: (u32, u32)) -> Option<Outcome> {
	let (guilty, innocent) = (i64::from(bounds.0), i64::from(bounds.1).saturating_neg());
	let (mut shown, mut all) = (0i64, 0i64);
	for finding in fresh {
		let weight = profile.weigh(finding, unavailable).unwrap_or(0);
		all = all.saturating_add(weight);
		if !matches!(finding, Finding::Unavailable) {
			shown = shown.saturating_add(weight);
		}
		if shown >= guilty {
			return Some(Outcome::Guilty);
		}
		if all <= innocent {
			return Some(Outcome::Innocent);
		}
	}
	let end = if all >= guilty { Outcome::Withheld } else { Outcome::Innocent };
	(fresh.len() >= FRESH as usize).then_some(end)
}

/// The numbers of sampled validation. All are governance's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Rules {
	/// Samples of each receipt of a host of full reputation, in millionths.
	pub base_rate: u32,
	/// What is added to it times (1 − reputation)², in millionths.
	pub extra_rate: u32,
	/// Receipts from a host's first on that are all checked.
	pub first: u32,
	/// Most samples of one settlement.
	pub most: u32,
	/// Whole windows that a checker has, after the one in which its samples were drawn.
	pub verdict_windows: u32,
	/// Blocks that arbiters have. Less than a window.
	pub case_blocks: u32,
	/// What a sample that is not shown weighs, in 2⁻¹⁶ nats.
	pub unavailable: u32,
	/// From this weight on, either way, a finding is clear: whoever says the clear opposite of the arbiters is struck. In
	/// 2⁻¹⁶ nats.
	pub clear: u32,
	/// A case's host is guilty from this sum on: ln 1/α, in 2⁻¹⁶ nats.
	pub guilty: u32,
	/// A case's host is innocent from minus this sum on: ln 1/β, in 2⁻¹⁶ nats.
	pub innocent: u32,
	/// Epochs, after the running one, in which nobody listens to a host that was struck.
	pub mute: u32,
	/// A clean epoch brings reputation nearer to 1 by one in so many parts.
	pub recovery: u32,
}

impl Rules {
	/// α = 10⁻⁹ and β = 10⁻⁹: 20.72 nats.
	pub const LN_BILLION: u32 = 1_358_120;

	/// The design's numbers for windows of so many blocks.
	pub const fn new(window: u32) -> Self {
		Self {
			base_rate: 10_000,
			extra_rate: 90_000,
			first: 50,
			most: 64,
			verdict_windows: 1,
			case_blocks: window.saturating_sub(window / 10).saturating_sub(2),
			unavailable: 2 << 16,
			clear: 2 << 16,
			guilty: Self::LN_BILLION,
			innocent: Self::LN_BILLION,
			mute: 3,
			recovery: 30,
		}
	}

	/// Samples of each receipt of a host, in millionths. `reputation` in millionths.
	pub fn rate(&self, reputation: u32) -> u32 {
		let missing = u64::from(MILLION.saturating_sub(reputation));
		let square = missing.saturating_mul(missing) / u64::from(MILLION);
		let extra = square.saturating_mul(self.extra_rate.into()) / u64::from(MILLION);
		self.base_rate.saturating_add(u32::try_from(extra).unwrap_or(u32::MAX)).min(MILLION)
	}

	/// Reputation after an epoch in which the host did something. In millionths.
	pub fn next_reputation(&self, reputation: u32, missed: bool) -> u32 {
		if missed {
			return reputation / 2;
		}
		let step = MILLION.saturating_sub(reputation).checked_div(self.recovery).unwrap_or(0);
		reputation.saturating_add(step).min(MILLION)
	}
}

/// The seed of everything that is drawn of a settlement.
pub fn batch_seed(seed: &Hash, host: &AccountId, window: u32) -> Hash {
	blake2_256(&[domain::SAMPLING_BATCH, seed, host, &window.to_le_bytes()])
}

/// The seed of everything that is drawn for a case.
pub fn case_seed(beacon: &Hash, case: u32) -> Hash {
	blake2_256(&[domain::SAMPLING_CASE, beacon, &case.to_le_bytes()])
}

/// A number below `bound`: the first 16 bytes of `H(domain ‖ seed ‖ a:u32 ‖ b:u32)` modulo it; 0 for a bound of 0.
fn number(domain: &[u8], seed: &Hash, a: u32, b: u32, bound: u64) -> u64 {
	let hash = blake2_256(&[domain, seed, &a.to_le_bytes(), &b.to_le_bytes()]);
	let value = hash.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
	value.checked_rem(bound.into()).and_then(|rest| u64::try_from(rest).ok()).unwrap_or(0)
}

/// How many samples `receipts` give at `rate` (millionths), of a settlement of which `sampled` of `work` units can be
/// sampled: the expectation, its fraction rounded up with just that probability.
pub fn sample_count(batch_seed: &Hash, receipts: u64, rate: u32, sampled: u64, work: u64) -> u64 {
	let scale = u128::from(work).saturating_mul(MILLION.into());
	let expected = u128::from(receipts).saturating_mul(rate.into()).saturating_mul(sampled.into());
	let whole = expected.checked_div(scale).unwrap_or(0);
	let fraction = expected.checked_rem(scale).unwrap_or(0).checked_div(work.into()).unwrap_or(0);
	let up = u128::from(number(domain::SAMPLING_COUNT, batch_seed, 0, 0, MILLION.into())) < fraction;
	u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(up.into())
}

/// Where sample `k` falls, among `work` units that can be sampled.
pub fn position(batch_seed: &Hash, k: u32, work: u64) -> u64 {
	number(domain::SAMPLING_POSITION, batch_seed, k, 0, work)
}

/// The ticket, below the sum of weights, of the host that is to check sample `k`, by attempt.
pub fn checker_ticket(batch_seed: &Hash, k: u32, attempt: u32, weight: u64) -> u64 {
	number(domain::SAMPLING_CHECKER, batch_seed, k, attempt, weight)
}

/// The ticket, below the sum of weights, of an arbiter, by attempt.
pub fn arbiter_ticket(case_seed: &Hash, attempt: u32, weight: u64) -> u64 {
	number(domain::SAMPLING_ARBITER, case_seed, attempt, 0, weight)
}

/// The part of a settlement that one model did: what a case draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Scope {
	/// The settled window.
	pub window: u32,
	/// Its root.
	pub root: SumNode<Totals>,
	/// The model's first work unit.
	pub first: u64,
	/// The model's work units.
	pub work: u64,
}

/// Draw `k` of the arbiter of this number: the settlement's place in `scope`, and the receipt.
pub fn fresh_draw(case_seed: &Hash, arbiter: u32, k: u32, scope: &[Scope]) -> Option<(usize, Pick)> {
	let work = scope.iter().fold(0u64, |sum, part| sum.saturating_add(part.work));
	let mut left = number(domain::SAMPLING_FRESH, case_seed, arbiter, k, work);
	for (index, part) in scope.iter().enumerate() {
		match left.checked_sub(part.work) {
			Some(rest) => left = rest,
			None => return Some((index, Pick::Work(part.first.saturating_add(left)))),
		}
	}
	None
}

/// Where unit `position` of the work that can be sampled lies: the model, and the unit's place in the whole settlement.
/// `work`: by model, ascending, with whether the model is sampled.
pub fn locate(work: &[(ModelId, u64, bool)], position: u64) -> Option<(ModelId, u64)> {
	let (mut left, mut start) = (position, 0u64);
	for (model, work, is_sampled) in work {
		if *is_sampled {
			match left.checked_sub(*work) {
				Some(rest) => left = rest,
				None => return Some((*model, start.saturating_add(left))),
			}
		}
		start = start.saturating_add(*work);
	}
	None
}
