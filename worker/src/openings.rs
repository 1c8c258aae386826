//! Openings of this host's own leaves, built from the stored leaves.

use crate::{
	sprint::runner::LANE,
	store::{self, Store, StoreError, sprint},
};
use gonka_primitives::{EpochIndex, Hash};
use gonka_sprint::{LaneCommitment, LaneProof, Lanes, LeafOpening, MerkleTree};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::Mutex;

/// Maximum number of trees in memory, of 64 bytes a leaf.
const MAX_TREES: usize = 8;

/// Makes openings of this host's leaves.
pub struct Openings {
	store: Store,
	/// The most recently used trees, the last used one first. One tree is built at a time.
	trees: Arc<Mutex<Trees>>,
}

type Segment = (EpochIndex, u8);
type Trees = VecDeque<(Segment, Arc<Tree>)>;

/// The tree of a segment with one lane.
struct Tree {
	leaves: Vec<Hash>,
	tree: MerkleTree,
	lane: LaneProof,
}

impl Openings {
	/// Makes openings from the leaves in `store`.
	pub fn new(store: Store) -> Arc<Self> {
		Arc::new(Self { store, trees: Arc::default() })
	}

	/// Returns whether the host committed to a segment.
	pub fn has(&self, epoch: EpochIndex, segment: u8) -> store::Result<bool> {
		Ok(self.store.read(|tx| sprint::commitment(tx, epoch, segment))?.is_some())
	}

	/// Returns the openings of `positions`, or `None` if the host did not commit to one of them.
	pub async fn open(
		&self,
		epoch: EpochIndex,
		segment: u8,
		positions: &[u64],
	) -> store::Result<Option<Vec<LeafOpening>>> {
		let Some(tree) = self.tree((epoch, segment)).await? else { return Ok(None) };
		let open = |position: &u64| {
			let leaf = *tree.leaves.get(usize::try_from(*position).ok()?)?;
			Some(LeafOpening { lane: tree.lane.clone(), leaf, path: tree.tree.proof(*position)? })
		};
		Ok(positions.iter().map(open).collect())
	}

	async fn tree(&self, segment: Segment) -> store::Result<Option<Arc<Tree>>> {
		let mut trees = self.trees.clone().lock_owned().await;
		if let Some(at) = trees.iter().position(|(of, _)| *of == segment) {
			return Ok(trees.remove(at).map(|(_, tree)| {
				trees.push_front((segment, tree.clone()));
				tree
			}));
		}
		let store = self.store.clone();
		// The task holds the lock, also if nobody waits for the tree any more: queries that end early start no other builds.
		let built = tokio::task::spawn_blocking(move || {
			let built = build(&store, segment)?.map(Arc::new);
			if let Some(tree) = &built {
				trees.push_front((segment, tree.clone()));
				trees.truncate(MAX_TREES);
			}
			Ok(built)
		});
		built.await.map_err(|_| StoreError::Inconsistent("a tree of leaves cannot be built"))?
	}
}

/// Builds the tree of a segment; `None` if there is no commitment.
fn build(store: &Store, (epoch, segment): Segment) -> store::Result<Option<Tree>> {
	let Some(stored) = store.read(|tx| sprint::commitment(tx, epoch, segment))? else { return Ok(None) };
	let leaves = store.read(|tx| sprint::leaves(tx, epoch, segment, LANE))?;
	let tree = MerkleTree::new(leaves.clone());
	let lanes = Lanes::new(&[LaneCommitment { lane: LANE, count: tree.count(), root: tree.root() }]);
	let lanes = lanes.ok().filter(|lanes| lanes.commitment() == stored.commitment.commitment);
	let lanes = lanes.ok_or(StoreError::Inconsistent("the leaves of a segment are not those of its commitment"))?;
	Ok(lanes.proof(LANE).map(|lane| Tree { leaves, tree, lane }))
}
