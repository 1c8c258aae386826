//! Bad input: a clear error each, no panic, no lost state.

use super::*;
use gonka_client::{chain::Error, wire};
use gonka_primitives::{
	epoch::Phase,
	host::{Commitment, SegmentCommitment},
	market::{SignedVoucher, Voucher},
};

impl Scenario {
	/// What a developer can get wrong.
	pub async fn bad_requests_get_clear_errors(&mut self) -> Result<()> {
		step("bad requests: unknown model, long context, malformed JSON, wrong key, no funds, occupied port");
		let urls = self.devnet.urls().clone();
		let url = format!("{}/v1/chat/completions", urls.gateway);
		let ask = |model: &str, content: &str| {
			serde_json::json!({ "model": model, "messages": [{ "role": "user", "content": content }] }).to_string()
		};
		let long = "word ".repeat(9_000);
		for (what, key, body, status, code) in [
			("unknown model", urls.api_key.as_str(), ask("gpt-0", "Hi"), 404, "model_not_found"),
			("long context", &urls.api_key, ask(MODEL, &long), 400, "context_length_exceeded"),
			("malformed JSON", &urls.api_key, "{\"model\": ".into(), 400, ""),
			("wrong key", "sk-wrong", ask(MODEL, "Hi"), 401, "invalid_api_key"),
		] {
			let answer = http::post(&url, key, &body).await?;
			ensure!(answer.status == status, "{what}: {answer:?}");
			if !code.is_empty() {
				ensure!(answer.error_code()? == code, "{what}: {answer:?}");
			}
			println!("{what}: {status} {}", answer.body["error"]["message"]);
		}

		let listen = urls.gateway.trim_start_matches("http://");
		let output = self.gateway("occupied", listen)?.output().await?;
		let text = [output.stdout, output.stderr].concat();
		let text = String::from_utf8_lossy(&text);
		ensure!(!output.status.success() && text.contains(listen), "an occupied port: {text}");
		println!("occupied port: {}", text.lines().last().unwrap_or_default());

		let mut poor = self.gateway("poor", "127.0.0.1:0")?.stdout(Stdio::piped()).spawn()?;
		let address = listening(&mut poor).await?;
		let answer = until("the gateway without funds to answer", Duration::from_secs(60), || async {
			let answer = http::post(&format!("{address}/v1/chat/completions"), "sk-x", &ask(MODEL, "Hi")).await?;
			ensure!(answer.status == 429, "{answer:?}");
			Ok(answer)
		})
		.await?;
		ensure!(answer.error_code()? == "insufficient_quota", "{answer:?}");
		println!("no funds: 429 {}", answer.body["error"]["message"]);
		poor.kill().await?;
		ensure!(self.complete("Still there?", 2).await?.status == 200, "the devnet's own gateway goes on");
		Ok(())
	}

	/// A gateway of an account without funds, in its own folder.
	fn gateway(&self, name: &str, listen: &str) -> Result<Command> {
		let folder = self.folder.path().join(name);
		std::fs::create_dir_all(&folder)?;
		let (key, api_keys) = (folder.join("key"), folder.join("api-keys"));
		keys::generate_to(&key)?;
		std::fs::write(&api_keys, "test:sk-x\n")?;
		let mut command = Command::new(self.binary("gateway")?);
		let node = self.devnet.urls().nodes.first().context("no node")?;
		command.args(["--node", node, "--listen", listen]);
		command.arg("--key").arg(key).arg("--api-keys").arg(api_keys).arg("--base-path").arg(folder.join("state"));
		command.kill_on_drop(true).stdin(Stdio::null());
		Ok(command)
	}

	/// What a stranger or a confused host can send to the chain.
	pub async fn bad_transactions_are_refused(&mut self) -> Result<()> {
		step("bad transactions: out of phase, twice, unregistered, a voucher with a lower total");
		let stranger = keys::from_uri("//Stranger")?;
		let alice = keys::public(&keys::from_uri("//Alice")?);
		let commitment = |host, epoch, segment| SegmentCommitment {
			host,
			epoch,
			segment,
			commitment: Commitment { count: 1, root: [1; 32] },
		};
		let send = async |commitment: SegmentCommitment| {
			let payload = signing_payload(domain::COMMITMENT, &self.chain.genesis(), &commitment);
			match self.chain.submit_commitment(commitment, keys::sign(&stranger, &payload)).await {
				Err(Error::Refused { code: Some(code), explanation, .. }) => {
					println!("code {code}: {explanation}");
					Ok(code)
				},
				other => Err(anyhow::anyhow!("not refused: {other:?}")),
			}
		};
		let epoch = self.chain.epoch().await?.index;
		ensure!(send(commitment(alice, epoch + 7, 0)).await? == 2, "out of phase");

		// Within a commitment window, after Alice's worker has used the slot.
		until("a commitment window", EPOCH, || async {
			let view = self.chain.epoch().await?;
			let (offset, schedule) = (view.block - view.start, view.schedule);
			let takes = |segment: &u8| schedule.takes_commitment(*segment, &view.confirmations, offset + 1);
			let open = (0..schedule.segments).find(takes);
			let segment = open.context("no window is open")?;
			let taken = self.chain.commitments(view.index, &alice).await?;
			ensure!(taken.iter().any(|(other, _)| *other == segment), "Alice has not committed");
			ensure!(send(commitment(alice, view.index, segment)).await? == 3, "twice");
			ensure!(send(commitment(keys::public(&stranger), view.index, segment)).await? == 6, "unregistered");
			Ok(())
		})
		.await?;

		let channels = self.chain.channels(&keys::public(&self.developer)).await?;
		let channel = channels.iter().find(|channel| channel.host == alice).context("no channel to Alice")?;
		let voucher = Voucher { channel: channel.id, totals: Totals::default() };
		let signature = keys::sign(&self.developer, &signing_payload(domain::VOUCHER, &self.chain.genesis(), &voucher));
		let lower = wire::Acknowledgement {
			voucher: wire::Scale(SignedVoucher { voucher, signature }),
			receipts: vec![wire::Scale([3; 32])],
		};
		let worker = self.devnet.urls().workers.first().context("no worker")?;
		let url = format!("{worker}{}", wire::VOUCHERS_PATH);
		let answer = http::post(&url, "none", &serde_json::to_string(&lower)?).await?;
		ensure!(answer.status == 409, "{answer:?}");
		println!("lower voucher: 409 {}", answer.body["error"]["message"]);
		Ok(())
	}

	/// Waits until the sprint is in its middle.
	pub(super) async fn until_mid_sprint(&self) -> Result<u32> {
		until("the middle of a sprint", EPOCH, || async {
			let view = self.chain.epoch().await?;
			ensure!(view.phase == Phase::Sprint(1), "phase {:?}", view.phase);
			Ok(view.index)
		})
		.await
	}
}

/// The address that a gateway says it listens on.
async fn listening(child: &mut tokio::process::Child) -> Result<String> {
	use tokio::io::{AsyncBufReadExt, BufReader};
	let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
	let wait = async {
		while let Some(line) = lines.next_line().await? {
			if let Some((_, address)) = line.split_once("listening on ") {
				return Ok(address.trim().to_owned());
			}
		}
		anyhow::bail!("it ended without listening")
	};
	tokio::time::timeout(Duration::from_secs(60), wait).await?
}
