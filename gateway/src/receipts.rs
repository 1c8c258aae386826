//! The check of a receipt, on which its acknowledgement depends.

use gonka_primitives::{
	Hash, PublicKey,
	hashing::{domain, signing_payload},
	market::{Envelope, FinishReason, Receipt, SignedEnvelope, SignedReceipt, output_hash},
};
use subxt_signer::sr25519;

/// Maximum number of tokens that a worker may generate after the last one that the gateway read, before it notices that
/// the gateway hung up.
pub(crate) const IN_FLIGHT_TOKENS: usize = 128;

/// The part of a receipt that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReceiptError {
	/// The host's worker key did not sign it.
	#[error("its signature is not by the host's worker key")]
	Signature,
	/// It is for another request.
	#[error("it is for another envelope")]
	Envelope,
	/// Its output hash is not that of the tokens sent.
	#[error("its output hash is not that of the tokens sent")]
	Output,
	/// Its number of prompt tokens is not that of the prompt, or its number of completion tokens is impossible.
	#[error("its number of tokens is wrong")]
	Count,
	/// Its fee is not the envelope's price times the tokens, or exceeds the maximum.
	#[error("its fee does not follow from the envelope")]
	Fee,
	/// Its finish reason contradicts the completion.
	#[error("its finish reason contradicts the completion")]
	Finish,
}

/// The gateway's knowledge of a response beyond its envelope.
#[derive(Clone, Debug)]
pub struct Seen {
	/// Token ids that were read from the stream, or the bits of an embedding.
	pub tokens: Vec<u32>,
	/// Number of tokens of the prompt, with those that other hosts delivered.
	pub prompt_tokens: u32,
	/// Maximum number of tokens of prompt and completion together.
	pub context_length: u32,
	/// Whether the last token ends the completion: it is one of the model's ends, or completes a stop text.
	pub stopped: bool,
	/// Whether the response did not end with a receipt: the gateway hung up, or the connection broke. An embedding is due then only
	/// if the gateway hung up.
	pub hung_up: bool,
}

/// Whether the worker key signed the receipt.
pub fn is_signed(signed: &SignedReceipt, worker: &PublicKey, genesis: &Hash) -> bool {
	let payload = signing_payload(domain::RECEIPT, genesis, &signed.receipt);
	sr25519::verify(&sr25519::Signature(signed.signature), payload, &sr25519::PublicKey(*worker))
}

/// Whether the gateway key signed the envelope.
pub fn is_ours(signed: &SignedEnvelope, gateway: &PublicKey, genesis: &Hash) -> bool {
	let payload = signed.envelope.hash(genesis);
	sr25519::verify(&sr25519::Signature(signed.signature), payload, &sr25519::PublicKey(*gateway))
}

/// Checks a receipt against the request's envelope and, if this process read the response, against what it saw. Without
/// `seen`, only the envelope's limits apply.
pub fn check(
	signed: &SignedReceipt,
	envelope: &Envelope,
	worker: &PublicKey,
	genesis: &Hash,
	seen: Option<&Seen>,
) -> Result<(), ReceiptError> {
	let receipt = &signed.receipt;
	if receipt.envelope != envelope.hash(genesis) {
		return Err(ReceiptError::Envelope);
	}
	if !is_signed(signed, worker, genesis) {
		return Err(ReceiptError::Signature);
	}
	if receipt.completion_tokens > envelope.max_tokens {
		return Err(ReceiptError::Count);
	}
	let fee = envelope.price.fee(receipt.prompt_tokens, receipt.completion_tokens);
	if fee != Some(receipt.fee) || receipt.fee > envelope.max_fee {
		return Err(ReceiptError::Fee);
	}
	seen.map_or(Ok(()), |seen| check_seen(receipt, envelope, seen))
}

/// Checks the receipt of an embedding, which comes at once or not at all. It is due if it arrived, or if the gateway did not wait.
fn check_embedding(receipt: &Receipt, seen: &Seen) -> Result<(), ReceiptError> {
	if receipt.prompt_tokens != seen.prompt_tokens || receipt.completion_tokens != 0 {
		return Err(ReceiptError::Count);
	}
	let has_arrived = !seen.tokens.is_empty();
	if has_arrived && receipt.output != output_hash(&seen.tokens) || !has_arrived && !seen.hung_up {
		return Err(ReceiptError::Output);
	}
	if receipt.finish == FinishReason::Stop { Ok(()) } else { Err(ReceiptError::Finish) }
}

fn check_seen(receipt: &Receipt, envelope: &Envelope, seen: &Seen) -> Result<(), ReceiptError> {
	if envelope.max_tokens == 0 {
		return check_embedding(receipt, seen);
	}
	let made = receipt.completion_tokens as usize;
	let more = if seen.hung_up { IN_FLIGHT_TOKENS } else { 0 };
	let arrived = seen.tokens.len();
	if receipt.prompt_tokens != seen.prompt_tokens || made < arrived || made > arrived.saturating_add(more) {
		return Err(ReceiptError::Count);
	}
	if made == arrived && receipt.output != output_hash(&seen.tokens) {
		return Err(ReceiptError::Output);
	}
	let full = receipt.prompt_tokens.saturating_add(receipt.completion_tokens) >= seen.context_length;
	match receipt.finish {
		FinishReason::Length if receipt.completion_tokens < envelope.max_tokens && !full => Err(ReceiptError::Finish),
		FinishReason::Cancelled if !seen.hung_up => Err(ReceiptError::Finish),
		FinishReason::Stop if !seen.hung_up && !seen.stopped => Err(ReceiptError::Finish),
		_ => Ok(()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::market::Price;
	use subxt_signer::sr25519::dev;

	const GENESIS: Hash = [5; 32];

	fn envelope() -> Envelope {
		Envelope {
			channel: 1,
			model: 0,
			sequence: 9,
			body: [1; 32],
			seed: 3,
			price: Price { input: 2, output: 3 },
			max_tokens: 4,
			max_fee: 100,
			expires: 10,
		}
	}

	fn good() -> Receipt {
		Receipt {
			envelope: envelope().hash(&GENESIS),
			output: output_hash(&[10, 11]),
			fingerprint: [0; 32],
			prompt_tokens: 7,
			completion_tokens: 2,
			finish: FinishReason::Stop,
			fee: 20,
		}
	}

	fn verdict(receipt: Receipt, hung_up: bool) -> Result<(), ReceiptError> {
		let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt);
		let signed = SignedReceipt { receipt, signature: dev::bob().sign(&payload).0 };
		let seen = Seen { tokens: vec![10, 11], prompt_tokens: 7, context_length: 100, stopped: true, hung_up };
		check(&signed, &envelope(), &dev::bob().public_key().0, &GENESIS, Some(&seen))
	}

	#[test]
	fn each_wrong_field_has_its_error() {
		assert_eq!(verdict(good(), false), Ok(()));
		let with = |change: &dyn Fn(&mut Receipt)| {
			let mut receipt = good();
			change(&mut receipt);
			verdict(receipt, false)
		};
		assert_eq!(with(&|r| r.envelope[0] ^= 1), Err(ReceiptError::Envelope));
		assert_eq!(with(&|r| r.output[0] ^= 1), Err(ReceiptError::Output));
		assert_eq!(with(&|r| r.fee = 19), Err(ReceiptError::Fee));
		assert_eq!(with(&|r| (r.completion_tokens, r.fee) = (3, 23)), Err(ReceiptError::Count));
		assert_eq!(with(&|r| (r.completion_tokens, r.fee) = (1, 17)), Err(ReceiptError::Count));
		assert_eq!(with(&|r| (r.prompt_tokens, r.fee) = (8, 22)), Err(ReceiptError::Count));
		assert_eq!(with(&|r| (r.prompt_tokens, r.fee) = (60, 126)), Err(ReceiptError::Fee));
		assert_eq!(with(&|r| r.finish = FinishReason::Cancelled), Err(ReceiptError::Finish));
		assert_eq!(with(&|r| r.finish = FinishReason::Length), Err(ReceiptError::Finish));
	}

	#[test]
	fn a_receipt_above_the_envelopes_limits_is_rejected_without_the_response() {
		// As after a restart.
		let claims = |prompt_tokens, completion_tokens| {
			let fee = envelope().price.fee(prompt_tokens, completion_tokens).unwrap();
			let receipt = Receipt { prompt_tokens, completion_tokens, fee, ..good() };
			let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt);
			let signed = SignedReceipt { receipt, signature: dev::bob().sign(&payload).0 };
			check(&signed, &envelope(), &dev::bob().public_key().0, &GENESIS, None)
		};
		assert_eq!(claims(44, 4), Ok(()), "all of max_tokens, and of max_fee");
		assert_eq!(claims(7, 5), Err(ReceiptError::Count));
		assert_eq!(claims(0, u32::MAX), Err(ReceiptError::Count));
		assert_eq!(claims(45, 4), Err(ReceiptError::Fee));
		assert_eq!(claims(u32::MAX, 0), Err(ReceiptError::Fee));
	}

	#[test]
	fn an_embedding_is_due_whether_it_arrived_or_not() {
		let envelope = Envelope { max_tokens: 0, ..envelope() };
		let receipt = Receipt { envelope: envelope.hash(&GENESIS), completion_tokens: 0, fee: 14, ..good() };
		let verdict = |tokens: &[u32], hung_up| {
			let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt);
			let signed = SignedReceipt { receipt: receipt.clone(), signature: dev::bob().sign(&payload).0 };
			let (tokens, stopped) = (tokens.to_vec(), !tokens.is_empty());
			let seen = Seen { tokens, prompt_tokens: 7, context_length: 100, stopped, hung_up };
			check(&signed, &envelope, &dev::bob().public_key().0, &GENESIS, Some(&seen))
		};
		assert_eq!([verdict(&[10, 11], false), verdict(&[10, 11], true), verdict(&[], true)], [Ok(()); 3]);
		assert_eq!([verdict(&[10, 12], false), verdict(&[10, 12], true)], [Err(ReceiptError::Output); 2]);
		assert_eq!(verdict(&[], false), Err(ReceiptError::Output), "none was sent");
	}

	#[test]
	fn a_receipt_signed_by_another_key_is_rejected() {
		let receipt = good();
		let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt);
		let signed = SignedReceipt { receipt, signature: dev::eve().sign(&payload).0 };
		let verdict = check(&signed, &envelope(), &dev::bob().public_key().0, &GENESIS, None);
		assert_eq!(verdict, Err(ReceiptError::Signature));
	}

	#[test]
	fn tokens_in_flight_are_due_after_the_gateway_hangs_up() {
		let mut receipt = good();
		receipt.finish = FinishReason::Cancelled;
		assert_eq!(verdict(receipt.clone(), true), Ok(()));
		(receipt.completion_tokens, receipt.fee, receipt.output) = (4, 26, [0; 32]);
		assert_eq!(verdict(receipt, true), Ok(()));
	}
}
