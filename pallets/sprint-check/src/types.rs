//! What the pallet stores.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash,
	check::{MAX_BLOCK, MAX_REQUESTED, Stage},
};
use gonka_sprint::{
	LeafId,
	committee::{LEAVES_PER_SET, Tag},
	trace::STEP,
};
use polkadot_sdk::{
	frame_support::{BoundedVec, traits::ConstU32},
	sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError},
};
use scale_info::TypeInfo;

/// Most children that a node of a trace shows.
pub const MAX_CHILDREN: u32 = 1 << STEP;
/// Most bytes of a leaf's output.
pub const MAX_OUTPUT: u32 = 1_024;
/// Most bytes of the openings that answer a request.
pub const MAX_ANSWER: u32 = 12_288;
/// Most open accusations of one accuser.
pub const MAX_ACCUSATIONS: u32 = 4;

/// A tag that a checker revealed, with the leaf set it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Revealed {
	/// The host's number among those that raced.
	pub racer: u32,
	/// The set's number within the host's committee.
	pub set: u8,
	/// The tag.
	pub tag: Tag,
}

/// A request for openings.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Request {
	/// The segment.
	pub segment: u8,
	/// Positions in the segment's commitment, ascending.
	pub positions: BoundedVec<u64, ConstU32<MAX_REQUESTED>>,
	/// The last block that may carry the answer.
	pub deadline: BlockNumber,
	/// The answer: the SCALE bytes of a list of `LeafOpening`s.
	pub openings: Option<BoundedVec<u8, ConstU32<MAX_ANSWER>>>,
}

/// An open claim.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Claim<AccountId> {
	/// The epoch it is about.
	pub epoch: EpochIndex,
	/// Who makes it.
	pub claimant: AccountId,
	/// The host whose leaf, or leaf set, it is about.
	pub host: AccountId,
	/// What is claimed.
	pub subject: Subject,
	/// The leaf; of a challenge once it was named.
	pub leaf: Option<LeafId>,
	/// The first children of the claimed trace's root; empty until the claimant shows them.
	pub frontier: BoundedVec<Hash, ConstU32<MAX_CHILDREN>>,
	/// The last block that may carry a new refutation of an accusation.
	pub until: BlockNumber,
}

impl<AccountId> Claim<AccountId> {
	/// Whether a host is accused, and not a tag challenged.
	pub const fn is_accusation(&self) -> bool {
		matches!(self.subject, Subject::Accusation { .. })
	}
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub enum Subject {
	/// The leaf's right output is this, and not what the host committed to.
	Accusation {
		/// A byte per coordinate.
		output: BoundedVec<u8, ConstU32<MAX_OUTPUT>>,
	},
	/// The set's tag is this.
	Challenge {
		/// The set.
		set: u8,
		/// The claimant's tag.
		tag: Tag,
		/// The digests it is of, once shown.
		digests: BoundedVec<Hash, ConstU32<LEAVES_PER_SET>>,
		/// The leaf in question, once named: its place in the set.
		number: Option<u8>,
	},
}

/// A refutation under way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Game {
	/// The turn it waits for.
	pub stage: Stage,
	/// Turns taken.
	pub number: u8,
	/// The last block that may carry the next turn.
	pub deadline: BlockNumber,
	/// The child of the root that the refuter picked.
	pub picked: Option<u8>,
	/// The children of the node picked, once shown.
	pub children: BoundedVec<Hash, ConstU32<MAX_CHILDREN>>,
	/// The child of that node that the refuter picked.
	pub block: Option<u8>,
	/// The bytes of the block picked, once shown.
	pub bytes: BoundedVec<u8, ConstU32<MAX_BLOCK>>,
}

impl Game {
	/// A game that waits for its first turn.
	pub fn new(stage: Stage, deadline: BlockNumber) -> Self {
		let (children, bytes) = (BoundedVec::new(), BoundedVec::new());
		Self { stage, number: 0, deadline, picked: None, children, block: None, bytes }
	}
}

/// Why the pool refuses a transaction: `InvalidTransaction::Custom(code)`, see the table in the crate's docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
	/// A length, an order, or a number out of its range.
	Malformed = 50,
	/// Not the epoch, or not the part of it, in which this is taken.
	OutOfPhase = 51,
	/// Already there: the digests, the request, its answer, the claim.
	SlotUsed = 52,
	/// The signature is not that of the sender's worker key.
	BadSignature = 53,
	/// The sender is not registered.
	UnknownHost = 54,
	/// The sender has no such duty, or the two are not partners.
	NotAssigned = 55,
	/// There is no such commitment, digest, or request.
	NotCommitted = 56,
	/// The tags, digests, openings, nodes or bytes are not those that were committed to.
	BadProof = 57,
	/// The deadline has passed.
	TooLate = 58,
	/// The deadline has not passed, or somebody still refutes the claim.
	TooEarly = 59,
	/// There is no such claim or game.
	UnknownClaim = 60,
	/// Somebody else's turn, another turn, or one that was taken before.
	WrongTurn = 61,
	/// The sender did not race in that epoch.
	DidNotRace = 62,
	/// One of the two has been convicted.
	Convicted = 63,
	/// The leaf is right, the tags are the same, or somebody disputes with itself.
	NothingToDispute = 64,
	/// No room for another claim, or for another one of this accuser.
	TooManyClaims = 65,
	/// No room for another refutation.
	TooManyGames = 66,
}

impl From<Refusal> for TransactionValidityError {
	fn from(refusal: Refusal) -> Self {
		InvalidTransaction::Custom(refusal as u8).into()
	}
}
