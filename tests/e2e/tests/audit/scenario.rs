//! A network with a gateway, and the record of what became of its hosts.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use gonka::devnet::{Binaries, Engine, Parachain, find_or_build};
use gonka_client::{
	chain::Chain,
	keys::{self, ss58},
};
use gonka_e2e::{
	PATIENCE,
	audit_events::{AuditEvent, audit_events},
	blocks::settlements,
	network::{Gateway, Network, Worker},
	node::Node,
	step, until,
};
use gonka_primitives::{AccountId, Balance, GNK, audit::Outcome, check::Offence};
use std::{
	collections::{BTreeMap, BTreeSet},
	path::Path,
};

/// Collateral of each host.
pub const COLLATERAL: Balance = 1_000 * GNK;
/// Name of the developer, who pays for requests.
const DEVELOPER: &str = "Dave";
/// Sprint rate of every host, in leaves a second; all have about the same weight.
const RATE: u32 = 12;

/// A host's name, and how it cheats, if it does.
pub type Role = (&'static str, Option<&'static str>);

/// A running network.
pub struct Scenario {
	pub chain: Chain,
	pub node: Node,
	network: Network,
	gateway: Gateway,
	hosts: Vec<(&'static str, AccountId)>,
	/// The developer's free balance after its channels were opened, in base units.
	funds: Balance,
	/// Requests sent so far.
	pub sent: u32,
	/// Events so far, each with its block's number.
	pub events: Vec<(u32, AuditEvent)>,
	next: u32,
}

impl Scenario {
	/// Starts a network of these hosts, and waits until all of them have weight and the gateway has channels to them.
	/// They serve the model in the file `model`, or random completions without one. The chain is the `parachain`, if there is one.
	pub async fn start(roles: &[Role], model: Option<&Path>, parachain: Option<&Parachain>) -> Result<Self> {
		step("start: hosts with collateral and weight, and a gateway");
		let Binaries { node, worker, gateway } = find_or_build(Engine::Llama)?;
		let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
		let mut network = match parachain {
			Some(parachain) => Network::start_parachain(parachain, folder).await?,
			None => Network::start(&node, folder).await?,
		};
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
		until("all hosts to have weight", || async {
			let weights: Vec<u64> = chain.hosts().await?.iter().map(|host| host.effective_weight).collect();
			ensure!(weights.len() == hosts.len() && weights.iter().all(|weight| *weight > 0), "{weights:?}");
			println!("weights {weights:?} in block {}", chain.best().await?.number);
			Ok(())
		})
		.await?;
		let gateway = network.gateway(&gateway, DEVELOPER, hosts.len()).await?;
		let developer = keys::public(&keys::from_uri(&format!("//{DEVELOPER}"))?);
		let funds = chain.free_balance(&developer).await?;
		Ok(Self { chain, node, network, gateway, hosts, funds, sent: 0, events: Vec::new(), next: 1 })
	}

	/// Ends all programs.
	pub fn stop(self) {
		self.network.stop();
	}

	/// The account of a host.
	pub fn host(&self, name: &str) -> Result<AccountId> {
		let found = self.hosts.iter().find(|(host, _)| *host == name);
		Ok(found.with_context(|| format!("there is no {name}"))?.1)
	}

	/// The name of a host.
	pub fn name(&self, account: &AccountId) -> &'static str {
		self.hosts.iter().find(|(_, host)| host == account).map_or("an unknown account", |(name, _)| name)
	}

	/// Sends requests, each with another prompt, and returns the number that each host served. Fails if one fails.
	pub async fn request(&mut self, requests: u32, max_tokens: u32) -> Result<BTreeMap<&'static str, u32>> {
		let first = self.sent;
		self.sent += requests;
		let this = &*self;
		let served =
			stream::iter(first..self.sent).map(|number| this.request_one(number, max_tokens)).buffer_unordered(4);
		let mut counts = BTreeMap::new();
		for host in served.try_collect::<Vec<_>>().await? {
			*counts.entry(host).or_insert(0) += 1;
		}
		self.network.all_run()?;
		Ok(counts)
	}

	/// Sends a request, and returns the host that served it.
	async fn request_one(&self, number: u32, max_tokens: u32) -> Result<&'static str> {
		let temperature = [0.0, 0.7, 1.0][number as usize % 3];
		let body = serde_json::json!({
			"model": "SmolLM2-135M-Instruct",
			// Short, since a checker computes it again.
			"messages": [{ "role": "system", "content": "Count." }, { "role": "user", "content": number.to_string() }],
			"max_tokens": max_tokens,
			"ignore_eos": true,
			"temperature": temperature,
			"seed": number,
		});
		let response = self.gateway.post("/v1/chat/completions", &body).await?;
		ensure!(response.status == 200, "request {number}: {response:?}");
		let worker = response.header("x-gnk-worker").context("no header x-gnk-worker")?;
		// The headers are in lower case.
		let host = self.hosts.iter().find(|(_, account)| ss58(account).to_lowercase() == worker);
		Ok(host.with_context(|| format!("an unknown host, {worker}, served request {number}"))?.0)
	}

	/// Number of hosts to which the gateway dispatches.
	pub async fn routed_hosts(&self) -> Result<usize> {
		let models = self.gateway.get("/v1/models").await?;
		let hosts = models.body.pointer("/data/0/hosts").and_then(serde_json::Value::as_u64);
		Ok(usize::try_from(hosts.with_context(|| format!("no hosts: {models:?}"))?)?)
	}

	/// Reads the events since the last time.
	pub async fn read_events(&mut self) -> Result<()> {
		let best = self.chain.best().await?.number;
		for (block, event) in audit_events(&self.node, self.next, best).await? {
			if let Some(text) = self.describe(&event) {
				println!("block {block}: {text}");
			}
			self.events.push((block, event));
		}
		self.next = best + 1;
		self.network.all_run()
	}

	fn describe(&self, event: &AuditEvent) -> Option<String> {
		let name = |host| self.name(host);
		Some(match event {
			AuditEvent::Opened { case, host } => format!("case {case} against {}", name(host)),
			AuditEvent::Ruled { case, arbiter, outcome } => format!("case {case}: {} rules {outcome:?}", name(arbiter)),
			AuditEvent::Closed { case, host, outcome } => format!("case {case}: {} is {outcome:?}", name(host)),
			AuditEvent::Discredited { host, case } => format!("case {case}: {} is discredited", name(host)),
			AuditEvent::Slashed { host, offence, amount } => {
				format!("{} loses {amount} base units for {offence:?}", name(host))
			},
			AuditEvent::Refunded { host, window, amount } => {
				format!("{amount} base units of {} for window {window} are refunded", name(host))
			},
			AuditEvent::Released { .. } => return None,
		})
	}

	/// Sends requests, one at a time, until `find` returns a value.
	pub async fn request_until<T>(
		&mut self,
		what: &str,
		max_tokens: u32,
		find: impl Fn(&Self) -> Option<T>,
	) -> Result<T> {
		let deadline = tokio::time::Instant::now() + PATIENCE;
		loop {
			self.read_events().await?;
			if let Some(found) = find(self) {
				return Ok(found);
			}
			ensure!(tokio::time::Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
			self.request(1, max_tokens).await?;
		}
	}

	/// The slashes of a host so far, in their order.
	pub fn slashes(&self, name: &str) -> Vec<(Offence, Balance)> {
		let slashes = self.events.iter().filter_map(|(_, event)| match event {
			AuditEvent::Slashed { host, offence, amount } if self.name(host) == name => Some((*offence, *amount)),
			_ => None,
		});
		slashes.collect()
	}

	/// The cases by number, each with its host and its outcome once it is closed.
	pub fn cases(&self) -> BTreeMap<u32, (&'static str, Option<Outcome>)> {
		let mut cases = BTreeMap::new();
		for (_, event) in &self.events {
			match event {
				AuditEvent::Opened { case, host } => {
					cases.insert(*case, (self.name(host), None));
				},
				AuditEvent::Closed { case, host, outcome } => {
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
			AuditEvent::Closed { host, outcome: Outcome::Guilty, .. } if self.name(host) == name => Some(*block),
			_ => None,
		})
	}

	/// The checkers that were discredited.
	pub fn discredited(&self) -> BTreeSet<&'static str> {
		let discredited = self.events.iter().filter_map(|(_, event)| match event {
			AuditEvent::Discredited { host, .. } => Some(self.name(host)),
			_ => None,
		});
		discredited.collect()
	}

	/// The fees that a host settled in blocks up to `last`, by window.
	pub async fn fees(&self, name: &str, last: u32) -> Result<BTreeMap<u32, Balance>> {
		let host = self.host(name)?;
		let all = settlements(&self.node, 1, last).await?.into_iter().map(|(settlement, _)| settlement);
		let of_host = all.filter(|settlement| settlement.host == host);
		Ok(of_host.map(|settlement| (settlement.window, settlement.root.sum.fee)).collect())
	}

	/// The fees of a host that went back to developers, by window.
	pub fn refunded(&self, name: &str) -> BTreeMap<u32, Balance> {
		self.paid(name, |event| match event {
			AuditEvent::Refunded { host, window, amount } => Some((*host, *window, *amount)),
			_ => None,
		})
	}

	/// The fees that were paid to a host, by window.
	pub fn released(&self, name: &str) -> BTreeMap<u32, Balance> {
		self.paid(name, |event| match event {
			AuditEvent::Released { host, window, amount } => Some((*host, *window, *amount)),
			_ => None,
		})
	}

	/// The windows whose fees were paid to a host in blocks up to `last`.
	pub fn released_by(&self, name: &str, last: u32) -> BTreeSet<u32> {
		let released = self.events.iter().filter_map(|(block, event)| match event {
			AuditEvent::Released { host, window, .. } if *block <= last && self.name(host) == name => Some(*window),
			_ => None,
		});
		released.collect()
	}

	fn paid(
		&self,
		name: &str,
		pick: impl Fn(&AuditEvent) -> Option<(AccountId, u32, Balance)>,
	) -> BTreeMap<u32, Balance> {
		let all = self.events.iter().filter_map(|(_, event)| pick(event));
		all.filter(|(host, ..)| self.name(host) == name).map(|(_, window, amount)| (window, amount)).collect()
	}

	/// Waits until the fees of a host's window are paid to it.
	pub async fn until_released(&mut self, name: &str, window: u32) -> Result<()> {
		let deadline = tokio::time::Instant::now() + PATIENCE;
		let mut blocks = self.chain.best_blocks().await;
		while !self.released(name).contains_key(&window) {
			ensure!(tokio::time::Instant::now() < deadline, "window {window} of {name} is not paid");
			blocks.next().await.context("the stream of blocks ended")?;
			self.read_events().await?;
		}
		Ok(())
	}

	/// Base units that came back to the developer since its channels were opened.
	pub async fn came_back(&self) -> Result<Balance> {
		let developer = keys::public(&keys::from_uri(&format!("//{DEVELOPER}"))?);
		Ok(self.chain.free_balance(&developer).await?.saturating_sub(self.funds))
	}

	/// Waits until the chain has settled every request.
	pub async fn until_settled(&self) -> Result<()> {
		let developer = keys::public(&keys::from_uri(&format!("//{DEVELOPER}"))?);
		until("every request to be settled", || async {
			let channels = self.chain.channels(&developer).await?;
			let settled: u64 = channels.iter().map(|channel| channel.settled.receipts).sum();
			// Two hosts have a receipt for a completion that the second continued.
			ensure!(settled >= u64::from(self.sent), "{settled} of {}", self.sent);
			Ok(())
		})
		.await
	}
}
