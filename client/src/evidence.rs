//! The evidence of an audit, sealed for the host that queries it.
//!
//! Prompts and completions are private to developers, and workers speak plain HTTP. Evidence therefore travels in a
//! sealed box (X25519, XSalsa20-Poly1305) for a key that the checker makes for one query. The checker's worker key
//! signs query and key together, the host's worker key signs the box: nobody in between can read, query or respond.

use codec::{Decode, DecodeAll, Encode};
use crypto_box::{PublicKey, SecretKey, aead::OsRng};
use gonka_primitives::{
	Hash, Signature,
	audit::AuditQuery,
	fingerprint::Fingerprint,
	hashing::{blake2_256, domain, signing_payload},
	market::{Receipt, SignedEnvelope, Totals},
	merkle_sum::Sibling,
};

use crate::{
	keys::{self, Keypair},
	worker_api::{EvidenceQuery, Scale},
};

/// The evidence that a settled completion is the model's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
	/// The envelope of the request.
	pub envelope: SignedEnvelope,
	/// The receipt.
	pub receipt: Receipt,
	/// The path from the receipt's leaf to the settlement's root.
	pub path: Vec<Sibling<Totals>>,
	/// The request's body as it was sent.
	pub body: Vec<u8>,
	/// The token ids of the completion.
	pub output: Vec<u32>,
	/// The fingerprint of each token.
	pub fingerprints: Vec<Fingerprint>,
}

/// Sealed [`Evidence`]: SCALE-encoded, the body of the response to an [`EvidenceQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SealedEvidence {
	/// The box, which only the key of the query opens.
	pub sealed: Vec<u8>,
	/// The host's worker key's signature over [`response_payload`].
	pub signature: Signature,
}

/// The secret that opens the response to one query.
pub struct Opener {
	secret: SecretKey,
	query: Hash,
}

/// Why a response holds no evidence.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
	/// The host's worker key did not sign the response.
	#[error("the evidence is not signed by the host's worker key")]
	Signature,
	/// The box is sealed for another key.
	#[error("the evidence is sealed for another key")]
	Sealed,
	/// The content of the box is not evidence.
	#[error("the evidence cannot be read: {0}")]
	Unreadable(#[from] codec::Error),
}

/// The payload that the checker's worker key signs: `signing_payload(AUDIT_QUERY, genesis, (query, key))`.
pub fn query_payload(query: &AuditQuery, key: &[u8; 32], genesis: &Hash) -> Hash {
	signing_payload(domain::AUDIT_QUERY, genesis, &(query, key))
}

/// The payload that the host's worker key signs: `signing_payload(EVIDENCE, genesis, (query, H(EVIDENCE ‖ box)))`,
/// where `query` is the [`query_payload`].
pub fn response_payload(query: &Hash, sealed: &[u8], genesis: &Hash) -> Hash {
	signing_payload(domain::EVIDENCE, genesis, &(query, blake2_256(&[domain::EVIDENCE, sealed])))
}

/// Makes and signs a query; `worker` is the worker key of `query.checker`.
pub fn query(query: AuditQuery, worker: &Keypair, genesis: &Hash) -> (EvidenceQuery, Opener) {
	let secret = SecretKey::generate(&mut OsRng);
	let key = *secret.public_key().as_bytes();
	let payload = query_payload(&query, &key, genesis);
	let signature = Scale(keys::sign(worker, &payload));
	(EvidenceQuery { query: Scale(query), key: Scale(key), signature }, Opener { secret, query: payload })
}

/// Seals evidence for `key`; `query` is the [`query_payload`]. Returns `None` if the system has no randomness.
pub fn seal(
	evidence: &Evidence,
	key: &[u8; 32],
	query: &Hash,
	worker: &Keypair,
	genesis: &Hash,
) -> Option<SealedEvidence> {
	let sealed = PublicKey::from(*key).seal(&mut OsRng, &evidence.encode()).ok()?;
	let signature = keys::sign(worker, &response_payload(query, &sealed, genesis));
	Some(SealedEvidence { sealed, signature })
}

impl Opener {
	/// Opens the response of the host with this worker key.
	pub fn open(
		&self,
		response: &SealedEvidence,
		worker: &gonka_primitives::PublicKey,
		genesis: &Hash,
	) -> Result<Evidence, OpenError> {
		let payload = response_payload(&self.query, &response.sealed, genesis);
		if !keys::verify(&response.signature, &payload, worker) {
			return Err(OpenError::Signature);
		}
		let plain = self.secret.unseal(&response.sealed).map_err(|_| OpenError::Sealed)?;
		Ok(Evidence::decode_all(&mut plain.as_slice())?)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::{
		audit::Pick,
		market::{Envelope, FinishReason, Price},
	};

	const GENESIS: Hash = [9; 32];

	fn evidence() -> Evidence {
		let envelope = Envelope {
			channel: 1,
			model: 2,
			sequence: 3,
			body: [4; 32],
			seed: 5,
			price: Price { input: 6, output: 7 },
			max_tokens: 8,
			max_fee: 9,
			expires: 10,
		};
		let receipt = Receipt {
			envelope: [1; 32],
			output: [2; 32],
			fingerprint: [3; 32],
			prompt_tokens: 4,
			completion_tokens: 5,
			finish: FinishReason::Stop,
			fee: 6,
		};
		let (envelope, body) = (SignedEnvelope { envelope, signature: [1; 64] }, b"a secret prompt".to_vec());
		Evidence { envelope, receipt, path: Vec::new(), body, output: vec![7], fingerprints: vec![[8; 16]] }
	}

	#[test]
	fn only_the_checker_can_read_the_evidence_and_only_the_host_can_give_it() {
		let [checker, host, other] = ["//Checker", "//Host", "//Other"].map(|uri| keys::from_uri(uri).unwrap());
		let query = AuditQuery { checker: [1; 32], host: [2; 32], window: 3, pick: Pick::Work(4) };
		let (sent, opener) = super::query(query, &checker, &GENESIS);
		let payload = query_payload(&sent.query.0, &sent.key.0, &GENESIS);
		assert!(keys::verify(&sent.signature.0, &payload, &keys::public(&checker)));
		let response = seal(&evidence(), &sent.key.0, &payload, &host, &GENESIS).unwrap();
		assert!(!response.sealed.windows(6).any(|bytes| bytes == b"secret"));
		let worker = keys::public(&host);
		assert_eq!(opener.open(&response, &worker, &GENESIS).unwrap(), evidence());
		// Another query for the same, another key, another host, another chain, another box.
		let (_, second) = super::query(query, &checker, &GENESIS);
		assert!(matches!(second.open(&response, &worker, &GENESIS), Err(OpenError::Signature)));
		let stolen = Opener { secret: second.secret, query: payload };
		assert!(matches!(stolen.open(&response, &worker, &GENESIS), Err(OpenError::Sealed)));
		assert!(opener.open(&response, &keys::public(&other), &GENESIS).is_err());
		assert!(opener.open(&response, &worker, &[8; 32]).is_err());
		let mut bent = response.clone();
		bent.sealed[40] ^= 1;
		assert!(opener.open(&bent, &worker, &GENESIS).is_err());
		bent.signature = keys::sign(&host, &response_payload(&payload, &bent.sealed, &GENESIS));
		assert!(matches!(opener.open(&bent, &worker, &GENESIS), Err(OpenError::Sealed)));
	}
}
