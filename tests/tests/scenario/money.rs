//! Collateral, held fees, vesting: as hosts and developers see them on the command line.

use super::*;
use gonka_e2e::blocks::{claimed, released};
use gonka_primitives::{AccountId, EpochIndex, GNK};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the chain says of withdrawn collateral that has to wait.
const TOO_EARLY: &str = "NothingToRelease";

impl Scenario {
	/// Runs `gonka` as a person would; what it prints, or why it fails.
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

	/// The same, of a command that must succeed.
	async fn gonka_ok(&self, arguments: &[&str]) -> Result<String> {
		self.gonka(arguments).await?.map_err(|error| anyhow::anyhow!("gonka {}: {error}", arguments.join(" ")))
	}

	/// The same, of a command that prints JSON.
	async fn gonka_json(&self, arguments: &[&str]) -> Result<Value> {
		Ok(serde_json::from_str(&self.gonka_ok(arguments).await?)?)
	}

	/// Alice's secret, in a file.
	fn alice_key(&self) -> Result<String> {
		let path = self.folder.path().join("alice.key");
		if !path.exists() {
			keys::write_secret(&path, "//Alice")?;
		}
		Ok(path.display().to_string())
	}

	/// A host pledges collateral and takes a part back; the epoch from which on it can be released.
	pub async fn collateral_is_pledged_and_withdrawn(&mut self) -> Result<EpochIndex> {
		step("collateral: pledged, a part withdrawn, not released before its time");
		let (key, alice) = (self.alice_key()?, keys::ss58(&alice()?));
		println!("{}", self.gonka_ok(&["host", "deposit", "100", "--host-key", &key]).await?);
		println!("{}", self.gonka_ok(&["host", "withdraw", "40", "--host-key", &key]).await?);
		let view = self.gonka_json(&["host", "collateral", &alice, "--json"]).await?;
		ensure!(view["active"] == 60 * GNK as u64, "{view}");
		let release = view["unbonding"][0][0].as_u64().context("nothing unbonds")?;
		ensure!(view["unbonding"][0][1] == 40 * GNK as u64, "{view}");
		for (arguments, reason) in [
			(["host", "withdraw", "61", "--host-key", &key].as_slice(), "NotEnoughCollateral"),
			(&["host", "release", "--host-key", &key], TOO_EARLY),
		] {
			let error = self.gonka(arguments).await?.err().context("it was accepted")?;
			ensure!(error.contains(reason), "{error}");
			println!("{}: {error}", arguments[1]);
		}
		Ok(u32::try_from(release)?)
	}

	/// What was withdrawn is free when its epoch has begun.
	pub async fn withdrawn_collateral_is_released(&mut self, from: EpochIndex) -> Result<()> {
		step("collateral: what was withdrawn is released");
		let (key, alice) = (self.alice_key()?, alice()?);
		let free = until("the epoch of the release", 2 * EPOCH, || async {
			let epoch = self.chain.epoch().await?.index;
			ensure!(epoch >= from, "epoch {epoch}, not yet {from}");
			Ok(self.chain.free_balance(&alice).await?)
		})
		.await?;
		println!("{}", self.gonka_ok(&["host", "release", "--host-key", &key]).await?);
		let grown = self.chain.free_balance(&alice).await?.saturating_sub(free);
		// Less the transaction's fee.
		ensure!(grown > 39 * GNK, "only {grown} base units came back");
		let view = self.gonka_json(&["host", "collateral", &keys::ss58(&alice), "--json"]).await?;
		ensure!(view["active"] == 60 * GNK as u64 && view["unbonding"] == serde_json::json!([]), "{view}");
		Ok(())
	}

	/// Fees that the windows from `first` on settled are held, then paid to the base unit.
	pub async fn held_fees_are_released(&mut self, first: u32) -> Result<()> {
		step("fees are held for a window, then paid; `gonka channel list` and `gonka supply` add up");
		let last = self.chain.best().await?.number;
		let mut owed = BTreeMap::new();
		for (settlement, _) in gonka_e2e::blocks::settlements(&self.node, first, last).await? {
			owed.insert((settlement.host, settlement.window), settlement.root.sum.fee);
		}
		ensure!(!owed.is_empty(), "nothing was settled from block {first} to {last}");
		let paid = until("the fees to be paid", EPOCH, || async {
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
		let settled: Option<u64> =
			channels.as_array().context("no list")?.iter().map(|channel| channel["settled"].as_u64()).sum();
		ensure!(settled.map(Balance::from) == Some(self.settled().await?.fee), "{channels}");
		let supply = self.gonka_json(&["supply", "--json"]).await?;
		let part = |name: &str| supply[name].as_u64().with_context(|| format!("no {name} in {supply}"));
		ensure!(part("issued")? + part("unmined")? + part("burnt")? == part("total")?, "{supply}");
		Ok(())
	}

	/// Blocks with room pay out what has vested, once an epoch and without a transaction.
	pub async fn vested_rewards_are_paid(&mut self) -> Result<()> {
		step("vested rewards are paid by blocks with room; a claim with nothing vested is refused");
		let alice = alice()?;
		let from = self.chain.best().await?.number;
		until("Alice's vested rewards", 2 * EPOCH, || async {
			let now = self.chain.best().await?.number;
			let paid = claimed(&self.node, from, now).await?;
			let amount = paid.get(&alice).context("nothing was paid")?;
			println!("paid {amount} base units");
			Ok(())
		})
		.await?;
		let error = self.gonka(&["host", "claim", &keys::ss58(&alice)]).await?.err().context("it was accepted")?;
		ensure!(error.contains("vested"), "{error}");
		println!("claim: {error}");
		let earnings = self.gonka_json(&["host", "earnings", &keys::ss58(&alice), "--json"]).await?;
		ensure!(earnings["vested"] == 0 && earnings["locked"].as_u64() > Some(0), "{earnings}");
		Ok(())
	}
}

fn alice() -> Result<AccountId> {
	Ok(keys::public(&keys::from_uri("//Alice")?))
}
