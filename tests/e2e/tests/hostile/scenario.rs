//! The network of honest and hostile hosts, and the steps of the test.

use super::epoch::{Epoch, Host};
use anyhow::{Context, Result, bail, ensure};
use gonka::devnet::{Engine, find_or_build};
use gonka_client::chain::Chain;
use gonka_e2e::{
	blocks::Event,
	network::{Network, Worker},
	node::Node,
	step, until,
};
use gonka_primitives::{AccountId, check::Offence};
use std::path::Path;

/// Names of the honest hosts, and their sprint rates in leaves a second.
const HONEST: [(&str, u32); 3] = [("Honest1", 12), ("Honest2", 18), ("Honest3", 24)];
/// Names of the hostile hosts, and how they cheat.
const HOSTILE: [(&str, &str); 6] = [
	("Fabricator", "fabricate"),
	("Withholder", "withhold"),
	("Copier", "copy"),
	("Accuser", "accuse"),
	("Burster", "burst"),
	("Leaver", "leave"),
];
/// Sprint rate of a hostile host, in leaves a second.
const RATE: u32 = 18;
/// Maximum number of epochs in which a step looks for its event. A convicted host checks again in the third epoch after.
const EPOCHS: usize = 12;
/// Maximum number of epochs that are set aside because the machine was too busy for an honest host to keep up.
const SET_ASIDE: usize = 8;
/// A whole, in millionths.
const ALL: u32 = 1_000_000;
/// Maximum size of a host's commitments and digests of a sprint, in bytes on chain.
const BYTES: usize = 1_100;
/// Maximum size of those of a confirmation.
const CONFIRMATION_BYTES: usize = 500;

/// A running network, and its epochs so far.
pub struct Scenario {
	network: Network,
	chain: Chain,
	node: Node,
	hosts: Vec<Host>,
	next: u32,
	epochs: Vec<Epoch>,
	set_aside: usize,
}

impl Scenario {
	/// Starts all programs and waits until all hosts are registered.
	pub async fn start() -> Result<Self> {
		step("start: one node, three honest workers, six that cheat");
		let binaries = find_or_build(Engine::Mock)?;
		let mut network = Network::start(&binaries.node, Path::new(env!("CARGO_TARGET_TMPDIR"))).await?;
		let hostile = Path::new(env!("CARGO_BIN_EXE_hostile-worker"));
		let honest =
			HONEST.map(|(name, rate)| Worker { name, program: &binaries.worker, first: None, rate, model: None });
		let cheats =
			HOSTILE.map(|(name, kind)| Worker { name, program: hostile, first: Some(kind), rate: RATE, model: None });
		let workers = [&honest[..], &cheats[..]].concat();
		let accounts = network.add(&workers).await?;
		let names = HONEST.iter().copied().chain(HOSTILE.map(|(name, _)| (name, RATE)));
		let hosts: Vec<Host> =
			names.zip(accounts).map(|((name, rate), account)| Host { name, account, rate }).collect();
		let (chain, node) = (Chain::connect(network.url()).await?, Node::connect(network.url()).await?);
		let registered = until("all hosts to be registered", || async {
			let registered = chain.hosts().await?.len();
			ensure!(registered == hosts.len(), "{registered} of {}", hosts.len());
			Ok(chain.epoch().await?.index)
		})
		.await?;
		println!("all hosts are registered in epoch {registered}; the node listens on {}", network.url());
		Ok(Self { network, chain, node, hosts, next: registered + 1, epochs: Vec::new(), set_aside: 0 })
	}

	/// Ends all programs.
	pub fn stop(self) {
		self.network.stop();
	}

	/// Waits for the next epoch to be paid, and checks what holds in every epoch. Epochs in which an honest host could not
	/// keep up are set aside: the steps would only measure how busy the machine was.
	async fn watch(&mut self) -> Result<&Epoch> {
		let epoch = loop {
			let epoch = Epoch::watch(&self.chain, &self.node, &self.hosts, self.next).await?;
			self.network.all_run()?;
			self.next = epoch.index + 1;
			nobody_is_convicted_wrongly(&epoch)?;
			match honest_hosts_kept_up(&epoch) {
				Ok(()) => break epoch,
				Err(reason) => {
					self.set_aside += 1;
					println!("epoch {} is set aside: {reason:#}", epoch.index);
					ensure!(
						self.set_aside <= SET_ASIDE,
						"honest hosts did not keep up in {SET_ASIDE} epochs: {reason:#}"
					);
				},
			}
		};
		self.epochs.push(epoch);
		self.epochs.last().context("just pushed")
	}

	/// Finds an epoch in which `check` holds, waiting for later ones if need be, and prints what `check` returns.
	async fn shown(&mut self, what: &str, check: impl Fn(&Epoch) -> Result<String>) -> Result<()> {
		step(what);
		let mut said = Vec::new();
		for number in 0..EPOCHS {
			let epoch = match self.epochs.get(number) {
				Some(epoch) => epoch,
				None => self.watch().await?,
			};
			match check(epoch) {
				Ok(seen) => {
					println!("epoch {}: {seen}", epoch.index);
					return Ok(());
				},
				Err(error) => said.push(format!("epoch {}: {error:#}", epoch.index)),
			}
		}
		bail!("{what}: not in {EPOCHS} epochs\n{}", said.join("\n"))
	}

	/// Waits for the first whole epoch, in which all participants check, and the next one, whose checkers are drawn by
	/// weight.
	pub async fn two_whole_epochs(&mut self) -> Result<()> {
		step("two whole epochs are computed, checked and paid");
		while self.epochs.len() < 2 {
			self.watch().await?;
		}
		Ok(())
	}

	/// The fabricator makes up every 50th leaf. It ignores accusations in even epochs and defends itself in odd ones.
	pub async fn fabricator_is_convicted(&mut self) -> Result<()> {
		self.fabricator_convicted("a fabricator that is silent is convicted: neither weight nor pay", 0).await?;
		self.fabricator_convicted("a fabricator that defends itself is convicted: neither weight nor pay", 1).await
	}

	async fn fabricator_convicted(&mut self, what: &str, parity: u32) -> Result<()> {
		self.shown(what, |epoch| {
			ensure!(epoch.index % 2 == parity, "the fabricator behaves otherwise in this epoch");
			let (host, standing) = epoch.of("Fabricator")?;
			let convictions = epoch.convictions(&host);
			ensure!(standing.offence == Some(Offence::Fabrication), "{standing:?}");
			ensure!(convictions == [Offence::Fabrication], "the events have convictions {convictions:?}");
			ensure!(
				standing.effective_weight == Some(0) && standing.paid_weight == Some(0) && epoch.pay(&host) == 0,
				"{standing:?}"
			);
			let (accusations, raw) = (accusations(epoch, &host.account), standing.compute_weight.unwrap_or(0));
			Ok(format!("{convictions:?} after {accusations} accusations; a weight of {raw} leaves lost"))
		})
		.await
	}

	/// The withholder posts no openings.
	pub async fn withholder_loses_its_weight_and_nothing_else(&mut self) -> Result<()> {
		self.shown("a host that withholds openings has no weight, and is not convicted", |epoch| {
			let (host, standing) = epoch.of("Withholder")?;
			ensure!(standing.unanswered >= 3, "few requests were made: {standing:?}");
			ensure!(standing.compute_weight == Some(0), "it has weight: {standing:?}");
			Ok(format!("{} requests not answered, no weight, paid {}", standing.unanswered, epoch.pay(&host)))
		})
		.await
	}

	/// The copier makes up its tags.
	pub async fn copier_keeps_its_weight_and_loses_pay(&mut self) -> Result<()> {
		self.shown("a checker that makes up its digests is challenged: its weight stays, its pay falls", |epoch| {
			let (host, standing) = epoch.of("Copier")?;
			let challenged =
				|event: &&Event| matches!(event, Event::Challenged { checker, .. } if *checker == host.account);
			let challenges = u32::try_from(epoch.events.iter().filter(challenged).count())?;
			ensure!(challenges > 0, "not challenged: {standing:?}");
			let convictions = epoch.convictions(&host);
			let (sets, met) = standing.duties;
			let proven = convictions == [Offence::FalseDigest] || epoch.forfeited(&host);
			ensure!(if proven { standing.performance == 0 } else { met + challenges <= sets }, "{standing:?}");
			ensure!(
				standing.effective_weight.unwrap_or(0) > 0,
				"it has no weight, although it computed its leaves: {standing:?}"
			);
			ensure!(standing.paid_weight < standing.effective_weight, "it is paid like an honest host: {standing:?}");
			let (weight, paid) = (standing.effective_weight, standing.paid_weight);
			Ok(format!(
				"{challenges} of {sets} sets challenged, convicted of {convictions:?}, weight {weight:?}, paid for {paid:?}"
			))
		})
		.await
	}

	/// The accuser accuses honest hosts.
	pub async fn false_accuser_loses_and_the_accused_does_not(&mut self) -> Result<()> {
		self.shown("a false accuser is refuted, and the accused host is not harmed", |epoch| {
			let (host, standing) = epoch.of("Accuser")?;
			let accused = |event: &Event| match event {
				Event::Accused { accuser, host: accused, .. } if *accuser == host.account => Some(*accused),
				_ => None,
			};
			let accused: Vec<AccountId> = epoch.events.iter().filter_map(accused).collect();
			// An accusation of the fabricator may be true.
			let fabricator = epoch.of("Fabricator")?.0;
			let slandered: Vec<Host> =
				epoch.hosts().filter(|host| accused.contains(&host.account) && *host != fabricator).collect();
			ensure!(!slandered.is_empty(), "it accused no honest host: {standing:?}");
			for victim in &slandered {
				let (_, of) = epoch.of(victim.name)?;
				ensure!(of.offence.is_none(), "{} was convicted: {of:?}", victim.name);
			}
			let convictions = epoch.convictions(&host);
			let convicted = standing.offence == Some(Offence::FalseAccusation) && standing.effective_weight == Some(0);
			ensure!(convicted || epoch.forfeited(&host), "it is not punished: {standing:?}");
			ensure!(standing.paid_weight == Some(0) && epoch.pay(&host) == 0, "{standing:?}");
			let honest = HONEST.iter().map(|(name, _)| epoch.of(name)).collect::<Result<Vec<_>>>()?;
			let harmed = honest.iter().find(|(host, _)| epoch.pay(host) == 0);
			ensure!(harmed.is_none(), "an honest host was not paid: {harmed:?}");
			let names: Vec<_> = slandered.iter().map(|host| host.name).collect();
			Ok(format!("it accused {names:?} and was convicted of {convictions:?}"))
		})
		.await
	}

	/// The burster computes one segment of five.
	pub async fn burster_has_no_weight(&mut self) -> Result<()> {
		self.shown("a host that computes one segment of five has no weight", |epoch| {
			let (_, standing) = epoch.of("Burster")?;
			ensure!(standing.commitments.len() == 1, "{standing:?}");
			ensure!(standing.compute_weight == Some(0) && standing.paid_weight == Some(0), "{standing:?}");
			Ok(format!("{} leaves in one segment, no weight", standing.commitments[0].1.count))
		})
		.await
	}

	/// The leaver stops computing after the sprint.
	pub async fn leaver_has_weight_and_no_pay(&mut self) -> Result<()> {
		self.shown("a host that leaves after the sprint has weight, but confirms nothing and is not paid", |epoch| {
			let (host, standing) = epoch.of("Leaver")?;
			ensure!(standing.confirmations > 0, "no confirmation was called");
			ensure!(standing.effective_weight.unwrap_or(0) > 0 && standing.confirmed == 0, "{standing:?}");
			ensure!(standing.paid_weight == Some(0) && epoch.pay(&host) == 0, "{standing:?}");
			Ok(format!(
				"{} confirmations called, weight {:?}, no pay",
				standing.confirmations, standing.effective_weight
			))
		})
		.await
	}

	/// Honest hosts' pay is in proportion to their sprint rates.
	pub async fn honest_hosts_are_paid_by_compute(&mut self) -> Result<()> {
		let after_the_first = self.epochs.first().map_or(0, |epoch| epoch.index + 1);
		self.shown("honest hosts are paid in proportion to compute, within 25 %", |epoch| {
			ensure!(epoch.index >= after_the_first, "checkers of the first epoch are not drawn by weight");
			let honest = HONEST.iter().map(|(name, _)| epoch.of(name)).collect::<Result<Vec<_>>>()?;
			let per_rate = |host: &Host| epoch.pay(host) as f64 / f64::from(host.rate);
			let mean = honest.iter().map(|(host, _)| per_rate(host)).sum::<f64>() / honest.len() as f64;
			let mut seen = Vec::new();
			for (host, standing) in honest {
				let share = per_rate(&host) / mean;
				ensure!((share - 1.0).abs() <= 0.25, "{}: {share:.3} of the mean pay by rate", host.name);
				seen.push(format!(
					"{} (rate {}) weight {:?}: {share:.3}",
					host.name, host.rate, standing.effective_weight
				));
			}
			Ok(format!("pay by rate against the mean: {}", seen.join("; ")))
		})
		.await
	}

	/// An honest host's commitments and digests are small.
	pub async fn an_epoch_takes_few_bytes(&mut self) -> Result<()> {
		self.shown("a sprint of an honest host takes at most 1,100 bytes on chain, a confirmation 500", |epoch| {
			let mut seen = Vec::new();
			for (name, _) in HONEST {
				let (host, standing) = epoch.of(name)?;
				for round in 0..=standing.confirmations {
					let sent = epoch.sent.iter().filter(|sent| sent.host == host.account);
					let sent: Vec<_> = sent.filter(|sent| u32::from(sent.round) == round).collect();
					let (commitments, most) = if round == 0 { (5, BYTES) } else { (1, CONFIRMATION_BYTES) };
					ensure!(sent.len() == commitments + 2, "{name}: {} messages in round {round}", sent.len());
					let bytes = sent.iter().map(|sent| sent.bytes).sum::<usize>();
					ensure!(bytes <= most, "{name}: {bytes} bytes in round {round}");
					seen.push(format!("{name} {bytes} bytes in round {round}"));
				}
			}
			Ok(seen.join(", "))
		})
		.await
	}
}

/// Hosts that broke no rule are not convicted, however busy the machine is.
fn nobody_is_convicted_wrongly(epoch: &Epoch) -> Result<()> {
	let innocent = ["Withholder", "Burster", "Leaver"].into_iter().chain(HONEST.map(|(name, _)| name));
	for (host, standing) in innocent.filter_map(|name| epoch.of(name).ok()) {
		let convictions = epoch.convictions(&host);
		ensure!(standing.offence.is_none() && convictions.is_empty(), "{} was convicted: {convictions:?}", host.name);
	}
	Ok(())
}

/// Honest hosts made all commitments, openings, turns and digests that were due.
fn honest_hosts_kept_up(epoch: &Epoch) -> Result<()> {
	for (name, _) in HONEST {
		let (host, standing) = epoch.of(name)?;
		let confirmations = standing.commitments.iter().filter(|(segment, _)| *segment >= 5).count();
		ensure!(!epoch.forfeited(&host) && standing.unanswered == 0, "{name} missed a turn or an opening");
		ensure!(standing.checked == Some(true) && standing.effective_weight > Some(0), "{name} has no weight");
		ensure!(standing.duties.0 > 0 && standing.duties.0 == standing.duties.1, "{name} missed duties");
		let confirmed = confirmations == standing.confirmations as usize;
		ensure!(!confirmed || standing.performance == ALL, "{name} performed {}", standing.performance);
	}
	Ok(())
}

/// Number of accusations of a host.
fn accusations(epoch: &Epoch, of: &AccountId) -> usize {
	epoch.events.iter().filter(|event| matches!(event, Event::Accused { host, .. } if host == of)).count()
}
