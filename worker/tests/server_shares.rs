//! Bounds on what one developer takes of a host, and on what costs it nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::worker_api::ErrorCode;
use gonka_primitives::{market::Totals, views::ChannelView};
use gonka_worker::{
	server::Limits,
	store::{Durability, evidence},
};
use serde_json::json;
use std::sync::mpsc;
use tokio::{sync::oneshot, time::timeout};

#[tokio::test]
async fn a_developer_may_use_a_quarter_of_the_space_for_evidence() {
	const SPACE: u64 = 2_500;
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.channels.push(ChannelView { developer: [8; 32], ..channel(3) }));
	let limits = Limits { evidence: SPACE, ..Options::default().limits };
	let rig = Rig::start(&chain, directory.path(), Options { limits, ..Default::default() }).await;
	Gateway::new(&rig.url, 1).request(1, BODY).await.unwrap().finish().await;
	let stored = rig.store.read(evidence::bytes).unwrap();
	assert!((SPACE / 4..SPACE).contains(&stored), "{stored}");
	let (_, code, message) = Gateway::new(&rig.url, 2).request(1, BODY).await.err().unwrap();
	assert!(code == ErrorCode::Busy && message.contains("this developer's"), "another channel of the same: {message}");
	Gateway::new(&rig.url, 3).request(1, BODY).await.unwrap().finish().await;
	rig.stop().await;
}

#[tokio::test]
async fn room_for_evidence_is_left_for_others() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| {
		for id in 3..7 {
			state.channels.push(ChannelView { developer: [id as u8; 32], ..channel(id) });
		}
	});
	// There is room for twelve completions. Each developer sends four requests, or as many as it may.
	let size = {
		let directory = tempfile::tempdir().unwrap();
		let rig = Rig::start(&chain, directory.path(), Options::default()).await;
		Gateway::new(&rig.url, 1).request(1, BODY).await.unwrap().finish().await;
		let size = rig.store.read(evidence::bytes).unwrap();
		rig.stop().await;
		size
	};
	let limits = Limits { evidence: 12 * size, ..Options::default().limits };
	let rig = Rig::start(&chain, directory.path(), Options { limits, ..Default::default() }).await;
	let mut served = Vec::new();
	for id in 3..7 {
		let gateway = Gateway::new(&rig.url, id);
		let mut count = 0;
		for sequence in 1..=4 {
			if let Ok(completion) = gateway.request(sequence, BODY).await {
				completion.finish().await;
				count += 1;
			}
		}
		served.push(count);
	}
	assert_eq!(served, [3, 3, 3, 2], "a quarter each, and then half of what is left");
	Gateway::new(&rig.url, 1).request(1, BODY).await.unwrap().finish().await;
	rig.stop().await;
}

#[tokio::test]
async fn one_developer_does_not_take_all_slots() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.channels.push(ChannelView { developer: [8; 32], ..channel(3) }));
	let limits = Limits { capacity: 4, ..Options::default().limits };
	let engine = GatedEngine::new(91, 0);
	let options = Options { limits, engine: engine.clone(), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	let [first, second, other] = [1, 2, 3].map(|channel| Gateway::new(&rig.url, channel));
	let mut running = Vec::new();
	for (gateway, sequence) in [(&first, 1), (&first, 2), (&second, 1)] {
		running.push(gateway.request(sequence, BODY).await.unwrap());
	}
	let (_, code, message) = second.request(2, BODY).await.err().unwrap();
	assert!(code == ErrorCode::Busy && message.contains("three quarters"), "{message}");
	running.push(other.request(1, BODY).await.unwrap());
	engine.allow(4 * 91);
	for completion in running {
		completion.finish().await;
	}
	rig.stop().await;
}

#[tokio::test]
async fn a_used_sequence_number_is_rejected_before_the_body_is_read() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let signed = gateway.sign(gateway.envelope(1, BODY));
	gateway.request_signed(&signed, BODY).await.unwrap().finish().await;
	assert_eq!(gateway.request_signed(&signed, "another body").await.err().unwrap().1, ErrorCode::Replayed);
	rig.stop().await;
}

#[tokio::test]
async fn a_voucher_that_adds_nothing_causes_no_write() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let receipt = gateway.request(1, BODY).await.unwrap().finish().await.1;
	let voucher = gateway.voucher(receipt.receipt.leaf().sum, &[receipt.receipt.envelope]);
	gateway.post("/v1/vouchers", &voucher).await.unwrap();
	// Nothing is written until this test ends a write of its own.
	let (end, ended) = mpsc::channel();
	let (begin, begun) = oneshot::channel();
	let store = rig.store.clone();
	let writing = tokio::spawn(async move {
		let write = store.write(Durability::Later, move |_| {
			let _ = (begin.send(()), ended.recv());
			Ok(())
		});
		write.await
	});
	begun.await.unwrap();
	for known in [voucher, gateway.voucher(Totals::default(), &[])] {
		let response = timeout(PATIENCE, gateway.post("/v1/vouchers", &known)).await;
		assert_eq!(response.unwrap().unwrap(), json!({}));
	}
	end.send(()).unwrap();
	let unknown = gateway.voucher(Totals::default(), &[[9; 32]]);
	assert!(gateway.post("/v1/vouchers", &unknown).await.is_err(), "it lists no receipt of this host");
	writing.await.unwrap().unwrap();
	rig.stop().await;
}
