//! The race: pace, crashes in mid-segment, forks, and what is committed in the end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::{Hash, host::SegmentCommitment};
use gonka_sprint::{LeafId, Model, ModelSeed, Profile, SegmentSeed};
use gonka_worker::{
	chain::Follower,
	sprint::{
		Checked, Expand, Racer, Reference,
		committer::Committer,
		desk::{Desk, desk},
		pace::Pace,
		runner::{Runner, Running, commitment},
	},
	store::{Store, race},
	version::Required,
};
use std::{
	path::Path,
	sync::{Arc, Mutex},
	time::{Duration, Instant},
};
use tokio::{sync::Notify, task::JoinHandle};

/// The reference, with a list of the indices that were computed.
struct Watched {
	computed: Arc<Mutex<Vec<u64>>>,
	inner: Option<Box<dyn Racer>>,
}

impl Expand for Watched {
	fn expand(&mut self, seed: &ModelSeed, profile: Profile) -> Result<Box<dyn Racer>, String> {
		let inner = Some(Reference { threads: 1 }.expand(seed, profile)?);
		Ok(Box::new(Watched { computed: self.computed.clone(), inner }))
	}
}

impl Racer for Watched {
	fn batch(&self) -> usize {
		7
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>, String> {
		self.computed.lock().unwrap().extend(ids.iter().map(|id| id.index));
		self.inner.as_mut().unwrap().leaves(seed, ids)
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>, String> {
		self.inner.as_mut().unwrap().check(seed, ids, layer)
	}
}

struct Race {
	store: Store,
	computed: Arc<Mutex<Vec<u64>>>,
	committer: JoinHandle<()>,
	running: Option<Running>,
	desk: Desk,
	follower: Follower,
}

impl Race {
	fn start(chain: &Arc<FakeChain>, path: &Path, rate: Option<f64>) -> Self {
		let (store, computed) = (store(path), Arc::default());
		let follower = Follower::start(chain.clone(), host());
		let signed = Arc::new(Notify::new());
		let committer = tokio::spawn(Committer::new(follower.clone(), store.clone(), signed.clone()).run());
		let expand = Box::new(Watched { computed: Arc::clone(&computed), inner: None });
		let (desk, jobs) = desk();
		let runner =
			Runner::new(follower.clone(), store.clone(), key("//Worker"), expand, Pace::new(rate), signed, jobs);
		Self { store, computed, committer, running: Some(runner.start().unwrap()), desk, follower }
	}

	fn on_disk(&self, segment: u8) -> usize {
		self.store.read(|tx| race::leaves(tx, 5, segment, 0)).unwrap().len()
	}

	/// Makes a block; returns when the race has seen it and does something else than racing.
	async fn idle_at(&self, chain: &FakeChain, block: u32) -> usize {
		chain.block(block);
		eventually(async || self.follower.snapshot().is_some_and(|snapshot| snapshot.block == block)).await;
		let id = LeafId { host: host(), epoch: 5, segment: 0, lane: 0, index: 0 };
		self.desk.check(([1; 32], Profile::Nano), SegmentSeed([10; 32]), vec![id], 1).await.unwrap();
		self.computed.lock().unwrap().len()
	}

	async fn stop(mut self) {
		let running = self.running.take();
		tokio::task::spawn_blocking(move || drop(running)).await.unwrap();
		self.committer.abort();
		let _ = self.committer.await;
	}
}

/// What an honest host that computed `count` leaves commits to.
fn expected(segment: u8, count: u64) -> SegmentCommitment {
	let model = Model::new(&ModelSeed([1; 32]), Profile::Nano);
	let seed = SegmentSeed([10 + segment; 32]);
	let id = |index| LeafId { host: host(), epoch: 5, segment, lane: 0, index };
	commitment(host(), 5, segment, (0..count).map(|index| model.leaf(&seed, &id(index)).1).collect()).unwrap()
}

async fn committed(chain: &FakeChain, count: usize) -> Vec<SegmentCommitment> {
	eventually(async || chain.with(|state| state.commitments.len()) == count).await;
	chain.with(|state| state.commitments.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_mid_segment_changes_nothing_but_the_speed() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let first = Race::start(&chain, directory.path(), Some(100.0));
	chain.block(103);
	eventually(async || first.on_disk(0) >= 20).await;
	// What `kill -9` would leave.
	let copy = tempfile::tempdir().unwrap();
	std::fs::copy(directory.path().join("worker.redb"), copy.path().join("worker.redb")).unwrap();
	first.stop().await;
	assert_eq!(chain.with(|state| state.commitments.len()), 0);

	let second = Race::start(&chain, copy.path(), Some(100.0));
	eventually(async || second.on_disk(0) >= 150).await;
	let resumed = *second.computed.lock().unwrap().first().unwrap();
	assert!(resumed >= 20, "went on at {resumed}");
	let indices: Vec<u64> = second.computed.lock().unwrap().clone();
	assert!(indices.iter().enumerate().all(|(place, index)| *index == resumed + place as u64), "no gaps");
	chain.block(106);
	let made = committed(&chain, 1).await[0];
	assert_eq!(made, expected(0, made.commitment.count));
	assert_eq!(made.commitment.count as usize, second.on_disk(0));
	second.stop().await;

	// Killed after signing: the same commitment, no second one.
	let third = Race::start(&chain, copy.path(), Some(100.0));
	chain.block(107);
	eventually(async || third.on_disk(1) >= 10).await;
	assert_eq!(chain.with(|state| state.commitments.clone()), [made]);
	third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_that_was_not_sent_is_sent_after_a_restart() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.refuse = true);
	let race = Race::start(&chain, directory.path(), None);
	chain.block(103);
	eventually(async || race.on_disk(0) >= 10).await;
	chain.block(106);
	eventually(async || race.store.read(|tx| race::commitment(tx, 5, 0)).unwrap().is_some()).await;
	let signed = race.store.read(|tx| race::commitment(tx, 5, 0)).unwrap().unwrap().commitment;
	race.stop().await;
	chain.with(|state| state.refuse = false);
	let race = Race::start(&chain, directory.path(), None);
	assert_eq!(committed(&chain, 1).await, [signed]);
	race.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_of_a_segment_that_ended_while_down_are_committed() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let race = Race::start(&chain, directory.path(), Some(200.0));
	chain.block(103);
	eventually(async || race.on_disk(0) >= 10).await;
	race.stop().await;
	chain.block(106);
	let race = Race::start(&chain, directory.path(), Some(200.0));
	let made = committed(&chain, 1).await[0];
	assert_eq!(made, expected(0, made.commitment.count));
	race.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_of_a_left_fork_are_not_committed() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.block(102);
	chain.with(|state| state.epoch.segment_seeds = vec![[77; 32]]);
	let race = Race::start(&chain, directory.path(), Some(100.0));
	chain.block(103);
	eventually(async || race.on_disk(0) >= 10).await;
	chain.with(|state| state.epoch.segment_seeds = vec![[10; 32]]);
	chain.block(104);
	eventually(async || race.computed.lock().unwrap().iter().filter(|index| **index == 0).count() == 2).await;
	eventually(async || race.on_disk(0) >= 10).await;
	chain.block(106);
	let made = committed(&chain, 1).await[0];
	assert_eq!(made, expected(0, made.commitment.count));
	race.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_reached_and_never_exceeded() {
	for rate in [120.0, 60.0, 30.0] {
		let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
		let race = Race::start(&chain, directory.path(), Some(rate));
		let begun = Instant::now();
		chain.block(103);
		eventually(async || race.computed.lock().unwrap().len() as f64 >= 1.5 * rate).await;
		let (computed, seconds) = (race.computed.lock().unwrap().len(), begun.elapsed().as_secs_f64());
		// The last batch of 7 may be before its time.
		assert!(computed as f64 <= rate * seconds + 7.0, "{computed} in {seconds} s at {rate}");
		chain.block(106);
		assert!(committed(&chain, 1).await[0].commitment.count as f64 >= 1.5 * rate - 7.0);
		race.stop().await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmation_segments_are_raced_and_committed_to() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.calls = vec![45, 52]);
	let race = Race::start(&chain, directory.path(), Some(100.0));
	// It comes when the sprint is over.
	chain.block(144);
	tokio::time::sleep(Duration::from_millis(50)).await;
	assert!(race.computed.lock().unwrap().is_empty());
	for (number, start) in [(5, 145), (6, 152)] {
		chain.block(start);
		eventually(async || race.on_disk(number) >= 10).await;
		chain.block(start + 3);
		let made = *committed(&chain, usize::from(number) - 4).await.last().unwrap();
		let model = Model::new(&ModelSeed([1; 32]), Profile::Nano);
		let id = |index| LeafId { host: host(), epoch: 5, segment: number, lane: 0, index };
		let seed = SegmentSeed([16 + number; 32]);
		let leaves = (0..made.commitment.count).map(|index| model.leaf(&seed, &id(index)).1).collect();
		assert_eq!(made, commitment(host(), 5, number, leaves).unwrap());
	}
	race.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_racing_thread_checks_when_there_is_nothing_to_race() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.block(120);
	let race = Race::start(&chain, directory.path(), None);
	let model = Model::new(&ModelSeed([1; 32]), Profile::Nano);
	let seed = SegmentSeed([11; 32]);
	let ids: Vec<_> = (0..20).map(|index| LeafId { host: [3; 32], epoch: 5, segment: 1, lane: 2, index }).collect();
	let checked = race.desk.check(([1; 32], Profile::Nano), seed, ids.clone(), 1).await.unwrap();
	for (id, checked) in ids.iter().zip(checked) {
		let digest = model.digest_at(&id.tokens(&seed, Profile::Nano), 1).unwrap();
		assert_eq!(checked, Checked { leaf: model.leaf(&seed, id).1, digest });
	}
	let other = race.desk.check(([2; 32], Profile::Nano), seed, ids.clone(), 1).await;
	assert!(other.unwrap_err().contains("another epoch"));
	assert!(race.desk.check(([1; 32], Profile::Nano), seed, ids.clone(), 2).await.is_err());
	let desk = race.desk.clone();
	race.stop().await;
	assert!(desk.check(([1; 32], Profile::Nano), seed, ids, 1).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_too_old_races_no_more_until_it_is_new_enough() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let too_old_from = |from| chain.with(|state| state.required = Required { version: 999_999_999, from });
	let race = Race::start(&chain, directory.path(), Some(100.0));
	too_old_from(104);
	chain.block(103);
	eventually(async || race.computed.lock().unwrap().len() >= 5).await;
	// In mid-segment: what was computed stays, and is gone on with when governance thinks better of it.
	let left = race.idle_at(&chain, 104).await;
	assert_eq!(race.on_disk(0), left);
	too_old_from(106);
	chain.block(105);
	eventually(async || race.computed.lock().unwrap().len() > left).await;
	let left = race.idle_at(&chain, 106).await;
	for block in [107, 109, 110, 111] {
		assert_eq!(race.idle_at(&chain, block).await, left, "nothing is computed");
	}
	chain.with(|state| state.required = Required::default());
	chain.block(112);
	eventually(async || race.on_disk(3) >= 5).await;
	chain.block(115);
	let segments: Vec<_> = committed(&chain, 1).await.iter().map(|made| made.segment).collect();
	assert_eq!(segments, [3]);
	race.stop().await;
}
