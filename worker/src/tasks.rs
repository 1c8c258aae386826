//! Work that is done block by block: a step with every block, and tasks that may take longer than one.

use crate::chain::{Follower, Snapshot};
use futures::future::BoxFuture;
use gonka_primitives::{Hash, hashing::blake2_256};
use std::collections::HashMap;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{Instrument, Span};

/// An error that tells whether to try again.
pub trait TaskError: std::error::Error + Send + 'static {
	/// Returns whether the same attempt may succeed with a later block. If not, the operator has to act.
	fn is_temporary(&self) -> bool;
}

/// A part of the worker that acts with every block.
pub trait Step: Send + 'static {
	/// Name of the part, for logs.
	const NAME: &'static str;
	/// Error of a step.
	type Error: TaskError;

	/// Does what is due at a block. The rest is due with the next block.
	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), Self::Error>>;
}

/// Runs a part's steps until the chain is no longer followed.
pub async fn follow<S: Step>(follower: Follower, mut part: S) {
	let mut snapshots = follower.subscribe();
	drop(follower);
	while snapshots.changed().await.is_ok() {
		let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
		if let Err(error) = part.step(&snapshot).await {
			log(&error, S::NAME);
		}
	}
}

fn log(error: &impl TaskError, what: &str) {
	if error.is_temporary() {
		tracing::warn!(%error, "{what} failed; trying again later");
	} else {
		tracing::error!(%error, "{what} failed, and is not likely to succeed later");
	}
}

/// Returns a name for something that is done once.
pub fn slot(what: &str, of: &impl codec::Encode) -> Hash {
	of.using_encoded(|of| blake2_256(&[b"worker/slot/", what.as_bytes(), of]))
}

/// Maximum number of running tasks in one [`Tasks`], unless it is made with another.
const MAX_TASKS: usize = 64;

/// Running tasks, at most one for each slot. Dropping it aborts them.
pub struct Tasks {
	max: usize,
	running: HashMap<Hash, AbortHandle>,
	set: JoinSet<()>,
}

impl Default for Tasks {
	fn default() -> Self {
		Self::with_max(MAX_TASKS)
	}
}

impl Tasks {
	/// Makes a list of at most `max` running tasks.
	pub fn with_max(max: usize) -> Self {
		Self { max, running: HashMap::new(), set: JoinSet::new() }
	}

	/// Starts a task in `span`, unless the slot has a running one or there are too many. The caller tries again with the
	/// next block. `what` names the task in logs.
	pub fn start<E: TaskError>(
		&mut self,
		slot: Hash,
		span: Span,
		what: &'static str,
		task: impl Future<Output = Result<(), E>> + Send + 'static,
	) {
		while self.set.try_join_next().is_some() {}
		self.running.retain(|_, task| !task.is_finished());
		if self.running.len() >= self.max || self.running.contains_key(&slot) {
			return;
		}
		let logged = async move {
			if let Err(error) = task.await {
				log(&error, what);
			}
		};
		let task = self.set.spawn(logged.instrument(span));
		self.running.insert(slot, task);
	}
}
