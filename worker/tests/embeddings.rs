//! Embeddings: served, paid by the prompt, and audited, with a real engine on a model with random weights.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;
#[path = "../../engine/tests/common/gguf.rs"]
#[allow(dead_code, reason = "the engine's tests use the rest")]
mod gguf;

use common::*;
use gonka_client::worker_api::{ErrorCode, Event};
use gonka_engine::{Engine, EngineError, GenerateRequest, LocalConfig, LocalEngine, Sampler};
use gonka_primitives::{
	AccountId, Hash,
	audit::{Breach, Counts, Finding, Pick},
	fingerprint,
	market::{Envelope, FinishReason, Receipt, SignedReceipt, output_hash},
	tape::tape_key,
};
use gonka_tokenizer::embedding::{bits, is_embedding, numbers};
use gonka_worker::store::evidence::StoredEvidence;
use std::{path::Path, sync::Arc};

/// Token ids of two texts.
const TEXTS: [&str; 2] = [r#"{"prompt":[116,104,101,32,102,111,120]}"#, r#"{"prompt":[35,36,37]}"#];

fn engine(path: &Path) -> Arc<dyn Engine> {
	let path = path.join("model.gguf");
	std::fs::write(&path, gguf::embedding_model("qwen3", 3).bytes()).unwrap();
	Arc::new(LocalEngine::load(&LocalConfig { context_length: 64, ..LocalConfig::llama(path) }).unwrap())
}

/// The fingerprint of a vector on the tape of an envelope and a host.
fn fingerprint_of(vector: &[f32], envelope: &Hash, host: &AccountId) -> fingerprint::Fingerprint {
	let request = GenerateRequest { key: tape_key(envelope, host), ..Default::default() };
	Sampler::new(&request, vector.len()).fingerprint(vector)
}

/// Requests an embedding. Returns it with what the host says about it.
async fn embed(gateway: &Gateway, envelope: Envelope, body: &str) -> Result<(Vec<f32>, SignedReceipt), Rejected> {
	let mut response = gateway.request_signed(&gateway.sign(envelope), body).await?;
	let Some(Event::Embedding { vector }) = response.next().await else { panic!("no embedding") };
	let Some(Event::Receipt { receipt }) = response.next().await else { panic!("no receipt") };
	assert_eq!(response.next().await, None);
	Ok((vector.0, receipt.0))
}

#[tokio::test]
async fn an_embedding_is_served_and_its_prompt_is_paid() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let engine = engine(directory.path());
	let rig = Rig::start(&chain, directory.path(), Options { engine: engine.clone(), ..Options::default() }).await;
	let gateway = Gateway::new(&rig.url, 1);
	let envelope = Envelope { max_tokens: 0, ..gateway.envelope(1, TEXTS[0]) };
	let (vector, signed) = embed(&gateway, envelope.clone(), TEXTS[0]).await.unwrap();
	assert!(vector.len() == 64 && is_embedding(&vector));
	let hash = envelope.hash(&GENESIS);
	let expected = Receipt {
		envelope: hash,
		output: output_hash(&bits(&vector)),
		fingerprint: fingerprint::root(&[fingerprint_of(&vector, &hash, &host())]),
		prompt_tokens: 7,
		completion_tokens: 0,
		finish: FinishReason::Stop,
		fee: 7 * 2,
	};
	assert_eq!(signed.receipt, expected);
	let same = Envelope { max_tokens: 0, ..gateway.envelope(2, TEXTS[0]) };
	assert_eq!(embed(&gateway, same, TEXTS[0]).await.unwrap().0, vector);
	let other = Envelope { max_tokens: 0, ..gateway.envelope(3, TEXTS[1]) };
	assert_ne!(embed(&gateway, other, TEXTS[1]).await.unwrap().0, vector);

	let (_, code, message) = embed(&gateway, gateway.envelope(4, TEXTS[0]), TEXTS[0]).await.err().unwrap();
	assert!(code == ErrorCode::BadRequest && message.contains("no completions"), "{message}");
	rig.stop().await;
}

#[tokio::test]
async fn a_model_that_completes_texts_makes_no_embeddings() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let envelope = Envelope { max_tokens: 0, ..gateway.envelope(1, BODY) };
	let (_, code, message) = embed(&gateway, envelope, BODY).await.err().unwrap();
	assert!(code == ErrorCode::BadRequest && message.contains("no embeddings"), "{message}");
	rig.stop().await;
}

/// Returns what a host stores of a request for an embedding of the first text, if this is its vector.
fn stored(audited: &AuditedHost, sequence: u64, vector: &[f32]) -> StoredEvidence {
	let gateway = Gateway::new(&audited.url, CHANNEL);
	let envelope = gateway.sign(Envelope { max_tokens: 0, ..gateway.envelope(sequence, TEXTS[0]) });
	let hash = envelope.envelope.hash(&GENESIS);
	let (output, fingerprints) = (bits(vector), vec![fingerprint_of(vector, &hash, &audited.account)]);
	let receipt = Receipt {
		envelope: hash,
		output: output_hash(&output),
		fingerprint: fingerprint::root(&fingerprints),
		prompt_tokens: 7,
		completion_tokens: 0,
		finish: FinishReason::Stop,
		fee: PRICE.fee(7, 0).unwrap(),
	};
	let receipt = SignedReceipt { receipt, signature: [0; 64] };
	StoredEvidence { envelope, receipt, body: TEXTS[0].into(), output, fingerprints }
}

/// Returns the engine's vector of a text.
async fn vector(engine: &Arc<dyn Engine>, prompt: &[u32]) -> Result<Vec<f32>, EngineError> {
	let request = GenerateRequest { prompt: prompt.to_vec(), max_tokens: 0, ..Default::default() };
	match engine.generate(request)?.recv().await {
		Some(gonka_engine::TokenEvent::Embedding { vector, .. }) => Ok(vector),
		other => panic!("{other:?}"),
	}
}

#[tokio::test]
async fn an_audit_passes_right_vectors_and_finds_wrong_ones() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let engine = engine(directory.path());
	let audited = AuditedHost::start(&chain, directory.path()).await;
	let right = vector(&engine, b"the fox".map(u32::from).as_slice()).await.unwrap();
	let wrong = vector(&engine, &[35, 36, 37]).await.unwrap();
	let changed = |sequence: u64, change: &dyn Fn(&mut StoredEvidence)| {
		let mut stored = stored(&audited, sequence, &right);
		change(&mut stored);
		stored
	};
	let show = |a: &mut StoredEvidence, vector: Vec<f32>| {
		a.output = bits(&vector);
		a.receipt.receipt.output = output_hash(&a.output);
	};
	let right_one = Finding::Checked(Counts::new([1, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]));
	let cases = [
		(stored(&audited, 1, &right), right_one),
		(stored(&audited, 2, &wrong), Finding::Broken(Breach::Output)),
		// The vector is another one than the fingerprint says.
		(changed(3, &|a| show(a, wrong.clone())), Finding::Broken(Breach::Fingerprint)),
		(
			changed(4, &|a| show(a, numbers(&a.output).iter().map(|n| n * 2.0).collect())),
			Finding::Broken(Breach::Output),
		),
		(changed(5, &|a| show(a, Vec::new())), Finding::Broken(Breach::Output)),
		(stored(&audited, 6, &[1.0]), Finding::Broken(Breach::Output)),
		(changed(7, &|a| a.output[0] ^= 1), Finding::Broken(Breach::Output)),
		(
			changed(8, &|a| {
				(a.receipt.receipt.completion_tokens, a.receipt.receipt.fee) = (1, PRICE.fee(7, 1).unwrap());
			}),
			Finding::Broken(Breach::Counts),
		),
		(changed(9, &|a| a.receipt.receipt.finish = FinishReason::Length), Finding::Broken(Breach::Finish)),
	];
	let (receipts, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
	let root = audited.settle(receipts).await;
	let audits = (0..expected.len()).map(|k| audited.audit(k as u16, root, Pick::Receipt(k as u64)));
	assign(&chain, audits.collect());
	let rig = Rig::start(&chain, directory.path(), Options { engine, ..Options::default() }).await;
	rig.block(130).await;
	assert_eq!(findings(&chain, expected.len()).await, expected);
	rig.stop().await;
}
