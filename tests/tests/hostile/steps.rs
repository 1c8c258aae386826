//! The steps.

use super::epoch::{Epoch, Host, PATIENCE};
use anyhow::{Result, bail, ensure};
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

/// Hosts that do what they should, with their leaves a second.
const HONEST: [(&str, u32); 3] = [("Honest1", 12), ("Honest2", 18), ("Honest3", 24)];
/// Hosts that cheat: their names, and how.
const HOSTILE: [(&str, &str); 6] = [
	("Fabricator", "fabricate"),
	("Withholder", "withhold"),
	("Copier", "copy"),
	("Accuser", "accuse"),
	("Burster", "burst"),
	("Leaver", "leave"),
];
/// Leaves a second of a host that cheats.
const RATE: u32 = 18;
/// Epochs that are waited for before something counts as not happening.
const EPOCHS: usize = 6;
/// Millionths.
const ALL: u32 = 1_000_000;
/// Bytes on chain that a host may take in an epoch: the sprint's commitments, and its digests.
const BYTES: usize = 1_100;

/// A running network, and the epochs that were paid so far.
pub struct Scenario {
	network: Network,
	chain: Chain,
	node: Node,
	hosts: Vec<Host>,
	next: u32,
	epochs: Vec<Epoch>,
}

impl Scenario {
	/// Starts everything, and waits until all are registered.
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
		let registered = until("all hosts to be registered", PATIENCE, || async {
			let registered = chain.hosts().await?.len();
			ensure!(registered == hosts.len(), "{registered} of {}", hosts.len());
			Ok(chain.epoch().await?.index)
		})
		.await?;
		println!("registered in epoch {registered}; in {}", network.url());
		Ok(Self { network, chain, node, hosts, next: registered + 1, epochs: Vec::new() })
	}

	/// Ends everything.
	pub fn stop(self) {
		self.network.stop();
	}

	/// Waits for the next epoch to be paid, and looks at what holds in every one.
	async fn watch(&mut self) -> Result<&Epoch> {
		let epoch = Epoch::watch(&self.chain, &self.node, &self.hosts, self.next).await?;
		self.network.all_run()?;
		self.next += 1;
		for (name, _) in HONEST {
			let (host, standing) = epoch.of(name)?;
			let confirmations = standing.commitments.iter().filter(|(segment, _)| *segment >= 5).count();
			let (weight, convictions) = (standing.effective.unwrap_or(0), epoch.convictions(&host));
			ensure!(standing.offence.is_none() && convictions.is_empty(), "{name} was convicted: {convictions:?}");
			ensure!(!epoch.forfeited(&host) && standing.lost.is_empty(), "{name} missed a turn or an answer");
			ensure!(standing.checked == Some(true) && weight > 0, "{name} has no weight");
			ensure!(standing.duties.0 > 0 && standing.duties.0 == standing.duties.1, "{name} missed duties");
			let confirmed = confirmations == standing.confirmations as usize;
			ensure!(!confirmed || standing.performance == ALL, "{name} performed {}", standing.performance);
		}
		for name in ["Withholder", "Burster", "Leaver"] {
			let (host, standing) = epoch.of(name)?;
			let convictions = epoch.convictions(&host);
			ensure!(standing.offence.is_none() && convictions.is_empty(), "{name} is no fraud: {convictions:?}");
		}
		self.epochs.push(epoch);
		self.epochs.last().ok_or_else(|| anyhow::anyhow!("just pushed"))
	}

	/// Finds an epoch that shows something, waiting for some more if none does; prints what `look` says of it.
	async fn shown(&mut self, what: &str, look: impl Fn(&Epoch) -> Result<String>) -> Result<()> {
		step(what);
		let mut said = Vec::new();
		for number in 0..EPOCHS {
			let epoch = match self.epochs.get(number) {
				Some(epoch) => epoch,
				None => self.watch().await?,
			};
			match look(epoch) {
				Ok(seen) => {
					println!("epoch {}: {seen}", epoch.index);
					return Ok(());
				},
				Err(error) => said.push(format!("epoch {}: {error:#}", epoch.index)),
			}
		}
		bail!("{what}: not in {EPOCHS} epochs\n{}", said.join("\n"))
	}

	/// The first whole epoch, in which all that race check, and the next one, whose checkers are drawn by weight.
	pub async fn two_whole_epochs(&mut self) -> Result<()> {
		step("two whole epochs, raced, checked and paid");
		while self.epochs.len() < 2 {
			self.watch().await?;
		}
		Ok(())
	}

	/// Every 50th leaf made up, in even epochs in silence, in odd ones with a defence.
	pub async fn fabricator_is_convicted(&mut self) -> Result<()> {
		self.fabricator_convicted("a fabricator that is silent is convicted: neither weight nor pay", 0).await?;
		self.fabricator_convicted("a fabricator that defends itself is convicted: neither weight nor pay", 1).await
	}

	async fn fabricator_convicted(&mut self, what: &str, parity: u32) -> Result<()> {
		self.shown(what, |epoch| {
			ensure!(epoch.index % 2 == parity, "it does otherwise in this epoch");
			let (host, standing) = epoch.of("Fabricator")?;
			let convictions = epoch.convictions(&host);
			ensure!(standing.offence == Some(Offence::Fabrication), "{standing:?}");
			ensure!(convictions == [Offence::Fabrication], "events tell of {convictions:?}");
			ensure!(standing.effective == Some(0) && standing.paid == Some(0) && epoch.pay(&host) == 0, "{standing:?}");
			let (accusations, raw) = (accusations(epoch, &host.account), standing.raw.unwrap_or(0));
			Ok(format!("{convictions:?} after {accusations} accusations; a weight of {raw} leaves lost"))
		})
		.await
	}

	/// No openings shown.
	pub async fn withholder_loses_segments_and_nothing_else(&mut self) -> Result<()> {
		self.shown("a withholder of openings loses the segments asked for, and is no fraud", |epoch| {
			let (host, standing) = epoch.of("Withholder")?;
			ensure!(!standing.lost.is_empty(), "nothing is lost: {standing:?}");
			let counted = |(segment, _): &&(u8, _)| *segment < 5 && !standing.lost.contains(segment);
			let mut counts: Vec<u64> =
				standing.commitments.iter().filter(counted).map(|(_, made)| made.count).collect();
			counts.resize(5, 0);
			counts.sort_unstable();
			ensure!(standing.raw == Some(counts[2] * 5), "raw weight {:?} of {counts:?}", standing.raw);
			Ok(format!(
				"segments {:?} lost, raw weight {:?}, paid {} base units",
				standing.lost,
				standing.raw,
				epoch.pay(&host)
			))
		})
		.await
	}

	/// Tags made up.
	pub async fn copier_keeps_its_weight_and_loses_pay(&mut self) -> Result<()> {
		self.shown("a checker that makes its digests up is challenged: its weight stays, its pay falls", |epoch| {
			let (host, standing) = epoch.of("Copier")?;
			let challenged =
				|event: &&Event| matches!(event, Event::Challenged { checker, .. } if *checker == host.account);
			let challenges = u32::try_from(epoch.events.iter().filter(challenged).count())?;
			ensure!(challenges > 0, "not challenged: {standing:?}");
			let convictions = epoch.convictions(&host);
			let (sets, met) = standing.duties;
			let proven = convictions == [Offence::FalseDigest] || epoch.forfeited(&host);
			ensure!(if proven { standing.performance == 0 } else { met + challenges <= sets }, "{standing:?}");
			ensure!(standing.effective.unwrap_or(0) > 0, "it computed its leaves: {standing:?}");
			ensure!(standing.paid < standing.effective, "paid like an honest host: {standing:?}");
			let (weight, paid) = (standing.effective, standing.paid);
			Ok(format!(
				"{challenges} of {sets} sets challenged, convicted of {convictions:?}, weight {weight:?}, paid for {paid:?}"
			))
		})
		.await
	}

	/// An honest host accused.
	pub async fn false_accuser_loses_and_the_accused_does_not(&mut self) -> Result<()> {
		self.shown("a false accuser is refuted, and who it accused is untouched", |epoch| {
			let (host, standing) = epoch.of("Accuser")?;
			let accused = |event: &Event| match event {
				Event::Accused { accuser, host: accused, .. } if *accuser == host.account => Some(*accused),
				_ => None,
			};
			let accused: Vec<AccountId> = epoch.events.iter().filter_map(accused).collect();
			// What it says of the fabricator may be true.
			let fabricator = epoch.of("Fabricator")?.0;
			let slandered: Vec<Host> =
				epoch.hosts().filter(|host| accused.contains(&host.account) && *host != fabricator).collect();
			ensure!(!slandered.is_empty(), "it accused nobody falsely: {standing:?}");
			for victim in &slandered {
				let (_, of) = epoch.of(victim.name)?;
				ensure!(of.offence.is_none(), "{} was convicted: {of:?}", victim.name);
			}
			let convictions = epoch.convictions(&host);
			let convicted = standing.offence == Some(Offence::FalseAccusation) && standing.effective == Some(0);
			ensure!(convicted || epoch.forfeited(&host), "not punished: {standing:?}");
			ensure!(standing.paid == Some(0) && epoch.pay(&host) == 0, "{standing:?}");
			let honest = HONEST.iter().map(|(name, _)| epoch.of(name)).collect::<Result<Vec<_>>>()?;
			let harmed = honest.iter().find(|(host, _)| epoch.pay(host) == 0);
			ensure!(harmed.is_none(), "an honest host was not paid: {harmed:?}");
			let names: Vec<_> = slandered.iter().map(|host| host.name).collect();
			Ok(format!("it accused {names:?} and was convicted of {convictions:?}"))
		})
		.await
	}

	/// One segment of five.
	pub async fn burster_has_no_weight(&mut self) -> Result<()> {
		self.shown("a burst in one segment of five has no weight", |epoch| {
			let (_, standing) = epoch.of("Burster")?;
			ensure!(standing.commitments.len() == 1, "{standing:?}");
			ensure!(standing.raw == Some(0) && standing.paid == Some(0), "{standing:?}");
			Ok(format!("{} leaves in one segment, no weight", standing.commitments[0].1.count))
		})
		.await
	}

	/// Gone after the sprint.
	pub async fn leaver_has_weight_and_no_pay(&mut self) -> Result<()> {
		self.shown("who leaves after the sprint has weight, but confirms nothing and is not paid", |epoch| {
			let (host, standing) = epoch.of("Leaver")?;
			ensure!(standing.confirmations > 0, "no confirmation was called");
			ensure!(standing.effective.unwrap_or(0) > 0 && standing.confirmed == 0, "{standing:?}");
			ensure!(standing.paid == Some(0) && epoch.pay(&host) == 0, "{standing:?}");
			Ok(format!("{} confirmations called, weight {:?}, no pay", standing.confirmations, standing.effective))
		})
		.await
	}

	/// Pay follows compute.
	pub async fn honest_hosts_are_paid_by_compute(&mut self) -> Result<()> {
		let after_the_first = self.epochs.first().map_or(0, |epoch| epoch.index + 1);
		self.shown("honest hosts are paid in proportion to compute, within 25 %", |epoch| {
			ensure!(epoch.index >= after_the_first, "the first epoch");
			let honest = HONEST.iter().map(|(name, _)| epoch.of(name)).collect::<Result<Vec<_>>>()?;
			let per_rate = |host: &Host| epoch.pay(host) as f64 / f64::from(host.rate);
			let mean = honest.iter().map(|(host, _)| per_rate(host)).sum::<f64>() / honest.len() as f64;
			let mut seen = Vec::new();
			for (host, standing) in honest {
				let share = per_rate(&host) / mean;
				ensure!((share - 1.0).abs() <= 0.25, "{}: {share:.3} of the mean pay by rate", host.name);
				seen.push(format!("{} (rate {}) weight {:?}: {share:.3}", host.name, host.rate, standing.effective));
			}
			Ok(format!("pay by rate against the mean: {}", seen.join("; ")))
		})
		.await
	}

	/// What the protocol costs the chain.
	pub async fn an_epoch_takes_few_bytes(&mut self) -> Result<()> {
		self.shown("an epoch of an honest host takes at most 1,100 bytes on chain", |epoch| {
			let mut seen = Vec::new();
			for (name, _) in HONEST {
				let (host, standing) = epoch.of(name)?;
				let sent = epoch.sent.iter().filter(|sent| sent.host == host.account);
				let sent: Vec<_> = sent.filter(|sent| sent.segment.is_none_or(|segment| segment < 5)).collect();
				ensure!(sent.len() == 7, "{name}: {} extrinsics, not 5 + 2", sent.len());
				let bytes = sent.iter().map(|sent| sent.bytes).sum::<usize>();
				ensure!(bytes <= BYTES, "{name}: {bytes} bytes");
				seen.push(format!("{name} {bytes} bytes with {} tags", standing.duties.0));
			}
			Ok(seen.join(", "))
		})
		.await
	}
}

fn accusations(epoch: &Epoch, of: &AccountId) -> usize {
	epoch.events.iter().filter(|event| matches!(event, Event::Accused { host, .. } if host == of)).count()
}
