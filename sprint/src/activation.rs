//! Digests over the residual between two layers: what checkers compare, and what a dispute descends into.

use crate::{
	hash::{Hash, blake2_256},
	merkle::MerkleTree,
};
use alloc::vec::Vec;

/// The residual after one layer, as a Merkle tree over its token rows.
pub struct LayerDigest(MerkleTree);

impl LayerDigest {
	/// Over the residual `x` (`[tokens × width]`) after `layer`.
	pub fn new(layer: u16, x: &[i32], width: usize) -> Self {
		let rows = x.chunks(width.max(1)).zip(0u16..);
		Self(MerkleTree::new(rows.map(|(row, token)| row_hash(layer, token, row)).collect()))
	}

	/// The digest, for all rows.
	pub fn root(&self) -> Hash {
		self.0.root()
	}

	/// The proof of one token's row, for [`crate::merkle::verify`] with the tokens' number as count.
	pub fn proof(&self, token: u16) -> Option<Vec<Hash>> {
		self.0.proof(u64::from(token))
	}
}

/// The leaf of one row: `H("gonka/sprint/row" ‖ layer:u16 ‖ token:u16 ‖ row as i32s)`.
pub fn row_hash(layer: u16, token: u16, row: &[i32]) -> Hash {
	let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
	blake2_256(&[b"gonka/sprint/row", &layer.to_le_bytes(), &token.to_le_bytes(), &bytes])
}
