//! The thread that races: it follows the epoch, computes leaves and signs commitments. Confirmation segments are raced
//! like the sprint's. When there is nothing to race, it does what is at its [desk](super::desk).
//!
//! Leaves are on disk about twice a second; after `kill -9` the thread goes on at the index that it reached. A
//! commitment is on disk before anybody sees it, and there is one at most for each segment of an epoch.

use super::{
	Expand, Racer,
	desk::{Basis, Job, Jobs},
	pace::Pace,
};
use crate::{
	chain::Follower,
	store::{
		Durability, Store, StoreError,
		race::{self, SegmentRecord, StoredCommitment},
	},
};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{
	EpochIndex, Hash,
	hashing::{domain, signing_payload},
	host::SegmentCommitment,
	views::EpochView,
};
use gonka_sprint::{LaneCommitment, Lanes, LeafId, MerkleTree, ModelSeed, SegmentSeed};
use std::{
	sync::{
		Arc,
		atomic::{AtomicBool, Ordering},
	},
	thread::JoinHandle,
	time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// Between two looks at the chain while there is nothing to compute.
const LOOK: Duration = Duration::from_millis(10);
/// Between two writes of leaves.
const WRITE: Duration = Duration::from_millis(500);
/// After a fault, before the next try.
const PAUSE: Duration = Duration::from_secs(2);
/// Priority of the thread: serving comes first where cores are few.
const NICE: i32 = 10;
/// For how long the desk's jobs are taken before another look at the chain.
const SHIFT: Duration = Duration::from_millis(200);
/// The lane of a host that has one worker.
pub const LANE: u16 = 0;

/// The race of one worker.
pub struct Runner {
	follower: Follower,
	store: Store,
	key: Keypair,
	expand: Box<dyn Expand>,
	pace: Pace,
	/// Notified when a commitment was put on disk.
	signed: Arc<Notify>,
	/// What else there is to compute.
	jobs: Jobs,
	/// A job that is not done yet.
	job: Option<Job>,
	stop: Arc<AtomicBool>,
	/// The epoch's model, and what it was made from.
	model: Option<(Basis, Box<dyn Racer>)>,
	/// A segment in which nothing was computed: there is nothing to commit to.
	empty: Option<(EpochIndex, u8)>,
}

/// A running [`Runner`]; it is stopped when this is dropped.
pub struct Running {
	stop: Arc<AtomicBool>,
	thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
	fn drop(&mut self) {
		self.stop.store(true, Ordering::Relaxed);
		if let Some(thread) = self.thread.take() {
			let _ = thread.join();
		}
	}
}

/// A segment that is being computed.
struct Segment {
	epoch: EpochIndex,
	number: u8,
	record: SegmentRecord,
	leaves: Vec<Hash>,
	/// How many of them are on disk.
	written: usize,
}

impl Runner {
	/// For the follower's host. `key` is the worker key; `signed` is told of each signed commitment.
	pub fn new(
		follower: Follower,
		store: Store,
		key: Keypair,
		expand: Box<dyn Expand>,
		pace: Pace,
		signed: Arc<Notify>,
		jobs: Jobs,
	) -> Self {
		let (stop, job, model, empty) = (Arc::default(), None, None, None);
		Self { follower, store, key, expand, pace, signed, jobs, job, stop, model, empty }
	}

	/// Starts the thread.
	pub fn start(mut self) -> std::io::Result<Running> {
		let stop = self.stop.clone();
		let thread = std::thread::Builder::new().name("sprint".into()).spawn(move || {
			lower_priority();
			while !self.is_stopped() {
				if let Err(error) = self.step() {
					tracing::error!(error, "the sprint failed; trying again");
					std::thread::sleep(PAUSE);
				}
				std::thread::sleep(LOOK);
			}
		})?;
		Ok(Running { stop, thread: Some(thread) })
	}

	fn is_stopped(&self) -> bool {
		self.stop.load(Ordering::Relaxed)
	}

	/// Does what there is to do now; returns when a segment has ended, or at once.
	fn step(&mut self) -> Result<(), String> {
		let Some(snapshot) = self.follower.snapshot() else { return Ok(()) };
		let epoch = &snapshot.epoch;
		self.expand(epoch)?;
		for (number, seed) in (0u8..).zip(&epoch.segment_seeds) {
			if snapshot.is_outdated() {
				break;
			}
			#[cfg(feature = "hostile")]
			if crate::hostile::skips(epoch, number) {
				continue;
			}
			let over = is_over(epoch, snapshot.block, number);
			if self.is_committed(epoch, number)? || over && !epoch.takes_commitment_next(number) {
				continue;
			}
			if self.empty == Some((epoch.index, number)) {
				continue;
			}
			if over && self.store.read(|tx| race::segment(tx, epoch.index, number)).map_err(text)?.is_none() {
				// It passed without this worker.
				continue;
			}
			let segment = self.begin(epoch, number, *seed).map_err(text)?;
			if let Some(segment) = self.race(segment, over)? {
				self.commit(segment).map_err(text)?;
			}
		}
		self.work();
		Ok(())
	}

	/// Does what waits at the desk, for a while.
	fn work(&mut self) {
		let start = Instant::now();
		while start.elapsed() < SHIFT
			&& !self.is_stopped()
			&& let Some((basis, racer)) = &mut self.model
			&& let Some(job) = self.job.take().or_else(|| self.jobs.try_recv().ok())
		{
			self.job = job.work(basis, racer.as_mut());
		}
	}

	/// Expands the epoch's model, unless it is there.
	fn expand(&mut self, epoch: &EpochView) -> Result<(), String> {
		let wanted = (epoch.model_seed, epoch.profile);
		if self.model.as_ref().is_some_and(|(made_from, _)| *made_from == wanted) {
			return Ok(());
		}
		// The old one first: two may not fit.
		self.model = None;
		let start = Instant::now();
		let racer = self.expand.expand(&ModelSeed(epoch.model_seed), epoch.profile)?;
		self.model = Some((wanted, racer));
		let (profile, seconds) = (epoch.profile, start.elapsed().as_secs_f64());
		tracing::info!(epoch = epoch.index, ?profile, seconds, "expanded the sprint's model");
		Ok(())
	}

	fn is_committed(&self, epoch: &EpochView, segment: u8) -> Result<bool, String> {
		self.store.read(|tx| Ok(race::commitment(tx, epoch.index, segment)?.is_some())).map_err(text)
	}

	/// Begins a segment, or goes on where it was left.
	fn begin(&self, epoch: &EpochView, number: u8, segment_seed: Hash) -> Result<Segment, StoreError> {
		let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
		let (profile, model_seed, index) = (epoch.profile, epoch.model_seed, epoch.index);
		let record = SegmentRecord { profile, model_seed, segment_seed, started: now.as_millis() as u64 };
		let record =
			self.store.write_blocking(Durability::Now, move |tx| race::begin_segment(tx, index, number, &record))?;
		let leaves = self.store.read(|tx| race::leaves(tx, index, number, LANE))?;
		let (profile, written) = (record.profile, leaves.len());
		tracing::info!(epoch = index, segment = number, ?profile, done = written, "segment");
		Ok(Segment { epoch: index, number, record, leaves, written })
	}

	/// Computes until the segment's end. `None` if it was left: by a stop, or because its seed is no longer the chain's.
	fn race(&mut self, mut segment: Segment, over: bool) -> Result<Option<Segment>, String> {
		let Some((_, racer)) = self.model.as_mut() else { return Ok(None) };
		let seed = SegmentSeed(segment.record.segment_seed);
		let host = *self.follower.host();
		let pace = self.pace;
		#[cfg(feature = "hostile")]
		let pace = crate::hostile::pace(pace);
		let (start, first) = (Instant::now(), segment.leaves.len());
		let mut last_write = Instant::now();
		let mut over = over;
		while !over {
			if self.stop.load(Ordering::Relaxed) {
				write(&self.store, &mut segment).map_err(text)?;
				return Ok(None);
			}
			let Some(snapshot) = self.follower.snapshot() else { return Ok(None) };
			let epoch = &snapshot.epoch;
			let current = epoch.index == segment.epoch
				&& epoch.model_seed == segment.record.model_seed
				&& epoch.segment_seeds.get(usize::from(segment.number)) == Some(&segment.record.segment_seed);
			if !current {
				let (epoch, segment) = (segment.epoch, segment.number);
				tracing::warn!(epoch, segment, "the chain left this segment: its leaves are worth nothing");
				return Ok(None);
			}
			if snapshot.is_outdated() {
				// What it began can go on when it is updated in time.
				write(&self.store, &mut segment).map_err(text)?;
				return Ok(None);
			}
			over = is_over(epoch, snapshot.block, segment.number);
			let done = segment.leaves.len() as u64;
			let elapsed = since(segment.record.started);
			let free = pace.allowed(elapsed).saturating_sub(done).min(racer.batch().max(1) as u64);
			if over {
				break;
			}
			if free == 0 {
				std::thread::sleep(pace.wait(done, elapsed).clamp(Duration::from_millis(1), LOOK));
			} else {
				let id = |index| LeafId { host, epoch: segment.epoch, segment: segment.number, lane: LANE, index };
				let ids: Vec<LeafId> = (done..done.saturating_add(free)).map(id).collect();
				let hashes = racer.leaves(&seed, &ids)?;
				metrics::counter!("gonka_worker_sprint_leaves_total").increment(hashes.len() as u64);
				segment.leaves.extend(hashes);
			}
			if last_write.elapsed() >= WRITE {
				write(&self.store, &mut segment).map_err(text)?;
				last_write = Instant::now();
			}
		}
		write(&self.store, &mut segment).map_err(text)?;
		let computed = segment.leaves.len().saturating_sub(first);
		let speed = computed as f64 / start.elapsed().as_secs_f64().max(1e-3);
		metrics::gauge!("gonka_worker_sprint_leaves_per_second").set(speed);
		let leaves = segment.leaves.len();
		tracing::info!(
			epoch = segment.epoch,
			segment = segment.number,
			leaves,
			leaves_per_second = speed,
			"segment over"
		);
		Ok(Some(segment))
	}

	/// Signs the segment's commitment and puts it on disk.
	fn commit(&mut self, segment: Segment) -> Result<(), StoreError> {
		if segment.leaves.is_empty() {
			self.empty = Some((segment.epoch, segment.number));
			tracing::warn!(epoch = segment.epoch, segment = segment.number, "no leaf was computed: nothing to commit");
			return Ok(());
		}
		let genesis = self.follower.chain().genesis();
		let commitment = commitment(*self.follower.host(), segment.epoch, segment.number, segment.leaves)
			.map_err(|error| StoreError::Failed(error.to_string()))?;
		let signature = keys::sign(&self.key, &signing_payload(domain::COMMITMENT, &genesis, &commitment));
		let stored = StoredCommitment { commitment, signature, included: false };
		self.store.write_blocking(Durability::Now, move |tx| race::commit(tx, &stored))?;
		let root = hex::encode(commitment.commitment.root);
		tracing::info!(epoch = segment.epoch, segment = segment.number, root, "commitment signed");
		self.signed.notify_one();
		Ok(())
	}
}

/// The commitment over the leaves of a host with one lane.
pub fn commitment(
	host: Hash,
	epoch: EpochIndex,
	segment: u8,
	leaves: Vec<Hash>,
) -> Result<SegmentCommitment, gonka_sprint::lane::LaneError> {
	let tree = MerkleTree::new(leaves);
	let lanes = Lanes::new(&[LaneCommitment { lane: LANE, count: tree.count(), root: tree.root() }])?;
	Ok(SegmentCommitment { host, epoch, segment, commitment: lanes.commitment() })
}

/// Whether the segment's last block is behind the best one.
fn is_over(epoch: &EpochView, block: u32, segment: u8) -> bool {
	let end = epoch.start_of(segment).map(|start| start.saturating_add(epoch.schedule.segment));
	end.is_none_or(|end| block.saturating_sub(epoch.start) >= end)
}

fn write(store: &Store, segment: &mut Segment) -> Result<(), StoreError> {
	let new: Vec<Hash> = segment.leaves.get(segment.written..).unwrap_or_default().to_vec();
	if new.is_empty() {
		return Ok(());
	}
	let (lane, first) = ((segment.epoch, segment.number, LANE), segment.written as u64);
	store.write_blocking(Durability::Now, move |tx| race::add_leaves(tx, lane, first, &new))?;
	segment.written = segment.leaves.len();
	Ok(())
}

/// Time since `started`, in milliseconds since 1970.
fn since(started: u64) -> Duration {
	let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
	now.saturating_sub(Duration::from_millis(started))
}

fn text(error: StoreError) -> String {
	error.to_string()
}

/// Lowers this thread's priority, and that of the threads it will start.
fn lower_priority() {
	// SAFETY: plain numbers; 0 is the calling thread.
	let failed = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0;
	if failed {
		tracing::debug!("the sprint's priority could not be lowered");
	}
}
