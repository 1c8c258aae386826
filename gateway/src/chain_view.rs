//! The gateway's view of the chain, as a trait: tests implement it with a market in memory.

use futures::StreamExt;
use gonka_client::chain::{Chain, Result};
use gonka_primitives::{
	AccountId, Balance, BlockNumber, ChannelId, Hash, PublicKey,
	views::{ChannelView, HostView, MarketView, ModelView},
};
use std::future::Future;
use subxt_signer::sr25519::Keypair;
use tokio::sync::watch;

/// The queries and transactions of a gateway. Serving a request makes none of them.
pub trait ChainView: Clone + Send + Sync + 'static {
	/// The hash of the genesis block.
	fn genesis(&self) -> Hash;
	/// The number of the best block; it changes with every new one.
	fn blocks(&self) -> watch::Receiver<BlockNumber>;
	/// The rules of the market.
	fn market(&self) -> impl Future<Output = Result<MarketView>> + Send;
	/// All registered models.
	fn models(&self) -> impl Future<Output = Result<Vec<ModelView>>> + Send;
	/// All registered hosts.
	fn hosts(&self) -> impl Future<Output = Result<Vec<HostView>>> + Send;
	/// The channels of a developer.
	fn channels(&self, developer: AccountId) -> impl Future<Output = Result<Vec<ChannelView>>> + Send;
	/// Base units that an account can spend.
	fn free_balance(&self, who: AccountId) -> impl Future<Output = Result<Balance>> + Send;
	/// Opens a channel to each host with a deposit in base units. Returns the ids once a best block has them.
	fn open_channels(
		&self,
		developer: &Keypair,
		gateway: PublicKey,
		deposits: Vec<(AccountId, Balance)>,
	) -> impl Future<Output = Result<Vec<ChannelId>>> + Send;
	/// Adds base units to the deposit of each channel. Returns once a best block has it.
	fn top_up(
		&self,
		developer: &Keypair,
		amounts: Vec<(ChannelId, Balance)>,
	) -> impl Future<Output = Result<()>> + Send;
	/// Begins to close a channel. Returns once a best block has it.
	fn close_channel(&self, developer: &Keypair, channel: ChannelId) -> impl Future<Output = Result<()>> + Send;
	/// Withdraws the rest of a channel whose challenge period is over. Returns once a best block has it.
	fn withdraw(&self, developer: &Keypair, channel: ChannelId) -> impl Future<Output = Result<()>> + Send;
}

/// A connection to a node.
#[derive(Clone)]
pub struct NodeChain {
	chain: Chain,
	blocks: watch::Receiver<BlockNumber>,
}

impl NodeChain {
	/// Connects to a node's WebSocket endpoint and follows its best blocks.
	pub async fn connect(url: &str) -> Result<Self> {
		let chain = Chain::connect(url).await?;
		let (sender, blocks) = watch::channel(0);
		let follower = chain.clone();
		tokio::spawn(async move {
			let mut stream = follower.best_blocks().await;
			while let Some(block) = stream.next().await {
				if sender.send(block.number).is_err() {
					return;
				}
			}
		});
		Ok(Self { chain, blocks })
	}
}

impl ChainView for NodeChain {
	fn genesis(&self) -> Hash {
		self.chain.genesis()
	}

	fn blocks(&self) -> watch::Receiver<BlockNumber> {
		self.blocks.clone()
	}

	async fn market(&self) -> Result<MarketView> {
		self.chain.market().await
	}

	async fn models(&self) -> Result<Vec<ModelView>> {
		self.chain.models().await
	}

	async fn hosts(&self) -> Result<Vec<HostView>> {
		self.chain.hosts().await
	}

	async fn channels(&self, developer: AccountId) -> Result<Vec<ChannelView>> {
		self.chain.channels(&developer).await
	}

	async fn free_balance(&self, who: AccountId) -> Result<Balance> {
		self.chain.free_balance(&who).await
	}

	async fn open_channels(
		&self,
		developer: &Keypair,
		gateway: PublicKey,
		deposits: Vec<(AccountId, Balance)>,
	) -> Result<Vec<ChannelId>> {
		self.chain.open_channels(developer, gateway, deposits).await
	}

	async fn top_up(&self, developer: &Keypair, amounts: Vec<(ChannelId, Balance)>) -> Result<()> {
		self.chain.top_up(developer, amounts).await
	}

	async fn close_channel(&self, developer: &Keypair, channel: ChannelId) -> Result<()> {
		self.chain.close_channel(developer, channel).await
	}

	async fn withdraw(&self, developer: &Keypair, channel: ChannelId) -> Result<()> {
		self.chain.withdraw(developer, channel).await
	}
}
