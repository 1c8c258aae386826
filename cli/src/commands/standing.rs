//! Why a host has the weight it has, in words.

use super::dispute::{offence, verdict};
use gonka_primitives::views::StandingView;
use serde::Serialize;
use std::fmt::{self, Write};

/// How a host stands in an epoch. Weights are in leaves, ratios from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
	/// The epoch.
	pub epoch: u32,
	/// Whether its weights are counted. Confirmations and disputes can still change what is paid.
	pub settled: bool,
	/// Whether a committee checks the host; none before the draw. Nobody's leaves count unchecked, unless the chain's
	/// genesis allows it.
	pub checked: Option<bool>,
	/// The segments of the sprint.
	pub segments: Vec<Segment>,
	/// The median of their leaves: those missing or lost count 0.
	pub median: u64,
	/// Segments × median, once settled.
	pub raw_weight: Option<u64>,
	/// What of it counts by itself or is backed by collateral.
	pub backed_weight: Option<u64>,
	/// Whether the cap on one host's share cut it.
	pub capped: bool,
	/// What is left of it: the host's weight.
	pub effective_weight: Option<u64>,
	/// The confirmation segments called so far.
	pub confirmations: Vec<Segment>,
	/// The share of its sprint's rate that they showed, once settled.
	pub confirmed: Option<f64>,
	/// Leaf sets that it had to check; 0 until known.
	pub sets_to_check: u32,
	/// Those of them whose digests it revealed, and showed when challenged.
	pub sets_met: u32,
	/// The share of its duties met: checking, confirmations, answers.
	pub performance: f64,
	/// Whether it lost its pay by missing a turn of a dispute.
	pub forfeited: bool,
	/// `fabrication`, `false accusation`, `equivocation` or `false digest`, if it was convicted.
	pub offence: Option<&'static str>,
	/// Work units that it settled while these weights were in force.
	pub work: u64,
	/// The share of its pay that is left for what it served: below 1 if it served less than a fifth of the median.
	pub served: f64,
	/// The weight it is paid for, once settled: effective weight × confirmed × performance × served.
	pub paid_weight: Option<u64>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
	/// Its number.
	pub segment: u8,
	/// Leaves committed to, if any were.
	pub leaves: Option<u64>,
	/// The root of the commitment.
	pub root: Option<String>,
	/// Whether it is lost unless openings are posted in time; once settled, whether it is lost.
	pub lost: bool,
}

impl Standing {
	/// From the chain's view, with the number of segments of a sprint.
	pub fn of(view: &StandingView, segments: u8) -> Self {
		let segment = |segment: u8| {
			let commitment =
				view.commitments.iter().find(|(other, _)| *other == segment).map(|(_, commitment)| commitment);
			Segment {
				segment,
				leaves: commitment.map(|commitment| commitment.count),
				root: commitment.map(|commitment| format!("0x{}", hex::encode(commitment.root))),
				lost: view.lost.contains(&segment),
			}
		};
		let called = u8::try_from(view.confirmations).unwrap_or(u8::MAX);
		let sprint: Vec<Segment> = (0..segments).map(segment).collect();
		let mut counts: Vec<u64> = sprint.iter().map(Segment::counted).collect();
		counts.sort_unstable();
		let middle = counts.len().saturating_sub(1) / 2;
		let convicted = view.offence.is_some();
		Self {
			epoch: view.epoch,
			settled: view.raw.is_some(),
			checked: view.checked,
			median: counts.get(middle).copied().unwrap_or(0),
			segments: sprint,
			raw_weight: view.raw,
			backed_weight: view.backed,
			capped: view.effective.is_some_and(|effective| effective > 0 && Some(effective) < view.backed),
			effective_weight: view.effective,
			confirmations: (segments..segments.saturating_add(called)).map(segment).collect(),
			confirmed: view.raw.map(|_| ratio(view.confirmed)),
			sets_to_check: view.duties.0,
			sets_met: view.duties.1,
			performance: ratio(view.performance),
			// Who revealed something met a part of its duties, unless all of it was taken away.
			forfeited: view.performance == 0 && view.duties.1 > 0 && !convicted,
			offence: view.offence.map(offence),
			work: view.work,
			served: ratio(view.served),
			paid_weight: view.paid,
		}
	}

	/// Its lines on the screen.
	pub fn write(&self, out: &mut String) -> fmt::Result {
		let state = if self.settled { "settled" } else { "not settled yet" };
		writeln!(out, "epoch {}, {state}", self.epoch)?;
		let mut line = |name: &str, text: String| writeln!(out, "  {name:<14} {text}");
		let checked = match self.checked {
			None => "committees are not drawn yet",
			Some(true) => "by a committee",
			Some(false) => "by nobody: too few hosts; leaves count only where genesis allows it",
		};
		line("checked", checked.into())?;
		line("leaves", leaves(&self.segments, if self.settled { "lost" } else { "openings asked for" }))?;
		line("median", format!("{}; a segment missing or lost counts 0", self.median))?;
		if let Some((raw, effective)) = self.raw_weight.zip(self.effective_weight) {
			line("raw weight", format!("{raw} = {} segments × median", self.segments.len()))?;
			if let Some(backed) = self.backed_weight.filter(|backed| *backed < raw) {
				line("backed", format!("{backed}: more collateral would count more of it"))?;
			}
			let cut = if self.capped { ", cut: no host counts for more than 30 %" } else { "" };
			line("weight", format!("{effective}{cut}"))?;
		}
		let called = self.confirmations.len();
		let shown = self.confirmed.filter(|_| called > 0);
		let shown = shown.map_or_else(String::new, |share| format!("; {} of its sprint shown", percent(share)));
		let list = if called > 0 { format!(": {}", leaves(&self.confirmations, "")) } else { String::new() };
		line("confirmations", format!("{called} called{list}{shown}"))?;
		if self.settled || self.sets_to_check > 0 {
			line("duties", format!("{} of {} leaf sets met", self.sets_met, self.sets_to_check))?;
		}
		if self.settled || self.forfeited {
			let forfeited = if self.forfeited { ": it missed a turn of a dispute and is not paid" } else { "" };
			line("performance", format!("{}{forfeited}", percent(self.performance)))?;
		}
		if let Some(paid) = self.paid_weight {
			let short = if self.served < 1.0 { ", too little for its weight" } else { "" };
			line("served", format!("{}: {} work units settled{short}", percent(self.served), self.work))?;
			line("paid for", format!("{paid} = weight × confirmations shown × performance × served"))?;
		}
		line("offence", self.offence.map_or("none", verdict).into())
	}
}

impl Segment {
	fn counted(&self) -> u64 {
		if self.lost { 0 } else { self.leaves.unwrap_or(0) }
	}
}

/// Leaves of segments in a row.
fn leaves(segments: &[Segment], lost: &str) -> String {
	let one = |segment: &Segment| match segment.leaves {
		None => "none".into(),
		Some(leaves) if segment.lost => format!("{leaves} ({lost})"),
		Some(leaves) => leaves.to_string(),
	};
	segments.iter().map(one).collect::<Vec<_>>().join(" · ")
}

fn ratio(millionths: u32) -> f64 {
	f64::from(millionths) / 1e6
}

/// A share, 0 to 1.
pub fn percent(share: f64) -> String {
	format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
pub(super) mod tests {
	use super::*;
	use gonka_primitives::{check::Offence, host::Commitment};

	/// 50, 40, nothing, 30 and 20 leaves, a confirmation of 36; segment 3 lost.
	pub fn view() -> StandingView {
		let counts = [(0, 50), (1, 40), (3, 30), (4, 20), (5, 36)];
		let commitment = |(segment, count)| (segment, Commitment { count, root: [segment; 32] });
		StandingView {
			epoch: 4,
			commitments: counts.map(commitment).to_vec(),
			lost: vec![3],
			checked: Some(true),
			raw: Some(100),
			backed: Some(100),
			effective: Some(80),
			duties: (16, 15),
			confirmations: 2,
			confirmed: 900_000,
			performance: 500_000,
			work: 1_234,
			served: 1_000_000,
			paid: Some(36),
			offence: None,
		}
	}

	#[test]
	fn every_reason_is_told() {
		let standing = Standing::of(&view(), 5);
		assert_eq!((standing.median, standing.capped, standing.forfeited), (20, true, false));
		let mut text = String::new();
		standing.write(&mut text).unwrap();
		for line in [
			"epoch 4, settled",
			"50 · 40 · none · 30 (lost) · 20",
			"100 = 5 segments × median",
			"80, cut:",
			"2 called: 36 · none; 90.0 % of its sprint shown",
			"15 of 16 leaf sets met",
			"50.0 %\n",
			"100.0 %: 1234 work units settled\n",
			"36 = weight",
			"offence        none",
		] {
			assert!(text.contains(line), "no `{line}` in\n{text}");
		}
		assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
	}

	#[test]
	fn an_offence_says_what_is_lost() {
		for offence in [Offence::Fabrication, Offence::FalseAccusation, Offence::FalseDigest, Offence::Equivocation] {
			let standing = Standing::of(&StandingView { offence: Some(offence), effective: Some(0), ..view() }, 5);
			let mut text = String::new();
			standing.write(&mut text).unwrap();
			assert!(text.contains("convicted of") && text.contains("lost"), "{text}");
			assert!(!standing.capped);
		}
	}

	#[test]
	fn who_serves_too_little_is_told() {
		let mut text = String::new();
		Standing::of(&StandingView { served: 250_000, ..view() }, 5).write(&mut text).unwrap();
		assert!(text.contains("25.0 %: 1234 work units settled, too little for its weight"), "{text}");
	}

	#[test]
	fn a_missed_turn_is_told_from_idleness() {
		let with = |duties| Standing::of(&StandingView { performance: 0, duties, ..view() }, 5).forfeited;
		assert!(with((16, 16)));
		assert!(!with((16, 0)));
	}

	#[test]
	fn an_epoch_under_way_promises_nothing() {
		let running = StandingView {
			raw: None,
			backed: None,
			effective: None,
			paid: None,
			checked: None,
			confirmations: 0,
			duties: (0, 0),
			..view()
		};
		let mut text = String::new();
		Standing::of(&running, 5).write(&mut text).unwrap();
		assert!(text.contains("not drawn yet") && text.contains("30 (openings asked for)"), "{text}");
		assert!(
			["weight ", "paid for", "served", "duties", "performance"].iter().all(|word| !text.contains(word)),
			"{text}"
		);
	}
}
