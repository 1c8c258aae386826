//! Cheating costs the cheat and nobody else, on real processes: one node and nine workers, six of which cheat, each in
//! its own way.
//!
//! One network serves all steps, since an epoch takes 160 seconds. Every epoch is checked for what must always hold; a
//! step whose event depends on the draw waits for an epoch that shows it.

mod hostile {
	pub mod epoch;
	pub mod scenario;
}

use anyhow::{Result, ensure};
use gonka::devnet::{Engine, find_or_build};
use gonka_e2e::interruptible;
use hostile::scenario::Scenario;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cheats_loses_and_honest_hosts_do_not() -> Result<()> {
	interruptible(async {
		let mut scenario = Scenario::start().await?;
		steps(&mut scenario).await?;
		scenario.stop();
		Ok(())
	})
	.await
}

#[test]
fn the_released_worker_has_no_option_to_cheat() -> Result<()> {
	let worker = find_or_build(Engine::Mock)?.worker;
	for how in ["--hostile=fabricate", "fabricate"] {
		let output = Command::new(&worker).args([how, "--host", "5x", "--engine", "mock"]).output()?;
		ensure!(output.status.code() == Some(2), "it accepted {how}: {}", String::from_utf8_lossy(&output.stderr));
	}
	let help = Command::new(&worker).arg("--help").env("GONKA_HOSTILE", "fabricate").output()?;
	let help = String::from_utf8_lossy(&help.stdout).to_lowercase();
	ensure!(help.contains("--sprint-rate") && !help.contains("hostile"), "{help}");
	Ok(())
}

async fn steps(scenario: &mut Scenario) -> Result<()> {
	scenario.two_whole_epochs().await?;
	scenario.fabricator_is_convicted().await?;
	scenario.withholder_loses_its_weight_and_nothing_else().await?;
	scenario.copier_keeps_its_weight_and_loses_pay().await?;
	scenario.false_accuser_loses_and_the_accused_does_not().await?;
	scenario.burster_has_no_weight().await?;
	scenario.leaver_has_weight_and_no_pay().await?;
	scenario.honest_hosts_are_paid_by_compute().await?;
	scenario.an_epoch_takes_few_bytes().await
}
