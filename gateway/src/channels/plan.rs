//! The transactions that the state of the channels calls for.
//!
//! `--max-channels` are shared by the models: each model in use gets channels in turn, to its heaviest hosts first. So no model
//! starves behind the hosts of others. A model of which nobody has requested anything for a day keeps one channel.

use crate::{
	config::Options,
	ledger::Ledger,
	router::Router,
	snapshot::{Host, Model, Snapshot},
};
use gonka_primitives::{AccountId, Balance, ChannelId, GNK, market::Totals, views::ChannelView};
use std::{
	cmp::Reverse,
	collections::{HashMap, HashSet},
	fmt,
	sync::Arc,
	time::{Duration, Instant},
};

/// Base units that are kept back for transaction fees. To open 64 channels costs 0.015 GNK, and more while blocks are
/// full.
const FEE_RESERVE: Balance = GNK / 10;
/// How long a transaction may take to show in the snapshot before it is sent again.
const VISIBILITY_LIMIT: Duration = Duration::from_secs(60);
/// Time without a request after which a model, or a channel, is out of use.
const OUT_OF_USE: Duration = Duration::from_secs(24 * 3600);
/// Time after which a channel is closed whose host does not respond.
const DEAD: Duration = Duration::from_secs(3600);
/// Time after which a channel is closed whose host wants to be paid more.
const REFUSED: Duration = Duration::from_secs(60);
/// Time after which a channel is closed whose host serves no model any more.
const USELESS: Duration = Duration::from_secs(600);
/// Time after which a host is queried again that did not respond when it was to get a channel.
const RETRY: Duration = Duration::from_secs(30);
/// Time after which a host gets a channel again that did not respond.
const ANOTHER_CHANCE: Duration = Duration::from_secs(3600);

/// Why a channel is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
	/// Its host is condemned, gone, or serves no registered model.
	Useless,
	/// Its host has not responded for an hour, or not about the channel.
	Dead,
	/// Its host rejects all requests on it, though it was paid for all.
	Refused,
	/// Nobody has used it for a day.
	Unused,
	/// Another model has no channel.
	Replaced,
}

impl fmt::Display for Reason {
	fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
		out.write_str(match self {
			Self::Useless => "its host is condemned, gone, or serves no model",
			Self::Dead => "its host has not responded for an hour, or not about the channel",
			Self::Refused => "its host rejects all requests, though it was paid for all receipts that are right",
			Self::Unused => "it was not used for a day",
			Self::Replaced => "another model has no channel, and --max-channels are open",
		})
	}
}

/// The transactions that a snapshot calls for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
	/// Channels to open: hosts and deposits in base units.
	pub open: Vec<(AccountId, Balance)>,
	/// Channels to top up: ids and base units to add.
	pub top_up: Vec<(ChannelId, Balance)>,
	/// Channels to close.
	pub close: Vec<(ChannelId, Reason)>,
	/// Channels whose challenge period is over.
	pub withdraw: Vec<ChannelId>,
	/// Whether funds are missing for more.
	pub short: bool,
}

/// Transactions that were sent and may not show in the snapshot yet.
#[derive(Debug, Default)]
pub struct Sent {
	/// Hosts to which channels were opened.
	pub opened: HashMap<AccountId, Instant>,
	/// Channels that were topped up, with their deposits before.
	pub topped_up: HashMap<ChannelId, (Balance, Instant)>,
	/// Channels that were closed.
	pub closed: HashMap<ChannelId, Instant>,
	/// Channels that were withdrawn.
	pub withdrawn: HashMap<ChannelId, Instant>,
}

impl Sent {
	/// Forgets what the snapshot shows, and what it does not show for too long.
	pub fn forget_old(&mut self, snapshot: &Snapshot) {
		let shown = |host: &AccountId| snapshot.open_channels().any(|(channel, _)| channel.host == *host);
		self.opened.retain(|host, at| !shown(host) && at.elapsed() < VISIBILITY_LIMIT);
		self.topped_up.retain(|id, (deposit, at)| {
			let now = snapshot.channels.iter().find(|channel| channel.id == *id).map(|channel| channel.deposit);
			now == Some(*deposit) && at.elapsed() < VISIBILITY_LIMIT
		});
		let is_open =
			|id: &ChannelId| snapshot.channels.iter().any(|channel| channel.id == *id && channel.closes.is_none());
		self.closed.retain(|id, at| is_open(id) && at.elapsed() < VISIBILITY_LIMIT);
		self.withdrawn.retain(|_, at| at.elapsed() < VISIBILITY_LIMIT);
	}
}

/// The use of models and channels.
#[derive(Debug, Default)]
pub struct Uses {
	/// Time since the last request, by model. A registration of several is in it only if it was requested by its own name.
	models: HashMap<String, Duration>,
	/// Time since the last request, by host.
	idle: HashMap<AccountId, Duration>,
	/// Time since the last response, or since the channel was first seen, by host.
	silent: HashMap<AccountId, Duration>,
	/// When channels were first seen open, or when they were last settled: perhaps for another gateway of the same developer.
	active: HashMap<ChannelId, (Totals, Instant)>,
	/// The time since which channels are out of step.
	astray: HashMap<ChannelId, Instant>,
	/// Times for which the hosts of channels rejected all requests, since they wanted to be paid more.
	refused: HashMap<ChannelId, Duration>,
	/// The time since which the host of a channel serves no model.
	useless: HashMap<ChannelId, Instant>,
	/// When hosts were found dead.
	dead: HashMap<AccountId, Instant>,
	/// When hosts did not respond that were to get a channel.
	unreachable: HashMap<AccountId, Instant>,
}

impl Uses {
	/// Brings all up to date.
	pub fn update(&mut self, snapshot: &Snapshot, ledger: &Ledger, router: &Router) {
		let models = snapshot.models.values().filter_map(|model| Some((model.name.clone(), router.unused(model)?)));
		self.models = models.collect();
		let open: Vec<_> = snapshot.channels.iter().filter(|channel| channel.closes.is_none()).collect();
		let now = Instant::now();
		let since = |channel: &ChannelView| {
			let known = self.active.get(&channel.id).filter(|(settled, _)| *settled == channel.settled);
			known.map_or(now, |(_, since)| *since)
		};
		self.active = open.iter().map(|channel| (channel.id, (channel.settled, since(channel)))).collect();
		let quiet = |channel: &ChannelView| self.active.get(&channel.id).map(|(_, since)| since.elapsed());
		let idle =
			open.iter().filter_map(|channel| Some((channel.host, router.idle(&channel.host).min(quiet(channel)?))));
		self.idle = idle.collect();
		let silent =
			open.iter().filter_map(|channel| Some((channel.host, router.silent(&channel.host)?.min(quiet(channel)?))));
		self.silent = silent.collect();
		let (in_step, astray): (Vec<&Arc<ChannelView>>, Vec<_>) =
			open.iter().partition(|channel| ledger.available(channel).is_some());
		let since = |id: ChannelId| self.astray.get(&id).copied().unwrap_or(now);
		// If all are, it is the gateway that is cut off.
		let astray = astray.into_iter().filter(|_| !in_step.is_empty());
		self.astray = astray.map(|channel| (channel.id, since(channel.id))).collect();
		self.refused = router.refused(&open);
		let useless = open.iter().filter(|channel| !is_useful(snapshot, channel)).map(|channel| channel.id);
		self.useless = useless.map(|id| (id, self.useless.get(&id).copied().unwrap_or(now))).collect();
		self.dead.retain(|_, at| at.elapsed() < ANOTHER_CHANCE);
		self.unreachable.retain(|_, at| at.elapsed() < RETRY);
		// If all are silent, it is the gateway that is cut off.
		let is_connected = open.iter().filter_map(|channel| router.silent(&channel.host)).any(|silent| silent <= DEAD);
		let silent = self.silent.iter().filter(|(_, silent)| is_connected && **silent > DEAD).map(|(host, _)| *host);
		let broken = open.iter().filter(|channel| self.is_astray(channel.id) || self.is_refused(channel.id));
		for host in silent.chain(broken.map(|channel| channel.host)).collect::<Vec<_>>() {
			self.dead.entry(host).or_insert(now);
		}
	}

	/// Notes that a host does not respond, so that it gets no channel now.
	pub fn note_unreachable(&mut self, host: AccountId) {
		self.unreachable.insert(host, Instant::now());
	}

	fn is_missing(&self, host: &AccountId) -> bool {
		self.dead.contains_key(host) || self.unreachable.contains_key(host)
	}

	fn is_astray(&self, channel: ChannelId) -> bool {
		self.astray.get(&channel).is_some_and(|since| since.elapsed() > DEAD)
	}

	fn is_refused(&self, channel: ChannelId) -> bool {
		self.refused.get(&channel).is_some_and(|since| *since > REFUSED)
	}

	fn is_in_use(&self, model: &Model) -> bool {
		self.models.get(&model.name).is_some_and(|unused| *unused < OUT_OF_USE)
	}

	fn is_idle(&self, host: &AccountId) -> bool {
		self.idle.get(host).is_some_and(|idle| *idle >= OUT_OF_USE)
	}
}

fn is_useful(snapshot: &Snapshot, channel: &ChannelView) -> bool {
	let host = snapshot.hosts.get(&channel.host);
	host.is_some_and(|host| snapshot.models.values().any(|model| model.variant(host).is_some()))
}

/// Finds the transactions that the snapshot calls for.
pub fn plan(
	snapshot: &Snapshot,
	ledger: &Ledger,
	options: &Options,
	demands: &HashMap<ChannelId, Balance>,
	uses: &Uses,
	sent: &Sent,
) -> Plan {
	let Some(market) = &snapshot.market else { return Plan::default() };
	let deposit = options.deposit.max(market.min_deposit);
	let max_per_call = market.max_channels_per_call as usize;
	let in_channels: Balance = snapshot.channels.iter().map(|channel| channel.deposit).sum();
	let allowed = options.spending_limit.map_or(Balance::MAX, |limit| limit.saturating_sub(in_channels));
	let mut budget = snapshot.balance.saturating_sub(FEE_RESERVE).min(allowed);
	let mut plan = Plan { close: closings(snapshot, ledger, uses), ..Plan::default() };
	let over = snapshot.channels.iter().filter(|channel| channel.closes.is_some_and(|closes| closes <= snapshot.block));
	plan.withdraw = over.map(|channel| channel.id).filter(|id| !sent.withdrawn.contains_key(id)).collect();
	let is_closing = |plan: &Plan, id: ChannelId| {
		sent.closed.contains_key(&id) || plan.close.iter().any(|(closing, _)| *closing == id)
	};

	// Channels in use come first. One that is out of step may hold enough.
	let in_step = |channel: &ChannelView| ledger.available(channel).is_some();
	for (channel, _) in snapshot.open_channels().filter(|(channel, host)| !host.models.is_empty() && in_step(channel)) {
		let remaining = ledger.remaining(channel);
		let demand = demands.get(&channel.id).copied().unwrap_or(0);
		let is_topped_up = sent.topped_up.contains_key(&channel.id);
		if remaining >= demand.max(deposit / 2) || is_topped_up || is_closing(&plan, channel.id) {
			continue;
		}
		let missing = demand.max(deposit).saturating_sub(remaining);
		let amount = missing.min(budget);
		plan.short = plan.short || amount < missing;
		if amount > 0 && plan.top_up.len() < max_per_call {
			budget = budget.saturating_sub(amount);
			plan.top_up.push((channel.id, amount));
		}
	}

	let open: Vec<_> = snapshot.open_channels().filter(|(channel, _)| !is_closing(&plan, channel.id)).collect();
	let opened = sent.opened.keys().filter_map(|host| snapshot.hosts.get(host));
	let mut served: Vec<&Arc<Host>> = open.iter().map(|(_, host)| *host).chain(opened).collect();
	let taken = served.len();
	let mut openings = Openings::new(snapshot, uses);
	while served.len() < options.max_channels && plan.open.len() < max_per_call {
		let Some(host) = openings.next(&served) else { break };
		if budget < deposit {
			plan.short = plan.short || taken == 0 && plan.open.is_empty();
			break;
		}
		budget = budget.saturating_sub(deposit);
		plan.open.push((host.account, deposit));
		served.push(host);
	}
	if served.len() >= options.max_channels
		&& openings.has_starving(&served)
		&& let Some(id) = replaceable(&open, ledger, uses, &openings)
	{
		plan.close.push((id, Reason::Replaced));
	}
	plan.close.retain(|(id, _)| !sent.closed.contains_key(id));
	plan
}

/// The hosts to which channels can be opened, by model.
struct Openings<'a> {
	/// Models in use, with their hosts, the heaviest first.
	used: Vec<(&'a Model, Vec<&'a Arc<Host>>)>,
	/// The others.
	unused: Vec<(&'a Model, Vec<&'a Arc<Host>>)>,
}

impl<'a> Openings<'a> {
	fn new(snapshot: &'a Snapshot, uses: &Uses) -> Self {
		let mut models: Vec<&Model> = snapshot.models.values().map(|model| &**model).collect();
		models.retain(|model| uses.models.contains_key(&model.name));
		models.sort_by(|a, b| a.name.cmp(&b.name));
		let with_hosts = |model: &'a Model| {
			let alive = snapshot.serving(model).filter(|host| !uses.is_missing(&host.account));
			let mut hosts: Vec<_> = alive.collect();
			hosts.sort_by_key(|host| (Reverse(host.weight), host.account));
			(model, hosts)
		};
		let (used, unused): (Vec<_>, Vec<_>) = models.into_iter().partition(|model| uses.is_in_use(model));
		Self { used: used.into_iter().map(with_hosts).collect(), unused: unused.into_iter().map(with_hosts).collect() }
	}

	/// The next host: of the model in use that has the fewest, or of another that has none.
	fn next(&mut self, served: &[&Arc<Host>]) -> Option<&'a Arc<Host>> {
		let has = |host: &Arc<Host>| served.iter().any(|served| served.account == host.account);
		for (_, hosts) in self.used.iter_mut().chain(&mut self.unused) {
			hosts.retain(|host| !has(host));
		}
		let used = self.used.iter().filter(|(_, hosts)| !hosts.is_empty());
		let poorest = used.min_by_key(|(model, _)| count(served, model));
		let without = || self.unused.iter().find(|(model, hosts)| !hosts.is_empty() && count(served, model) == 0);
		poorest.or_else(without).and_then(|(_, hosts)| hosts.first().copied())
	}

	/// Whether a model in use has no channel though it has hosts.
	fn has_starving(&self, served: &[&Arc<Host>]) -> bool {
		self.used.iter().any(|(model, hosts)| !hosts.is_empty() && count(served, model) == 0)
	}
}

fn count(served: &[&Arc<Host>], model: &Model) -> usize {
	served.iter().filter(|host| model.variant(host).is_some()).count()
}

/// The channel in `open` that is needed least: the only one of no model in use, and the longest without a request.
fn replaceable(
	open: &[(&Arc<ChannelView>, &Arc<Host>)],
	ledger: &Ledger,
	uses: &Uses,
	openings: &Openings<'_>,
) -> Option<ChannelId> {
	let served: Vec<_> = open.iter().map(|(_, host)| *host).collect();
	let is_needed = |host: &Host| {
		openings.used.iter().any(|(model, _)| model.variant(host).is_some() && count(&served, model) == 1)
	};
	let spare = open.iter().filter(|(channel, host)| !is_needed(host) && is_settled(ledger, channel.id));
	spare.max_by_key(|(_, host)| uses.idle.get(&host.account)).map(|(channel, _)| channel.id)
}

/// Channels that are of no use.
fn closings(snapshot: &Snapshot, ledger: &Ledger, uses: &Uses) -> Vec<(ChannelId, Reason)> {
	let mut heaviest: HashMap<&str, (u64, AccountId)> = HashMap::new();
	for (_, host) in snapshot.open_channels() {
		for model in snapshot.models.values().filter(|model| model.variant(host).is_some()) {
			let best = heaviest.entry(&model.name).or_default();
			*best = (*best).max((host.weight, host.account));
		}
	}
	let kept: HashSet<AccountId> = heaviest.into_values().map(|(_, host)| host).collect();
	let is_unused = |host: &Host| {
		let mut models = snapshot.models.values().filter(|model| model.variant(host).is_some());
		uses.is_idle(&host.account) && !kept.contains(&host.account) && models.all(|model| !uses.is_in_use(model))
	};
	let open = snapshot.channels.iter().filter(|channel| channel.closes.is_none());
	let reason = |channel: &Arc<ChannelView>| {
		if uses.useless.get(&channel.id).is_some_and(|since| since.elapsed() >= USELESS) {
			return Some(Reason::Useless);
		}
		let is_silent = uses.dead.contains_key(&channel.host)
			&& uses.silent.get(&channel.host).is_some_and(|silent| *silent > DEAD);
		if is_silent || uses.is_astray(channel.id) {
			return Some(Reason::Dead);
		}
		if uses.is_refused(channel.id) && is_settled(ledger, channel.id) {
			return Some(Reason::Refused);
		}
		let host = snapshot.hosts.get(&channel.host)?;
		(is_unused(host) && is_settled(ledger, channel.id)).then_some(Reason::Unused)
	};
	open.filter_map(|channel| Some((channel.id, reason(channel)?))).collect()
}

fn is_settled(ledger: &Ledger, channel: ChannelId) -> bool {
	ledger.open_items(channel) == (0, 0)
}

#[cfg(test)]
mod tests;
