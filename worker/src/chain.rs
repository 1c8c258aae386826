//! The chain as the worker sees it: a small trait, so that everything here runs in tests without a node, and a
//! snapshot that follows the best block, so that no request waits for the chain.

mod live;
mod message;

pub use live::Live;
pub use message::CheckMessage;

use crate::version::Required;
use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use gonka_primitives::{
	AccountId, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, Signature,
	host::{Commitment, Registration, SegmentCommitment},
	market::{Price, Settlement},
	sampling::{Profile, Rules, Ruling, Verdicts},
	views::{
		ChannelView, CheckView, ClaimView, EpochView, HostView, MarketView, ModelView, RequestView, SamplesView,
		SamplingCaseView, StandingView,
	},
};
use std::{
	collections::{HashMap, VecDeque},
	sync::Arc,
};
use tokio::sync::watch;

/// Why the chain did not answer, or refused: in words, and with the code if its pool refused a message.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ChainError(pub String, pub Option<u8>);

impl ChainError {
	/// A failure that says nothing about what was sent.
	pub fn other(why: impl Into<String>) -> Self {
		Self(why.into(), None)
	}
}

/// A result of the chain.
pub type Result<T> = std::result::Result<T, ChainError>;

/// What the worker asks of and sends to the chain. `submit_*` return once the extrinsic is in a best block.
pub trait ChainApi: Send + Sync + 'static {
	/// The genesis block's hash, part of everything signed.
	fn genesis(&self) -> Hash;
	/// Numbers of the best blocks, for ever.
	fn best_blocks(&self) -> BoxFuture<'_, BoxStream<'static, BlockNumber>>;
	/// The running epoch.
	fn epoch(&self) -> BoxFuture<'_, Result<EpochView>>;
	/// What governance asks of workers.
	fn required(&self) -> BoxFuture<'_, Result<Required>>;
	/// The rules of the market.
	fn market(&self) -> BoxFuture<'_, Result<MarketView>>;
	/// All registered models.
	fn models(&self) -> BoxFuture<'_, Result<Vec<ModelView>>>;
	/// A registered host.
	fn host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Option<HostView>>>;
	/// A host's commitments of an epoch, by segment.
	fn commitments<'a>(
		&'a self,
		epoch: EpochIndex,
		host: &'a AccountId,
	) -> BoxFuture<'a, Result<Vec<(u8, Commitment)>>>;
	/// What a host has to check in the running epoch, once the committees are drawn.
	fn check<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Option<CheckView>>>;
	/// All open claims.
	fn claims(&self) -> BoxFuture<'_, Result<Vec<ClaimView>>>;
	/// Requests for openings to a host in the running epoch.
	fn opening_requests<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<RequestView>>>;
	/// Why a host has the weight that it has in an epoch.
	fn standing<'a>(&'a self, epoch: EpochIndex, host: &'a AccountId) -> BoxFuture<'a, Result<Option<StandingView>>>;
	/// The samples that a checker can still answer for.
	fn samples<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Vec<SamplesView>>>;
	/// All open cases of sampled validation.
	fn sampling_cases(&self) -> BoxFuture<'_, Result<Vec<SamplingCaseView>>>;
	/// A model's calibration profile.
	fn sampling_profile(&self, model: ModelId) -> BoxFuture<'_, Result<Option<Profile>>>;
	/// The numbers of sampled validation.
	fn sampling_rules(&self) -> BoxFuture<'_, Result<Rules>>;
	/// A channel.
	fn channel(&self, channel: ChannelId) -> BoxFuture<'_, Result<Option<ChannelView>>>;
	/// All channels to a host.
	fn channels_of_host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<ChannelView>>>;
	/// Registers a host or replaces what was registered.
	fn submit_registration(&self, registration: Registration, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Commits to a segment's leaves.
	fn submit_commitment(&self, commitment: SegmentCommitment, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Settles a window.
	fn submit_settlement(&self, settlement: Settlement, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Sends a message of checks and disputes.
	fn submit_check(&self, message: CheckMessage, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Answers for samples.
	fn submit_verdicts(&self, verdicts: Verdicts, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Rules in a case.
	fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Closes a claim, or a refuter's game, in which a turn was missed.
	fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> BoxFuture<'_, Result<()>>;
}

/// Prices that an envelope may name: the current one and those of this many snapshots before it. Gateway and worker
/// do not see a new block at the same moment.
const PRICE_MEMORY: usize = 2;

/// The state of a best block, as far as the worker uses it.
#[derive(Clone, Debug)]
pub struct Snapshot {
	/// The best block's number.
	pub block: BlockNumber,
	/// The running epoch.
	pub epoch: EpochView,
	/// What governance asks of workers.
	pub required: Required,
	/// The rules of the market.
	pub market: MarketView,
	/// All registered models.
	pub models: Vec<ModelView>,
	/// The host, once registered.
	pub host: Option<HostView>,
	/// The host's channels.
	pub channels: HashMap<ChannelId, ChannelView>,
	/// Prices by model: the current ones first.
	prices: VecDeque<HashMap<ModelId, Price>>,
}

impl Snapshot {
	/// Reads everything once. `before` is the snapshot of the block before, for its prices.
	pub async fn read(
		chain: &dyn ChainApi,
		host: &AccountId,
		block: BlockNumber,
		before: Option<&Self>,
	) -> Result<Self> {
		let (epoch, required, market, models, host, channels) = futures::try_join!(
			chain.epoch(),
			chain.required(),
			chain.market(),
			chain.models(),
			chain.host(host),
			chain.channels_of_host(host)
		)?;
		let mut prices = before.map(|before| before.prices.clone()).unwrap_or_default();
		prices.push_front(models.iter().map(|model| (model.id, model.price)).collect());
		prices.truncate(PRICE_MEMORY.saturating_add(1));
		let channels = channels.into_iter().map(|channel| (channel.id, channel)).collect();
		let block = block.max(epoch.block);
		Ok(Self { block, epoch, required, market, models, host, channels, prices })
	}

	/// Whether this worker is too old to take new work.
	pub fn is_outdated(&self) -> bool {
		self.required.is_outdated(self.block)
	}

	/// Whether an envelope may name `price` for `model`.
	pub fn is_price(&self, model: ModelId, price: &Price) -> bool {
		self.prices.iter().any(|prices| prices.get(&model) == Some(price))
	}

	/// The current price of `model`.
	pub fn price(&self, model: ModelId) -> Option<Price> {
		self.prices.front().and_then(|prices| prices.get(&model)).copied()
	}
}

/// A view of the chain that is always there once it was there first; cheap to clone.
#[derive(Clone)]
pub struct Follower {
	chain: Arc<dyn ChainApi>,
	host: AccountId,
	snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
	/// What the chain answered, since this block, about channels that the snapshot lacks.
	looked_up: Arc<tokio::sync::Mutex<(BlockNumber, LookedUp)>>,
}

type LookedUp = HashMap<ChannelId, Option<ChannelView>>;

/// Most channels that are looked up within one block; beyond it, channels that the snapshot lacks are refused unasked.
const LOOK_UPS: usize = 256;

impl Follower {
	/// Starts following. The task ends when every clone of the follower is gone.
	pub fn start(chain: Arc<dyn ChainApi>, host: AccountId) -> Self {
		let (sender, snapshots) = watch::channel(None);
		tokio::spawn(follow(chain.clone(), host, sender));
		Self { chain, host, snapshots, looked_up: Arc::default() }
	}

	/// The chain itself.
	pub fn chain(&self) -> &Arc<dyn ChainApi> {
		&self.chain
	}

	/// The host this worker serves for.
	pub fn host(&self) -> &AccountId {
		&self.host
	}

	/// The latest snapshot; `None` before the first.
	pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
		self.snapshots.borrow().clone()
	}

	/// The snapshots, to wait on.
	pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
		self.snapshots.clone()
	}

	/// Waits for the first snapshot.
	pub async fn first(&self) -> Result<Arc<Snapshot>> {
		let mut snapshots = self.snapshots.clone();
		let first = snapshots.wait_for(Option::is_some).await.ok().and_then(|snapshot| snapshot.clone());
		first.ok_or_else(|| ChainError::other("the chain is no longer followed"))
	}

	/// A channel to this host. One that the snapshot lacks is looked up, once a block.
	pub async fn channel(&self, id: ChannelId) -> Result<Option<ChannelView>> {
		let Some(snapshot) = self.snapshot() else { return Ok(None) };
		if let Some(channel) = snapshot.channels.get(&id) {
			return Ok(Some(channel.clone()));
		}
		let mut looked_up = self.looked_up.lock().await;
		if looked_up.0 != snapshot.block {
			*looked_up = (snapshot.block, HashMap::new());
		}
		if let Some(channel) = looked_up.1.get(&id) {
			return Ok(channel.clone());
		}
		if looked_up.1.len() >= LOOK_UPS {
			return Ok(None);
		}
		let channel = self.fresh_channel(id).await?;
		looked_up.1.insert(id, channel.clone());
		Ok(channel)
	}

	/// A channel as the chain has it now: for when the snapshot's deposit is not enough.
	pub async fn fresh_channel(&self, id: ChannelId) -> Result<Option<ChannelView>> {
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
			tracing::warn!("the stream of blocks ended; asking for another");
			tokio::time::sleep(std::time::Duration::from_secs(1)).await;
			blocks = chain.best_blocks().await;
			continue;
		};
		// Only the newest matters when several have come.
		while let Some(Some(newer)) = futures::FutureExt::now_or_never(blocks.next()) {
			block = newer;
		}
		let before = sender.borrow().clone();
		match Snapshot::read(&*chain, &host, block, before.as_deref()).await {
			Ok(snapshot) => {
				metrics::gauge!("gonka_worker_best_block").set(f64::from(snapshot.block));
				sender.send_replace(Some(Arc::new(snapshot)));
			},
			Err(error) => tracing::warn!(block, %error, "the chain's state cannot be read; keeping the last"),
		}
	}
}
