//! What the runtime API answers to clients.

mod governance;

pub use governance::*;

use crate::{
	AccountId, Balance, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, PublicKey,
	check::{Offence, Stage},
	epoch::{Phase, Schedule},
	market::{Price, Totals},
	merkle_sum::SumNode,
	sampling::{Outcome, Pick, Profile as Calibration, Scope},
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use gonka_sprint::{Commitment, LeafId, LeafOpening, Profile, committee::Tag};
use scale_info::TypeInfo;

/// The running epoch as of a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct EpochView {
	/// The epoch's index.
	pub index: EpochIndex,
	/// Its first block.
	pub start: BlockNumber,
	/// The block this is the state of.
	pub block: BlockNumber,
	/// The phase of that block.
	pub phase: Phase,
	/// The lengths of the phases.
	pub schedule: Schedule,
	/// The sprint's model format.
	pub profile: Profile,
	/// `seed1`: the sprint's model.
	pub model_seed: Hash,
	/// `seed2` of the segments that have begun, confirmation segments last.
	pub segment_seeds: Vec<Hash>,
	/// Offsets of the confirmation segments that were called. Their numbers go on where the sprint's end.
	pub confirmations: Vec<BlockNumber>,
	/// The beacon that committees and samples are drawn from, once it is out.
	pub beacon: Option<Hash>,
	/// Leading zero bits that a registration's proof of work needs.
	pub registration_bits: u32,
}

impl EpochView {
	/// Offset of the first block of a segment that has been called, from the epoch's first block.
	pub fn start_of(&self, segment: u8) -> Option<BlockNumber> {
		self.schedule.start_of(segment, &self.confirmations)
	}

	/// Whether the block after the best one may carry a commitment of `segment`.
	pub fn takes_commitment_next(&self, segment: u8) -> bool {
		let next = self.block.saturating_sub(self.start).saturating_add(1);
		self.schedule.takes_commitment(segment, &self.confirmations, next)
	}
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct HostView {
	/// Its account.
	pub account: AccountId,
	/// Its worker's key.
	pub worker: PublicKey,
	/// Where its worker is reached.
	pub url: Vec<u8>,
	/// The models it serves, ascending.
	pub models: Vec<ModelId>,
	/// The epoch of its last registration.
	pub registered: EpochIndex,
	/// Its effective weight of the last settled epoch; 0 if it had none.
	pub weight: u64,
	/// Whether arbiters found its answers wrong in this epoch or in the few before it: gateways do not ask it.
	pub condemned: bool,
}

/// A registered model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ModelView {
	/// Its id.
	pub id: ModelId,
	/// Its name, as developers ask for it.
	pub name: Vec<u8>,
	/// SHA-256 of the weights' file.
	pub weights_hash: Hash,
	/// Tokens of prompt and answer together.
	pub context_length: u32,
	/// Today's price.
	pub price: Price,
}

/// A payment channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ChannelView {
	/// Its id.
	pub id: ChannelId,
	/// Who pays.
	pub developer: AccountId,
	/// Who is paid.
	pub host: AccountId,
	/// Whose signature binds the developer.
	pub gateway: PublicKey,
	/// Base units paid in since it was opened.
	pub deposit: Balance,
	/// Sums settled since it was opened.
	pub settled: Totals,
	/// The block from which the rest can be withdrawn, once closing.
	pub closes: Option<BlockNumber>,
}

/// The rules of the market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct MarketView {
	/// Blocks of a settlement window.
	pub window: BlockNumber,
	/// Most vouchers in one settlement.
	pub max_vouchers: u32,
	/// Most channels in one opening or top-up.
	pub max_channels_per_call: u32,
	/// Least deposit of a channel, in base units.
	pub min_deposit: Balance,
	/// Blocks between closing and withdrawal.
	pub challenge_period: BlockNumber,
}

/// Where all GNK are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SupplyView {
	/// Base units in existence.
	pub issued: Balance,
	/// Base units still to be mined.
	pub unmined: Balance,
	/// Base units the epoch closed last may mint.
	pub last_emission: Balance,
	/// Issued base units that are hosts' rewards and have not been paid out yet.
	pub vesting: Balance,
	/// Issued base units in the community fund.
	pub treasury: Balance,
}

/// What a host earned by emission and was not paid yet, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct VestingView {
	/// Not vested yet.
	pub locked: Balance,
	/// Vested and not paid out.
	pub vested: Balance,
	/// What vests an epoch at the present rate.
	pub per_epoch: Balance,
	/// The epoch up to which all this is counted.
	pub updated: EpochIndex,
	/// What was earned and is still vesting, ascending by the epoch in which it was granted: the one after it was earned.
	pub grants: Vec<(EpochIndex, Balance)>,
}

/// A host's collateral, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct CollateralView {
	/// What backs its weight.
	pub active: Balance,
	/// What was withdrawn, by the epoch from which it can be released.
	pub unbonding: Vec<(EpochIndex, Balance)>,
	/// What backs one leaf of weight.
	pub per_weight: Balance,
	/// The first epoch in which weight needs backing.
	pub needed_from: EpochIndex,
}

/// Why a host has the weight it has in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StandingView {
	/// The epoch.
	pub epoch: EpochIndex,
	/// What the host committed to, ascending by segment, confirmation segments included.
	pub commitments: Vec<(u8, Commitment)>,
	/// Segments lost because requested openings were not posted.
	pub lost: Vec<u8>,
	/// Whether a committee could be drawn for the host; `None` before the draw. Without one its weight is 0, unless
	/// genesis allows unchecked hosts.
	pub checked: Option<bool>,
	/// The potential weight, `segments × median` of what counts, once settled.
	pub raw: Option<u64>,
	/// What of it counts by itself or is backed by collateral, once settled.
	pub backed: Option<u64>,
	/// What is left of that under the cap: votes, power, routing.
	pub effective: Option<u64>,
	/// Sets that the host had to check, and those whose digests it revealed.
	pub duties: (u32, u32),
	/// Confirmation segments called so far.
	pub confirmations: u32,
	/// The share of its sprint that its confirmation segments showed, in millionths.
	pub confirmed: u32,
	/// The share of its duties that it met, in millionths; 0 if it lost a dispute.
	pub performance: u32,
	/// Work units that it settled while these weights were in force.
	pub work: u64,
	/// The served factor, in millionths: below a million if it served less than a fifth of what others did for their
	/// weight.
	pub served: u32,
	/// What it is paid for, once settled: `effective × confirmed × performance × served`.
	pub paid: Option<u64>,
	/// What it was convicted of.
	pub offence: Option<Offence>,
}

/// A checker's duties in the running epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct CheckView {
	/// The epoch.
	pub epoch: EpochIndex,
	/// What samples are drawn from.
	pub beacon: Hash,
	/// The layer after which the residual's digest is taken.
	pub layer: u16,
	/// The hosts to check. Tags go by the sets of the first, then of the second, and so on.
	pub duties: Vec<DutyView>,
	/// What the checker committed to.
	pub committed: Option<Hash>,
	/// Whether it revealed.
	pub revealed: bool,
}

/// A host to check.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DutyView {
	/// The host.
	pub host: AccountId,
	/// Where its worker is reached.
	pub url: Vec<u8>,
	/// Its commitments of the sprint, ascending by segment: positions count through them.
	pub commitments: Vec<(u8, Commitment)>,
	/// The leaf sets to check, ascending.
	pub sets: Vec<SetView>,
}

/// A leaf set: `sample(beacon, host, number, total count, 32)`.
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
	/// Who asked.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// Who must answer.
	pub host: AccountId,
	/// The segment.
	pub segment: u8,
	/// Positions in the segment's commitment.
	pub positions: Vec<u64>,
	/// The last block that may carry the answer.
	pub deadline: BlockNumber,
	/// The answer.
	pub openings: Option<Vec<LeafOpening>>,
}

/// An open claim: see [`crate::check`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ClaimView {
	/// Its id.
	pub id: u32,
	/// The epoch it is about.
	pub epoch: EpochIndex,
	/// The sprint's model format in that epoch.
	pub profile: Profile,
	/// `seed1` of that epoch.
	pub model_seed: Hash,
	/// Who makes the claim.
	pub claimant: AccountId,
	/// The host whose leaf, or leaf set, it is about.
	pub host: AccountId,
	/// What is claimed.
	pub subject: SubjectView,
	/// The leaf with `seed2` of its segment; for a challenge once it was named.
	pub leaf: Option<(LeafId, Hash)>,
	/// The first children of the claimed trace's root; empty until the claimant shows them.
	pub frontier: Vec<Hash>,
	/// The last block that may carry a new refutation of an accusation.
	pub until: BlockNumber,
	/// Refutations under way.
	pub games: Vec<GameView>,
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum SubjectView {
	/// The leaf's right output is this, and not what the host committed to.
	Accusation {
		/// A byte per coordinate.
		output: Vec<u8>,
	},
	/// The set's tag is this.
	Challenge {
		/// The set.
		set: u8,
		/// The layer after which the digests are taken.
		layer: u16,
		/// The positions of the set's leaves, through all segments of the sprint.
		positions: Vec<u64>,
		/// The host's commitments of the sprint, ascending by segment.
		commitments: Vec<(u8, Commitment)>,
		/// The claimant's digests, once shown.
		digests: Vec<Hash>,
		/// The leaf in question, once named: its place in the set.
		number: Option<u8>,
	},
}

/// A refutation under way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct GameView {
	/// Who refutes.
	pub refuter: AccountId,
	/// The turn it waits for.
	pub stage: Stage,
	/// Turns taken.
	pub number: u8,
	/// The last block that may carry that turn.
	pub deadline: BlockNumber,
	/// The child of the root that the refuter picked.
	pub picked: Option<u8>,
	/// The children of the node picked, once shown.
	pub children: Vec<Hash>,
	/// The child of that node that the refuter picked.
	pub block: Option<u8>,
	/// The bytes of the block picked, once shown.
	pub bytes: Vec<u8>,
}

/// Samples that a checker can still answer for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SamplesView {
	/// The window in which they were drawn.
	pub window: u32,
	/// The last block that may carry findings about them.
	pub deadline: BlockNumber,
	/// The samples.
	pub samples: Vec<SampleView>,
}

/// A sample to check: see [`crate::sampling`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SampleView {
	/// Its place in the checker's list of that window.
	pub index: u16,
	/// Who answered.
	pub host: AccountId,
	/// Where its worker is reached.
	pub url: Vec<u8>,
	/// The settled window.
	pub window: u32,
	/// The root over its receipts.
	pub root: SumNode<Totals>,
	/// The model.
	pub model: ModelId,
	/// The receipt.
	pub pick: Pick,
	/// Whether the checker answered for it.
	pub done: bool,
}

/// An open case: see [`crate::sampling`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SamplingCaseView {
	/// Its number.
	pub id: u32,
	/// Whom it is about.
	pub host: AccountId,
	/// Where its worker is reached.
	pub url: Vec<u8>,
	/// The model.
	pub model: ModelId,
	/// The model's profile when the case was opened.
	pub profile: Calibration,
	/// The block in which it was opened.
	pub opened: BlockNumber,
	/// The last block that may carry a ruling.
	pub deadline: BlockNumber,
	/// What fresh receipts are drawn from, once arbiters are drawn.
	pub seed: Option<Hash>,
	/// The samples to look at again.
	pub audit: Vec<AuditView>,
	/// What is drawn from: an arbiter's number is its place among `arbiters`.
	pub scope: Vec<Scope>,
	/// The arbiters, with what they found once they ruled.
	pub arbiters: Vec<(AccountId, Option<Outcome>)>,
}

/// A sample that a case looks at again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct AuditView {
	/// Who checked it.
	pub checker: AccountId,
	/// The settled window.
	pub window: u32,
	/// The root over its receipts.
	pub root: SumNode<Totals>,
	/// The receipt.
	pub pick: Pick,
}

/// How far a host is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SamplingView {
	/// Millionths.
	pub reputation: u32,
	/// Receipts settled, counted up to the number of those that are all checked.
	pub receipts: u32,
	/// The last epoch in which nobody listens to it.
	pub muted: Option<EpochIndex>,
	/// The sums that speak against it, by model: in 2⁻¹⁶ nats.
	pub suspicions: Vec<(ModelId, u64)>,
	/// The case against it.
	pub case: Option<u32>,
}
