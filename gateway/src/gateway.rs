//! The state that requests and tasks share.

use crate::{
	api_keys::ring::KeyRing,
	config::Options,
	ledger::Ledger,
	metrics::Metrics,
	openai::{errors::ApiError, responses::store::Responses},
	queue::Queue,
	receipts::ReceiptError,
	router::Router,
	snapshot::{Model, Snapshot, Snapshots},
	tokenizers::{Opened, Tokenizers},
	worker_client::WorkerClient,
};
use gonka_client::keys;
use gonka_primitives::{AccountId, Balance, ChannelId, GNK};
use std::{
	collections::HashMap,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long a channel is kept filled for a request that it could not pay.
const DEMAND_LIFETIME: Duration = Duration::from_secs(60);

/// The shared state of a gateway.
pub struct Gateway {
	/// The settings.
	pub options: Options,
	/// The chain as of a recent block.
	pub snapshots: Arc<Snapshots>,
	/// The record of all channels.
	pub ledger: Ledger,
	/// Load and health of the hosts.
	pub router: Arc<Router>,
	/// The connections to workers.
	pub workers: WorkerClient,
	/// The models' tokenizers.
	pub tokenizers: Tokenizers,
	/// Responses that clients may come back to.
	pub responses: Responses,
	/// The metrics.
	pub metrics: Metrics,
	/// The clients' API keys, with their limits and usage.
	pub keys: KeyRing,
	/// Notified once per acknowledged receipt: a worker may have credit for one more request.
	pub freed: Notify,
	/// Requests that wait while all hosts are busy.
	pub queue: Queue,
	shortage: Mutex<Option<String>>,
	/// Base units that single requests needed of each channel, and when.
	demand: Mutex<HashMap<ChannelId, (Balance, Instant)>>,
}

impl Gateway {
	/// Creates the state, with no snapshot of the chain yet.
	pub fn new(
		options: Options,
		ledger: Ledger,
		workers: WorkerClient,
		tokenizers: Tokenizers,
		responses: Responses,
		metrics: Metrics,
		keys: KeyRing,
	) -> Self {
		Self {
			options,
			snapshots: Arc::default(),
			ledger,
			router: Arc::default(),
			workers,
			tokenizers,
			responses,
			metrics,
			keys,
			freed: Notify::new(),
			queue: Queue::default(),
			shortage: Mutex::default(),
			demand: Mutex::default(),
		}
	}

	/// Finds a model by name or alias.
	pub fn model(&self, name: &str) -> Result<Arc<Model>, ApiError> {
		if !self.snapshots.is_ready() {
			return Err(ApiError::unavailable("The gateway has not read the chain yet."));
		}
		let target = self.options.aliases.get(name).map_or(name, String::as_str);
		self.snapshots.load().models.get(target).cloned().ok_or_else(|| ApiError::model_not_found(name, target))
	}

	/// The tokenizer of a model.
	pub fn tokenizer(&self, model: &Model) -> Result<Opened, ApiError> {
		self.tokenizers.of(model).ok_or_else(|| {
			let snapshot = self.snapshots.load();
			if snapshot.open_channels().any(|(_, host)| model.variant(host).is_some()) {
				let message = format!("The gateway is fetching the tokenizer of '{}' from a host.", model.name);
				return ApiError::no_worker(message);
			}
			self.no_host(model)
		})
	}

	/// Explains why no host is available for a model.
	pub fn no_host(&self, model: &Model) -> ApiError {
		let snapshot = self.snapshots.load();
		let name = &model.name;
		if snapshot.serving(model).next().is_none() {
			return ApiError::no_worker(format!("No host of the network serves '{name}' at the moment."));
		}
		let has_channel = snapshot.open_channels().any(|(_, host)| model.variant(host).is_some());
		match self.shortage() {
			Some(shortage) if !has_channel => ApiError::no_funds(shortage),
			_ if !has_channel && snapshot.open_channels().count() >= self.options.max_channels => {
				let message = format!(
					"All {} channels of the gateway are in use by other models than '{name}': raise --max-channels if this lasts.",
					self.options.max_channels
				);
				ApiError::no_worker(message)
			},
			_ => match self.trouble(&snapshot, model) {
				Some(trouble) => ApiError::no_worker(format!("No host that serves '{name}' can be used: {trouble}.")),
				None if has_channel => ApiError::no_worker(format!("No host that serves '{name}' can be reached.")),
				None => {
					ApiError::no_worker(format!("The gateway is opening channels to the hosts that serve '{name}'."))
				},
			},
		}
	}

	/// Why a host of this model could not be used the last time, if all could not.
	pub fn trouble(&self, snapshot: &Snapshot, model: &Model) -> Option<String> {
		self.router.trouble(snapshot.serving(model))
	}

	/// Whether a healthy host with a usable channel serves the model.
	pub fn is_served(&self, snapshot: &Snapshot, model: &Model) -> bool {
		let has_tokenizer = self.tokenizers.of(model).is_some();
		snapshot.open_channels().any(|(channel, host)| {
			has_tokenizer
				&& model.variant(host).is_some()
				&& self.ledger.available(channel).is_some()
				&& self.router.is_healthy(&host.account)
		})
	}

	/// Maximum number of tokens of prompt and completion together that a healthy host serves, or that the registry allows where no
	/// host has told.
	pub fn context_length(&self, snapshot: &Snapshot, model: &Model) -> u32 {
		let hosts = snapshot.open_channels().map(|(_, host)| host).filter(|host| self.router.is_healthy(&host.account));
		let known = hosts.filter_map(|host| self.router.context(model, host)).max();
		known.unwrap_or(u32::MAX).min(model.context_length())
	}

	/// Which funds are missing to open or top up channels, as a sentence; `None` if funds suffice.
	pub fn shortage(&self) -> Option<String> {
		lock(&self.shortage).clone()
	}

	/// Notes whether funds are missing, and logs it when that begins.
	pub(crate) fn note_shortage(&self, shortage: Option<String>) {
		let mut known = lock(&self.shortage);
		if known.is_none()
			&& let Some(text) = &shortage
		{
			tracing::warn!("{text}");
		}
		*known = shortage;
	}

	/// Demands `fee` base units in the channel of the heaviest host that serves the model, for a request that no
	/// channel can pay.
	pub(crate) fn demand(&self, snapshot: &Snapshot, model: &Model, fee: Balance) {
		let channels = snapshot.open_channels().filter(|(_, host)| model.variant(host).is_some());
		if let Some((channel, _)) = channels.max_by_key(|(_, host)| host.weight) {
			let mut demand = lock(&self.demand);
			let known = demand.get(&channel.id).map_or(0, |(fee, _)| *fee);
			demand.insert(channel.id, (fee.max(known), Instant::now()));
			if known < fee {
				self.snapshots.refresh.notify_one();
			}
		}
	}

	/// Base units that single requests have demanded of each channel within the last minute.
	pub(crate) fn demands(&self) -> HashMap<ChannelId, Balance> {
		let mut demand = lock(&self.demand);
		demand.retain(|_, (_, at)| at.elapsed() < DEMAND_LIFETIME);
		demand.iter().map(|(id, (fee, _))| (*id, *fee)).collect()
	}

	/// Logs and counts a receipt that is wrong, and stops using its host for a while.
	pub(crate) fn reject_receipt(&self, host: &AccountId, reason: ReceiptError) {
		tracing::warn!(host = keys::ss58(host), %reason, "rejected a receipt");
		self.metrics.rejected.inc();
		self.router.distrust(host);
	}

	/// Updates the metrics of block and channels.
	pub(crate) fn observe_channels(&self, snapshot: &Snapshot) {
		self.metrics.block.set(snapshot.block.into());
		for channel in &snapshot.channels {
			let (id, host) = (channel.id.to_string(), keys::ss58(&channel.host));
			let labels = [id.as_str(), host.as_str()];
			let gnk = |units: u128| units as f64 / GNK as f64;
			self.metrics.remaining.with_label_values(&labels).set(gnk(self.ledger.remaining(channel)));
			self.metrics.promised.with_label_values(&labels).set(gnk(self.ledger.confirmed(channel.id).fee));
			let in_step = self.ledger.available(channel).is_some();
			self.metrics.in_step.with_label_values(&labels).set(in_step.into());
		}
	}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
