//! Weights, power and emission follow compute.

use super::*;
use gonka_primitives::GNK;

/// The devnet's hosts, by falling sprint rate.
const HOSTS: [&str; 3] = ["//Alice", "//Bob", "//Charlie"];

/// The issuance after an epoch was paid.
struct Paid {
	epoch: u32,
	/// Base units that were not yet minted.
	unmined: Balance,
	/// Base units that the curve gave to the last epoch.
	emission: Balance,
	/// Base units of each of [`HOSTS`], vested or not.
	balances: Vec<Balance>,
}

impl Scenario {
	/// The weights of [`HOSTS`].
	async fn weights(&self) -> Result<[u64; 3]> {
		let hosts = self.chain.hosts().await?;
		let weight = |uri: &str| -> Result<u64> {
			let account = account(uri)?;
			let host = hosts.iter().find(|host| host.account == account);
			Ok(host.with_context(|| format!("{uri} is not registered"))?.effective_weight)
		};
		let [alice, bob, charlie] = HOSTS;
		Ok([weight(alice)?, weight(bob)?, weight(charlie)?])
	}

	/// After two epochs the weights are 4 : 2 : 1.
	pub async fn weights_follow_compute(&mut self) -> Result<()> {
		step("weights 4 : 2 : 1 within 20 %");
		let weights = until("weights that follow compute", || async {
			let weights = self.weights().await?;
			let epoch = self.chain.epoch().await?.index;
			ensure!(epoch >= 2 && weights.iter().all(|weight| *weight > 0), "epoch {epoch}, weights {weights:?}");
			let [alice, bob, charlie] = weights.map(|weight| weight as f64);
			for (ratio, expected) in [(alice / charlie, 4.0), (bob / charlie, 2.0), (alice / bob, 2.0)] {
				ensure!((ratio / expected - 1.0).abs() <= 0.2, "{weights:?}: {ratio:.2} is not {expected} ± 20 %");
			}
			Ok(weights)
		})
		.await?;
		println!("weights {weights:?}");
		until("the power to follow the weights", || async {
			let weights = self.weights().await?;
			let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
			let mut power = weights.map(|weight| (u128::from(weight) * 1_000_000 / total) as u64);
			let mut validators = self.power().await?;
			power.sort_unstable();
			validators.sort_unstable();
			ensure!(validators == power, "the session has {validators:?}, the hosts' weights make {power:?}");
			println!("power {power:?}");
			Ok(())
		})
		.await
	}

	/// GRANDPA's weights are the validators' power.
	pub async fn finality_follows_weights(&mut self) -> Result<()> {
		step("GRANDPA weights equal the power");
		until("GRANDPA's weights to equal the power", || async {
			let mut voters: Vec<u64> = self.node.grandpa().await?.into_iter().map(|(_, weight)| weight).collect();
			let mut validators = self.power().await?;
			voters.sort_unstable();
			validators.sort_unstable();
			ensure!(voters == validators, "GRANDPA has {voters:?}, the session {validators:?}");
			Ok(())
		})
		.await
	}

	/// The power of the session's validators.
	async fn power(&self) -> Result<Vec<u64>> {
		Ok(self.chain.validators().await?.into_iter().map(|(_, power)| power).collect())
	}

	/// An epoch's emission goes to hosts by paid weight, once the next epoch is weighed and disputes and confirmations are
	/// over. An epoch counts if the test saw the one before it and every host was paid: a busy machine may prevent either.
	pub async fn emission_follows_weights(&mut self) -> Result<()> {
		step("emission follows the curve and the hosts' paid weights");
		let mut before = self.until_paid(self.chain.epoch().await?.index - 1).await?;
		for _ in 0..ATTEMPTS {
			let after = self.until_paid(before.epoch + 1).await?;
			if after.epoch == before.epoch + 1 && self.emission_is_shared(&before, &after).await? {
				return Ok(());
			}
			println!("epoch {} does not count: it was not observed in full, or a host was not paid", after.epoch);
			before = after;
		}
		bail!("not all hosts were paid in any of {ATTEMPTS} epochs")
	}

	/// Checks the epoch between two payments. `false` if a host was not paid.
	async fn emission_is_shared(&self, before: &Paid, after: &Paid) -> Result<bool> {
		let epoch = after.epoch;
		let mut standings = Vec::new();
		for uri in HOSTS {
			let Some(standing) = self.chain.standing(epoch, &account(uri)?).await? else { return Ok(false) };
			let proven = standing.proven_weight.with_context(|| format!("epoch {epoch} is not weighed"))?;
			standings.push((proven, standing.paid_weight.with_context(|| format!("epoch {epoch} is not paid"))?));
		}
		let total: u64 = standings.iter().map(|(proven, _)| proven).sum();
		let (emission, minted) = (after.emission, before.unmined - after.unmined);
		let owed = |paid: u64| emission * Balance::from(paid) / Balance::from(total);
		let expected: Balance = standings.iter().map(|(_, paid)| owed(*paid)).sum();
		println!("epoch {epoch} minted {minted} of {emission} base units");
		ensure!((300_000 * GNK..330_000 * GNK).contains(&emission), "the curve starts at about 322,923 GNK an epoch");
		ensure!(minted.abs_diff(expected) < 3, "{minted} base units minted, {expected} owed");
		let grown = after.balances.iter().zip(&before.balances).map(|(after, before)| after - before);
		let mut all_paid = true;
		for ((grown, (weight, paid)), uri) in grown.zip(standings).zip(HOSTS) {
			let (share, expected) = (grown as f64 / minted as f64, owed(paid) as f64 / minted as f64);
			println!("{uri}: {share:.4} of the minted units; proven weight {weight} of {total}, paid weight {paid}");
			ensure!((share - expected).abs() < 0.01, "{uri} got {share:.4}, not {expected:.4}");
			all_paid &= paid > 0;
		}
		Ok(all_paid)
	}

	/// Waits until an epoch from `first` on is closed and its hosts are paid.
	async fn until_paid(&self, first: u32) -> Result<Paid> {
		until("an epoch to be paid", || async {
			let view = self.chain.epoch().await?;
			let paid = view.start + view.schedule.weigh_start() + 3;
			ensure!(view.index > first && view.block > paid, "epoch {}, block {}", view.index, view.block);
			let mut balances = Vec::new();
			for uri in HOSTS {
				let account = account(uri)?;
				// An epoch's pay vests over the next ones.
				let earned = self.chain.earnings(&account).await?;
				balances.push(self.chain.free_balance(&account).await? + earned.locked + earned.vested);
			}
			let supply = self.chain.supply().await?;
			Ok(Paid { epoch: view.index - 1, unmined: supply.unmined, emission: supply.last_emission, balances })
		})
		.await
	}
}
