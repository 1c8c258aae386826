//! Messages of checkers and of parties to disputes.

use codec::{Decode, Encode};
use gonka_primitives::{
	Hash,
	check::{Accusation, Challenge, DigestCommitment, DigestReveal, OpeningAnswer, OpeningRequest, Play},
	hashing::{domain, signing_payload},
};

/// A message about checks or disputes, which the worker key signs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CheckMessage {
	/// Commits to the tags of an epoch.
	#[codec(index = 0)]
	Commit(DigestCommitment),
	/// Reveals the tags.
	#[codec(index = 1)]
	Reveal(DigestReveal),
	/// Requests openings on chain.
	#[codec(index = 2)]
	Request(OpeningRequest),
	/// Posts the openings that were requested.
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
	/// Returns the payload that is signed.
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

	/// Returns a name for logs.
	pub fn name(&self) -> &'static str {
		match self {
			Self::Commit(_) => "the commitment to the tags",
			Self::Reveal(_) => "the reveal of the tags",
			Self::Request(_) => "a request for openings",
			Self::Answer(_) => "the requested openings",
			Self::Accuse(_) => "an accusation",
			Self::Challenge(_) => "a challenge",
			Self::Play(_) => "a turn in a dispute",
		}
	}
}
