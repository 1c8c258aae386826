//! Engine and sprint share one libtorch in one process, and both compute right at the same time. This needs the demo
//! model, which `scripts/get-model` downloads.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_engine::{LocalConfig, LocalEngine};
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, SprintFormat};
use gonka_worker::sprint::{pace::Pace, runner::commitment, torch::Torch};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_leaves_are_right_when_computed_at_the_same_time() {
	let path = demo_model();
	let config = LocalConfig { context_length: 256, slots: 1, ..LocalConfig::torch(path) };
	let engine = Arc::new(LocalEngine::load(&config).unwrap());
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let torch = Torch { device: tch::Device::Cpu, threads: 1 };
	let sprint = Some((Box::new(torch) as Box<_>, Pace::new(Some(200.0))));
	let options = Options { engine: engine.clone(), sprint, ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	rig.block(103).await;
	let gateway = Gateway::new(&rig.url, 1);
	let prompt = engine.tokenizer().encode("Once upon a time there was");
	let body = &format!(r#"{{"prompt":{prompt:?},"temperature":0}}"#);
	let mut envelope = gateway.envelope(1, body);
	envelope.max_tokens = 8;
	let (ids, receipt) = gateway.request_signed(&gateway.sign(envelope), body).await.unwrap().finish().await;
	assert_eq!((ids.len(), receipt.receipt.prompt_tokens), (8, 6));
	let text = engine.tokenizer().decode(&ids);
	assert!(text.starts_with(" a small town nestled between"), "{text}");
	rig.block(106).await;
	eventually(async || chain.with(|state| state.commitments.len()) == 1).await;
	let made = chain.with(|state| state.commitments[0]);
	let model = Model::new(&ModelSeed([1; 32]), SprintFormat::Nano);
	let id = |index| LeafId { host: host(), epoch: 5, segment: 0, lane: 0, index };
	let leaves = (0..made.commitment.count).map(|index| model.leaf(&SegmentSeed([10; 32]), &id(index)).1);
	assert_eq!(made, commitment(host(), 5, 0, leaves.collect()).unwrap());
	rig.stop().await;
}
