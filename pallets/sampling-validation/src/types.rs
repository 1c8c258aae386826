//! The types of the pallet's storage.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{
	Balance, BlockNumber, EpochIndex, Hash, MAX_MODELS_PER_HOST, ModelId,
	audit::{AuditRules, CalibrationProfile, MAX_REVIEWED, MAX_SCOPE, MAX_SEATS, Outcome, Pick, Scope, decides},
	market::Totals,
	merkle_sum::SumNode,
};
use polkadot_sdk::frame_support::{BoundedVec, traits::ConstU32};
use scale_info::TypeInfo;

/// A settlement from which audits are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Batch {
	/// The window in which it was posted. Audits are drawn in the next one.
	pub posted: u32,
	/// The root over its receipts.
	pub root: SumNode<Totals>,
	/// Its work by model, ascending, which is also the order of the receipts.
	pub work: BoundedVec<(ModelId, u64), ConstU32<MAX_MODELS_PER_HOST>>,
	/// Whether its audits are drawn.
	pub drawn: bool,
	/// Number of audits without a finding. Meaningless once the deadline has passed.
	pub pending: u32,
}

/// A draw in progress.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Draw<AccountId> {
	/// The window of the draw.
	pub window: u32,
	/// The seed of all its draws.
	pub seed: Hash,
	/// The epoch whose tables are drawn from.
	pub epoch: EpochIndex,
	/// The last settlement drawn from.
	pub after: Option<(AccountId, u32)>,
}

/// An audit in a checker's list.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Assignment<AccountId> {
	/// The host whose receipt is audited.
	pub host: AccountId,
	/// The settled window.
	pub window: u32,
	/// The model.
	pub model: ModelId,
	/// The receipt.
	pub pick: Pick,
	/// Whether the checker reported on it.
	pub done: bool,
}

/// A row of a table of hosts that serve a model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Row<AccountId> {
	/// The host.
	pub host: AccountId,
	/// The sum of the weights up to this row.
	pub cumulative: u64,
}

/// Tables in progress.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Build<AccountId> {
	/// The weighed epoch whose weights they have.
	pub epoch: EpochIndex,
	/// The last host visited.
	pub after: Option<AccountId>,
	/// Whether they have rows.
	pub filled: bool,
}

/// A host's record. Each write marks an epoch in which the host was active. The step of the reputation after that
/// epoch is applied at the next read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Record {
	/// Reputation in millionths.
	pub reputation: u32,
	/// Number of settled receipts, up to `AuditRules::first`.
	pub receipts: u32,
	/// The epoch of the last write.
	pub epoch: EpochIndex,
	/// Whether the host missed a duty in that epoch or lost its reputation.
	pub missed: bool,
	/// The last epoch in which the host is muted.
	pub muted: Option<EpochIndex>,
	/// The window in which a case was decided against the host. The fees of windows up to it are refunded, and findings
	/// about them no longer count.
	pub condemned: Option<u32>,
}

impl Record {
	/// The record as of `epoch`.
	pub fn at(mut self, epoch: EpochIndex, rules: &AuditRules) -> Self {
		if self.epoch < epoch {
			self.reputation = rules.next_reputation(self.reputation, self.missed);
			(self.epoch, self.missed) = (epoch, false);
		}
		self
	}

	/// Whether the host is muted in `epoch`.
	pub fn is_muted(&self, epoch: EpochIndex) -> bool {
		self.muted.is_some_and(|last| epoch <= last)
	}

	/// Whether a finding about this window may still count: no judgement about it has taken effect.
	pub fn is_open(&self, window: u32) -> bool {
		self.condemned.is_none_or(|last| window > last)
	}

	/// Takes all reputation.
	pub fn lose_reputation(&mut self) {
		(self.reputation, self.missed) = (0, true);
	}
}

/// A clear finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub enum ClearFinding {
	/// The completion is clearly the model's.
	Right,
	/// The completion is clearly not the model's, or the evidence contradicts the settlement.
	Wrong,
	/// The host did not show the evidence.
	Absent,
}

/// A clear finding about a host, in its suspicion.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct RecentFinding<AccountId> {
	/// The checker.
	pub checker: AccountId,
	/// The settled window.
	pub window: u32,
	/// The receipt.
	pub pick: Pick,
	/// The finding.
	pub clear: ClearFinding,
}

/// The suspicion against a host and one of its models.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Suspicion<AccountId> {
	/// The sum of log-likelihood ratios, never below 0: in 2⁻¹⁶ nats.
	pub sum: u64,
	/// The last clear findings, oldest first.
	pub recent: BoundedVec<RecentFinding<AccountId>, ConstU32<MAX_REVIEWED>>,
	/// [`Record::condemned`] as of the first finding. A later judgement voids the suspicion.
	pub after: Option<u32>,
}

impl<AccountId> Suspicion<AccountId> {
	/// A suspicion without findings.
	pub fn new(after: Option<u32>) -> Self {
		Self { sum: 0, recent: BoundedVec::new(), after }
	}
}

/// An audit that a case reviews.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Reviewed<AccountId> {
	/// The finding.
	pub finding: RecentFinding<AccountId>,
	/// The root of its settlement.
	pub root: SumNode<Totals>,
}

/// An arbiter of a case.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Arbiter<AccountId> {
	/// The host.
	pub who: AccountId,
	/// Number of its seats: its ruling counts as many times. At least 1.
	pub seats: u32,
	/// Its outcome, once it ruled, and its clear finding about each reviewed audit.
	pub ruled: Option<(Outcome, BoundedVec<Option<ClearFinding>, ConstU32<MAX_REVIEWED>>)>,
}

impl<AccountId> Arbiter<AccountId> {
	/// Its clear finding about a reviewed audit.
	pub fn finding(&self, index: usize) -> Option<ClearFinding> {
		self.ruled.as_ref()?.1.get(index).copied().flatten()
	}
}

/// The arbiters of a case. Their seats are at most [`MAX_SEATS`] together.
pub type Arbiters<AccountId> = BoundedVec<Arbiter<AccountId>, ConstU32<MAX_SEATS>>;

/// A decision against the host of a case, which takes effect unless an appeal reverses it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Judgement<AccountId> {
	/// The outcome. Not innocent.
	pub outcome: Outcome,
	/// The window in which it was decided.
	pub window: u32,
	/// The last block that may carry an appeal.
	pub until: BlockNumber,
	/// The appeal, if there is one.
	pub appeal: Option<Appeal<AccountId>>,
}

/// An appeal against a judgement.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Appeal<AccountId> {
	/// Base units on hold in the host's account.
	pub deposit: Balance,
	/// The arbiters of the judgement.
	pub before: Arbiters<AccountId>,
}

/// A case about a host. It is heard until it is decided. A judgement against the host then waits for an appeal, which is
/// heard like a case.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Case<AccountId> {
	/// Its number. An appeal gives it another one.
	pub id: u32,
	/// The model.
	pub model: ModelId,
	/// The model's profile when it was opened.
	pub profile: CalibrationProfile,
	/// The sum of the suspicion that opened it, in 2⁻¹⁶ nats.
	pub sum: u64,
	/// The block in which it was opened, or appealed.
	pub opened: BlockNumber,
	/// The last block that may carry a ruling.
	pub deadline: BlockNumber,
	/// The seed from which fresh receipts are drawn; `None` until the arbiters are drawn.
	pub seed: Option<Hash>,
	/// The audits to review.
	pub reviewed: BoundedVec<Reviewed<AccountId>, ConstU32<MAX_REVIEWED>>,
	/// The parts of settlements from which fresh receipts are drawn, ascending by window. Not empty.
	pub scope: BoundedVec<Scope, ConstU32<MAX_SCOPE>>,
	/// The arbiters, in the order of their indices.
	pub arbiters: Arbiters<AccountId>,
	/// The judgement, once it was decided against the host.
	pub judgement: Option<Judgement<AccountId>>,
}

impl<AccountId> Case<AccountId> {
	/// The appeal that is heard.
	pub fn appeal(&self) -> Option<&Appeal<AccountId>> {
		self.judgement.as_ref()?.appeal.as_ref()
	}

	/// Whether arbiters hear it: it is not decided, or was appealed.
	pub fn is_heard(&self) -> bool {
		self.judgement.as_ref().is_none_or(|judgement| judgement.appeal.is_some())
	}

	/// The numbers of seats and of arbiters of those for whom `is` holds.
	fn votes(&self, is: impl Fn(&Arbiter<AccountId>) -> bool) -> (u32, u32) {
		let them = self.arbiters.iter().filter(|arbiter| is(arbiter));
		them.fold((0, 0), |(seats, arbiters), arbiter| {
			(seats.saturating_add(arbiter.seats), arbiters.saturating_add(1))
		})
	}

	/// Whether the arbiters for whom `is` holds have enough of `seats`: more than two thirds or more than half. Where several
	/// were drawn, one alone never decides.
	fn decide(&self, seats: u32, two_thirds: bool, is: impl Fn(&Arbiter<AccountId>) -> bool) -> bool {
		let (votes, arbiters) = self.votes(is);
		decides(votes, seats, two_thirds) && arbiters as usize >= self.arbiters.len().min(2)
	}

	/// The number of seats of which a part decides: those that were drawn, in an appeal those that ruled, if they are half of
	/// them.
	fn counted(&self) -> u32 {
		let ((drawn, _), (ruled, _)) = (self.votes(|_| true), self.votes(|arbiter| arbiter.ruled.is_some()));
		let is_quorum = self.appeal().is_some() && ruled.saturating_mul(2) >= drawn;
		if is_quorum { ruled } else { drawn }
	}

	/// The outcome that the deciding seats support. An arbiter that does not rule counts for the host. In an appeal it
	/// does not count, if those who ruled have half of the seats.
	pub fn outcome(&self) -> Outcome {
		let (seats, is_appeal) = (self.counted(), self.appeal().is_some());
		let outcomes = [Outcome::Guilty, Outcome::Withheld].into_iter();
		let mut found = outcomes.filter(|least| {
			self.decide(seats, is_appeal, |arbiter| arbiter.ruled.as_ref().is_some_and(|(outcome, _)| outcome >= least))
		});
		found.next().unwrap_or(Outcome::Innocent)
	}

	/// The clear finding of most of the counted seats about a reviewed audit.
	pub fn truth(&self, index: usize) -> Option<ClearFinding> {
		let seats = self.counted();
		let mut findings = [ClearFinding::Right, ClearFinding::Wrong].into_iter();
		findings.find(|finding| self.decide(seats, false, |arbiter| arbiter.finding(index) == Some(*finding)))
	}
}

/// A case that is heard, in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Hearing<AccountId> {
	/// The host that it is about.
	pub host: AccountId,
	/// The next block in which it advances.
	pub next: BlockNumber,
	/// The effective weight of the host when it was opened.
	pub weight: u64,
	/// Whether it is an appeal.
	pub appeal: bool,
}
