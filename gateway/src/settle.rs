//! Per channel one task: it brings the channel in step with its worker, acknowledges receipts with vouchers, and asks
//! after answers that ended without a receipt.

use crate::{gateway::Gateway, reconcile::ReconcileError, snapshot::Host, store::StoreError, worker_client::CallError};
use gonka_client::wire::{Acknowledgement, ErrorCode};
use gonka_primitives::{ChannelId, views::ChannelView};
use std::{
	collections::HashMap,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum SettleError {
	#[error("the worker {0}")]
	Call(#[from] CallError),
	#[error(transparent)]
	Reconcile(#[from] ReconcileError),
	#[error(transparent)]
	Store(#[from] StoreError),
}

/// Runs a task for every channel on chain, until it is gone from there. Never returns.
pub async fn supervise(gateway: Arc<Gateway>) {
	let mut changes = gateway.snapshots.subscribe();
	let mut tasks = JoinSet::new();
	let mut running = HashMap::new();
	loop {
		let snapshot = gateway.snapshots.load();
		for channel in &snapshot.channels {
			running.entry(channel.id).or_insert_with(|| tasks.spawn(settle(gateway.clone(), channel.id)));
		}
		running.retain(|_, task| !task.is_finished());
		while tasks.try_join_next().is_some() {}
		gateway.observe_channels(&snapshot);
		if changes.changed().await.is_err() {
			return;
		}
	}
}

async fn settle(gateway: Arc<Gateway>, id: ChannelId) {
	let wake = gateway.ledger.wake(id);
	let (mut pause, mut look_pause) = (FIRST_PAUSE, FIRST_PAUSE);
	let mut look_at = Instant::now();
	let mut complained = false;
	loop {
		let Some((channel, host)) = place(&gateway, id) else {
			let gone = !gateway.snapshots.load().channels.iter().any(|channel| channel.id == id);
			if gone {
				return;
			}
			sleep(LONGEST_PAUSE).await;
			continue;
		};
		let in_step = gateway.ledger.available(&channel).is_some();
		let look = gateway.ledger.has_loose_ends(id) && Instant::now() >= look_at;
		let result = async {
			if !in_step || look {
				ask(&gateway, id, &host).await?;
			}
			acknowledge(&gateway, id, &host).await
		};
		match result.await {
			Ok(()) => (pause, complained) = (FIRST_PAUSE, false),
			Err(error) => {
				if matches!(&error, SettleError::Call(CallError::Refused { code: ErrorCode::WrongTotals, .. })) {
					gateway.ledger.unsync(id);
				}
				// Once per trouble: a worker that is down for a day is no news every ten seconds.
				if complained {
					tracing::debug!(channel = id, %error, "channel is not in step");
				} else {
					tracing::warn!(channel = id, host = hex::encode(host.account), url = host.url, %error, "cannot settle with a host; trying again");
				}
				complained = true;
				sleep(pause).await;
				pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
				continue;
			},
		}
		if look {
			look_pause = look_pause.saturating_mul(2).min(LONGEST_PAUSE);
		}
		if gateway.ledger.has_loose_ends(id) {
			if look || look_at <= Instant::now() {
				look_at = Instant::now().checked_add(look_pause).unwrap_or_else(Instant::now);
			}
		} else {
			look_pause = FIRST_PAUSE;
		}
		let rest = if gateway.ledger.has_loose_ends(id) {
			look_at.saturating_duration_since(Instant::now())
		} else {
			LONGEST_PAUSE
		};
		tokio::select! {
			() = wake.notified() => {},
			() = sleep(rest) => {},
		}
	}
}

fn place(gateway: &Gateway, id: ChannelId) -> Option<(Arc<ChannelView>, Arc<Host>)> {
	let snapshot = gateway.snapshots.load();
	let channel = snapshot.channels.iter().find(|channel| channel.id == id)?;
	Some((channel.clone(), snapshot.hosts.get(&channel.host)?.clone()))
}

async fn ask(gateway: &Gateway, id: ChannelId, host: &Host) -> Result<(), SettleError> {
	let held = gateway.ledger.held(id);
	let state = gateway.workers.channel(&host.url, &gateway.ledger.query(id)).await?;
	let (refused, again) = gateway.ledger.reconcile(id, &state, &host.worker, &held).await?;
	if refused > 0 {
		gateway.metrics.refused.inc_by(refused);
		gateway.router.lied(&host.account);
	}
	if let Some(acknowledgement) = again {
		tracing::warn!(channel = id, "the worker fell back behind a voucher; sending it again");
		gateway.workers.acknowledge(&host.url, &acknowledgement).await?;
	}
	Ok(())
}

/// Sends vouchers until nothing is due. Receipts that come in meanwhile share the next one.
async fn acknowledge(gateway: &Gateway, id: ChannelId, host: &Host) -> Result<(), SettleError> {
	while let Some(acknowledgement) = gateway.ledger.promise(id).await? {
		gateway.workers.acknowledge(&host.url, &acknowledgement).await?;
		gateway.ledger.confirm(id).await?;
		note(gateway, id, &acknowledgement);
	}
	Ok(())
}

fn note(gateway: &Gateway, id: ChannelId, acknowledgement: &Acknowledgement) {
	gateway.metrics.vouchers.inc();
	for _ in &acknowledgement.receipts {
		gateway.freed.notify_one();
	}
	let totals = acknowledgement.voucher.0.voucher.totals;
	tracing::debug!(channel = id, receipts = totals.receipts, fee = totals.fee, "voucher confirmed");
}
