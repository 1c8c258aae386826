//! The task that gets signed commitments onto the chain.

use crate::{
	chain::{Follower, Snapshot},
	store::{
		Durability, Result, Store,
		sprint::{self, StoredCommitment},
	},
};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{
	EpochIndex,
	hashing::{domain, signing_payload},
};
use std::{
	collections::HashSet,
	sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;
use tracing::Instrument;

/// Sends commitments that are signed and not on chain: with every block, and whenever one was signed. A reorganisation may
/// lose one that was there, so that all are compared with the chain while it takes them.
#[derive(Clone)]
pub struct Committer {
	follower: Follower,
	store: Store,
	key: Keypair,
	signed: Arc<Notify>,
	sending: Arc<Mutex<HashSet<(EpochIndex, u8)>>>,
}

impl Committer {
	/// Makes the task. `key` is the worker key; `signed` is notified when a commitment was stored.
	pub fn new(follower: Follower, store: Store, key: Keypair, signed: Arc<Notify>) -> Self {
		Self { follower, store, key, signed, sending: Arc::default() }
	}

	/// Sends until the chain is no longer followed.
	pub async fn run(self) {
		let mut snapshots = self.follower.subscribe();
		loop {
			tokio::select! {
				changed = snapshots.changed() => if changed.is_err() { return },
				() = self.signed.notified() => {},
			}
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			match self.due(&snapshot) {
				Ok(due) => due.into_iter().for_each(|stored| self.clone().start(stored)),
				Err(error) => tracing::error!(%error, "cannot read the commitments; trying again with the next block"),
			}
		}
	}

	/// Returns the commitments of the running epoch that the chain would take in the next block if it lacked them.
	fn due(&self, snapshot: &Snapshot) -> Result<Vec<StoredCommitment>> {
		let epoch = &snapshot.epoch;
		let mut due = Vec::new();
		for (segment, seed) in (0u8..).zip(&epoch.segment_seeds) {
			if !epoch.takes_commitment_next(segment) {
				continue;
			}
			let (stored, made_from) = self.store.read(|tx| {
				Ok((sprint::commitment(tx, epoch.index, segment)?, sprint::segment(tx, epoch.index, segment)?))
			})?;
			let is_current =
				made_from.is_some_and(|record| record.model_seed == epoch.model_seed && record.segment_seed == *seed);
			match stored {
				Some(stored) if is_current => due.push(stored),
				Some(stored) if !stored.included => {
					let epoch = epoch.index;
					tracing::error!(epoch, segment, "a commitment belongs to an abandoned fork; it is not sent");
				},
				_ => {},
			}
		}
		Ok(due)
	}

	fn start(self, stored: StoredCommitment) {
		let slot = (stored.commitment.epoch, stored.commitment.segment);
		if self.sending.lock().unwrap_or_else(PoisonError::into_inner).insert(slot) {
			let span = tracing::info_span!("commitment", epoch = slot.0, segment = slot.1);
			let send = async move {
				self.send(&stored).await;
				self.sending.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
			};
			tokio::spawn(send.instrument(span));
		}
	}

	async fn send(&self, stored: &StoredCommitment) {
		let StoredCommitment { commitment, signature, .. } = *stored;
		let (epoch, segment, leaves) = (commitment.epoch, commitment.segment, commitment.commitment.count);
		let chain = self.follower.chain();
		if stored.included {
			match chain.commitments(epoch, self.follower.host()).await {
				Ok(on_chain) if !on_chain.contains(&(segment, commitment.commitment)) => {
					tracing::warn!("the chain lost the commitment; sending it again");
				},
				_ => return,
			}
		}
		// The worker key may have changed since.
		let payload = signing_payload(domain::COMMITMENT, &chain.genesis(), &commitment);
		let signature = keys::renew(&self.key, &payload, signature);
		if let Err(error) = chain.submit_commitment(commitment, signature).await {
			// The response may be lost although the commitment is on chain.
			let on_chain = chain.commitments(epoch, self.follower.host()).await.unwrap_or_default();
			if !on_chain.contains(&(segment, commitment.commitment)) {
				tracing::warn!(%error, "the commitment is not on chain; trying again while the segment takes commitments");
				return;
			}
		}
		tracing::info!(leaves, "commitment included");
		metrics::counter!("gonka_worker_commitments_total").increment(1);
		let noted = self.store.write(Durability::Later, move |tx| sprint::note_included(tx, epoch, segment)).await;
		if let Err(error) = noted {
			tracing::error!(%error, "cannot note that the commitment is included");
		}
	}
}
