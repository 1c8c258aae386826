//! A prover that invents leaves.

use gonka_primitives::{Hash, hashing::blake2_256};
use gonka_sprint::{LeafId, ModelSeed, SegmentSeed, SprintFormat};
use gonka_worker::sprint::{Checked, Expand, Prover, Result};

/// One leaf of so many is invented.
const INTERVAL: u64 = 50;

/// Invents every 50th leaf of its own. It checks other hosts' leaves right.
pub struct Fabricator<T>(pub T);

impl Expand for Fabricator<Box<dyn Expand>> {
	fn expand(&mut self, seed: &ModelSeed, format: SprintFormat) -> Result<Box<dyn Prover>> {
		Ok(Box::new(Fabricator(self.0.expand(seed, format)?)))
	}
}

impl Prover for Fabricator<Box<dyn Prover>> {
	fn batch(&self) -> usize {
		self.0.batch()
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>> {
		let mut leaves = self.0.leaves(seed, ids)?;
		for (id, leaf) in ids.iter().zip(&mut leaves) {
			if id.index % INTERVAL == INTERVAL - 1 {
				*leaf = blake2_256(&[b"made up", leaf]);
			}
		}
		Ok(leaves)
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>> {
		self.0.check(seed, ids, layer)
	}
}
