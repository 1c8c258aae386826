//! Opens channels to hosts and tops them up, within the spending limit.

use crate::{
	chain_view::ChainView,
	config::{Options, format_gnk},
	gateway::Gateway,
	ledger::Ledger,
	snapshot::Snapshot,
};
use gonka_client::chain;
use gonka_primitives::{AccountId, Balance, ChannelId, GNK};
use std::{
	cmp::Reverse,
	collections::HashMap,
	sync::Arc,
	time::{Duration, Instant},
};
use subxt_signer::sr25519::Keypair;
use tokio::time::sleep;

/// Base units that are kept back for transaction fees. To open 64 channels costs 0.015 GNK, and more while blocks are
/// full.
const FEE_RESERVE: Balance = GNK / 10;
/// How long a transaction may take to show in the snapshot before it is sent again.
const VISIBILITY_LIMIT: Duration = Duration::from_secs(60);
/// The first pause after a failed transaction. It doubles with every further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The transactions that a snapshot calls for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
	/// Channels to open: hosts and deposits in base units.
	pub open: Vec<(AccountId, Balance)>,
	/// Channels to top up: ids and base units to add.
	pub top_up: Vec<(ChannelId, Balance)>,
	/// Whether funds are missing for more.
	pub short: bool,
}

/// Transactions that were sent and may not show in the snapshot yet.
#[derive(Debug, Default)]
struct Sent {
	opened: HashMap<AccountId, Instant>,
	topped_up: HashMap<ChannelId, (Balance, Instant)>,
}

impl Sent {
	fn forget_old(&mut self, snapshot: &Snapshot) {
		let shown = |host: &AccountId| snapshot.channels.iter().any(|channel| channel.host == *host);
		self.opened.retain(|host, at| !shown(host) && at.elapsed() < VISIBILITY_LIMIT);
		self.topped_up.retain(|id, (deposit, at)| {
			let now = snapshot.channels.iter().find(|channel| channel.id == *id).map(|channel| channel.deposit);
			now == Some(*deposit) && at.elapsed() < VISIBILITY_LIMIT
		});
	}
}

/// Opens and tops up channels as the snapshot changes. Never returns.
pub async fn manage<C: ChainView>(gateway: Arc<Gateway>, chain: C, developer: Keypair) {
	let mut changes = gateway.snapshots.subscribe();
	let mut sent = Sent::default();
	let mut pause = FIRST_PAUSE;
	loop {
		if changes.changed().await.is_err() {
			return;
		}
		let snapshot = gateway.snapshots.load();
		sent.forget_old(&snapshot);
		let plan = plan(&snapshot, &gateway.ledger, &gateway.options, &gateway.demands(), &sent);
		gateway.note_shortage(plan.short.then(|| shortage(&snapshot, &gateway.options)));
		match carry_out(&gateway, &chain, &developer, &snapshot, plan, &mut sent).await {
			Ok(()) => pause = FIRST_PAUSE,
			Err(error) => {
				tracing::warn!(%error, "cannot open or top up channels; trying again in {} s", pause.as_secs());
				sleep(pause).await;
				pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
			},
		}
	}
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
	Ok(())
}

fn plan(
	snapshot: &Snapshot,
	ledger: &Ledger,
	options: &Options,
	demands: &HashMap<ChannelId, Balance>,
	sent: &Sent,
) -> Plan {
	let Some(market) = &snapshot.market else { return Plan::default() };
	let deposit = options.deposit.max(market.min_deposit);
	let in_channels: Balance = snapshot.channels.iter().map(|channel| channel.deposit).sum();
	let allowed = options.spending_limit.map_or(Balance::MAX, |limit| limit.saturating_sub(in_channels));
	let mut budget = snapshot.balance.saturating_sub(FEE_RESERVE).min(allowed);
	let mut plan = Plan::default();

	// Channels in use come first.
	for (channel, _) in snapshot.open_channels().filter(|(_, host)| !host.models.is_empty()) {
		let remaining = ledger.remaining(channel);
		let demand = demands.get(&channel.id).copied().unwrap_or(0);
		if remaining >= demand.max(deposit / 2) || sent.topped_up.contains_key(&channel.id) {
			continue;
		}
		let missing = demand.max(deposit).saturating_sub(remaining);
		let amount = missing.min(budget);
		plan.short = plan.short || amount < missing;
		if amount > 0 && plan.top_up.len() < market.max_channels_per_call as usize {
			budget = budget.saturating_sub(amount);
			plan.top_up.push((channel.id, amount));
		}
	}

	let open = snapshot.open_channels().count().saturating_add(sent.opened.len());
	let slots = options.max_channels.saturating_sub(open).min(market.max_channels_per_call as usize);
	let mut hosts: Vec<_> = snapshot
		.hosts
		.values()
		.filter(|host| snapshot.models.values().any(|model| model.variant(host).is_some()))
		.filter(|host| !sent.opened.contains_key(&host.account))
		.filter(|host| !snapshot.open_channels().any(|(channel, _)| channel.host == host.account))
		.collect();
	hosts.sort_by_key(|host| (Reverse(host.weight), host.account));
	for host in hosts.into_iter().take(slots) {
		if budget < deposit {
			plan.short = plan.short || open == 0 && plan.open.is_empty();
			break;
		}
		budget = budget.saturating_sub(deposit);
		plan.open.push((host.account, deposit));
	}
	plan
}

fn shortage(snapshot: &Snapshot, options: &Options) -> String {
	let limit = options.spending_limit.map_or("none".to_owned(), |limit| format!("{} GNK", format_gnk(limit)));
	format!(
		"The gateway's account holds {} GNK, a channel takes {} GNK, the spending limit is {limit}. Fund the account or \
		 raise the limit.",
		format_gnk(snapshot.balance),
		format_gnk(options.deposit),
	)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		snapshot::{Host, Model},
		store::Store,
	};
	use gonka_primitives::{
		market::{Price, Totals},
		views::{ChannelView, MarketView, ModelView},
	};
	use subxt_signer::sr25519::dev;

	fn ledger(dir: &tempfile::TempDir) -> Ledger {
		let (store, saved) = Store::open(&dir.path().join("ledger")).unwrap();
		Ledger::new([0; 32], dev::alice(), store, saved)
	}

	fn snapshot(weights: &[u64], balance: Balance) -> Snapshot {
		let model = ModelView {
			id: 3,
			name: b"m".to_vec(),
			weights_hash: [0; 32],
			tokenizer_hash: [0; 32],
			context_length: 100,
			price: Price::default(),
		};
		let hosts = weights.iter().enumerate().map(|(index, weight)| {
			let account = [index as u8; 32];
			let url = String::new();
			(account, Arc::new(Host { account, worker: [0; 32], url, models: vec![3], weight: *weight }))
		});
		Snapshot {
			models: Model::by_name([model]),
			hosts: Arc::new(hosts.collect()),
			balance,
			market: Some(Arc::new(MarketView {
				window: 10,
				max_vouchers: 10,
				max_channels_per_call: 4,
				min_deposit: GNK,
				challenge_period: 10,
			})),
			..Snapshot::default()
		}
	}

	fn channel(id: ChannelId, host: u8, deposit: Balance, settled: Balance) -> Arc<ChannelView> {
		Arc::new(ChannelView {
			id,
			developer: [0; 32],
			host: [host; 32],
			gateway: [0; 32],
			deposit,
			settled: Totals { fee: settled, ..Totals::default() },
			closes: None,
		})
	}

	#[tokio::test]
	async fn the_heaviest_hosts_get_channels_first() {
		let dir = tempfile::tempdir().unwrap();
		let ledger = ledger(&dir);
		let options = Options { max_channels: 2, ..Options::default() };
		let plan = plan(&snapshot(&[1, 9, 5], 100 * GNK), &ledger, &options, &HashMap::new(), &Sent::default());
		assert_eq!(plan.open, [([1; 32], 10 * GNK), ([2; 32], 10 * GNK)]);
		assert!(plan.top_up.is_empty() && !plan.short);
	}

	#[tokio::test]
	async fn balance_and_spending_limit_bound_the_number_of_channels() {
		let dir = tempfile::tempdir().unwrap();
		let ledger = ledger(&dir);
		let sent = Sent::default();
		assert_eq!(
			plan(&snapshot(&[1, 1], 15 * GNK), &ledger, &Options::default(), &HashMap::new(), &sent).open.len(),
			1
		);
		let options = Options { spending_limit: Some(25 * GNK), ..Options::default() };
		assert_eq!(plan(&snapshot(&[1; 4], 1000 * GNK), &ledger, &options, &HashMap::new(), &sent).open.len(), 2);
		let poor = plan(&snapshot(&[1], GNK), &ledger, &Options::default(), &HashMap::new(), &sent);
		assert!(poor.open.is_empty() && poor.short);
	}

	#[tokio::test]
	async fn a_channel_is_topped_up_for_a_request_that_it_cannot_pay() {
		let dir = tempfile::tempdir().unwrap();
		let ledger = ledger(&dir);
		let mut snapshot = snapshot(&[1], 100 * GNK);
		snapshot.channels = vec![channel(7, 0, 10 * GNK, GNK)];
		let demands = HashMap::from([(7, 25 * GNK)]);
		let filled = plan(&snapshot, &ledger, &Options::default(), &demands, &Sent::default());
		assert_eq!((filled.top_up, filled.short), (vec![(7, 16 * GNK)], false));
		let options = Options { spending_limit: Some(12 * GNK), ..Options::default() };
		assert!(plan(&snapshot, &ledger, &options, &demands, &Sent::default()).short);
	}

	#[tokio::test]
	async fn a_half_used_channel_is_topped_up_once() {
		let dir = tempfile::tempdir().unwrap();
		let ledger = ledger(&dir);
		let mut snapshot = snapshot(&[1], 100 * GNK);
		snapshot.channels = vec![channel(7, 0, 10 * GNK, 6 * GNK)];
		let mut sent = Sent::default();
		let plan_of =
			|snapshot: &Snapshot, sent: &Sent| plan(snapshot, &ledger, &Options::default(), &HashMap::new(), sent);
		assert_eq!(plan_of(&snapshot, &sent).top_up, [(7, 6 * GNK)]);
		sent.topped_up.insert(7, (10 * GNK, Instant::now()));
		sent.forget_old(&snapshot);
		assert_eq!(plan_of(&snapshot, &sent), Plan::default());
		snapshot.channels = vec![channel(7, 0, 16 * GNK, 6 * GNK)];
		sent.forget_old(&snapshot);
		assert_eq!(plan_of(&snapshot, &sent), Plan::default());
		assert!(sent.topped_up.is_empty());
	}
}
