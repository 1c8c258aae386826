//! `gonka host show`.

use super::{cases::Judgement, model_names};
use crate::commands::{
	dispute::{Dispute, disputes},
	emit, emit_json, short,
	standing::Standing,
};
use anyhow::{Result, bail};
use gonka_client::{chain::Chain, keys};
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
	/// Its standing in the running epoch and in the one before, if it took part.
	pub epochs: Vec<Standing>,
	/// Its checking duties in the running epoch.
	pub duties: Option<Duties>,
	/// Requests for openings that it has to post.
	pub requests: Vec<Request>,
	/// Open disputes in which it is claimant, accused or refuter.
	pub disputes: Vec<Dispute>,
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
pub(super) async fn run(chain: &Chain, host: &AccountId, json: bool) -> Result<()> {
	let host = gather(chain, host).await?;
	if json { emit_json(&host) } else { emit(&screen(&host)?) }
}

/// Queries the chain for everything about a host.
pub async fn gather(chain: &Chain, host: &AccountId) -> Result<Host> {
	let Some(view) = chain.host(host).await? else {
		bail!("{} is not registered as a host. `gonka host list` shows the registered hosts", keys::ss58(host));
	};
	let (epoch, models) = tokio::try_join!(chain.epoch(), chain.models())?;
	let (channels, check) = tokio::try_join!(chain.channels_of_host(host), chain.check(host))?;
	let (requests, claims, reputation) =
		tokio::try_join!(chain.opening_requests(host), chain.claims(), chain.reputation(host))?;
	let mut epochs = Vec::new();
	for index in [Some(epoch.index), epoch.index.checked_sub(1)].into_iter().flatten() {
		let standing = chain.standing(index, host).await?;
		epochs.extend(standing.map(|standing| Standing::of(&standing, epoch.schedule.segments)));
	}
	Ok(Host {
		account: keys::ss58(&view.account),
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
	writeln!(out, "host        {}", host.account)?;
	writeln!(out, "worker key  {}", host.worker)?;
	writeln!(out, "url         {}", host.url)?;
	writeln!(out, "models      {}", host.models.join(", "))?;
	writeln!(out, "registered  epoch {}", host.registered)?;
	writeln!(out, "weight      {} (effective)", host.effective_weight)?;
	writeln!(out, "reputation  {}", host.reputation.text())?;
	writeln!(out, "channels    {}", host.channels)?;
	if let Some(duties) = &host.duties {
		writeln!(out, "checks      {} leaf sets of {} hosts: {}", duties.leaf_sets, duties.hosts, duties.state())?;
	}
	if host.epochs.is_empty() {
		writeln!(out, "\nthe host took part neither in this epoch nor in the one before")?;
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
	use gonka_primitives::check::Stage;

	#[test]
	fn a_host_sees_its_open_tasks_and_their_deadlines() {
		let claim = dispute::tests::claim(vec![dispute::tests::game(Stage::Children)]);
		let host = Host {
			account: keys::ss58(&[2; 32]),
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
		assert_eq!(json["disputes"][0]["games"][0]["stage"], "children");
	}
}
