//! What a host shows of a sample, sealed for who asked.
//!
//! Prompts and answers are the developers': workers speak plain HTTP, so what they show travels in a sealed box
//! (X25519, XSalsa20-Poly1305) for a key that the checker makes for this one question. The checker's worker key signs
//! question and key together, the host's worker key the answer: nobody in between can read, ask or answer.

use codec::{Decode, Encode};
use crypto_box::{PublicKey, SecretKey, aead::OsRng};
use gonka_primitives::{
	Hash, Signature,
	fingerprint::Fingerprint,
	hashing::{blake2_256, domain, signing_payload},
	market::{Receipt, SignedEnvelope, Totals},
	merkle_sum::Sibling,
	sampling::SampleQuery,
};

use crate::{
	keys::{self, Keypair},
	wire::{EvidenceQuery, Scale},
};

/// What shows that a settled answer is the model's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
	/// What was asked.
	pub envelope: SignedEnvelope,
	/// What was answered.
	pub receipt: Receipt,
	/// From the receipt's leaf to the settlement's root.
	pub path: Vec<Sibling<Totals>>,
	/// The request's body as it was sent.
	pub body: Vec<u8>,
	/// The answer's token ids.
	pub output: Vec<u32>,
	/// A fingerprint for each.
	pub fingerprints: Vec<Fingerprint>,
}

/// [`Evidence`] that only who asked can read: the body of the answer to an [`EvidenceQuery`], SCALE-encoded.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SealedEvidence {
	/// The box.
	pub sealed: Vec<u8>,
	/// The host's worker key's signature over [`answer_payload`].
	pub signature: Signature,
}

/// What opens the answer to one question.
pub struct Opener {
	secret: SecretKey,
	asked: Hash,
}

/// What the checker's worker key signs: `signing_payload(SAMPLE_QUERY, genesis, (query, key))`.
pub fn query_payload(query: &SampleQuery, key: &[u8; 32], genesis: &Hash) -> Hash {
	signing_payload(domain::SAMPLE_QUERY, genesis, &(query, key))
}

/// What the host's worker key signs: `signing_payload(EVIDENCE, genesis, (what the checker signed, H(EVIDENCE ‖ box)))`.
pub fn answer_payload(asked: &Hash, sealed: &[u8], genesis: &Hash) -> Hash {
	signing_payload(domain::EVIDENCE, genesis, &(asked, blake2_256(&[domain::EVIDENCE, sealed])))
}

/// Asks, in the name of the query's checker, whose worker key is `worker`.
pub fn ask(query: SampleQuery, worker: &Keypair, genesis: &Hash) -> (EvidenceQuery, Opener) {
	let secret = SecretKey::generate(&mut OsRng);
	let key = *secret.public_key().as_bytes();
	let asked = query_payload(&query, &key, genesis);
	let signature = Scale(keys::sign(worker, &asked));
	(EvidenceQuery { query: Scale(query), key: Scale(key), signature }, Opener { secret, asked })
}

/// Seals an answer; `asked` is the question's [`query_payload`]. `None` if the system gives no randomness.
pub fn seal(
	evidence: &Evidence,
	key: &[u8; 32],
	asked: &Hash,
	worker: &Keypair,
	genesis: &Hash,
) -> Option<SealedEvidence> {
	let sealed = PublicKey::from(*key).seal(&mut OsRng, &evidence.encode()).ok()?;
	let signature = keys::sign(worker, &answer_payload(asked, &sealed, genesis));
	Some(SealedEvidence { sealed, signature })
}

impl Opener {
	/// The evidence, if the host with this worker key gave it in answer to this question.
	pub fn open(
		&self,
		answer: &SealedEvidence,
		worker: &gonka_primitives::PublicKey,
		genesis: &Hash,
	) -> Result<Evidence, String> {
		let payload = answer_payload(&self.asked, &answer.sealed, genesis);
		if !keys::verify(&answer.signature, &payload, worker) {
			return Err("the answer is not signed by the host's worker key".into());
		}
		let plain = self.secret.unseal(&answer.sealed).map_err(|_| "the answer is sealed for another key")?;
		let mut rest = plain.as_slice();
		let evidence = Evidence::decode(&mut rest).map_err(|error| format!("the answer cannot be read: {error}"))?;
		if rest.is_empty() { Ok(evidence) } else { Err(format!("the answer has {} bytes too many", rest.len())) }
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::{
		market::{Envelope, FinishReason, Price},
		sampling::Pick,
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
	fn only_who_asked_can_read_and_only_the_host_can_answer() {
		let [checker, host, other] = ["//Checker", "//Host", "//Other"].map(|uri| keys::from_uri(uri).unwrap());
		let query = SampleQuery { checker: [1; 32], host: [2; 32], window: 3, pick: Pick::Work(4) };
		let (question, opener) = ask(query, &checker, &GENESIS);
		let asked = query_payload(&question.query.0, &question.key.0, &GENESIS);
		assert!(keys::verify(&question.signature.0, &asked, &keys::public(&checker)));
		let answer = seal(&evidence(), &question.key.0, &asked, &host, &GENESIS).unwrap();
		assert!(!answer.sealed.windows(6).any(|bytes| bytes == b"secret"));
		let worker = keys::public(&host);
		assert_eq!(opener.open(&answer, &worker, &GENESIS).unwrap(), evidence());
		// Another asker of the same, another answerer, another chain, another box.
		let (_, second) = ask(query, &checker, &GENESIS);
		assert!(second.open(&answer, &worker, &GENESIS).unwrap_err().contains("not signed"));
		let stolen = Opener { secret: second.secret, asked };
		assert!(stolen.open(&answer, &worker, &GENESIS).unwrap_err().contains("another key"));
		assert!(opener.open(&answer, &keys::public(&other), &GENESIS).is_err());
		assert!(opener.open(&answer, &worker, &[8; 32]).is_err());
		let mut bent = answer.clone();
		bent.sealed[40] ^= 1;
		assert!(opener.open(&bent, &worker, &GENESIS).is_err());
		bent.signature = keys::sign(&host, &answer_payload(&asked, &bent.sealed, &GENESIS));
		assert!(opener.open(&bent, &worker, &GENESIS).unwrap_err().contains("another key"));
	}
}
