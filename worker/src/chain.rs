//! The chain as the worker sees it: a small trait, so that the worker runs in tests without a node, and a snapshot that
//! follows the best block, so that no request waits for the chain.

mod error;
mod follower;
mod message;
mod node;

pub use error::ChainError;
pub use follower::Follower;
pub use message::CheckMessage;
pub use node::NodeChain;

use crate::version::RequiredVersion;
use futures::{future::BoxFuture, stream::BoxStream};
use gonka_primitives::{
	AccountId, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, Signature,
	audit::{AuditReport, AuditRules, CalibrationProfile, Ruling},
	host::{Commitment, Registration, SegmentCommitment},
	market::{Price, Settlement},
	views::{
		AssignedAuditsView, CaseView, ChannelView, CheckView, ClaimView, EpochView, HostView, MarketView, ModelView,
		RegistrationTerms, ReputationView, RequestView, StandingView,
	},
};
use std::collections::{HashMap, VecDeque};

/// Result of a request to the chain.
pub type Result<T> = std::result::Result<T, ChainError>;

/// Queries and transactions of the worker. The methods `submit_*` return once the message is in a best block.
pub trait ChainApi: Send + Sync + 'static {
	/// Returns the hash of the genesis block, which is part of everything signed.
	fn genesis(&self) -> Hash;
	/// Returns an endless stream of the best blocks' numbers.
	fn best_blocks(&self) -> BoxFuture<'_, BoxStream<'static, BlockNumber>>;
	/// Reads the running epoch.
	fn epoch(&self) -> BoxFuture<'_, Result<EpochView>>;
	/// Reads the worker version that governance requires.
	fn required(&self) -> BoxFuture<'_, Result<RequiredVersion>>;
	/// Reads the rules of the market.
	fn market(&self) -> BoxFuture<'_, Result<MarketView>>;
	/// Reads all registered models.
	fn models(&self) -> BoxFuture<'_, Result<Vec<ModelView>>>;
	/// Reads all registered hosts.
	fn hosts(&self) -> BoxFuture<'_, Result<Vec<HostView>>>;
	/// Reads a registered host.
	fn host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Option<HostView>>>;
	/// Reads a host's commitments of an epoch, by segment.
	fn commitments<'a>(
		&'a self,
		epoch: EpochIndex,
		host: &'a AccountId,
	) -> BoxFuture<'a, Result<Vec<(u8, Commitment)>>>;
	/// Reads the checking duties of a host in the running epoch; `None` before the committees are drawn.
	fn check<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Option<CheckView>>>;
	/// Reads all open claims.
	fn claims(&self) -> BoxFuture<'_, Result<Vec<ClaimView>>>;
	/// Reads the requests for openings to a host in the running epoch.
	fn opening_requests<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<RequestView>>>;
	/// Reads the weights of a host in an epoch, with the reasons for them.
	fn standing<'a>(&'a self, epoch: EpochIndex, host: &'a AccountId) -> BoxFuture<'a, Result<Option<StandingView>>>;
	/// Reads the audits on which a checker can still report.
	fn audits<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Vec<AssignedAuditsView>>>;
	/// Reads all cases and appeals of sampled validation that are heard.
	fn cases(&self) -> BoxFuture<'_, Result<Vec<CaseView>>>;
	/// Reads a host's reputation, and what is decided and heard about it.
	fn reputation<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<ReputationView>>;
	/// Reads a model's calibration profile.
	fn calibration_profile(&self, model: ModelId) -> BoxFuture<'_, Result<Option<CalibrationProfile>>>;
	/// Reads the rules of sampled validation.
	fn audit_rules(&self) -> BoxFuture<'_, Result<AuditRules>>;
	/// Reads a channel.
	fn channel(&self, channel: ChannelId) -> BoxFuture<'_, Result<Option<ChannelView>>>;
	/// Reads all channels that pay a host.
	fn channels_of_host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<ChannelView>>>;
	/// Reads what the next registration of a host needs; `None` if the epoch takes no more of it.
	fn registration_terms<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Option<RegistrationTerms>>>;
	/// Registers a host, or replaces its registration. The second signature is that of the worker key over the host's
	/// account.
	fn submit_registration(
		&self,
		registration: Registration,
		signature: Signature,
		worker_signature: Signature,
	) -> BoxFuture<'_, Result<()>>;
	/// Commits to a segment's leaves.
	fn submit_commitment(&self, commitment: SegmentCommitment, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Settles a window.
	fn submit_settlement(&self, settlement: Settlement, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Sends a message of checks and disputes.
	fn submit_check(&self, message: CheckMessage, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Reports findings of audits.
	fn submit_report(&self, report: AuditReport, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Rules in a case.
	fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> BoxFuture<'_, Result<()>>;
	/// Closes a claim, or a refuter's game, in which a turn was missed.
	fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> BoxFuture<'_, Result<()>>;
}

/// Number of earlier snapshots whose prices an envelope may still name: gateway and worker do not see a new block at the
/// same moment.
const PRICE_MEMORY: usize = 2;

/// The state of a best block, as far as the worker uses it.
#[derive(Clone, Debug)]
pub struct Snapshot {
	/// The best block's number.
	pub block: BlockNumber,
	/// The running epoch.
	pub epoch: EpochView,
	/// The worker version that governance requires.
	pub required: RequiredVersion,
	/// The rules of the market.
	pub market: MarketView,
	/// All registered models.
	pub models: Vec<ModelView>,
	/// The host, once registered.
	pub host: Option<HostView>,
	/// The host's channels.
	pub channels: HashMap<ChannelId, ChannelView>,
	/// Prices by model: those of this block first, then those of earlier snapshots.
	prices: VecDeque<HashMap<ModelId, Price>>,
}

impl Snapshot {
	/// Reads the state. `before` is the previous snapshot, for its prices.
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

	/// Returns whether this worker is too old to take new work.
	pub fn is_outdated(&self) -> bool {
		self.required.is_outdated(self.block)
	}

	/// Returns whether an envelope may name `price` for `model`.
	pub fn is_price(&self, model: ModelId, price: &Price) -> bool {
		self.prices.iter().any(|prices| prices.get(&model) == Some(price))
	}

	/// Returns the current price of `model`.
	pub fn price(&self, model: ModelId) -> Option<Price> {
		self.prices.front().and_then(|prices| prices.get(&model)).copied()
	}

	/// Returns the offset of the next block within the epoch.
	pub fn next_offset(&self) -> BlockNumber {
		self.block.saturating_sub(self.epoch.start).saturating_add(1)
	}
}
