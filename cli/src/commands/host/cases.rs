//! `gonka host cases` and `gonka host appeal`.

use crate::{
	amount::{gnk, units},
	commands::{emit, emit_json, short, table},
};
use anyhow::{Result, bail};
use gonka_client::{
	chain::Chain,
	keys::{self, Keypair},
};
use gonka_primitives::{
	audit::Outcome,
	views::{CaseView, JudgementView},
};
use serde::Serialize;

/// A case or an appeal that is heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
	/// Its number.
	pub id: u32,
	/// `case` or `appeal`.
	pub kind: &'static str,
	/// Address of the host that it is about.
	pub host: String,
	/// Last block that may carry a ruling.
	pub deadline: u32,
	/// Number of seats; 0 until the arbiters are drawn.
	pub seats: u32,
	/// Number of seats whose arbiters ruled.
	pub ruled: u32,
	/// Number of them that ruled against the host.
	pub against: u32,
}

/// A judgement against a host that it can appeal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
	/// Number of the case.
	pub case: u32,
	/// `guilty`, or `withheld` if the host did not show its evidence.
	pub outcome: &'static str,
	/// Last block that may carry an appeal. The judgement takes effect after it.
	pub until: u32,
	/// Deposit of an appeal in base units.
	#[serde(serialize_with = "units")]
	pub deposit: u128,
}

impl Case {
	fn of(view: &CaseView) -> Self {
		let seats = |is: fn(Option<Outcome>) -> bool| {
			view.arbiters.iter().filter(|arbiter| is(arbiter.ruled)).map(|arbiter| arbiter.seats).sum()
		};
		Self {
			id: view.id,
			kind: if view.appeal { "appeal" } else { "case" },
			host: keys::ss58(&view.host),
			deadline: view.deadline,
			seats: seats(|_| true),
			ruled: seats(|ruled| ruled.is_some()),
			against: seats(|ruled| ruled.is_some_and(|outcome| outcome != Outcome::Innocent)),
		}
	}
}

impl Judgement {
	/// Reads the chain's view.
	pub fn of(view: &JudgementView) -> Self {
		let JudgementView { case, until, deposit, .. } = *view;
		Self { case, outcome: name(view.outcome), until, deposit }
	}

	/// The judgement in words.
	pub fn text(&self) -> String {
		let Self { case, outcome, until, deposit } = self;
		let deposit = gnk(*deposit);
		format!(
			"case {case}: {outcome}. It takes effect after block {until} unless the host appeals before, with a deposit of \
			 {deposit} GNK: `gonka host appeal`"
		)
	}
}

/// Name of an outcome.
fn name(outcome: Outcome) -> &'static str {
	match outcome {
		Outcome::Innocent => "innocent",
		Outcome::Withheld => "withheld",
		Outcome::Guilty => "guilty",
	}
}

/// Runs `gonka host cases`.
pub(super) async fn list(chain: &Chain, json: bool) -> Result<()> {
	let cases: Vec<_> = chain.cases().await?.iter().map(Case::of).collect();
	if json {
		return emit_json(&cases);
	}
	let mut table = table(&["number", "kind", "host", "until block", "seats", "ruled", "against the host"]);
	for case in &cases {
		let numbers = [case.deadline, case.seats, case.ruled, case.against].map(|number| number.to_string());
		let [deadline, seats, ruled, against] = numbers;
		table.add_row([case.id.to_string(), case.kind.into(), short(&case.host), deadline, seats, ruled, against]);
	}
	emit(&format!("{table}\n"))
}

/// Runs `gonka host appeal`.
pub(super) async fn appeal(chain: &Chain, key: &Keypair) -> Result<()> {
	let host = keys::public(key);
	let Some(JudgementView { case, deposit, .. }) = chain.reputation(&host).await?.judgement else {
		bail!("there is no judgement against {} that can be appealed", keys::ss58(&host));
	};
	chain.appeal(key, case).await?;
	println!("appealed against the judgement of case {case}, with a deposit of {} GNK", gnk(deposit));
	println!("keep the worker up and reachable: more arbiters query its evidence. `gonka host cases` shows the appeal");
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::{
		audit::{CalibrationProfile, FINGERPRINT_BINS, TAPE_BINS},
		views::ArbiterView,
	};

	#[test]
	fn a_case_counts_seats_and_not_arbiters() {
		let profile = CalibrationProfile {
			margins: [1, 2, 3, 4, 5, 6],
			tape: [0; TAPE_BINS],
			distances: [1, 2, 3, 4, 5, 6, 7],
			fingerprint: [0; FINGERPRINT_BINS],
			alarm: 1,
			clamp: 1,
			min_worker_version: 0,
		};
		let arbiter = |seats, ruled| ArbiterView { who: [1; 32], seats, ruled };
		let view = CaseView {
			id: 7,
			appeal: true,
			host: [2; 32],
			url: Vec::new(),
			model: 0,
			profile,
			opened: 1,
			deadline: 9,
			seed: None,
			reviewed: Vec::new(),
			scope: Vec::new(),
			arbiters: vec![arbiter(3, None), arbiter(2, Some(Outcome::Guilty)), arbiter(4, Some(Outcome::Innocent))],
		};
		let case = Case::of(&view);
		assert_eq!((case.kind, case.seats, case.ruled, case.against), ("appeal", 9, 6, 2));
	}
}
