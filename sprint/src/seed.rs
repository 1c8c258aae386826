//! The two seeds of a race: the model's, drawn when an epoch starts, and a segment's, drawn when it starts.

use crate::{
	Profile,
	hash::{Hash, blake2_256},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// seed1: what an epoch's weights are expanded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ModelSeed(pub Hash);

/// seed2: what a segment's inputs are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SegmentSeed(pub Hash);

impl ModelSeed {
	/// `H("gonka/sprint/model" ‖ genesis ‖ epoch:u32 ‖ profile:u8 ‖ randomness)`.
	///
	/// `genesis` is the chain's genesis hash, `randomness` that of the epoch's first block.
	pub fn derive(genesis: &Hash, epoch: u32, profile: Profile, randomness: &Hash) -> Self {
		Self(profile.using_encoded(|profile| {
			blake2_256(&[b"gonka/sprint/model", genesis, &epoch.to_le_bytes(), profile, randomness])
		}))
	}

	/// The seed of segment `segment`: `H("gonka/sprint/segment" ‖ seed1 ‖ segment:u8 ‖ randomness)`.
	///
	/// `randomness` is that of the segment's first block.
	pub fn segment(&self, segment: u8, randomness: &Hash) -> SegmentSeed {
		SegmentSeed(blake2_256(&[b"gonka/sprint/segment", &self.0, &[segment], randomness]))
	}
}
