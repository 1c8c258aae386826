//! A worker that governance finds too old: it ends what it began and takes nothing new, until it is new enough again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::wire::ErrorCode;
use gonka_primitives::market::Totals;
use gonka_worker::{
	chain::Snapshot,
	version::{Required, Watch},
};

/// No worker has it.
const NEWER: u32 = 999_999_999;

fn ask_for(chain: &FakeChain, version: u32, from: u32) {
	chain.with(|state| state.required = Required { version, from });
}

#[tokio::test]
async fn requests_are_refused_from_the_block_on_and_taken_again_when_it_is_lowered() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	ask_for(&chain, NEWER, 105);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let mut totals = Totals::default();
	gateway.serve_and_pay(1, 1, &mut totals).await;
	rig.block(105).await;
	let (status, code, message) = gateway.ask(2, BODY).await.err().unwrap();
	assert_eq!((status, code), (503, ErrorCode::Outdated));
	assert!(message.contains("999.999.999") && message.contains("105"), "{message}");
	let health = gateway.get("/health").await.1;
	assert_eq!(health["models"], serde_json::json!([]));
	assert_eq!(health["outdated"], message);
	// What it has earned is settled all the same.
	rig.block(110).await;
	eventually(async || chain.settled(1) == totals).await;
	ask_for(&chain, 0, 0);
	rig.block(111).await;
	gateway.ask(2, BODY).await.unwrap().finish().await;
	let health = gateway.get("/health").await.1;
	assert_eq!((&health["models"], health.get("outdated")), (&serde_json::json!([MODEL]), None));
	rig.stop().await;
}

#[tokio::test]
async fn it_is_said_once_an_epoch_and_when_it_becomes_true() {
	let chain = FakeChain::new();
	ask_for(&chain, NEWER, 110);
	let mut watch = Watch::default();
	let mut says = async |epoch: u32, block: u32| {
		chain.with(|state| (state.epoch.index, state.epoch.block) = (epoch, block));
		let snapshot = Snapshot::read(&*chain, &host(), block, None).await.unwrap();
		watch.step(&snapshot).is_some()
	};
	assert!(says(5, 101).await && !says(5, 102).await, "once");
	assert!(says(6, 103).await && !says(6, 104).await, "once an epoch");
	assert!(says(6, 110).await && !says(6, 111).await, "when it becomes true");
	ask_for(&chain, 0, 0);
	assert!(!says(6, 112).await && !says(7, 113).await, "nothing is asked for");
}
