//! Bad requests and transactions each get a clear error, without a panic or lost state.

use super::*;
use gonka_client::{chain::Error, worker_api};
use gonka_primitives::{
	host::{Commitment, SegmentCommitment},
	market::{SignedVoucher, Voucher},
};

impl Scenario {
	/// Mistakes of a developer get an HTTP status, a code and a message.
	pub async fn bad_requests_get_clear_errors(&mut self) -> Result<()> {
		step("bad requests: unknown model, long context, malformed JSON, wrong key, no funds, occupied port");
		let urls = self.devnet.urls().clone();
		let url = format!("{}/v1/chat/completions", urls.gateway);
		let body = |model: &str, content: &str| {
			serde_json::json!({ "model": model, "messages": [{ "role": "user", "content": content }] }).to_string()
		};
		let long = "word ".repeat(9_000);
		for (what, key, request, status, code) in [
			("unknown model", urls.api_key.as_str(), body("gpt-0", "Hi"), 404, "model_not_found"),
			("long context", &urls.api_key, body(MODEL, &long), 400, "context_length_exceeded"),
			("malformed JSON", &urls.api_key, "{\"model\": ".into(), 400, ""),
			("wrong key", "sk-wrong", body(MODEL, "Hi"), 401, "invalid_api_key"),
		] {
			let response = http::post(&url, key, &request).await?;
			ensure!(response.status == status, "{what}: {response:?}");
			if !code.is_empty() {
				ensure!(response.error_code()? == code, "{what}: {response:?}");
			}
			println!("{what}: {status} {}", response.body["error"]["message"]);
		}

		let listen = urls.gateway.trim_start_matches("http://");
		let output = self.gateway("occupied", listen)?.output().await?;
		let text = [output.stdout, output.stderr].concat();
		let text = String::from_utf8_lossy(&text);
		ensure!(!output.status.success() && text.contains(listen), "an occupied port: {text}");
		println!("occupied port: {}", text.lines().last().unwrap_or_default());

		let mut poor = self.gateway("poor", "127.0.0.1:0")?.stdout(Stdio::piped()).spawn()?;
		let address = listening(&mut poor).await?;
		let response = until("the gateway without funds to reject a request", || async {
			let response = http::post(&format!("{address}/v1/chat/completions"), "sk-x", &body(MODEL, "Hi")).await?;
			ensure!(response.status == 429, "{response:?}");
			Ok(response)
		})
		.await?;
		ensure!(response.error_code()? == "insufficient_quota", "{response:?}");
		println!("no funds: 429 {}", response.body["error"]["message"]);
		poor.kill().await?;
		ensure!(self.complete("Still there?", 2).await?.status == 200, "the devnet's own gateway stopped serving");
		Ok(())
	}

	/// The command for a gateway of an account without funds, in its own folder.
	fn gateway(&self, name: &str, listen: &str) -> Result<Command> {
		let folder = self.folder.path().join(name);
		std::fs::create_dir_all(&folder)?;
		let (key, api_keys) = (folder.join("key"), folder.join("api-keys"));
		keys::generate_to(&key)?;
		std::fs::write(&api_keys, "test:sk-x\n")?;
		let mut command = Command::new(self.binary("gateway")?);
		let node = self.devnet.urls().nodes.first().context("no node")?;
		command.args(["--node", node, "--listen", listen, "--allow-private-addresses"]);
		command.arg("--key").arg(key).arg("--api-keys").arg(api_keys).arg("--base-path").arg(folder.join("state"));
		command.kill_on_drop(true).stdin(Stdio::null());
		Ok(command)
	}

	/// Transactions that break a rule get a validity error, and a voucher with a lower total an HTTP error.
	pub async fn bad_transactions_are_rejected(&mut self) -> Result<()> {
		step("bad transactions: out of phase, twice, unregistered, a voucher with a lower total");
		let unregistered = keys::from_uri("//Unregistered")?;
		let alice = account("//Alice")?;
		let commitment = |host, epoch, segment| SegmentCommitment {
			host,
			epoch,
			segment,
			commitment: Commitment { count: 1, root: [1; 32] },
		};
		let send = async |commitment: SegmentCommitment| {
			let payload = signing_payload(domain::COMMITMENT, &self.chain.genesis(), &commitment);
			match self.chain.submit_commitment(commitment, keys::sign(&unregistered, &payload)).await {
				Err(Error::Refused { code: Some(code), explanation, .. }) => {
					println!("code {code}: {explanation}");
					Ok(code)
				},
				other => Err(anyhow::anyhow!("not rejected: {other:?}")),
			}
		};
		let epoch = self.chain.epoch().await?.index;
		ensure!(send(commitment(alice, epoch + 7, 0)).await? == 2, "out of phase");

		// The window must be open, and Alice's worker must have committed in it.
		until("a commitment window", || async {
			let view = self.chain.epoch().await?;
			let (offset, schedule) = (view.block - view.start, view.schedule);
			let takes = |segment: &u8| schedule.takes_commitment(*segment, &view.confirmations, offset + 1);
			let open = (0..schedule.segments).find(takes);
			let segment = open.context("no commitment window is open")?;
			let taken = self.chain.commitments(view.index, &alice).await?;
			ensure!(taken.iter().any(|(other, _)| *other == segment), "Alice has not committed");
			ensure!(send(commitment(alice, view.index, segment)).await? == 3, "twice");
			ensure!(send(commitment(keys::public(&unregistered), view.index, segment)).await? == 6, "unregistered");
			Ok(())
		})
		.await?;

		let channels = self.chain.channels(&keys::public(&self.developer)).await?;
		let channel = channels.iter().find(|channel| channel.host == alice).context("no channel to Alice")?;
		let voucher = Voucher { channel: channel.id, totals: Totals::default() };
		let signature = keys::sign(&self.developer, &signing_payload(domain::VOUCHER, &self.chain.genesis(), &voucher));
		let lower = worker_api::Acknowledgement {
			voucher: worker_api::Scale(SignedVoucher { voucher, signature }),
			receipts: vec![worker_api::Scale([3; 32])],
		};
		let worker = self.devnet.urls().workers.first().context("no worker")?;
		let url = format!("{worker}{}", worker_api::VOUCHERS_PATH);
		let response = http::post(&url, "none", &serde_json::to_string(&lower)?).await?;
		ensure!(response.status == 409, "{response:?}");
		println!("lower voucher: 409 {}", response.body["error"]["message"]);
		Ok(())
	}
}

/// Reads the address on which a gateway listens from its output.
async fn listening(child: &mut tokio::process::Child) -> Result<String> {
	use tokio::io::{AsyncBufReadExt, BufReader};
	let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
	let wait = async {
		while let Some(line) = lines.next_line().await? {
			if let Some((_, address)) = line.split_once("listening on ") {
				return Ok(address.trim().to_owned());
			}
		}
		bail!("the gateway ended before it listened")
	};
	tokio::time::timeout(PATIENCE, wait).await?
}
