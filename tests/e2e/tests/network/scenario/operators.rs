//! New nodes: warp sync, from genesis and from a checkpoint, and copies of blocks. RPC methods for everybody.

use super::*;
use serde_json::{Value, json};

/// A node that joined the network.
struct NewNode {
	/// The process ends when this is dropped.
	_process: tokio::process::Child,
	url: String,
	log: PathBuf,
}

impl NewNode {
	fn log(&self) -> Result<String> {
		Ok(std::fs::read_to_string(&self.log)?)
	}

	/// Waits until the node has finalised block `target`. Returns its height and its runtime's set id.
	async fn reaches(&self, target: u32) -> Result<(u32, u64)> {
		until("the new node to reach the finalized head", || async {
			let node = Node::connect(&self.url).await?;
			let (height, set) = (node.height(true).await?, node.runtime_set_id().await?);
			ensure!(height >= target, "at {height} of {target}");
			Ok((height, set))
		})
		.await
		.with_context(|| self.log().unwrap_or_default().lines().rev().take(20).collect::<Vec<_>>().join("\n"))
	}
}

impl Scenario {
	/// A new node warp-syncs across at least three changes of weight.
	pub async fn new_node_warp_syncs(&self) -> Result<()> {
		step("a new node warp-syncs across at least three changes of the authority set");
		let set = until("three changes of weight", || async {
			let set = self.node.runtime_set_id().await?;
			ensure!(set >= 3, "set id {set}");
			Ok(set)
		})
		.await?;
		until("client and runtime to agree on the set id", || async {
			let (client, runtime) = (self.node.client_set_id().await?, self.node.runtime_set_id().await?);
			ensure!(client == runtime, "client {client}, runtime {runtime}");
			Ok(())
		})
		.await?;
		let target = self.node.height(true).await?;
		let node = self.join("warp", &["--chain", "local", "--sync", "warp"]).await?;
		let (height, its) = node.reaches(target).await?;
		ensure!(its >= set, "the new node is at set {its}, the others at {set}");
		let log = node.log()?;
		ensure!(log.to_lowercase().contains("warp sync is complete"), "the new node did not warp-sync:\n{log}");
		println!("block {height}, set id {its}");
		Ok(())
	}

	/// Warp sync begins at the checkpoint of a specification: a chain that others than its voters finalised is rejected. The
	/// node that follows serves safe RPC methods only.
	pub async fn a_checkpoint_binds_new_nodes(&self) -> Result<()> {
		step("a checkpoint binds new nodes, and one of them serves safe RPC methods only");
		let url = self.devnet.urls().nodes.first().context("no node")?.replacen("ws", "http", 1);
		let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "sync_state_genSyncSpec", "params": [true] });
		let mut spec = http::post(&url, "none", &call.to_string()).await?.body["result"].take();
		let published = self.write("checkpoint.json", &spec)?;
		// Another voter: one key with the weight 1, set 0, no changes.
		ensure!(spec["lightSyncState"]["grandpaAuthoritySet"].is_string(), "no checkpoint");
		spec["lightSyncState"]["grandpaAuthoritySet"] = format!("0x04{:064x}01{:038}", 1, 0).into();
		let other = self.write("other-checkpoint.json", &spec)?;

		let target = self.node.height(true).await?;
		let safe = self.join("safe", &["--chain", &published, "--sync", "warp", "--rpc-methods", "safe"]).await?;
		let lost = self.join("lost", &["--chain", &other, "--sync", "warp", "-lsync=debug"]).await?;
		let (height, _) = safe.reaches(target).await?;
		let log = safe.log()?;
		for expected in ["The specification has a checkpoint", "Warp sync is complete"] {
			ensure!(log.contains(expected), "no `{expected}`:\n{log}");
		}
		println!("block {height} from the checkpoint");
		let height = until("proofs to contradict the other checkpoint", || async {
			ensure!(lost.log()?.contains("Bad warp proof response"), "no proof was rejected");
			Node::connect(&lost.url).await?.height(true).await
		})
		.await?;
		ensure!(height == 0, "block {height} is final for the node with another checkpoint");

		let node = Node::connect(&safe.url).await?;
		let owner = format!("0x{}", hex::encode(account("//Alice")?));
		for (method, parameters) in [
			("author_rotateKeys", json!([])),
			("author_rotateKeysWithOwner", json!([owner])),
			("author_insertKey", json!(["babe", "//Alice", owner])),
			("babe_epochAuthorship", json!([])),
			("sync_state_genSyncSpec", json!([true])),
			("system_addReservedPeer", json!([self.node.bootnode().await?])),
			("system_dryRun", json!(["0x00"])),
			("system_peers", json!([])),
		] {
			let error =
				node.request::<Value>(method, parameters).await.err().with_context(|| format!("{method} is served"))?;
			let error = format!("{error:#}");
			ensure!(error.contains("unsafe to be called externally"), "{method}: {error}");
		}
		Ok(())
	}

	/// The blocks of a validator that is down are exported, and a new node imports them and follows. A node that warp-synced
	/// has no bodies to export, and says so.
	pub async fn blocks_of_a_stopped_node_start_another(&self, stopped: &str) -> Result<()> {
		step("the blocks of a stopped node are exported and imported");
		let source = self.devnet.base_path().join("nodes").join(stopped);
		let target = self.folder.path().join("imported");
		let blocks = self.folder.path().join("blocks.bin").display().to_string();
		let before: Value = serde_json::from_str(&self.offline(&source, &["chain-info"]).await?)?;
		let last = before["finalized_number"].to_string();
		self.offline(&source, &["export-blocks", "--binary", "--to", &last, &blocks]).await?;
		self.offline(&target, &["import-blocks", "--binary", &blocks]).await?;
		let after: Value = serde_json::from_str(&self.offline(&target, &["chain-info"]).await?)?;
		ensure!(after["best_hash"] == before["finalized_hash"], "{after} of {before}");
		println!("{last} blocks were imported");

		let warp = self.folder.path().join("warp");
		let error = self.offline(&warp, &["export-blocks", &blocks]).await.err().context("bodies were exported")?;
		ensure!(format!("{error:#}").contains("no body of block 1"), "{error:#}");

		let height = self.node.height(true).await?;
		let (height, _) = self.join("imported", &["--chain", "local"]).await?.reaches(height).await?;
		println!("the new node follows at block {height}");
		Ok(())
	}

	/// Starts a node in the folder `name`, new or of a node that has ended; its bootnode is the first node.
	async fn join(&self, name: &str, arguments: &[&str]) -> Result<NewNode> {
		let [port] = free_ports(1)?[..] else { bail!("one port is needed") };
		let log = self.folder.path().join(format!("{name}.log"));
		let process = Command::new(self.binary("node")?)
			.args(arguments)
			.args(["--no-telemetry", "--no-prometheus", "--no-mdns"])
			.args(["--listen-addr", "/ip4/127.0.0.1/tcp/0", "--rpc-port", &port.to_string()])
			.args(["--bootnodes", &self.node.bootnode().await?])
			.arg("--base-path")
			.arg(self.folder.path().join(name))
			.stdin(Stdio::null())
			.stdout(Stdio::null())
			.stderr(std::fs::File::create(&log)?)
			.kill_on_drop(true)
			.spawn()?;
		Ok(NewNode { _process: process, url: format!("ws://127.0.0.1:{port}"), log })
	}

	/// Runs a command of the node on the chain in `base`, which no other process has open. Returns its output.
	async fn offline(&self, base: &Path, arguments: &[&str]) -> Result<String> {
		let output = Command::new(self.binary("node")?)
			.args(arguments)
			.args(["--chain", "local", "--base-path"])
			.arg(base)
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output()
			.await?;
		let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
		ensure!(output.status.success(), "{}: {err}", arguments.join(" "));
		Ok(out)
	}

	/// Writes a specification to a file, and returns its path.
	fn write(&self, name: &str, spec: &Value) -> Result<String> {
		let path = self.folder.path().join(name);
		std::fs::write(&path, serde_json::to_vec(spec)?)?;
		Ok(path.display().to_string())
	}
}
