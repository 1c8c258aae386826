//! Clients behave at random while programs are killed.

use super::*;
use gonka::amount::parse_gnk;
use gonka_e2e::clients::Clients;

/// Number of clients at a time.
const CLIENTS: u64 = 6;
/// Seed of the clients' requests.
const SEED: u64 = 20_261_129;
/// Minimum number of requests of each of the three parts of a round.
const MIN_PART: u64 = 16;
/// Maximum number of rounds, about: in each, all workers and the gateway are killed, which takes a minute.
const ROUNDS: u64 = 40;
/// Memory of a gateway that serves these clients for however long, in kilobytes.
const MEMORY: u64 = 600_000;

impl Scenario {
	/// Clients send all kinds of requests, at least so many in all: first while nothing happens, then while workers are killed,
	/// then while the gateway is. No answer that came is unpaid, none is paid twice, and no client sees an error that is not
	/// its own. While nothing is killed, no host counts as failed.
	pub async fn random_clients_lose_nothing(&mut self, requests: u64) -> Result<()> {
		step("clients at random, kill -9 of workers and of the gateway: nothing lost, nothing doubled, nobody blamed");
		let begun = Instant::now();
		let before = self.until_settled("earlier requests to be settled").await?;
		let (mut served, mut complete, mut asked, mut owed) = (0, 0, 0, 0);
		let part = MIN_PART.max(requests / ROUNDS / 3);
		let mut round = 0;
		while served < requests {
			let urls = self.devnet.urls().clone();
			let blamed = self.blamed().await?;
			ensure!(!blamed.is_empty(), "no metric of wrong receipts");
			let clients = Clients::start(&urls.gateway, &urls.api_key, MODEL, CLIENTS, SEED + round * CLIENTS);
			answered(&clients, part).await?;
			ensure!(self.blamed().await? == blamed, "hosts counted as failed though none did: {blamed:?} before");
			self.kill_workers(&clients, round, part).await?;
			self.kill_gateway(&clients, part).await?;
			let tally = clients.stop().await;
			served += tally.served.values().sum::<u64>();
			complete += tally.complete;
			asked += tally.asked;
			for cost in &tally.costs {
				owed += parse_gnk(cost).map_err(anyhow::Error::msg)?;
			}
			let memory = self.memory("gonka-gateway")?;
			println!(
				"round {round}: {:?}, {} complete, {} failed in an outage, {} found all hosts busy, gateway {} MB",
				tally.served,
				tally.complete,
				tally.disturbed,
				tally.busy,
				memory / 1024
			);
			ensure!(tally.faults.is_empty(), "{} faults:\n{}", tally.faults.len(), tally.faults.join("\n"));
			ensure!(memory < MEMORY, "the gateway takes {memory} kB");
			round += 1;
		}
		let after = self.until_settled("all fees to be settled").await?;
		let grown = after.checked_sub(&before).context("settled totals fell")?;
		println!(
			"{served} requests in {:.0} s: {} receipts of {} base units settled, for {complete} complete answers of {asked}; \
			 those that came as a whole cost {owed}",
			begun.elapsed().as_secs_f32(),
			grown.receipts,
			grown.fee
		);
		ensure!(grown.receipts >= complete && grown.fee >= owed, "an acknowledged receipt was lost: {grown:?}");
		// A killed host may have signed a receipt, too, for the answer that another one completed.
		ensure!(grown.receipts <= 2 * asked, "more receipts than answers that were asked for: {grown:?}");
		self.ledger_agrees(&after).await
	}

	/// Kills a worker, then all of them, while clients send requests.
	async fn kill_workers(&mut self, clients: &Clients, round: u64, part: u64) -> Result<()> {
		const WORKERS: [&str; 3] = ["worker-alice", "worker-bob", "worker-charlie"];
		let one = WORKERS[round as usize % WORKERS.len()];
		self.devnet.kill_9(one).await?;
		answered(clients, part / 2).await?;
		self.devnet.restart(one).await?;
		let before = clients.count();
		clients.disturb();
		for worker in WORKERS {
			self.devnet.kill_9(worker).await?;
		}
		// Each client ends the request that it is at, and waits.
		reached(clients, before + CLIENTS).await?;
		for worker in WORKERS {
			self.devnet.restart(worker).await?;
		}
		self.until_served().await?;
		clients.disturb();
		answered(clients, part / 2).await
	}

	/// Kills the gateway while clients send requests.
	async fn kill_gateway(&mut self, clients: &Clients, part: u64) -> Result<()> {
		for _ in 0..2 {
			answered(clients, part / 4).await?;
			clients.disturb();
			self.devnet.kill_9("gateway").await?;
			self.devnet.restart("gateway").await?;
			self.until_served().await?;
			clients.disturb();
		}
		answered(clients, part / 2).await
	}

	async fn until_served(&self) -> Result<()> {
		until("the gateway to serve", || async {
			let response = self.complete("And now?", 1).await?;
			ensure!(response.status == 200, "{response:?}");
			Ok(())
		})
		.await
	}

	/// How often the gateway replaced a host, or found a receipt wrong.
	async fn blamed(&self) -> Result<Vec<String>> {
		let metrics = self.metrics().await?;
		let is_about = |line: &&str| line.contains("_failovers_total{") || line.contains("_rejected_receipts_total ");
		Ok(metrics.lines().filter(is_about).map(str::to_owned).collect())
	}

	/// The gateway promised as much as the chain settled, by its ledger, also after another kill.
	async fn ledger_agrees(&mut self, settled: &Totals) -> Result<()> {
		for _ in 0..2 {
			let promised = until("the gateway's channels", || async {
				let metrics = self.metrics().await?;
				let of_channels =
					metrics.lines().filter_map(|line| line.strip_prefix("gonka_gateway_channel_promised_gnk{"));
				let values: Vec<f64> = of_channels.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
				ensure!(!values.is_empty(), "no channel in {metrics}");
				Ok(values.iter().sum::<f64>())
			})
			.await?;
			let settled = settled.fee as f64 / gonka_primitives::GNK as f64;
			println!("{promised:.9} GNK promised by the gateway's ledger, {settled:.9} settled");
			ensure!((promised - settled).abs() < 1e-9, "{promised} GNK promised, {settled} settled");
			self.devnet.kill_9("gateway").await?;
			self.devnet.restart("gateway").await?;
		}
		Ok(())
	}
}

/// Waits until so many more requests have ended.
async fn answered(clients: &Clients, more: u64) -> Result<()> {
	reached(clients, clients.count() + more).await
}

/// Waits until so many requests have ended in all.
async fn reached(clients: &Clients, goal: u64) -> Result<()> {
	until("the clients' requests", || async {
		let count = clients.count();
		ensure!(count >= goal, "{count} of {goal}");
		Ok(())
	})
	.await
}
