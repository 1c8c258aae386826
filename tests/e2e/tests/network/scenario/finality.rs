//! Finality while validators are down.

use super::*;

/// Maximum number of blocks by which finality lags while it works.
const LAG: u32 = 12;

impl Scenario {
	/// Finality goes on without the lightest validator, which has a seventh of the power.
	pub async fn lightest_validator_down_finality_goes_on(&mut self) -> Result<()> {
		step("the lightest validator is down: finality goes on");
		self.devnet.kill_9("node-charlie").await?;
		let from = self.node.height(true).await?;
		until("20 more finalized blocks", || async {
			let now = self.node.height(true).await?;
			ensure!(now >= from + 20, "finalized {now}, from {from}");
			println!("finalized {from} → {now}");
			Ok(())
		})
		.await?;
		self.blocks_of_a_stopped_node_start_another("charlie").await?;
		self.devnet.restart("node-charlie").await
	}

	/// Finality stops without the heaviest validator, which has more than a third of the power, until it is back.
	pub async fn heaviest_validator_down_finality_waits(&mut self) -> Result<()> {
		step("the heaviest validator is down: finality stalls, and resumes when it is back");
		let bob = Node::connect(self.devnet.urls().nodes.get(1).context("no second node")?).await?;
		let alice = account("//Alice")?;
		// A busy machine may have made its worker miss segments.
		until("Alice to have more than a third of the power, and Bob all blocks", || async {
			let validators = self.chain.validators().await?;
			let all: u64 = validators.iter().map(|(_, power)| power).sum();
			let own: u64 = validators.iter().filter(|(who, _)| *who == alice).map(|(_, power)| power).sum();
			ensure!(own.saturating_mul(3) > all, "{own} of {all}");
			let (ours, theirs) = (self.node.height(false).await?, bob.height(false).await?);
			ensure!(ours == theirs, "Alice is at block {ours}, Bob at {theirs}");
			Ok(())
		})
		.await?;
		self.devnet.kill_9("node-alice").await?;
		let (best, stalled) = (bob.height(false).await?, bob.height(true).await?);
		// Blocks that already had enough votes may still become final.
		let end = until("15 blocks by the others", || async {
			let now = bob.height(false).await?;
			ensure!(now >= best + 15, "block {now}, from {best}");
			Ok(now)
		})
		.await?;
		let finalized = bob.height(true).await?;
		println!("best {best} → {end}, finalized {stalled} → {finalized}");
		ensure!(finalized <= best + 1, "finality went on without two thirds of the power: {finalized}");
		self.devnet.restart("node-alice").await?;
		until("finality to resume", || async {
			let (best, finalized) = (bob.height(false).await?, bob.height(true).await?);
			ensure!(finalized > end && best <= finalized + LAG, "finalized {finalized} of {best}");
			println!("finalized {finalized} of {best}");
			Ok(())
		})
		.await
	}
}
