//! Recomputed leaves and traces.
//!
//! The sprint's thread recomputes leaves of the running epoch, since it has the model. Traces are rare and need the
//! reference's model: it is expanded for the first trace and dropped when no claim is open. The model of P400 takes
//! 440 MB meanwhile.

use crate::sprint::{
	self, Checked, ProverError, Result,
	queue::{JobQueue, ModelSource},
};
use gonka_primitives::Hash;
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, Trace};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::Mutex;

/// Maximum number of traces in memory. A trace of P400 takes 100 MB.
const MAX_TRACES: usize = 2;

/// Recomputes what other hosts claim.
pub struct Oracle {
	queue: Option<JobQueue>,
	threads: usize,
	cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
	model: Option<(ModelSource, Arc<Model>)>,
	/// Traces, the latest first.
	traces: VecDeque<((ModelSource, Hash, LeafId), Arc<Trace>)>,
}

impl Oracle {
	/// Makes an oracle. Without `queue`, the reference recomputes all leaves.
	pub fn new(queue: Option<JobQueue>) -> Self {
		let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
		Self { queue, threads, cache: Mutex::default() }
	}

	/// Recomputes leaves of one segment, with their digests after `layer`.
	pub async fn check(&self, source: ModelSource, seed: Hash, ids: Vec<LeafId>, layer: u16) -> Result<Vec<Checked>> {
		let seed = SegmentSeed(seed);
		if let Some(queue) = &self.queue {
			return queue.check(source, seed, ids, layer).await;
		}
		let (model, threads) = (self.model(&mut *self.cache.lock().await, source).await?, self.threads);
		blocking(move || sprint::check(&model, &seed, &ids, layer, threads)).await?
	}

	/// Computes the whole trace of a leaf.
	pub async fn trace(&self, source: ModelSource, seed: Hash, id: LeafId) -> Result<Arc<Trace>> {
		let mut cache = self.cache.lock().await;
		let key = (source, seed, id);
		if let Some((_, trace)) = cache.traces.iter().find(|(of, _)| *of == key) {
			return Ok(trace.clone());
		}
		let model = self.model(&mut cache, source).await?;
		let trace = blocking(move || Trace::new(&model, &id.tokens(&SegmentSeed(seed), model.format()))).await??;
		let trace = Arc::new(trace);
		cache.traces.push_front((key, trace.clone()));
		cache.traces.truncate(MAX_TRACES);
		Ok(trace)
	}

	/// Drops from memory what only claims need.
	pub async fn forget(&self) {
		let mut cache = self.cache.lock().await;
		cache.traces.clear();
		if self.queue.is_some() {
			cache.model = None;
		}
	}

	async fn model(&self, cache: &mut Cache, source: ModelSource) -> Result<Arc<Model>> {
		if let Some((_, model)) = cache.model.as_ref().filter(|(of, _)| *of == source) {
			return Ok(model.clone());
		}
		// The old model is dropped first: memory may not suffice for two.
		cache.model = None;
		let ((seed, format), threads) = (source, self.threads);
		let model = blocking(move || Model::new_parallel(&ModelSeed(seed), format, threads)).await?;
		let model = Arc::new(model);
		cache.model = Some((source, model.clone()));
		Ok(model)
	}
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
	tokio::task::spawn_blocking(work).await.map_err(|_| ProverError::Panicked)
}
