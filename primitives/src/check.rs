//! The messages of the sprint's checkers and of disputes (`docs/protocol.md#4-checking`,
//! `docs/protocol.md#5-disputes`).
//!
//! **Checking.** There are several rounds in an epoch: round 0 checks the sprint, round r the r-th confirmation segment.
//! After a round's draw, a checker recomputes the leaf sets of its duties. It commits to the [`digest_hash`] of
//! its tags, one for each set, and later reveals the tags. The two checkers of a set must have equal tags. If a host
//! serves no openings, the checker requests them on chain: [`OpeningRequest`], [`OpeningAnswer`].
//!
//! **Disputes.** A *claimant* claims to know a leaf's computation, block by block (`gonka_sprint::trace`). A *refuter*
//! may show that it is wrong. There are two kinds of claims:
//! - An [`Accusation`] says that a host committed to a wrong leaf. The accuser is the claimant. The accused host and the
//!   refuters that the beacon appoints may refute it, each once, beginning with a [`Turn::Pick`]; other participants may
//!   while places are open. If nobody does so in time, the host is convicted.
//! - A [`Challenge`] says that a checker's tag is wrong. The checker is the claimant, its partner the refuter.
//!
//! Claimant and refuter take turns. A player that misses its turn loses:
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
//! After the last turn the runtime computes that one value and decides the dispute.

use crate::{
	AccountId, EpochIndex, Hash,
	hashing::{blake2_256, domain},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
pub use gonka_sprint::committee::requests_per_kind;
use gonka_sprint::{LaneProof, LeafOpening, committee::Tag, dispute::InputBlock};
use scale_info::TypeInfo;

/// Maximum number of openings in a request: one for each segment of the longest sprint.
pub const MAX_REQUESTED: u32 = 8;
/// Maximum size of a block, in bytes.
pub const MAX_BLOCK: u32 = 4_096;

/// The hash that a checker commits to: `H("gonka/digest" ‖ checker ‖ epoch:u32 ‖ round:u8 ‖ SCALE(tags))`.
pub fn digest_hash(checker: &AccountId, epoch: EpochIndex, round: u8, tags: &[Tag]) -> Hash {
	tags.using_encoded(|tags| blake2_256(&[domain::DIGEST, checker, &epoch.to_le_bytes(), &[round], tags]))
}

/// A checker's commitment to its tags, signed by its worker key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct DigestCommitment {
	/// The checker.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round.
	pub round: u8,
	/// [`digest_hash`] of the tags.
	pub hash: Hash,
}

/// A checker's tags, signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct DigestReveal {
	/// The checker.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round.
	pub round: u8,
	/// A tag for each set of each duty, in the order of `CheckView`. A tag of zeros stands for a set that the checker
	/// could not compute because the host served no openings.
	pub tags: Vec<Tag>,
}

/// A checker's request on chain for openings that a host did not serve, signed by the checker's worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct OpeningRequest {
	/// The checker.
	pub checker: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round.
	pub round: u8,
	/// The host that must answer.
	pub host: AccountId,
	/// 1 to [`MAX_REQUESTED`] leaves, as (segment, position in its commitment), ascending, all in sets of the checker.
	pub positions: Vec<(u8, u64)>,
}

/// A host's answer to an [`OpeningRequest`], signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct OpeningAnswer {
	/// The host that answers.
	pub host: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round.
	pub round: u8,
	/// The checker that requested the openings.
	pub checker: AccountId,
	/// The openings, in the order of the request.
	pub openings: Vec<LeafOpening>,
}

/// A claim that a host committed to a wrong leaf, signed by the accuser's worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Accusation {
	/// The accuser.
	pub accuser: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The accused host.
	pub host: AccountId,
	/// The segment, confirmation segments included.
	pub segment: u8,
	/// The leaf's position in the segment's commitment.
	pub position: u64,
	/// The opening of the host's commitment at this position.
	pub opening: LeafOpening,
	/// The right output, a byte per coordinate.
	pub output: Vec<u8>,
	/// The first children of the right trace's root.
	pub frontier: Vec<Hash>,
	/// The path from the output's block to its node in `frontier`.
	pub path: Vec<Hash>,
}

/// A claim that a partner's tag is wrong, signed by the challenger's worker key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Challenge {
	/// The challenger.
	pub challenger: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round.
	pub round: u8,
	/// The checker whose tag is challenged.
	pub checker: AccountId,
	/// The host that was checked.
	pub host: AccountId,
	/// The set.
	pub set: u8,
}

/// A turn of a dispute: see the module's table.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Turn {
	/// The digests of the set's leaves, in the order of their positions.
	#[codec(index = 0)]
	Digests(Vec<Hash>),
	/// The leaf of the set whose digest is wrong.
	#[codec(index = 1)]
	Leaf {
		/// Its index in the set.
		number: u8,
		/// The proof of its lane in the segment's commitment.
		lane: LaneProof,
	},
	/// The trace of the leaf in question.
	#[codec(index = 2)]
	Trace {
		/// The first children of its root.
		frontier: Vec<Hash>,
		/// The path from the layer's digest to its node in `frontier`; empty if the digest is not below the frontier.
		path: Vec<Hash>,
	},
	/// The first child that differs.
	#[codec(index = 3)]
	Pick(u8),
	/// The children of the picked node.
	#[codec(index = 4)]
	Children(Vec<Hash>),
	/// The bytes of the picked block.
	#[codec(index = 5)]
	Block(Vec<u8>),
	/// A value of the block is wrong.
	#[codec(index = 6)]
	Value {
		/// Its index in the block.
		coordinate: u32,
		/// The blocks that it is computed from: see `gonka_sprint::dispute`.
		inputs: Vec<InputBlock>,
	},
}

/// A player's turn in a dispute, signed by its worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Play {
	/// The player.
	pub player: AccountId,
	/// The claim.
	pub claim: u32,
	/// The refuter. Several hosts may refute the same claim, each in its own game.
	pub refuter: AccountId,
	/// Number of turns taken before in this game.
	pub number: u8,
	/// The turn.
	pub turn: Turn,
}

/// The turn that a game waits for.
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

/// The offence of a host that is convicted or loses collateral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Offence {
	/// It committed to a wrong leaf. Its weight of the epoch is 0.
	#[codec(index = 0)]
	Fabrication,
	/// It accused, challenged or refuted against the truth. Its weight of the epoch is 0.
	#[codec(index = 1)]
	FalseAccusation,
	/// It revealed a digest that it did not compute. It is not paid for the epoch.
	#[codec(index = 2)]
	FalseDigest,
	/// It revealed no tag, or reported nothing, for more than 5 % of at least 20 duties. This is no conviction: it only
	/// costs collateral.
	#[codec(index = 3)]
	MissedDuties,
	/// As a validator, it signed two blocks of a slot or two votes of a round. Its weight of the epoch is 0.
	#[codec(index = 4)]
	Equivocation,
	/// It settled completions that are not its model's. Its weight of the epoch is 0.
	#[codec(index = 5)]
	WrongInference,
}
