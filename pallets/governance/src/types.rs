//! The stored types, and the counting of votes.

use crate::{Class, Config, PollIndex};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{Balance, EpochIndex, traits::EffectiveWeights};
use polkadot_sdk::{
	frame_support::{
		BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
		traits::{Get, VoteTally},
	},
	pallet_conviction_voting::AccountVote,
	sp_runtime::{DispatchResult, Perbill, Rounding, helpers_128bit::multiply_by_rational_with_rounding},
};
use scale_info::TypeInfo;

/// Finality, which a referendum can start again.
pub trait Finality<BlockNumber> {
	/// Has the validators of the next session finalise the blocks after `finalized`, `delay` blocks after its start.
	fn end_stall(delay: BlockNumber, finalized: BlockNumber) -> DispatchResult;
}

/// A number of votes: leaves of effective weight.
pub type Votes = u128;
/// A vote as clients send it. The amounts of a split vote are its proportions and nothing else.
pub type Ballot = AccountVote<Balance>;

/// The tally of a poll. `electorate` and `epoch` are fixed at its opening.
#[derive(
	CloneNoBound,
	DebugNoBound,
	PartialEqNoBound,
	EqNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	TypeInfo,
	MaxEncodedLen,
)]
#[codec(mel_bound())]
#[scale_info(skip_type_params(T))]
pub struct Tally<T: Config> {
	/// Votes in favour.
	pub ayes: Votes,
	/// Votes against.
	pub nays: Votes,
	/// Votes in favour and abstentions.
	pub support: Votes,
	/// Total effective weight of `epoch`: all votes that can be cast.
	pub electorate: Votes,
	/// The epoch whose effective weights are the votes: the one weighed last at the opening.
	pub epoch: EpochIndex,
	#[doc(hidden)]
	pub marker: core::marker::PhantomData<T>,
}

impl<T: Config> Tally<T> {
	/// Adds `power` votes by a ballot.
	pub fn add(&mut self, ballot: &Ballot, power: Votes) {
		let (ayes, nays, abstentions) = split(ballot, power);
		self.ayes = self.ayes.saturating_add(ayes);
		self.nays = self.nays.saturating_add(nays);
		self.support = self.support.saturating_add(ayes).saturating_add(abstentions);
	}

	/// Removes what [`Tally::add`] added.
	pub fn remove(&mut self, ballot: &Ballot, power: Votes) {
		let (ayes, nays, abstentions) = split(ballot, power);
		self.ayes = self.ayes.saturating_sub(ayes);
		self.nays = self.nays.saturating_sub(nays);
		self.support = self.support.saturating_sub(ayes).saturating_sub(abstentions);
	}
}

/// Splits `power` votes into ayes, nays and abstentions in the proportions of the ballot's amounts, each rounded down.
pub fn split(ballot: &Ballot, power: Votes) -> (Votes, Votes, Votes) {
	let (aye, nay, abstain) = match *ballot {
		AccountVote::Standard { vote, .. } if vote.aye => (1, 0, 0),
		AccountVote::Standard { .. } => (0, 1, 0),
		AccountVote::Split { aye, nay } => (aye, nay, 0),
		AccountVote::SplitAbstain { aye, nay, abstain } => (aye, nay, abstain),
	};
	let whole = aye.saturating_add(nay).saturating_add(abstain);
	let part = |amount: Balance| {
		multiply_by_rational_with_rounding(power, amount, whole, Rounding::Down).unwrap_or_default().min(power)
	};
	(part(aye), part(nay), part(abstain))
}

/// Whether the ballot's amounts are not all 0 and their sum does not overflow.
pub fn is_well_formed(ballot: &Ballot) -> bool {
	let sum = match *ballot {
		AccountVote::Standard { .. } => Some(1),
		AccountVote::Split { aye, nay } => aye.checked_add(nay),
		AccountVote::SplitAbstain { aye, nay, abstain } => {
			aye.checked_add(nay).and_then(|sum| sum.checked_add(abstain))
		},
	};
	sum.is_some_and(|sum| sum > 0)
}

impl<T: Config> VoteTally<Votes, Class> for Tally<T> {
	/// Before the first epoch is weighed there are no votes, and nothing can be decided.
	fn new(_: Class) -> Self {
		let (epoch, total) = T::Electorate::last_weighed().unwrap_or_default();
		Self { ayes: 0, nays: 0, support: 0, electorate: total.into(), epoch, marker: Default::default() }
	}

	fn ayes(&self, _: Class) -> Votes {
		self.ayes
	}

	fn support(&self, _: Class) -> Perbill {
		// `from_rational` gives 100 % of an electorate of 0.
		Perbill::from_rational(self.support, self.electorate.max(1))
	}

	fn approval(&self, _: Class) -> Perbill {
		Perbill::from_rational(self.ayes, self.ayes.saturating_add(self.nays).max(1))
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn unanimity(class: Class) -> Self {
		Self::from_requirements(Perbill::one(), Perbill::one(), class)
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn rejection(class: Class) -> Self {
		Self::from_requirements(Perbill::one(), Perbill::zero(), class)
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn from_requirements(support: Perbill, approval: Perbill, class: Class) -> Self {
		let electorate = 1_000_000_000_000u128;
		let support = support.mul_ceil(electorate);
		let ayes = approval.mul_ceil(support);
		Self { ayes, nays: support.saturating_sub(ayes), support, electorate, ..Self::new(class) }
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn setup(_: Class, _: Perbill) {}
}

/// The votes or the delegation of an account in a class.
#[derive(CloneNoBound, DebugNoBound, PartialEqNoBound, EqNoBound, Encode, Decode, TypeInfo, MaxEncodedLen)]
#[codec(mel_bound(AccountId: MaxEncodedLen))]
#[scale_info(skip_type_params(MaxVotes, MaxDelegators))]
pub enum Stance<AccountId: Clone + core::fmt::Debug + Eq, MaxVotes: Get<u32>, MaxDelegators: Get<u32>> {
	/// The account votes itself, or not at all.
	Voting {
		/// Its ballots, ascending by poll.
		ballots: BoundedVec<(PollIndex, Ballot), MaxVotes>,
		/// The accounts that delegate to it.
		delegators: BoundedVec<AccountId, MaxDelegators>,
	},
	/// The account delegates to this one.
	Delegating(AccountId),
}

impl<AccountId: Clone + core::fmt::Debug + Eq, MaxVotes: Get<u32>, MaxDelegators: Get<u32>> Default
	for Stance<AccountId, MaxVotes, MaxDelegators>
{
	fn default() -> Self {
		Self::Voting { ballots: Default::default(), delegators: Default::default() }
	}
}

/// A poll that was open at its last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Poll {
	/// The epoch whose effective weights are its votes.
	pub epoch: EpochIndex,
	/// Its class.
	pub class: Class,
}

/// The copy of the effective weights of an epoch in which polls were opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Snapshot<AccountId> {
	/// The epoch.
	pub epoch: EpochIndex,
	/// Number of open polls that use it.
	pub polls: u32,
	/// The last host whose weight was copied.
	pub after: Option<AccountId>,
	/// Whether all weights were copied.
	pub complete: bool,
}
