//! The audits that the chain assigns to this host.
//!
//! Findings are reported several at a time, each one once. A host that does not show its evidence has time almost until
//! the deadline.

use super::{
	AuditContext, AuditError, Result,
	run::Audit,
	running::{RunningAudits, Time},
};
use crate::{
	chain::Snapshot,
	tasks::{Step, Tasks, slot},
};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::{
	Hash, ModelId,
	audit::{AuditReport, CalibrationProfile, Finding, MAX_FINDINGS},
	hashing::{domain, signing_payload},
	views::{AssignedAuditsView, AuditView},
};
use std::{
	collections::{BTreeMap, btree_map::Entry},
	sync::Arc,
};

/// Number of findings that are reported before all are there.
const BATCH: usize = 8;

/// Calibration profiles by model.
type Profiles = BTreeMap<ModelId, Option<CalibrationProfile>>;

/// Does the assigned audits, and reports their findings.
pub struct AuditChecker {
	context: Arc<AuditContext>,
	audits: RunningAudits,
	messages: Tasks,
}

impl AuditChecker {
	/// Makes the part.
	pub fn new(context: Arc<AuditContext>) -> Self {
		Self { context, audits: RunningAudits::default(), messages: Tasks::default() }
	}

	async fn check(&mut self, snapshot: &Snapshot) -> Result<()> {
		let chain = self.context.follower.chain().clone();
		let lists = chain.audits(self.context.follower.host()).await?;
		let mut profiles = BTreeMap::new();
		for audit in lists.iter().flat_map(|list| &list.audits).filter(|audit| !audit.done) {
			if let Entry::Vacant(unknown) = profiles.entry(audit.model) {
				unknown.insert(chain.calibration_profile(audit.model).await?);
			}
		}
		for list in lists {
			self.list(snapshot, list, &profiles)?;
		}
		self.audits.forget_old(snapshot.block);
		Ok(())
	}

	fn list(&mut self, snapshot: &Snapshot, list: AssignedAuditsView, profiles: &Profiles) -> Result<()> {
		let length = snapshot.market.window;
		// The audits of a list are drawn during its window.
		let (begun, drawn) = (list.window.saturating_mul(length), list.window.saturating_add(1).saturating_mul(length));
		let now = snapshot.block;
		let time = Time { now, deadline: list.deadline, length: list.deadline.saturating_sub(begun) };
		let (mut found, mut open) = (Vec::new(), 0u32);
		for audit in list.audits.iter().filter(|audit| !audit.done) {
			let slot = slot_of(list.window, audit);
			match self.context.finding(&slot)? {
				Some(stored) => found.push((audit.index, stored.finding)),
				None => {
					open = open.saturating_add(1);
					let profile = profiles.get(&audit.model).copied().flatten();
					self.audits.start(&self.context, slot, target(audit), profile, time);
				},
			}
		}
		let is_complete = open == 0 && now >= drawn;
		if !found.is_empty() && (is_complete || found.len() >= BATCH || time.is_closing()) {
			self.send(list.window, found);
		}
		Ok(())
	}

	/// Reports findings of a window. One report of a window is under way at a time.
	fn send(&mut self, window: u32, mut findings: Vec<(u16, Finding)>) {
		findings.sort_by_key(|(index, _)| *index);
		findings.truncate(MAX_FINDINGS as usize);
		let context = self.context.clone();
		let span = tracing::info_span!("audit_report", window);
		self.messages.start(slot("report", &window), span, "a report of audits", async move {
			let chain = context.follower.chain();
			let (count, report) = (findings.len(), AuditReport { checker: *context.follower.host(), window, findings });
			let signature = context.sign(&signing_payload(domain::AUDIT_REPORT, &chain.genesis(), &report));
			chain.submit_report(report, signature).await?;
			metrics::counter!("gonka_worker_findings_total").increment(count as u64);
			tracing::info!(findings = count, "audit report included");
			Ok::<_, AuditError>(())
		});
	}
}

impl Step for AuditChecker {
	const NAME: &'static str = "auditing";
	type Error = AuditError;

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<()>> {
		self.check(snapshot).boxed()
	}
}

/// Returns the slot of an audit. It covers all that identifies the audit, since another fork may have another one in its
/// place.
fn slot_of(window: u32, audit: &AuditView) -> Hash {
	slot("audit", &(window, audit.index, audit.host, audit.window, audit.root, audit.pick))
}

/// Returns what is to be audited.
fn target(audit: &AuditView) -> Audit {
	Audit { host: audit.host, model: audit.model, window: audit.window, root: audit.root, pick: audit.pick }
}
