//! blake2b-256 and the payload that every signature covers.

use crate::Hash;
use codec::Encode;

/// Domain tags. Every hash input and every signed payload starts with one.
pub mod domain {
	/// A host's registration, signed by the host key.
	pub const REGISTRATION: &[u8] = b"gonka/registration";
	/// The account of the host that a worker key works for, signed by the worker key.
	pub const WORKER: &[u8] = b"gonka/worker";
	/// The proof of work of a registration.
	pub const REGISTRATION_WORK: &[u8] = b"gonka/registration/work";
	/// A sprint commitment, signed by the worker key.
	pub const COMMITMENT: &[u8] = b"gonka/commitment";
	/// The hash of a checker's tags, and its commitment to them, signed by the worker key.
	pub const DIGEST: &[u8] = b"gonka/digest";
	/// A checker's tags, signed by the worker key.
	pub const REVEAL: &[u8] = b"gonka/reveal";
	/// A checker's request for openings on chain, signed by the worker key.
	pub const OPENING_REQUEST: &[u8] = b"gonka/opening-request";
	/// A host's openings on chain, signed by the worker key.
	pub const OPENING_ANSWER: &[u8] = b"gonka/opening-answer";
	/// A checker's request for openings to a host's worker, signed by the worker key.
	pub const OPENING_QUERY: &[u8] = b"gonka/opening-query";
	/// An accusation, signed by the worker key.
	pub const ACCUSATION: &[u8] = b"gonka/accusation";
	/// A challenge of a checker's tag, signed by the worker key.
	pub const CHALLENGE: &[u8] = b"gonka/challenge";
	/// A turn in a dispute, signed by the worker key.
	pub const PLAY: &[u8] = b"gonka/play";
	/// An inference request, signed by the gateway key.
	pub const ENVELOPE: &[u8] = b"gonka/envelope";
	/// A receipt for a completion, signed by the worker key.
	pub const RECEIPT: &[u8] = b"gonka/receipt";
	/// A cumulative promise to pay, signed by the gateway key.
	pub const VOUCHER: &[u8] = b"gonka/voucher";
	/// A gateway's query about its own channel, signed by the gateway key.
	pub const CHANNEL_QUERY: &[u8] = b"gonka/channel-query";
	/// A window's settlement, signed by the worker key.
	pub const SETTLEMENT: &[u8] = b"gonka/settlement";
	/// A checker's report of its findings, signed by the worker key.
	pub const AUDIT_REPORT: &[u8] = b"gonka/audit-report";
	/// An arbiter's ruling in a case, signed by the worker key.
	pub const RULING: &[u8] = b"gonka/ruling";
	/// A checker's query to a host's worker about an audit, signed by the worker key.
	pub const AUDIT_QUERY: &[u8] = b"gonka/audit-query";
	/// The evidence that a host shows for an audit, signed by the worker key.
	pub const EVIDENCE: &[u8] = b"gonka/evidence";
	/// The running hash of the blocks' beacons, from which seeds and draws follow.
	pub const BEACON_MIX: &[u8] = b"gonka/beacon/mix";
	/// The priorities of hosts in the draw of candidates.
	pub const CANDIDATES: &[u8] = b"gonka/candidates";
	/// The seed of the audits of a settlement.
	pub const AUDIT_BATCH: &[u8] = b"gonka/audit/batch";
	/// The number of audits of a settlement.
	pub const AUDIT_COUNT: &[u8] = b"gonka/audit/count";
	/// The position of an audited receipt.
	pub const AUDIT_POSITION: &[u8] = b"gonka/audit/position";
	/// The checker of an audit.
	pub const AUDIT_CHECKER: &[u8] = b"gonka/audit/checker";
	/// The seed of the draws of a case.
	pub const AUDIT_CASE: &[u8] = b"gonka/audit/case";
	/// The arbiters of a case.
	pub const AUDIT_ARBITER: &[u8] = b"gonka/audit/arbiter";
	/// The fresh receipts of an arbiter.
	pub const AUDIT_FRESH: &[u8] = b"gonka/audit/fresh";
	/// The hash of output token ids.
	pub const OUTPUT: &[u8] = b"gonka/output";
	/// The hash of a request's body.
	pub const BODY: &[u8] = b"gonka/body";
	/// The key of a tape, and the noise at a position on it.
	pub const TAPE: &[u8] = b"gonka/tape";
	/// The projection of fingerprints, and the root over them.
	pub const FINGERPRINT: &[u8] = b"gonka/fingerprint";
}

/// blake2b-256 over the concatenation of `parts`.
pub fn blake2_256(parts: &[&[u8]]) -> Hash {
	let mut state = blake2b_simd::Params::new().hash_length(32).to_state();
	for part in parts {
		state.update(part);
	}
	let mut out = [0; 32];
	out.copy_from_slice(state.finalize().as_bytes());
	out
}

/// The 32 bytes that are signed: `H(domain ‖ genesis ‖ SCALE(body))`.
pub fn signing_payload(domain: &[u8], genesis: &Hash, body: &impl Encode) -> Hash {
	body.using_encoded(|bytes| blake2_256(&[domain, genesis, bytes]))
}

/// Number of leading zero bits of `hash`, the measure of a registration's proof of work.
pub fn leading_zero_bits(hash: &Hash) -> u32 {
	let zero_bytes = hash.iter().take_while(|byte| **byte == 0).count();
	let partial = hash.get(zero_bytes).map_or(0, |byte| byte.leading_zeros());
	(zero_bytes as u32).saturating_mul(8).saturating_add(partial)
}
