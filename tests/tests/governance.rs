//! The promises of governance, on real processes: three nodes, three workers whose compute is 4 : 2 : 1, one gateway,
//! and voters who use polkadot.js and the command line.

mod voters;

use anyhow::Result;
use gonka_e2e::interruptible;
use voters::Voters;

#[tokio::test(flavor = "multi_thread")]
async fn one_unit_of_compute_one_vote() -> Result<()> {
	interruptible(all_of_it()).await
}

async fn all_of_it() -> Result<()> {
	let voters = Voters::start().await?;
	voters.the_referenda_page_finds_what_it_needs().await?;
	voters.polkadotjs_changes_a_parameter().await?;
	voters.the_runtime_is_upgraded_while_requests_are_served().await?;
	voters.an_equivocating_validator_is_punished().await?;
	voters.stop().await;
	Ok(())
}
