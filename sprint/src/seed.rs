//! The two seeds of a sprint: the model's, drawn when an epoch starts, and a segment's, drawn when the segment starts.

use crate::{
	SprintFormat,
	hash::{Hash, blake2_256},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// seed1, from which an epoch's weights are expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct ModelSeed(pub Hash);

/// seed2, from which a segment's inputs are derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SegmentSeed(pub Hash);

impl ModelSeed {
	/// `H("gonka/sprint/model" ‖ genesis ‖ epoch:u32 ‖ format:u8 ‖ randomness)`.
	///
	/// `genesis` is the chain's genesis hash, `randomness` the beacon of the epoch's first block.
	pub fn derive(genesis: &Hash, epoch: u32, format: SprintFormat, randomness: &Hash) -> Self {
		Self(format.using_encoded(|format| {
			blake2_256(&[b"gonka/sprint/model", genesis, &epoch.to_le_bytes(), format, randomness])
		}))
	}

	/// The seed of segment `segment`: `H("gonka/sprint/segment" ‖ seed1 ‖ segment:u8 ‖ randomness)`.
	///
	/// `randomness` is the beacon of the segment's first block.
	pub fn segment(&self, segment: u8, randomness: &Hash) -> SegmentSeed {
		SegmentSeed(blake2_256(&[b"gonka/sprint/segment", &self.0, &[segment], randomness]))
	}
}
