//! Recomputed leaves and traces.
//!
//! The sprint's thread recomputes leaves of the running epoch, since it has the model. Traces are rare and need the
//! reference's model: it is expanded for the first trace and dropped when no claim is open. The model of P400 takes
//! 440 MB meanwhile. Some traces are computed at the same time: accusations may come in floods.

use crate::sprint::{
	self, Checked, ProverError, Result,
	queue::{JobQueue, ModelSource},
};
use gonka_primitives::Hash;
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, Trace};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
	sync::{Mutex, Semaphore},
	time::timeout,
};

/// Maximum number of traces in memory. A trace of P400 takes 100 MB.
const MAX_TRACES: usize = 8;
/// Maximum number of traces that are computed at the same time, each on one core.
const MAX_PARALLEL: usize = 4;
/// Maximum time for which an accusation waits for the sprint's thread.
const SOON: Duration = Duration::from_secs(2);

/// Model, seed of the segment and leaf of a trace.
type TraceKey = (ModelSource, Hash, LeafId);

/// Recomputes what other hosts claim.
pub struct Oracle {
	queue: Option<JobQueue>,
	threads: usize,
	/// One permit for each trace that is being computed.
	computing: Semaphore,
	model: Mutex<Option<(ModelSource, Arc<Model>)>>,
	/// Traces, those used last first.
	traces: Mutex<VecDeque<(TraceKey, Arc<Trace>)>>,
}

impl Oracle {
	/// Makes an oracle. Without `queue`, the reference recomputes all leaves.
	pub fn new(queue: Option<JobQueue>) -> Self {
		let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
		let computing = Semaphore::new(threads.min(MAX_PARALLEL));
		Self { queue, threads, computing, model: Mutex::default(), traces: Mutex::default() }
	}

	/// Returns the number of traces that are computed at the same time.
	pub fn parallel(&self) -> usize {
		self.threads.min(MAX_PARALLEL)
	}

	/// Recomputes leaves of one segment, with their digests after `layer`.
	pub async fn check(&self, source: ModelSource, seed: Hash, ids: Vec<LeafId>, layer: u16) -> Result<Vec<Checked>> {
		let seed = SegmentSeed(seed);
		if let Some(queue) = &self.queue {
			return queue.check(source, seed, ids, layer).await;
		}
		let (model, threads) = (self.model(source).await?, self.threads);
		blocking(move || sprint::check(&model, &seed, &ids, layer, threads)).await?
	}

	/// Returns a leaf's hash, if the sprint's thread recomputes it soon. The thread takes no job while it has a segment to
	/// compute, which may last longer than an accusation's term.
	pub async fn leaf_soon(&self, source: ModelSource, seed: Hash, id: LeafId) -> Option<Hash> {
		let job = self.queue.as_ref()?.check(source, SegmentSeed(seed), vec![id], 0);
		let checked = timeout(SOON, job).await.ok()?.ok()?;
		checked.first().map(|checked| checked.leaf)
	}

	/// Computes the whole trace of a leaf.
	pub async fn trace(&self, source: ModelSource, seed: Hash, id: LeafId) -> Result<Arc<Trace>> {
		// Nobody closes the semaphore.
		let _permit = self.computing.acquire().await.ok();
		let key = (source, seed, id);
		if let Some(trace) = self.known(&key).await {
			return Ok(trace);
		}
		let model = self.model(source).await?;
		let trace = blocking(move || Trace::new(&model, &id.tokens(&SegmentSeed(seed), model.format()))).await??;
		let trace = Arc::new(trace);
		let mut traces = self.traces.lock().await;
		traces.push_front((key, trace.clone()));
		traces.truncate(MAX_TRACES);
		Ok(trace)
	}

	/// Returns a trace in memory.
	async fn known(&self, key: &TraceKey) -> Option<Arc<Trace>> {
		let mut traces = self.traces.lock().await;
		let place = traces.iter().position(|(of, _)| of == key)?;
		let (key, trace) = traces.remove(place)?;
		traces.push_front((key, trace.clone()));
		Some(trace)
	}

	/// Drops from memory what only claims need.
	pub async fn forget(&self) {
		self.traces.lock().await.clear();
		if self.queue.is_some() {
			*self.model.lock().await = None;
		}
	}

	async fn model(&self, source: ModelSource) -> Result<Arc<Model>> {
		let mut known = self.model.lock().await;
		if let Some((_, model)) = known.as_ref().filter(|(of, _)| *of == source) {
			return Ok(model.clone());
		}
		// The old model is dropped first: memory may not suffice for two.
		*known = None;
		let ((seed, format), threads) = (source, self.threads);
		let model = blocking(move || Model::new_parallel(&ModelSeed(seed), format, threads)).await?;
		let model = Arc::new(model);
		*known = Some((source, model.clone()));
		Ok(model)
	}
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
	tokio::task::spawn_blocking(work).await.map_err(|_| ProverError::Panicked)
}
