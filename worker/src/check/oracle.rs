//! Leaves and traces recomputed.
//!
//! Leaves of the running epoch go to the sprint's thread, which has the model. Traces are rare and need the reference's
//! model: it is expanded when one is wanted and forgotten when no claim is open, which is worth P400's 440 MB meanwhile.

use crate::sprint::{
	self, Checked,
	desk::{Basis, Desk},
};
use gonka_primitives::Hash;
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, Trace};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::Mutex;

/// Traces in memory: 100 MB each, of P400.
const TRACES: usize = 2;

/// Recomputes what others claim.
pub struct Oracle {
	desk: Option<Desk>,
	threads: usize,
	memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
	model: Option<(Basis, Arc<Model>)>,
	/// The latest in front.
	traces: VecDeque<((Basis, Hash, LeafId), Arc<Trace>)>,
}

impl Oracle {
	/// Without a desk everything is recomputed by the reference.
	pub fn new(desk: Option<Desk>) -> Self {
		let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
		Self { desk, threads, memory: Mutex::default() }
	}

	/// Hashes of leaves of one segment, with their digests after `layer`.
	pub async fn check(&self, basis: Basis, seed: Hash, ids: Vec<LeafId>, layer: u16) -> Result<Vec<Checked>, String> {
		let seed = SegmentSeed(seed);
		if let Some(desk) = &self.desk {
			return desk.check(basis, seed, ids, layer).await;
		}
		let (model, threads) = (self.model(&mut *self.memory.lock().await, basis).await?, self.threads);
		blocking(move || sprint::check(&model, &seed, &ids, layer, threads)).await?
	}

	/// The whole computation of a leaf.
	pub async fn trace(&self, basis: Basis, seed: Hash, id: LeafId) -> Result<Arc<Trace>, String> {
		let mut memory = self.memory.lock().await;
		let key = (basis, seed, id);
		if let Some((_, trace)) = memory.traces.iter().find(|(of, _)| *of == key) {
			return Ok(trace.clone());
		}
		let model = self.model(&mut memory, basis).await?;
		let trace = blocking(move || Trace::new(&model, &id.tokens(&SegmentSeed(seed), model.profile()))).await?;
		let trace = Arc::new(trace.map_err(|error| error.to_string())?);
		memory.traces.push_front((key, trace.clone()));
		memory.traces.truncate(TRACES);
		Ok(trace)
	}

	/// Forgets what only claims need.
	pub async fn forget(&self) {
		let mut memory = self.memory.lock().await;
		memory.traces.clear();
		if self.desk.is_some() {
			memory.model = None;
		}
	}

	async fn model(&self, memory: &mut Memory, basis: Basis) -> Result<Arc<Model>, String> {
		if let Some((_, model)) = memory.model.as_ref().filter(|(of, _)| *of == basis) {
			return Ok(model.clone());
		}
		// The old one first: two may not fit.
		memory.model = None;
		let ((seed, profile), threads) = (basis, self.threads);
		let model = blocking(move || Model::new_parallel(&ModelSeed(seed), profile, threads)).await?;
		let model = Arc::new(model);
		memory.model = Some((basis, model.clone()));
		Ok(model)
	}
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
	tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
