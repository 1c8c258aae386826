//! Collateral, held fees and vesting, as hosts and developers see them on the command line.

use super::*;
use gonka_e2e::blocks::{claimed, released};
use gonka_primitives::{EpochIndex, GNK};
use serde_json::Value;
use std::collections::BTreeMap;

/// The chain's error for withdrawn collateral that is still unbonding.
const TOO_EARLY: &str = "NothingToRelease";

impl Scenario {
	/// Runs `gonka` as a person would. Returns its output, or its error output if it fails.
	async fn gonka(&self, arguments: &[&str]) -> Result<Result<String, String>> {
		let program = self.binary("gonka")?;
		let node = self.devnet.urls().nodes.first().context("no node")?;
		let output = Command::new(program)
			.args(arguments)
			.env("GONKA_NODE", node)
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output()
			.await
			.context("gonka does not start")?;
		let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
		Ok(if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) })
	}

	/// Runs a `gonka` command that must succeed.
	async fn gonka_ok(&self, arguments: &[&str]) -> Result<String> {
		self.gonka(arguments).await?.map_err(|error| anyhow::anyhow!("gonka {}: {error}", arguments.join(" ")))
	}

	/// Runs a `gonka` command that prints JSON.
	async fn gonka_json(&self, arguments: &[&str]) -> Result<Value> {
		Ok(serde_json::from_str(&self.gonka_ok(arguments).await?)?)
	}

	/// Writes Alice's secret to a file, and returns its path.
	fn alice_key(&self) -> Result<String> {
		let path = self.folder.path().join("alice.key");
		if !path.exists() {
			keys::write_secret(&path, "//Alice")?;
		}
		Ok(path.display().to_string())
	}

	/// A host deposits collateral and withdraws a part. Returns the epoch of the withdrawal.
	pub async fn collateral_is_deposited_and_withdrawn(&mut self) -> Result<EpochIndex> {
		step("collateral is deposited, a part withdrawn, and not released too early");
		let (key, alice) = (self.alice_key()?, keys::ss58(&account("//Alice")?));
		println!("{}", self.gonka_ok(&["host", "deposit", "100", "--host-key", &key]).await?);
		println!("{}", self.gonka_ok(&["host", "withdraw", "40", "--host-key", &key]).await?);
		// Another block may replace the one of the withdrawal, until the withdrawal comes again.
		let withdrawn = until("40 GNK to unbond", || async {
			let view = self.gonka_json(&["host", "collateral", &alice, "--json"]).await?;
			ensure!(units(&view["active"])? == 60 * GNK, "{view}");
			ensure!(units(&view["unbonding"][0][1])? == 40 * GNK, "{view}");
			view["unbonding"][0][0].as_u64().context("nothing unbonds")
		})
		.await?;
		for (arguments, reason) in [
			(["host", "withdraw", "61", "--host-key", &key].as_slice(), "the host has 60 GNK of collateral"),
			(&["host", "release", "--host-key", &key], TOO_EARLY),
			// Alice's address on another network.
			(&["host", "collateral", "gn6TXV6zBxdS7bos9XKfaaZJXxbXFu7JHnSBj9wE9ofMu6dtG"], "mainnet (prefix 4457)"),
		] {
			let error = self.gonka(arguments).await?.err().context("it was accepted")?;
			ensure!(error.contains(reason), "{error}");
			println!("{}: {error}", arguments[1]);
		}
		Ok(u32::try_from(withdrawn)?)
	}

	/// Withdrawn collateral is free when no offence of its epoch can be reported any more.
	pub async fn withdrawn_collateral_is_released(&mut self, withdrawn: EpochIndex) -> Result<()> {
		step("withdrawn collateral is released");
		let (key, alice) = (self.alice_key()?, account("//Alice")?);
		let free = until("the epoch of the release", || async {
			let before = self.chain.collateral(&alice).await?.released_before;
			ensure!(withdrawn < before, "withdrawals before epoch {before} are free, not that of {withdrawn}");
			Ok(self.chain.free_balance(&alice).await?)
		})
		.await?;
		// A busy machine may have made it miss duties, which costs a part.
		let active = self.chain.collateral(&alice).await?.active;
		ensure!((40 * GNK..=60 * GNK).contains(&active), "{active} base units are active");
		println!("{}", self.gonka_ok(&["host", "release", "--host-key", &key]).await?);
		until("the collateral to come back", || async {
			let grown = self.chain.free_balance(&alice).await?.saturating_sub(free);
			// The transaction cost a fee.
			ensure!(grown > 39 * GNK, "only {grown} base units came back");
			let view = self.gonka_json(&["host", "collateral", &keys::ss58(&alice), "--json"]).await?;
			ensure!([active, active - active / 10].contains(&units(&view["active"])?), "{view}");
			ensure!(view["unbonding"] == serde_json::json!([]), "{view}");
			Ok(())
		})
		.await
	}

	/// Fees that were settled from block `first` on are held, then paid to the base unit.
	pub async fn held_fees_are_released(&mut self, first: u32) -> Result<()> {
		step("fees are held for a window, then paid; `gonka channel list` and `gonka supply` add up");
		let last = self.chain.best().await?.number;
		let mut owed = BTreeMap::new();
		for (settlement, _) in gonka_e2e::blocks::settlements(&self.node, first, last).await? {
			owed.insert((settlement.host, settlement.window), settlement.root.sum.fee);
		}
		ensure!(!owed.is_empty(), "nothing was settled from block {first} to {last}");
		let paid = until("the fees to be paid", || async {
			let now = self.chain.best().await?.number;
			let paid = released(&self.node, first, now).await?;
			let missing = owed.keys().filter(|key| !paid.contains_key(*key)).count();
			ensure!(missing == 0, "{missing} of {} windows are still held", owed.len());
			Ok(paid)
		})
		.await?;
		for (key, amount) in &owed {
			ensure!(paid.get(key) == Some(amount), "{amount} base units owed, {:?} paid", paid.get(key));
		}
		println!("{} windows paid", owed.len());

		let developer = keys::ss58(&keys::public(&self.developer));
		let channels = self.gonka_json(&["channel", "list", "--developer", &developer, "--json"]).await?;
		let settled = channels.as_array().context("no list")?.iter().map(|channel| units(&channel["settled"]));
		ensure!(settled.sum::<Result<Balance>>()? == self.settled().await?.fee, "{channels}");
		let supply = self.gonka_json(&["supply", "--json"]).await?;
		let part = |name: &str| units(&supply[name]).with_context(|| format!("{name} in {supply}"));
		ensure!(part("issued")? + part("unmined")? + part("burnt")? == part("total")?, "{supply}");
		Ok(())
	}

	/// Blocks with room pay vested rewards once an epoch, without a transaction.
	pub async fn vested_rewards_are_paid(&mut self) -> Result<()> {
		step("blocks with room pay vested rewards; a claim without any is rejected");
		let alice = account("//Alice")?;
		let from = self.chain.best().await?.number;
		until("Alice's vested rewards", || async {
			let now = self.chain.best().await?.number;
			let paid = claimed(&self.node, from, now).await?;
			let amount = paid.get(&alice).context("nothing was paid")?;
			println!("paid {amount} base units");
			Ok(())
		})
		.await?;
		// More may vest at any time, and is paid in one of the next blocks.
		until("a moment without vested rewards", || async {
			let error = self.gonka(&["host", "claim", &keys::ss58(&alice)]).await?.err().context("it was accepted")?;
			ensure!(error.contains("vested"), "{error}");
			let earnings = self.gonka_json(&["host", "earnings", &keys::ss58(&alice), "--json"]).await?;
			ensure!(units(&earnings["vested"])? == 0 && units(&earnings["locked"])? > 0, "{earnings}");
			println!("claim: {error}");
			Ok(())
		})
		.await
	}
}

/// An amount in base units, which stands as text in JSON.
fn units(value: &Value) -> Result<Balance> {
	Ok(value.as_str().with_context(|| format!("{value} is no text"))?.parse()?)
}
