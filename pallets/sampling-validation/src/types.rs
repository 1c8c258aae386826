//! What the pallet stores.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash, MAX_MODELS_PER_HOST, ModelId,
	market::Totals,
	merkle_sum::SumNode,
	sampling::{ARBITERS, MAX_AUDIT, MAX_SCOPE, Outcome, Pick, Profile, Rules, Scope},
};
use polkadot_sdk::{
	frame_support::{BoundedVec, traits::ConstU32},
	sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError},
};
use scale_info::TypeInfo;

/// A settlement that samples are drawn from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Batch {
	/// The window in which it was posted: samples are drawn in the next one.
	pub posted: u32,
	/// The root over its receipts.
	pub root: SumNode<Totals>,
	/// Its work by model, ascending; so are the receipts.
	pub work: BoundedVec<(ModelId, u64), ConstU32<MAX_MODELS_PER_HOST>>,
	/// Whether the samples are drawn.
	pub drawn: bool,
	/// Samples that nobody has answered for. Of no meaning once the deadline has passed.
	pub pending: u32,
}

/// A draw that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Draw<AccountId> {
	/// The window in which it is made.
	pub window: u32,
	/// What everything is drawn from.
	pub seed: Hash,
	/// The epoch whose table says who checks.
	pub epoch: EpochIndex,
	/// The settlement that it has come to.
	pub after: Option<(AccountId, u32)>,
}

/// A sample in a checker's list.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Assignment<AccountId> {
	/// Who answered.
	pub host: AccountId,
	/// The settled window.
	pub window: u32,
	/// The model.
	pub model: ModelId,
	/// The receipt.
	pub pick: Pick,
	/// Whether the checker answered for it.
	pub done: bool,
}

/// A row of the table of those that serve a model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Row<AccountId> {
	/// The host.
	pub host: AccountId,
	/// Its weight and all before it.
	pub cumulative: u64,
}

/// A table that is being built.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Build<AccountId> {
	/// The settled epoch whose weights it has.
	pub epoch: EpochIndex,
	/// The last host visited.
	pub after: Option<AccountId>,
	/// Whether it has rows.
	pub filled: bool,
}

/// How far a host is trusted. Each write stands for an epoch in which it did something; the step to the next one is made
/// when it is read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Record {
	/// Millionths.
	pub reputation: u32,
	/// Receipts settled, counted up to `Rules::first`.
	pub receipts: u32,
	/// The epoch of the last write.
	pub epoch: EpochIndex,
	/// Whether it missed a duty in that epoch, or lost its reputation.
	pub missed: bool,
	/// The last epoch in which nobody listens to it.
	pub muted: Option<EpochIndex>,
	/// Fees of windows up to this one are refunded.
	pub condemned: Option<u32>,
}

impl Record {
	/// As of `epoch`.
	pub fn at(mut self, epoch: EpochIndex, rules: &Rules) -> Self {
		if self.epoch < epoch {
			self.reputation = rules.next_reputation(self.reputation, self.missed);
			(self.epoch, self.missed) = (epoch, false);
		}
		self
	}

	/// Whether nobody listens to it in `epoch`.
	pub fn is_muted(&self, epoch: EpochIndex) -> bool {
		self.muted.is_some_and(|last| epoch <= last)
	}

	/// All reputation is lost.
	pub fn disgrace(&mut self) {
		(self.reputation, self.missed) = (0, true);
	}
}

/// Which way a finding points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub enum Said {
	/// Clearly the model's answer.
	Right,
	/// Clearly not, or not what was settled.
	Wrong,
	/// The host did not show it.
	Absent,
}

/// A finding about a host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Heard<AccountId> {
	/// Whose.
	pub checker: AccountId,
	/// The settled window.
	pub window: u32,
	/// The receipt.
	pub pick: Pick,
	/// What it says.
	pub said: Said,
}

/// What speaks against a host and one of its models.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Suspicion<AccountId> {
	/// The sum of log-likelihood ratios, never below 0: in 2⁻¹⁶ nats.
	pub sum: u64,
	/// The last findings that say something, oldest first.
	pub heard: BoundedVec<Heard<AccountId>, ConstU32<MAX_AUDIT>>,
}

impl<AccountId> Default for Suspicion<AccountId> {
	fn default() -> Self {
		Self { sum: 0, heard: BoundedVec::new() }
	}
}

/// A sample that a case looks at again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Audit<AccountId> {
	/// The finding.
	pub heard: Heard<AccountId>,
	/// The root of the settlement.
	pub root: SumNode<Totals>,
}

/// An arbiter of a case.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Arbiter<AccountId> {
	/// Who.
	pub who: AccountId,
	/// What it found, once it ruled: about the host, and about each audited sample where that is clear.
	pub ruled: Option<(Outcome, BoundedVec<Option<Said>, ConstU32<MAX_AUDIT>>)>,
}

/// A case against a host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Case<AccountId> {
	/// Its number.
	pub id: u32,
	/// The model.
	pub model: ModelId,
	/// The model's profile when it was opened.
	pub profile: Profile,
	/// The block in which it was opened.
	pub opened: BlockNumber,
	/// The last block that may carry a ruling.
	pub deadline: BlockNumber,
	/// What fresh receipts are drawn from, once arbiters are drawn.
	pub seed: Option<Hash>,
	/// What is looked at again.
	pub audit: BoundedVec<Audit<AccountId>, ConstU32<MAX_AUDIT>>,
	/// What is drawn from, ascending by window. Not empty.
	pub scope: BoundedVec<Scope, ConstU32<MAX_SCOPE>>,
	/// Those that rule, in the order of their numbers.
	pub arbiters: BoundedVec<Arbiter<AccountId>, ConstU32<ARBITERS>>,
}

impl<AccountId> Case<AccountId> {
	/// What more than half of the arbiters found.
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

	/// What more than half of the arbiters clearly found about an audited sample.
	pub fn truth(&self, index: usize) -> Option<Said> {
		[Said::Right, Said::Wrong].into_iter().find(|said| {
			let rulings = self.arbiters.iter().flat_map(|arbiter| &arbiter.ruled);
			let votes = rulings.filter(|(_, all)| all.get(index).copied().flatten() == Some(*said));
			votes.count().saturating_mul(2) > self.arbiters.len()
		})
	}
}

/// Why the pool refuses a transaction: `InvalidTransaction::Custom(code)`, see the table in the crate's docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
	/// A length or an order is wrong.
	Malformed = 120,
	/// The sender is not registered.
	UnknownHost = 121,
	/// The signature is not that of the sender's worker key.
	BadSignature = 122,
	/// No samples are drawn in that window yet, or the deadline has passed.
	OutOfWindow = 123,
	/// The sender has no such sample.
	NotAssigned = 124,
	/// It was answered for, or ruled, before.
	SlotUsed = 125,
	/// There is no such case.
	UnknownCase = 126,
	/// The sender is no arbiter of the case, or these are not drawn yet.
	NotArbiter = 127,
	/// The case's deadline has passed.
	TooLate = 128,
	/// The test wants more fresh findings.
	Undecided = 129,
}

impl From<Refusal> for TransactionValidityError {
	fn from(refusal: Refusal) -> Self {
		InvalidTransaction::Custom(refusal as u8).into()
	}
}
