//! Cases in which this host is an arbiter: it audits the reviewed receipts again, and receipts of its own draws until the
//! test decides.

use super::{
	AuditContext, AuditError, Result,
	run::Audit,
	running::{RunningAudits, Time},
};
use crate::{
	chain::Snapshot,
	store::findings::StoredFinding,
	tasks::{Step, Tasks, slot},
};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::{
	Hash,
	audit::{AuditRules, FRESH, Finding, Pick, Ruling, fresh_draw, judge},
	hashing::{domain, signing_payload},
	views::CaseView,
};
use std::{collections::BTreeSet, sync::Arc};

/// Number of draws that are audited before the test needs them.
const AHEAD: usize = 4;

/// Rules in cases.
pub struct Arbiter {
	context: Arc<AuditContext>,
	audits: RunningAudits,
	messages: Tasks,
}

impl Arbiter {
	/// Makes the part.
	pub fn new(context: Arc<AuditContext>) -> Self {
		Self { context, audits: RunningAudits::default(), messages: Tasks::default() }
	}

	async fn rule(&mut self, snapshot: &Snapshot) -> Result<()> {
		let chain = self.context.follower.chain().clone();
		let me = *self.context.follower.host();
		let mut rules = None;
		for case in chain.cases().await? {
			let mut seats = (0u32..).zip(&case.arbiters);
			let seat = seats.find(|(_, seat)| seat.who == me && seat.ruled.is_none()).map(|(number, _)| number);
			let (Some(number), Some(seed)) = (seat, case.seed) else { continue };
			let rules = match rules {
				Some(rules) => rules,
				None => *rules.insert(chain.audit_rules().await?),
			};
			self.case(snapshot, case, number, seed, &rules)?;
		}
		self.audits.forget_old(snapshot.block);
		Ok(())
	}

	fn case(&mut self, snapshot: &Snapshot, case: CaseView, number: u32, seed: Hash, rules: &AuditRules) -> Result<()> {
		let length = case.deadline.saturating_sub(case.opened);
		let time = Time { now: snapshot.block, deadline: case.deadline, length };
		let audit = |window, root, pick| Audit { host: case.host, model: case.model, window, root, pick };
		let (mut reviewed, mut missing) = (Vec::new(), 0usize);
		for of in &case.reviewed {
			let slot = slot("reviewed", &(case.id, seed, of.window, of.root, of.pick));
			match self.context.finding(&slot)? {
				Some(found) => reviewed.push(((of.window, of.pick), found)),
				None => {
					missing = missing.saturating_add(1);
					let audit = audit(of.window, of.root, of.pick);
					self.audits.start(&self.context, slot, audit, Some(case.profile), time);
				},
			}
		}
		let (mut fresh, mut ahead) = (Vec::new(), 0usize);
		for k in 0..FRESH {
			let Some((part, pick)) = fresh_draw(&seed, number, k, &case.scope) else {
				// The scope has nothing to draw from.
				fresh.push(None);
				continue;
			};
			let Some(part) = case.scope.get(part) else { continue };
			let slot = slot("fresh", &(case.id, seed, k, part.window, part.root, pick));
			match self.context.finding(&slot)? {
				Some(found) if ahead == 0 => fresh.push(Some(((part.window, pick), found))),
				Some(_) => {},
				None => {
					let audit = audit(part.window, part.root, pick);
					self.audits.start(&self.context, slot, audit, Some(case.profile), time);
					ahead = ahead.saturating_add(1);
				},
			}
			let is_decided = || decide(&case, &reviewed, &fresh, rules).is_some();
			if ahead >= AHEAD && !time.is_closing() || ahead == 0 && missing == 0 && is_decided() {
				break;
			}
		}
		if missing > 0 {
			return Ok(());
		}
		if let Some(fresh) = decide(&case, &reviewed, &fresh, rules) {
			let reviewed = reviewed.iter().map(|(_, found)| found.finding).collect();
			self.send(Ruling {
				arbiter: *self.context.follower.host(),
				host: case.host,
				case: case.id,
				reviewed,
				fresh,
			});
		}
		Ok(())
	}

	fn send(&mut self, ruling: Ruling) {
		let context = self.context.clone();
		let span = tracing::info_span!("case", case = ruling.case);
		self.messages.start(slot("ruling", &ruling.case), span, "a ruling", async move {
			let chain = context.follower.chain();
			let fresh = ruling.fresh.len();
			let signature = context.sign(&signing_payload(domain::RULING, &chain.genesis(), &ruling));
			chain.submit_ruling(ruling, signature).await?;
			metrics::counter!("gonka_worker_rulings_total").increment(1);
			tracing::info!(fresh, "ruling included");
			Ok::<_, AuditError>(())
		});
	}
}

/// Window and pick of an audit, with its finding.
type Found = ((u32, Pick), StoredFinding);

/// Returns the fresh findings up to the one at which the test decides; `None` if it does not decide yet. A receipt that is
/// reviewed, or was drawn before, counts once.
pub fn decide(
	case: &CaseView,
	reviewed: &[Found],
	fresh: &[Option<Found>],
	rules: &AuditRules,
) -> Option<Vec<Finding>> {
	let mut receipts: BTreeSet<(u32, u64)> =
		reviewed.iter().filter_map(|((window, _), found)| Some((*window, found.receipt?))).collect();
	let mut picks: Vec<(u32, Pick)> = reviewed.iter().map(|(pick, _)| *pick).collect();
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
	type Error = AuditError;

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<()>> {
		self.rule(snapshot).boxed()
	}
}
