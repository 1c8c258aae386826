//! Everything a request needs, and the tasks that keep it true.

use crate::{
	chain_view::ChainView,
	channels,
	config::{Options, format_gnk},
	ledger::Ledger,
	metrics::Metrics,
	openai::errors::ApiError,
	router::Router,
	settle,
	snapshot::{self, Snapshot, Snapshots},
	store::{PowerCut, Store},
	worker_client::WorkerClient,
};
use anyhow::Context;
use gonka_primitives::{AccountId, Balance, ChannelId, GNK, Hash, ModelId, market::Price, views::ModelView};
use std::{
	collections::HashMap,
	path::Path,
	sync::{Arc, Mutex},
	time::{Duration, Instant},
};
use subxt_signer::sr25519::Keypair;
use tokio::{
	sync::Notify,
	task::JoinSet,
	time::{sleep, timeout},
};

/// How long a channel is kept filled for a request that it could not pay.
const WANT: Duration = Duration::from_secs(60);

/// What requests share.
pub struct Gateway {
	/// What serving goes by.
	pub options: Options,
	/// The chain as of a recent block.
	pub snapshots: Arc<Snapshots>,
	/// The books.
	pub ledger: Ledger,
	/// The hosts' load and health.
	pub router: Arc<Router>,
	/// The way to the workers.
	pub workers: WorkerClient,
	/// What Prometheus reads.
	pub metrics: Metrics,
	/// Told once for each receipt that a worker has seen acknowledged: a place may be free.
	pub freed: Notify,
	shortage: Mutex<Option<String>>,
	/// What single requests needed of a channel, in base units, and when.
	wanted: Mutex<HashMap<ChannelId, (Balance, Instant)>>,
}

/// A gateway with its tasks; they end when it is dropped.
pub struct Running {
	/// What requests share.
	pub gateway: Arc<Gateway>,
	tasks: JoinSet<()>,
}

/// The keys a gateway acts with.
#[derive(Clone)]
pub struct Keys {
	/// Pays deposits.
	pub developer: Keypair,
	/// Signs envelopes and vouchers.
	pub gateway: Keypair,
}

impl Gateway {
	/// Opens the books under `base_path` and starts the tasks.
	pub fn start<C: ChainView>(chain: C, keys: Keys, base_path: &Path, options: Options) -> anyhow::Result<Running> {
		Self::start_until(chain, keys, base_path, options, None)
	}

	/// As [`Gateway::start`]; the books die at `cut`.
	pub fn start_until<C: ChainView>(
		chain: C,
		keys: Keys,
		base_path: &Path,
		options: Options,
		cut: Option<PowerCut>,
	) -> anyhow::Result<Running> {
		let genesis = chain.genesis();
		std::fs::create_dir_all(base_path).with_context(|| format!("cannot create {}", base_path.display()))?;
		let books = base_path.join(books_name(&genesis, &keys.gateway.public_key().0));
		let (store, saved) = Store::open_until(&books, cut)
			.with_context(|| format!("cannot open {}; only one gateway can use it at a time", books.display()))?;
		let workers = WorkerClient::new(&options.timeouts).map_err(anyhow::Error::msg)?;
		let developer = keys.developer.public_key().0;
		let gateway = Arc::new(Self {
			ledger: Ledger::new(genesis, keys.gateway, store, saved),
			snapshots: Arc::default(),
			router: Arc::default(),
			workers,
			metrics: Metrics::new()?,
			freed: Notify::new(),
			shortage: Mutex::default(),
			wanted: Mutex::default(),
			options,
		});
		let mut tasks = JoinSet::new();
		tasks.spawn(settle::supervise(gateway.clone()));
		tasks.spawn(channels::manage(gateway.clone(), chain.clone(), keys.developer));
		let signer = gateway.ledger.public_key();
		tasks.spawn(snapshot::follow(chain, gateway.snapshots.clone(), developer, signer));
		Ok(Running { gateway, tasks })
	}

	/// The model's price as of the snapshot, per token in base units.
	pub fn price(&self, snapshot: &Snapshot, model: &ModelView) -> Price {
		snapshot.models.values().find(|known| known.id == model.id).map_or(model.price, |known| known.price)
	}

	/// The model of that name or alias.
	pub fn model(&self, name: &str) -> Result<Arc<ModelView>, ApiError> {
		if !self.snapshots.is_ready() {
			return Err(ApiError::unavailable("The gateway has not seen the chain yet."));
		}
		let target = self.options.aliases.get(name).map_or(name, String::as_str);
		self.snapshots.load().models.get(target).cloned().ok_or_else(|| ApiError::model_not_found(name))
	}

	/// Why nobody can be asked for a model.
	pub fn no_host(&self, model: &ModelView) -> ApiError {
		let snapshot = self.snapshots.load();
		let name = String::from_utf8_lossy(&model.name);
		if snapshot.serving(model.id).next().is_none() {
			return ApiError::no_worker(format!("No host of the network serves '{name}' at the moment."));
		}
		let has_channel = snapshot.open_channels().any(|(_, host)| host.models.contains(&model.id));
		match self.shortage() {
			Some(shortage) if !has_channel => ApiError::no_funds(shortage),
			_ if !has_channel => {
				ApiError::no_worker(format!("Channels to the hosts that serve '{name}' are being opened."))
			},
			_ => ApiError::no_worker(format!("No host that serves '{name}' can be reached.")),
		}
	}

	/// Whether a host that serves the model can be asked now.
	pub fn is_served(&self, snapshot: &Snapshot, model: &ModelView) -> bool {
		snapshot.open_channels().any(|(channel, host)| {
			host.models.contains(&model.id)
				&& self.ledger.available(channel).is_some()
				&& self.router.is_healthy(&host.account)
		})
	}

	/// What is missing to open or fill channels, if it is funds.
	pub fn shortage(&self) -> Option<String> {
		self.shortage.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
	}

	/// A request found no channel with `fee` base units left: the heaviest host's is to be filled.
	pub(crate) fn want(&self, snapshot: &Snapshot, model: ModelId, fee: Balance) {
		let channels = snapshot.open_channels().filter(|(_, host)| host.models.contains(&model));
		if let Some((channel, _)) = channels.max_by_key(|(_, host)| host.weight) {
			let mut wanted = self.wanted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
			let known = wanted.get(&channel.id).map_or(0, |(fee, _)| *fee);
			wanted.insert(channel.id, (fee.max(known), Instant::now()));
			if known < fee {
				self.snapshots.refresh.notify_one();
			}
		}
	}

	/// What single requests have needed of each channel lately, in base units.
	pub(crate) fn wanted(&self) -> HashMap<ChannelId, Balance> {
		let mut wanted = self.wanted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
		wanted.retain(|_, (_, at)| at.elapsed() < WANT);
		wanted.iter().map(|(id, (fee, _))| (*id, *fee)).collect()
	}

	pub(crate) fn note_funds(&self, shortage: Option<String>) {
		let mut known = self.shortage.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
		if known.is_none()
			&& let Some(text) = &shortage
		{
			tracing::warn!("{text}");
		}
		*known = shortage;
	}

	/// A host signed what is not true.
	pub(crate) fn refuse(&self, host: &AccountId, envelope: &Hash, reason: &str) {
		tracing::warn!(host = hex::encode(host), envelope = hex::encode(envelope), reason, "refused a receipt");
		self.metrics.refused.inc();
		self.router.lied(host);
	}

	pub(crate) fn observe_channels(&self, snapshot: &Snapshot) {
		self.metrics.block.set(snapshot.block.into());
		for channel in &snapshot.channels {
			let (id, host) = (channel.id.to_string(), hex::encode(channel.host));
			let labels = [id.as_str(), host.as_str()];
			let gnk = |units: u128| units as f64 / GNK as f64;
			self.metrics.remaining.with_label_values(&labels).set(gnk(self.ledger.remaining(channel)));
			self.metrics.promised.with_label_values(&labels).set(gnk(self.ledger.confirmed(channel.id).fee));
			let in_step = self.ledger.available(channel).is_some();
			self.metrics.in_step.with_label_values(&labels).set(in_step.into());
		}
	}

	/// Waits until every receipt is acknowledged, at most `limit`.
	pub async fn flush(&self, limit: Duration) {
		let started = Instant::now();
		let due = || {
			let snapshot = self.snapshots.load();
			snapshot.channels.iter().any(|channel| self.ledger.open_items(channel.id).0 > 0)
		};
		while due() && started.elapsed() < limit {
			sleep(Duration::from_millis(20)).await;
		}
	}
}

impl Running {
	/// Acknowledges what is due, at most for `limit`, and ends the tasks.
	pub async fn stop(mut self, limit: Duration) {
		self.gateway.flush(limit).await;
		let _ = timeout(Duration::from_secs(1), self.tasks.shutdown()).await;
		let snapshot = self.gateway.snapshots.load();
		for channel in &snapshot.channels {
			let totals = self.gateway.ledger.confirmed(channel.id);
			tracing::info!(
				channel = channel.id,
				receipts = totals.receipts,
				promised = format_gnk(totals.fee),
				"channel (GNK)"
			);
		}
	}
}

/// One chain and one key, one file: on another chain the same channel number means something else.
fn books_name(genesis: &Hash, key: &[u8; 32]) -> String {
	let short = |bytes: &[u8; 32]| hex::encode(bytes).chars().take(16).collect::<String>();
	format!("books-{}-{}.redb", short(genesis), short(key))
}
