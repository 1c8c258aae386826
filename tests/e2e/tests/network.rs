//! The devnet on real processes: three nodes, three workers with the demo model, one gateway.
//!
//! One network serves all steps, since an epoch takes 160 seconds. Each step is named after what it shows.

mod network {
	pub mod scenario;
}

use anyhow::Result;
use gonka_e2e::interruptible;
use network::scenario::Scenario;

#[tokio::test(flavor = "multi_thread")]
async fn the_devnet_keeps_its_promises() -> Result<()> {
	interruptible(steps()).await
}

async fn steps() -> Result<()> {
	let mut scenario = Scenario::start().await?;
	scenario.the_first_completion_is_streamed().await?;
	scenario.memory_within_six_gigabytes()?;
	scenario.every_example_runs().await?;
	scenario.bad_requests_get_clear_errors().await?;
	scenario.bad_transactions_are_rejected().await?;
	let withdrawn = scenario.collateral_is_deposited_and_withdrawn().await?;
	scenario.worker_killed_in_mid_sprint_resumes().await?;
	let first = scenario.two_hundred_requests_settle_exactly().await?;
	scenario.held_fees_are_released(first).await?;
	scenario.gateway_killed_loses_and_doubles_nothing().await?;
	scenario.weights_follow_compute().await?;
	scenario.emission_follows_weights().await?;
	scenario.vested_rewards_are_paid().await?;
	scenario.withdrawn_collateral_is_released(withdrawn).await?;
	scenario.new_node_warp_syncs().await?;
	scenario.lightest_validator_down_finality_goes_on().await?;
	scenario.heaviest_validator_down_finality_waits().await?;
	scenario.stop().await;
	Ok(())
}
