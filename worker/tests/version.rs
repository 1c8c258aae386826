//! An outdated worker: it finishes what it began and takes nothing new, until it is new enough again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::worker_api::ErrorCode;
use gonka_primitives::market::Totals;
use gonka_worker::{chain::Snapshot, version::RequiredVersion, version_watch::VersionWatch};

/// A version that no worker has.
const NEWER: u32 = 999_999_999;

fn require(chain: &FakeChain, version: u32, from: u32) {
	chain.with(|state| state.required = RequiredVersion { version, from });
}

#[tokio::test]
async fn an_outdated_worker_rejects_requests_until_the_requirement_is_lowered() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	require(&chain, NEWER, 105);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let mut totals = Totals::default();
	gateway.serve_and_pay(1, 1, &mut totals).await;
	rig.block(105).await;
	let (status, code, message) = gateway.request(2, BODY).await.err().unwrap();
	assert_eq!((status, code), (503, ErrorCode::Outdated));
	assert!(message.contains("999.999.999") && message.contains("105"), "{message}");
	let health = gateway.get("/health").await.1;
	assert_eq!(health["models"], serde_json::json!([]));
	assert_eq!(health["outdated"], message);
	// It still settles what it has earned.
	rig.block(111).await;
	eventually(async || {
		chain.announce_again();
		chain.settled(1) == totals
	})
	.await;
	require(&chain, 0, 0);
	rig.block(112).await;
	gateway.request(2, BODY).await.unwrap().finish().await;
	let health = gateway.get("/health").await.1;
	let models = serde_json::json!([{"name": MODEL, "context_length": 400}]);
	assert_eq!((&health["models"], health.get("outdated")), (&models, None));
	rig.stop().await;
}

#[tokio::test]
async fn the_warning_is_logged_once_an_epoch_and_when_the_worker_becomes_outdated() {
	let chain = FakeChain::new();
	require(&chain, NEWER, 110);
	let mut watch = VersionWatch::default();
	let mut warns = async |epoch: u32, block: u32| {
		chain.with(|state| (state.epoch.index, state.epoch.block) = (epoch, block));
		let snapshot = Snapshot::read(&*chain, &host(), block, None).await.unwrap();
		watch.step(&snapshot).is_some()
	};
	assert!(warns(5, 101).await && !warns(5, 102).await, "once");
	assert!(warns(6, 103).await && !warns(6, 104).await, "once an epoch");
	assert!(warns(6, 110).await && !warns(6, 111).await, "when it becomes outdated");
	require(&chain, 0, 0);
	assert!(!warns(6, 112).await && !warns(7, 113).await, "nothing is required");
}
