//! Gets signed commitments onto the chain.

use crate::{
	chain::{Follower, Snapshot},
	store::{
		Durability, Store, StoreError,
		race::{self, StoredCommitment},
	},
};
use gonka_primitives::EpochIndex;
use std::{
	collections::HashSet,
	sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// Looks with every block, and when told, for commitments that are signed and not yet on chain.
#[derive(Clone)]
pub struct Committer {
	follower: Follower,
	store: Store,
	signed: Arc<Notify>,
	sending: Arc<Mutex<HashSet<(EpochIndex, u8)>>>,
}

impl Committer {
	/// `signed` is notified when a commitment was put on disk.
	pub fn new(follower: Follower, store: Store, signed: Arc<Notify>) -> Self {
		Self { follower, store, signed, sending: Arc::default() }
	}

	/// Sends for ever.
	pub async fn run(self) {
		let mut snapshots = self.follower.subscribe();
		loop {
			tokio::select! {
				changed = snapshots.changed() => if changed.is_err() { return },
				() = self.signed.notified() => {},
			}
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			match self.open(&snapshot) {
				Ok(open) => open.into_iter().for_each(|stored| self.clone().start(stored)),
				Err(error) => tracing::error!(%error, "commitments cannot be read"),
			}
		}
	}

	/// Commitments of the running epoch that the chain lacks and would take in the next block.
	pub fn open(&self, snapshot: &Snapshot) -> Result<Vec<StoredCommitment>, StoreError> {
		let epoch = &snapshot.epoch;
		let mut open = Vec::new();
		for (segment, seed) in (0u8..).zip(&epoch.segment_seeds) {
			if !epoch.takes_commitment_next(segment) {
				continue;
			}
			let (stored, made_from) = self.store.read(|tx| {
				Ok((race::commitment(tx, epoch.index, segment)?, race::segment(tx, epoch.index, segment)?))
			})?;
			let current =
				made_from.is_some_and(|record| record.model_seed == epoch.model_seed && record.segment_seed == *seed);
			match stored {
				Some(stored) if !stored.included && current => open.push(stored),
				Some(stored) if !stored.included => {
					let epoch = epoch.index;
					tracing::error!(epoch, segment, "the commitment was made on a fork that was left; it is not sent");
				},
				_ => {},
			}
		}
		Ok(open)
	}

	fn start(self, stored: StoredCommitment) {
		let slot = (stored.commitment.epoch, stored.commitment.segment);
		if self.sending.lock().unwrap_or_else(PoisonError::into_inner).insert(slot) {
			tokio::spawn(async move {
				self.send(&stored).await;
				self.sending.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
			});
		}
	}

	async fn send(&self, stored: &StoredCommitment) {
		let StoredCommitment { commitment, signature, .. } = *stored;
		let (epoch, segment, count) = (commitment.epoch, commitment.segment, commitment.commitment.count);
		let chain = self.follower.chain();
		if let Err(error) = chain.submit_commitment(commitment, signature).await {
			let on_chain = chain.commitments(epoch, self.follower.host()).await.unwrap_or_default();
			if !on_chain.contains(&(segment, commitment.commitment)) {
				tracing::warn!(epoch, segment, %error, "the commitment was not taken; trying while its time lasts");
				return;
			}
		}
		tracing::info!(epoch, segment, leaves = count, "commitment included");
		metrics::counter!("gonka_worker_commitments_total").increment(1);
		let noted = self.store.write(Durability::Later, move |tx| race::note_included(tx, epoch, segment)).await;
		if let Err(error) = noted {
			tracing::error!(%error, "the commitment's inclusion was not noted");
		}
	}
}
