//! A worker that answers with something cheaper than the model.
#![cfg(feature = "hostile")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::sampling::{Outcome, Pick};
use gonka_worker::{
	hostile::{self, Kind},
	store::{Durability, evidence, market},
};

#[tokio::test]
async fn cheap_answers_are_served_settled_and_convicted() {
	hostile::set(Kind::Cheapen);
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let shower = Shower::start_with(&chain, directory.path(), hostile::engine(engine(), None)).await;
	// What it serves over HTTP, as it keeps it.
	let gateway = Gateway::new(&shower.url, CHANNEL);
	let mut answers = Vec::new();
	for sequence in 1..=8 {
		let (ids, _, signed) = gateway.ask(sequence, BODY).await.unwrap().finish().await;
		let envelope = signed.receipt.envelope;
		let kept = shower.store.read(|tx| evidence::get(tx, &envelope)).unwrap().unwrap();
		assert_eq!((&kept.output, &kept.receipt), (&ids, &signed));
		answers.push(kept);
		// It is paid for, so that the next may come.
		let channel = chain.with(|state| state.channels.iter().find(|channel| channel.id == CHANNEL).unwrap().clone());
		let known = shower.store.read(|tx| market::channel(tx, CHANNEL)).unwrap().unwrap();
		let totals = known.acknowledged.checked_add(&signed.receipt.leaf().sum).unwrap();
		let voucher = gateway.voucher(totals, &[envelope]).voucher.0;
		let taken =
			shower.store.write(Durability::Now, move |tx| market::acknowledge(tx, &channel, &voucher, &[envelope]));
		assert_eq!(taken.await.unwrap(), Ok(1));
	}
	let root = shower.settle(answers).await;
	let case = case(&shower, root, vec![host()], vec![Pick::Receipt(2)]);
	chain.with(|state| state.cases = vec![case]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut block = 121;
	while chain.with(|state| state.rulings.is_empty()) {
		assert!(block < 160, "before the deadline");
		rig.block(block).await;
		block += 1;
	}
	rig.stop().await;
	assert_eq!(chain.with(|state| state.cases[0].arbiters[0].1), Some(Outcome::Guilty));
}
