//! What the gateway needs of the chain, as a trait: tests run it against a market of their own.

use futures::StreamExt;
use gonka_client::chain::Chain;
use gonka_primitives::{
	AccountId, Balance, BlockNumber, ChannelId, Hash, PublicKey,
	views::{ChannelView, HostView, MarketView, ModelView},
};
use std::future::Future;
use subxt_signer::sr25519::Keypair;
use tokio::sync::watch;

/// Why the chain did not answer, for people.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ChainError(pub String);

type Answer<T> = Result<T, ChainError>;

/// The chain as the gateway sees it. Nothing of this is called while a request is served.
pub trait ChainView: Clone + Send + Sync + 'static {
	/// The genesis block's hash.
	fn genesis(&self) -> Hash;
	/// The best block's number; changes with every new best block.
	fn blocks(&self) -> watch::Receiver<BlockNumber>;
	/// The rules of the market.
	fn market(&self) -> impl Future<Output = Answer<MarketView>> + Send;
	/// All registered models.
	fn models(&self) -> impl Future<Output = Answer<Vec<ModelView>>> + Send;
	/// All registered hosts.
	fn hosts(&self) -> impl Future<Output = Answer<Vec<HostView>>> + Send;
	/// The channels of a developer.
	fn channels(&self, developer: AccountId) -> impl Future<Output = Answer<Vec<ChannelView>>> + Send;
	/// Base units that an account can spend.
	fn free_balance(&self, who: AccountId) -> impl Future<Output = Answer<Balance>> + Send;
	/// Opens a channel to each host with that deposit in base units; returns once that is in a best block.
	fn open_channels(
		&self,
		developer: &Keypair,
		gateway: PublicKey,
		deposits: Vec<(AccountId, Balance)>,
	) -> impl Future<Output = Answer<Vec<ChannelId>>> + Send;
	/// Pays that many base units into each channel; returns once that is in a best block.
	fn top_up(
		&self,
		developer: &Keypair,
		amounts: Vec<(ChannelId, Balance)>,
	) -> impl Future<Output = Answer<()>> + Send;
}

/// A connection to a node.
#[derive(Clone)]
pub struct NodeChain {
	chain: Chain,
	blocks: watch::Receiver<BlockNumber>,
}

impl NodeChain {
	/// Connects to a node's WebSocket endpoint and follows its best blocks for ever.
	pub async fn connect(url: &str) -> Answer<Self> {
		let chain = Chain::connect(url).await.map_err(failure)?;
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

fn failure(error: impl std::fmt::Display) -> ChainError {
	ChainError(error.to_string())
}

impl ChainView for NodeChain {
	fn genesis(&self) -> Hash {
		self.chain.genesis()
	}

	fn blocks(&self) -> watch::Receiver<BlockNumber> {
		self.blocks.clone()
	}

	async fn market(&self) -> Answer<MarketView> {
		self.chain.market().await.map_err(failure)
	}

	async fn models(&self) -> Answer<Vec<ModelView>> {
		self.chain.models().await.map_err(failure)
	}

	async fn hosts(&self) -> Answer<Vec<HostView>> {
		self.chain.hosts().await.map_err(failure)
	}

	async fn channels(&self, developer: AccountId) -> Answer<Vec<ChannelView>> {
		self.chain.channels(&developer).await.map_err(failure)
	}

	async fn free_balance(&self, who: AccountId) -> Answer<Balance> {
		self.chain.free_balance(&who).await.map_err(failure)
	}

	async fn open_channels(
		&self,
		developer: &Keypair,
		gateway: PublicKey,
		deposits: Vec<(AccountId, Balance)>,
	) -> Answer<Vec<ChannelId>> {
		self.chain.open_channels(developer, gateway, deposits).await.map_err(failure)
	}

	async fn top_up(&self, developer: &Keypair, amounts: Vec<(ChannelId, Balance)>) -> Answer<()> {
		self.chain.top_up(developer, amounts).await.map_err(failure)
	}
}
