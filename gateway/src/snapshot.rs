//! The chain as of a recent block. Requests are served from it, without queries to the node.

use crate::chain_view::ChainView;
use arc_swap::ArcSwap;
use gonka_client::chain;
use gonka_primitives::{
	AccountId, Balance, BlockNumber, ModelId, PublicKey,
	views::{ChannelView, MarketView, ModelView},
};
use std::{
	collections::HashMap,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// How often hosts and rules are read. Prices, channels and the balance are read with every block.
const SLOW_REFRESH: Duration = Duration::from_secs(30);
/// How long after the last block the chain is read again without a new one.
const NO_BLOCK: Duration = Duration::from_secs(15);

/// A host with a reachable worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
	/// The host's account.
	pub account: AccountId,
	/// The worker key.
	pub worker: PublicKey,
	/// The URL of the worker.
	pub url: String,
	/// The models that the host serves. A host whose completions arbiters found wrong counts as serving none: it gets
	/// no requests and is still paid for its receipts.
	pub models: Vec<ModelId>,
	/// The effective weight, 1 or more.
	pub weight: u64,
}

/// The chain as of a block.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
	/// The block.
	pub block: BlockNumber,
	/// Models by name.
	pub models: HashMap<String, Arc<ModelView>>,
	/// Hosts by account.
	pub hosts: Arc<HashMap<AccountId, Arc<Host>>>,
	/// Channels of this gateway, including those that are closing.
	pub channels: Vec<Arc<ChannelView>>,
	/// The rules of the market.
	pub market: Option<Arc<MarketView>>,
	/// Base units that the developer's account can spend.
	pub balance: Balance,
}

impl Snapshot {
	/// Hosts that serve a model.
	pub fn serving(&self, model: ModelId) -> impl Iterator<Item = &Arc<Host>> {
		self.hosts.values().filter(move |host| host.models.contains(&model))
	}

	/// Open channels with the hosts that they pay.
	pub fn open_channels(&self) -> impl Iterator<Item = (&Arc<ChannelView>, &Arc<Host>)> {
		let open = self.channels.iter().filter(|channel| channel.closes.is_none());
		open.filter_map(|channel| Some((channel, self.hosts.get(&channel.host)?)))
	}
}

/// The newest snapshot, with a notification of each new one.
pub struct Snapshots {
	current: ArcSwap<Snapshot>,
	version: watch::Sender<u64>,
	/// Notify it to read the chain before the next block, hosts and rules included.
	pub refresh: Notify,
}

impl Default for Snapshots {
	fn default() -> Self {
		Self { current: ArcSwap::default(), version: watch::Sender::new(0), refresh: Notify::new() }
	}
}

impl Snapshots {
	/// The newest snapshot.
	pub fn load(&self) -> Arc<Snapshot> {
		self.current.load_full()
	}

	/// Returns a receiver that changes at once and with every new snapshot. It holds 0 before the first.
	pub fn subscribe(&self) -> watch::Receiver<u64> {
		let mut receiver = self.version.subscribe();
		// A late subscriber must not wait for the next snapshot.
		receiver.mark_changed();
		receiver
	}

	/// Whether there is a snapshot.
	pub fn is_ready(&self) -> bool {
		*self.version.borrow() > 0
	}

	fn store(&self, snapshot: Snapshot) {
		self.current.store(Arc::new(snapshot));
		self.version.send_modify(|version| *version = version.wrapping_add(1));
	}
}

/// Keeps the snapshot up to date. Never returns.
pub async fn follow<C: ChainView>(chain: C, snapshots: Arc<Snapshots>, developer: AccountId, gateway: PublicKey) {
	let mut blocks = chain.blocks();
	let mut slow: Option<(Instant, Slow)> = None;
	loop {
		let block = *blocks.borrow_and_update();
		let due = slow.as_ref().is_none_or(|(at, _)| at.elapsed() > SLOW_REFRESH);
		let result = async {
			if due {
				slow = Some((Instant::now(), read_slow(&chain).await?));
			}
			read(&chain, block, slow.as_ref().map(|(_, slow)| slow), developer, gateway).await
		};
		match result.await {
			Ok(snapshot) => snapshots.store(snapshot),
			Err(error) => {
				tracing::warn!(%error, "cannot read the chain; trying again");
				tokio::time::sleep(Duration::from_secs(1)).await;
			},
		}
		tokio::select! {
			changed = blocks.changed() => if changed.is_err() {
				tokio::time::sleep(NO_BLOCK).await;
			},
			() = tokio::time::sleep(NO_BLOCK) => {},
			() = snapshots.refresh.notified() => slow = None,
		}
	}
}

struct Slow {
	hosts: Arc<HashMap<AccountId, Arc<Host>>>,
	market: Arc<MarketView>,
}

async fn read_slow<C: ChainView>(chain: &C) -> chain::Result<Slow> {
	let hosts = chain.hosts().await?.into_iter().filter_map(|view| {
		let url = String::from_utf8(view.url).ok().filter(|url| !url.is_empty())?;
		let weight = view.effective_weight.max(1);
		let models = if view.condemned { Vec::new() } else { view.models };
		let host = Host { account: view.account, worker: view.worker, url, models, weight };
		Some((host.account, Arc::new(host)))
	});
	Ok(Slow { hosts: Arc::new(hosts.collect()), market: Arc::new(chain.market().await?) })
}

async fn read<C: ChainView>(
	chain: &C,
	block: BlockNumber,
	slow: Option<&Slow>,
	developer: AccountId,
	gateway: PublicKey,
) -> chain::Result<Snapshot> {
	let (models, channels, balance) =
		tokio::try_join!(chain.models(), chain.channels(developer), chain.free_balance(developer))?;
	let models = models.into_iter().map(|model| (String::from_utf8_lossy(&model.name).into_owned(), Arc::new(model)));
	let ours = channels.into_iter().filter(|channel| channel.gateway == gateway);
	Ok(Snapshot {
		block,
		models: models.collect(),
		hosts: slow.map(|slow| slow.hosts.clone()).unwrap_or_default(),
		channels: ours.map(Arc::new).collect(),
		market: slow.map(|slow| slow.market.clone()),
		balance,
	})
}
