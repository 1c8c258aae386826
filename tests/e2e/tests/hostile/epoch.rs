//! The record of a paid epoch: standings, events and transactions.

use anyhow::{Context, Result, ensure};
use gonka_client::chain::Chain;
use gonka_e2e::{
	blocks::{Event, Sent, events, sent},
	node::Node,
	until,
};
use gonka_primitives::{AccountId, Balance, EpochIndex, check::Offence, views::StandingView};

/// Blocks after the weigh phase's start until all hosts are paid, with room.
const PAYING: u32 = 4;

/// A host of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
	/// Name.
	pub name: &'static str,
	/// Account.
	pub account: AccountId,
	/// Sprint rate, in leaves a second.
	pub rate: u32,
}

/// A paid epoch.
pub struct Epoch {
	/// Index.
	pub index: EpochIndex,
	standings: Vec<(Host, StandingView)>,
	/// Events about the epoch, from its first block until its hosts were paid.
	pub events: Vec<Event>,
	/// The sprint's transactions.
	pub sent: Vec<Sent>,
}

impl Epoch {
	/// Waits until epoch `next`, or a later one if `next` is long over, is paid, and reads its record.
	pub async fn watch(chain: &Chain, node: &Node, hosts: &[Host], next: EpochIndex) -> Result<Self> {
		let (index, from, to) = until(&format!("epoch {next} to be paid"), || async {
			let view = chain.epoch().await?;
			let paid = view.start + view.schedule.weigh_start() + PAYING;
			ensure!(
				view.index > next && view.block >= paid,
				"block {} of epoch {}",
				view.block - view.start,
				view.index
			);
			Ok((view.index - 1, view.start - view.schedule.length, view.block))
		})
		.await?;
		let mut standings = Vec::new();
		for host in hosts {
			standings.extend(chain.standing(index, &host.account).await?.map(|standing| (*host, standing)));
		}
		let epoch = Self {
			index,
			standings,
			events: events(node, from, to).await?.into_iter().filter(|event| event.epoch() == index).collect(),
			sent: sent(node, from, to).await?.into_iter().filter(|sent| sent.epoch == index).collect(),
		};
		epoch.print();
		Ok(epoch)
	}

	/// All hosts that took part.
	pub fn hosts(&self) -> impl Iterator<Item = Host> {
		self.standings.iter().map(|(host, _)| *host)
	}

	/// The standing of a host. Fails if the host did not take part.
	pub fn of(&self, name: &str) -> Result<(Host, &StandingView)> {
		let found = self.standings.iter().find(|(host, _)| host.name == name);
		found.map(|(host, standing)| (*host, standing)).with_context(|| format!("{name} did not take part"))
	}

	/// A host's convictions according to the events.
	pub fn convictions(&self, host: &Host) -> Vec<Offence> {
		let conviction = |event: &Event| match event {
			Event::Convicted { host: who, offence, .. } if *who == host.account => Some(*offence),
			_ => None,
		};
		self.events.iter().filter_map(conviction).collect()
	}

	/// Whether a host missed a turn of a dispute according to the events.
	pub fn forfeited(&self, host: &Host) -> bool {
		self.events.contains(&Event::Forfeited { host: host.account, epoch: self.index })
	}

	/// A host's pay, in base units.
	pub fn pay(&self, host: &Host) -> Balance {
		let pay = |event: &Event| match event {
			Event::Paid { host: who, amount, .. } if *who == host.account => *amount,
			_ => 0,
		};
		self.events.iter().map(pay).sum()
	}

	fn print(&self) {
		let called = self.standings.first().map_or(0, |(_, standing)| standing.confirmations);
		println!("epoch {}: {called} confirmations called", self.index);
		for (host, standing) in &self.standings {
			let leaves: Vec<_> = standing.commitments.iter().map(|(_, commitment)| commitment.count).collect();
			println!(
				"  {:<10} leaves {leaves:?} unanswered {} raw {:?} effective {:?} duties {:?} confirmed {} performance {} \
				 paid {:?} ({} base units) offence {:?}{}",
				host.name,
				standing.unanswered,
				standing.compute_weight,
				standing.effective_weight,
				standing.duties,
				standing.confirmed,
				standing.performance,
				standing.paid_weight,
				self.pay(host),
				standing.offence,
				if self.forfeited(host) { ", forfeited" } else { "" }
			);
		}
	}
}
