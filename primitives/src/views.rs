//! The results of the runtime API.

mod governance;

pub use governance::*;

use crate::{
	AccountId, Balance, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, PublicKey,
	audit::{CalibrationProfile, Outcome, Pick, Scope},
	check::{Offence, Stage},
	epoch::{Phase, Schedule},
	market::{Price, Totals},
	merkle_sum::SumNode,
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use gonka_sprint::{Commitment, LeafId, LeafOpening, SprintFormat, committee::Tag};
use scale_info::TypeInfo;

/// The running epoch as of a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct EpochView {
	/// The epoch's index.
	pub index: EpochIndex,
	/// Its first block.
	pub start: BlockNumber,
	/// The block whose state this is.
	pub block: BlockNumber,
	/// The phase of that block.
	pub phase: Phase,
	/// The lengths of the phases.
	pub schedule: Schedule,
	/// The sprint format.
	pub format: SprintFormat,
	/// `seed1`: the sprint's model.
	pub model_seed: Hash,
	/// `seed2` of each segment that has begun, confirmation segments last.
	pub segment_seeds: Vec<Hash>,
	/// Offsets of the confirmation segments that were called. Their numbers continue those of the sprint's segments.
	pub confirmations: Vec<BlockNumber>,
	/// The beacon from which committees and the sprint's leaf sets are drawn; `None` before the draw.
	pub beacon: Option<Hash>,
	/// The beacons from which the leaf sets of confirmation segments are drawn, in the order of the segments.
	pub round_beacons: Vec<Hash>,
}

impl EpochView {
	/// Offset of the first block of a segment that has been called, from the epoch's first block.
	pub fn start_of(&self, segment: u8) -> Option<BlockNumber> {
		self.schedule.start_of(segment, &self.confirmations)
	}

	/// The round drawn last with its beacon and the offset of its draw; `None` before the draw of the committees.
	pub fn round(&self) -> Option<(u8, Hash, BlockNumber)> {
		let round = u8::try_from(self.round_beacons.len()).ok()?;
		let beacon = self.round_beacons.last().copied();
		Some((round, beacon.or(self.beacon)?, self.schedule.draw_of(round, &self.confirmations)?))
	}

	/// Whether the block after the best one may carry a commitment of `segment`.
	pub fn takes_commitment_next(&self, segment: u8) -> bool {
		let next = self.block.saturating_sub(self.start).saturating_add(1);
		self.schedule.takes_commitment(segment, &self.confirmations, next)
	}
}

/// What the next registration of a host needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct RegistrationTerms {
	/// The running epoch.
	pub epoch: EpochIndex,
	/// The next revision in that epoch.
	pub revision: u8,
	/// Number of leading zero bits of the proof of work. Of a new host, it rises with the number of hosts.
	pub bits: u32,
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct HostView {
	/// Its account.
	pub account: AccountId,
	/// Its worker's key.
	pub worker: PublicKey,
	/// Its worker's URL.
	pub url: Vec<u8>,
	/// The models it serves, ascending.
	pub models: Vec<ModelId>,
	/// The epoch of its last registration.
	pub registered: EpochIndex,
	/// Its effective weight in the epoch weighed last; 0 if it had none.
	pub effective_weight: u64,
	/// Whether arbiters found it guilty in this epoch or shortly before. Gateways dispatch nothing to it.
	pub condemned: bool,
}

/// A registered model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ModelView {
	/// Its id.
	pub id: ModelId,
	/// Its name in requests.
	pub name: Vec<u8>,
	/// SHA-256 of the weights' file.
	pub weights_hash: Hash,
	/// SHA-256 of the tokenizer's file: vocabulary, rules and chat template in GGUF, without weights.
	pub tokenizer_hash: Hash,
	/// Maximum number of tokens of prompt and completion together.
	pub context_length: u32,
	/// Its current price.
	pub price: Price,
}

/// A payment channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ChannelView {
	/// Its id.
	pub id: ChannelId,
	/// The developer, who pays.
	pub developer: AccountId,
	/// The host, which is paid.
	pub host: AccountId,
	/// The gateway key, whose signatures bind the developer.
	pub gateway: PublicKey,
	/// Base units deposited since it was opened.
	pub deposit: Balance,
	/// Sums settled since it was opened.
	pub settled: Totals,
	/// The block from which the rest can be withdrawn; `None` unless the channel is closing.
	pub closes: Option<BlockNumber>,
}

/// The parameters of the market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct MarketView {
	/// Blocks of a settlement window.
	pub window: BlockNumber,
	/// Maximum number of vouchers in a settlement.
	pub max_vouchers: u32,
	/// Maximum number of channels in one opening or top-up.
	pub max_channels_per_call: u32,
	/// Minimum deposit of a channel, in base units.
	pub min_deposit: Balance,
	/// Blocks between the closing of a channel and the withdrawal.
	pub challenge_period: BlockNumber,
}

/// The supply of GNK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SupplyView {
	/// Base units in existence.
	pub issued: Balance,
	/// Base units not mined yet.
	pub unmined: Balance,
	/// Base units that the epoch closed last may mint.
	pub last_emission: Balance,
	/// Issued base units of hosts' rewards that are not paid out yet.
	pub vesting: Balance,
	/// Issued base units in the community fund.
	pub treasury: Balance,
}

/// A host's rewards that are not paid out yet, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct VestingView {
	/// Not vested yet.
	pub locked: Balance,
	/// Vested and not paid out.
	pub vested: Balance,
	/// The amount that vests in an epoch at the current rate.
	pub per_epoch: Balance,
	/// Pay that was burnt for offences and is still to be deducted from the parts that vest next.
	pub burnt: Balance,
	/// The epoch up to which the amounts are counted.
	pub updated: EpochIndex,
	/// The rewards that are still vesting, ascending by the epoch in which they were granted: the one after they were
	/// earned.
	pub grants: Vec<(EpochIndex, Balance)>,
}

/// A host's collateral, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct CollateralView {
	/// The amount that backs its weight.
	pub active: Balance,
	/// Withdrawn amounts, by the last epoch whose weights each may have backed.
	pub unbonding: Vec<(EpochIndex, Balance)>,
	/// Collateral withdrawn in earlier epochs than this one can be released.
	pub released_before: EpochIndex,
	/// The host's pay that has not vested. It backs weight, too.
	pub unvested: Balance,
	/// The amount that backs one leaf of weight.
	pub per_weight: Balance,
	/// The first epoch in which weight needs backing.
	pub needed_from: EpochIndex,
}

/// A host's weight in an epoch, and what it follows from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StandingView {
	/// The epoch.
	pub epoch: EpochIndex,
	/// The host's commitments, ascending by segment, confirmation segments included.
	pub commitments: Vec<(u8, Commitment)>,
	/// Blocks by which its commitments were late, by segment; those after the last late one are left out.
	pub delays: Vec<u8>,
	/// Number of requests for openings that the host has not answered, in all rounds.
	pub unanswered: u32,
	/// Whether the host has a committee; `None` before the draw. Without one, its weight is 0, unless genesis allows
	/// unchecked hosts.
	pub checked: Option<bool>,
	/// The compute weight, `segments × median` of the counts, of which late ones count less, less a third of it or more for
	/// each request that was not answered; `None` until the epoch is weighed.
	pub compute_weight: Option<u64>,
	/// The part of it that counts by itself or is backed by collateral; `None` until the epoch is weighed.
	pub backed_weight: Option<u64>,
	/// The backed weight under the cap, which carries routing; `None` until the epoch is weighed.
	pub effective_weight: Option<u64>,
	/// The part of it that the confirmations of the epoch before bore out, which carries power, pay and checking duty;
	/// `None` until the epoch is weighed.
	pub proven_weight: Option<u64>,
	/// The part of it that was proven in the epoch before, too, which carries votes and the draws of auditors and
	/// arbiters; `None` until the epoch is weighed.
	pub vote_weight: Option<u64>,
	/// Number of leaf sets that the host had to check in all rounds, and of those that count as met.
	pub duties: (u32, u32),
	/// Number of audits that were assigned to it, and of those on which it reported.
	pub audits: (u32, u32),
	/// Number of blocks that were expected of it as a validator, in thousandths, and of those that it wrote.
	pub blocks: (u32, u32),
	/// Number of confirmation segments so far whose commitments are in.
	pub confirmations: u32,
	/// The confirmed factor in millionths: the share of its sprint that its confirmation segments showed.
	pub confirmed: u32,
	/// The performance factor in millionths: the share of its duties that it met; 0 if it lost a dispute.
	pub performance: u32,
	/// Work units that it settled while these weights were in force.
	pub work: u64,
	/// The served factor in millionths: below a million if its work for its weight is less than a fifth of the median.
	pub served: u32,
	/// The paid weight, `min(backed weight × confirmed, proven weight) × performance × served`; `None` until the epoch is
	/// weighed.
	pub paid_weight: Option<u64>,
	/// The offence it was convicted of.
	pub offence: Option<Offence>,
}

/// A checker's duties in the round of the running epoch that was drawn last.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct CheckView {
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round.
	pub round: u8,
	/// The beacon from which leaf sets are drawn.
	pub beacon: Hash,
	/// The layer after which the residual's digest is taken.
	pub layer: u16,
	/// Number of new hosts of which the checker may request openings, and that of other hosts.
	pub request_limit: u8,
	/// The hosts to check. The order of tags is that of the first host's sets, then the second's, and so on.
	pub duties: Vec<DutyView>,
	/// The checker's commitment to its tags.
	pub committed: Option<Hash>,
	/// Whether it revealed its tags.
	pub revealed: bool,
}

/// A host to check.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DutyView {
	/// The host.
	pub host: AccountId,
	/// Its worker's URL.
	pub url: Vec<u8>,
	/// Whether it takes part as a new host.
	pub is_new: bool,
	/// The weight that depends on the check, in leaves.
	pub stake: u64,
	/// Its commitments to the round's segments, ascending by segment.
	pub commitments: Vec<(u8, Commitment)>,
	/// The leaf sets to check, ascending.
	pub sets: Vec<SetView>,
}

/// A leaf set: see `gonka_sprint::committee::leaf_set`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SetView {
	/// Its number within the committee.
	pub number: u8,
	/// The checker's own tag, once revealed.
	pub tag: Option<Tag>,
	/// The other checker of the set, with its tag once revealed.
	pub partner: Option<(AccountId, Option<Tag>)>,
}

/// A request for openings.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct RequestView {
	/// The checker that requested the openings.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round.
	pub round: u8,
	/// The host that must answer.
	pub host: AccountId,
	/// The requested leaves: segment, and position in its commitment.
	pub positions: Vec<(u8, u64)>,
	/// The last block that may carry the answer.
	pub deadline: BlockNumber,
	/// The openings; `None` until the host posts them.
	pub openings: Option<Vec<LeafOpening>>,
}

/// An open claim: see [`crate::check`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ClaimView {
	/// Its id.
	pub id: u32,
	/// The epoch it is about.
	pub epoch: EpochIndex,
	/// The sprint format of that epoch.
	pub format: SprintFormat,
	/// `seed1` of that epoch.
	pub model_seed: Hash,
	/// The claimant.
	pub claimant: AccountId,
	/// The host whose leaf or leaf set the claim is about.
	pub host: AccountId,
	/// The subject of the claim.
	pub subject: SubjectView,
	/// The leaf with `seed2` of its segment; of a challenge, once the refuter named it.
	pub leaf: Option<(LeafId, Hash)>,
	/// The first children of the claimed trace's root; empty until the claimant shows them.
	pub frontier: Vec<Hash>,
	/// The last block that may carry a new refutation of an accusation.
	pub until: BlockNumber,
	/// The appointed refuters of an accusation; `None` before their draw, when no refutation may begin, and of a
	/// challenge.
	pub appointed: Option<Vec<AccountId>>,
	/// Refutations in progress.
	pub games: Vec<GameView>,
}

/// The subject of the claim.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum SubjectView {
	/// The leaf's right output differs from what the host committed to.
	Accusation {
		/// The right output, a byte per coordinate.
		output: Vec<u8>,
	},
	/// The claimant's tag of a leaf set is right.
	Challenge {
		/// The round.
		round: u8,
		/// The set.
		set: u8,
		/// The layer after which the digests are taken.
		layer: u16,
		/// The leaves of the set: segment, and position in its commitment.
		leaves: Vec<(u8, u64)>,
		/// The host's commitments to the round's segments, ascending by segment.
		commitments: Vec<(u8, Commitment)>,
		/// The claimant's digests, once shown.
		digests: Vec<Hash>,
		/// The index in the set of the leaf in question, once named.
		number: Option<u8>,
	},
}

/// A refutation in progress.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct GameView {
	/// The refuter.
	pub refuter: AccountId,
	/// The turn that the game waits for.
	pub stage: Stage,
	/// Number of turns taken.
	pub number: u8,
	/// The last block that may carry that turn.
	pub deadline: BlockNumber,
	/// The child of the root that the refuter picked.
	pub picked: Option<u8>,
	/// The children of the picked node, once shown.
	pub children: Vec<Hash>,
	/// The child of that node that the refuter picked.
	pub block: Option<u8>,
	/// The bytes of the picked block, once shown.
	pub bytes: Vec<u8>,
}

/// Audits that a checker can still report on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct AssignedAuditsView {
	/// The window in which they were drawn.
	pub window: u32,
	/// The last block that may carry a report on them.
	pub deadline: BlockNumber,
	/// The audits.
	pub audits: Vec<AuditView>,
}

/// An assigned audit: see [`crate::audit`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct AuditView {
	/// Its index in the checker's list of that window.
	pub index: u16,
	/// The host whose receipt is audited.
	pub host: AccountId,
	/// Its worker's URL.
	pub url: Vec<u8>,
	/// The settled window.
	pub window: u32,
	/// The root over the window's receipts.
	pub root: SumNode<Totals>,
	/// The model.
	pub model: ModelId,
	/// The receipt.
	pub pick: Pick,
	/// Whether the checker reported on it.
	pub done: bool,
}

/// A case, or an appeal, that is heard: see [`crate::audit`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct CaseView {
	/// Its number. An appeal has another one than the case that it is about.
	pub id: u32,
	/// Whether it is an appeal.
	pub appeal: bool,
	/// The host that the case is about.
	pub host: AccountId,
	/// Its worker's URL.
	pub url: Vec<u8>,
	/// The model.
	pub model: ModelId,
	/// The model's profile when the case was opened.
	pub profile: CalibrationProfile,
	/// The block in which it was opened.
	pub opened: BlockNumber,
	/// The last block that may carry a ruling.
	pub deadline: BlockNumber,
	/// The seed from which fresh receipts are drawn; `None` until the arbiters are drawn.
	pub seed: Option<Hash>,
	/// The audits to review.
	pub reviewed: Vec<ReviewedView>,
	/// The parts of settlements from which fresh receipts are drawn, by the arbiter's index in `arbiters`.
	pub scope: Vec<Scope>,
	/// The arbiters, in the order of their indices.
	pub arbiters: Vec<ArbiterView>,
}

/// An arbiter of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ArbiterView {
	/// The host.
	pub who: AccountId,
	/// Number of its seats: its ruling counts as many times.
	pub seats: u32,
	/// Its outcome, once it ruled.
	pub ruled: Option<Outcome>,
}

/// A judgement against a host, which takes effect unless the host appeals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct JudgementView {
	/// The case.
	pub case: u32,
	/// The outcome.
	pub outcome: Outcome,
	/// The last block that may carry an appeal.
	pub until: BlockNumber,
	/// The deposit of an appeal, in base units.
	pub deposit: Balance,
}

/// An audit that a case reviews.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ReviewedView {
	/// The checker that reported on it.
	pub checker: AccountId,
	/// The settled window.
	pub window: u32,
	/// The root over the window's receipts.
	pub root: SumNode<Totals>,
	/// The receipt.
	pub pick: Pick,
}

/// A host's reputation, and what it follows from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ReputationView {
	/// The reputation in millionths.
	pub reputation: u32,
	/// Number of settled receipts, up to the number of first receipts that are all audited.
	pub receipts: u32,
	/// The last epoch in which the host is muted.
	pub muted: Option<EpochIndex>,
	/// The sums of log-likelihood ratios against it by model, in 2⁻¹⁶ nats.
	pub suspicions: Vec<(ModelId, u64)>,
	/// The case or appeal about it that is heard.
	pub case: Option<u32>,
	/// The judgement against it that can be appealed.
	pub judgement: Option<JudgementView>,
}
