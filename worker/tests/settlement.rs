//! Settlements, with the worker stopped at every step.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::{keys, peer_http::Addresses};
use gonka_primitives::{
	BlockNumber,
	audit::{AuditQuery, Breach, Pick},
	market::{SignedReceipt, Totals, settling_offset},
	merkle_sum,
	views::{AssignedAuditsView, AuditView},
};
use gonka_worker::{
	audit::run::{Audit, verify},
	chain::ChainApi,
	peer::PeerClient,
	store::{
		Durability, evidence, market, seen,
		settlements::{self, SettlementState},
	},
};

/// The block at which the host settles window 10.
const FIRST: BlockNumber = 111;

fn root(receipts: &[&SignedReceipt]) -> merkle_sum::SumNode<Totals> {
	merkle_sum::root(&receipts.iter().map(|signed| signed.receipt.leaf()).collect::<Vec<_>>()).unwrap()
}

/// Waits until so many settlements are on chain.
async fn settled(chain: &FakeChain, count: usize) {
	eventually(async || {
		chain.announce_again();
		chain.with(|state| state.settlements.len()) == count
	})
	.await;
}

#[tokio::test]
async fn windows_are_settled_with_exact_sums() {
	assert_eq!(110 + settling_offset(&host(), 10), FIRST);
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (one, two) = (Gateway::new(&rig.url, 1), Gateway::new(&rig.url, 2));
	let (mut first, mut second) = (Totals::default(), Totals::default());
	let b = two.serve_and_pay(1, 2, &mut second).await;
	let a = one.serve_and_pay(1, 3, &mut first).await;
	// A receipt without a voucher is not settled.
	one.request(4, BODY).await.unwrap().finish().await;
	rig.block(110).await;
	rig.block(FIRST).await;
	settled(&chain, 1).await;
	assert_eq!(chain.with(|state| state.sent[0].2), FIRST, "other hosts come first");
	let settlement = chain.with(|state| state.settlements[0].clone());
	assert_eq!(settlement.window, 10);
	assert_eq!(settlement.root, root(&a.iter().chain(&b).collect::<Vec<_>>()));
	assert_eq!((chain.settled(1), chain.settled(2)), (first, second));
	let c = one.serve_and_pay(5, 1, &mut first).await;
	rig.block(FIRST + 10).await;
	settled(&chain, 2).await;
	assert_eq!(chain.with(|state| (state.settlements[1].window, state.settlements[1].root)), (11, root(&[&c[0]])));
	assert_eq!(chain.settled(1), first);
	assert_eq!(chain.with(|state| state.settlements.len()), 2);
	rig.stop().await;
}

#[tokio::test]
async fn settled_receipts_have_evidence_after_a_restart() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
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
	let audit =
		|(index, pick)| AuditView { index, host: host(), url: url.clone(), window, root, model: 3, pick, done: false };
	let audits: Vec<_> = (0..).zip(picks).map(audit).collect();
	chain.with(|state| {
		state.others.push(registered(peer, peer, ""));
		state.audits.push((peer, AssignedAuditsView { window: window + 1, deadline: 139, audits: audits.clone() }));
	});
	rig.block(112).await;
	let client = PeerClient::new(GENESIS, peer, key("//Peer"), TIMEOUTS, Addresses::Any).unwrap();
	let worker = keys::public(&key("//Worker"));
	for view in audits {
		let query = AuditQuery { checker: peer, host: host(), window, pick: view.pick };
		let shown = client.evidence(query, rig.url.as_bytes(), &worker).await.unwrap();
		let channel = channel(shown.envelope.envelope.channel);
		let audit = Audit { host: host(), model: 3, window, root, pick: view.pick };
		assert_eq!(verify(&GENESIS, &audit, Some(&channel), &shown), Ok(()));
		let other = Audit { pick: Pick::Receipt(9), ..audit };
		assert_eq!(verify(&GENESIS, &other, Some(&channel), &shown), Err(Breach::Proof));
	}
	rig.stop().await;
}

#[tokio::test]
async fn vouchers_beyond_the_maximum_wait_for_the_next_window() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.market.max_vouchers = 1);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (mut first, mut second) = (Totals::default(), Totals::default());
	Gateway::new(&rig.url, 1).serve_and_pay(1, 1, &mut first).await;
	Gateway::new(&rig.url, 2).serve_and_pay(1, 2, &mut second).await;
	rig.block(FIRST).await;
	settled(&chain, 1).await;
	assert_eq!((chain.settled(1), chain.settled(2)), (Totals::default(), second), "the larger one comes first");
	rig.block(112).await;
	rig.block(FIRST + 10).await;
	settled(&chain, 2).await;
	assert_eq!(chain.settled(1), first);
	rig.stop().await;
}

#[tokio::test]
async fn the_same_bytes_are_sent_until_they_are_included() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.reject = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut totals = Totals::default();
	Gateway::new(&rig.url, 1).serve_and_pay(1, 2, &mut totals).await;
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| !state.sent.is_empty())).await;
	// The worker crashes after signing. The next voucher comes too late for this window.
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let before = chain.with(|state| state.sent.len());
	eventually(async || {
		chain.announce_again();
		chain.with(|state| state.sent.len()) > before
	})
	.await;
	let settled_by_first = totals;
	Gateway::new(&rig.url, 1).serve_and_pay(3, 1, &mut totals).await;
	chain.with(|state| state.reject = false);
	rig.block(112).await;
	settled(&chain, 1).await;
	chain.with(|state| assert!(state.sent.iter().all(|sent| (&sent.0, sent.1) == (&state.sent[0].0, state.sent[0].1))));
	assert_eq!(chain.settled(1), settled_by_first);
	rig.block(113).await;
	rig.block(FIRST + 10).await;
	settled(&chain, 2).await;
	assert_eq!(chain.settled(1), totals);
	rig.stop().await;
}

#[tokio::test]
async fn a_settlement_whose_response_was_lost_is_found_on_chain() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.lose_responses = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut totals = Totals::default();
	Gateway::new(&rig.url, 1).serve_and_pay(1, 2, &mut totals).await;
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| state.settlements.len()) == 1).await;
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	eventually(async || {
		chain.announce_again();
		let latest = rig.store.read(settlements::latest).unwrap().unwrap();
		latest.state == SettlementState::Included
	})
	.await;
	assert_eq!(chain.with(|state| (state.sent.len(), state.settlements.len())), (1, 1), "nothing is sent twice");
	rig.stop().await;
}

#[tokio::test]
async fn a_closed_channel_does_not_hold_up_the_others() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.reject = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (mut first, mut second) = (Totals::default(), Totals::default());
	Gateway::new(&rig.url, 1).serve_and_pay(1, 1, &mut first).await;
	Gateway::new(&rig.url, 2).serve_and_pay(1, 1, &mut second).await;
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| !state.sent.is_empty())).await;
	chain.with(|state| {
		state.channels.remove(0);
		state.reject = false;
	});
	rig.block(112).await;
	settled(&chain, 1).await;
	assert_eq!(chain.settled(2), second);
	rig.stop().await;
}

#[tokio::test]
async fn receipts_that_do_not_pay_for_a_settlement_are_settled_with_later_ones() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let mut totals = Totals::default();
	gateway.serve_and_pay(1, 2, &mut totals).await;
	chain.with(|state| state.least_fee = totals.fee + 1);
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| !state.sent.is_empty())).await;
	// Nothing changes within the window, so nothing is sent again.
	for block in FIRST + 1..119 {
		rig.block(block).await;
	}
	assert_eq!(chain.with(|state| state.sent.len()), 1);
	gateway.serve_and_pay(3, 1, &mut totals).await;
	rig.block(119).await;
	rig.block(FIRST + 10).await;
	settled(&chain, 1).await;
	assert_eq!(chain.settled(1), totals, "both windows in one settlement");
	assert_eq!(chain.with(|state| state.settlements[0].window), 11);
	rig.stop().await;
}

#[tokio::test]
async fn a_worker_that_was_down_for_hours_settles_everything_in_the_last_window() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.reject = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut totals = Totals::default();
	Gateway::new(&rig.url, 1).serve_and_pay(1, 2, &mut totals).await;
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| !state.sent.is_empty())).await;
	rig.stop().await;
	chain.with(|state| state.reject = false);
	chain.block(FIRST + 100);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	settled(&chain, 1).await;
	assert_eq!((chain.with(|state| state.settlements[0].window), chain.settled(1)), (20, totals));
	rig.stop().await;
}

/// A developer may time its withdrawal into the block of the settlement.
#[tokio::test]
async fn a_settlement_is_found_by_the_channels_that_are_left() {
	for (gone, state) in [(1, SettlementState::Included), (2, SettlementState::Abandoned)] {
		let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
		chain.with(|state| state.lose_responses = true);
		let rig = Rig::start(&chain, directory.path(), Options::default()).await;
		let (mut first, mut second) = (Totals::default(), Totals::default());
		Gateway::new(&rig.url, 1).serve_and_pay(1, 1, &mut first).await;
		Gateway::new(&rig.url, 2).serve_and_pay(1, 1, &mut second).await;
		rig.block(FIRST).await;
		eventually(async || chain.with(|state| state.settlements.len()) == 1).await;
		chain.with(|state| drop(state.channels.drain(..gone)));
		rig.block(112).await;
		let latest = || rig.store.read(settlements::latest).unwrap().unwrap();
		eventually(async || {
			chain.announce_again();
			latest().state != SettlementState::Pending
		})
		.await;
		assert_eq!((latest().settlement.window, latest().state), (10, state), "{gone} withdrawn");
		let tree = rig.store.read(|tx| evidence::tree(tx, 10)).unwrap().unwrap();
		assert_eq!(tree.leaves.len(), 2);
		rig.stop().await;
	}
}

/// It stays in the transaction pool, whatever the node answered.
#[tokio::test]
async fn a_settlement_that_was_given_up_may_be_included_nevertheless() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.reject = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (mut first, mut second) = (Totals::default(), Totals::default());
	Gateway::new(&rig.url, 1).serve_and_pay(1, 1, &mut first).await;
	let two = Gateway::new(&rig.url, 2);
	two.serve_and_pay(1, 1, &mut second).await;
	rig.block(FIRST).await;
	let sent = |window| chain.with(|state| state.sent.iter().any(|sent| sent.0.window == window));
	eventually(async || sent(10)).await;
	two.serve_and_pay(2, 1, &mut second).await;
	rig.block(FIRST + 10).await;
	eventually(async || sent(11)).await;
	let (settlement, signature) = chain.with(|state| {
		state.reject = false;
		(state.sent[0].0.clone(), state.sent[0].1)
	});
	chain.submit_settlement(settlement, signature).await.unwrap();
	rig.block(FIRST + 11).await;
	// The rest follows in the next window, and both have their trees.
	settled(&chain, 2).await;
	assert_eq!((chain.settled(1), chain.settled(2)), (first, second));
	assert_eq!(chain.with(|state| state.settlements[1].window), 11);
	let leaves = [10, 11].map(|window| rig.store.read(|tx| evidence::tree(tx, window)).unwrap().unwrap().leaves.len());
	assert_eq!(leaves, [2, 1]);
	rig.stop().await;
}

#[tokio::test]
async fn nothing_is_deleted_while_the_node_is_behind() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.reject = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (mut first, mut second) = (Totals::default(), Totals::default());
	Gateway::new(&rig.url, 1).serve_and_pay(1, 2, &mut first).await;
	Gateway::new(&rig.url, 2).serve_and_pay(1, 1, &mut second).await;
	rig.block(FIRST).await;
	eventually(async || chain.with(|state| !state.sent.is_empty())).await;
	eventually(async || rig.store.read(|tx| seen::is_behind(tx, FIRST - 1)).unwrap()).await;
	rig.store.write(Durability::Now, |_| Ok(())).await.unwrap();
	rig.stop().await;
	// The node is replaced: at its best block there is no channel, epoch after epoch.
	let channels = chain.with(|state| std::mem::take(&mut state.channels));
	for (epoch, block) in [(3, 100), (4, 101), (5, 102)] {
		chain.with(|state| state.epoch.index = epoch);
		chain.block(block);
		let rig = Rig::start(&chain, directory.path(), Options::default()).await;
		chain.step_finished(|reads| reads.claims).await;
		assert_eq!(rig.store.read(market::channels).unwrap(), [1, 2]);
		assert_eq!(rig.store.read(settlements::latest).unwrap().unwrap().state, SettlementState::Pending);
		rig.stop().await;
	}
	chain.with(|state| {
		state.channels = channels;
		state.reject = false;
	});
	chain.block(112);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	settled(&chain, 1).await;
	assert_eq!((chain.settled(1), chain.settled(2)), (first, second));
	rig.stop().await;
}

#[tokio::test]
async fn a_withdrawn_channel_is_deleted_when_it_is_still_absent_an_epoch_later() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut totals = Totals::default();
	Gateway::new(&rig.url, 1).serve_and_pay(1, 1, &mut totals).await;
	let channels = || rig.store.read(market::channels).unwrap();
	chain.with(|state| {
		state.channels.remove(0);
		state.epoch.index = 6;
	});
	rig.block(101).await;
	chain.step_finished(|reads| reads.claims).await;
	assert_eq!(channels(), [1]);
	eventually(async || {
		chain.with(|state| state.epoch.index += 1);
		chain.announce_again();
		channels().is_empty()
	})
	.await;
	rig.stop().await;
}
