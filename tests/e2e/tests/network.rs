//! Devnets on real processes: three nodes, three workers, one gateway.
//!
//! A network serves many steps, since an epoch takes 160 seconds. Each step is named after what it shows. The networks run at
//! the same time.

mod network {
	pub mod scenario;
}

use anyhow::{Result, ensure};
use gonka::devnet::{Config, Devnet, Engine, Parachain, Ports, find_or_build};
use gonka_e2e::{interruptible, network::Network, polkadotjs};
use network::scenario::Scenario;
use std::path::Path;

/// The devnet keeps its promises to developers, with the demo model.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_served_and_settled() -> Result<()> {
	interruptible(async {
		let mut scenario = Scenario::start(Engine::Llama, None).await?;
		scenario.the_first_completion_is_streamed().await?;
		scenario.memory_within_six_gigabytes()?;
		scenario.every_example_runs().await?;
		scenario.bad_requests_get_clear_errors().await?;
		scenario.bad_transactions_are_rejected().await?;
		let first = scenario.two_hundred_requests_settle_exactly().await?;
		scenario.held_fees_are_released(first).await?;
		scenario.gateway_killed_loses_and_doubles_nothing().await?;
		scenario.random_clients_lose_nothing(1).await?;
		scenario.stop().await;
		Ok(())
	})
	.await
}

/// As many requests as a client sends in a day that sends one every ten seconds; `GONKA_CLIENT_REQUESTS` overrides the number.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes hours: run by `make soak`"]
async fn a_day_of_random_clients_loses_nothing() -> Result<()> {
	interruptible(async {
		let requests = std::env::var("GONKA_CLIENT_REQUESTS").map_or(Ok(8640), |text| text.parse())?;
		let mut scenario = Scenario::start(Engine::Llama, None).await?;
		scenario.random_clients_lose_nothing(requests).await?;
		scenario.stop().await;
		Ok(())
	})
	.await
}

/// The devnet keeps its promises to hosts and validators, without a model.
#[tokio::test(flavor = "multi_thread")]
async fn compute_decides_over_weights_pay_and_finality() -> Result<()> {
	interruptible(async {
		let mut scenario = Scenario::start(Engine::Mock, None).await?;
		let withdrawn = scenario.collateral_is_deposited_and_withdrawn().await?;
		scenario.worker_killed_in_mid_sprint_resumes().await?;
		scenario.weights_follow_compute().await?;
		scenario.finality_follows_weights().await?;
		scenario.emission_follows_weights().await?;
		scenario.vested_rewards_are_paid().await?;
		scenario.withdrawn_collateral_is_released(withdrawn).await?;
		scenario.new_node_warp_syncs().await?;
		scenario.a_checkpoint_binds_new_nodes().await?;
		scenario.lightest_validator_down_finality_goes_on().await?;
		scenario.heaviest_validator_down_finality_waits().await?;
		scenario.stop().await;
		Ok(())
	})
	.await
}

/// The parachain keeps the promises that do not concern finality.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs polkadot-omni-node: run by `make para`"]
async fn the_parachain_weighs_pays_and_serves() -> Result<()> {
	interruptible(async {
		let mut scenario = Scenario::start(Engine::Llama, Some(Parachain::find_or_build(None)?)).await?;
		scenario.the_first_completion_is_streamed().await?;
		let withdrawn = scenario.collateral_is_deposited_and_withdrawn().await?;
		scenario.bad_transactions_are_rejected().await?;
		scenario.weights_follow_compute().await?;
		scenario.emission_follows_weights().await?;
		scenario.vested_rewards_are_paid().await?;
		let first = scenario.two_hundred_requests_settle_exactly().await?;
		scenario.held_fees_are_released(first).await?;
		scenario.withdrawn_collateral_is_released(withdrawn).await?;
		scenario.stop().await;
		Ok(())
	})
	.await
}

/// smoldot, a light client, follows a chain with one validator. docs/operators.md says why no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_light_client_follows_one_validator() -> Result<()> {
	interruptible(async {
		let node = find_or_build(Engine::Mock)?.node;
		let network = Network::start(&node, Path::new(env!("CARGO_TARGET_TMPDIR"))).await?;
		polkadotjs("light.cjs", network.url()).await?;
		network.stop();
		Ok(())
	})
	.await
}

/// A file that is no model is named before three nodes start.
#[tokio::test(flavor = "multi_thread")]
async fn a_devnet_looks_at_the_model_first() -> Result<()> {
	let folder = tempfile::tempdir()?;
	let page = folder.path().join("page.gguf");
	std::fs::write(&page, "<!DOCTYPE html><html>Sign in</html>")?;
	let base = folder.path().join("devnet");
	let usual = Config::new(base.clone(), find_or_build(Engine::Llama)?);
	let ports = Ports { any: true, ..Ports::default() };
	let error = Devnet::start(Config { ports, model: Some(page), ..usual }).await.err();
	let error = error.map_or_else(String::new, |error| format!("{error:#}"));
	ensure!(error.contains("a web page of 35 bytes"), "{error}");
	ensure!(!base.join("logs/node-alice.log").exists(), "a node was started");
	Ok(())
}
