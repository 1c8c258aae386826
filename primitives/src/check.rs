//! The messages of the sprint's checkers and of disputes (PROTOCOL §3).
//!
//! **Checking.** From the draw on, a checker recomputes the leaf sets of its duties. It commits to
//! [`digest_hash`] of its tags, one for each set, and later reveals the tags. The two checkers of a set must have the
//! same. A host that serves no openings is asked on chain: [`OpeningRequest`], [`OpeningAnswer`].
//!
//! **Disputes.** A *claimant* says what a leaf's computation is, block by block (`gonka_sprint::trace`); a *refuter*
//! may show that it is wrong. There are two kinds of claims:
//! - an [`Accusation`]: a host committed to a wrong leaf. The accuser is the claimant. Any host that raced may refute
//!   it by its first [`Turn::Pick`]; if nobody does in time, the host is convicted;
//! - a [`Challenge`]: a checker's tag is wrong. The checker is the claimant, its partner the refuter.
//!
//! Claimant and refuter take turns; who misses one has lost:
//!
//! | turn | player | of |
//! |---|---|---|
//! | [`Turn::Digests`] of the set's leaves, as the tag says | claimant | a challenge |
//! | [`Turn::Leaf`] whose digest is wrong | refuter | a challenge |
//! | [`Turn::Trace`] of this leaf, which has this digest | claimant | a challenge |
//! | [`Turn::Pick`] of the first node that differs | refuter | both |
//! | [`Turn::Children`] of that node | claimant | both |
//! | [`Turn::Pick`] of the first block that differs | refuter | both |
//! | [`Turn::Block`]: its bytes | claimant | both |
//! | [`Turn::Value`] that is wrong, and what it is computed from | refuter | both |
//!
//! The last turn has the runtime compute that one value: it knows who lied.

use crate::{
	AccountId, EpochIndex, Hash,
	hashing::{blake2_256, domain},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_sprint::{LaneProof, LeafOpening, committee::Tag, dispute::InputBlock};
use scale_info::TypeInfo;

/// Most openings that one request may ask for.
pub const MAX_REQUESTED: u32 = 4;
/// Most bytes of a block.
pub const MAX_BLOCK: u32 = 4_096;

/// What a checker commits to: `H("gonka/digest" ‖ checker ‖ epoch:u32 ‖ SCALE(tags))`.
pub fn digest_hash(checker: &AccountId, epoch: EpochIndex, tags: &[Tag]) -> Hash {
	tags.using_encoded(|tags| blake2_256(&[domain::DIGEST, checker, &epoch.to_le_bytes(), tags]))
}

/// A checker's commitment to its tags, signed by its worker key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct DigestCommitment {
	/// Who checked.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// [`digest_hash`] of the tags.
	pub hash: Hash,
}

/// A checker's tags, signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct DigestReveal {
	/// Who checked.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// A tag for each set of each duty, in the order of `CheckView`; all zero for one that could not be computed
	/// because the host served no openings.
	pub tags: Vec<Tag>,
}

/// A checker asks a host on chain for openings that it did not serve; signed by the checker's worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct OpeningRequest {
	/// Who checks.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// Who must answer.
	pub host: AccountId,
	/// The segment.
	pub segment: u8,
	/// Positions in the segment's commitment, ascending, 1 to [`MAX_REQUESTED`]; each one of the checker's sets'.
	pub positions: Vec<u64>,
}

/// A host's answer to an [`OpeningRequest`], signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct OpeningAnswer {
	/// Who answers.
	pub host: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// Who asked.
	pub checker: AccountId,
	/// The openings, in the order of the request.
	pub openings: Vec<LeafOpening>,
}

/// A host committed to a wrong leaf. Signed by the accuser's worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Accusation {
	/// Who accuses.
	pub accuser: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// Who is accused.
	pub host: AccountId,
	/// The segment, confirmation segments included.
	pub segment: u8,
	/// The leaf's position in the segment's commitment.
	pub position: u64,
	/// What the host committed to there.
	pub opening: LeafOpening,
	/// The right output, a byte per coordinate.
	pub output: Vec<u8>,
	/// The first children of the right trace's root.
	pub frontier: Vec<Hash>,
	/// From the output's block to its node in `frontier`.
	pub path: Vec<Hash>,
}

/// A partner's tag is wrong. Signed by the challenger's worker key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Challenge {
	/// Who challenges.
	pub challenger: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// Whose tag it is.
	pub checker: AccountId,
	/// The host that was checked.
	pub host: AccountId,
	/// The set.
	pub set: u8,
}

/// What a player does when it is its turn: see the module's table.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Turn {
	/// The digests of the set's leaves, in the order of their positions.
	#[codec(index = 0)]
	Digests(Vec<Hash>),
	/// The leaf of the set whose digest is wrong.
	#[codec(index = 1)]
	Leaf {
		/// Its place in the set.
		number: u8,
		/// The proof of its lane in the segment's commitment.
		lane: LaneProof,
	},
	/// The trace of the leaf in question.
	#[codec(index = 2)]
	Trace {
		/// The first children of its root.
		frontier: Vec<Hash>,
		/// From the layer's digest to its node in `frontier`; empty if the digest is not below it.
		path: Vec<Hash>,
	},
	/// The first child that differs.
	#[codec(index = 3)]
	Pick(u8),
	/// The children of the node picked.
	#[codec(index = 4)]
	Children(Vec<Hash>),
	/// The bytes of the block picked.
	#[codec(index = 5)]
	Block(Vec<u8>),
	/// A value of the block is wrong.
	#[codec(index = 6)]
	Value {
		/// Its place in the block.
		coordinate: u32,
		/// What it is computed from: see `gonka_sprint::dispute`.
		inputs: Vec<InputBlock>,
	},
}

/// A turn in a dispute, signed by the player's worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Play {
	/// Whose turn it is.
	pub player: AccountId,
	/// The claim.
	pub claim: u32,
	/// Who refutes: several hosts may refute the same claim, each in a game of its own.
	pub refuter: AccountId,
	/// Turns that this game has seen before.
	pub number: u8,
	/// The turn.
	pub turn: Turn,
}

/// Which turn a game waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Stage {
	/// The claimant's [`Turn::Digests`].
	Digests,
	/// The refuter's [`Turn::Leaf`].
	Leaf,
	/// The claimant's [`Turn::Trace`].
	Trace,
	/// The refuter's first [`Turn::Pick`].
	Node,
	/// The claimant's [`Turn::Children`].
	Children,
	/// The refuter's second [`Turn::Pick`].
	Block,
	/// The claimant's [`Turn::Block`].
	Bytes,
	/// The refuter's [`Turn::Value`].
	Value,
}

impl Stage {
	/// Whether it is the claimant's turn.
	pub const fn is_claimants(self) -> bool {
		matches!(self, Self::Digests | Self::Trace | Self::Children | Self::Bytes)
	}
}

/// What a host is convicted of, or loses collateral for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Offence {
	/// It committed to a leaf that it did not compute. Its weight of the epoch is 0.
	#[codec(index = 0)]
	Fabrication,
	/// It accused, challenged or refuted against the truth. Its weight of the epoch is 0.
	#[codec(index = 1)]
	FalseAccusation,
	/// It revealed a digest that it did not compute. It is not paid for the epoch.
	#[codec(index = 2)]
	FalseDigest,
	/// It missed more than 5 % of its duties. That is no conviction: it costs collateral alone.
	#[codec(index = 3)]
	MissedDuties,
	/// As a validator it signed two blocks of a slot, or two votes of a round. Its weight of the epoch is 0.
	#[codec(index = 4)]
	Equivocation,
	/// It settled answers that are not its model's. Its weight of the epoch is 0.
	#[codec(index = 5)]
	WrongInference,
}
