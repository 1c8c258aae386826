//! Leaves of other hosts that the sprint's thread recomputes: it has the epoch's model, and is idle when there is
//! something to check.

use super::{Checked, Prover, ProverError, Result};
use gonka_primitives::Hash;
use gonka_sprint::{LeafId, SegmentSeed, SprintFormat};
use std::time::Duration;
use tokio::{
	sync::{mpsc, oneshot},
	time::timeout,
};

/// Maximum number of waiting jobs.
const MAX_WAITING: usize = 8;
/// Maximum time from queueing a job to its result: the sprint's own leaves come first.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Seed and format from which a model is expanded.
pub type ModelSource = (Hash, SprintFormat);

/// Leaves to recompute.
pub struct Job {
	source: ModelSource,
	seed: SegmentSeed,
	ids: Vec<LeafId>,
	layer: u16,
	/// Results so far.
	checked: Vec<Checked>,
	result: oneshot::Sender<Result<Vec<Checked>>>,
}

/// The queue's side for callers; cheap to clone.
#[derive(Clone)]
pub struct JobQueue(mpsc::Sender<Job>);

/// The queue's side for the sprint's thread.
pub type Jobs = mpsc::Receiver<Job>;

/// Makes a queue and returns both of its sides.
pub fn queue() -> (JobQueue, Jobs) {
	let (sender, jobs) = mpsc::channel(MAX_WAITING);
	(JobQueue(sender), jobs)
}

impl JobQueue {
	/// Recomputes leaves with the model of `source`.
	///
	/// # Errors
	/// [`ProverError::OtherModel`] if the running epoch has another model.
	pub async fn check(
		&self,
		source: ModelSource,
		seed: SegmentSeed,
		ids: Vec<LeafId>,
		layer: u16,
	) -> Result<Vec<Checked>> {
		let (result, receiver) = oneshot::channel();
		let job = Job { source, seed, ids, layer, checked: Vec::new(), result };
		let done = async {
			self.0.send(job).await.map_err(|_| ProverError::Stopped)?;
			receiver.await.map_err(|_| ProverError::Stopped)?
		};
		timeout(TIMEOUT, done).await.unwrap_or(Err(ProverError::Busy))
	}
}

impl Job {
	/// Computes a part of the job, of the size that suits the prover, whose model is that of `source`. Returns the job if
	/// leaves are left, and `None` if it is done or its caller no longer waits.
	pub fn work(mut self, source: &ModelSource, prover: &mut dyn Prover) -> Option<Self> {
		if self.result.is_closed() {
			return None;
		}
		let rest = self.ids.get(self.checked.len()..).unwrap_or_default();
		let part = rest.get(..prover.batch().clamp(1, rest.len().max(1))).unwrap_or_default();
		let computed = if self.source == *source {
			prover.check(&self.seed, part, self.layer)
		} else {
			Err(ProverError::OtherModel)
		};
		let result = match computed {
			Ok(checked) => {
				self.checked.extend(checked);
				if self.checked.len() < self.ids.len() {
					return Some(self);
				}
				Ok(self.checked)
			},
			Err(error) => Err(error),
		};
		// The send fails if the caller no longer waits.
		let _ = self.result.send(result);
		None
	}
}
