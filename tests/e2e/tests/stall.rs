//! Finality while validators are gone, on real processes: three validators without workers, and a full node that always
//! runs and through which the tests look.

mod stall {
	pub mod scenario;
}

use anyhow::Result;
use gonka_e2e::interruptible;
use stall::scenario::Scenario;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a quarter of an hour: `make soak` runs it"]
async fn finality_goes_on_by_itself_after_validators_unplug() -> Result<()> {
	interruptible(async {
		let mut scenario = Scenario::start(&[1, 1, 1]).await?;
		scenario.one_of_three_unplugs_and_the_others_go_on().await?;
		scenario.clients_and_runtime_count_the_same_sets().await?;
		scenario.another_unplugs_and_the_last_goes_on().await?;
		scenario.both_come_back_and_follow().await?;
		scenario.a_new_node_syncs_across_the_forced_changes().await?;
		scenario.stop();
		Ok(())
	})
	.await
}

#[tokio::test(flavor = "multi_thread")]
async fn finality_never_halts_without_thirty_percent_of_the_power() -> Result<()> {
	interruptible(async {
		let mut scenario = Scenario::start(&[40, 30, 30]).await?;
		scenario.thirty_percent_are_gone_through_all_phases().await?;
		scenario.stop();
		Ok(())
	})
	.await
}
