//! Audits that are under way, with the times at which failed ones are tried again.

use super::{
	AuditContext, AuditError,
	run::{Audit, run},
};
use crate::{
	store::{Durability, findings, findings::StoredFinding},
	tasks::Tasks,
};
use gonka_client::keys;
use gonka_primitives::{
	BlockNumber, Hash,
	audit::{CalibrationProfile, Finding},
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Semaphore;

/// Maximum number of audits whose evidence is fetched and held at the same time. A host serves as many at once.
const MAX_HELD: usize = 8;
/// Maximum number of completions that the engine replays at the same time, beside those that it generates.
const MAX_REPLAYS: usize = 2;
/// Number of blocks after which the attempts of an audit are forgotten: longer than any pause between two of them.
const KEPT: BlockNumber = 1000;

/// Bounds on concurrent audits.
pub struct Permits {
	/// One permit for each audit whose evidence may be in memory.
	pub held: Semaphore,
	/// One permit for each completion that may be replayed.
	pub replays: Semaphore,
}

impl Default for Permits {
	fn default() -> Self {
		Self { held: Semaphore::new(MAX_HELD), replays: Semaphore::new(MAX_REPLAYS) }
	}
}

/// Audits that are under way. Checker and arbiter have one each: a case has less time than a list of audits, and must not
/// wait behind it.
#[derive(Default)]
pub struct RunningAudits {
	tasks: Tasks,
	permits: Arc<Permits>,
	/// Number of attempts of each audit, and the block from which on it is tried again.
	attempts: HashMap<Hash, (u32, BlockNumber)>,
}

/// The time that an audit has.
#[derive(Clone, Copy, Debug)]
pub struct Time {
	/// The best block.
	pub now: BlockNumber,
	/// The last block that may carry the finding.
	pub deadline: BlockNumber,
	/// Number of blocks from the audit's beginning to its deadline.
	pub length: BlockNumber,
}

impl Time {
	/// Returns whether it is time to report what is known: an eighth of the time is left, or four blocks if that is more.
	pub fn is_closing(&self) -> bool {
		self.now.saturating_add((self.length / 8).max(4)) >= self.deadline
	}

	/// Returns the pause before the next attempt after so many failed ones.
	fn pause(&self, attempts: u32) -> BlockNumber {
		1u32.checked_shl(attempts).unwrap_or(u32::MAX).min((self.length / 16).max(1))
	}
}

impl RunningAudits {
	/// Starts an audit, unless it is under way or waits for its next attempt. Its finding is stored under `slot`.
	pub fn start(
		&mut self,
		context: &Arc<AuditContext>,
		slot: Hash,
		audit: Audit,
		profile: Option<CalibrationProfile>,
		time: Time,
	) {
		let is_closing = time.is_closing();
		let (attempts, next) = self.attempts.get(&slot).copied().unwrap_or_default();
		if time.now < next && !is_closing {
			return;
		}
		self.attempts.insert(slot, (attempts.saturating_add(1), time.now.saturating_add(time.pause(attempts))));
		let (context, permits) = (context.clone(), self.permits.clone());
		let span = tracing::info_span!("audit", host = keys::ss58(&audit.host), window = audit.window);
		self.tasks.start(slot, span, "an audit", async move {
			let (finding, receipt) = match run(&context, &permits, &audit, profile.as_ref()).await {
				Err(error) if is_closing => (give_up(&error), None),
				outcome => outcome?,
			};
			let snapshot = context.follower.snapshot();
			let epoch = snapshot.map_or(0, |snapshot| snapshot.epoch.index);
			let stored = StoredFinding { epoch, finding, receipt };
			context.store.write(Durability::Now, move |tx| findings::put(tx, &slot, &stored)).await?;
			metrics::counter!("gonka_worker_audits_total").increment(1);
			tracing::info!(?finding, "audit done");
			Ok::<_, AuditError>(())
		});
	}

	/// Forgets the attempts of old audits.
	pub fn forget_old(&mut self, now: BlockNumber) {
		self.attempts.retain(|_, (_, next)| next.saturating_add(KEPT) > now);
	}
}

/// Returns the finding of an audit that failed until its time was over.
fn give_up(error: &AuditError) -> Finding {
	if error.blames_host() {
		tracing::warn!(%error, "the audited host did not show the evidence in time");
		Finding::Unavailable
	} else {
		tracing::warn!(%error, "this worker could not do the audit in time");
		Finding::Inconclusive
	}
}
