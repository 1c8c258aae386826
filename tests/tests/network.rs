//! The promises of the devnet, on real processes: three nodes, three workers with a real model, one gateway.
//!
//! One network lives through all of it, since an epoch takes two minutes. Each step is named after what it shows.

mod scenario;

use anyhow::Result;
use gonka_e2e::interruptible;
use scenario::Scenario;

#[tokio::test(flavor = "multi_thread")]
async fn a_network_from_one_command() -> Result<()> {
	interruptible(all_of_it()).await
}

async fn all_of_it() -> Result<()> {
	let mut scenario = Scenario::start().await?;
	scenario.first_token_within_a_minute().await?;
	scenario.memory_within_six_gigabytes()?;
	scenario.bad_requests_get_clear_errors().await?;
	scenario.bad_transactions_are_refused().await?;
	let release = scenario.collateral_is_pledged_and_withdrawn().await?;
	scenario.worker_killed_in_mid_sprint_resumes().await?;
	let first = scenario.two_hundred_requests_settle_exactly().await?;
	scenario.held_fees_are_released(first).await?;
	scenario.gateway_killed_loses_and_doubles_nothing().await?;
	scenario.weights_follow_compute().await?;
	scenario.emission_follows_weights().await?;
	scenario.vested_rewards_are_paid().await?;
	scenario.withdrawn_collateral_is_released(release).await?;
	scenario.new_node_warp_syncs().await?;
	scenario.lightest_validator_down_finality_goes_on().await?;
	scenario.heaviest_validator_down_finality_waits().await?;
	scenario.stop().await;
	Ok(())
}
