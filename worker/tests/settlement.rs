//! From vouchers to the chain, with the worker stopped at every step.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::keys;
use gonka_primitives::{
	BlockNumber,
	market::{SignedReceipt, Totals, settling_offset},
	merkle_sum,
	sampling::{Breach, Pick, SampleQuery},
	views::{HostView, SampleView, SamplesView},
};
use gonka_worker::{
	check::fetch::Fetcher,
	sampling::look::{Sample, verify},
};

/// The block at which the host settles window 10.
const FIRST: BlockNumber = 111;

fn root(receipts: &[&SignedReceipt]) -> merkle_sum::SumNode<Totals> {
	merkle_sum::root(&receipts.iter().map(|signed| signed.receipt.leaf()).collect::<Vec<_>>()).unwrap()
}

async fn settled(chain: &FakeChain, count: usize) {
	eventually(async || chain.with(|state| state.settlements.len()) == count).await;
}

#[tokio::test]
async fn windows_are_settled_with_exact_sums() {
	assert_eq!(110 + settling_offset(&host(), 10), FIRST);
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	// Its turn to settle window 9 is over before anything is due.
	rig.block(FIRST - 10).await;
	let (one, two) = (Gateway::new(&rig.url, 1), Gateway::new(&rig.url, 2));
	let (mut first, mut second) = (Totals::default(), Totals::default());
	let b = two.serve_and_pay(1, 2, &mut second).await;
	let a = one.serve_and_pay(1, 3, &mut first).await;
	// Not acknowledged: not settled.
	one.ask(4, BODY).await.unwrap().finish().await;
	rig.block(109).await;
	assert_eq!(chain.with(|state| state.sent.len()), 0, "window 10 has not ended");
	rig.block(110).await;
	assert_eq!(chain.with(|state| state.sent.len()), 0, "other hosts come first");
	rig.block(FIRST).await;
	settled(&chain, 1).await;
	let settlement = chain.with(|state| state.settlements[0].clone());
	assert_eq!(settlement.window, 10);
	assert_eq!(settlement.root, root(&a.iter().chain(&b).collect::<Vec<_>>()));
	assert_eq!((chain.settled(1), chain.settled(2)), (first, second));
	// Nothing is due: nothing is sent.
	rig.block(120).await;
	rig.block(FIRST + 10).await;
	let c = one.serve_and_pay(5, 1, &mut first).await;
	rig.block(FIRST + 20).await;
	settled(&chain, 2).await;
	assert_eq!(chain.with(|state| (state.settlements[1].window, state.settlements[1].root)), (12, root(&[&c[0]])));
	assert_eq!(chain.settled(1), first);
	rig.stop().await;
}

#[tokio::test]
async fn what_was_settled_can_be_shown_after_a_restart() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(FIRST - 10).await;
	let (mut first, mut second) = (Totals::default(), Totals::default());
	Gateway::new(&rig.url, 1).serve_and_pay(1, 3, &mut first).await;
	Gateway::new(&rig.url, 2).serve_and_pay(1, 2, &mut second).await;
	rig.block(FIRST).await;
	settled(&chain, 1).await;
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (peer, settlement) = (keys::public(&key("//Peer")), chain.with(|state| state.settlements[0].clone()));
	let (root, window) = (settlement.root, settlement.window);
	let picks = (0..5).map(Pick::Receipt).chain([0, root.sum.work - 1].map(Pick::Work));
	let url = rig.url.clone().into_bytes();
	let sample =
		|(index, pick)| SampleView { index, host: host(), url: url.clone(), window, root, model: 3, pick, done: false };
	let samples: Vec<_> = (0..).zip(picks).map(sample).collect();
	chain.with(|state| {
		let (url, models) = (Vec::new(), Vec::new());
		state.others.push(HostView {
			account: peer,
			worker: peer,
			url,
			models,
			registered: 0,
			weight: 1,
			condemned: false,
		});
		state.samples.push((peer, SamplesView { window: window + 1, deadline: 139, samples: samples.clone() }));
	});
	rig.block(112).await;
	let (fetcher, worker) = (Fetcher::new(GENESIS, peer, key("//Peer")).unwrap(), keys::public(&key("//Worker")));
	for view in samples {
		let query = SampleQuery { checker: peer, host: host(), window, pick: view.pick };
		let shown = fetcher.evidence(query, rig.url.as_bytes(), &worker).await.unwrap();
		let channel = channel(shown.envelope.envelope.channel);
		let sample = Sample { host: host(), model: 3, window, root, pick: view.pick };
		assert_eq!(verify(&GENESIS, &sample, Some(&channel), &shown), Ok(()));
		let other = Sample { pick: Pick::Receipt(9), ..sample };
		assert_eq!(verify(&GENESIS, &other, Some(&channel), &shown), Err(Breach::Proof));
	}
	rig.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_waits_for_the_next_window() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.market.max_vouchers = 1);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (mut first, mut second) = (Totals::default(), Totals::default());
	Gateway::new(&rig.url, 1).serve_and_pay(1, 1, &mut first).await;
	Gateway::new(&rig.url, 2).serve_and_pay(1, 2, &mut second).await;
	rig.block(FIRST).await;
	settled(&chain, 1).await;
	assert_eq!((chain.settled(1), chain.settled(2)), (Totals::default(), second), "the larger first");
	rig.block(112).await;
	rig.block(FIRST + 10).await;
	settled(&chain, 2).await;
	assert_eq!(chain.settled(1), first);
	rig.stop().await;
}

#[tokio::test]
async fn the_same_bytes_are_sent_until_they_are_taken() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.refuse = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut totals = Totals::default();
	Gateway::new(&rig.url, 1).serve_and_pay(1, 2, &mut totals).await;
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| state.sent.len()) == 1).await;
	// A crash after signing, and a voucher that comes too late for this window.
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	eventually(async || chain.with(|state| state.sent.len()) >= 2).await;
	let settled_by_first = totals;
	Gateway::new(&rig.url, 1).serve_and_pay(3, 1, &mut totals).await;
	chain.with(|state| state.refuse = false);
	rig.block(112).await;
	settled(&chain, 1).await;
	chain.with(|state| assert!(state.sent.iter().all(|sent| *sent == state.sent[0])));
	assert_eq!(chain.settled(1), settled_by_first);
	rig.block(113).await;
	rig.block(FIRST + 10).await;
	settled(&chain, 2).await;
	assert_eq!(chain.settled(1), totals);
	rig.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_read_off_the_chain() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.lie = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut totals = Totals::default();
	Gateway::new(&rig.url, 1).serve_and_pay(1, 2, &mut totals).await;
	rig.block(FIRST).await;
	settled(&chain, 1).await;
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	for block in 112..=121 {
		rig.block(block).await;
	}
	assert_eq!(chain.with(|state| (state.sent.len(), state.settlements.len())), (1, 1), "nothing is sent twice");
	rig.stop().await;
}

#[tokio::test]
async fn a_closed_channel_does_not_hold_up_the_others() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.refuse = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (mut first, mut second) = (Totals::default(), Totals::default());
	Gateway::new(&rig.url, 1).serve_and_pay(1, 1, &mut first).await;
	Gateway::new(&rig.url, 2).serve_and_pay(1, 1, &mut second).await;
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| state.sent.len()) == 1).await;
	chain.with(|state| {
		state.channels.remove(0);
		state.refuse = false;
	});
	rig.block(112).await;
	settled(&chain, 1).await;
	assert_eq!(chain.settled(2), second);
	rig.stop().await;
}
