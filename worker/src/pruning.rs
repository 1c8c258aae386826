//! The task that deletes old entries of the store, which no host can request any more. It runs once an epoch.

use crate::{
	chain::{Follower, Snapshot},
	settlement::KEPT_EPOCHS,
	store::{Durability, Result, Store, check, evidence, findings, market, seen, settlements, sprint},
};
use gonka_primitives::{ChannelId, EpochIndex};
use std::collections::BTreeSet;

/// Number of windows for which settlements stay in the store.
const KEPT_WINDOWS: u32 = 1000;

/// Minimum number of windows for which evidence stays in the store: a case may draw from settlements of 8 windows, and an
/// appeal against it is over within 18 more.
const EVIDENCE_WINDOWS: u32 = 26;

/// Deletes old entries of the store.
pub struct Pruner {
	follower: Follower,
	store: Store,
	/// The last epoch in which it deleted.
	pruned: Option<EpochIndex>,
	/// Stored channels that were not on chain then. Their receipts are money, so they are deleted only if they are absent
	/// an epoch later, too.
	absent: BTreeSet<ChannelId>,
}

impl Pruner {
	/// Makes the task for a store.
	pub fn new(follower: Follower, store: Store) -> Self {
		Self { follower, store, pruned: None, absent: BTreeSet::new() }
	}

	/// Runs until the chain is no longer followed.
	pub async fn run(mut self) {
		let mut snapshots = self.follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			if let Err(error) = self.step(&snapshot).await {
				tracing::error!(%error, "cannot delete old entries; trying again in the next epoch");
			}
		}
	}

	/// Notes the block, and deletes with the first one of an epoch. A node that is still syncing lacks channels that are on
	/// chain, so nothing is deleted before it has caught up.
	async fn step(&mut self, snapshot: &Snapshot) -> Result<()> {
		let block = snapshot.epoch.block;
		if self.store.write(Durability::Later, move |tx| seen::note(tx, block)).await? {
			tracing::debug!(block, "the node is behind the blocks that this worker has seen");
			return Ok(());
		}
		if self.pruned.replace(snapshot.epoch.index) == Some(snapshot.epoch.index) {
			return Ok(());
		}
		self.prune(snapshot).await
	}

	async fn prune(&mut self, snapshot: &Snapshot) -> Result<()> {
		let absent = self.absent_channels(snapshot).await?;
		let closed: Vec<_> = absent.intersection(&self.absent).copied().collect();
		self.absent = absent;
		let oldest = snapshot.epoch.index.saturating_sub(KEPT_EPOCHS);
		let windows = EVIDENCE_WINDOWS.saturating_mul(snapshot.market.window);
		let epochs = windows.div_ceil(snapshot.epoch.schedule.length.max(1)).max(KEPT_EPOCHS);
		let oldest_evidence = snapshot.epoch.index.saturating_sub(epochs);
		let window = snapshot.block.checked_div(snapshot.market.window).unwrap_or(0).saturating_sub(KEPT_WINDOWS);
		let pruned = self.store.write(Durability::Later, move |tx| {
			let mut receipts = Vec::new();
			for channel in closed {
				receipts.append(&mut market::forget(tx, channel)?);
			}
			if !receipts.is_empty() {
				evidence::forget(tx, &receipts)?;
			}
			sprint::prune(tx, oldest)?;
			check::prune(tx, oldest)?;
			evidence::prune(tx, oldest_evidence)?;
			findings::prune(tx, oldest)?;
			settlements::prune(tx, window)?;
			market::prune_settled(tx, oldest)
		});
		let receipts = pruned.await?;
		if receipts > 0 {
			tracing::debug!(receipts, "deleted settled receipts of old epochs");
		}
		Ok(())
	}

	/// Returns the stored channels that are no longer on chain.
	async fn absent_channels(&self, snapshot: &Snapshot) -> Result<BTreeSet<ChannelId>> {
		let mut absent = BTreeSet::new();
		for id in self.store.read(market::channels)? {
			if !snapshot.channels.contains_key(&id) && matches!(self.follower.current_channel(id).await, Ok(None)) {
				absent.insert(id);
			}
		}
		Ok(absent)
	}
}
