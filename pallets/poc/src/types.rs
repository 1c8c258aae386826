//! The types of the pallet's storage.

use crate::math::{self, BUCKETS};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash, MAX_MODELS_PER_HOST, MAX_URL, ModelId, PublicKey,
	check::Offence,
	epoch::{Phase, Schedule},
};
use gonka_sprint::SprintFormat;
use polkadot_sdk::{
	frame_support::{
		BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
		traits::{ConstU32, Get},
	},
	sp_runtime::Perbill,
};
use scale_info::TypeInfo;

/// Maximum number of segments of an epoch, confirmation segments included.
pub const MAX_SEGMENTS: u32 = 16;
/// Maximum number of confirmation segments of an epoch.
pub const MAX_CONFIRMATIONS: u32 = 8;
/// Maximum number of open requests for openings of a host. A committee has fewer checkers.
pub const MAX_REQUESTS: u32 = 16;
/// Maximum number of guardians.
pub const MAX_GUARDIANS: u32 = 16;
/// Minimum of the cap on a host's share.
pub const MIN_CAP: Perbill = Perbill::from_percent(10);
/// Number of heaviest weights from which the cap is computed: one more than can exceed the lowest cap.
pub const HEAVIEST: u32 = 10;

/// An epoch, with the parameters of its start.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Epoch {
	/// Its index, from 0 at genesis.
	pub index: EpochIndex,
	/// Its first block.
	pub start: BlockNumber,
	/// The lengths of its phases.
	pub schedule: Schedule,
	/// The sprint format.
	pub format: SprintFormat,
	/// `seed1`: the sprint's model.
	pub model_seed: Hash,
	/// `seed2` of each segment that has begun, confirmation segments last.
	pub segment_seeds: BoundedVec<Hash, ConstU32<MAX_SEGMENTS>>,
	/// Offsets of the confirmation segments that were called.
	pub confirmations: BoundedVec<BlockNumber, ConstU32<MAX_CONFIRMATIONS>>,
	/// The beacon from which committees and leaf sets are drawn; `None` before the draw.
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
	/// Its worker's URL.
	pub url: BoundedVec<u8, ConstU32<MAX_URL>>,
	/// The models it serves, ascending.
	pub models: BoundedVec<ModelId, ConstU32<MAX_MODELS_PER_HOST>>,
	/// The epoch of its last registration.
	pub registered: EpochIndex,
	/// The last epoch in which it registered or committed.
	pub active: EpochIndex,
}

/// A participant's standing in an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Standing {
	/// Its number, by the order of first commitments.
	pub participant: u32,
	/// The compute weight, `segments × median` of the counts, in leaves. 0 until the host is weighed.
	pub compute: u64,
	/// The backed weight: the part of it that counts by itself or is backed by collateral. 0 until the host is weighed.
	pub backed: u64,
	/// Number of leaf sets that it had to check, and of those whose tags it revealed.
	pub duties: (u32, u32),
	/// Number of audits that were assigned to it, and of those on which it reported.
	pub audits: (u32, u32),
	/// Segments of the requests for openings that it has not answered. They count 0 when the host is weighed.
	pub requests: BoundedVec<u8, ConstU32<MAX_REQUESTS>>,
	/// The offence it was convicted of.
	pub offence: Option<Offence>,
	/// Whether it lost its pay because it missed a turn of a dispute.
	pub forfeited: bool,
	/// Whether it equivocated as a validator. This is separate from `offence`, so that it does not prevent a graver
	/// conviction.
	pub equivocated: bool,
	/// Work units that it settled while the epoch's weights were in force.
	pub work: u64,
}

impl Standing {
	/// Whether its offence makes its weight 0.
	pub fn is_convicted(&self) -> bool {
		matches!(self.offence, Some(Offence::Fabrication | Offence::FalseAccusation | Offence::WrongInference))
	}

	/// Whether its weight is 0 because of an offence or an equivocation.
	pub fn is_weightless(&self) -> bool {
		self.equivocated || self.is_convicted()
	}

	/// Its gravest offence.
	pub fn gravest(&self) -> Option<Offence> {
		if self.equivocated && !self.is_convicted() { Some(Offence::Equivocation) } else { self.offence }
	}
}

/// The work that hosts settled while the weights of an epoch were in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Traffic {
	/// The work units of all hosts with weight.
	pub work: u64,
	/// The weight of the hosts in each [`math::bucket`]. Hosts that served nothing are in no bucket.
	pub weights: BoundedVec<u64, ConstU32<BUCKETS>>,
}

impl Traffic {
	/// Adds `work` of a host with `weight` that had settled `before`.
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

/// A duty of a checker: a host to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty<AccountId> {
	/// The host.
	pub host: AccountId,
	/// The leaf sets, ascending, each with its other checker.
	pub sets: Vec<(u8, Option<AccountId>)>,
}

/// A weighing in progress: sums over the participants visited so far.
#[derive(CloneNoBound, DebugNoBound, PartialEqNoBound, EqNoBound, Encode, Decode, TypeInfo, MaxEncodedLen)]
#[scale_info(skip_type_params(MaxValidators, MaxCheckers))]
pub struct Weighing<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>, MaxCheckers: Get<u32>> {
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
	for Weighing<AccountId, MaxValidators, MaxCheckers>
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
	Weighing<AccountId, MaxValidators, MaxCheckers>
{
	/// Adds a host with `weight` > 0.
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

/// Total and cap of a weighed epoch.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct EpochWeights {
	/// Sum of effective weights.
	pub total: u64,
	/// The cap: a host's effective weight is at most this.
	pub cap: u64,
	/// Hosts with weight.
	pub hosts: u32,
}

impl EpochWeights {
	/// A host's effective weight.
	pub fn effective(&self, standing: &Standing) -> u64 {
		if standing.is_weightless() { 0 } else { self.counted(standing) }
	}

	/// A host's effective weight without regard to offences.
	pub fn counted(&self, standing: &Standing) -> u64 {
		standing.backed.min(self.cap)
	}
}
