//! Cheating does not pay, on real processes: one node and nine workers, six of which cheat, each in its own way.
//!
//! One network lives through all of it, since an epoch takes two minutes. What must hold in every epoch is looked at
//! in each; what depends on the draw is waited for.

mod hostile {
	pub mod epoch;
	pub mod steps;
}

use anyhow::{Result, ensure};
use gonka::devnet::{Engine, find_or_build};
use gonka_e2e::interruptible;
use hostile::steps::Scenario;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn cheating_does_not_pay() -> Result<()> {
	interruptible(async {
		let mut scenario = Scenario::start().await?;
		steps(&mut scenario).await?;
		scenario.stop();
		Ok(())
	})
	.await
}

/// `hostile-worker` is a program of its own.
#[test]
fn the_ordinary_worker_cannot_be_told_to_cheat() -> Result<()> {
	let worker = find_or_build(Engine::Mock)?.worker;
	for how in ["--hostile=fabricate", "fabricate"] {
		let output = Command::new(&worker).args([how, "--host", "5x", "--engine", "mock"]).output()?;
		ensure!(output.status.code() == Some(2), "it took {how}: {}", String::from_utf8_lossy(&output.stderr));
	}
	let help = Command::new(&worker).arg("--help").env("GONKA_HOSTILE", "fabricate").output()?;
	let help = String::from_utf8_lossy(&help.stdout).to_lowercase();
	ensure!(help.contains("--sprint-rate") && !help.contains("hostile"), "{help}");
	Ok(())
}

async fn steps(scenario: &mut Scenario) -> Result<()> {
	scenario.two_whole_epochs().await?;
	scenario.fabricator_is_convicted().await?;
	scenario.withholder_loses_segments_and_nothing_else().await?;
	scenario.copier_keeps_its_weight_and_loses_pay().await?;
	scenario.false_accuser_loses_and_the_accused_does_not().await?;
	scenario.burster_has_no_weight().await?;
	scenario.leaver_has_weight_and_no_pay().await?;
	scenario.honest_hosts_are_paid_by_compute().await?;
	scenario.an_epoch_takes_few_bytes().await
}
