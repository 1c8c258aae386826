//! `gonka host show`.

use super::model_names;
use crate::commands::{
	dispute::{Dispute, disputes},
	emit, short,
	standing::Standing,
};
use anyhow::{Result, bail};
use gonka_client::{chain::Chain, keys};
use gonka_primitives::{
	AccountId,
	sampling::NAT,
	views::{CheckView, RequestView, SamplingView},
};
use serde::Serialize;
use std::fmt::{self, Write};

/// A host as of the best block.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
	/// Its address.
	pub account: String,
	/// Address of its worker's key.
	pub worker: String,
	/// Where its worker is reached.
	pub url: String,
	/// Names of its models.
	pub models: String,
	/// The epoch of its last registration.
	pub registered: u32,
	/// Its weight of the last settled epoch.
	pub weight: u64,
	/// How far its answers and its findings about others' are trusted.
	pub sampling: Sampling,
	/// Channels that pay it.
	pub channels: usize,
	/// The best block's number, which deadlines compare with.
	pub best: u32,
	/// How it stands in the running epoch and in the one before, where it raced.
	pub epochs: Vec<Standing>,
	/// What it has to check in the running epoch, if it does.
	pub duties: Option<Duties>,
	/// Requests for openings that it must answer.
	pub requests: Vec<Request>,
	/// Open claims in which it claims, is accused or refutes.
	pub disputes: Vec<Dispute>,
}

/// How far a host is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sampling {
	/// Millionths.
	pub reputation: u32,
	/// What speaks against its answers: of several models the most, in 2⁻¹⁶ nats.
	pub suspicion: u64,
	/// The case against it.
	pub case: Option<u32>,
	/// The last epoch in which nobody listens to it.
	pub muted: Option<u32>,
	/// Whether that is for its own answers, and gateways do not ask it.
	pub condemned: bool,
}

/// What a checker has to do in the running epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duties {
	/// The hosts it has to check.
	pub hosts: usize,
	/// Their leaf sets.
	pub sets: usize,
	/// Whether it committed to their digests.
	pub committed: bool,
	/// Whether it revealed them.
	pub revealed: bool,
}

/// A request for openings without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
	/// Who asked.
	pub checker: String,
	/// The segment, which is lost without an answer.
	pub segment: u8,
	/// Positions in its commitment.
	pub positions: Vec<u64>,
	/// The last block that may carry the answer.
	pub deadline: u32,
}

/// Runs `gonka host show`.
pub(super) async fn run(chain: &Chain, host: &AccountId, json: bool) -> Result<()> {
	let host = gather(chain, host).await?;
	if json { emit(&format!("{}\n", serde_json::to_string_pretty(&host)?)) } else { emit(&screen(&host)?) }
}

/// Asks the chain for everything about a host.
pub async fn gather(chain: &Chain, host: &AccountId) -> Result<Host> {
	let Some(view) = chain.host(host).await? else {
		bail!("{} is not registered as a host", keys::ss58(host));
	};
	let (epoch, models) = tokio::try_join!(chain.epoch(), chain.models())?;
	let (channels, check) = tokio::try_join!(chain.channels_of_host(host), chain.check(host))?;
	let (requests, claims, sampling) =
		tokio::try_join!(chain.opening_requests(host), chain.claims(), chain.sampling(host))?;
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
		weight: view.weight,
		sampling: Sampling::of(&sampling, view.condemned),
		channels: channels.len(),
		best: epoch.block,
		epochs,
		duties: check.map(|check| Duties::of(&check)),
		requests: requests.iter().filter(|request| request.openings.is_none()).map(Request::of).collect(),
		disputes: claims.iter().filter(|claim| Dispute::concerns(claim, host)).map(Dispute::of).collect(),
	})
}

impl Sampling {
	fn of(view: &SamplingView, condemned: bool) -> Self {
		let SamplingView { reputation, muted, case, .. } = *view;
		let suspicion = view.suspicions.iter().map(|(_, sum)| *sum).max().unwrap_or(0);
		Self { reputation, suspicion, case, muted, condemned }
	}

	fn text(&self) -> String {
		let mut text = format!("reputation {:.1} %", f64::from(self.reputation) / 1e4);
		if self.suspicion > 0 {
			text += &format!("; {:.1} nats speak against its answers", self.suspicion as f64 / NAT as f64);
		}
		if let Some(case) = self.case {
			text += &format!("; case {case} is open");
		}
		if let Some(muted) = self.muted {
			let why = match self.condemned {
				true => "found guilty: neither asked nor heard",
				false => "struck for its findings: not heard",
			};
			text += &format!("; {why} until the end of epoch {muted}");
		}
		text
	}
}

impl Duties {
	fn of(check: &CheckView) -> Self {
		Self {
			hosts: check.duties.len(),
			sets: check.duties.iter().map(|duty| duty.sets.len()).sum(),
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
		Self {
			checker: keys::ss58(&request.checker),
			segment: request.segment,
			positions: request.positions.clone(),
			deadline: request.deadline,
		}
	}
}

fn screen(host: &Host) -> Result<String, fmt::Error> {
	let mut out = String::new();
	writeln!(out, "host        {}", host.account)?;
	writeln!(out, "worker key  {}", host.worker)?;
	writeln!(out, "url         {}", host.url)?;
	writeln!(out, "models      {}", host.models)?;
	writeln!(out, "registered  epoch {}", host.registered)?;
	writeln!(out, "weight      {}", host.weight)?;
	writeln!(out, "answers     {}", host.sampling.text())?;
	writeln!(out, "channels    {}", host.channels)?;
	if let Some(duties) = &host.duties {
		writeln!(out, "checks      {} leaf sets of {} hosts: {}", duties.sets, duties.hosts, duties.state())?;
	}
	if host.epochs.is_empty() {
		writeln!(out, "\nit has not raced in this epoch or the one before")?;
	}
	for epoch in &host.epochs {
		writeln!(out)?;
		epoch.write(&mut out)?;
	}
	if !host.requests.is_empty() {
		writeln!(out, "\nopenings to post, or the segment is lost (best block {}):", host.best)?;
	}
	for Request { checker, segment, positions, deadline } in &host.requests {
		let positions: Vec<String> = positions.iter().map(u64::to_string).collect();
		let positions = positions.join(", ");
		writeln!(out, "  by block {deadline}: segment {segment}, positions {positions}, for {}", short(checker))?;
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
	fn a_host_sees_what_it_must_do() {
		let claim = dispute::tests::claim(vec![dispute::tests::game(Stage::Children)]);
		let host = Host {
			account: keys::ss58(&[2; 32]),
			worker: keys::ss58(&[9; 32]),
			url: "http://127.0.0.1:9000".into(),
			models: "m".into(),
			registered: 1,
			weight: 80,
			sampling: Sampling { reputation: 33_333, suspicion: 98_304, case: Some(4), muted: None, condemned: false },
			channels: 0,
			best: 81,
			epochs: vec![Standing::of(&standing::tests::view(), 5)],
			duties: Some(Duties { hosts: 8, sets: 16, committed: true, revealed: false }),
			requests: vec![Request { checker: keys::ss58(&[1; 32]), segment: 2, positions: vec![4, 9], deadline: 88 }],
			disputes: vec![Dispute::of(&claim)],
		};
		let text = screen(&host).unwrap();
		for part in [
			"checks      16 leaf sets of 8 hosts: digests committed to",
			"by block 88: segment 2, positions 4, 9, for",
			"the claimant's children",
			"offence        none",
			"answers     reputation 3.3 %; 1.5 nats speak against its answers; case 4 is open\n",
		] {
			assert!(text.contains(part), "no `{part}` in\n{text}");
		}
		let muted = |condemned| Sampling { reputation: 0, suspicion: 0, case: None, muted: Some(7), condemned }.text();
		assert_eq!(muted(true), "reputation 0.0 %; found guilty: neither asked nor heard until the end of epoch 7");
		assert_eq!(muted(false), "reputation 0.0 %; struck for its findings: not heard until the end of epoch 7");
		let json = serde_json::to_value(&host).unwrap();
		assert_eq!(json["epochs"][0]["segments"][3]["lost"], true);
		assert_eq!(json["disputes"][0]["games"][0]["stage"], "children");
	}
}
