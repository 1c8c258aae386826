//! The chain as of a recent block. Requests are served from it, without queries to the node.

use crate::chain_view::ChainView;
use arc_swap::ArcSwap;
use gonka_client::chain;
use gonka_primitives::{
	AccountId, Balance, BlockNumber, Hash, ModelId, PublicKey,
	market::Price,
	views::{ChannelView, MarketView, ModelView},
};
use std::{
	collections::HashMap,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// The character between a model's name and the class of engines in the name of a registration.
const CLASS: char = '@';
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

/// A model as developers name it. Governance registers it once for each class of engines that rounds alike, as
/// `name@class`, so that audits compare hosts of one class.
#[derive(Clone, Debug)]
pub struct Model {
	/// Its name.
	pub name: String,
	/// Its registrations, one at least.
	variants: Vec<Arc<ModelView>>,
}

impl Model {
	/// Returns the registration that a host serves.
	pub fn variant(&self, host: &Host) -> Option<&Arc<ModelView>> {
		self.variants.iter().find(|variant| host.models.contains(&variant.id))
	}

	/// Maximum number of tokens of prompt and completion together that all its hosts can read.
	pub fn context_length(&self) -> u32 {
		self.variants.iter().map(|variant| variant.context_length).min().unwrap_or(0)
	}

	/// SHA-256 of its tokenizer file.
	pub fn tokenizer_hash(&self) -> Option<Hash> {
		self.variants.first().map(|variant| variant.tokenizer_hash)
	}

	/// SHA-256 of its weights' file, of the registration with the lowest id.
	pub fn weights_hash(&self) -> Hash {
		self.variants.first().map(|variant| variant.weights_hash).unwrap_or_default()
	}

	/// The highest price of its registrations, per token in base units.
	pub fn price(&self) -> Price {
		let highest = |of: fn(&Price) -> Balance| self.variants.iter().map(|variant| of(&variant.price)).max();
		let (input, output) = (highest(|price| price.input), highest(|price| price.output));
		Price { input: input.unwrap_or(0), output: output.unwrap_or(0) }
	}

	/// Sorts registrations by name: `name` has those of `name` and of `name@class` that share the tokenizer of the one with the
	/// lowest id, since they get the same token ids, and `name@class` has one.
	pub fn by_name(registered: impl IntoIterator<Item = ModelView>) -> HashMap<String, Arc<Self>> {
		let mut all: HashMap<String, Vec<Arc<ModelView>>> = HashMap::new();
		for model in registered {
			let (name, model) = (String::from_utf8_lossy(&model.name).into_owned(), Arc::new(model));
			if let Some((base, _)) = name.split_once(CLASS) {
				all.entry(base.to_owned()).or_default().push(model.clone());
			}
			all.entry(name).or_default().push(model);
		}
		let model = |(name, mut variants): (String, Vec<Arc<ModelView>>)| {
			variants.sort_by_key(|variant| variant.id);
			let tokenizer = variants.first().map(|variant| variant.tokenizer_hash);
			variants.retain(|variant| Some(variant.tokenizer_hash) == tokenizer);
			(name.clone(), Arc::new(Self { name, variants }))
		};
		all.into_iter().map(model).collect()
	}

	/// Whether this is the name by which developers know the model, and not that of one registration of several.
	pub fn is_listed(&self) -> bool {
		!self.name.contains(CLASS)
	}
}

/// The chain as of a block.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
	/// The block.
	pub block: BlockNumber,
	/// Models by name: see [`Model::by_name`].
	pub models: HashMap<String, Arc<Model>>,
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
	pub fn serving(&self, model: &Model) -> impl Iterator<Item = &Arc<Host>> {
		self.hosts.values().filter(|host| model.variant(host).is_some())
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
	let ours = channels.into_iter().filter(|channel| channel.gateway == gateway);
	Ok(Snapshot {
		block,
		models: Model::by_name(models),
		hosts: slow.map(|slow| slow.hosts.clone()).unwrap_or_default(),
		channels: ours.map(Arc::new).collect(),
		market: slow.map(|slow| slow.market.clone()),
		balance,
	})
}

#[cfg(test)]
mod tests {
	use super::*;

	fn registered(id: ModelId, name: &str, context_length: u32, input: Balance) -> ModelView {
		let price = Price { input, output: 10 - input };
		ModelView { id, name: name.into(), weights_hash: [0; 32], tokenizer_hash: [0; 32], context_length, price }
	}

	#[test]
	fn a_models_name_stands_for_all_classes_and_a_class_for_itself() {
		let all = [
			registered(0, "small", 4_096, 1),
			registered(1, "small@llama.cpp", 8_192, 3),
			registered(2, "small@vllm", 2_048, 2),
			registered(3, "large@vllm", 512, 5),
		];
		let models = Model::by_name(all);
		let host = |models: &[ModelId]| Host {
			account: [1; 32],
			worker: [0; 32],
			url: String::new(),
			models: models.to_vec(),
			weight: 1,
		};
		let served = |name: &str, ids: &[ModelId]| models[name].variant(&host(ids)).map(|variant| variant.id);
		assert_eq!(served("small", &[0]), Some(0));
		assert_eq!(served("small", &[2, 3]), Some(2));
		assert_eq!(served("small", &[3]), None);
		assert_eq!(served("small@llama.cpp", &[0, 2]), None);
		assert_eq!(served("small@llama.cpp", &[1]), Some(1));
		assert_eq!(served("large", &[3]), Some(3));
		assert_eq!(models["small"].context_length(), 2_048, "all hosts can read it");
		assert_eq!(models["small"].price(), Price { input: 3, output: 9 }, "no host costs more");
		let mut listed: Vec<_> =
			models.values().filter(|model| model.is_listed()).map(|model| &model.name[..]).collect();
		listed.sort_unstable();
		assert_eq!(listed, ["large", "small"]);
	}
}
