//! Opens channels to hosts and tops them up, within the spending limit; closes those of no use, and gets their money back.

mod plan;

use crate::{
	chain_view::ChainView,
	config::{Options, format_gnk},
	gateway::Gateway,
	health,
	snapshot::Snapshot,
};
use futures::future::join_all;
use gonka_client::{chain, keys};
use gonka_primitives::{AccountId, Balance};
use plan::{Plan, Sent, Uses};
use std::{
	sync::Arc,
	time::{Duration, Instant},
};
use subxt_signer::sr25519::Keypair;
use tokio::time::sleep;

/// The first pause after a failed transaction. It doubles with every further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Opens, tops up and closes channels as the snapshot changes. Never returns.
pub async fn manage<C: ChainView>(gateway: Arc<Gateway>, chain: C, developer: Keypair) {
	let mut changes = gateway.snapshots.subscribe();
	let (mut sent, mut uses) = (Sent::default(), Uses::default());
	let mut pause = FIRST_PAUSE;
	loop {
		if changes.changed().await.is_err() {
			return;
		}
		let snapshot = gateway.snapshots.load();
		sent.forget_old(&snapshot);
		uses.update(&snapshot, &gateway.ledger, &gateway.router);
		let mut plan = plan::plan(&snapshot, &gateway.ledger, &gateway.options, &gateway.demands(), &uses, &sent);
		gateway.note_shortage(plan.short.then(|| shortage(&snapshot, &gateway.options, &developer)));
		let open = std::mem::take(&mut plan.open);
		let mut done = carry_out(&gateway, &chain, &developer, &snapshot, plan, &mut sent).await;
		if done.is_ok() && !open.is_empty() {
			let plan = Plan { open: reachable(&gateway, &snapshot, open, &mut uses).await, ..Plan::default() };
			done = carry_out(&gateway, &chain, &developer, &snapshot, plan, &mut sent).await;
		}
		match done {
			Ok(()) => pause = FIRST_PAUSE,
			Err(error) => {
				tracing::warn!(%error, "cannot open, top up or close channels; trying again in {} s", pause.as_secs());
				sleep(pause).await;
				pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
			},
		}
	}
}

/// Leaves out the hosts that do not respond: they could do nothing for a deposit.
async fn reachable(
	gateway: &Gateway,
	snapshot: &Snapshot,
	open: Vec<(AccountId, Balance)>,
	uses: &mut Uses,
) -> Vec<(AccountId, Balance)> {
	let queries = open.into_iter().map(async |(account, deposit)| {
		let host = snapshot.hosts.get(&account)?;
		let is_reachable = health::query(gateway, host, 0).await.is_ok();
		Some((account, deposit, is_reachable))
	});
	let mut reachable = Vec::new();
	for (host, deposit, is_reachable) in join_all(queries).await.into_iter().flatten() {
		if is_reachable {
			reachable.push((host, deposit));
		} else {
			uses.note_unreachable(host);
		}
	}
	reachable
}

async fn carry_out<C: ChainView>(
	gateway: &Gateway,
	chain: &C,
	developer: &Keypair,
	snapshot: &Snapshot,
	plan: Plan,
	sent: &mut Sent,
) -> chain::Result<()> {
	let now = Instant::now();
	if !plan.open.is_empty() {
		let total: Balance = plan.open.iter().map(|(_, deposit)| deposit).sum();
		let hosts: Vec<AccountId> = plan.open.iter().map(|(host, _)| *host).collect();
		let ids = chain.open_channels(developer, gateway.ledger.public_key(), plan.open).await?;
		tracing::info!(channels = ?ids, total = format_gnk(total), "opened channels (GNK)");
		sent.opened.extend(hosts.into_iter().map(|host| (host, now)));
		gateway.snapshots.refresh.notify_one();
	}
	if !plan.top_up.is_empty() {
		let total: Balance = plan.top_up.iter().map(|(_, amount)| amount).sum();
		let before = plan.top_up.iter().filter_map(|(id, _)| {
			let channel = snapshot.channels.iter().find(|channel| channel.id == *id)?;
			Some((*id, (channel.deposit, now)))
		});
		let before: Vec<_> = before.collect();
		let count = plan.top_up.len();
		chain.top_up(developer, plan.top_up).await?;
		tracing::info!(channels = count, total = format_gnk(total), "topped up channels (GNK)");
		sent.topped_up.extend(before);
		gateway.snapshots.refresh.notify_one();
	}
	for (id, reason) in plan.close {
		sent.closed.insert(id, now);
		chain.close_channel(developer, id).await?;
		tracing::info!(channel = id, %reason, "closing a channel; its rest comes back after the challenge period");
	}
	for id in plan.withdraw {
		sent.withdrawn.insert(id, now);
		chain.withdraw(developer, id).await?;
		tracing::info!(channel = id, "withdrew the rest of a closed channel");
	}
	Ok(())
}

fn shortage(snapshot: &Snapshot, options: &Options, developer: &Keypair) -> String {
	let minimum = snapshot.market.as_ref().map_or(0, |market| market.min_deposit);
	let limit = options.spending_limit.map_or("none".to_owned(), |limit| format!("{} GNK", format_gnk(limit)));
	format!(
		"The gateway's account {} holds {} GNK, a channel takes {} GNK, the spending limit is {limit}. Fund the account or \
		 raise the limit.",
		keys::ss58(&keys::public(developer)),
		format_gnk(snapshot.balance),
		format_gnk(options.deposit.max(minimum)),
	)
}
