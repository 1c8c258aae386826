//! The sprint's thread: it follows the epoch, computes leaves and signs commitments, for the sprint's segments and for
//! confirmation segments alike. When it has no segment to compute, it takes jobs from its [queue](super::queue).
//!
//! Leaves are stored about twice a second, so that after `kill -9` the thread continues at the index it reached. A
//! commitment is stored before it leaves the thread, and there is at most one for each segment of an epoch.

use super::{
	Expand, Prover, ProverError,
	pace::Pace,
	queue::{Job, Jobs, ModelSource},
};
use crate::{
	chain::{Follower, Snapshot},
	conduct::Conduct,
	store::{
		self, Durability, Store, StoreError,
		sprint::{self, SegmentRecord, StoredCommitment},
	},
};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{
	EpochIndex, Hash,
	hashing::{domain, signing_payload},
	host::SegmentCommitment,
	views::EpochView,
};
use gonka_sprint::{LaneCommitment, Lanes, LeafId, MerkleTree, ModelSeed, SegmentSeed, lane::LaneError};
use std::{
	sync::{
		Arc,
		atomic::{AtomicBool, Ordering},
	},
	thread::JoinHandle,
	time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// Time between two steps while there is nothing to compute, and the longest sleep between two leaves.
const IDLE: Duration = Duration::from_millis(10);
/// Time between two writes of leaves.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);
/// Pause after a failed step.
const PAUSE: Duration = Duration::from_secs(2);
/// Priority of the thread: where cores are few, serving comes first.
const NICE: i32 = 10;
/// Maximum time for jobs of the queue before the thread checks for a segment again.
const JOB_TIME: Duration = Duration::from_millis(200);
/// The lane of a host that has one worker.
pub const LANE: u16 = 0;

/// Why a step of the sprint failed. The thread tries again after a pause.
#[derive(Debug, thiserror::Error)]
enum SprintError {
	#[error(transparent)]
	Store(#[from] StoreError),
	#[error(transparent)]
	Prover(#[from] ProverError),
	#[error("cannot commit to the leaves: {0}")]
	Lane(#[from] LaneError),
}

/// The parts from which a [`Runner`] is made.
pub struct RunnerParts {
	/// The chain.
	pub follower: Follower,
	/// The store.
	pub store: Store,
	/// The worker key.
	pub key: Keypair,
	/// The implementation of the sprint.
	pub expand: Box<dyn Expand>,
	/// The limit on leaves per second.
	pub pace: Pace,
	/// Deviations from the protocol, in tests.
	pub conduct: Arc<dyn Conduct>,
	/// Notified when a commitment was stored.
	pub signed: Arc<Notify>,
	/// The queue of leaves to recompute.
	pub jobs: Jobs,
}

/// The state of the sprint's thread.
pub struct Runner {
	parts: RunnerParts,
	/// A job of the queue that is not done yet.
	job: Option<Job>,
	stop: Arc<AtomicBool>,
	/// The epoch's model, and its source.
	model: Option<(ModelSource, Box<dyn Prover>)>,
	/// A segment without a leaf: there is nothing to commit to.
	empty: Option<(EpochIndex, u8)>,
}

/// A running [`Runner`]. Dropping it stops the thread and waits for it.
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
	/// Number of leaves that are stored.
	written: usize,
}

impl Segment {
	/// Returns whether the chain still has this segment with the same seeds.
	fn is_current(&self, epoch: &EpochView) -> bool {
		epoch.index == self.epoch
			&& epoch.model_seed == self.record.model_seed
			&& epoch.segment_seeds.get(usize::from(self.number)) == Some(&self.record.segment_seed)
	}

	/// Stores the leaves that are not stored yet.
	fn write(&mut self, store: &Store) -> store::Result<()> {
		let new: Vec<Hash> = self.leaves.get(self.written..).unwrap_or_default().to_vec();
		if new.is_empty() {
			return Ok(());
		}
		let (lane, first) = ((self.epoch, self.number, LANE), self.written as u64);
		store.write_blocking(Durability::Now, move |tx| sprint::add_leaves(tx, lane, first, &new))?;
		self.written = self.leaves.len();
		Ok(())
	}
}

impl Runner {
	/// Makes the thread's state.
	pub fn new(parts: RunnerParts) -> Self {
		Self { parts, job: None, stop: Arc::default(), model: None, empty: None }
	}

	/// Starts the thread.
	pub fn start(mut self) -> std::io::Result<Running> {
		let stop = self.stop.clone();
		let thread = std::thread::Builder::new().name("sprint".into()).spawn(move || {
			lower_priority();
			while !self.is_stopped() {
				if let Err(error) = self.step() {
					tracing::error!(%error, "the sprint failed; trying again");
					std::thread::sleep(PAUSE);
				}
				std::thread::sleep(IDLE);
			}
		})?;
		Ok(Running { stop, thread: Some(thread) })
	}

	fn is_stopped(&self) -> bool {
		self.stop.load(Ordering::Relaxed)
	}

	/// Does what is due now. Returns at the end of the segment that it computes, or at once.
	fn step(&mut self) -> Result<(), SprintError> {
		let Some(snapshot) = self.parts.follower.snapshot() else { return Ok(()) };
		let epoch = &snapshot.epoch;
		self.expand(epoch)?;
		for (number, seed) in (0u8..).zip(&epoch.segment_seeds) {
			if snapshot.is_outdated() {
				break;
			}
			if !self.is_due(&snapshot, number)? {
				continue;
			}
			let _span = tracing::info_span!("segment", epoch = epoch.index, segment = number).entered();
			let segment = self.begin(epoch, number, *seed)?;
			if let Some(segment) = self.compute(segment, is_over(epoch, snapshot.block, number))? {
				self.commit(segment)?;
			}
		}
		self.work();
		Ok(())
	}

	/// Returns whether a segment is to be computed, or committed to, now.
	fn is_due(&self, snapshot: &Snapshot, number: u8) -> Result<bool, StoreError> {
		let epoch = &snapshot.epoch;
		let is_over = is_over(epoch, snapshot.block, number);
		if !self.parts.conduct.computes(epoch, number)
			|| self.empty == Some((epoch.index, number))
			|| is_over && !epoch.takes_commitment_next(number)
		{
			return Ok(false);
		}
		self.parts.store.read(|tx| {
			let is_committed = sprint::commitment(tx, epoch.index, number)?.is_some();
			// A segment that is over is committed to only if this worker had begun it.
			Ok(!is_committed && (!is_over || sprint::segment(tx, epoch.index, number)?.is_some()))
		})
	}

	/// Works on jobs of the queue for a while.
	fn work(&mut self) {
		let start = Instant::now();
		while start.elapsed() < JOB_TIME
			&& !self.is_stopped()
			&& let Some((source, prover)) = &mut self.model
			&& let Some(job) = self.job.take().or_else(|| self.parts.jobs.try_recv().ok())
		{
			self.job = job.work(source, prover.as_mut());
		}
	}

	/// Expands the epoch's model, unless the thread has it.
	fn expand(&mut self, epoch: &EpochView) -> Result<(), ProverError> {
		let source = (epoch.model_seed, epoch.format);
		if self.model.as_ref().is_some_and(|(of, _)| *of == source) {
			return Ok(());
		}
		// The old model is dropped first: memory may not suffice for two.
		self.model = None;
		let start = Instant::now();
		let prover = self.parts.expand.expand(&ModelSeed(epoch.model_seed), epoch.format)?;
		self.model = Some((source, prover));
		let (format, seconds) = (epoch.format, start.elapsed().as_secs_f64());
		tracing::info!(epoch = epoch.index, ?format, seconds, "expanded the sprint's model");
		Ok(())
	}

	/// Begins a segment, or continues it where it was left.
	fn begin(&self, epoch: &EpochView, number: u8, segment_seed: Hash) -> Result<Segment, StoreError> {
		let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
		let (format, model_seed, index) = (epoch.format, epoch.model_seed, epoch.index);
		let record = SegmentRecord { format, model_seed, segment_seed, started: now.as_millis() as u64 };
		let store = &self.parts.store;
		let record =
			store.write_blocking(Durability::Now, move |tx| sprint::begin_segment(tx, index, number, &record))?;
		let leaves = store.read(|tx| sprint::leaves(tx, index, number, LANE))?;
		let (format, written) = (record.format, leaves.len());
		tracing::info!(?format, leaves = written, "segment begins");
		Ok(Segment { epoch: index, number, record, leaves, written })
	}

	/// Computes leaves until the segment's end. Returns `None` if the segment was left before: the worker stops or is
	/// outdated, or the chain has the segment with another seed.
	fn compute(&mut self, mut segment: Segment, is_over: bool) -> Result<Option<Segment>, SprintError> {
		let Some((_, prover)) = self.model.as_mut() else { return Ok(None) };
		let (follower, store) = (&self.parts.follower, &self.parts.store);
		let (seed, host) = (SegmentSeed(segment.record.segment_seed), *follower.host());
		let pace = self.parts.conduct.pace(self.parts.pace);
		let (start, first) = (Instant::now(), segment.leaves.len());
		let (mut last_write, mut is_over) = (Instant::now(), is_over);
		while !is_over {
			let Some(snapshot) = follower.snapshot() else { return Ok(None) };
			if self.stop.load(Ordering::Relaxed) || snapshot.is_outdated() {
				// The segment continues if the worker is started again, or updated, in time.
				segment.write(store)?;
				return Ok(None);
			}
			if !segment.is_current(&snapshot.epoch) {
				tracing::warn!("the chain abandoned this segment's seed; its leaves are dropped");
				return Ok(None);
			}
			is_over = self::is_over(&snapshot.epoch, snapshot.block, segment.number);
			if is_over {
				break;
			}
			let (done, elapsed) = (segment.leaves.len() as u64, since(segment.record.started));
			let free = pace.allowed(elapsed).saturating_sub(done).min(prover.batch().max(1) as u64);
			if free == 0 {
				std::thread::sleep(pace.wait(done, elapsed).clamp(Duration::from_millis(1), IDLE));
			} else {
				let id = |index| LeafId { host, epoch: segment.epoch, segment: segment.number, lane: LANE, index };
				let ids: Vec<LeafId> = (done..done.saturating_add(free)).map(id).collect();
				let hashes = prover.leaves(&seed, &ids)?;
				metrics::counter!("gonka_worker_sprint_leaves_total").increment(hashes.len() as u64);
				segment.leaves.extend(hashes);
			}
			if last_write.elapsed() >= WRITE_INTERVAL {
				segment.write(store)?;
				last_write = Instant::now();
			}
		}
		segment.write(store)?;
		let computed = segment.leaves.len().saturating_sub(first);
		let speed = computed as f64 / start.elapsed().as_secs_f64().max(1e-3);
		metrics::gauge!("gonka_worker_sprint_leaves_per_second").set(speed);
		tracing::info!(leaves = segment.leaves.len(), leaves_per_second = speed, "segment over");
		Ok(Some(segment))
	}

	/// Signs the segment's commitment and stores it.
	fn commit(&mut self, segment: Segment) -> Result<(), SprintError> {
		if segment.leaves.is_empty() {
			self.empty = Some((segment.epoch, segment.number));
			tracing::warn!("no leaf was computed: there is nothing to commit to");
			return Ok(());
		}
		let genesis = self.parts.follower.chain().genesis();
		let commitment = commitment(*self.parts.follower.host(), segment.epoch, segment.number, segment.leaves)?;
		let signature = keys::sign(&self.parts.key, &signing_payload(domain::COMMITMENT, &genesis, &commitment));
		let stored = StoredCommitment { commitment, signature, included: false };
		self.parts.store.write_blocking(Durability::Now, move |tx| sprint::commit(tx, &stored))?;
		tracing::info!(root = hex::encode(commitment.commitment.root), "commitment signed");
		self.parts.signed.notify_one();
		Ok(())
	}
}

/// Returns the commitment over the leaves of a host with one lane.
pub fn commitment(
	host: Hash,
	epoch: EpochIndex,
	segment: u8,
	leaves: Vec<Hash>,
) -> Result<SegmentCommitment, LaneError> {
	let tree = MerkleTree::new(leaves);
	let lanes = Lanes::new(&[LaneCommitment { lane: LANE, count: tree.count(), root: tree.root() }])?;
	Ok(SegmentCommitment { host, epoch, segment, commitment: lanes.commitment() })
}

/// Returns whether the best block is past the segment's last block.
fn is_over(epoch: &EpochView, block: u32, segment: u8) -> bool {
	let end = epoch.start_of(segment).map(|start| start.saturating_add(epoch.schedule.segment));
	end.is_none_or(|end| block.saturating_sub(epoch.start) >= end)
}

/// Returns the time since `started`, in milliseconds since 1970.
fn since(started: u64) -> Duration {
	let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
	now.saturating_sub(Duration::from_millis(started))
}

/// Lowers the priority of this thread, and of the threads that it will start.
fn lower_priority() {
	// SAFETY: setpriority takes plain numbers; 0 is the calling thread.
	let failed = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0;
	if failed {
		tracing::debug!("cannot lower the priority of the sprint's thread");
	}
}
