//! When a receipt is acknowledged, and when it is refused.

use gonka_primitives::{
	Hash, PublicKey,
	hashing::{domain, signing_payload},
	market::{Envelope, FinishReason, Receipt, SignedEnvelope, SignedReceipt, output_hash},
};
use subxt_signer::sr25519;

/// Tokens a worker may have made between the last one the gateway read and its noticing that the gateway hung up.
const IN_FLIGHT_TOKENS: usize = 128;

/// Why a receipt is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
	/// Not by the host's worker key.
	#[error("signature")]
	Signature,
	/// For another request.
	#[error("envelope")]
	Envelope,
	/// Over other tokens than those sent.
	#[error("output")]
	Output,
	/// More tokens read or made than can be.
	#[error("count")]
	Count,
	/// Not what the envelope's price gives, or above its limit.
	#[error("fee")]
	Fee,
	/// A reason that does not fit the answer.
	#[error("finish")]
	Finish,
}

/// What the gateway knows of an answer beyond the envelope.
#[derive(Clone, Debug)]
pub struct Seen {
	/// Token ids read from the stream.
	pub tokens: Vec<u32>,
	/// Most tokens the prompt can have.
	pub prompt_bound: u32,
	/// Tokens of prompt and answer together, at most.
	pub context_length: u32,
	/// Whether the gateway hung up before the answer was complete.
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

/// Checks a receipt against the request's envelope and, if the gateway is still the process that read the answer,
/// against what it saw. Without `seen` the envelope's limits are what binds.
pub fn check(
	signed: &SignedReceipt,
	envelope: &Envelope,
	worker: &PublicKey,
	genesis: &Hash,
	seen: Option<&Seen>,
) -> Result<(), Refusal> {
	let receipt = &signed.receipt;
	if receipt.envelope != envelope.hash(genesis) {
		return Err(Refusal::Envelope);
	}
	if !is_signed(signed, worker, genesis) {
		return Err(Refusal::Signature);
	}
	if receipt.completion_tokens > envelope.max_tokens {
		return Err(Refusal::Count);
	}
	let fee = envelope.price.fee(receipt.prompt_tokens, receipt.completion_tokens);
	if fee != Some(receipt.fee) || receipt.fee > envelope.max_fee {
		return Err(Refusal::Fee);
	}
	seen.map_or(Ok(()), |seen| check_seen(receipt, envelope, seen))
}

fn check_seen(receipt: &Receipt, envelope: &Envelope, seen: &Seen) -> Result<(), Refusal> {
	let made = receipt.completion_tokens as usize;
	let more = if seen.hung_up { IN_FLIGHT_TOKENS } else { 0 };
	if receipt.prompt_tokens > seen.prompt_bound
		|| made < seen.tokens.len()
		|| made > seen.tokens.len().saturating_add(more)
	{
		return Err(Refusal::Count);
	}
	if made == seen.tokens.len() && receipt.output != output_hash(&seen.tokens) {
		return Err(Refusal::Output);
	}
	let full = receipt.prompt_tokens.saturating_add(receipt.completion_tokens) >= seen.context_length;
	match receipt.finish {
		FinishReason::Length if receipt.completion_tokens < envelope.max_tokens && !full => Err(Refusal::Finish),
		FinishReason::Cancelled if !seen.hung_up => Err(Refusal::Finish),
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

	fn verdict(receipt: Receipt, hung_up: bool) -> Result<(), Refusal> {
		let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt);
		let signed = SignedReceipt { receipt, signature: dev::bob().sign(&payload).0 };
		let seen = Seen { tokens: vec![10, 11], prompt_bound: 20, context_length: 100, hung_up };
		check(&signed, &envelope(), &dev::bob().public_key().0, &GENESIS, Some(&seen))
	}

	#[test]
	fn each_lie_has_its_refusal() {
		assert_eq!(verdict(good(), false), Ok(()));
		let with = |change: &dyn Fn(&mut Receipt)| {
			let mut receipt = good();
			change(&mut receipt);
			verdict(receipt, false)
		};
		assert_eq!(with(&|r| r.envelope[0] ^= 1), Err(Refusal::Envelope));
		assert_eq!(with(&|r| r.output[0] ^= 1), Err(Refusal::Output));
		assert_eq!(with(&|r| r.fee = 19), Err(Refusal::Fee));
		assert_eq!(with(&|r| (r.completion_tokens, r.fee) = (3, 23)), Err(Refusal::Count));
		assert_eq!(with(&|r| (r.completion_tokens, r.fee) = (1, 17)), Err(Refusal::Count));
		assert_eq!(with(&|r| (r.prompt_tokens, r.fee) = (21, 48)), Err(Refusal::Count));
		assert_eq!(with(&|r| (r.prompt_tokens, r.fee) = (60, 126)), Err(Refusal::Fee));
		assert_eq!(with(&|r| r.finish = FinishReason::Cancelled), Err(Refusal::Finish));
		assert_eq!(with(&|r| r.finish = FinishReason::Length), Err(Refusal::Finish));
	}

	#[test]
	fn what_is_inflated_beyond_the_envelope_is_refused_by_its_limits_alone() {
		// As after a restart: nobody remembers the answer.
		let claims = |prompt_tokens, completion_tokens| {
			let fee = envelope().price.fee(prompt_tokens, completion_tokens).unwrap();
			let receipt = Receipt { prompt_tokens, completion_tokens, fee, ..good() };
			let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt);
			let signed = SignedReceipt { receipt, signature: dev::bob().sign(&payload).0 };
			check(&signed, &envelope(), &dev::bob().public_key().0, &GENESIS, None)
		};
		assert_eq!(claims(44, 4), Ok(()), "all of max_tokens, and of max_fee");
		assert_eq!(claims(7, 5), Err(Refusal::Count));
		assert_eq!(claims(0, u32::MAX), Err(Refusal::Count));
		assert_eq!(claims(45, 4), Err(Refusal::Fee));
		assert_eq!(claims(u32::MAX, 0), Err(Refusal::Fee));
	}

	#[test]
	fn another_key_is_refused() {
		let receipt = good();
		let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt);
		let signed = SignedReceipt { receipt, signature: dev::eve().sign(&payload).0 };
		let verdict = check(&signed, &envelope(), &dev::bob().public_key().0, &GENESIS, None);
		assert_eq!(verdict, Err(Refusal::Signature));
	}

	#[test]
	fn after_hanging_up_a_few_more_tokens_are_due() {
		let mut receipt = good();
		receipt.finish = FinishReason::Cancelled;
		assert_eq!(verdict(receipt.clone(), true), Ok(()));
		(receipt.completion_tokens, receipt.fee, receipt.output) = (4, 26, [0; 32]);
		assert_eq!(verdict(receipt, true), Ok(()));
	}
}
