//! What the runtime API answers about referenda, votes and parameters.

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
	/// The origin of what it decides, SCALE-encoded as `referenda.submit` takes it.
	pub origin: Vec<u8>,
	/// Most referenda that it decides at once.
	pub max_deciding: u32,
	/// What a submission costs.
	pub submission_deposit: Balance,
	/// What a decision costs.
	pub decision_deposit: Balance,
	/// From the submission to the decision, at least.
	pub prepare: BlockNumber,
	/// A decision takes at most this, and a confirmation that has begun.
	pub decision: BlockNumber,
	/// For how long approval and support must be enough.
	pub confirm: BlockNumber,
	/// From the approval to the enactment, at least.
	pub enactment: BlockNumber,
	/// A referendum that has not come to its decision after this is over.
	pub timeout: BlockNumber,
	/// The approval that is needed when the decision begins, and when it ends.
	pub approval: (u32, u32),
	/// The support, likewise.
	pub support: (u32, u32),
}

/// A referendum.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ReferendumView {
	/// Its index.
	pub index: u32,
	/// How far it is.
	pub state: ReferendumState,
	/// What the submitter paid, unless it is paid back or slashed.
	pub submission_deposit: Option<DepositView>,
	/// What somebody paid for the decision, likewise.
	pub decision_deposit: Option<DepositView>,
	/// What can be voted on; `None` once it has ended.
	pub ongoing: Option<OngoingView>,
	/// What it proposes; `None` once it is enacted, or has ended otherwise.
	pub proposal: Option<ProposalView>,
}

/// How far a referendum is. All numbers are blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum ReferendumState {
	/// It is not being decided.
	Preparing {
		/// When the decision can begin, with a deposit.
		from: BlockNumber,
		/// When it is over, if the decision has not begun.
		timeout: BlockNumber,
	},
	/// It is ready, and its track decides as many as it can.
	Queued,
	/// Approval or support is not enough.
	Deciding {
		/// When the decision began.
		since: BlockNumber,
		/// When it fails.
		until: BlockNumber,
	},
	/// Approval and support are enough.
	Confirming {
		/// When the decision began.
		since: BlockNumber,
		/// When it is approved, if they stay so.
		until: BlockNumber,
	},
	/// It was approved.
	Approved {
		/// When.
		at: BlockNumber,
		/// When it is enacted; `None` if it was.
		enactment: Option<BlockNumber>,
	},
	/// It was rejected.
	Rejected {
		/// When.
		at: BlockNumber,
	},
	/// It was cancelled.
	Cancelled {
		/// When.
		at: BlockNumber,
	},
	/// It never came to its decision.
	TimedOut {
		/// When.
		at: BlockNumber,
	},
	/// It was killed, and its deposits went to the community fund.
	Killed {
		/// When.
		at: BlockNumber,
	},
}

/// A deposit on a referendum.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DepositView {
	/// Who paid it.
	pub who: AccountId,
	/// Base units.
	pub amount: Balance,
	/// Whether it can be paid back now.
	pub refundable: bool,
}

/// An open referendum. Shares are in parts per billion.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct OngoingView {
	/// Its track.
	pub track: u16,
	/// When it was submitted.
	pub submitted: BlockNumber,
	/// When it is enacted, if approved.
	pub enactment: EnactmentView,
	/// Votes in favour.
	pub ayes: u128,
	/// Votes against.
	pub nays: u128,
	/// Votes in favour and abstentions.
	pub support_votes: u128,
	/// All votes that there are.
	pub electorate: u128,
	/// The epoch whose weights are the votes.
	pub epoch: EpochIndex,
	/// Ayes among ayes and nays.
	pub approval: u32,
	/// Support among all votes.
	pub support: u32,
	/// The approval that is needed now.
	pub approval_needed: u32,
	/// The support that is needed now.
	pub support_needed: u32,
}

/// When a referendum is enacted, or its track's least time after the approval if that is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum EnactmentView {
	/// In this block.
	At(BlockNumber),
	/// So many blocks after the approval.
	After(BlockNumber),
}

/// A proposal: a call.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ProposalView {
	/// Its BLAKE2b-256.
	pub hash: Hash,
	/// Its length; `None` if it is not known.
	pub length: Option<u32>,
	/// Its SCALE bytes; `None` if nobody has noted the preimage, and if they are no call of this runtime.
	pub call: Option<Vec<u8>>,
}

/// An account's part in referenda.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct VoterView {
	/// Its own votes in referenda that are opened now.
	pub power: u128,
	/// What it does in tracks, ascending; nothing in tracks that are not named.
	pub tracks: Vec<StanceView>,
}

/// What an account does in a track.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StanceView {
	/// The track.
	pub track: u16,
	/// Whose votes its power follows.
	pub delegate: Option<AccountId>,
	/// Whose power follows its votes.
	pub delegators: Vec<AccountId>,
	/// Its votes in referenda that were open when they were looked at last, ascending.
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

/// A parameter that governance can change. Each value is SCALE-encoded as the argument of `amendments.amend` that sets it,
/// which names the parameter, too.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ParameterView {
	/// The value in force.
	pub present: Vec<u8>,
	/// The runtime's value, in force unless governance has set another.
	pub default: Vec<u8>,
	/// What comes into force with the next epoch, if that was decided.
	pub pending: Option<Vec<u8>>,
}
