//! The sprint's thread: pace, crashes within a segment, forks, and the resulting commitments.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::{Hash, host::SegmentCommitment};
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, SprintFormat};
use gonka_worker::{
	chain::Follower,
	conduct::Honest,
	sprint::{
		Checked, Expand, Prover, ProverError, Reference, Result,
		committer::Committer,
		pace::Pace,
		queue::{JobQueue, queue},
		runner::{Runner, RunnerParts, Running, commitment},
	},
	store::{Store, sprint},
	version::RequiredVersion,
};
use std::{
	path::Path,
	sync::{Arc, Mutex},
	time::Instant,
};
use tokio::{sync::Notify, task::JoinHandle};

/// The reference, with a list of the indices that it computed.
struct Watched {
	computed: Arc<Mutex<Vec<u64>>>,
	inner: Option<Box<dyn Prover>>,
}

impl Expand for Watched {
	fn expand(&mut self, seed: &ModelSeed, format: SprintFormat) -> Result<Box<dyn Prover>> {
		let inner = Some(Reference { threads: 1 }.expand(seed, format)?);
		Ok(Box::new(Watched { computed: self.computed.clone(), inner }))
	}
}

impl Prover for Watched {
	fn batch(&self) -> usize {
		7
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>> {
		self.computed.lock().unwrap().extend(ids.iter().map(|id| id.index));
		self.inner.as_mut().unwrap().leaves(seed, ids)
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>> {
		self.inner.as_mut().unwrap().check(seed, ids, layer)
	}
}

/// A running sprint's thread with its committer.
struct SprintRig {
	store: Store,
	computed: Arc<Mutex<Vec<u64>>>,
	committer: JoinHandle<()>,
	running: Option<Running>,
	queue: JobQueue,
	follower: Follower,
}

impl SprintRig {
	fn start(chain: &Arc<FakeChain>, path: &Path, rate: Option<f64>) -> Self {
		let (store, computed) = (store(path), Arc::default());
		let follower = Follower::start(chain.clone(), host());
		let signed = Arc::new(Notify::new());
		let committer = Committer::new(follower.clone(), store.clone(), key("//Worker"), signed.clone());
		let committer = tokio::spawn(committer.run());
		let expand = Box::new(Watched { computed: Arc::clone(&computed), inner: None });
		let (queue, jobs) = queue();
		let runner = Runner::new(RunnerParts {
			follower: follower.clone(),
			store: store.clone(),
			key: key("//Worker"),
			expand,
			pace: Pace::new(rate),
			conduct: Arc::new(Honest),
			signed,
			jobs,
		});
		Self { store, computed, committer, running: Some(runner.start().unwrap()), queue, follower }
	}

	fn on_disk(&self, segment: u8) -> usize {
		self.store.read(|tx| sprint::leaves(tx, 5, segment, 0)).unwrap().len()
	}

	/// Makes a block, and waits until the thread has seen it and has no segment to compute. Returns the number of leaves
	/// computed so far.
	async fn idle_at(&self, chain: &FakeChain, block: u32) -> usize {
		chain.block(block);
		eventually(async || self.follower.snapshot().is_some_and(|snapshot| snapshot.block == block)).await;
		let id = LeafId { host: host(), epoch: 5, segment: 0, lane: 0, index: 0 };
		self.queue.check(([1; 32], SprintFormat::Nano), SegmentSeed([10; 32]), vec![id], 1).await.unwrap();
		self.computed.lock().unwrap().len()
	}

	async fn stop(mut self) {
		let running = self.running.take();
		tokio::task::spawn_blocking(move || drop(running)).await.unwrap();
		self.committer.abort();
		let _ = self.committer.await;
	}
}

/// Returns the right commitment to `count` leaves.
fn expected(segment: u8, count: u64) -> SegmentCommitment {
	let model = Model::new(&ModelSeed([1; 32]), SprintFormat::Nano);
	let seed = SegmentSeed([10 + segment; 32]);
	let id = |index| LeafId { host: host(), epoch: 5, segment, lane: 0, index };
	commitment(host(), 5, segment, (0..count).map(|index| model.leaf(&seed, &id(index)).1).collect()).unwrap()
}

async fn committed(chain: &FakeChain, count: usize) -> Vec<SegmentCommitment> {
	eventually(async || chain.with(|state| state.commitments.len()) == count).await;
	chain.with(|state| state.commitments.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_continues_after_a_kill() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let first = SprintRig::start(&chain, directory.path(), Some(100.0));
	chain.block(103);
	eventually(async || first.on_disk(0) >= 20).await;
	// The copy is what `kill -9` would leave.
	let copy = tempfile::tempdir().unwrap();
	std::fs::copy(directory.path().join("worker.redb"), copy.path().join("worker.redb")).unwrap();
	first.stop().await;
	assert_eq!(chain.with(|state| state.commitments.len()), 0);

	let second = SprintRig::start(&chain, copy.path(), Some(100.0));
	eventually(async || second.on_disk(0) >= 150).await;
	let resumed = *second.computed.lock().unwrap().first().unwrap();
	assert!(resumed >= 20, "it continued at {resumed}");
	let indices: Vec<u64> = second.computed.lock().unwrap().clone();
	assert!(indices.iter().enumerate().all(|(place, index)| *index == resumed + place as u64), "no gaps");
	chain.block(106);
	let made = committed(&chain, 1).await[0];
	assert_eq!(made, expected(0, made.commitment.count));
	assert_eq!(made.commitment.count as usize, second.on_disk(0));
	second.stop().await;

	// After a kill that follows the signing, there is no second commitment.
	let third = SprintRig::start(&chain, copy.path(), Some(100.0));
	chain.block(107);
	eventually(async || third.on_disk(1) >= 10).await;
	assert_eq!(chain.with(|state| state.commitments.clone()), [made]);
	third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_that_was_not_sent_is_sent_after_a_restart() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.reject = true);
	let rig = SprintRig::start(&chain, directory.path(), None);
	chain.block(103);
	eventually(async || rig.on_disk(0) >= 10).await;
	chain.block(106);
	eventually(async || rig.store.read(|tx| sprint::commitment(tx, 5, 0)).unwrap().is_some()).await;
	let signed = rig.store.read(|tx| sprint::commitment(tx, 5, 0)).unwrap().unwrap().commitment;
	rig.stop().await;
	chain.with(|state| state.reject = false);
	let rig = SprintRig::start(&chain, directory.path(), None);
	assert_eq!(committed(&chain, 1).await, [signed]);
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_that_a_reorganisation_lost_is_sent_again() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = SprintRig::start(&chain, directory.path(), None);
	chain.block(103);
	eventually(async || rig.on_disk(0) >= 10).await;
	chain.block(106);
	let made = committed(&chain, 1).await;
	let stored = || rig.store.read(|tx| sprint::commitment(tx, 5, 0)).unwrap();
	eventually(async || stored().is_some_and(|stored| stored.included)).await;
	chain.with(|state| state.commitments.clear());
	chain.block(107);
	eventually(async || {
		chain.announce_again();
		chain.with(|state| state.commitments.len()) == 1
	})
	.await;
	assert_eq!(chain.with(|state| state.commitments.clone()), made, "word for word");
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_ended_while_the_worker_was_down_is_committed_to() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = SprintRig::start(&chain, directory.path(), Some(200.0));
	chain.block(103);
	eventually(async || rig.on_disk(0) >= 10).await;
	rig.stop().await;
	chain.block(106);
	let rig = SprintRig::start(&chain, directory.path(), Some(200.0));
	let made = committed(&chain, 1).await[0];
	assert_eq!(made, expected(0, made.commitment.count));
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_of_an_abandoned_fork_are_not_committed_to() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.block(102);
	chain.with(|state| state.epoch.segment_seeds = vec![[77; 32]]);
	let rig = SprintRig::start(&chain, directory.path(), Some(100.0));
	chain.block(103);
	eventually(async || rig.on_disk(0) >= 10).await;
	chain.with(|state| state.epoch.segment_seeds = vec![[10; 32]]);
	chain.block(104);
	eventually(async || rig.computed.lock().unwrap().iter().filter(|index| **index == 0).count() == 2).await;
	eventually(async || rig.on_disk(0) >= 10).await;
	chain.block(106);
	let made = committed(&chain, 1).await[0];
	assert_eq!(made, expected(0, made.commitment.count));
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_reached_and_never_exceeded() {
	for rate in [120.0, 60.0, 30.0] {
		let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
		let rig = SprintRig::start(&chain, directory.path(), Some(rate));
		let begun = Instant::now();
		chain.block(103);
		eventually(async || rig.computed.lock().unwrap().len() as f64 >= 1.5 * rate).await;
		let (computed, seconds) = (rig.computed.lock().unwrap().len(), begun.elapsed().as_secs_f64());
		// The last batch of 7 may be before its time.
		assert!(computed as f64 <= rate * seconds + 7.0, "{computed} in {seconds} s at {rate}");
		chain.block(106);
		assert!(committed(&chain, 1).await[0].commitment.count as f64 >= 1.5 * rate - 7.0);
		rig.stop().await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmation_segments_are_computed_and_committed_to() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.calls = vec![45, 52]);
	let rig = SprintRig::start(&chain, directory.path(), Some(100.0));
	// The sprint is over, and the first confirmation segment is called at block 145.
	assert_eq!(rig.idle_at(&chain, 144).await, 0);
	for (number, start) in [(5, 145), (6, 152)] {
		chain.block(start);
		eventually(async || rig.on_disk(number) >= 10).await;
		chain.block(start + 3);
		let made = *committed(&chain, usize::from(number) - 4).await.last().unwrap();
		let model = Model::new(&ModelSeed([1; 32]), SprintFormat::Nano);
		let id = |index| LeafId { host: host(), epoch: 5, segment: number, lane: 0, index };
		let seed = SegmentSeed([16 + number; 32]);
		let leaves = (0..made.commitment.count).map(|index| model.leaf(&seed, &id(index)).1).collect();
		assert_eq!(made, commitment(host(), 5, number, leaves).unwrap());
	}
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_thread_recomputes_leaves_of_other_hosts() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.block(120);
	let rig = SprintRig::start(&chain, directory.path(), None);
	let model = Model::new(&ModelSeed([1; 32]), SprintFormat::Nano);
	let seed = SegmentSeed([11; 32]);
	let ids: Vec<_> = (0..20).map(|index| LeafId { host: [3; 32], epoch: 5, segment: 1, lane: 2, index }).collect();
	let checked = rig.queue.check(([1; 32], SprintFormat::Nano), seed, ids.clone(), 1).await.unwrap();
	for (id, checked) in ids.iter().zip(checked) {
		let digest = model.digest_at(&id.tokens(&seed, SprintFormat::Nano), 1).unwrap();
		assert_eq!(checked, Checked { leaf: model.leaf(&seed, id).1, digest });
	}
	let other = rig.queue.check(([2; 32], SprintFormat::Nano), seed, ids.clone(), 1).await;
	assert!(matches!(other, Err(ProverError::OtherModel)));
	let no_layer = rig.queue.check(([1; 32], SprintFormat::Nano), seed, ids.clone(), 2).await;
	assert!(matches!(no_layer, Err(ProverError::NoSuchLayer(2))));
	let queue = rig.queue.clone();
	rig.stop().await;
	assert!(matches!(queue.check(([1; 32], SprintFormat::Nano), seed, ids, 1).await, Err(ProverError::Stopped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_worker_computes_nothing_until_the_requirement_is_lowered() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let outdated_from = |from| chain.with(|state| state.required = RequiredVersion { version: 999_999_999, from });
	let rig = SprintRig::start(&chain, directory.path(), Some(100.0));
	outdated_from(104);
	chain.block(103);
	eventually(async || rig.computed.lock().unwrap().len() >= 5).await;
	// It becomes outdated within a segment. Its leaves stay, and the segment continues when the requirement is lowered.
	let left = rig.idle_at(&chain, 104).await;
	assert_eq!(rig.on_disk(0), left);
	outdated_from(106);
	chain.block(105);
	eventually(async || rig.computed.lock().unwrap().len() > left).await;
	let left = rig.idle_at(&chain, 106).await;
	for block in [107, 109, 110, 111] {
		assert_eq!(rig.idle_at(&chain, block).await, left, "nothing is computed");
	}
	chain.with(|state| state.required = RequiredVersion::default());
	chain.block(112);
	eventually(async || rig.on_disk(3) >= 5).await;
	chain.block(115);
	let segments: Vec<_> = committed(&chain, 1).await.iter().map(|made| made.segment).collect();
	assert_eq!(segments, [3]);
	rig.stop().await;
}
