//! The types of the pallet's storage.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash, MAX_MODELS_PER_HOST, ModelId,
	audit::{ARBITERS, AuditRules, CalibrationProfile, MAX_REVIEWED, MAX_SCOPE, Outcome, Pick, Scope},
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
	/// The last window whose fees are refunded, after a case against the host.
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
}

impl<AccountId> Default for Suspicion<AccountId> {
	fn default() -> Self {
		Self { sum: 0, recent: BoundedVec::new() }
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
	/// Its outcome, once it ruled, and its clear finding about each reviewed audit.
	pub ruled: Option<(Outcome, BoundedVec<Option<ClearFinding>, ConstU32<MAX_REVIEWED>>)>,
}

/// A case against a host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Case<AccountId> {
	/// Its number.
	pub id: u32,
	/// The model.
	pub model: ModelId,
	/// The model's profile when it was opened.
	pub profile: CalibrationProfile,
	/// The block in which it was opened.
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
	pub arbiters: BoundedVec<Arbiter<AccountId>, ConstU32<ARBITERS>>,
}

impl<AccountId> Case<AccountId> {
	/// The outcome that more than half of the arbiters support.
	pub fn outcome(&self) -> Outcome {
		let found = |is: fn(Outcome) -> bool| {
			let votes = self.arbiters.iter().flat_map(|arbiter| &arbiter.ruled).filter(|(outcome, _)| is(*outcome));
			votes.count().saturating_mul(2) > self.arbiters.len()
		};
		if found(|outcome| outcome == Outcome::Guilty) {
			Outcome::Guilty
		} else if found(|outcome| outcome != Outcome::Innocent) {
			Outcome::Withheld
		} else {
			Outcome::Innocent
		}
	}

	/// The clear finding of more than half of the arbiters about a reviewed audit.
	pub fn truth(&self, index: usize) -> Option<ClearFinding> {
		[ClearFinding::Right, ClearFinding::Wrong].into_iter().find(|finding| {
			let rulings = self.arbiters.iter().flat_map(|arbiter| &arbiter.ruled);
			let votes = rulings.filter(|(_, all)| all.get(index).copied().flatten() == Some(*finding));
			votes.count().saturating_mul(2) > self.arbiters.len()
		})
	}
}
