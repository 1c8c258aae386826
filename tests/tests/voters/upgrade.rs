//! A runtime upgrade by referendum, proposed, voted and applied with the command line, while developers ask.

use super::*;
use gonka_e2e::http;
use std::sync::atomic::{AtomicBool, Ordering};

impl Voters {
	/// Every request is answered, before, in and after the block that changes the runtime; nodes built with the old one
	/// follow the new.
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

	async fn upgrade(&self, before: u64) -> Result<u64> {
		let wasm = self.next_runtime()?;
		let (alice, bob, charlie) = (self.key("Alice")?, self.key("Bob")?, self.key("Charlie")?);
		let proposed =
			self.gonka(&["gov", "propose", "upgrade", &wasm, "--key", &alice, "--deposit", "--yes", "--json"]).await?;
		let proposed: serde_json::Value = serde_json::from_str(&proposed)?;
		let index = proposed["referendum"].as_u64().with_context(|| format!("no referendum: {proposed}"))?.to_string();
		for key in [&alice, &bob, &charlie] {
			println!("{}", self.gonka(&["gov", "vote", &index, "aye", "--key", key]).await?);
		}
		println!("{}", self.gonka(&["gov", "show", &index]).await?);
		until("the enactment", REFERENDUM, || async {
			let shown = self.gonka(&["gov", "show", &index, "--json"]).await?;
			ensure!(shown.contains("\"enacted\""), "{shown}");
			Ok(())
		})
		.await?;
		// Whether the command is told in time or not: nodes are busy compiling then. What counts is what they run.
		until("all nodes to run it", REFERENDUM, || async {
			for url in &self.devnet.urls().nodes {
				let node = Node::connect(url).await?;
				let version = self.spec_version(&node).await?;
				if version == before {
					println!("{:?}", self.gonka(&["gov", "apply", &wasm, "--key", &alice]).await);
				}
				ensure!(version == before + 1, "{url} runs {version}");
			}
			Ok(())
		})
		.await?;
		// And it is finalised, and goes on.
		let from = self.node.height(true).await?;
		until("20 more finalized blocks", EPOCH, || async {
			let now = self.node.height(true).await?;
			ensure!(now >= from + 20, "from {from} to {now}");
			Ok(())
		})
		.await?;
		self.spec_version(&self.node).await
	}

	/// Asks again and again; how often it was answered.
	async fn requests_until(&self, done: &AtomicBool) -> Result<u32> {
		let urls = self.devnet.urls();
		let models = self.chain.models().await?;
		let model = String::from_utf8(models.first().context("no model")?.name.clone())?;
		let body = serde_json::json!({
			"model": model, "max_tokens": 8, "messages": [{ "role": "user", "content": "What is a blockchain?" }],
		});
		let url = format!("{}/v1/chat/completions", urls.gateway);
		let mut served = 0;
		while !done.load(Ordering::Relaxed) {
			let answer = http::post(&url, &urls.api_key, &body.to_string()).await?;
			ensure!(answer.status == 200, "a request failed while the runtime was upgraded: {answer:?}");
			served += 1;
		}
		Ok(served)
	}

	async fn spec_version(&self, node: &Node) -> Result<u64> {
		let version: serde_json::Value = node.ask("state_getRuntimeVersion", serde_json::json!([])).await?;
		version["specVersion"].as_u64().context("no spec version")
	}

	/// The runtime after this one, which is built beside it for test networks.
	fn next_runtime(&self) -> Result<String> {
		let node = find_or_build(Engine::Mock)?.node;
		let folder = node.parent().context("the node is in a folder")?.join("wbuild/gonka-runtime");
		let wasm = folder.join("gonka_runtime_next.wasm");
		ensure!(wasm.exists(), "{} is missing: build the workspace with fast-runtime", wasm.display());
		Ok(wasm.display().to_string())
	}
}
