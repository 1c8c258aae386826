//! A network with a gateway, and what became of its hosts.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use gonka::devnet::{Binaries, Engine, find_or_build};
use gonka_client::{
	chain::Chain,
	keys::{self, ss58},
};
use gonka_e2e::{
	blocks::settlements,
	judgements::{Judgement, judgements},
	network::{Gateway, Network, Worker},
	node::Node,
	step, until,
};
use gonka_primitives::{AccountId, Balance, GNK, sampling::Outcome};
use std::{
	collections::{BTreeMap, BTreeSet},
	path::Path,
	time::Duration,
};

/// Long enough for two epochs of two minutes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(480);
/// What each host pledges.
pub const COLLATERAL: Balance = 1_000 * GNK;
/// Who pays for requests.
const DEVELOPER: &str = "Dave";
/// Leaves a second of every host: all weigh about the same.
const RATE: u32 = 12;

/// A host: its name, and how it cheats, if it does.
pub type Role = (&'static str, Option<&'static str>);

/// A running network.
pub struct World {
	pub chain: Chain,
	pub node: Node,
	/// Where its programs write.
	network: Network,
	gateway: Gateway,
	hosts: Vec<(&'static str, AccountId)>,
	/// Base units that the developer could spend when its channels were open.
	funds: Balance,
	/// Requests so far.
	pub asked: u32,
	/// What happened so far, with its block.
	pub events: Vec<(u32, Judgement)>,
	next: u32,
}

impl World {
	/// Starts a network of these hosts, and waits until all of them have weight and the gateway has channels to them.
	/// `model`: what they serve; without one they make answers up.
	pub async fn start(roles: &[Role], model: Option<&Path>) -> Result<Self> {
		step("start: hosts with collateral and weight, and a gateway");
		let Binaries { node, worker, gateway } = find_or_build(Engine::Torch)?;
		let mut network = Network::start(&node, Path::new(env!("CARGO_TARGET_TMPDIR"))).await?;
		let hostile = Path::new(env!("CARGO_BIN_EXE_hostile-worker"));
		let workers: Vec<_> = roles
			.iter()
			.map(|(name, first)| {
				let program = if first.is_some() { hostile } else { &worker };
				Worker { name, program, first: *first, rate: RATE, model }
			})
			.collect();
		let accounts = network.add(&workers).await?;
		let hosts: Vec<_> = roles.iter().map(|(name, _)| *name).zip(accounts).collect();
		let (chain, node) = (Chain::connect(network.url()).await?, Node::connect(network.url()).await?);
		let rich = keys::from_uri("//Alice")?;
		for (name, account) in &hosts {
			chain.transfer(&rich, account, COLLATERAL + GNK).await?;
			chain.deposit_collateral(&keys::from_uri(&format!("//{name}"))?, COLLATERAL).await?;
		}
		until("everybody's weight", PATIENCE, || async {
			let weights: Vec<u64> = chain.hosts().await?.iter().map(|host| host.weight).collect();
			ensure!(weights.len() == hosts.len() && weights.iter().all(|weight| *weight > 0), "{weights:?}");
			println!("weights {weights:?} in block {}", chain.best().await?.number);
			Ok(())
		})
		.await?;
		let gateway = network.gateway(&gateway, DEVELOPER, hosts.len()).await?;
		let developer = keys::public(&keys::from_uri(&format!("//{DEVELOPER}"))?);
		let funds = chain.free_balance(&developer).await?;
		Ok(Self { chain, node, network, gateway, hosts, funds, asked: 0, events: Vec::new(), next: 1 })
	}

	/// Ends everything.
	pub fn stop(self) {
		self.network.stop();
	}

	/// A host's account.
	pub fn host(&self, name: &str) -> Result<AccountId> {
		let found = self.hosts.iter().find(|(host, _)| *host == name);
		Ok(found.with_context(|| format!("there is no {name}"))?.1)
	}

	/// A host's name.
	pub fn name(&self, account: &AccountId) -> &'static str {
		self.hosts.iter().find(|(_, host)| host == account).map_or("a stranger", |(name, _)| name)
	}

	/// Asks for so many answers of at most so many tokens, each about something else; all must succeed. Who answered.
	pub async fn ask(&mut self, requests: u32, max_tokens: u32) -> Result<BTreeMap<&'static str, u32>> {
		let first = self.asked;
		self.asked += requests;
		let this = &*self;
		let answered =
			stream::iter(first..self.asked).map(|number| this.request(number, max_tokens)).buffer_unordered(4);
		let mut counts = BTreeMap::new();
		for host in answered.try_collect::<Vec<_>>().await? {
			*counts.entry(host).or_insert(0) += 1;
		}
		self.network.all_run()?;
		Ok(counts)
	}

	/// One answer; who gave it.
	async fn request(&self, number: u32, max_tokens: u32) -> Result<&'static str> {
		let temperature = [0.0, 0.7, 1.0][number as usize % 3];
		let body = serde_json::json!({
			"model": "SmolLM2-135M-Instruct",
			// Short, since each is replayed by a checker.
			"messages": [{ "role": "system", "content": "Count." }, { "role": "user", "content": number.to_string() }],
			"max_tokens": max_tokens,
			"ignore_eos": true,
			"temperature": temperature,
			"seed": number,
		});
		let answer = self.gateway.post("/v1/chat/completions", &body).await?;
		ensure!(answer.status == 200, "request {number}: {answer:?}");
		let who = answer.header("x-gnk-worker").context("nobody says who answered")?;
		// Headers were made lower case.
		let host = self.hosts.iter().find(|(_, account)| ss58(account).to_lowercase() == who);
		Ok(host.with_context(|| format!("request {number} was answered by {who}"))?.0)
	}

	/// How many hosts the gateway asks.
	pub async fn asked_hosts(&self) -> Result<usize> {
		let models = self.gateway.get("/v1/models").await?;
		let hosts = models.body.pointer("/data/0/hosts").and_then(serde_json::Value::as_u64);
		Ok(usize::try_from(hosts.with_context(|| format!("no hosts: {models:?}"))?)?)
	}

	/// Reads what happened since the last time.
	pub async fn read(&mut self) -> Result<()> {
		let best = self.chain.best().await?.number;
		for (block, event) in judgements(&self.node, self.next, best).await? {
			if let Some(text) = self.told(&event) {
				println!("block {block}: {text}");
			}
			self.events.push((block, event));
		}
		self.next = best + 1;
		self.network.all_run()
	}

	fn told(&self, event: &Judgement) -> Option<String> {
		let name = |host| self.name(host);
		Some(match event {
			Judgement::Opened { case, host } => format!("case {case} against {}", name(host)),
			Judgement::Ruled { case, arbiter, outcome } => format!("case {case}: {} finds {outcome:?}", name(arbiter)),
			Judgement::Closed { case, host, outcome } => format!("case {case}: {} is {outcome:?}", name(host)),
			Judgement::Struck { host, case } => format!("case {case}: {} is struck", name(host)),
			Judgement::Slashed { host, offence, amount } => {
				format!("{} loses {amount} base units for {offence:?}", name(host))
			},
			Judgement::Refunded { host, window, amount } => {
				format!("{amount} base units of {} for window {window} go back", name(host))
			},
			Judgement::Released { .. } => return None,
		})
	}

	/// Goes on asking, an answer at a time, until `look` finds what it looks for in what happened.
	pub async fn ask_until<T>(&mut self, what: &str, max_tokens: u32, look: impl Fn(&Self) -> Option<T>) -> Result<T> {
		let deadline = tokio::time::Instant::now() + PATIENCE;
		loop {
			self.read().await?;
			if let Some(found) = look(self) {
				return Ok(found);
			}
			ensure!(tokio::time::Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
			self.ask(1, max_tokens).await?;
		}
	}

	/// The cases, by number: against whom, and how they ended.
	pub fn cases(&self) -> BTreeMap<u32, (&'static str, Option<Outcome>)> {
		let mut cases = BTreeMap::new();
		for (_, event) in &self.events {
			match event {
				Judgement::Opened { case, host } => {
					cases.insert(*case, (self.name(host), None));
				},
				Judgement::Closed { case, host, outcome } => {
					cases.insert(*case, (self.name(host), Some(*outcome)));
				},
				_ => {},
			}
		}
		cases
	}

	/// The block in which a host was first found guilty.
	pub fn convicted(&self, name: &str) -> Option<u32> {
		self.events.iter().find_map(|(block, event)| match event {
			Judgement::Closed { host, outcome: Outcome::Guilty, .. } if self.name(host) == name => Some(*block),
			_ => None,
		})
	}

	/// Who was struck.
	pub fn struck(&self) -> BTreeSet<&'static str> {
		let struck = self.events.iter().filter_map(|(_, event)| match event {
			Judgement::Struck { host, .. } => Some(self.name(host)),
			_ => None,
		});
		struck.collect()
	}

	/// The fees that a host settled in blocks up to `last`, by window: not those of nothing.
	pub async fn fees(&self, name: &str, last: u32) -> Result<BTreeMap<u32, Balance>> {
		let host = self.host(name)?;
		let all = settlements(&self.node, 1, last).await?.into_iter().map(|(settlement, _)| settlement);
		let of_host = all.filter(|settlement| settlement.host == host);
		Ok(of_host.map(|settlement| (settlement.window, settlement.root.sum.fee)).collect())
	}

	/// The fees of a host that went back to developers, by window.
	pub fn refunded(&self, name: &str) -> BTreeMap<u32, Balance> {
		self.paid(name, |event| match event {
			Judgement::Refunded { host, window, amount } => Some((*host, *window, *amount)),
			_ => None,
		})
	}

	/// The fees that were paid to a host, by window.
	pub fn released(&self, name: &str) -> BTreeMap<u32, Balance> {
		self.paid(name, |event| match event {
			Judgement::Released { host, window, amount } => Some((*host, *window, *amount)),
			_ => None,
		})
	}

	fn paid(
		&self,
		name: &str,
		pick: impl Fn(&Judgement) -> Option<(AccountId, u32, Balance)>,
	) -> BTreeMap<u32, Balance> {
		let all = self.events.iter().filter_map(|(_, event)| pick(event));
		all.filter(|(host, ..)| self.name(host) == name).map(|(_, window, amount)| (window, amount)).collect()
	}

	/// Base units that came back to the developer since its channels were open.
	pub async fn came_back(&self) -> Result<Balance> {
		let developer = keys::public(&keys::from_uri(&format!("//{DEVELOPER}"))?);
		Ok(self.chain.free_balance(&developer).await?.saturating_sub(self.funds))
	}

	/// Waits until the chain has settled every request.
	pub async fn until_settled(&self) -> Result<()> {
		let developer = keys::public(&keys::from_uri(&format!("//{DEVELOPER}"))?);
		until("every answer to be settled", PATIENCE, || async {
			let channels = self.chain.channels(&developer).await?;
			let settled: u64 = channels.iter().map(|channel| channel.settled.receipts).sum();
			// Of an answer that another host went on with, both have a receipt.
			ensure!(settled >= u64::from(self.asked), "{settled} of {}", self.asked);
			Ok(())
		})
		.await
	}
}
