//! A host's commitment: a Merkle-sum tree over its lanes.
//!
//! Lane n is the n-th leaf of the tree, unused lanes count 0, and the root binds the number of lanes. So no lane can occur
//! twice, and a position below the total names exactly one leaf of one lane.
//!
//! ```text
//! leaf = H("gonka/sprint/lane" ‖ lane:u16 ‖ count:u64 ‖ root)
//! node = H("gonka/sprint/lanes" ‖ left count:u64 ‖ left ‖ right count:u64 ‖ right)      an odd last node moves up
//! root = H("gonka/sprint/commitment" ‖ lanes:u32 ‖ total:u64 ‖ top)
//! ```

use crate::{
	hash::{Hash, blake2_256},
	merkle::{self, Side, side},
};
use alloc::{collections::BTreeMap, vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The leaves that one lane computed in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct LaneCommitment {
	/// Number of the lane. Lanes should be numbered from 0 without large gaps: the tree has a leaf for each number.
	pub lane: u16,
	/// Number of leaves.
	pub count: u64,
	/// [`crate::MerkleTree::root`] over them.
	pub root: Hash,
}

/// The leaves that a host computed in a segment: 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Commitment {
	/// Number of leaves over all lanes.
	pub count: u64,
	/// Root of the Merkle-sum tree over the lanes.
	pub root: Hash,
}

/// Proof that a [`Commitment`] contains a lane.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct LaneProof {
	/// Number of lanes in the tree.
	pub lanes: u32,
	/// The lane.
	pub lane: LaneCommitment,
	/// Counts and hashes of the siblings, from the lane up: at most 16.
	pub path: Vec<(u64, Hash)>,
}

/// Proof that a [`Commitment`] contains a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct LeafOpening {
	/// The leaf's lane.
	pub lane: LaneProof,
	/// The leaf, as the host claims it.
	pub leaf: Hash,
	/// The siblings within the lane, from the leaf up: at most 64.
	pub path: Vec<Hash>,
}

/// Error of a commitment to lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneError {
	/// A lane occurs twice.
	DuplicateLane(u16),
	/// The sum of the counts exceeds 64 bits.
	TooManyLeaves,
}

impl core::fmt::Display for LaneError {
	fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
		match self {
			Self::DuplicateLane(lane) => write!(f, "lane {lane} occurs twice"),
			Self::TooManyLeaves => write!(f, "the sum of the lanes' counts exceeds 64 bits"),
		}
	}
}

impl core::error::Error for LaneError {}

impl Commitment {
	/// The `(lane, index)` of the leaf at `position`; `None` if `proof` does not prove it. Both arguments may be hostile.
	/// Costs at most 18 hashes.
	pub fn locate(&self, position: u64, proof: &LaneProof) -> Option<(u16, u64)> {
		let (lane, lanes) = (proof.lane.lane, proof.lanes);
		if u32::from(lane) >= lanes || lanes > MAX_LANES {
			return None;
		}
		let (mut path, mut top, mut before) = (proof.path.iter(), Node::leaf(&proof.lane), 0u64);
		for (index, last) in merkle::levels(u64::from(lane), u64::from(lanes)) {
			let side = side(index, last);
			if matches!(side, Side::Alone) {
				continue;
			}
			let (count, hash) = *path.next()?;
			let sibling = Node { count, hash };
			top = if matches!(side, Side::Right) {
				before = before.checked_add(count)?;
				Node::parent(&sibling, &top)?
			} else {
				Node::parent(&top, &sibling)?
			};
		}
		let index = position.checked_sub(before)?;
		let proven = path.next().is_none() && top.commit(lanes) == *self && index < proof.lane.count;
		proven.then_some((lane, index))
	}

	/// The `(lane, index)` of the leaf at `position` if the host committed to `opening.leaf` there; `None` otherwise. Both
	/// arguments may be hostile. Costs at most 83 hashes.
	pub fn verify(&self, position: u64, opening: &LeafOpening) -> Option<(u16, u64)> {
		let LeafOpening { lane: proof, leaf, path } = opening;
		let (lane, index) = self.locate(position, proof)?;
		merkle::verify(&proof.lane.root, proof.lane.count, index, leaf, path).then_some((lane, index))
	}
}

/// A host's lanes, and the tree over them.
pub struct Lanes {
	lanes: Vec<LaneCommitment>,
	levels: Vec<Vec<Node>>,
}

/// Maximum number of lanes: their numbers are `u16`.
const MAX_LANES: u32 = 1 << 16;

impl Lanes {
	/// A tree over lanes in any order. Numbers left out are filled with empty lanes.
	pub fn new(given: &[LaneCommitment]) -> Result<Self, LaneError> {
		let mut by_number = BTreeMap::new();
		for lane in given {
			if by_number.insert(lane.lane, *lane).is_some() {
				return Err(LaneError::DuplicateLane(lane.lane));
			}
		}
		let empty_root = merkle::empty_root();
		let empty = |lane| LaneCommitment { lane, count: 0, root: empty_root };
		let last = by_number.last_key_value().map(|(lane, _)| *lane);
		let numbers = last.into_iter().flat_map(|last| 0..=last);
		let lanes: Vec<_> =
			numbers.map(|number| by_number.get(&number).copied().unwrap_or_else(|| empty(number))).collect();

		let mut levels = vec![lanes.iter().map(Node::leaf).collect::<Vec<_>>()];
		while let Some(level) = levels.last().filter(|level| level.len() > 1) {
			let parents = level.chunks(2).map(|pair| match pair {
				[left, right] => Node::parent(left, right),
				_ => pair.first().copied(),
			});
			let parents = parents.collect::<Option<_>>().ok_or(LaneError::TooManyLeaves)?;
			levels.push(parents);
		}
		Ok(Self { lanes, levels })
	}

	/// The commitment that goes on chain.
	pub fn commitment(&self) -> Commitment {
		let top = self.levels.last().and_then(|level| level.first()).copied();
		top.unwrap_or(Node { count: 0, hash: Hash::default() }).commit(self.lanes.len() as u32)
	}

	/// The `(lane, index)` of the leaf at `position`; `None` from the total on. Positions count through the lanes by number.
	pub fn locate(&self, position: u64) -> Option<(u16, u64)> {
		let mut left = position;
		for lane in &self.lanes {
			if left < lane.count {
				return Some((lane.lane, left));
			}
			left = left.checked_sub(lane.count)?;
		}
		None
	}

	/// The proof of a lane; `None` if its number is above the last.
	pub fn proof(&self, lane: u16) -> Option<LaneProof> {
		let mut index = usize::from(lane);
		let (mut path, lane) = (Vec::new(), *self.lanes.get(index)?);
		for level in &self.levels {
			path.extend(level.get(index ^ 1).map(|node| (node.count, node.hash)));
			index >>= 1;
		}
		Some(LaneProof { lanes: self.lanes.len() as u32, lane, path })
	}
}

/// A node of the tree over the lanes.
#[derive(Clone, Copy)]
struct Node {
	count: u64,
	hash: Hash,
}

impl Node {
	fn leaf(lane: &LaneCommitment) -> Self {
		let hash = blake2_256(&[b"gonka/sprint/lane", &lane.lane.to_le_bytes(), &lane.count.to_le_bytes(), &lane.root]);
		Self { count: lane.count, hash }
	}

	/// `None` if the sum overflows.
	fn parent(left: &Self, right: &Self) -> Option<Self> {
		let hash = blake2_256(&[
			b"gonka/sprint/lanes",
			&left.count.to_le_bytes(),
			&left.hash,
			&right.count.to_le_bytes(),
			&right.hash,
		]);
		Some(Self { count: left.count.checked_add(right.count)?, hash })
	}

	fn commit(&self, lanes: u32) -> Commitment {
		let root =
			blake2_256(&[b"gonka/sprint/commitment", &lanes.to_le_bytes(), &self.count.to_le_bytes(), &self.hash]);
		Commitment { count: self.count, root }
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::MerkleTree;
	use proptest::prelude::*;
	use std::collections::BTreeSet;

	fn tree(lane: u16, count: u64) -> MerkleTree {
		MerkleTree::new((0..count).map(|index| blake2_256(&[&lane.to_le_bytes(), &index.to_le_bytes()])).collect())
	}

	fn lanes(counts: &[u64]) -> (Vec<MerkleTree>, Lanes) {
		let trees: Vec<_> = (0..).zip(counts).map(|(lane, count)| tree(lane, *count)).collect();
		let given: Vec<_> = (0..)
			.zip(&trees)
			.map(|(lane, tree)| LaneCommitment { lane, count: tree.count(), root: tree.root() })
			.collect();
		(trees, Lanes::new(&given).unwrap())
	}

	#[test]
	fn duplicate_lanes_are_rejected_and_missing_ones_filled() {
		let lane = |lane, count| LaneCommitment { lane, count, root: [1; 32] };
		assert_eq!(Lanes::new(&[lane(3, 1), lane(3, 2)]).err(), Some(LaneError::DuplicateLane(3)));
		assert_eq!(Lanes::new(&[lane(0, u64::MAX), lane(1, 1)]).err(), Some(LaneError::TooManyLeaves));
		assert_eq!(Lanes::new(&[]).unwrap().commitment().count, 0);
		assert_eq!(Lanes::new(&[]).unwrap().locate(0), None);
		let sparse = Lanes::new(&[lane(5, 2), lane(2, 1)]).unwrap();
		assert_eq!([0, 1, 2].map(|position| sparse.locate(position)), [Some((2, 0)), Some((5, 0)), Some((5, 1))]);
		assert_eq!(sparse.proof(6), None);
		let all = Lanes::new(&[lane(u16::MAX, 7)]).unwrap();
		let proof = all.proof(u16::MAX).unwrap();
		assert_eq!((proof.lanes, proof.path.len()), (1 << 16, 16));
		assert_eq!(all.commitment().locate(6, &proof), Some((u16::MAX, 6)));
	}

	/// Dense lanes prevent that the same leaves count under two numbers.
	#[test]
	fn a_lane_cannot_take_the_number_of_another() {
		let (_, lanes) = lanes(&[4, 4, 4]);
		let mut proof = lanes.proof(1).unwrap();
		assert_eq!(lanes.commitment().locate(5, &proof), Some((1, 1)));
		proof.lane.lane = 0;
		assert_eq!(lanes.commitment().locate(1, &proof), None);
	}

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(128))]

		#[test]
		fn positions_and_leaves_are_a_bijection(counts in prop::collection::vec(0u64..9, 1..9)) {
			let (trees, lanes) = lanes(&counts);
			let commitment = lanes.commitment();
			prop_assert_eq!(commitment.count, counts.iter().sum::<u64>());
			let mut seen = BTreeSet::new();
			for position in 0..commitment.count {
				let (lane, index) = lanes.locate(position).unwrap();
				prop_assert!(index < counts[usize::from(lane)] && seen.insert((lane, index)));
				let leaf = blake2_256(&[&lane.to_le_bytes(), &index.to_le_bytes()]);
				let opening = LeafOpening {
					lane: lanes.proof(lane).unwrap(), leaf, path: trees[usize::from(lane)].proof(index).unwrap(),
				};
				prop_assert_eq!(commitment.verify(position, &opening), Some((lane, index)));
				for other in (0..commitment.count + 2).filter(|other| *other != position) {
					prop_assert_eq!(commitment.verify(other, &opening), None);
				}
				// No other lane's proof shows this position.
				for other in (0..counts.len() as u16).filter(|other| *other != lane) {
					prop_assert_eq!(commitment.locate(position, &lanes.proof(other).unwrap()), None);
				}
			}
			prop_assert_eq!(lanes.locate(commitment.count), None);
		}

		#[test]
		fn an_opening_with_any_changed_byte_is_rejected(
			counts in prop::collection::vec(0u64..9, 1..9),
			place in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), flip in 1u8..,
		) {
			let (trees, lanes) = lanes(&counts);
			let commitment = lanes.commitment();
			prop_assume!(commitment.count > 0);
			let position = place.index(commitment.count as usize) as u64;
			let (lane, index) = lanes.locate(position).unwrap();
			let leaf = blake2_256(&[&lane.to_le_bytes(), &index.to_le_bytes()]);
			let path = trees[usize::from(lane)].proof(index).unwrap();
			let opening = LeafOpening { lane: lanes.proof(lane).unwrap(), leaf, path };
			let mut bytes = (commitment, opening).encode();
			let place = byte.index(bytes.len());
			bytes[place] ^= flip;
			if let Ok((commitment, opening)) = <(Commitment, LeafOpening)>::decode(&mut &bytes[..]) {
				prop_assert_eq!(commitment.verify(position, &opening), None);
			}
		}
	}
}
