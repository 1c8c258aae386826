//! The task that keeps a snapshot of the best block.

use super::{ChainApi, ChainError, Result, Snapshot};
use futures::{FutureExt, StreamExt};
use gonka_primitives::{AccountId, BlockNumber, ChannelId, views::ChannelView};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::{Mutex, watch};

/// Maximum number of channels looked up within one block. Beyond it, a channel that the snapshot lacks counts as
/// unknown, so that envelopes with invented channels cannot flood the node.
const MAX_LOOK_UPS: usize = 256;
/// Pause before another subscription when the stream of blocks ended.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

/// The chain with a snapshot of its best block; cheap to clone.
#[derive(Clone)]
pub struct Follower {
	chain: Arc<dyn ChainApi>,
	host: AccountId,
	snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
	look_ups: Arc<Mutex<LookUps>>,
}

/// Channels that the snapshot lacks, as the chain had them in a block.
#[derive(Default)]
struct LookUps {
	block: BlockNumber,
	channels: HashMap<ChannelId, Option<ChannelView>>,
}

impl Follower {
	/// Starts to follow the chain for `host`. The task ends when all clones of the follower are dropped.
	pub fn start(chain: Arc<dyn ChainApi>, host: AccountId) -> Self {
		let (sender, snapshots) = watch::channel(None);
		tokio::spawn(follow(chain.clone(), host, sender));
		Self { chain, host, snapshots, look_ups: Arc::default() }
	}

	/// Returns the chain itself.
	pub fn chain(&self) -> &Arc<dyn ChainApi> {
		&self.chain
	}

	/// Returns the account of this worker's host.
	pub fn host(&self) -> &AccountId {
		&self.host
	}

	/// Returns the latest snapshot; `None` before the first.
	pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
		self.snapshots.borrow().clone()
	}

	/// Subscribes to the snapshots.
	pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
		self.snapshots.clone()
	}

	/// Waits for the first snapshot.
	pub async fn first(&self) -> Result<Arc<Snapshot>> {
		let mut snapshots = self.snapshots.clone();
		let first = snapshots.wait_for(Option::is_some).await.ok().and_then(|snapshot| snapshot.clone());
		first.ok_or(ChainError::Stopped)
	}

	/// Returns a channel that pays this host. A channel that the snapshot lacks is looked up, once a block.
	pub async fn channel(&self, id: ChannelId) -> Result<Option<ChannelView>> {
		let Some(snapshot) = self.snapshot() else { return Ok(None) };
		if let Some(channel) = snapshot.channels.get(&id) {
			return Ok(Some(channel.clone()));
		}
		let mut look_ups = self.look_ups.lock().await;
		if look_ups.block != snapshot.block {
			*look_ups = LookUps { block: snapshot.block, channels: HashMap::new() };
		}
		if let Some(channel) = look_ups.channels.get(&id) {
			return Ok(channel.clone());
		}
		if look_ups.channels.len() >= MAX_LOOK_UPS {
			return Ok(None);
		}
		let channel = self.current_channel(id).await?;
		look_ups.channels.insert(id, channel.clone());
		Ok(channel)
	}

	/// Reads a channel that pays this host from the chain, past the snapshot.
	pub async fn current_channel(&self, id: ChannelId) -> Result<Option<ChannelView>> {
		Ok(self.chain.channel(id).await?.filter(|channel| channel.host == self.host))
	}
}

async fn follow(chain: Arc<dyn ChainApi>, host: AccountId, sender: watch::Sender<Option<Arc<Snapshot>>>) {
	let mut blocks = chain.best_blocks().await;
	loop {
		let next = tokio::select! {
			next = blocks.next() => next,
			() = sender.closed() => return,
		};
		let Some(mut block) = next else {
			tracing::warn!("the stream of blocks ended; subscribing again");
			tokio::time::sleep(RESUBSCRIBE_PAUSE).await;
			blocks = chain.best_blocks().await;
			continue;
		};
		// If several blocks have come, only the newest is read.
		while let Some(Some(newer)) = blocks.next().now_or_never() {
			block = newer;
		}
		let before = sender.borrow().clone();
		match Snapshot::read(&*chain, &host, block, before.as_deref()).await {
			Ok(snapshot) => {
				metrics::gauge!("gonka_worker_best_block").set(f64::from(snapshot.block));
				sender.send_replace(Some(Arc::new(snapshot)));
			},
			Err(error) => tracing::warn!(block, %error, "cannot read the chain's state; keeping the previous one"),
		}
	}
}
