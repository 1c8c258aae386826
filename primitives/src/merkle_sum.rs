//! A Merkle tree whose nodes carry the sum of their leaves: a root proves a total, and a position below the total
//! identifies one leaf.
//!
//! `leaf = H(0x00 ‖ bytes ‖ sum)`, `node = H(0x01 ‖ left ‖ left sum ‖ right ‖ right sum)`. The last node of an odd
//! level moves up as it is.

use crate::{Hash, hashing::blake2_256};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// A value that the tree sums.
pub trait Sum: Copy + Default + Encode + PartialEq {
	/// The sum of both; `None` on overflow.
	fn checked_add(&self, other: &Self) -> Option<Self>;
}

impl Sum for u64 {
	fn checked_add(&self, other: &Self) -> Option<Self> {
		u64::checked_add(*self, *other)
	}
}

/// A leaf or an inner node.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct SumNode<S> {
	/// Hash of everything below.
	pub hash: Hash,
	/// Sum of everything below.
	pub sum: S,
}

/// One step of a proof, from the leaf up: the sibling and its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Sibling<S> {
	/// The sibling is to the left.
	Left(SumNode<S>),
	/// The sibling is to the right.
	Right(SumNode<S>),
}

/// The leaf over `bytes` with this sum.
pub fn leaf<S: Sum>(bytes: &[u8], sum: S) -> SumNode<S> {
	let hash = sum.using_encoded(|encoded| blake2_256(&[&[0], bytes, encoded]));
	SumNode { hash, sum }
}

/// The root over `leaves`: all zero for no leaves, `None` on overflow.
pub fn root<S: Sum>(leaves: &[SumNode<S>]) -> Option<SumNode<S>> {
	let mut level = leaves.to_vec();
	while level.len() > 1 {
		level = parents(&level)?;
	}
	Some(level.first().copied().unwrap_or_default())
}

/// The path from leaf `index` to the root; `None` if there is no such leaf, or on overflow.
pub fn prove<S: Sum>(leaves: &[SumNode<S>], index: usize) -> Option<Vec<Sibling<S>>> {
	leaves.get(index)?;
	let (mut level, mut index, mut path) = (leaves.to_vec(), index, Vec::new());
	while level.len() > 1 {
		if index % 2 == 1 {
			path.push(Sibling::Left(*level.get(index.checked_sub(1)?)?));
		} else if let Some(right) = level.get(index.checked_add(1)?) {
			path.push(Sibling::Right(*right));
		}
		level = parents(&level)?;
		index /= 2;
	}
	Some(path)
}

/// Whether `path` leads from `leaf` to `root`.
pub fn verify<S: Sum>(root: &SumNode<S>, leaf: SumNode<S>, path: &[Sibling<S>]) -> bool {
	let top = path.iter().try_fold(leaf, |node, sibling| match sibling {
		Sibling::Left(left) => parent(left, &node),
		Sibling::Right(right) => parent(&node, right),
	});
	top.as_ref() == Some(root)
}

fn parents<S: Sum>(level: &[SumNode<S>]) -> Option<Vec<SumNode<S>>> {
	level
		.chunks(2)
		.map(|pair| match pair {
			[left, right] => parent(left, right),
			[single] => Some(*single),
			_ => None,
		})
		.collect()
}

fn parent<S: Sum>(left: &SumNode<S>, right: &SumNode<S>) -> Option<SumNode<S>> {
	let sum = left.sum.checked_add(&right.sum)?;
	let hash = (left.hash, left.sum, right.hash, right.sum).using_encoded(|bytes| blake2_256(&[&[1], bytes]));
	Some(SumNode { hash, sum })
}
