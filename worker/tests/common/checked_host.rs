//! Another host: it took part in the sprint, and its worker serves openings.

use super::*;
use gonka_primitives::{
	host::SegmentCommitment,
	views::{CheckView, DutyView, HostView, SetView},
};
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, SprintFormat, committee::leaf_set};
use gonka_worker::{
	sprint::runner::commitment,
	store::{
		Durability,
		sprint::{self, SegmentRecord, StoredCommitment},
	},
};

/// The beacon of [`FakeChain`].
pub const BEACON: Hash = [5; 32];
/// Number of leaves of a segment.
pub const LEAVES: u64 = 40;

/// The registration of a host.
pub fn registered(account: AccountId, worker: AccountId, url: &str) -> HostView {
	HostView {
		account,
		worker,
		url: url.into(),
		models: Vec::new(),
		registered: 0,
		effective_weight: 1,
		condemned: false,
	}
}

/// A host to check.
pub struct CheckedHost {
	pub account: AccountId,
	pub url: String,
	pub store: Store,
	pub commitments: Vec<SegmentCommitment>,
	_stop: oneshot::Sender<()>,
}

/// The seed of a segment of [`FakeChain`].
pub fn seed_of(segment: u8) -> SegmentSeed {
	SegmentSeed([if segment < 5 { 10 } else { 16 } + segment; 32])
}

pub fn model() -> Model {
	Model::new(&ModelSeed([1; 32]), SprintFormat::Nano)
}

/// Computes and stores some segments of epoch 5 for `host`. `change` may replace leaves.
pub async fn compute_segments(
	store: &Store,
	host: AccountId,
	segments: std::ops::Range<u8>,
	change: impl Fn(u8, u64, Hash) -> Hash,
) -> Vec<SegmentCommitment> {
	let (model, mut commitments) = (model(), Vec::new());
	for segment in segments {
		let id = |index| LeafId { host, epoch: 5, segment, lane: 0, index };
		let leaf = |index| change(segment, index, model.leaf(&seed_of(segment), &id(index)).1);
		let leaves: Vec<Hash> = (0..LEAVES).map(leaf).collect();
		let made = commitment(host, 5, segment, leaves.clone()).unwrap();
		let record = SegmentRecord {
			format: SprintFormat::Nano,
			model_seed: [1; 32],
			segment_seed: seed_of(segment).0,
			started: 0,
		};
		let put = store.write(Durability::Now, move |tx| {
			sprint::begin_segment(tx, 5, segment, &record)?;
			sprint::add_leaves(tx, (5, segment, 0), 0, &leaves)?;
			sprint::commit(tx, &StoredCommitment { commitment: made, signature: [0; 64], included: true })
		});
		put.await.unwrap();
		commitments.push(made);
	}
	commitments
}

impl CheckedHost {
	pub async fn start(chain: &Arc<FakeChain>, path: &Path, change: impl Fn(u8, u64, Hash) -> Hash) -> Self {
		let key = key("//Peer");
		let account = keys::public(&key);
		let store = Store::open(&path.join("peer.redb"), &GENESIS, &account).unwrap();
		let commitments = compute_segments(&store, account, 0..5, change).await;
		let (url, _stop) = serve_other_host(chain, key, store.clone(), engine()).await;
		chain.with(|state| {
			state.others.push(registered(account, account, &url));
			state.others_commitments.extend(&commitments);
		});
		Self { account, url, store, commitments, _stop }
	}

	/// Returns its leaves of a set: segment and position in the segment.
	pub fn leaves(&self, set: u8) -> Vec<(u8, u64)> {
		let counts: Vec<_> = (0..5).map(|segment| (segment, LEAVES)).collect();
		leaf_set(&BEACON, &self.account, set.into(), &counts, 32)
	}

	/// Returns the duty to check its sets 3 and 4.
	pub fn duty(&self) -> DutyView {
		let set = |number| SetView { number, tag: None, partner: None };
		DutyView {
			host: self.account,
			url: self.url.clone().into_bytes(),
			is_new: false,
			stake: 5 * LEAVES,
			commitments: self.commitments.iter().map(|made| (made.segment, made.commitment)).collect(),
			sets: vec![set(3), set(4)],
		}
	}

	pub fn check_view(&self) -> CheckView {
		CheckView {
			epoch: 5,
			round: 0,
			beacon: BEACON,
			layer: 1,
			request_limit: 12,
			duties: vec![self.duty()],
			committed: None,
			revealed: false,
		}
	}
}
