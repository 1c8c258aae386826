//! What is known of an epoch once it is paid.

use anyhow::{Context, Result, ensure};
use gonka_client::chain::Chain;
use gonka_e2e::{
	blocks::{Event, Sent, events, sent},
	node::Node,
	until,
};
use gonka_primitives::{AccountId, Balance, EpochIndex, check::Offence, views::StandingView};
use std::time::Duration;

/// Long enough for an epoch of two minutes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(420);
/// Blocks from the close of an epoch to where all its hosts are paid, with room.
const PAYING: u32 = 4;

/// A host of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
	/// Its name.
	pub name: &'static str,
	/// Its account.
	pub account: AccountId,
	/// Leaves a second.
	pub rate: u32,
}

/// A paid epoch.
pub struct Epoch {
	/// Its index.
	pub index: EpochIndex,
	standings: Vec<(Host, StandingView)>,
	/// What happened about it, in its own blocks and in those until it was paid.
	pub events: Vec<Event>,
	/// What hosts sent about it.
	pub sent: Vec<Sent>,
}

impl Epoch {
	/// Waits until the epoch `index` is paid, and looks at everything.
	pub async fn watch(chain: &Chain, node: &Node, hosts: &[Host], index: EpochIndex) -> Result<Self> {
		let (from, to) = until(&format!("epoch {index} to be paid"), PATIENCE, || async {
			let view = chain.epoch().await?;
			let paid = view.start + view.schedule.settle_start() + PAYING;
			ensure!(
				view.index > index && view.block >= paid,
				"block {} of epoch {}",
				view.block - view.start,
				view.index
			);
			ensure!(view.index == index + 1, "epoch {index} is over for long: it is {} now", view.index);
			Ok((view.start - view.schedule.length, view.block))
		})
		.await?;
		let mut standings = Vec::new();
		for host in hosts {
			let standing = chain.standing(index, &host.account).await?;
			standings.push((*host, standing.with_context(|| format!("{} did not race in epoch {index}", host.name))?));
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

	/// All hosts.
	pub fn hosts(&self) -> impl Iterator<Item = Host> {
		self.standings.iter().map(|(host, _)| *host)
	}

	/// How a host stood.
	pub fn of(&self, name: &str) -> Result<(Host, &StandingView)> {
		let found = self.standings.iter().find(|(host, _)| host.name == name);
		found.map(|(host, standing)| (*host, standing)).with_context(|| format!("there is no {name}"))
	}

	/// What a host was convicted of, as events tell.
	pub fn convictions(&self, host: &Host) -> Vec<Offence> {
		let conviction = |event: &Event| match event {
			Event::Convicted { host: who, offence, .. } if *who == host.account => Some(*offence),
			_ => None,
		};
		self.events.iter().filter_map(conviction).collect()
	}

	/// Whether a host missed a turn, as events tell.
	pub fn forfeited(&self, host: &Host) -> bool {
		self.events.contains(&Event::Forfeited { host: host.account, epoch: self.index })
	}

	/// What a host was paid, in base units.
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
				"  {:<10} leaves {leaves:?} lost {:?} raw {:?} effective {:?} duties {:?} confirmed {} performance {} \
				 paid {:?} ({} base units) offence {:?}{}",
				host.name,
				standing.lost,
				standing.raw,
				standing.effective,
				standing.duties,
				standing.confirmed,
				standing.performance,
				standing.paid,
				self.pay(host),
				standing.offence,
				if self.forfeited(host) { ", forfeited" } else { "" }
			);
		}
	}
}
