//! The composition root: builds the [`Gateway`] and starts the tasks that keep it up to date.

use crate::{
	api_keys::ring::{self, KeyRing},
	chain_view::ChainView,
	channels,
	config::{Options, format_gnk},
	gateway::Gateway,
	health,
	ledger::Ledger,
	metrics::Metrics,
	openai::responses::store::Responses,
	snapshot,
	store::{PowerCut, Store},
	tokenizers::{self, Tokenizers},
	vouchers,
	worker_client::WorkerClient,
};
use anyhow::Context;
use gonka_primitives::Hash;
use std::{
	path::Path,
	sync::Arc,
	time::{Duration, Instant},
};
use subxt_signer::sr25519::Keypair;
use tokio::{
	task::JoinSet,
	time::{sleep, timeout},
};

/// Pause between two looks for old responses.
const CLEANING: Duration = Duration::from_secs(600);

/// The keys of a gateway.
#[derive(Clone)]
pub struct Keys {
	/// Pays the deposits.
	pub developer: Keypair,
	/// Signs envelopes and vouchers.
	pub gateway: Keypair,
}

/// A gateway with its tasks. Dropping it ends them.
pub struct Running {
	/// The shared state.
	pub gateway: Arc<Gateway>,
	tasks: JoinSet<()>,
}

/// Opens the ledger under `base_path` and starts the tasks.
pub fn start<C: ChainView>(chain: C, keys: Keys, base_path: &Path, options: Options) -> anyhow::Result<Running> {
	start_until(chain, keys, base_path, options, None)
}

/// Does what [`start`] does, with a ledger whose disk fails at `cut`.
pub fn start_until<C: ChainView>(
	chain: C,
	keys: Keys,
	base_path: &Path,
	options: Options,
	cut: Option<PowerCut>,
) -> anyhow::Result<Running> {
	let genesis = chain.genesis();
	std::fs::create_dir_all(base_path).with_context(|| format!("cannot create {}", base_path.display()))?;
	let path = base_path.join(file_name("ledger", &genesis, &keys.gateway.public_key().0, "redb"));
	let (store, saved) = Store::open_until(&path, cut)
		.with_context(|| format!("cannot open {}; only one gateway can use it at a time", path.display()))?;
	let ledger = Ledger::new(genesis, keys.gateway, store, saved);
	let workers = WorkerClient::new(&options.timeouts, options.addresses);
	let workers = workers.context("cannot set up TLS for connections to workers")?;
	let signer = ledger.public_key();
	let files = Tokenizers::new(base_path.join("tokenizers"))?;
	let responses = Responses::open(base_path.join("responses"), options.response_age)?;
	let metrics = Metrics::new()?;
	let usage = base_path.join(file_name("usage", &genesis, &signer, "jsonl"));
	let ring = KeyRing::open(base_path, usage, options.api_keys.clone(), metrics.keys.clone(), options.clock.clone())?;
	let gateway = Arc::new(Gateway::new(options, ledger, workers, files, responses.clone(), metrics, ring));
	let developer = keys.developer.public_key().0;
	let mut tasks = JoinSet::new();
	tasks.spawn(ring::supervise(gateway.clone()));
	tasks.spawn(vouchers::supervise(gateway.clone()));
	tasks.spawn(tokenizers::supervise(gateway.clone()));
	tasks.spawn(health::watch(gateway.clone()));
	tasks.spawn(clean(responses));
	tasks.spawn(channels::manage(gateway.clone(), chain.clone(), keys.developer));
	tasks.spawn(snapshot::follow(chain, gateway.snapshots.clone(), developer, signer));
	Ok(Running { gateway, tasks })
}

impl Running {
	/// Waits until every receipt is acknowledged and all usage recorded, for at most `limit`, and ends the tasks.
	pub async fn stop(mut self, limit: Duration) {
		self.flush(limit).await;
		let _ = timeout(Duration::from_secs(1), self.tasks.shutdown()).await;
		if let Err(error) = self.gateway.ledger.rest().await {
			tracing::error!(%error, "the last writes to the ledger may be lost; the next start compares it with the workers'");
		}
		if let Err(error) = self.gateway.keys.flush() {
			tracing::error!(%error, "the usage of API keys since the last write is lost");
		}
		for channel in &self.gateway.snapshots.load().channels {
			let totals = self.gateway.ledger.confirmed(channel.id);
			let promised = format_gnk(totals.fee);
			tracing::info!(
				channel = channel.id,
				receipts = totals.receipts,
				promised,
				"final state of a channel (GNK)"
			);
		}
	}

	async fn flush(&self, limit: Duration) {
		let started = Instant::now();
		let is_due = || {
			let snapshot = self.gateway.snapshots.load();
			snapshot.channels.iter().any(|channel| self.gateway.ledger.open_items(channel.id).0 > 0)
		};
		while (is_due() || self.gateway.keys.running() > 0) && started.elapsed() < limit {
			sleep(Duration::from_millis(20)).await;
		}
	}
}

/// Deletes old responses from time to time. Never returns.
async fn clean(responses: Responses) {
	loop {
		let responses = responses.clone();
		match tokio::task::spawn_blocking(move || responses.clean()).await {
			Ok(Ok(())) => {},
			Ok(Err(error)) => tracing::warn!(%error, "cannot delete old responses"),
			Err(error) => tracing::warn!(%error, "cannot delete old responses"),
		}
		sleep(CLEANING).await;
	}
}

/// The name of a file for one chain and one key: on another chain, the same channel id names another channel, and GNK are
/// others.
fn file_name(kind: &str, genesis: &Hash, key: &[u8; 32], extension: &str) -> String {
	let short = |bytes: &[u8; 32]| hex::encode(bytes).chars().take(16).collect::<String>();
	format!("{kind}-{}-{}.{extension}", short(genesis), short(key))
}
