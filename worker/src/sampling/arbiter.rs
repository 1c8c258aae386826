//! Cases in which this host rules: it looks at the audit list again, and at receipts of its own draw until the test
//! decides.

use super::{Context, Looks, Time, look::Sample};
use crate::{
	chain::Snapshot,
	check::{Step, Tasks, slot},
	store::findings::StoredFinding,
};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::{
	Hash,
	hashing::{domain, signing_payload},
	sampling::{FRESH, Finding, Pick, Rules, Ruling, fresh_draw, judge},
	views::SamplingCaseView,
};
use std::{collections::BTreeSet, sync::Arc};

/// Draws that are looked at ahead of what is decided.
const AHEAD: usize = 4;

/// Rules in cases.
pub struct Arbiter {
	context: Arc<Context>,
	looks: Looks,
	messages: Tasks,
}

impl Arbiter {
	/// With nothing under way.
	pub fn new(context: Arc<Context>) -> Self {
		Self { context, looks: Looks::default(), messages: Tasks::default() }
	}

	async fn rule(&mut self, snapshot: &Snapshot) -> Result<(), String> {
		let chain = self.context.follower.chain().clone();
		let me = *self.context.follower.host();
		let cases = chain.sampling_cases().await.map_err(|error| error.to_string())?;
		let mut rules = None;
		for case in cases {
			let mut seats = (0u32..).zip(&case.arbiters);
			let seat = seats.find(|(_, (who, ruled))| *who == me && ruled.is_none()).map(|(number, _)| number);
			let (Some(number), Some(seed)) = (seat, case.seed) else { continue };
			let rules = match rules {
				Some(rules) => rules,
				None => *rules.insert(chain.sampling_rules().await.map_err(|error| error.to_string())?),
			};
			self.case(snapshot, case, number, seed, &rules)?;
		}
		self.looks.keep(snapshot.block);
		Ok(())
	}

	fn case(
		&mut self,
		snapshot: &Snapshot,
		case: SamplingCaseView,
		number: u32,
		seed: Hash,
		rules: &Rules,
	) -> Result<(), String> {
		let length = case.deadline.saturating_sub(case.opened);
		let time = Time { now: snapshot.block, deadline: case.deadline, length };
		let sample = |window, root, pick| Sample { host: case.host, model: case.model, window, root, pick };
		let (mut audit, mut missing) = (Vec::new(), 0usize);
		for of in &case.audit {
			let slot = slot("audit", &(case.id, seed, of.window, of.root, of.pick));
			match self.context.found(&slot)? {
				Some(found) => audit.push(((of.window, of.pick), found)),
				None => {
					missing = missing.saturating_add(1);
					let sample = sample(of.window, of.root, of.pick);
					self.looks.start(&self.context, slot, sample, Some(case.profile), time);
				},
			}
		}
		let (mut fresh, mut ahead) = (Vec::new(), 0usize);
		for k in 0..FRESH {
			let Some((part, pick)) = fresh_draw(&seed, number, k, &case.scope) else {
				// There is nothing to draw from.
				fresh.push(None);
				continue;
			};
			let Some(part) = case.scope.get(part) else { continue };
			let slot = slot("fresh", &(case.id, seed, k, part.window, part.root, pick));
			match self.context.found(&slot)? {
				Some(found) if ahead == 0 => fresh.push(Some(((part.window, pick), found))),
				Some(_) => {},
				None => {
					let sample = sample(part.window, part.root, pick);
					self.looks.start(&self.context, slot, sample, Some(case.profile), time);
					ahead = ahead.saturating_add(1);
				},
			}
			let decided = || decide(&case, &audit, &fresh, rules).is_some();
			if ahead >= AHEAD && !time.is_closing() || ahead == 0 && missing == 0 && decided() {
				break;
			}
		}
		if missing > 0 {
			return Ok(());
		}
		if let Some(fresh) = decide(&case, &audit, &fresh, rules) {
			let audit = audit.iter().map(|(_, found)| found.finding).collect();
			self.send(Ruling { arbiter: *self.context.follower.host(), host: case.host, case: case.id, audit, fresh });
		}
		Ok(())
	}

	fn send(&mut self, ruling: Ruling) {
		let context = self.context.clone();
		self.messages.start(slot("ruling", &ruling.case), async move {
			let chain = context.follower.chain();
			let (case, fresh) = (ruling.case, ruling.fresh.len());
			let signature = context.sign(&signing_payload(domain::RULING, &chain.genesis(), &ruling));
			chain.submit_ruling(ruling, signature).await.map_err(|error| error.to_string())?;
			metrics::counter!("gonka_worker_rulings_total").increment(1);
			tracing::info!(case, fresh, "a ruling is on chain");
			Ok(())
		});
	}
}

/// A sample by window and pick, and what was found.
type Found = ((u32, Pick), StoredFinding);

/// The fresh findings up to where the test decides; `None` if it does not yet. What is on the audit list or was drawn
/// before counts once.
pub fn decide(
	case: &SamplingCaseView,
	audit: &[Found],
	fresh: &[Option<Found>],
	rules: &Rules,
) -> Option<Vec<Finding>> {
	let mut receipts: BTreeSet<(u32, u64)> =
		audit.iter().filter_map(|((window, _), found)| Some((*window, found.receipt?))).collect();
	let mut picks: Vec<(u32, Pick)> = audit.iter().map(|(pick, _)| *pick).collect();
	let mut findings = Vec::new();
	for found in fresh {
		let finding = match found {
			None => Finding::Inconclusive,
			Some((pick, found)) => {
				let is_new = found.receipt.is_none_or(|receipt| receipts.insert((pick.0, receipt)));
				let is_new = is_new && !picks.contains(pick);
				picks.push(*pick);
				if is_new { found.finding } else { Finding::Inconclusive }
			},
		};
		findings.push(finding);
		if judge(&case.profile, &findings, rules.unavailable, (rules.guilty, rules.innocent)).is_some() {
			return Some(findings);
		}
	}
	None
}

impl Step for Arbiter {
	const NAME: &'static str = "ruling in cases";

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
		self.rule(snapshot).boxed()
	}
}
