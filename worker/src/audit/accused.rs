//! Judgements and hearings about this host: the operator has to appeal against a wrong judgement in time.

use super::{AuditContext, AuditError, Result};
use crate::{chain::Snapshot, tasks::Step};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::views::{JudgementView, ReputationView};
use std::sync::Arc;

/// A case about this host, or a judgement against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
	/// Arbiters hear a case or an appeal of this number.
	Heard(u32),
	/// A judgement takes effect unless the host appeals.
	Judged(JudgementView),
}

/// Warns of cases about this host, once of each.
pub struct Accused {
	context: Arc<AuditContext>,
	told: Told,
}

/// The trouble that was told last.
#[derive(Default)]
struct Told(Option<Trouble>);

impl Accused {
	/// Makes the part.
	pub fn new(context: Arc<AuditContext>) -> Self {
		Self { context, told: Told::default() }
	}

	async fn watch(&mut self) -> Result<()> {
		let host = *self.context.follower.host();
		let view = self.context.follower.chain().reputation(&host).await?;
		let until = view.judgement.map_or(0, |judgement| judgement.until);
		metrics::gauge!("gonka_worker_appeal_until").set(f64::from(until));
		match self.told.news(&view) {
			Some(Trouble::Heard(case)) => {
				tracing::warn!(case, "arbiters hear a case about this host: it must show its evidence");
			},
			Some(Trouble::Judged(JudgementView { case, outcome, until, .. })) => tracing::error!(
				case,
				?outcome,
				"a case was decided against this host, and takes effect after block {until} unless it appeals before: \
				 `gonka host appeal --host-key FILE`"
			),
			None => {},
		}
		Ok(())
	}
}

impl Told {
	/// Returns what has to be told: a case or judgement that is new.
	fn news(&mut self, view: &ReputationView) -> Option<Trouble> {
		let now = view.judgement.map(Trouble::Judged).or(view.case.map(Trouble::Heard));
		if std::mem::replace(&mut self.0, now) == now { None } else { now }
	}
}

impl Step for Accused {
	const NAME: &'static str = "watching cases about this host";
	type Error = AuditError;

	fn step<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<()>> {
		self.watch().boxed()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::audit::Outcome;

	#[test]
	fn a_case_and_its_judgement_are_told_once() {
		let judgement = JudgementView { case: 4, outcome: Outcome::Guilty, until: 90, deposit: 1 };
		let view = |case, judgement| ReputationView {
			reputation: 0,
			receipts: 0,
			muted: None,
			suspicions: Vec::new(),
			case,
			judgement,
		};
		let (quiet, heard, judged) = (view(None, None), view(Some(4), None), view(None, Some(judgement)));
		let appealed = view(Some(5), None);
		let mut told = Told::default();
		let news = [&quiet, &heard, &heard, &judged, &judged, &appealed, &quiet].map(|view| told.news(view));
		let (case, decided) = (Some(Trouble::Heard(4)), Some(Trouble::Judged(judgement)));
		assert_eq!(news, [None, case, None, decided, None, Some(Trouble::Heard(5)), None]);
	}
}
