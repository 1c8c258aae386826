//! The results of the runtime API about referenda, votes and parameters.

use crate::{AccountId, Balance, BlockNumber, EpochIndex, Hash};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// A track of referenda. Shares are in parts per billion, periods in blocks, deposits in base units.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct TrackView {
	/// Its id.
	pub id: u16,
	/// Its name.
	pub name: Vec<u8>,
	/// The origin of the calls that it decides, SCALE-encoded as `referenda.submit` takes it.
	pub origin: Vec<u8>,
	/// Maximum number of referenda that it decides at once.
	pub max_deciding: u32,
	/// The deposit of a submission.
	pub submission_deposit: Balance,
	/// The deposit of a decision.
	pub decision_deposit: Balance,
	/// Minimum time from the submission to the decision.
	pub prepare: BlockNumber,
	/// Maximum time of a decision, plus a confirmation that has begun.
	pub decision: BlockNumber,
	/// Time for which approval and support must be sufficient.
	pub confirm: BlockNumber,
	/// Minimum time from the approval to the enactment.
	pub enactment: BlockNumber,
	/// Time after which a referendum whose decision has not begun is over.
	pub timeout: BlockNumber,
	/// The approval needed when the decision begins and when it ends.
	pub approval: (u32, u32),
	/// The support needed when the decision begins and when it ends.
	pub support: (u32, u32),
}

/// A referendum.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ReferendumView {
	/// Its index.
	pub index: u32,
	/// Its state.
	pub state: ReferendumState,
	/// The submission deposit, unless it was refunded or slashed.
	pub submission_deposit: Option<DepositView>,
	/// The decision deposit, unless it was refunded or slashed.
	pub decision_deposit: Option<DepositView>,
	/// The open vote; `None` once it has ended.
	pub ongoing: Option<OngoingView>,
	/// The proposal; `None` once it is enacted or has ended otherwise.
	pub proposal: Option<ProposalView>,
}

/// The state of a referendum. All numbers are blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum ReferendumState {
	/// It is not being decided yet.
	Preparing {
		/// When the decision can begin if the decision deposit is placed.
		from: BlockNumber,
		/// When it is over if the decision has not begun.
		timeout: BlockNumber,
	},
	/// It is ready, but its track decides the maximum number of referenda.
	Queued,
	/// Approval or support is not sufficient.
	Deciding {
		/// When the decision began.
		since: BlockNumber,
		/// When it fails.
		until: BlockNumber,
	},
	/// Approval and support are sufficient.
	Confirming {
		/// When the decision began.
		since: BlockNumber,
		/// When it is approved if they stay sufficient.
		until: BlockNumber,
	},
	/// It was approved.
	Approved {
		/// The block.
		at: BlockNumber,
		/// When it is enacted; `None` if it is enacted already.
		enactment: Option<BlockNumber>,
	},
	/// It was rejected.
	Rejected {
		/// The block.
		at: BlockNumber,
	},
	/// It was cancelled.
	Cancelled {
		/// The block.
		at: BlockNumber,
	},
	/// Its decision did not begin in time.
	TimedOut {
		/// The block.
		at: BlockNumber,
	},
	/// It was killed, and its deposits went to the community fund.
	Killed {
		/// The block.
		at: BlockNumber,
	},
}

/// A deposit on a referendum.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DepositView {
	/// The account that paid it.
	pub who: AccountId,
	/// The amount in base units.
	pub amount: Balance,
	/// Whether it can be refunded now.
	pub refundable: bool,
}

/// An open referendum. Shares are in parts per billion.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct OngoingView {
	/// Its track.
	pub track: u16,
	/// When it was submitted.
	pub submitted: BlockNumber,
	/// When it is enacted if approved.
	pub enactment: EnactmentView,
	/// Votes in favour.
	pub ayes: u128,
	/// Votes against.
	pub nays: u128,
	/// Votes in favour and abstentions.
	pub support_votes: u128,
	/// The sum of all votes that could be cast.
	pub electorate: u128,
	/// The epoch whose weights are the votes.
	pub epoch: EpochIndex,
	/// The share of ayes in ayes and nays.
	pub approval: u32,
	/// The share of support votes in the electorate.
	pub support: u32,
	/// The approval needed now.
	pub approval_needed: u32,
	/// The support needed now.
	pub support_needed: u32,
}

/// When a referendum is enacted, but not before its track's minimum time after the approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum EnactmentView {
	/// In this block.
	At(BlockNumber),
	/// This number of blocks after the approval.
	After(BlockNumber),
}

/// A proposal: a call.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ProposalView {
	/// Its blake2b-256 hash.
	pub hash: Hash,
	/// Its length in bytes; `None` if it is unknown.
	pub length: Option<u32>,
	/// Its SCALE bytes; `None` if the preimage is not noted or is no call of this runtime.
	pub call: Option<Vec<u8>>,
}

/// An account's votes and delegations.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct VoterView {
	/// Its own votes in referenda that are submitted now.
	pub power: u128,
	/// Its stance in each track, ascending by track; tracks without a stance are left out.
	pub tracks: Vec<StanceView>,
}

/// An account's delegation and votes in a track.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StanceView {
	/// The track.
	pub track: u16,
	/// The account that it delegates to.
	pub delegate: Option<AccountId>,
	/// The accounts that delegate to it.
	pub delegators: Vec<AccountId>,
	/// Its votes in the track's referenda that were open at the last update, ascending by index.
	pub ballots: Vec<(u32, BallotView)>,
}

/// A vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum BallotView {
	/// In favour.
	Aye,
	/// Against.
	Nay,
	/// Split in these proportions.
	Split {
		/// In favour.
		aye: u128,
		/// Against.
		nay: u128,
		/// Neither.
		abstain: u128,
	},
}

/// A parameter that governance can change. Each value is SCALE-encoded as the argument of `amendments.amend` that
/// sets it; the encoding includes the parameter's name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ParameterView {
	/// The value in force.
	pub present: Vec<u8>,
	/// The runtime's default, in force unless governance set another value.
	pub default: Vec<u8>,
	/// The value that comes into force with the next epoch, if one was decided.
	pub pending: Option<Vec<u8>>,
}
