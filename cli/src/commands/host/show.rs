//! `gonka host show`.

use super::{cases::Judgement, model_names};
use crate::{
	amount::{Amount, gnk},
	commands::{
		dispute::{Dispute, disputes, offence},
		emit, emit_json,
		names::Names,
		session_keys::SessionKeys,
		short,
		standing::Standing,
	},
};
use anyhow::{Result, bail};
use gonka_client::{
	chain::{Chain, Slash},
	keys,
};
use gonka_primitives::{
	AccountId,
	audit::NAT,
	views::{CheckView, ReputationView, RequestView},
};
use serde::Serialize;
use std::fmt::{self, Write};

/// A host as of the best block.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
	/// Address of the host.
	pub account: String,
	/// Name of the account, if it is a well-known one of a local network.
	pub name: Option<String>,
	/// Money of the account.
	pub money: Money,
	/// Session keys, and the state as a validator.
	pub session_keys: SessionKeys,
	/// The last slashes, the newest first.
	pub slashes: Vec<Slashed>,
	/// First block whose slashes the node could tell.
	pub slashes_since: u32,
	/// Address of the worker key.
	pub worker: String,
	/// Address at which gateways reach the worker.
	pub url: String,
	/// Names of the models it serves.
	pub models: Vec<String>,
	/// Epoch of the last registration.
	pub registered: u32,
	/// Effective weight in the epoch weighed last.
	pub effective_weight: u64,
	/// How far its completions and its findings about other hosts are trusted.
	pub reputation: Reputation,
	/// Number of channels that pay it.
	pub channels: usize,
	/// Number of the best block, to compare deadlines with.
	pub best: u32,
	/// Its standing in the running epoch and in those before, if it took part.
	pub epochs: Vec<Standing>,
	/// Its checking duties in the running epoch.
	pub duties: Option<Duties>,
	/// Requests for openings that it has to post.
	pub requests: Vec<Request>,
	/// Open disputes in which it is claimant, accused or refuter.
	pub disputes: Vec<Dispute>,
}

/// Money of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Money {
	/// Amount that the account can spend.
	pub spendable: Amount,
	/// Collateral that backs weight.
	pub collateral: Amount,
	/// Pay that has not vested.
	pub vesting: Amount,
	/// Pay that has vested and is not paid out.
	pub vested: Amount,
}

/// An amount that a host lost for an offence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slashed {
	/// Block of the slash.
	pub block: u32,
	/// `collateral`, or `pay` that had not vested.
	pub of: &'static str,
	/// Offence; none of pay.
	pub offence: Option<&'static str>,
	/// Amount that was burnt.
	pub amount: Amount,
}

/// How far a host is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reputation {
	/// Reputation in millionths.
	pub reputation: u32,
	/// Evidence against its completions, in 2⁻¹⁶ nats: the maximum over its models.
	pub suspicion: u64,
	/// Number of the case or appeal about it that is heard.
	pub case: Option<u32>,
	/// Judgement against it that it can appeal.
	pub judgement: Option<Judgement>,
	/// Last epoch in which its findings are ignored.
	pub muted: Option<u32>,
	/// Whether arbiters found it guilty: until then, or while a judgement waits, gateways dispatch no requests to it.
	pub condemned: bool,
}

/// Checking duties in the running epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duties {
	/// Number of hosts to check.
	pub hosts: usize,
	/// Number of leaf sets to check.
	pub leaf_sets: usize,
	/// Whether it committed to the digests.
	pub committed: bool,
	/// Whether it revealed the digests.
	pub revealed: bool,
}

/// A request for openings that the host has not posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
	/// Address of the checker who requests them.
	pub checker: String,
	/// Leaves to open: segment, and position in its commitment.
	pub positions: Vec<(u8, u64)>,
	/// Last block that may carry the openings.
	pub deadline: u32,
}

/// Runs `gonka host show`.
pub(super) async fn run(chain: &Chain, host: &AccountId, epochs: u32, json: bool) -> Result<()> {
	let host = gather(chain, host, epochs).await?;
	if json { emit_json(&host) } else { emit(&screen(&host)?) }
}

/// Number of blocks whose slashes are read: as many as nodes keep.
const SLASH_BLOCKS: u32 = 256;

/// Queries the chain for everything about a host, with its standing in the last `epochs`.
pub async fn gather(chain: &Chain, host: &AccountId, epochs: u32) -> Result<Host> {
	let Some(view) = chain.host(host).await? else {
		bail!("{} is not registered as a host. `gonka host list` shows the registered hosts", keys::ss58(host));
	};
	let (epoch, models) = tokio::try_join!(chain.epoch(), chain.models())?;
	let (channels, check) = tokio::try_join!(chain.channels_of_host(host), chain.check(host))?;
	let (requests, claims, reputation) =
		tokio::try_join!(chain.opening_requests(host), chain.claims(), chain.reputation(host))?;
	let (balance, earnings, collateral) =
		tokio::try_join!(chain.balance(host), chain.earnings(host), chain.collateral(host))?;
	let (slashes, slashes_since) = chain.slashes(host, SLASH_BLOCKS).await?;
	let first = epoch.index.saturating_sub(epochs.saturating_sub(1));
	let mut epochs = Vec::new();
	for index in (first..=epoch.index).rev() {
		let standing = chain.standing(index, host).await?;
		// A reward is granted in the epoch after the one that earned it.
		let granted = earnings.grants.iter().find(|(granted, _)| index.checked_add(1) == Some(*granted));
		let pay = granted.map(|(_, amount)| Amount(*amount));
		epochs.extend(standing.map(|standing| Standing { pay, ..Standing::of(&standing, epoch.schedule.segments) }));
	}
	Ok(Host {
		account: keys::ss58(&view.account),
		name: Names::of(chain).await?.get(host),
		money: Money {
			spendable: Amount(balance.spendable()),
			collateral: Amount(collateral.active),
			vesting: Amount(earnings.locked),
			vested: Amount(earnings.vested),
		},
		session_keys: SessionKeys::query(chain, host).await?,
		slashes: slashes.iter().map(Slashed::of).collect(),
		slashes_since,
		worker: keys::ss58(&view.worker),
		url: String::from_utf8_lossy(&view.url).into_owned(),
		models: model_names(&view, &models),
		registered: view.registered,
		effective_weight: view.effective_weight,
		reputation: Reputation::of(&reputation, view.condemned),
		channels: channels.len(),
		best: epoch.block,
		epochs,
		duties: check.map(|check| Duties::of(&check)),
		requests: requests.iter().filter(|request| request.openings.is_none()).map(Request::of).collect(),
		disputes: claims.iter().filter(|claim| Dispute::concerns(claim, host)).map(Dispute::of).collect(),
	})
}

impl Slashed {
	fn of(slash: &Slash) -> Self {
		let of = if slash.offence.is_some() { "collateral" } else { "pay" };
		Self { block: slash.block, of, offence: slash.offence.map(offence), amount: Amount(slash.amount) }
	}

	fn text(&self) -> String {
		let amount = gnk(self.amount.0);
		match self.offence {
			Some(offence) => format!("{amount} GNK of collateral in block {}, for {offence}", self.block),
			None => format!("{amount} GNK of pay that had not vested, in block {}", self.block),
		}
	}
}

impl Reputation {
	fn of(view: &ReputationView, condemned: bool) -> Self {
		let ReputationView { reputation, muted, case, .. } = *view;
		let judgement = view.judgement.as_ref().map(Judgement::of);
		let suspicion = view.suspicions.iter().map(|(_, sum)| *sum).max().unwrap_or(0);
		Self { reputation, suspicion, case, judgement, muted, condemned }
	}

	fn text(&self) -> String {
		let mut text = format!("{:.1} %", f64::from(self.reputation) / 1e4);
		if self.suspicion > 0 {
			text += &format!("; evidence against its completions: {:.1} nats", self.suspicion as f64 / NAT as f64);
		}
		if let Some(case) = self.case {
			text += &format!("; case {case} is open");
		}
		if let Some(judgement) = &self.judgement {
			text += &format!("; {}", judgement.text());
		}
		if let Some(muted) = self.muted {
			let reason = match self.condemned {
				true => "found guilty: gets no requests, and its findings are ignored",
				false => "discredited for its findings: they are ignored",
			};
			text += &format!("; {reason} until the end of epoch {muted}");
		}
		text
	}
}

impl Duties {
	fn of(check: &CheckView) -> Self {
		Self {
			hosts: check.duties.len(),
			leaf_sets: check.duties.iter().map(|duty| duty.sets.len()).sum(),
			committed: check.committed.is_some(),
			revealed: check.revealed,
		}
	}

	fn state(&self) -> &'static str {
		match (self.committed, self.revealed) {
			(_, true) => "digests revealed",
			(true, false) => "digests committed to",
			(false, false) => "no digests yet",
		}
	}
}

impl Request {
	fn of(request: &RequestView) -> Self {
		Self { checker: keys::ss58(&request.checker), positions: request.positions.clone(), deadline: request.deadline }
	}
}

fn screen(host: &Host) -> Result<String, fmt::Error> {
	let mut out = String::new();
	let name = host.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
	writeln!(out, "host        {}{name}", host.account)?;
	writeln!(out, "worker key  {}", host.worker)?;
	writeln!(out, "url         {}", host.url)?;
	writeln!(out, "models      {}", host.models.join(", "))?;
	writeln!(out, "registered  epoch {}", host.registered)?;
	writeln!(out, "weight      {} (effective)", host.effective_weight)?;
	writeln!(out, "reputation  {}", host.reputation.text())?;
	writeln!(out, "channels    {}", host.channels)?;
	let Money { spendable, collateral, vesting, vested } = host.money;
	writeln!(out, "balance     {} GNK spendable, {} GNK of collateral", gnk(spendable.0), gnk(collateral.0))?;
	writeln!(out, "pay         {} GNK vesting, {} GNK vested: `gonka host earnings`", gnk(vesting.0), gnk(vested.0))?;
	writeln!(out, "validator   {}", host.session_keys.validator())?;
	if host.slashes.is_empty() {
		writeln!(out, "slashed     nothing in the blocks from {} on", host.slashes_since)?;
	}
	for slash in &host.slashes {
		writeln!(out, "slashed     {}", slash.text())?;
	}
	if let Some(duties) = &host.duties {
		writeln!(out, "checks      {} leaf sets of {} hosts: {}", duties.leaf_sets, duties.hosts, duties.state())?;
	}
	if host.epochs.is_empty() {
		writeln!(out, "\nthe host took part in none of these epochs")?;
	}
	for epoch in &host.epochs {
		writeln!(out)?;
		epoch.write(&mut out)?;
	}
	if !host.requests.is_empty() {
		writeln!(out, "\nopenings to post, else a third of the weight or more is lost (best block {}):", host.best)?;
	}
	for Request { checker, positions, deadline } in &host.requests {
		let leaves = positions.iter().map(|(segment, position)| format!("{segment}/{position}"));
		let leaves = leaves.collect::<Vec<_>>().join(", ");
		writeln!(out, "  by block {deadline}: leaves (segment/position) {leaves}, for {}", short(checker))?;
	}
	if !host.disputes.is_empty() {
		writeln!(out, "\ndisputes (best block {}):\n{}", host.best, disputes(&host.disputes))?;
	}
	Ok(out)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::commands::{dispute, standing};
	use gonka_primitives::check::{self, Stage};

	#[test]
	fn a_host_sees_its_open_tasks_and_their_deadlines() {
		let claim = dispute::tests::claim(vec![dispute::tests::game(Stage::Children)]);
		let host = Host {
			account: keys::ss58(&[2; 32]),
			name: Some("//Bob".into()),
			money: Money {
				spendable: Amount(12_500_000_000),
				collateral: Amount(45_000_000_000),
				vesting: Amount(7_000_000_000),
				vested: Amount(1),
			},
			session_keys: SessionKeys {
				host: keys::ss58(&[2; 32]),
				keys: None,
				held_by_node: None,
				power: None,
				share: 0.0,
			},
			slashes: [Some(check::Offence::MissedDuties), None]
				.map(|offence| Slashed::of(&Slash { block: 77, offence, amount: 5_000_000_000 }))
				.to_vec(),
			slashes_since: 1,
			worker: keys::ss58(&[9; 32]),
			url: "http://127.0.0.1:9000".into(),
			models: vec!["m".into()],
			registered: 1,
			effective_weight: 80,
			reputation: Reputation {
				reputation: 33_333,
				suspicion: 98_304,
				case: Some(4),
				judgement: None,
				muted: None,
				condemned: false,
			},
			channels: 0,
			best: 81,
			epochs: vec![Standing::of(&standing::tests::view(), 5)],
			duties: Some(Duties { hosts: 8, leaf_sets: 16, committed: true, revealed: false }),
			requests: vec![Request { checker: keys::ss58(&[1; 32]), positions: vec![(2, 4), (3, 9)], deadline: 88 }],
			disputes: vec![Dispute::of(&claim)],
		};
		let text = screen(&host).unwrap();
		for part in [
			"checks      16 leaf sets of 8 hosts: digests committed to",
			"by block 88: leaves (segment/position) 2/4, 3/9, for",
			"the claimant's children",
			"offence          none",
			" //Bob\n",
			"balance     12.5 GNK spendable, 45 GNK of collateral\n",
			"pay         7 GNK vesting, 0.000000001 GNK vested",
			"validator   no: it has no session keys",
			"slashed     5 GNK of collateral in block 77, for missed duties\n",
			"slashed     5 GNK of pay that had not vested, in block 77\n",
			"reputation  3.3 %; evidence against its completions: 1.5 nats; case 4 is open\n",
		] {
			assert!(text.contains(part), "no `{part}` in\n{text}");
		}
		let muted = |condemned| {
			Reputation { reputation: 0, suspicion: 0, case: None, judgement: None, muted: Some(7), condemned }.text()
		};
		assert_eq!(
			muted(true),
			"0.0 %; found guilty: gets no requests, and its findings are ignored until the end of epoch 7"
		);
		assert_eq!(muted(false), "0.0 %; discredited for its findings: they are ignored until the end of epoch 7");
		let judgement = Some(Judgement { case: 4, outcome: "guilty", until: 90, deposit: 100_000_000_000 });
		let judged = Reputation { judgement, case: None, ..host.reputation.clone() }.text();
		assert!(judged.contains("case 4: guilty. It takes effect after block 90 unless the host appeals"), "{judged}");
		assert!(judged.contains("100 GNK"), "{judged}");
		let json = serde_json::to_value(&host).unwrap();
		assert_eq!(json["epochs"][0]["unanswered"], 1);
		assert_eq!(json["slashes"][1]["of"], "pay");
		assert_eq!(json["disputes"][0]["games"][0]["stage"], "children");
	}
}
