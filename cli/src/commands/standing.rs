//! The standing of a host in an epoch: how its weight and pay come about.

use super::dispute::{offence, offence_text};
use crate::amount::{Amount, gnk};
use gonka_primitives::views::StandingView;
use serde::Serialize;
use std::fmt::{self, Write};

/// Standing of a host in an epoch. Weights are in leaves, ratios from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
	/// Index of the epoch.
	pub epoch: u32,
	/// Whether the epoch is weighed. Confirmations and disputes can still change the pay.
	pub weighed: bool,
	/// Whether a committee checks the host; none before the draw. Unchecked leaves count only on a chain whose genesis
	/// allows it.
	pub checked: Option<bool>,
	/// Segments of the sprint.
	pub segments: Vec<Segment>,
	/// Median of their leaves. A missing segment counts 0.
	pub median: u64,
	/// Number of requests for openings that it has not answered.
	pub unanswered: u32,
	/// Number of segments × median, once weighed, less what unanswered requests cost.
	pub compute_weight: Option<u64>,
	/// Part of the compute weight that counts by itself or is backed by collateral.
	pub backed_weight: Option<u64>,
	/// Whether the cap on a host's share cut the backed weight.
	pub capped: bool,
	/// Backed weight under the cap.
	pub effective_weight: Option<u64>,
	/// Weight that the confirmations of the epoch before bore out: it carries power and pay.
	pub proven_weight: Option<u64>,
	/// Weight that was proven in the epoch before, too: it carries votes.
	pub vote_weight: Option<u64>,
	/// Confirmation segments so far whose commitments are in.
	pub confirmations: Vec<Segment>,
	/// Share of the sprint's rate that the confirmation segments showed, once weighed.
	pub confirmed: Option<f64>,
	/// Number of leaf sets to check; 0 until known.
	pub sets_to_check: u32,
	/// Number of leaf sets whose digests it revealed, and showed when challenged.
	pub sets_met: u32,
	/// Number of audits that were assigned to it.
	pub audits_assigned: u32,
	/// Number of those on which it reported.
	pub audits_reported: u32,
	/// Number of blocks that were expected of it as a validator.
	pub blocks_expected: f64,
	/// Number of blocks that it wrote.
	pub blocks_written: u32,
	/// Share of its duties that it met: leaf sets, audits, blocks, confirmation segments.
	pub performance: f64,
	/// Whether it lost its pay because it missed a turn of a dispute.
	pub forfeited: bool,
	/// Conviction: `fabrication`, `false accusation`, `false digest`, `equivocation` or `wrong inference`.
	pub offence: Option<&'static str>,
	/// Work units settled while these weights were in force.
	pub work: u64,
	/// Factor for what it served: below 1 if that is less than a fifth of the median.
	pub served: f64,
	/// Lesser of backed weight × confirmed and proven weight, × performance × served, once weighed.
	pub paid_weight: Option<u64>,
	/// Pay that was granted for the epoch; none until then, or if it was not queried.
	pub pay: Option<Amount>,
}

/// A segment of a sprint, or a confirmation segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
	/// Number of the segment.
	pub segment: u8,
	/// Number of leaves committed to.
	pub leaves: Option<u64>,
	/// Root of the commitment.
	pub root: Option<String>,
	/// Blocks by which the commitment was late. It counts as if the segment had been longer by them.
	pub late: u8,
}

impl Standing {
	/// Reads the chain's view; `segments` is the number of segments of a sprint.
	pub fn of(view: &StandingView, segments: u8) -> Self {
		let segment = |segment: u8| {
			let commitment =
				view.commitments.iter().find(|(other, _)| *other == segment).map(|(_, commitment)| commitment);
			Segment {
				segment,
				leaves: commitment.map(|commitment| commitment.count),
				root: commitment.map(|commitment| format!("0x{}", hex::encode(commitment.root))),
				late: view.delays.get(usize::from(segment)).copied().unwrap_or(0),
			}
		};
		let called = u8::try_from(view.confirmations).unwrap_or(u8::MAX);
		let sprint: Vec<Segment> = (0..segments).map(segment).collect();
		let mut counts: Vec<u64> = sprint.iter().map(|segment| segment.leaves.unwrap_or(0)).collect();
		counts.sort_unstable();
		let middle = counts.len().saturating_sub(1) / 2;
		let convicted = view.offence.is_some();
		Self {
			epoch: view.epoch,
			weighed: view.compute_weight.is_some(),
			checked: view.checked,
			median: counts.get(middle).copied().unwrap_or(0),
			segments: sprint,
			unanswered: view.unanswered,
			compute_weight: view.compute_weight,
			backed_weight: view.backed_weight,
			capped: view
				.effective_weight
				.is_some_and(|effective| effective > 0 && Some(effective) < view.backed_weight),
			effective_weight: view.effective_weight,
			proven_weight: view.proven_weight,
			vote_weight: view.vote_weight,
			confirmations: (segments..segments.saturating_add(called)).map(segment).collect(),
			confirmed: view.compute_weight.map(|_| ratio(view.confirmed)),
			sets_to_check: view.duties.0,
			sets_met: view.duties.1,
			audits_assigned: view.audits.0,
			audits_reported: view.audits.1,
			blocks_expected: f64::from(view.blocks.0) / 1e3,
			blocks_written: view.blocks.1,
			performance: ratio(view.performance),
			// A host that revealed digests met some duties: a performance of 0 was then taken away.
			forfeited: view.performance == 0 && view.duties.1 > 0 && !convicted,
			offence: view.offence.map(offence),
			work: view.work,
			served: ratio(view.served),
			paid_weight: view.paid_weight,
			pay: None,
		}
	}

	/// Writes the standing as text.
	pub fn write(&self, out: &mut String) -> fmt::Result {
		let state = if self.weighed { "weighed" } else { "not weighed yet" };
		writeln!(out, "epoch {}, {state}", self.epoch)?;
		let mut line = |name: &str, text: String| writeln!(out, "  {name:<16} {text}");
		let checked = match self.checked {
			None => "committees are not drawn yet",
			Some(true) => "by a committee",
			Some(false) => "by nobody, since there are too few hosts: leaves count only where genesis allows it",
		};
		line("checked", checked.into())?;
		line("leaves", leaves(&self.segments))?;
		line("median", format!("{}; a missing segment counts 0", self.median))?;
		let late: u32 = self.segments.iter().chain(&self.confirmations).map(|segment| u32::from(segment.late)).sum();
		if late > 0 {
			line("late", format!("{late} blocks in all: late leaves count as if their segment had been longer"))?;
		}
		let less = match (self.unanswered > 0, late > 0) {
			(true, _) => ", less what unanswered requests and lateness cost",
			(false, true) => ", less what lateness costs",
			(false, false) => "",
		};
		if self.unanswered > 0 {
			let when = if self.weighed { "were not answered: each cost" } else { "are not answered yet: each costs" };
			line("openings", format!("{} requests {when} a third of the weight or more", self.unanswered))?;
		}
		if let Some((compute, effective)) = self.compute_weight.zip(self.effective_weight) {
			line("compute weight", format!("{compute} = {} segments × median{less}", self.segments.len()))?;
			if let Some(backed) = self.backed_weight.filter(|backed| *backed < compute) {
				line("backed weight", format!("{backed}: deposit collateral to back more"))?;
			}
			let cut = if self.capped { ", cut: no host counts for more than 30 %" } else { "" };
			line("effective weight", format!("{effective}{cut}"))?;
			let [proven, votes] = [self.proven_weight, self.vote_weight].map(Option::unwrap_or_default);
			let more = if proven < effective || votes < effective { "; confirmations prove more" } else { "" };
			line("proven weight", format!("{proven} carries pay and power, {votes} carries votes{more}"))?;
		}
		let called = self.confirmations.len();
		// A round counts as soon as its commitments are in.
		let shown = self.confirmed.filter(|_| self.confirmations.iter().any(|segment| segment.leaves.is_some()));
		let shown =
			shown.map_or_else(String::new, |share| format!("; they showed {} of the sprint's rate", percent(share)));
		let list = if called > 0 { format!(": {}", leaves(&self.confirmations)) } else { String::new() };
		line("confirmations", format!("{called} called{list}{shown}"))?;
		if self.weighed || self.sets_to_check > 0 {
			line("duties", format!("{} of {} leaf sets met", self.sets_met, self.sets_to_check))?;
		}
		if self.audits_assigned > 0 {
			line("audits", format!("{} of {} reported on", self.audits_reported, self.audits_assigned))?;
		}
		if self.blocks_expected > 0.0 {
			line("blocks", format!("{} written, {:.1} expected", self.blocks_written, self.blocks_expected))?;
		}
		if self.weighed || self.forfeited {
			let forfeited = if self.forfeited { ": the host missed a turn of a dispute and is not paid" } else { "" };
			line("performance", format!("{}{forfeited}", percent(self.performance)))?;
		}
		if let Some(paid) = self.paid_weight {
			let too_little = if self.served < 1.0 { ", too little for the weight" } else { "" };
			line("served", format!("{}: {} work units settled{too_little}", percent(self.served), self.work))?;
			line("paid weight", format!("{paid} = min(backed × confirmations, proven) × performance × served"))?;
		}
		if let Some(missed) = self.missed() {
			line("missed", missed)?;
		}
		if let Some(pay) = self.pay {
			line("pay", format!("{} GNK, which vest over 180 epochs", gnk(pay.0)))?;
		}
		line("offence", self.offence.map_or("none", offence_text).into())
	}
}

impl Standing {
	/// The duties of a weighed epoch that the host missed, in words.
	fn missed(&self) -> Option<String> {
		if !self.weighed {
			return None;
		}
		let sets = self.sets_to_check.saturating_sub(self.sets_met);
		let audits = self.audits_assigned.saturating_sub(self.audits_reported);
		// Fewer than three quarters of the blocks cost pay, from 20 on.
		let blocks = self.blocks_expected - f64::from(self.blocks_written);
		let is_absent = self.blocks_expected >= 20.0 && f64::from(self.blocks_written) < 0.75 * self.blocks_expected;
		let segments = |all: &[Segment]| all.iter().filter(|segment| segment.leaves.is_none()).count();
		let (sprint, confirmations) = (segments(&self.segments), segments(&self.confirmations));
		let parts = [
			(sprint > 0).then(|| format!("{sprint} segments of the sprint without a commitment")),
			(confirmations > 0).then(|| format!("{confirmations} confirmation segments without a commitment")),
			(sets > 0).then(|| format!("{sets} leaf sets: not revealed, or not defended")),
			(audits > 0).then(|| format!("{audits} audits without a report")),
			is_absent.then(|| format!("{blocks:.0} blocks as a validator")),
		];
		let parts: Vec<String> = parts.into_iter().flatten().collect();
		(!parts.is_empty()).then(|| parts.join("; "))
	}
}

/// Formats the leaf counts of segments in a row.
fn leaves(segments: &[Segment]) -> String {
	let one = |segment: &Segment| segment.leaves.map_or_else(|| "none".into(), |leaves| leaves.to_string());
	segments.iter().map(one).collect::<Vec<_>>().join(" · ")
}

fn ratio(millionths: u32) -> f64 {
	f64::from(millionths) / 1e6
}

/// Formats a share from 0 to 1 as a percentage.
pub fn percent(share: f64) -> String {
	format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
pub(super) mod tests {
	use super::*;
	use gonka_primitives::{check::Offence, host::Commitment};

	/// A view with 50, 40, no, 30 and 20 leaves, and a confirmation segment of 36. A request for openings is not answered.
	pub fn view() -> StandingView {
		let counts = [(0, 50), (1, 40), (3, 30), (4, 20), (5, 36)];
		let commitment = |(segment, count)| (segment, Commitment { count, root: [segment; 32] });
		StandingView {
			epoch: 4,
			commitments: counts.map(commitment).to_vec(),
			delays: vec![0, 2],
			unanswered: 1,
			checked: Some(true),
			compute_weight: Some(100),
			backed_weight: Some(100),
			effective_weight: Some(80),
			proven_weight: Some(70),
			vote_weight: Some(60),
			duties: (16, 15),
			audits: (4, 3),
			blocks: (25_500, 24),
			confirmations: 2,
			confirmed: 900_000,
			performance: 500_000,
			work: 1_234,
			served: 1_000_000,
			paid_weight: Some(36),
			offence: None,
		}
	}

	#[test]
	fn a_weighed_epoch_shows_every_step_from_leaves_to_pay() {
		let standing = Standing::of(&view(), 5);
		assert_eq!((standing.median, standing.capped, standing.forfeited), (30, true, false));
		let mut text = String::new();
		standing.write(&mut text).unwrap();
		for line in [
			"epoch 4, weighed",
			"50 · 40 · none · 30 · 20",
			"1 requests were not answered: each cost a third",
			"100 = 5 segments × median, less what",
			"80, cut:",
			"2 blocks in all",
			"70 carries pay and power, 60 carries votes",
			"2 called: 36 · none; they showed 90.0 % of the sprint's rate",
			"15 of 16 leaf sets met",
			"3 of 4 reported on",
			"24 written, 25.5 expected",
			"50.0 %\n",
			"100.0 %: 1234 work units settled\n",
			"36 = min(backed × confirmations, proven)",
			"missed           1 segments of the sprint without a commitment; 1 confirmation segments without a commitment; \
			 1 leaf sets",
			"offence          none",
		] {
			assert!(text.contains(line), "no `{line}` in\n{text}");
		}
		let mut others = text.lines().filter(|line| !line.starts_with("  missed"));
		assert!(others.all(|line| line.chars().count() <= 120), "{text}");
		assert!(text.contains("1 audits without a report\n") && !text.contains("\n  pay "), "{text}");
		let mut text = String::new();
		Standing { pay: Some(Amount(1_500_000_000)), ..standing }.write(&mut text).unwrap();
		assert!(text.contains("\n  pay              1.5 GNK, which vest"), "{text}");
	}

	#[test]
	fn a_validator_that_wrote_too_few_blocks_sees_it() {
		let missed = |blocks| Standing::of(&StandingView { blocks, ..view() }, 5).missed().unwrap_or_default();
		assert!(missed((30_000, 20)).ends_with("10 blocks as a validator"), "{}", missed((30_000, 20)));
		assert!(!missed((30_000, 23)).contains("blocks") && !missed((15_000, 0)).contains("blocks"));
	}

	#[test]
	fn every_offence_says_what_the_host_loses() {
		for offence in [
			Offence::Fabrication,
			Offence::FalseAccusation,
			Offence::FalseDigest,
			Offence::Equivocation,
			Offence::WrongInference,
		] {
			let standing =
				Standing::of(&StandingView { offence: Some(offence), effective_weight: Some(0), ..view() }, 5);
			let mut text = String::new();
			standing.write(&mut text).unwrap();
			let name = self::offence(offence);
			assert!(text.contains("convicted of") && text.contains(name) && text.contains("lost"), "{name}: {text}");
			assert!(!standing.capped);
		}
	}

	#[test]
	fn a_host_that_serves_too_little_sees_it() {
		let mut text = String::new();
		Standing::of(&StandingView { served: 250_000, ..view() }, 5).write(&mut text).unwrap();
		assert!(text.contains("25.0 %: 1234 work units settled, too little for the weight"), "{text}");
	}

	#[test]
	fn a_missed_turn_is_distinguished_from_idleness() {
		let with = |duties| Standing::of(&StandingView { performance: 0, duties, ..view() }, 5).forfeited;
		assert!(with((16, 16)));
		assert!(!with((16, 0)));
	}

	#[test]
	fn an_epoch_that_is_not_weighed_shows_no_results() {
		let running = StandingView {
			compute_weight: None,
			backed_weight: None,
			effective_weight: None,
			proven_weight: None,
			vote_weight: None,
			paid_weight: None,
			checked: None,
			confirmations: 0,
			duties: (0, 0),
			..view()
		};
		let mut text = String::new();
		Standing::of(&running, 5).write(&mut text).unwrap();
		assert!(text.contains("not drawn yet") && text.contains("1 requests are not answered yet"), "{text}");
		assert!(["weight  ", "served", "duties", "performance"].iter().all(|word| !text.contains(word)), "{text}");
	}
}
