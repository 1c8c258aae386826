//! Another host: it raced, and its worker serves openings.

use super::*;
use gonka_primitives::{
	host::SegmentCommitment,
	views::{CheckView, DutyView, HostView, SetView},
};
use gonka_sprint::{LeafId, Model, ModelSeed, Profile, SegmentSeed, committee::locate_segment, sample};
use gonka_worker::{
	chain::Follower,
	server::{self, Service},
	sprint::runner::commitment,
	store::{
		Durability,
		race::{self, SegmentRecord, StoredCommitment},
	},
};

/// The beacon of [`FakeChain`].
pub const BEACON: Hash = [5; 32];
/// Leaves of a segment.
pub const LEAVES: u64 = 40;

pub struct Peer {
	pub account: AccountId,
	pub url: String,
	pub store: Store,
	pub commitments: Vec<SegmentCommitment>,
	_stop: oneshot::Sender<()>,
}

/// seed2 of a segment of [`FakeChain`].
pub fn seed_of(segment: u8) -> SegmentSeed {
	SegmentSeed([if segment < 5 { 10 } else { 16 } + segment; 32])
}

pub fn model() -> Model {
	Model::new(&ModelSeed([1; 32]), Profile::Nano)
}

/// Races for `host`: some segments of epoch 5, honestly but for what `spoil` does.
pub async fn raced(
	store: &Store,
	host: AccountId,
	segments: std::ops::Range<u8>,
	spoil: impl Fn(u8, u64, Hash) -> Hash,
) -> Vec<SegmentCommitment> {
	let (model, mut commitments) = (model(), Vec::new());
	for segment in segments {
		let id = |index| LeafId { host, epoch: 5, segment, lane: 0, index };
		let leaf = |index| spoil(segment, index, model.leaf(&seed_of(segment), &id(index)).1);
		let leaves: Vec<Hash> = (0..LEAVES).map(leaf).collect();
		let made = commitment(host, 5, segment, leaves.clone()).unwrap();
		let record =
			SegmentRecord { profile: Profile::Nano, model_seed: [1; 32], segment_seed: seed_of(segment).0, started: 0 };
		let put = store.write(Durability::Now, move |tx| {
			race::begin_segment(tx, 5, segment, &record)?;
			race::add_leaves(tx, (5, segment, 0), 0, &leaves)?;
			race::commit(tx, &StoredCommitment { commitment: made, signature: [0; 64], included: true })
		});
		put.await.unwrap();
		commitments.push(made);
	}
	commitments
}

impl Peer {
	pub async fn start(chain: &Arc<FakeChain>, path: &Path, spoil: impl Fn(u8, u64, Hash) -> Hash) -> Self {
		let key = key("//Peer");
		let account = keys::public(&key);
		let store = Store::open(&path.join("peer.redb"), &GENESIS, &account).unwrap();
		let commitments = raced(&store, account, 0..5, spoil).await;
		let listener = gonka_worker::server::listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		let follower = Follower::start(chain.clone(), account);
		follower.first().await.unwrap();
		let engine = mock(MockConfig::default());
		let service = Service::new(follower, store.clone(), engine, MODEL.into(), key.clone(), Limits::default());
		let (stop, stopped) = oneshot::channel::<()>();
		let stopped = stopped.map(|_| ());
		let serve = server::listen::serve(listener, server::router(service), stopped, Duration::from_secs(1));
		tokio::spawn(serve);
		chain.with(|state| {
			let view = HostView {
				account,
				worker: account,
				url: url.clone().into_bytes(),
				models: Vec::new(),
				registered: 0,
				weight: 1,
				condemned: false,
			};
			state.others.push(view);
			state.others_commitments.extend(&commitments);
		});
		Self { account, url, store, commitments, _stop: stop }
	}

	/// Its leaves of a set: segment and position in it.
	pub fn leaves(&self, set: u8) -> Vec<(u8, u64)> {
		let counts: Vec<_> = (0..5).map(|segment| (segment, LEAVES)).collect();
		let positions = sample(&BEACON, &self.account, set.into(), 5 * LEAVES, 32);
		positions.iter().map(|position| locate_segment(&counts, *position).unwrap()).collect()
	}

	/// The duty to check its sets 3 and 4.
	pub fn duty(&self) -> DutyView {
		let set = |number| SetView { number, tag: None, partner: None };
		DutyView {
			host: self.account,
			url: self.url.clone().into_bytes(),
			commitments: self.commitments.iter().map(|made| (made.segment, made.commitment)).collect(),
			sets: vec![set(3), set(4)],
		}
	}

	pub fn check_view(&self) -> CheckView {
		CheckView { epoch: 5, beacon: BEACON, layer: 1, duties: vec![self.duty()], committed: None, revealed: false }
	}
}
