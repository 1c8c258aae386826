//! What this host committed to: proofs of single leaves, out of the leaves on disk.

use crate::{
	sprint::runner::LANE,
	store::{Store, StoreError, race},
};
use gonka_primitives::EpochIndex;
use gonka_sprint::{LaneCommitment, LaneProof, Lanes, LeafOpening, MerkleTree};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::Mutex;

/// Trees in memory: 64 bytes a leaf.
const TREES: usize = 8;

/// Openings of this host's leaves.
pub struct Openings {
	store: Store,
	/// The trees that were used last, in front. One is built at a time.
	trees: Mutex<VecDeque<(Slot, Arc<Tree>)>>,
}

type Slot = (EpochIndex, u8);

/// The tree of a segment with one lane.
struct Tree {
	leaves: Vec<gonka_primitives::Hash>,
	tree: MerkleTree,
	lane: LaneProof,
}

impl Openings {
	/// Of the host whose store it is.
	pub fn new(store: Store) -> Arc<Self> {
		Arc::new(Self { store, trees: Mutex::default() })
	}

	/// The openings of `positions`; `None` if one of them is not in what the host committed to.
	pub async fn open(
		&self,
		epoch: EpochIndex,
		segment: u8,
		positions: &[u64],
	) -> Result<Option<Vec<LeafOpening>>, StoreError> {
		let Some(tree) = self.tree((epoch, segment)).await? else { return Ok(None) };
		let open = |position: &u64| {
			let leaf = *tree.leaves.get(usize::try_from(*position).ok()?)?;
			Some(LeafOpening { lane: tree.lane.clone(), leaf, path: tree.tree.proof(*position)? })
		};
		Ok(positions.iter().map(open).collect())
	}

	async fn tree(&self, slot: Slot) -> Result<Option<Arc<Tree>>, StoreError> {
		let mut trees = self.trees.lock().await;
		if let Some(at) = trees.iter().position(|(of, _)| *of == slot) {
			return Ok(trees.remove(at).map(|(_, tree)| {
				trees.push_front((slot, tree.clone()));
				tree
			}));
		}
		let store = self.store.clone();
		let built = tokio::task::spawn_blocking(move || build(&store, slot)).await;
		let built = built.map_err(|error| StoreError::Failed(error.to_string()))??;
		Ok(built.map(|tree| {
			let tree = Arc::new(tree);
			trees.push_front((slot, tree.clone()));
			trees.truncate(TREES);
			tree
		}))
	}
}

/// `None` if there is no commitment.
fn build(store: &Store, (epoch, segment): Slot) -> Result<Option<Tree>, StoreError> {
	let Some(stored) = store.read(|tx| race::commitment(tx, epoch, segment))? else { return Ok(None) };
	let leaves = store.read(|tx| race::leaves(tx, epoch, segment, LANE))?;
	let tree = MerkleTree::new(leaves.clone());
	let lanes = Lanes::new(&[LaneCommitment { lane: LANE, count: tree.count(), root: tree.root() }]);
	let lanes = lanes.map_err(|error| StoreError::Failed(error.to_string()))?;
	if lanes.commitment() != stored.commitment.commitment {
		return Err(StoreError::Failed(format!(
			"the leaves of segment {segment} are not those that were committed to"
		)));
	}
	Ok(lanes.proof(LANE).map(|lane| Tree { leaves, tree, lane }))
}
