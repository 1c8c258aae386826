//! Two hundred requests, settled to the base unit.

use super::*;
use futures::{StreamExt, TryStreamExt, stream};
use gonka_e2e::blocks::settlements;
use std::collections::BTreeMap;

/// Requests in total.
const REQUESTS: u32 = 200;
/// Requests at a time.
const CONCURRENT: usize = 8;

impl Scenario {
	/// Sends 200 requests and compares the settled fees. Returns the first block that may hold their settlements.
	pub async fn two_hundred_requests_settle_exactly(&mut self) -> Result<u32> {
		step("200 requests: one settlement per host and window, fees equal to the base unit");
		let before = self.until_settled("earlier requests to be settled").await?;
		// The best block itself may hold a settlement of earlier requests.
		let first = self.chain.best().await?.number + 1;
		let hedges = self.hedges().await?;
		let start = Instant::now();
		let this = &*self;
		let fees: Vec<Balance> = stream::iter(0..REQUESTS)
			.map(|index| async move {
				let response = this.complete(&format!("Fact {index}:"), 4).await?;
				ensure!(response.status == 200, "request {index}: {response:?}");
				this.fee(&response).await
			})
			.buffer_unordered(CONCURRENT)
			.try_collect()
			.await?;
		println!("{REQUESTS} requests in {:.1} s", start.elapsed().as_secs_f32());
		let owed: Balance = fees.iter().sum();

		let after = self.until_settled("all receipts to be settled").await?;
		let settled = after.checked_sub(&before).context("settled totals fell")?;
		// A second host of a request may have signed a receipt for tokens that it sent before it was cancelled.
		let doubled = settled.receipts.checked_sub(REQUESTS.into()).context("a receipt is missing")?;
		let hedged = self.hedges().await?.saturating_sub(hedges);
		ensure!(doubled <= hedged, "{} receipts for {REQUESTS} requests, {hedged} hedged", settled.receipts);
		let largest = fees.iter().max().copied().unwrap_or_default();
		let bound = owed + largest * Balance::from(doubled);
		ensure!((owed..=bound).contains(&settled.fee), "{} settled, {owed} owed and {doubled} doubled", settled.fee);

		// Blocks that are not final may be replaced, so all of them are looked at once they are.
		let (windows, bytes) = until("the settlements to be final", || async {
			let last = self.node.height(true).await?;
			let mut windows = BTreeMap::new();
			let (mut bytes, mut sum) = (0, Totals::default());
			for (settlement, length) in settlements(&self.node, 1, last).await? {
				*windows.entry((settlement.host, settlement.window)).or_insert(0) += 1;
				bytes += length;
				sum = sum.checked_add(&settlement.root.sum).context("the sum of the roots overflows")?;
			}
			ensure!(sum == after, "roots sum to {sum:?}, channels to {after:?}");
			Ok((windows, bytes))
		})
		.await?;
		ensure!(windows.values().all(|count| *count == 1), "a window was settled twice: {windows:?}");
		println!(
			"{} receipts in {} settlements, {bytes} bytes on chain: {:.1} bytes a receipt; {hedged} requests hedged",
			after.receipts,
			windows.len(),
			bytes as f64 / after.receipts as f64
		);
		Ok(first)
	}

	/// How often the gateway dispatched a request to a second host.
	async fn hedges(&self) -> Result<u64> {
		let metrics = self.metrics().await?;
		let line = metrics.lines().find_map(|line| line.strip_prefix("gonka_gateway_hedges_total "));
		Ok(line.context("no metric of hedges")?.parse()?)
	}
}
