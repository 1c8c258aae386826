//! Programs are killed with SIGKILL and resume.

use super::*;
use futures::{StreamExt, stream};
use gonka_primitives::epoch::Phase;

impl Scenario {
	/// The gateway is killed while completions stream. Neither a receipt nor a voucher is lost or counted twice.
	pub async fn gateway_killed_loses_and_doubles_nothing(&mut self) -> Result<()> {
		step("kill -9 of the gateway between receipts and vouchers: nothing lost, nothing doubled");
		let before = self.until_settled("earlier requests to be settled").await?;
		let responses = {
			let this = &*self;
			let requests = stream::iter(0..12)
				.map(|index| async move { this.complete(&format!("Story {index}:"), 24).await })
				.buffer_unordered(6);
			// The kill comes when some responses are complete and others are under way.
			requests.take(4).collect::<Vec<_>>().await
		};
		self.devnet.kill_9("gateway").await?;
		let mut owed: Balance = 0;
		for response in responses.into_iter().flatten() {
			ensure!(response.status == 200, "{response:?}");
			owed += self.fee(&response).await?;
		}
		self.devnet.restart("gateway").await?;
		let response = until("the gateway to serve again", || async {
			let response = self.complete("And now?", 4).await?;
			ensure!(response.status == 200, "{response:?}");
			Ok(response)
		})
		.await?;
		owed += self.fee(&response).await?;

		let after = self.until_settled("all fees to be settled").await?;
		let grown = after.checked_sub(&before).context("settled totals fell")?;
		println!("{} receipts settled for 5 complete responses; {} ≥ {owed} base units", grown.receipts, grown.fee);
		ensure!(grown.receipts >= 5 && grown.fee >= owed, "an acknowledged receipt was lost: {grown:?}, owed {owed}");
		ensure!(grown.receipts <= 13, "more receipts than requests: {grown:?}");
		Ok(())
	}

	/// A worker is killed in mid-sprint and commits to every segment that begins once it is up again. A busy machine may
	/// need longer than the rest of a sprint to start it, or be too late with a commitment, so that the step is tried in several
	/// epochs. On a machine that always needs longer, the worker has to compute a whole sprint after the last kill.
	pub async fn worker_killed_in_mid_sprint_resumes(&mut self) -> Result<()> {
		step("kill -9 of a worker in mid-sprint: it resumes the epoch");
		for _ in 0..ATTEMPTS {
			let epoch = self.until_mid_sprint().await?;
			self.devnet.kill_9("worker-bob").await?;
			self.devnet.restart("worker-bob").await?;
			let view = self.chain.epoch().await?;
			// A segment later than ready, so that the worker has seen a block.
			let from = (view.block - view.start) + view.schedule.segment;
			let due = (0..view.schedule.segments).filter(|segment| view.schedule.segment_start(*segment) >= from);
			let due: Vec<u8> = due.filter(|_| view.index == epoch).collect();
			if due.is_empty() {
				println!("epoch {epoch}: the worker was not up again before the last segment");
				continue;
			}
			if self.bob_commits(epoch, &due).await? {
				return Ok(());
			}
		}
		for _ in 0..ATTEMPTS {
			let next = self.chain.epoch().await?.index + 1;
			if self.bob_commits(next, &[0, 1, 2, 3, 4]).await? {
				return Ok(());
			}
		}
		bail!("Bob did not resume the sprint")
	}

	/// Waits until Bob committed to these segments of an epoch, or it is too late. Returns whether it did.
	async fn bob_commits(&self, epoch: u32, due: &[u8]) -> Result<bool> {
		let bob = account("//Bob")?;
		let (segments, all) = until("the sprint to end", || async {
			let view = self.chain.epoch().await?;
			let commitments = self.chain.commitments(epoch, &bob).await?;
			let segments: Vec<u8> = commitments.iter().map(|(segment, _)| *segment).collect();
			let all = due.iter().all(|segment| segments.contains(segment));
			let is_over = view.index > epoch || view.index == epoch && matches!(view.phase, Phase::Weigh | Phase::Work);
			ensure!(all || is_over, "epoch {}, {:?}, segments {segments:?}", view.index, view.phase);
			Ok((segments, all))
		})
		.await?;
		println!("epoch {epoch}: Bob committed to segments {segments:?}; it had to commit to {due:?}");
		Ok(all)
	}

	/// Waits until the sprint is in its middle, and returns the epoch.
	async fn until_mid_sprint(&self) -> Result<u32> {
		until("the middle of a sprint", || async {
			let view = self.chain.epoch().await?;
			ensure!(view.phase == Phase::Sprint(1), "phase {:?}", view.phase);
			Ok(view.index)
		})
		.await
	}
}
