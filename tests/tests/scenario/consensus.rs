//! Weights, power, emission, finality, warp sync.

use super::*;
use gonka_primitives::{AccountId, GNK, views::HostView};

/// Blocks that finality may be behind when it works.
const LAG: u32 = 12;

impl Scenario {
	/// The hosts' weights, Alice's, Bob's and Charlie's in turn.
	async fn weights(&self) -> Result<[u64; 3]> {
		let hosts = self.chain.hosts().await?;
		let weight = |name: &str| -> Result<u64> {
			let account = keys::public(&keys::from_uri(name)?);
			let host = hosts.iter().find(|host: &&HostView| host.account == account);
			Ok(host.context("not registered")?.weight)
		};
		Ok([weight("//Alice")?, weight("//Bob")?, weight("//Charlie")?])
	}

	/// After two epochs weights are 4 : 2 : 1 and GRANDPA's are the normalised power.
	pub async fn weights_follow_compute(&mut self) -> Result<()> {
		step("weights 4 : 2 : 1 within 20 %, GRANDPA weights equal normalised power");
		let weights = until("two epochs with everybody's weight", 2 * EPOCH, || async {
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

		until("GRANDPA to weigh by them", EPOCH, || async {
			let weights = self.weights().await?;
			let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
			let mut power = weights.map(|weight| (u128::from(weight) * 1_000_000 / total) as u64);
			let mut voters: Vec<u64> = self.node.grandpa().await?.into_iter().map(|(_, weight)| weight).collect();
			let mut validators: Vec<u64> = self.chain.validators().await?.into_iter().map(|(_, power)| power).collect();
			power.sort_unstable();
			voters.sort_unstable();
			validators.sort_unstable();
			ensure!(voters == power, "GRANDPA has {voters:?}, the chain settled {power:?}");
			ensure!(validators == power, "the session has {validators:?}, the chain settled {power:?}");
			println!("power {power:?}");
			Ok(())
		})
		.await
	}

	/// What an epoch mints goes to hosts by what they are paid for: once the next epoch settles, and disputes about it
	/// and its confirmations are over.
	pub async fn emission_follows_weights(&mut self) -> Result<()> {
		step("emission follows the curve, and what hosts are paid for");
		let names = ["//Alice", "//Bob", "//Charlie"];
		let accounts: Vec<AccountId> =
			names.iter().map(|name| Ok(keys::public(&keys::from_uri(name)?))).collect::<Result<_>>()?;
		let until_paid = async |epoch: u32| {
			until("an epoch to be paid", 2 * EPOCH, || async {
				let view = self.chain.epoch().await?;
				let paid = view.start + view.schedule.settle_start() + 3;
				ensure!(view.index > epoch && view.block > paid, "epoch {}, block {}", view.index, view.block);
				let mut balances = Vec::new();
				for account in &accounts {
					// What an epoch paid vests over the next ones.
					let earned = self.chain.earnings(account).await?;
					balances.push(self.chain.free_balance(account).await? + earned.locked + earned.vested);
				}
				Ok((view.index - 1, self.chain.supply().await?, balances))
			})
			.await
		};
		let (first, before, balances) = until_paid(self.chain.epoch().await?.index - 1).await?;
		let (second, after, later) = until_paid(first + 1).await?;
		ensure!(second == first + 1, "missed an epoch");
		let mut standings = Vec::new();
		for account in &accounts {
			let standing = self.chain.standing(second, account).await?.context("it raced")?;
			standings.push((standing.effective.context("settled")?, standing.paid.context("settled")?));
		}
		let total: u64 = standings.iter().map(|(effective, _)| effective).sum();
		let (emission, minted) = (after.last_emission, before.unmined - after.unmined);
		let owed = |paid: u64| emission * Balance::from(paid) / Balance::from(total);
		let expected: Balance = standings.iter().map(|(_, paid)| owed(*paid)).sum();
		println!("epoch {second} minted {minted} of {emission} base units");
		ensure!((300_000 * GNK..330_000 * GNK).contains(&emission), "the curve starts at about 322,923 GNK an epoch");
		ensure!(minted.abs_diff(expected) < 3, "{minted} base units minted, {expected} owed");
		for ((grown, (weight, paid)), name) in later.iter().zip(&balances).map(|(a, b)| a - b).zip(standings).zip(names)
		{
			let (share, expected) = (grown as f64 / minted as f64, owed(paid) as f64 / minted as f64);
			println!("{name}: {share:.4} of what was minted; weight {weight} of {total}, paid for {paid}");
			ensure!(paid > 0, "{name} is not paid for a weight of {weight}");
			ensure!((share - expected).abs() < 0.01, "{name} got {share:.4}, not {expected:.4}");
		}
		Ok(())
	}

	/// A new node warp-syncs across at least three weight changes.
	pub async fn new_node_warp_syncs(&mut self) -> Result<()> {
		step("a new node warp-syncs across at least three changes of the authority set");
		let set = until("three changes of weight", 3 * EPOCH, || async {
			let set = self.node.runtime_set_id().await?;
			ensure!(set >= 3, "set id {set}");
			Ok(set)
		})
		.await?;
		until("client and runtime to agree on the set id", Duration::from_secs(60), || async {
			let (client, runtime) = (self.node.client_set_id().await?, self.node.runtime_set_id().await?);
			ensure!(client == runtime, "client {client}, runtime {runtime}");
			Ok(())
		})
		.await?;
		let target = self.node.height(true).await?;
		let bootnode: String = self.node.ask("system_localPeerId", serde_json::json!([])).await?;
		let addresses: Vec<String> = self.node.ask("system_localListenAddresses", serde_json::json!([])).await?;
		let address = addresses.iter().find(|address| address.contains("/tcp/")).context("no address")?;
		let address = address.split("/p2p/").next().unwrap_or(address).to_owned();

		let log = self.folder.path().join("warp.log");
		let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
		let mut child = Command::new(self.binary("node")?)
			.args(["--chain", "local", "--sync", "warp", "--no-telemetry", "--no-prometheus", "--no-mdns"])
			.args(["--listen-addr", "/ip4/127.0.0.1/tcp/0", "--rpc-port", &port.to_string()])
			.args(["--bootnodes", &format!("{address}/p2p/{bootnode}")])
			.arg("--base-path")
			.arg(self.folder.path().join("warp"))
			.stdin(Stdio::null())
			.stdout(Stdio::null())
			.stderr(std::fs::File::create(&log)?)
			.kill_on_drop(true)
			.spawn()?;
		let url = format!("ws://127.0.0.1:{port}");
		let outcome = until("the new node to reach the finalized head", Duration::from_secs(180), || async {
			let node = Node::connect(&url).await?;
			let (height, set) = (node.height(true).await?, node.runtime_set_id().await?);
			ensure!(height >= target, "at {height} of {target}");
			Ok((height, set))
		})
		.await;
		child.kill().await?;
		let text = std::fs::read_to_string(&log)?;
		let (height, its) = outcome.with_context(|| text.lines().rev().take(20).collect::<Vec<_>>().join("\n"))?;
		ensure!(its >= set, "the new node knows set {its}, the others {set}");
		ensure!(text.to_lowercase().contains("warp sync is complete"), "it did not warp:\n{text}");
		println!("block {height}, set id {its}");
		Ok(())
	}

	/// The lightest validator is gone, a seventh of the power: nobody minds.
	pub async fn lightest_validator_down_finality_goes_on(&mut self) -> Result<()> {
		step("the lightest validator stopped: finality goes on");
		self.devnet.kill_9("node-charlie").await?;
		let from = self.node.height(true).await?;
		until("20 more finalized blocks", Duration::from_secs(180), || async {
			let now = self.node.height(true).await?;
			ensure!(now >= from + 20, "from {from} to {now}");
			println!("finalized {from} → {now}");
			Ok(())
		})
		.await?;
		self.devnet.restart("node-charlie").await
	}

	/// The heaviest validator is gone, more than a third of the power: no finality until it is back.
	pub async fn heaviest_validator_down_finality_waits(&mut self) -> Result<()> {
		step("the heaviest validator stopped: finality stalls, and resumes when it is back");
		self.devnet.kill_9("node-alice").await?;
		let bob = Node::connect(self.devnet.urls().nodes.get(1).context("no second node")?).await?;
		let (best, stalled) = (bob.height(false).await?, bob.height(true).await?);
		// What was voted on already may still be finalized.
		let end = until("15 blocks by the others", Duration::from_secs(240), || async {
			let now = bob.height(false).await?;
			ensure!(now >= best + 15, "from {best} to {now}");
			Ok(now)
		})
		.await?;
		let finalized = bob.height(true).await?;
		println!("best {best} → {end}, finalized {stalled} → {finalized}");
		ensure!(finalized <= best + 1, "finality went on without two thirds of the power: {finalized}");
		self.devnet.restart("node-alice").await?;
		until("finality to resume", Duration::from_secs(240), || async {
			let (best, finalized) = (bob.height(false).await?, bob.height(true).await?);
			ensure!(finalized > end && best <= finalized + LAG, "finalized {finalized} of {best}");
			println!("finalized {finalized} of {best}");
			Ok(())
		})
		.await
	}
}
