//! Other work for the thread that races: it has the epoch's model, and is idle when there is something to check.

use super::{Checked, Racer};
use gonka_primitives::Hash;
use gonka_sprint::{LeafId, Profile, SegmentSeed};
use std::time::Duration;
use tokio::{
	sync::{mpsc, oneshot},
	time::timeout,
};

/// Jobs that wait at the same time.
const QUEUE: usize = 8;
/// How long a job may wait and take; the race comes first.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a model is made from.
pub type Basis = (Hash, Profile);

/// Leaves to recompute.
pub struct Job {
	basis: Basis,
	seed: SegmentSeed,
	ids: Vec<LeafId>,
	layer: u16,
	/// Those that are done.
	checked: Vec<Checked>,
	answer: oneshot::Sender<Result<Vec<Checked>, String>>,
}

/// Where jobs are handed in; cheap to clone.
#[derive(Clone)]
pub struct Desk(mpsc::Sender<Job>);

/// Where the racing thread finds them.
pub type Jobs = mpsc::Receiver<Job>;

/// A desk and its other side.
pub fn desk() -> (Desk, Jobs) {
	let (sender, jobs) = mpsc::channel(QUEUE);
	(Desk(sender), jobs)
}

impl Desk {
	/// Has leaves recomputed with the model made from `basis`. It fails if that is not the running epoch's.
	pub async fn check(
		&self,
		basis: Basis,
		seed: SegmentSeed,
		ids: Vec<LeafId>,
		layer: u16,
	) -> Result<Vec<Checked>, String> {
		let (answer, answered) = oneshot::channel();
		let job = Job { basis, seed, ids, layer, checked: Vec::new(), answer };
		let done = async {
			self.0.send(job).await.map_err(|_| "the sprint's thread has stopped")?;
			answered.await.map_err(|_| "the sprint's thread has stopped")?
		};
		timeout(PATIENCE, done).await.unwrap_or_else(|_| Err("the sprint's thread had no time".into()))
	}
}

impl Job {
	/// Does a part of the job, of the size that suits the racer, with the model made from `basis`. What is returned is to
	/// be gone on with; nothing when all is done, or nobody waits for it any more.
	pub fn work(mut self, basis: &Basis, racer: &mut dyn Racer) -> Option<Self> {
		if self.answer.is_closed() {
			return None;
		}
		let rest = self.ids.get(self.checked.len()..).unwrap_or_default();
		let part = rest.get(..racer.batch().clamp(1, rest.len().max(1))).unwrap_or_default();
		let outcome = if self.basis == *basis {
			racer.check(&self.seed, part, self.layer)
		} else {
			Err("the model is another epoch's".into())
		};
		let answer = match outcome {
			Ok(checked) => {
				self.checked.extend(checked);
				if self.checked.len() < self.ids.len() {
					return Some(self);
				}
				Ok(self.checked)
			},
			Err(error) => Err(error),
		};
		// Nobody may want it any more.
		let _ = self.answer.send(answer);
		None
	}
}
