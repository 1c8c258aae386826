//! A leaf: one input, derived from its place, and the output of the model for it.

use crate::{
	SprintFormat,
	hash::{Hash, Stream, blake2_256},
	seed::SegmentSeed,
};
use alloc::{vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The normalised activation of an input's last token, `i8[width]` in [-31, 31].
pub type Output = Vec<i8>;

/// Place of a leaf. The index is the nonce: leaves of a lane are 0, 1, 2 … without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct LeafId {
	/// The host's account.
	pub host: [u8; 32],
	/// The epoch.
	pub epoch: u32,
	/// The segment of the epoch, from 0.
	pub segment: u8,
	/// The lane: one of the host's devices.
	pub lane: u16,
	/// The index of the leaf within the lane, from 0.
	pub index: u64,
}

impl LeafId {
	/// The input: `tokens` token ids below `vocab`, from `ChaCha8(H("gonka/sprint/input" ‖ seed2 ‖ host ‖ lane:u16 ‖
	/// index:u64))`, four little-endian bytes a token, modulo `vocab` (a power of two, so without bias).
	///
	/// `seed` must be the seed of the leaf's epoch and segment.
	pub fn tokens(&self, seed: &SegmentSeed, format: SprintFormat) -> Vec<u16> {
		let params = format.params();
		let key = blake2_256(&[
			b"gonka/sprint/input",
			&seed.0,
			&self.host,
			&self.lane.to_le_bytes(),
			&self.index.to_le_bytes(),
		]);
		let mut bytes = vec![0; params.tokens.saturating_mul(4)];
		Stream::new(&key).fill(&mut bytes);
		let mask = (params.vocab as u32).saturating_sub(1);
		bytes.as_chunks().0.iter().map(|word| (u32::from_le_bytes(*word) & mask) as u16).collect()
	}

	/// The leaf's hash: `H(0x00 ‖ host ‖ epoch:u32 ‖ segment:u8 ‖ lane:u16 ‖ index:u64 ‖ output)`, a byte per coordinate.
	pub fn hash(&self, output: &[i8]) -> Hash {
		let output: Vec<u8> = output.iter().map(|value| *value as u8).collect();
		self.using_encoded(|id| blake2_256(&[&[0], id, &output]))
	}
}
