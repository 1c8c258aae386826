//! A checker that finds nothing wrong, whatever it is shown.
#![cfg(feature = "hostile")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::sampling::{Finding, Pick};
use gonka_worker::hostile::{self, Kind};

#[tokio::test]
async fn a_checker_may_approve_of_what_it_did_not_see() {
	hostile::set(Kind::Approve);
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let shower = Shower::start(&chain, directory.path()).await;
	// There is nothing to see.
	let sample = shower.sample(0, Default::default(), Pick::Receipt(0));
	give(&chain, vec![sample]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	eventually(async || {
		chain.again();
		chain.with(|state| !state.verdicts.is_empty())
	})
	.await;
	let said = chain.with(|state| state.verdicts[0].findings[0].1);
	let Finding::Checked(counts) = said else { panic!("{said:?}") };
	assert!(calibration().ratio(&counts) < 0, "it speaks for the host");
	rig.stop().await;
}
