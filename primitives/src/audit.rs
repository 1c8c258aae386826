//! Sampled validation (`docs/protocol.md#15-sampled-validation`): the draw of audits, checkers' findings, and cases.
//! Everything that follows from a seed is a pure function of this module.
//!
//! **Draw.** Shortly after the beginning of window W the chain takes a seed for the settlements posted in W − 1. Seeds mix
//! the beacons of all blocks. Some receipts
//! of each settlement are picked by a position in its Merkle-sum tree ([`Pick`]). Each pick is assigned to a host that
//! serves the model.
//!
//! **Reports.** A checker sends a [`Finding`] for each of its audits ([`AuditReport`]). The model's
//! [`CalibrationProfile`] turns counts of tokens by bin into a log-likelihood ratio. The ratios are summed by host and
//! model, never below 0. When a sum reaches the profile's alarm, a case is opened.
//!
//! **Cases.** The more of the network's weight a host has, the more seats are drawn for a case about it
//! ([`AuditRules::seats_for`]), and an appeal has [`AuditRules::appeal_seats`]. The arbiters that have them review the
//! audits that raised the alarm and audit [`FRESH`] newly drawn receipts each ([`Ruling`]). [`judge`] is Wald's
//! sequential test over the latter.
//!
//! Log-likelihood ratios are in units of 2⁻¹⁶ nats ([`NAT`]). A positive ratio indicates wrong weights or a wrong
//! sampler.

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

/// Number of bins of the tape's margins.
pub const TAPE_BINS: usize = 8;
/// Number of bins of the fingerprints' distances.
pub const FINGERPRINT_BINS: usize = 8;
/// One nat of log-likelihood ratio.
pub const NAT: i64 = 1 << 16;
/// Millionths: the unit of reputation and of rates.
pub const MILLION: u32 = 1_000_000;
/// Maximum number of findings in a report.
pub const MAX_FINDINGS: u32 = 64;
/// Maximum number of arbiters' seats of a case.
pub const MAX_SEATS: u32 = 61;
/// Maximum number of tickets that are drawn for the seats of a case.
pub const MAX_TICKETS: u32 = 128;
/// Maximum number of audits that a case reviews.
pub const MAX_REVIEWED: u32 = 16;
/// Number of fresh receipts that each arbiter audits.
pub const FRESH: u32 = 32;
/// Maximum number of settlements that a case draws from.
pub const MAX_SCOPE: u32 = 16;

/// A receipt of a settlement, by its position in the Merkle-sum tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Pick {
	/// The receipt that contains this work unit, counted from 0 through all leaves.
	#[codec(index = 0)]
	Work(u64),
	/// The receipt of this number, counted from 0.
	#[codec(index = 1)]
	Receipt(u64),
}

impl Pick {
	/// Whether the pick is a leaf with these sums and with these sums before it.
	pub fn is(&self, before: &Totals, leaf: &Totals) -> bool {
		match self {
			Self::Work(position) => position.checked_sub(before.work).is_some_and(|within| within < leaf.work),
			Self::Receipt(number) => before.receipts == *number && leaf.receipts == 1,
		}
	}

	/// The index of the picked leaf, for the host that must show it.
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

/// How a model's completions differ between honest hosts, by chip and library, and how they differ if they are not the
/// model's. Governance registers it; a model without one is not audited. Its JSON has the names of the fields.
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
pub struct CalibrationProfile {
	/// Upper edges of the tape's bins 1 to 6, exclusive, ascending, above 0: margins in 2⁻¹⁶ nats. See
	/// [`CalibrationProfile::tape_bin`].
	pub margins: [i32; TAPE_BINS - 2],
	/// Log-likelihood ratio of a token in each bin of the tape, in 2⁻¹⁶ nats.
	pub tape: [i32; TAPE_BINS],
	/// Upper edges of the fingerprint's bins 0 to 6, exclusive, ascending: squared distances. See
	/// [`CalibrationProfile::fingerprint_bin`].
	pub distances: [u32; FINGERPRINT_BINS - 1],
	/// Log-likelihood ratio of a token in each bin of the fingerprint, in 2⁻¹⁶ nats.
	pub fingerprint: [i32; FINGERPRINT_BINS],
	/// The sum at which a case is opened, in 2⁻¹⁶ nats.
	pub alarm: u32,
	/// Maximum magnitude of one receipt's ratio, in 2⁻¹⁶ nats. At most the alarm.
	pub clamp: u32,
	/// The oldest worker that the profile was calibrated with. An older one reports [`Finding::Inconclusive`].
	pub min_worker_version: u32,
}

impl CalibrationProfile {
	/// Whether edges ascend, the clamp is not 0, and it is at most the alarm.
	pub fn is_well_formed(&self) -> bool {
		self.margins.first().is_some_and(|first| *first > 0)
			&& self.margins.is_sorted_by(|a, b| a < b)
			&& self.distances.is_sorted_by(|a, b| a < b)
			&& (1..=self.alarm).contains(&self.clamp)
	}

	/// The tape's bin of a token with this margin, in 2⁻¹⁶ nats (see
	/// [`SamplingParams::margin`](crate::sampler::SamplingParams::margin)): the first bin for 0 or less, the last bin
	/// from the last edge on.
	pub fn tape_bin(&self, margin: i32) -> usize {
		if margin <= 0 { 0 } else { self.margins.partition_point(|edge| *edge <= margin).saturating_add(1) }
	}

	/// Whether an end token with this margin is false: its margin is in the last bin. A completion has one end token,
	/// so this token decides alone.
	pub fn is_false_end(&self, margin: i32) -> bool {
		self.margins.last().is_some_and(|edge| *edge <= margin)
	}

	/// The bin of a squared distance between two fingerprints of a token: see [`distance`](crate::fingerprint::distance).
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

	/// The ratio of a finding, in 2⁻¹⁶ nats; `None` for an inconclusive one. `unavailable` is the ratio of
	/// [`Finding::Unavailable`].
	pub fn weigh(&self, finding: &Finding, unavailable: u32) -> Option<i64> {
		match finding {
			Finding::Checked(counts) => Some(self.ratio(counts)),
			Finding::Broken(_) => Some(self.clamp.into()),
			Finding::Unavailable => Some(unavailable.min(self.clamp).into()),
			Finding::Inconclusive => None,
		}
	}
}

/// Numbers of tokens of a completion by bin. 65,535 also stands for more.
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

/// A part of the evidence that contradicts the settlement or another part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Breach {
	/// The leaf is not under the root, or not at the picked position.
	#[codec(index = 0)]
	Proof,
	/// The receipt is of another model.
	#[codec(index = 1)]
	Model,
	/// The envelope is not the receipt's or not signed by the channel's gateway, or the body is not the envelope's.
	#[codec(index = 2)]
	Envelope,
	/// The tokens do not have the receipt's output hash.
	#[codec(index = 3)]
	Output,
	/// The numbers of tokens or the fee are wrong.
	#[codec(index = 4)]
	Counts,
	/// The fingerprints do not have the receipt's root.
	#[codec(index = 5)]
	Fingerprint,
	/// The completion did not end for the reason that the receipt states.
	#[codec(index = 6)]
	Finish,
}

/// The outcome of one audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Finding {
	/// The checker replayed the completion.
	#[codec(index = 0)]
	Checked(Counts),
	/// The host's evidence contradicts its settlement. Its ratio is the clamp.
	#[codec(index = 1)]
	Broken(Breach),
	/// The host does not show the evidence.
	#[codec(index = 2)]
	Unavailable,
	/// The checker cannot decide. The duty is met, and the finding has no effect on the host.
	#[codec(index = 3)]
	Inconclusive,
}

/// A checker's findings about audits that were drawn in a window, signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AuditReport {
	/// The checker.
	pub checker: AccountId,
	/// The window in which the audits were drawn.
	pub window: u32,
	/// 1 to [`MAX_FINDINGS`] findings by the audit's index in the checker's list of that window, ascending.
	pub findings: Vec<(u16, Finding)>,
}

/// An arbiter's findings in a case, signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Ruling {
	/// The arbiter.
	pub arbiter: AccountId,
	/// The host that the case is about.
	pub host: AccountId,
	/// The case.
	pub case: u32,
	/// A finding for each reviewed audit of the case, in the case's order.
	pub reviewed: Vec<Finding>,
	/// Findings about the arbiter's own draws from 0 on: all [`FRESH`], or fewer once [`judge`] has decided. A draw
	/// of a receipt that is reviewed or was drawn before is [`Finding::Inconclusive`].
	pub fresh: Vec<Finding>,
}

/// A checker's query to a host's worker for the evidence of an audit, signed by the checker's worker key. It does not
/// go on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct AuditQuery {
	/// The checker.
	pub checker: AccountId,
	/// The host that must answer.
	pub host: AccountId,
	/// The settled window.
	pub window: u32,
	/// The receipt.
	pub pick: Pick,
}

/// The outcome of a case, ascending by its gravity.
#[derive(
	Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub enum Outcome {
	/// The findings are within chance.
	#[codec(index = 0)]
	Innocent,
	/// The findings prove guilt only if what the host did not show counts against it.
	#[codec(index = 1)]
	Withheld,
	/// The completions are not the model's.
	#[codec(index = 2)]
	Guilty,
}

/// Whether `votes` are more than half of so many seats, or more than `two_thirds`, as an appeal needs.
pub const fn decides(votes: u32, seats: u32, two_thirds: bool) -> bool {
	let (part, whole) = if two_thirds { (2, 3) } else { (1, 2) };
	votes.saturating_mul(whole) > seats.saturating_mul(part)
}

/// Wald's sequential test over the ratios of fresh findings; `None` while it needs more of them, at most [`FRESH`].
/// [`Finding::Unavailable`] does not count for guilt. `bounds`: guilty at or above the first, innocent at or below
/// minus the second, in 2⁻¹⁶ nats.
pub fn judge(profile: &CalibrationProfile, fresh: &[Finding], unavailable: u32, bounds: (u32, u32)) -> Option<Outcome> {
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

/// The parameters of sampled validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct AuditRules {
	/// Share of the receipts of a host of full reputation that is audited, in millionths.
	pub base_rate: u32,
	/// Share that is added, times (1 − reputation)², in millionths.
	pub extra_rate: u32,
	/// Number of a host's first receipts, all of which are audited.
	pub first: u32,
	/// Maximum number of audits of one settlement.
	pub max_audits: u32,
	/// Whole windows that a checker has to report, after the window in which its audits were drawn.
	pub report_windows: u32,
	/// Blocks from the opening of a case or appeal to the draw of its arbiters, and one more than from the beginning of a
	/// window to the draw of its audits. At least 2. Seeds mix the beacons of all blocks, so that they are known in
	/// advance only to whoever makes all blocks of that time.
	pub draw_blocks: u32,
	/// Blocks from the opening of a case or appeal to the last ruling. More than `draw_blocks`, less than a window.
	pub case_blocks: u32,
	/// Numbers of arbiters' seats of a case about a host with a share of all proven weight below the first of
	/// `shares`, below the second, and of the second or more. Odd, at most [`MAX_SEATS`].
	pub seats: [u32; 3],
	/// Shares of all proven weight, in millionths, ascending: see `seats`.
	pub shares: [u32; 2],
	/// Number of arbiters' seats of an appeal: odd, above all of `seats`, at most [`MAX_SEATS`].
	pub appeal_seats: u32,
	/// Blocks in which a host may appeal, after a case was decided against it.
	pub appeal_blocks: u32,
	/// The ratio of [`Finding::Unavailable`], in 2⁻¹⁶ nats.
	pub unavailable: u32,
	/// A finding is clear if its ratio has at least this magnitude, in 2⁻¹⁶ nats. A checker or arbiter whose clear
	/// finding is the opposite of what the arbiters found is discredited.
	pub clear: u32,
	/// The sum from which a case's host is guilty: ln 1/α, in 2⁻¹⁶ nats.
	pub guilty: u32,
	/// The negated sum from which a case's host is innocent: ln 1/β, in 2⁻¹⁶ nats.
	pub innocent: u32,
	/// Epochs, after the running one, in which a discredited or convicted host is muted: not drawn, and its findings
	/// ignored.
	pub mute_epochs: u32,
	/// Number of parts of the missing reputation, one of which a clean epoch restores.
	pub recovery: u32,
}

impl AuditRules {
	/// α = 10⁻⁹ and β = 10⁻⁹: 20.72 nats.
	pub const LN_BILLION: u32 = 1_358_120;

	/// The default parameters for windows of `window` blocks, and `appeal` blocks in which a host may appeal.
	pub const fn new(window: u32, appeal: u32) -> Self {
		Self {
			base_rate: 10_000,
			extra_rate: 90_000,
			first: 50,
			max_audits: 64,
			report_windows: 1,
			draw_blocks: if window / 60 > 2 { window / 60 } else { 2 },
			case_blocks: window.saturating_sub(window / 10).saturating_sub(2),
			seats: [5, 9, 15],
			shares: [1_000, 10_000],
			appeal_seats: MAX_SEATS,
			appeal_blocks: appeal,
			unavailable: 2 << 16,
			clear: 2 << 16,
			guilty: Self::LN_BILLION,
			innocent: Self::LN_BILLION,
			mute_epochs: 3,
			recovery: 30,
		}
	}

	/// Number of arbiters' seats of a case about a host with this effective weight, of a sum of `total`.
	pub fn seats_for(&self, weight: u64, total: u64) -> u32 {
		let (scaled, total) = (u128::from(weight).saturating_mul(MILLION.into()), u128::from(total));
		let is_below = |share: u32| scaled < total.saturating_mul(share.into());
		let ([few, some, many], [first, second]) = (self.seats, self.shares);
		match (weight == 0 || is_below(first), is_below(second)) {
			(true, _) => few,
			(false, true) => some,
			(false, false) => many,
		}
	}

	/// Number of windows, from the one in which a settlement was posted on, after which every case and appeal about it is
	/// over. One of them is for cases that wait until others are done.
	pub const fn windows_held(&self, window: u32) -> u32 {
		let term = if window == 0 { 0 } else { self.appeal_blocks.div_ceil(window) };
		self.report_windows.saturating_add(term).saturating_add(5)
	}

	/// Share of the receipts of a host with this reputation that is audited. Both are in millionths.
	pub fn rate(&self, reputation: u32) -> u32 {
		let missing = u64::from(MILLION.saturating_sub(reputation));
		let square = missing.saturating_mul(missing) / u64::from(MILLION);
		let extra = square.saturating_mul(self.extra_rate.into()) / u64::from(MILLION);
		self.base_rate.saturating_add(u32::try_from(extra).unwrap_or(u32::MAX)).min(MILLION)
	}

	/// Reputation after an epoch in which the host was active, in millionths.
	pub fn next_reputation(&self, reputation: u32, missed: bool) -> u32 {
		if missed {
			return reputation / 2;
		}
		let step = MILLION.saturating_sub(reputation).checked_div(self.recovery).unwrap_or(0);
		reputation.saturating_add(step).min(MILLION)
	}
}

/// The seed of all draws of a settlement. `seed` is the mix as of the draw.
pub fn batch_seed(seed: &Hash, host: &AccountId, window: u32) -> Hash {
	blake2_256(&[domain::AUDIT_BATCH, seed, host, &window.to_le_bytes()])
}

/// The seed of all draws of a case, from the mix as of the draw. An appeal has a number of its own.
pub fn case_seed(mix: &Hash, case: u32) -> Hash {
	blake2_256(&[domain::AUDIT_CASE, mix, &case.to_le_bytes()])
}

/// A number below `bound`: the first 16 bytes of `H(domain ‖ seed ‖ a:u32 ‖ b:u32)` modulo it; 0 for a bound of 0.
fn number(domain: &[u8], seed: &Hash, a: u32, b: u32, bound: u64) -> u64 {
	let hash = blake2_256(&[domain, seed, &a.to_le_bytes(), &b.to_le_bytes()]);
	let value = hash.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
	value.checked_rem(bound.into()).and_then(|rest| u64::try_from(rest).ok()).unwrap_or(0)
}

/// Number of audits that `receipts` give at `rate` (millionths), in a settlement of which `audited` of `work` units
/// can be audited: the expectation, with its fraction rounded up with the same probability.
pub fn audit_count(batch_seed: &Hash, receipts: u64, rate: u32, audited: u64, work: u64) -> u64 {
	let scale = u128::from(work).saturating_mul(MILLION.into());
	let expected = u128::from(receipts).saturating_mul(rate.into()).saturating_mul(audited.into());
	let whole = expected.checked_div(scale).unwrap_or(0);
	let fraction = expected.checked_rem(scale).unwrap_or(0).checked_div(work.into()).unwrap_or(0);
	let up = u128::from(number(domain::AUDIT_COUNT, batch_seed, 0, 0, MILLION.into())) < fraction;
	u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(up.into())
}

/// The position of audit `k` among `work` units that can be audited.
pub fn position(batch_seed: &Hash, k: u32, work: u64) -> u64 {
	number(domain::AUDIT_POSITION, batch_seed, k, 0, work)
}

/// The ticket, below the sum of weights, that draws the checker of audit `k` in an attempt.
pub fn checker_ticket(batch_seed: &Hash, k: u32, attempt: u32, weight: u64) -> u64 {
	number(domain::AUDIT_CHECKER, batch_seed, k, attempt, weight)
}

/// The ticket, below the sum of the weights that are left, that draws an arbiter's seat in an attempt.
pub fn arbiter_ticket(case_seed: &Hash, attempt: u32, weight: u64) -> u64 {
	number(domain::AUDIT_ARBITER, case_seed, attempt, 0, weight)
}

/// A ticket among all weights, from one among those that are left without `excluded`: first unit and weight of each
/// excluded host, ascending.
pub fn skip_excluded(ticket: u64, excluded: &[(u64, u64)]) -> u64 {
	let skip = |ticket: u64, (first, weight): &(u64, u64)| {
		if ticket >= *first { ticket.saturating_add(*weight) } else { ticket }
	};
	excluded.iter().fold(ticket, skip)
}

/// The part of a settlement that one model did. A case draws fresh receipts from such parts.
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

/// Draw `k` of the arbiter with this index: the settlement's index in `scope`, and the receipt.
pub fn fresh_draw(case_seed: &Hash, arbiter: u32, k: u32, scope: &[Scope]) -> Option<(usize, Pick)> {
	let work = scope.iter().fold(0u64, |sum, part| sum.saturating_add(part.work));
	let mut left = number(domain::AUDIT_FRESH, case_seed, arbiter, k, work);
	for (index, part) in scope.iter().enumerate() {
		match left.checked_sub(part.work) {
			Some(rest) => left = rest,
			None => return Some((index, Pick::Work(part.first.saturating_add(left)))),
		}
	}
	None
}

/// The location of unit `position` of the work that can be audited: the model, and the unit's position in the
/// settlement.
/// `work` lists each model's work, ascending by model, and whether the model is audited.
pub fn locate(work: &[(ModelId, u64, bool)], position: u64) -> Option<(ModelId, u64)> {
	let (mut left, mut start) = (position, 0u64);
	for (model, work, is_audited) in work {
		if *is_audited {
			match left.checked_sub(*work) {
				Some(rest) => left = rest,
				None => return Some((*model, start.saturating_add(left))),
			}
		}
		start = start.saturating_add(*work);
	}
	None
}
