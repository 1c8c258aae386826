//! `/v1/openings` and `/v1/evidence`: queries of other hosts that check this one.

use super::{Account, Scale};
use gonka_primitives::{
	AccountId, EpochIndex, Hash, Signature,
	audit::AuditQuery,
	hashing::{domain, signing_payload},
};
use gonka_sprint::LeafOpening;
use serde::{Deserialize, Serialize};

/// Maximum number of positions in an [`OpeningQuery`].
pub const MAX_POSITIONS: usize = 64;

/// A checker's query for leaves that a host committed to. Workers respond to registered hosts, for the running epoch
/// and the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningQuery {
	/// The host that sends the query.
	pub checker: Account,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The segment; confirmation segments included.
	pub segment: u8,
	/// Positions in the segment's commitment, ascending, 1 to [`MAX_POSITIONS`].
	pub positions: Vec<u64>,
	/// The checker's worker key's signature over [`OpeningQuery::payload`].
	pub signature: Scale<Signature>,
}

impl OpeningQuery {
	/// Returns the payload to sign:
	/// `signing_payload(OPENING_QUERY, genesis, (checker, host, epoch, segment, positions))`, where `host` receives the
	/// query.
	pub fn payload(&self, genesis: &Hash, host: &AccountId) -> Hash {
		let query = (&self.checker.0, host, self.epoch, self.segment, &self.positions);
		signing_payload(domain::OPENING_QUERY, genesis, &query)
	}
}

/// The response to an [`OpeningQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Openings {
	/// One opening per position, in the order of the query.
	pub openings: Vec<Scale<LeafOpening>>,
}

/// A checker's or an arbiter's query for the evidence of an audit. Workers respond to the hosts that the chain assigned
/// to the audit, while it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceQuery {
	/// The audit.
	pub query: Scale<AuditQuery>,
	/// The X25519 key for which the response is sealed, made for this query alone.
	pub key: Scale<[u8; 32]>,
	/// The checker's worker key's signature over [`query_payload`](crate::evidence::query_payload).
	pub signature: Scale<Signature>,
}
