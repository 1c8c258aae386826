//! What the pallet stores.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{
	BlockNumber, EpochIndex, Hash, MAX_MODELS_PER_HOST, MAX_URL, ModelId, PublicKey,
	epoch::{Phase, Schedule},
};
use gonka_sprint::Profile;
use polkadot_sdk::{
	frame_support::{
		BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
		traits::{ConstU32, Get},
	},
	sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError},
};
use scale_info::TypeInfo;

/// Most segments a sprint may have.
pub const MAX_SEGMENTS: u32 = 16;
/// Kept to find the cap: one more than can exceed it.
pub const HEAVIEST: u32 = 4;

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
	/// `seed2` of each segment that has begun.
	pub segment_seeds: BoundedVec<Hash, ConstU32<MAX_SEGMENTS>>,
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

/// A settlement that is under way: sums over the hosts visited so far.
#[derive(CloneNoBound, DebugNoBound, PartialEqNoBound, EqNoBound, Encode, Decode, TypeInfo, MaxEncodedLen)]
#[scale_info(skip_type_params(MaxValidators))]
pub struct Settling<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>> {
	/// The last host visited.
	pub after: Option<AccountId>,
	/// Sum of raw weights.
	pub total: u64,
	/// Hosts with weight.
	pub hosts: u32,
	/// The largest weights, descending.
	pub heaviest: BoundedVec<u64, ConstU32<HEAVIEST>>,
	/// The heaviest hosts with session keys, descending.
	pub validators: BoundedVec<(AccountId, u64), MaxValidators>,
}

impl<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>> Default for Settling<AccountId, MaxValidators> {
	fn default() -> Self {
		Self { after: None, total: 0, hosts: 0, heaviest: Default::default(), validators: Default::default() }
	}
}

impl<AccountId: Clone + core::fmt::Debug + Eq, MaxValidators: Get<u32>> Settling<AccountId, MaxValidators> {
	/// Counts a host with `weight` > 0 in.
	pub fn add(&mut self, who: AccountId, weight: u64, has_keys: bool) {
		self.total = self.total.saturating_add(weight);
		self.hosts = self.hosts.saturating_add(1);
		let rank = self.heaviest.partition_point(|other| *other >= weight);
		// What falls off the end of a full list is not needed.
		let _ = self.heaviest.force_insert_keep_left(rank, weight);
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
	/// A host's effective weight is its raw weight, but not more than this.
	pub cap: u64,
	/// Hosts with weight.
	pub hosts: u32,
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
}

impl From<Refusal> for TransactionValidityError {
	fn from(refusal: Refusal) -> Self {
		InvalidTransaction::Custom(refusal as u8).into()
	}
}
