//! The types of the pallet's storage.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash,
	check::{MAX_BLOCK, MAX_REQUESTED, Stage},
};
use gonka_sprint::{
	LeafId,
	committee::{APPOINTED, LEAVES_PER_SET, Tag},
	trace::STEP,
};
use polkadot_sdk::frame_support::{BoundedVec, traits::ConstU32};
use scale_info::TypeInfo;

/// Maximum number of children of a node of a trace in one turn.
pub const MAX_CHILDREN: u32 = 1 << STEP;
/// Maximum size of a leaf's output, in bytes.
pub const MAX_OUTPUT: u32 = 1_024;
/// Maximum size of the openings for a request, in bytes: eight of the largest.
pub const MAX_ANSWER: u32 = 16_384;
/// Maximum number of open accusations of an accuser.
pub const MAX_ACCUSATIONS: u32 = 4;
/// Maximum number of open challenges of a challenger.
pub const MAX_CHALLENGES: u32 = 4;
/// Maximum number of hosts whose late answers excuse a checker's tags of zeros in a round. A checker that meets several hosts
/// that answer at the last moment may have no time to recompute their leaves.
pub const MAX_EXCUSED: u32 = 24;
/// Maximum number of refuters with a place of their own: the accused host and the appointed ones.
pub const MAX_OWN: u32 = APPOINTED + 1;

/// A revealed tag with its leaf set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Revealed {
	/// The host's number as a participant.
	pub participant: u32,
	/// The set's number within the host's committee.
	pub set: u8,
	/// The tag.
	pub tag: Tag,
}

/// A request for openings.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Request {
	/// The requested leaves, ascending: segment, and position in its commitment.
	pub positions: BoundedVec<(u8, u64), ConstU32<MAX_REQUESTED>>,
	/// The last block that may carry the openings.
	pub deadline: BlockNumber,
	/// The openings, once posted: the SCALE bytes of a list of `LeafOpening`s.
	pub openings: Option<BoundedVec<u8, ConstU32<MAX_ANSWER>>>,
}

/// An open claim.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Claim<AccountId> {
	/// The epoch it is about.
	pub epoch: EpochIndex,
	/// The claimant.
	pub claimant: AccountId,
	/// The host that opened the claim: the accuser or the challenger.
	pub opener: AccountId,
	/// The host whose leaf or leaf set the claim is about.
	pub host: AccountId,
	/// The subject of the claim.
	pub subject: Subject,
	/// The leaf; of a challenge, once the refuter named it.
	pub leaf: Option<LeafId>,
	/// The first children of the claimed trace's root; empty until the claimant shows them.
	pub frontier: BoundedVec<Hash, ConstU32<MAX_CHILDREN>>,
	/// The last block that may carry a new refutation of an accusation.
	pub until: BlockNumber,
}

impl<AccountId> Claim<AccountId> {
	/// Whether the claim is an accusation and not a challenge.
	pub const fn is_accusation(&self) -> bool {
		matches!(self.subject, Subject::Accusation { .. })
	}
}

/// The places of an accusation's refuters.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Places<AccountId> {
	/// The refuters with a place of their own: the accused host and the appointed ones. Each with whether it has begun
	/// its refutation, which it may only once.
	pub own: BoundedVec<(AccountId, bool), ConstU32<MAX_OWN>>,
	/// Number of open places that others hold.
	pub open: u32,
}

impl<AccountId: PartialEq> Places<AccountId> {
	/// Whether `refuter` has begun its refutation; `None` if it has no place of its own.
	pub fn has_begun(&self, refuter: &AccountId) -> Option<bool> {
		self.own.iter().find(|(who, _)| who == refuter).map(|(_, begun)| *begun)
	}
}

/// The subject of the claim.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub enum Subject {
	/// The leaf's right output differs from what the host committed to.
	Accusation {
		/// The right output, a byte per coordinate.
		output: BoundedVec<u8, ConstU32<MAX_OUTPUT>>,
	},
	/// The claimant's tag of a leaf set is right.
	Challenge {
		/// The round.
		round: u8,
		/// The set.
		set: u8,
		/// The claimant's tag.
		tag: Tag,
		/// The digests behind the tag, once shown.
		digests: BoundedVec<Hash, ConstU32<LEAVES_PER_SET>>,
		/// The index in the set of the leaf in question, once named.
		number: Option<u8>,
	},
}

/// A refutation in progress.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Game {
	/// The turn that the game waits for.
	pub stage: Stage,
	/// Number of turns taken.
	pub number: u8,
	/// The last block that may carry the next turn.
	pub deadline: BlockNumber,
	/// The child of the root that the refuter picked.
	pub picked: Option<u8>,
	/// The children of the picked node, once shown.
	pub children: BoundedVec<Hash, ConstU32<MAX_CHILDREN>>,
	/// The child of that node that the refuter picked.
	pub block: Option<u8>,
	/// The bytes of the picked block, once shown.
	pub bytes: BoundedVec<u8, ConstU32<MAX_BLOCK>>,
}

impl Game {
	/// A game that waits for its first turn.
	pub fn new(stage: Stage, deadline: BlockNumber) -> Self {
		let (children, bytes) = (BoundedVec::new(), BoundedVec::new());
		Self { stage, number: 0, deadline, picked: None, children, block: None, bytes }
	}
}
