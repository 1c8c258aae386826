//! What the pallet stores.

use crate::math::{self, BUCKETS};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash, MAX_MODELS_PER_HOST, MAX_URL, ModelId, PublicKey,
	check::Offence,
	epoch::{Phase, Schedule},
};
use gonka_sprint::Profile;
use polkadot_sdk::{
	frame_support::{
		BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
		traits::{ConstU32, Get},
	},
	sp_runtime::{
		Perbill,
		transaction_validity::{InvalidTransaction, TransactionValidityError},
	},
};
use scale_info::TypeInfo;

/// Most segments of an epoch, confirmation segments included.
pub const MAX_SEGMENTS: u32 = 16;
/// Most confirmation segments of an epoch.
pub const MAX_CONFIRMATIONS: u32 = 8;
/// Most requests for openings that a host can have open: there are fewer checkers in a committee.
pub const MAX_REQUESTS: u32 = 16;
/// Most genesis guardians.
pub const MAX_GUARDIANS: u32 = 16;
/// The lowest cap on a host's share.
pub const LEAST_CAP: Perbill = Perbill::from_percent(10);
/// Kept to find the cap: one more than can exceed the lowest.
pub const HEAVIEST: u32 = 10;

/// The running epoch. Its parameters are those of its start.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Epoch {
	/// Counted from 0 at genesis.
	pub index: EpochIndex,
	/// Its first block.
	pub start: BlockNumber,
	/// The lengths of its phases.
	pub schedule: Schedule,
	/// The sprint's model format.
	pub profile: Profile,
	/// `seed1`: the sprint's model.
	pub model_seed: Hash,
	/// `seed2` of each segment that has begun, confirmation segments last.
	pub segment_seeds: BoundedVec<Hash, ConstU32<MAX_SEGMENTS>>,
	/// Offsets of the confirmation segments that were called.
	pub confirmations: BoundedVec<BlockNumber, ConstU32<MAX_CONFIRMATIONS>>,
	/// What committees and samples are drawn from, once it is out.
	pub beacon: Option<Hash>,
}

impl Epoch {
	/// Blocks since the epoch's first.
	pub fn offset(&self, block: BlockNumber) -> BlockNumber {
		block.saturating_sub(self.start)
	}

	/// The phase of `block`.
	pub fn phase(&self, block: BlockNumber) -> Phase {
		self.schedule.phase(self.offset(block))
	}
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Host {
	/// Its worker's key.
	pub worker: PublicKey,
	/// Where its worker is reached.
	pub url: BoundedVec<u8, ConstU32<MAX_URL>>,
	/// The models it serves, ascending.
	pub models: BoundedVec<ModelId, ConstU32<MAX_MODELS_PER_HOST>>,
	/// The epoch of its last registration.
	pub registered: EpochIndex,
	/// The last epoch in which it registered or committed.
	pub active: EpochIndex,
}

/// How a host that raced stands in an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Standing {
	/// Its number among those that raced, by the order of their first commitments.
	pub racer: u32,
	/// The potential weight: `segments × median` of what counts. 0 until it is settled.
	pub raw: u64,
	/// What of it counts by itself or is backed by collateral. 0 until it is settled.
	pub backed: u64,
	/// Leaf sets it had to check, and those whose digest it revealed.
	pub duties: (u32, u32),
	/// Samples of inference that it had to check, and those it answered for.
	pub samples: (u32, u32),
	/// Segments of the requests for openings that it has not answered: lost, once it is settled.
	pub requests: BoundedVec<u8, ConstU32<MAX_REQUESTS>>,
	/// What it was convicted of.
	pub offence: Option<Offence>,
	/// Whether it is not paid because it missed a turn of a dispute.
	pub forfeited: bool,
	/// Whether it equivocated as a validator. Disputes go on beside it: it is no way out of a graver conviction.
	pub equivocated: bool,
	/// Work units that it settled while the epoch's weights were in force.
	pub work: u64,
}

impl Standing {
	/// Whether a dispute found that its weight is 0.
	pub fn is_convicted(&self) -> bool {
		matches!(self.offence, Some(Offence::Fabrication | Offence::FalseAccusation | Offence::WrongInference))
	}

	/// Whether its weight is 0 for what it did.
	pub fn is_weightless(&self) -> bool {
		self.equivocated || self.is_convicted()
	}

	/// The gravest thing that it did.
	pub fn gravest(&self) -> Option<Offence> {
		if self.equivocated && !self.is_convicted() { Some(Offence::Equivocation) } else { self.offence }
	}
}

/// What hosts served while the weights of an epoch were in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Traffic {
	/// The work units of all hosts with weight.
	pub work: u64,
	/// The weight of the hosts in each [`math::bucket`]; those that served nothing are in none.
	pub weights: BoundedVec<u64, ConstU32<BUCKETS>>,
}

impl Traffic {
	/// Counts `work` more of a host with `weight` that had done `before`.
	pub fn add(&mut self, weight: u64, before: u64, work: u64) {
		self.work = self.work.saturating_add(work);
		let bucket = |work| math::bucket(math::ratio(work, weight)).map(usize::from);
		if let Some(old) = bucket(before).and_then(|bucket| self.weights.get_mut(bucket)) {
			*old = old.saturating_sub(weight);
		}
		let Some(bucket) = bucket(before.saturating_add(work)) else { return };
		if self.weights.len() <= bucket {
			self.weights.bounded_resize(bucket.saturating_add(1), 0);
		}
		if let Some(new) = self.weights.get_mut(bucket) {
			*new = new.saturating_add(weight);
		}
	}
}

/// A host that a checker has to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty<AccountId> {
	/// The host.
	pub host: AccountId,
	/// The leaf sets, ascending, each with the other checker that has it.
	pub sets: Vec<(u8, Option<AccountId>)>,
}

/// A settlement that is under way: sums over the hosts visited so far.
#[derive(CloneNoBound, DebugNoBound, PartialEqNoBound, EqNoBound, Encode, Decode, TypeInfo, MaxEncodedLen)]
#[scale_info(skip_type_params(MaxValidators, MaxCheckers))]
pub struct Settling<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>, MaxCheckers: Get<u32>> {
	/// The last host visited.
	pub after: Option<AccountId>,
	/// Sum of backed weights.
	pub total: u64,
	/// Hosts with weight.
	pub hosts: u32,
	/// The largest weights, descending.
	pub heaviest: BoundedVec<u64, ConstU32<HEAVIEST>>,
	/// The heaviest hosts with session keys, descending.
	pub validators: BoundedVec<(AccountId, u64), MaxValidators>,
	/// The heaviest hosts, descending.
	pub checkers: BoundedVec<(AccountId, u64), MaxCheckers>,
}

impl<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>, MaxCheckers: Get<u32>> Default
	for Settling<AccountId, MaxValidators, MaxCheckers>
{
	fn default() -> Self {
		Self {
			after: None,
			total: 0,
			hosts: 0,
			heaviest: Default::default(),
			validators: Default::default(),
			checkers: Default::default(),
		}
	}
}

impl<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>, MaxCheckers: Get<u32>>
	Settling<AccountId, MaxValidators, MaxCheckers>
{
	/// Counts a host with `weight` > 0 in.
	pub fn add(&mut self, who: AccountId, weight: u64, has_keys: bool) {
		self.total = self.total.saturating_add(weight);
		self.hosts = self.hosts.saturating_add(1);
		let rank = self.heaviest.partition_point(|other| *other >= weight);
		// What falls off the end of a full list is not needed.
		let _ = self.heaviest.force_insert_keep_left(rank, weight);
		let rank = self.checkers.partition_point(|(_, other)| *other >= weight);
		let _ = self.checkers.force_insert_keep_left(rank, (who.clone(), weight));
		if has_keys {
			let rank = self.validators.partition_point(|(_, other)| *other >= weight);
			let _ = self.validators.force_insert_keep_left(rank, (who, weight));
		}
	}
}

/// The outcome of an epoch.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Settled {
	/// Sum of effective weights.
	pub total: u64,
	/// A host's effective weight is what of its weight is backed, but not more than this.
	pub cap: u64,
	/// Hosts with weight.
	pub hosts: u32,
}

impl Settled {
	/// A host's effective weight.
	pub fn effective(&self, standing: &Standing) -> u64 {
		if standing.is_weightless() { 0 } else { self.counted(standing) }
	}

	/// What counts of a host's weight, whatever it did later.
	pub fn counted(&self, standing: &Standing) -> u64 {
		standing.backed.min(self.cap)
	}
}

/// Why the pool refuses a transaction: `InvalidTransaction::Custom(code)`, see the table in the crate's docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
	/// A length, the URL, the order of models, or an impossible count.
	Malformed = 1,
	/// Not this epoch, or not the segment's commitment window.
	OutOfPhase = 2,
	/// Already registered in this epoch, or already committed for this segment.
	SlotUsed = 3,
	/// Too few leading zero bits.
	TooLittleWork = 4,
	/// The signature does not match.
	BadSignature = 5,
	/// The host is not registered.
	UnknownHost = 6,
	/// The worker key belongs to another host.
	WorkerTaken = 7,
	/// A model is not registered.
	UnknownModel = 8,
	/// No room for another host.
	TooManyHosts = 9,
	/// A confirmation of a sprint that the host was not part of.
	DidNotRace = 10,
}

impl From<Refusal> for TransactionValidityError {
	fn from(refusal: Refusal) -> Self {
		InvalidTransaction::Custom(refusal as u8).into()
	}
}
