//! The client of the chain.
//!
//! - Queries go to the runtime API (`GonkaApi_*` by `state_call`) and return the types of `gonka_primitives::views`.
//! - A worker's messages are general transactions, such as [`Chain::submit_commitment`]: they need no account, no
//!   nonce and no fee.
//! - The calls of developers and voters are signed transactions, such as [`Chain::open_channels`] and [`Chain::vote`].
//! - [`Types`] reads and writes calls by the chain's own metadata.
//!
//! A lost connection is restored for as long as it takes. A call waits up to 30 s for it before it fails.

mod accounts;
mod blocks;
mod error;
mod general;
mod governance;
mod signed;
mod slashes;
mod submit;
#[cfg(test)]
mod tests;
mod types;

pub use accounts::{AccountBalance, RotatedKeys};
pub use blocks::BestBlocks;
pub use error::Error;
pub use governance::{MAX_INLINE, NewModel, ProposalCost, Spend, Vote};
pub use slashes::Slash;
pub use subxt::ext::scale_value::Value;
pub use types::{DecodeError, Kind, Shown, Types, percent};

use crate::keys;
use codec::{Decode, DecodeAll, Encode};
use gonka_primitives::{
	AccountId, Balance, ChannelId, EpochIndex, Hash, ModelId,
	audit::{AuditRules, CalibrationProfile},
	host::Commitment,
	views::{
		AssignedAuditsView, CaseView, ChannelView, CheckView, ClaimView, CollateralView, EpochView, HostView,
		MarketView, ModelView, RegistrationTerms, ReputationView, RequestView, StandingView, SupplyView, VestingView,
	},
};
use std::{
	sync::{Arc, Mutex},
	time::Duration,
};
use subxt::{
	OnlineClient, SubstrateConfig,
	backend::LegacyBackend,
	config::RpcConfigFor,
	rpcs::{
		self, LegacyRpcMethods, RpcClient,
		client::{ReconnectingRpcClient, reconnecting_rpc_client::ExponentialBackoff},
	},
	utils::H256,
};

/// The result of a query or a transaction.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Maximum time of the first connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Maximum time of a query, including the wait for a connection.
const QUERY_LIMIT: Duration = Duration::from_secs(30);
/// Maximum pause between two attempts to connect again.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Maximum number of entries in one query: the runtime API's limit.
const PAGE: u32 = 256;

/// A block by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
	/// The number.
	pub number: u32,
	/// The hash.
	pub hash: Hash,
}

/// A connection to a node. Clones share it.
#[derive(Clone)]
pub struct Chain {
	inner: Arc<Inner>,
}

struct Inner {
	url: String,
	genesis: Hash,
	rpc: RpcClient,
	methods: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
	client: OnlineClient<SubstrateConfig>,
	locks: signed::Locks,
	/// Fees of the transactions so far, in base units.
	fees: Mutex<Balance>,
}

impl std::fmt::Debug for Chain {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.debug_struct("Chain").field("url", &self.inner.url).finish_non_exhaustive()
	}
}

impl Chain {
	/// Connects to the node at `url` (`ws://` or `wss://`), trying for up to 30 s. The first node to which a process connects
	/// tells it the SS58 prefix of its network.
	pub async fn connect(url: &str) -> Result<Chain> {
		let failed = |cause: String| Error::Connection { url: url.into(), cause };
		if !url.starts_with("ws://") && !url.starts_with("wss://") {
			return Err(failed("the address must start with ws:// or wss://".into()));
		}
		let connected = tokio::time::timeout(CONNECT_LIMIT, async {
			let rpc = ReconnectingRpcClient::builder()
				.retry_policy(ExponentialBackoff::from_millis(100).max_delay(MAX_BACKOFF))
				.request_timeout(QUERY_LIMIT)
				.build(url)
				.await
				.map_err(|error| failed(error.to_string()))?;
			let rpc = RpcClient::new(rpc);
			let methods = LegacyRpcMethods::<RpcConfigFor<SubstrateConfig>>::new(rpc.clone());
			let properties = methods.system_properties().await.map_err(|error| failed(error.to_string()))?;
			let backend = LegacyBackend::builder().build(rpc.clone());
			let client = OnlineClient::from_backend_with_config(SubstrateConfig::new(), Arc::new(backend))
				.await
				.map_err(|error| failed(error.to_string()))?;
			let prefix = properties.get("ss58Format").and_then(|prefix| u16::try_from(prefix.as_u64()?).ok());
			Ok((rpc, methods, client, prefix))
		});
		let (rpc, methods, client, prefix) = connected
			.await
			.unwrap_or_else(|_| Err(failed(format!("no response within {} s", CONNECT_LIMIT.as_secs()))))?;
		if let Some(prefix) = prefix {
			keys::serve(prefix);
		}
		let genesis = client.genesis_hash().0;
		let (locks, fees) = (signed::Locks::default(), Mutex::default());
		let inner = Inner { url: url.into(), genesis, rpc, methods, client, locks, fees };
		Ok(Chain { inner: Arc::new(inner) })
	}

	/// The genesis hash, which every signed payload contains.
	pub fn genesis(&self) -> Hash {
		self.inner.genesis
	}

	/// Streams the best blocks, beginning with the present one. The stream never ends: it subscribes again after a lost
	/// connection. It can skip numbers, and after a reorganisation it can go back.
	pub async fn best_blocks(&self) -> BestBlocks {
		BestBlocks::spawn(self.clone())
	}

	/// The last finalised block.
	pub async fn finalized(&self) -> Result<BlockRef> {
		let hash = self.rpc("chain_getFinalizedHead", || self.inner.methods.chain_get_finalized_head()).await?;
		self.block(Some(hash)).await
	}

	/// The best block.
	pub async fn best(&self) -> Result<BlockRef> {
		self.block(None).await
	}

	async fn block(&self, hash: Option<H256>) -> Result<BlockRef> {
		let header = self.rpc("chain_getHeader", || self.inner.methods.chain_get_header(hash)).await?;
		let header = header.ok_or_else(|| Error::Rpc {
			method: "chain_getHeader".into(),
			cause: "it does not know the block".into(),
		})?;
		Ok(blocks::reference(&header))
	}

	/// The running epoch, or [`Error::NoEpoch`] before the first block.
	pub async fn epoch(&self) -> Result<EpochView> {
		let epoch: Option<EpochView> = self.view("epoch", &(), None).await?;
		epoch.ok_or(Error::NoEpoch)
	}

	/// The market's rules.
	pub async fn market(&self) -> Result<MarketView> {
		self.view("market", &(), None).await
	}

	/// The registered models.
	pub async fn models(&self) -> Result<Vec<ModelView>> {
		self.view("models", &(), None).await
	}

	/// All registered hosts, as of one block.
	pub async fn hosts(&self) -> Result<Vec<HostView>> {
		self.pages("hosts", &(), None, |host: &HostView| host.account).await
	}

	/// A host, if it is registered.
	pub async fn host(&self, host: &AccountId) -> Result<Option<HostView>> {
		self.view("host", host, None).await
	}

	/// What the next registration of `host` needs; `None` if the epoch takes no more of it.
	pub async fn registration_terms(&self, host: &AccountId) -> Result<Option<RegistrationTerms>> {
		self.view("registration_terms", host, None).await
	}

	/// The commitments of `host` in `epoch`, by segment.
	pub async fn commitments(&self, epoch: EpochIndex, host: &AccountId) -> Result<Vec<(u8, Commitment)>> {
		self.view("commitments", &(epoch, host), None).await
	}

	/// The components of the weight of `host` in `epoch`; `None` if it neither took part nor checked.
	pub async fn standing(&self, epoch: EpochIndex, host: &AccountId) -> Result<Option<StandingView>> {
		self.view("standing", &(epoch, host), None).await
	}

	/// The checks that `checker` owes in the running epoch; `None` before the committees are drawn.
	pub async fn check(&self, checker: &AccountId) -> Result<Option<CheckView>> {
		self.view("check", checker, None).await
	}

	/// All open claims.
	pub async fn claims(&self) -> Result<Vec<ClaimView>> {
		self.view("claims", &(), None).await
	}

	/// Requests for openings to `host` in the running epoch.
	pub async fn opening_requests(&self, host: &AccountId) -> Result<Vec<RequestView>> {
		self.view("opening_requests", host, None).await
	}

	/// A channel, if it is open or closing.
	pub async fn channel(&self, channel: ChannelId) -> Result<Option<ChannelView>> {
		self.view("channel", &channel, None).await
	}

	/// All channels of `developer`, as of one block.
	pub async fn channels(&self, developer: &AccountId) -> Result<Vec<ChannelView>> {
		self.channels_at(developer, None).await
	}

	async fn channels_at(&self, developer: &AccountId, at: Option<H256>) -> Result<Vec<ChannelView>> {
		self.pages("channels", developer, at, |channel: &ChannelView| channel.id).await
	}

	/// All channels that pay `host`, as of one block.
	pub async fn channels_of_host(&self, host: &AccountId) -> Result<Vec<ChannelView>> {
		self.pages("host_channels", host, None, |channel: &ChannelView| channel.id).await
	}

	/// The validators with their consensus power.
	pub async fn validators(&self) -> Result<Vec<(AccountId, u64)>> {
		self.view("validators", &(), None).await
	}

	/// The emission that a host has earned and not been paid yet.
	pub async fn earnings(&self, host: &AccountId) -> Result<VestingView> {
		self.view("earnings", host, None).await
	}

	/// A host's collateral.
	pub async fn collateral(&self, host: &AccountId) -> Result<CollateralView> {
		self.view("collateral", host, None).await
	}

	/// The audits that `checker` can still report, by the window in which they were drawn.
	pub async fn audits(&self, checker: &AccountId) -> Result<Vec<AssignedAuditsView>> {
		self.view("audits", checker, None).await
	}

	/// All cases and appeals of sampled validation that are heard.
	pub async fn cases(&self) -> Result<Vec<CaseView>> {
		self.view("cases", &(), None).await
	}

	/// The reputation of `host`, and the findings that speak against it.
	pub async fn reputation(&self, host: &AccountId) -> Result<ReputationView> {
		self.view("reputation", host, None).await
	}

	/// A model's calibration profile; `None` if the model is not audited.
	pub async fn calibration_profile(&self, model: ModelId) -> Result<Option<CalibrationProfile>> {
		self.view("calibration_profile", &model, None).await
	}

	/// Rates, thresholds and deadlines of sampled validation.
	pub async fn audit_rules(&self) -> Result<AuditRules> {
		self.view("audit_rules", &(), None).await
	}

	/// The parts of the supply of GNK.
	pub async fn supply(&self) -> Result<SupplyView> {
		self.view("supply", &(), None).await
	}

	/// The chain's types and state as of a block. The metadata is fetched once per runtime version.
	async fn at(&self, block: &BlockRef) -> Result<subxt::OnlineClientAtBlock<SubstrateConfig>> {
		self.inner.client.at_block_hash_and_number(H256(block.hash), block.number.into()).await.map_err(|error| {
			Error::Rpc { method: "Core_version or Metadata_metadata_at_version".into(), cause: error.to_string() }
		})
	}

	/// Queries the runtime API, at the best block if `at` is `None`.
	async fn view<T: Decode>(&self, method: &str, arguments: &impl Encode, at: Option<H256>) -> Result<T> {
		let name = format!("GonkaApi_{method}");
		let arguments = arguments.encode();
		let bytes = self.rpc(&name, || self.inner.methods.state_call(&name, Some(&arguments), at)).await?;
		T::decode_all(&mut bytes.as_slice()).map_err(|error| Error::Decode { what: name, cause: error.to_string() })
	}

	/// Queries the runtime API page by page; all pages come from the same block.
	async fn pages<T: Decode, K: Encode>(
		&self,
		method: &str,
		prefix: &impl Encode,
		at: Option<H256>,
		key: impl Fn(&T) -> K,
	) -> Result<Vec<T>> {
		let at = match at {
			Some(at) => at,
			None => H256(self.best().await?.hash),
		};
		let mut all: Vec<T> = Vec::new();
		loop {
			let after = all.last().map(&key);
			let page: Vec<T> = self.view(method, &(prefix, after, PAGE), Some(at)).await?;
			let full = page.len() >= PAGE as usize;
			all.extend(page);
			if !full {
				return Ok(all);
			}
		}
	}

	/// Sends a request to the node, and again after a lost connection.
	async fn rpc<T, F>(&self, method: &str, send: impl Fn() -> F) -> Result<T>
	where
		F: Future<Output = std::result::Result<T, rpcs::Error>>,
	{
		self.patient(async {
			loop {
				match send().await {
					Err(error) if error.is_disconnected_will_reconnect() => {
						tokio::time::sleep(Duration::from_millis(100)).await;
					},
					Err(error @ rpcs::Error::Client(_)) => return Err(self.lost(error.to_string())),
					Err(error) if error::is_unsafe(&error) => {
						return Err(Error::Unsafe { url: self.inner.url.clone(), method: method.into() });
					},
					Err(error) => return Err(Error::Rpc { method: method.into(), cause: explain(&error) }),
					Ok(response) => return Ok(response),
				}
			}
		})
		.await
	}

	/// Bounds the time of a query.
	async fn patient<T>(&self, query: impl Future<Output = Result<T>>) -> Result<T> {
		tokio::time::timeout(QUERY_LIMIT, query)
			.await
			.unwrap_or_else(|_| Err(self.lost(format!("no response within {} s", QUERY_LIMIT.as_secs()))))
	}

	fn lost(&self, cause: String) -> Error {
		Error::Connection { url: self.inner.url.clone(), cause }
	}
}

/// The node's message, with the detail in `data`.
fn explain(error: &rpcs::Error) -> String {
	match error {
		rpcs::Error::User(rpcs::UserError { message, data: Some(data), .. }) => format!("{message}: {}", data.get()),
		other => other.to_string(),
	}
}
