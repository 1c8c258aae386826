//! Governance on real processes: three nodes, three workers whose compute is 4 : 2 : 1, a gateway, and voters who use
//! polkadot.js and the command line.

mod governance {
	pub mod scenario;
}

use anyhow::Result;
use gonka::devnet::Parachain;
use gonka_e2e::interruptible;
use governance::scenario::Scenario;

#[tokio::test(flavor = "multi_thread")]
async fn hosts_vote_with_their_weight_and_the_network_follows() -> Result<()> {
	interruptible(steps()).await
}

/// Voters of the parachain change it, too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs polkadot-omni-node: run by `make para`"]
async fn hosts_vote_with_their_weight_on_the_parachain() -> Result<()> {
	interruptible(async {
		let scenario = Scenario::start(Some(Parachain::find_or_build(None)?)).await?;
		scenario.the_referenda_page_finds_what_it_needs().await?;
		scenario.polkadotjs_changes_a_parameter().await?;
		scenario.stop().await;
		Ok(())
	})
	.await
}

async fn steps() -> Result<()> {
	let scenario = Scenario::start(None).await?;
	scenario.the_referenda_page_finds_what_it_needs().await?;
	scenario.offline_signers_know_what_they_sign().await?;
	scenario.polkadotjs_changes_a_parameter().await?;
	scenario.the_runtime_is_upgraded_while_requests_are_served().await?;
	scenario.an_equivocating_validator_is_punished().await?;
	scenario.stop().await;
	Ok(())
}
