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

		let settled = until("all receipts to be settled", || async {
			let grown = self.settled().await?.checked_sub(&before).context("settled totals fell")?;
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
			sum = sum.checked_add(&settlement.root.sum).context("the sum of the roots overflows")?;
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
}
