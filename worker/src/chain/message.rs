//! What a worker says as a checker and in disputes.

use codec::{Decode, Encode};
use gonka_primitives::{
	Hash,
	check::{Accusation, Challenge, DigestCommitment, DigestReveal, OpeningAnswer, OpeningRequest, Play},
	hashing::{domain, signing_payload},
};

/// A message that the worker key signs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CheckMessage {
	/// Commits to tags.
	#[codec(index = 0)]
	Commit(DigestCommitment),
	/// Reveals them.
	#[codec(index = 1)]
	Reveal(DigestReveal),
	/// Asks for openings.
	#[codec(index = 2)]
	Request(OpeningRequest),
	/// Answers such a request.
	#[codec(index = 3)]
	Answer(OpeningAnswer),
	/// Accuses a host of a wrong leaf.
	#[codec(index = 4)]
	Accuse(Accusation),
	/// Challenges a checker's tag.
	#[codec(index = 5)]
	Challenge(Challenge),
	/// Takes a turn in a dispute.
	#[codec(index = 6)]
	Play(Play),
}

impl CheckMessage {
	/// What is signed.
	pub fn payload(&self, genesis: &Hash) -> Hash {
		match self {
			Self::Commit(message) => signing_payload(domain::DIGEST, genesis, message),
			Self::Reveal(message) => signing_payload(domain::REVEAL, genesis, message),
			Self::Request(message) => signing_payload(domain::OPENING_REQUEST, genesis, message),
			Self::Answer(message) => signing_payload(domain::OPENING_ANSWER, genesis, message),
			Self::Accuse(message) => signing_payload(domain::ACCUSATION, genesis, message),
			Self::Challenge(message) => signing_payload(domain::CHALLENGE, genesis, message),
			Self::Play(message) => signing_payload(domain::PLAY, genesis, message),
		}
	}

	/// What it is, for logs.
	pub fn name(&self) -> &'static str {
		match self {
			Self::Commit(_) => "the commitment to the tags",
			Self::Reveal(_) => "the tags",
			Self::Request(_) => "a request for openings",
			Self::Answer(_) => "an answer to a request for openings",
			Self::Accuse(_) => "an accusation",
			Self::Challenge(_) => "a challenge",
			Self::Play(_) => "a turn in a dispute",
		}
	}
}
