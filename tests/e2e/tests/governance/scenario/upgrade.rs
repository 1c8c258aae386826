//! A runtime upgrade by referendum with the command line, while a developer sends requests.

use super::*;
use codec::Encode;
use gonka_e2e::http;
use std::sync::atomic::{AtomicBool, Ordering};

/// Index of the system pallet, and of its call `set_storage`.
const SYSTEM: u8 = 0;
const SET_STORAGE: u8 = 4;
/// The storage key of the version of `Amendments`.
const VERSION: &str = "8f99f490058c51ac63b72601362539194e7b9012096b41c4eb3aaf947f6ea429";
/// The storage keys of parameters: `Market.MinDeposit`, and one that no runtime has.
const PARAMETERS: [&str; 2] = [
	"c63bdd4a39095ccf55623a6f2872bf8ac63bdd4a39095ccf55623a6f2872bf8aefb170e0d13eecfb09ae1b037cd6cb620301",
	"c63bdd4a39095ccf55623a6f2872bf8ac63bdd4a39095ccf55623a6f2872bf8a102c784f393b2390f6b0403662e8059103c8",
];

impl Scenario {
	/// Every request succeeds, before, in and after the block that changes the runtime. Nodes that were built with the old
	/// runtime execute the new one. The new one migrates what the last release left in the state. Where the chain did not begin with
	/// a release, the state is made like that of one.
	pub async fn the_runtime_is_upgraded_while_requests_are_served(&self) -> Result<()> {
		step("a runtime upgrade by referendum, while requests are served");
		let before = self.spec_version(&self.node).await?;
		let done = AtomicBool::new(false);
		let (upgraded, served) = tokio::try_join!(
			async {
				let outcome = self.upgrade(before).await;
				done.store(true, Ordering::Relaxed);
				outcome
			},
			self.requests_until(&done)
		)?;
		println!("spec version {before} → {upgraded}; {served} requests served meanwhile, none failed");
		ensure!(served >= 20, "only {served} requests");
		Ok(())
	}

	/// Makes the state one of storage version 0, by a referendum: a value below its minimum, and one of a parameter that is no
	/// more.
	async fn state_of_the_last_release(&self) -> Result<()> {
		let [deposit, no_more] = PARAMETERS;
		let values =
			[(VERSION, 0u16.encode()), (deposit, (3u8, 1u8, 1u128).encode()), (no_more, (3u8, 200u8, 1u8).encode())];
		let mut items = Vec::new();
		for (key, value) in values {
			items.push((hex::decode(key)?, value));
		}
		let call = hex::encode((SYSTEM, SET_STORAGE, items).encode());
		self.decide(&["call", &call, "--track", "upgrade"]).await?;
		until("the older state", || async {
			ensure!(self.stored(VERSION).await?.as_deref() == Some("0000"), "the version is not set");
			for key in PARAMETERS {
				ensure!(self.stored(key).await?.is_some(), "no parameter at {key}");
			}
			Ok(())
		})
		.await
	}

	/// The migration brought the state to version 1 and removed what is not allowed.
	async fn is_migrated(&self) -> Result<()> {
		let version = self.stored(VERSION).await?;
		ensure!(version.as_deref() == Some("0100"), "storage version {version:?}");
		for key in PARAMETERS {
			let value = self.stored(key).await?;
			ensure!(value.is_none(), "{key} still holds {value:?}");
		}
		println!("the state is migrated to storage version 1");
		Ok(())
	}

	/// A value of the best state, in hex.
	async fn stored(&self, key: &str) -> Result<Option<String>> {
		let key = format!("0x{key}");
		let value: Option<String> = self.node.request("state_getStorage", serde_json::json!([key])).await?;
		Ok(value.map(|value| value.trim_start_matches("0x").to_owned()))
	}

	/// Proposes, lets all hosts vote aye, and waits for the enactment.
	async fn decide(&self, what: &[&str]) -> Result<()> {
		let (alice, bob, charlie) = (self.key("Alice")?, self.key("Bob")?, self.key("Charlie")?);
		let options: [&str; 5] = ["--key", &alice, "--deposit", "--yes", "--json"];
		let proposed = self.gonka(&[&["gov", "propose"][..], what, &options].concat()).await?;
		let proposed: serde_json::Value = serde_json::from_str(&proposed)?;
		let index = proposed["referendum"].as_u64().with_context(|| format!("no referendum: {proposed}"))?.to_string();
		// Alice alone could have it confirmed before the others vote.
		for key in [&charlie, &bob, &alice] {
			println!("{}", self.gonka(&["gov", "vote", &index, "aye", "--key", key]).await?);
		}
		println!("{}", self.gonka(&["gov", "show", &index]).await?);
		until("the enactment", || async {
			let shown = self.gonka(&["gov", "show", &index, "--json"]).await?;
			ensure!(shown.contains("\"enacted\""), "{shown}");
			Ok(())
		})
		.await
	}

	async fn upgrade(&self, before: u64) -> Result<u64> {
		let (wasm, expected) = self.next_runtime(before).await?;
		let alice = self.key("Alice")?;
		if self.release.is_none() {
			self.state_of_the_last_release().await?;
		}
		self.decide(&["upgrade", &wasm]).await?;
		// `gonka gov apply` may time out while nodes compile the new runtime, so the condition is the version they run.
		until("all nodes to run the new runtime", || async {
			for url in &self.devnet.urls().nodes {
				let node = Node::connect(url).await?;
				let version = self.spec_version(&node).await?;
				if version == before {
					println!("{:?}", self.gonka(&["gov", "apply", &wasm, "--key", &alice]).await);
				}
				ensure!(version == expected, "{url} runs {version}");
			}
			Ok(())
		})
		.await?;
		if self.release.is_none() {
			// The block after the one with the new code migrates.
			until("the migration", || self.is_migrated()).await?;
		}
		// Finality goes on under the new runtime.
		let from = self.node.height(true).await?;
		until("20 more finalized blocks", || async {
			let now = self.node.height(true).await?;
			ensure!(now >= from + 20, "finalized {now}, from {from}");
			Ok(())
		})
		.await?;
		self.spec_version(&self.node).await
	}

	/// Sends requests, one after the other, and returns their number. Fails if one fails.
	async fn requests_until(&self, done: &AtomicBool) -> Result<u32> {
		let urls = self.devnet.urls();
		let models = self.chain.models().await?;
		// The registration for all engines: workers without a model serve it.
		let model = models.iter().find(|model| !model.name.contains(&b'@')).context("no model")?;
		let model = String::from_utf8(model.name.clone())?;
		let body = serde_json::json!({
			"model": model, "max_tokens": 8, "messages": [{ "role": "user", "content": "What is a blockchain?" }],
		});
		let url = format!("{}/v1/chat/completions", urls.gateway);
		let mut served = 0;
		while !done.load(Ordering::Relaxed) {
			let response = http::post(&url, &urls.api_key, &body.to_string()).await?;
			ensure!(response.status == 200, "a request failed while the runtime was upgraded: {response:?}");
			served += 1;
		}
		Ok(served)
	}

	async fn spec_version(&self, node: &Node) -> Result<u64> {
		let version: serde_json::Value = node.request("state_getRuntimeVersion", serde_json::json!([])).await?;
		version["specVersion"].as_u64().context("no spec version")
	}

	/// The path and the spec version of the runtime to upgrade to: this build's, or if the chain has that one already, the next, which
	/// the feature `fast-runtime` builds for this test.
	async fn next_runtime(&self, before: u64) -> Result<(String, u64)> {
		let node = find_or_build(Engine::Mock)?.node;
		let folder = node.parent().context("the node has no folder")?.join("wbuild/gonka-runtime");
		for name in ["gonka_runtime.wasm", "gonka_runtime_next.wasm"] {
			let wasm = folder.join(name);
			ensure!(wasm.exists(), "{} is missing: build the workspace with fast-runtime", wasm.display());
			let described =
				Command::new(&node).args(["network", "runtime"]).arg(&wasm).kill_on_drop(true).output().await?;
			let described = String::from_utf8_lossy(&described.stdout);
			// The first line ends with the name and the spec version.
			let version = described.lines().next().and_then(|line| line.rsplit('-').next()?.trim().parse().ok());
			let version: u64 = version.with_context(|| format!("{} has no version: {described}", wasm.display()))?;
			if version > before {
				return Ok((wasm.display().to_string(), version));
			}
		}
		bail!("no runtime is newer than spec version {before}")
	}
}
