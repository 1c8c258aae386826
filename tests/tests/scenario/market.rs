//! Requests, receipts, vouchers, settlements.

use super::*;
use futures::{StreamExt, TryStreamExt, stream};
use gonka_e2e::blocks::settlements;
use gonka_primitives::epoch::Phase;
use std::collections::BTreeMap;

/// Requests of the big step.
const REQUESTS: u32 = 200;
/// Requests that are under way at the same time.
const CONCURRENT: usize = 8;

impl Scenario {
	/// 200 requests by one developer; the first block that settled some.
	pub async fn two_hundred_requests_settle_exactly(&mut self) -> Result<u32> {
		step("200 requests: one settlement per host and window, fees equal to the base unit");
		let before = self.until_settled("what was asked before to be settled").await?;
		// The best block itself may have settled what was asked before.
		let first = self.chain.best().await?.number + 1;
		let start = Instant::now();
		let this = &*self;
		let fees: Vec<Balance> = stream::iter(0..REQUESTS)
			.map(|index| async move {
				let answer = this.complete(&format!("Fact {index}:"), 4).await?;
				ensure!(answer.status == 200, "request {index}: {answer:?}");
				this.fee(&answer).await
			})
			.buffer_unordered(CONCURRENT)
			.try_collect()
			.await?;
		println!("{REQUESTS} requests in {:.1} s", start.elapsed().as_secs_f32());
		let owed: Balance = fees.iter().sum();

		let settled = until("all receipts to be settled", EPOCH, || async {
			let grown = self.settled().await?.checked_sub(&before).context("settled totals never fall")?;
			ensure!(grown.receipts >= u64::from(REQUESTS), "{} of {REQUESTS}", grown.receipts);
			Ok(grown)
		})
		.await?;
		ensure!(settled.receipts == u64::from(REQUESTS), "{} receipts for {REQUESTS} requests", settled.receipts);
		ensure!(settled.fee == owed, "{} base units settled, {owed} owed", settled.fee);

		let last = self.chain.best().await?.number;
		let mut windows = BTreeMap::new();
		let (mut bytes, mut sum) = (0, Totals::default());
		for (settlement, length) in settlements(&self.node, first, last).await? {
			*windows.entry((settlement.host, settlement.window)).or_insert(0) += 1;
			bytes += length;
			sum = sum.checked_add(&settlement.root.sum).context("the sum fits")?;
		}
		ensure!(windows.values().all(|count| *count == 1), "a window was settled twice: {windows:?}");
		ensure!(sum == settled, "roots sum to {sum:?}, channels to {settled:?}");
		println!(
			"{} settlements, {bytes} bytes on chain: {:.1} bytes a request",
			windows.len(),
			bytes as f64 / f64::from(REQUESTS)
		);
		Ok(first)
	}

	/// `kill -9` of the gateway while answers stream.
	pub async fn gateway_killed_loses_and_doubles_nothing(&mut self) -> Result<()> {
		step("kill -9 of the gateway between receipts and vouchers: nothing lost, nothing doubled");
		let before = self.until_settled("what was asked before to be settled").await?;
		let answered = {
			let this = &*self;
			let asked = stream::iter(0..12)
				.map(|index| async move { this.complete(&format!("Story {index}:"), 24).await })
				.buffer_unordered(6);
			// Killed as soon as some answers are there and others are on their way.
			asked.take(4).collect::<Vec<_>>().await
		};
		self.devnet.kill_9("gateway").await?;
		let mut owed: Balance = 0;
		for answer in answered.into_iter().flatten() {
			ensure!(answer.status == 200, "{answer:?}");
			owed += self.fee(&answer).await?;
		}
		self.devnet.restart("gateway").await?;
		let answer = until("the gateway to answer again", Duration::from_secs(60), || async {
			let answer = self.complete("And now?", 4).await?;
			ensure!(answer.status == 200, "{answer:?}");
			Ok(answer)
		})
		.await?;
		owed += self.fee(&answer).await?;

		let after = self.until_settled("what is owed to be settled").await?;
		let grown = after.checked_sub(&before).context("settled totals never fall")?;
		println!("{} receipts settled for 5 answers seen; {} ≥ {owed} base units", grown.receipts, grown.fee);
		ensure!(grown.receipts >= 5 && grown.fee >= owed, "an acknowledged receipt was lost: {grown:?}, owed {owed}");
		ensure!(grown.receipts <= 13, "more receipts than requests: {grown:?}");
		Ok(())
	}

	/// `kill -9` of a worker in mid-sprint. What it misses until it is up again is no more than a segment, on a machine
	/// that is not too busy to start it; so it may be tried again.
	pub async fn worker_killed_in_mid_sprint_resumes(&mut self) -> Result<()> {
		step("kill -9 of a worker in mid-sprint: it resumes the epoch");
		let bob = keys::public(&keys::from_uri("//Bob")?);
		for _ in 0..3 {
			let epoch = self.until_mid_sprint().await?;
			self.devnet.kill_9("worker-bob").await?;
			self.devnet.restart("worker-bob").await?;
			let segments = until("the sprint to end", EPOCH, || async {
				let commitments = self.chain.commitments(epoch, &bob).await?;
				let segments = commitments.iter().map(|(segment, _)| *segment).filter(|segment| *segment < 5);
				let segments: Vec<u8> = segments.collect();
				let view = self.chain.epoch().await?;
				let is_over = view.index > epoch || matches!(view.phase, Phase::Settle | Phase::Work);
				ensure!(is_over || segments.contains(&4), "{:?}, segments {segments:?}", view.phase);
				Ok(segments)
			})
			.await?;
			println!("epoch {epoch}: Bob committed to segments {segments:?}");
			if segments.len() >= 4 && segments.contains(&4) {
				return Ok(());
			}
		}
		bail!("killed in three sprints, Bob resumed none in time")
	}
}
