//! One task per channel: it reconciles the channel with its worker, acknowledges receipts with vouchers, and queries
//! the worker about responses that ended without a receipt.

use crate::{gateway::Gateway, reconcile::ReconcileError, snapshot::Host, store::StoreError, worker_client::CallError};
use gonka_client::{
	keys,
	worker_api::{Acknowledgement, ErrorCode},
};
use gonka_primitives::{ChannelId, views::ChannelView};
use std::{
	collections::HashMap,
	pin::pin,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::{sync::Notify, task::JoinSet, time::sleep};

/// The first pause of a [`Backoff`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause of a [`Backoff`], and of a task without work.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Maximum time for which a receipt waits for others, to be paid by one voucher with them. A client's next request often comes at
/// once, and is served meanwhile.
const GATHER: Duration = Duration::from_millis(100);
/// Number of running and unpaid requests from which on receipts do not wait: half of the credit that hosts give at first.
const PRESSING: usize = 4;
/// Maximum time between two queries of a channel. The worker may have receipts of which this gateway knows nothing: for envelopes
/// that a crash lost, or that another gateway with the same key issued.
const LONGEST_UNSEEN: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
enum ChannelError {
	#[error("the worker {0}")]
	Call(#[from] CallError),
	#[error(transparent)]
	Reconcile(#[from] ReconcileError),
	#[error(transparent)]
	Store(#[from] StoreError),
}

/// A pause that doubles with every use.
struct Backoff(Duration);

impl Default for Backoff {
	fn default() -> Self {
		Self(FIRST_PAUSE)
	}
}

impl Backoff {
	fn next(&mut self) -> Duration {
		let pause = self.0;
		self.0 = pause.saturating_mul(2).min(LONGEST_PAUSE);
		pause
	}
}

/// Runs a task for every channel on chain, until the channel is gone from there. Never returns.
pub async fn supervise(gateway: Arc<Gateway>) {
	let mut changes = gateway.snapshots.subscribe();
	let mut tasks = JoinSet::new();
	let mut running = HashMap::new();
	loop {
		let snapshot = gateway.snapshots.load();
		for channel in &snapshot.channels {
			running.entry(channel.id).or_insert_with(|| tasks.spawn(keep(gateway.clone(), channel.id)));
		}
		running.retain(|_, task| !task.is_finished());
		while tasks.try_join_next().is_some() {}
		gateway.observe_channels(&snapshot);
		if changes.changed().await.is_err() {
			return;
		}
	}
}

/// Keeps a channel in step with its worker and its receipts acknowledged, until the channel is gone.
async fn keep(gateway: Arc<Gateway>, id: ChannelId) {
	let ledger = &gateway.ledger;
	let wake = ledger.wake(id);
	let (mut retry, mut query) = (Backoff::default(), Backoff::default());
	let (mut next_query, mut last_query) = (Instant::now(), Instant::now());
	let mut has_warned = false;
	loop {
		let Some((channel, host)) = find(&gateway, id) else {
			if !gateway.snapshots.load().channels.iter().any(|channel| channel.id == id) {
				return;
			}
			sleep(LONGEST_PAUSE).await;
			continue;
		};
		let is_query_due = ledger.has_loose_ends(id) && Instant::now() >= next_query;
		let is_unseen = last_query.elapsed() >= LONGEST_UNSEEN;
		let must_query = is_query_due || is_unseen || ledger.available(&channel).is_none();
		if let Err(error) = update(&gateway, id, &host, must_query).await {
			let is_wrong =
				matches!(&error, ChannelError::Call(CallError::Refused { code: ErrorCode::WrongTotals, .. }));
			// Envelopes whose end is not known hold their maximum fee: no more of them.
			if is_wrong || last_query.elapsed() >= LONGEST_UNSEEN.saturating_mul(4) {
				ledger.unsync(id);
			}
			// One warning per outage: a worker that is down for a day is no news every ten seconds.
			if has_warned {
				tracing::debug!(channel = id, %error, "the channel is not in step");
			} else {
				let host_id = keys::ss58(&host.account);
				tracing::warn!(channel = id, host = host_id, url = host.url, %error, "cannot pay a host; trying again");
			}
			has_warned = true;
			sleep(retry.next()).await;
			continue;
		}
		(retry, has_warned) = (Backoff::default(), false);
		if must_query {
			last_query = Instant::now();
		}
		if is_query_due {
			next_query = Instant::now().checked_add(query.next()).unwrap_or(next_query);
		}
		let rest = if ledger.has_loose_ends(id) {
			next_query.saturating_duration_since(Instant::now())
		} else {
			(query, next_query) = (Backoff::default(), Instant::now());
			LONGEST_PAUSE
		};
		if ledger.open_items(id).0 == 0 {
			tokio::select! {
				() = wake.notified() => {},
				() = sleep(rest) => {},
			}
		}
		gather(&gateway, id, &wake).await;
	}
}

/// Waits for more receipts, unless the host could want the voucher before it serves another request.
async fn gather(gateway: &Gateway, id: ChannelId, wake: &Notify) {
	let ended = sleep(GATHER);
	let mut ended = pin!(ended);
	let (mut due, mut running) = gateway.ledger.open_items(id);
	while due > 0 && due.saturating_add(running) < PRESSING {
		let before = (due, running);
		tokio::select! {
			() = wake.notified() => {},
			() = &mut ended => return,
		}
		(due, running) = gateway.ledger.open_items(id);
		// The host has asked for the voucher, or the channel needs something else.
		if (due, running) == before {
			return;
		}
	}
}

fn find(gateway: &Gateway, id: ChannelId) -> Option<(Arc<ChannelView>, Arc<Host>)> {
	let snapshot = gateway.snapshots.load();
	let channel = snapshot.channels.iter().find(|channel| channel.id == id)?;
	Some((channel.clone(), snapshot.hosts.get(&channel.host)?.clone()))
}

async fn update(gateway: &Gateway, id: ChannelId, host: &Host, must_query: bool) -> Result<(), ChannelError> {
	if must_query {
		reconcile(gateway, id, host).await?;
	}
	acknowledge(gateway, id, host).await
}

async fn reconcile(gateway: &Gateway, id: ChannelId, host: &Host) -> Result<(), ChannelError> {
	let held = gateway.ledger.held(id);
	let state = gateway.workers.channel(&host.url, &gateway.ledger.query(id)).await?;
	let reconciled = gateway.ledger.reconcile(id, &state, &host.worker, &held).await?;
	for (key, fee) in reconciled.charges {
		gateway.keys.charge(&key, fee);
	}
	if reconciled.is_shared {
		tracing::error!(
			channel = id,
			"the worker has seen requests that are not in this ledger: another gateway uses the same key, or the ledger is an old \
			 copy. Their receipts are paid, but requests fail now and then: give each gateway a key of its own"
		);
		gateway.metrics.shared_key.inc();
	}
	if reconciled.rejected > 0 {
		gateway.metrics.rejected.inc_by(reconciled.rejected);
		gateway.router.distrust(&host.account);
	}
	if let Some(acknowledgement) = reconciled.again {
		tracing::warn!(channel = id, "the worker lost a voucher; sending it again");
		gateway.workers.acknowledge(&host.url, &acknowledgement).await?;
	}
	Ok(())
}

/// Sends the voucher that is not confirmed yet, or one for all receipts that are due.
async fn acknowledge(gateway: &Gateway, id: ChannelId, host: &Host) -> Result<(), ChannelError> {
	if let Some(acknowledgement) = gateway.ledger.promise(id).await? {
		gateway.workers.acknowledge(&host.url, &acknowledgement).await?;
		gateway.ledger.confirm(id).await?;
		note_confirmed(gateway, id, &acknowledgement);
	}
	Ok(())
}

fn note_confirmed(gateway: &Gateway, id: ChannelId, acknowledgement: &Acknowledgement) {
	gateway.metrics.vouchers.inc();
	gateway.router.note_served(id);
	for _ in &acknowledgement.receipts {
		gateway.freed.notify_one();
	}
	let totals = acknowledgement.voucher.0.voucher.totals;
	tracing::debug!(channel = id, receipts = totals.receipts, fee = totals.fee, "voucher confirmed");
}
