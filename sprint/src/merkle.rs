//! The Merkle tree over a lane's leaves.
//!
//! `node = H(0x01 ‖ left ‖ right)`; the last node of an odd level moves up as it is; the root binds the number of
//! leaves: `root = H("gonka/sprint/root" ‖ count:u64 ‖ top)`, with an all-zero top for no leaves. Without the count
//! in it, trees of 3 and of 4 leaves would share proofs.

use crate::hash::{Hash, blake2_256};
use alloc::{vec, vec::Vec};

/// A tree in memory: 64 bytes a leaf.
pub struct MerkleTree {
	/// Levels from the leaves up to the top. There is at least one; only the first may be empty.
	levels: Vec<Vec<Hash>>,
}

impl MerkleTree {
	/// A tree over `leaves`, which are hashes of a domain of their own.
	pub fn new(leaves: Vec<Hash>) -> Self {
		let mut levels = vec![leaves];
		while let Some(level) = levels.last().filter(|level| level.len() > 1) {
			let parents = level.chunks(2).map(|pair| match pair {
				[left, right] => node(left, right),
				_ => pair.first().copied().unwrap_or_default(),
			});
			let parents = parents.collect();
			levels.push(parents);
		}
		Self { levels }
	}

	/// Number of leaves.
	pub fn count(&self) -> u64 {
		self.levels.first().map_or(0, |leaves| leaves.len() as u64)
	}

	/// The root, which binds the number of leaves.
	pub fn root(&self) -> Hash {
		let top = self.levels.last().and_then(|level| level.first()).copied().unwrap_or_default();
		root_of(self.count(), &top)
	}

	/// The siblings from leaf `index` up; `None` if there is no such leaf.
	pub fn proof(&self, index: u64) -> Option<Vec<Hash>> {
		let mut index = usize::try_from(index).ok().filter(|index| (*index as u64) < self.count())?;
		let mut path = Vec::with_capacity(self.levels.len());
		for level in &self.levels {
			path.extend(level.get(index ^ 1));
			index >>= 1;
		}
		Some(path)
	}
}

/// Root of a tree without leaves.
pub fn empty_root() -> Hash {
	root_of(0, &Hash::default())
}

/// Whether `leaf` is leaf `index` of the tree with `count` leaves and this `root`. All arguments may be hostile: the path must
/// have exactly the length that `index` and `count` need, so the cost is at most 64 hashes.
pub fn verify(root: &Hash, count: u64, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
	if index >= count {
		return false;
	}
	let (mut path, mut top) = (path.iter(), *leaf);
	for (index, last) in levels(index, count) {
		top = match side(index, last) {
			Side::Left => match path.next() {
				Some(right) => node(&top, right),
				None => return false,
			},
			Side::Right => match path.next() {
				Some(left) => node(left, &top),
				None => return false,
			},
			Side::Alone => top,
		};
	}
	path.next().is_none() && root_of(count, &top) == *root
}

/// Side of a node beside its sibling.
pub(crate) enum Side {
	Left,
	Right,
	/// The last node of an odd level.
	Alone,
}

/// The side of node `index` of a level whose last node is `last`.
pub(crate) fn side(index: u64, last: u64) -> Side {
	if index & 1 == 1 {
		Side::Right
	} else if index == last {
		Side::Alone
	} else {
		Side::Left
	}
}

/// `(index, last index)` on each level below the top, from leaf `index` of `count` up.
pub(crate) fn levels(index: u64, count: u64) -> impl Iterator<Item = (u64, u64)> {
	let leaves = Some((index, count.saturating_sub(1)));
	core::iter::successors(leaves, |(index, last)| Some((index >> 1, last >> 1))).take_while(|(_, last)| *last > 0)
}

pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
	blake2_256(&[&[1], left, right])
}

fn root_of(count: u64, top: &Hash) -> Hash {
	blake2_256(&[b"gonka/sprint/root", &count.to_le_bytes(), top])
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn leaves(count: u64) -> Vec<Hash> {
		(0..count).map(|index| blake2_256(&[b"leaf", &index.to_le_bytes()])).collect()
	}

	#[test]
	fn small_trees_have_the_roots_computed_by_hand() {
		let l = leaves(3);
		let expected = root_of(3, &node(&node(&l[0], &l[1]), &l[2]));
		let tree = MerkleTree::new(l.clone());
		assert_eq!(tree.root(), expected);
		assert_eq!(tree.proof(2), Some(vec![node(&l[0], &l[1])]));
		assert_eq!(MerkleTree::new(vec![]).root(), empty_root());
		assert_eq!(MerkleTree::new(vec![]).proof(0), None);
		assert_eq!(MerkleTree::new(vec![l[0]]).root(), root_of(1, &l[0]));
	}

	#[test]
	fn every_leaf_of_every_size_opens_only_at_its_place() {
		for count in 1..20 {
			let (leaves, tree) = (leaves(count), MerkleTree::new(leaves(count)));
			for index in 0..count {
				let path = tree.proof(index).unwrap();
				for (other, leaf) in (0..).zip(&leaves) {
					for claimed in 0..count + 2 {
						let valid = verify(&tree.root(), count, claimed, leaf, &path);
						assert_eq!(valid, other == index && claimed == index);
					}
				}
				for wrong in (0..40).filter(|wrong| *wrong != count) {
					assert!(!verify(&tree.root(), wrong, index, &leaves[index as usize], &path));
				}
			}
			assert_eq!(tree.proof(count), None);
		}
	}

	proptest! {
		#[test]
		fn a_proof_with_any_change_is_rejected(count in 1u64..300, at in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), flip in 1u8..) {
			let tree = MerkleTree::new(leaves(count));
			let index = at.index(count as usize) as u64;
			let (leaf, path) = (leaves(count)[index as usize], tree.proof(index).unwrap());
			prop_assert!(verify(&tree.root(), count, index, &leaf, &path));
			let mut bytes: Vec<u8> = [tree.root(), leaf].iter().chain(&path).flatten().copied().collect();
			let place = byte.index(bytes.len());
			bytes[place] ^= flip;
			let parts = bytes.as_chunks::<32>().0;
			prop_assert!(!verify(&parts[0], count, index, &parts[1], &parts[2..]));
			let mut longer = path.clone();
			longer.push(leaf);
			prop_assert!(!verify(&tree.root(), count, index, &leaf, &longer));
			if let Some((_, shorter)) = path.split_last() {
				prop_assert!(!verify(&tree.root(), count, index, &leaf, shorter));
			}
		}

		#[test]
		fn hostile_arguments_do_not_panic(count in any::<u64>(), index in any::<u64>(), path in prop::collection::vec(any::<Hash>(), 0..70)) {
			prop_assert!(!verify(&[0; 32], count, index, &[0; 32], &path));
		}
	}
}
