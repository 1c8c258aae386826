//! The choice of a host for a request.
//!
//! Candidates serve the model, respond, and have enough funds in their channel. A host that has read the beginning of the prompt
//! before is picked, unless it is much busier or slower than others. Otherwise one is drawn with probability in proportion to
//!
//! ```text
//! effective weight ÷ (requests in flight + 1) ÷ slowness² × reliability²
//! ```
//!
//! An idle network is loaded by weight, a busy one evenly, and a host that is slow or often fails gets little.

mod latency;
mod prefixes;

pub use prefixes::Beginnings;

use crate::{
	ledger::Ledger,
	snapshot::{Host, Model, Snapshot},
};
use gonka_client::worker_api::Health;
use gonka_primitives::{AccountId, Balance, ChannelId, views::ChannelView};
use latency::{FirstTokens, Speed};
use prefixes::Prefixes;
use std::{
	collections::{HashMap, HashSet, hash_map::RandomState},
	sync::{Arc, Mutex, MutexGuard},
	time::{Duration, Instant},
};

/// Pause of a host after its first failure. It doubles with every further failure in a row.
const BACKOFF: Duration = Duration::from_secs(1);
/// Maximum number of doublings, for a pause of 64 s.
const MAX_DOUBLINGS: u32 = 6;
/// Part of a host's [`State::unreliability`] that a dispatch leaves.
const FORGETTING: f64 = 0.9;
/// Its maximum: a host is dispatched to now and then, so that it can show that it has recovered.
const MAX_UNRELIABILITY: f64 = 0.9;
/// Pause of a host after a wrong receipt.
const DISTRUST: Duration = Duration::from_secs(600);
/// Time for which the load in a host's report counts.
const FRESH: Duration = Duration::from_secs(45);
/// Maximum number of completion tokens that count for a host's slowness: few completions reach the maximum.
const USUAL_COMPLETION: u32 = 256;
/// Maximum number of seconds by which a host that has read the beginning of a prompt may be slower than the fastest one, if that
/// takes less: to read the beginning again takes about as long.
const MAX_DETOUR: f64 = 1.0;
/// Minimum time before a second host is dispatched to: below it, nobody notices.
const MIN_HEDGE: Duration = Duration::from_millis(50);
/// Requests of which one may be hedged, and the maximum number of hedges that are saved up.
const HEDGE_EVERY: f64 = 10.0;
const MAX_HEDGES: f64 = 10.0;

/// The load and health of a host.
struct State {
	in_flight: u64,
	failures: u32,
	/// Share of the last dispatches that failed, and when one did last.
	unreliability: (f64, Option<Instant>),
	paused_until: Option<Instant>,
	distrusted_until: Option<Instant>,
	speed: Speed,
	/// When it last responded; at first, when it was first needed.
	responded: Instant,
	/// When it was last picked.
	used: Option<Instant>,
	/// By its own word: see [`Report`].
	report: Option<Report>,
	/// Why it could not be used the last time, as a sentence that begins with the host.
	trouble: Option<String>,
}

impl Default for State {
	fn default() -> Self {
		Self {
			in_flight: 0,
			failures: 0,
			unreliability: (0.0, None),
			paused_until: None,
			distrusted_until: None,
			speed: Speed::default(),
			responded: Instant::now(),
			used: None,
			report: None,
			trouble: None,
		}
	}
}

impl State {
	/// Requests that run or wait at the host, those of other gateways included.
	fn load(&self) -> u64 {
		self.in_flight.saturating_add(self.fresh().map_or(0, |report| report.others))
	}

	fn is_full(&self) -> bool {
		self.fresh().is_some_and(|report| self.load() >= report.capacity)
	}

	/// The report, if its load still counts.
	fn fresh(&self) -> Option<&Report> {
		self.report.as_ref().filter(|report| report.at.elapsed() < FRESH)
	}

	/// The share of the last dispatches that failed. It halves with each minute.
	fn unreliability(&self) -> f64 {
		let (share, failed) = self.unreliability;
		share * failed.map_or(0.0, |failed| (-failed.elapsed().as_secs_f64() / 60.0).exp2())
	}

	/// Counts a dispatch that failed.
	fn count_failure(&mut self) {
		let more = (1.0 - (1.0 - self.unreliability()) * FORGETTING).min(MAX_UNRELIABILITY);
		self.unreliability = (more, Some(Instant::now()));
	}

	fn is_paused(&self, now: Instant) -> bool {
		self.paused_until.is_some_and(|until| until > now)
	}

	fn is_distrusted(&self, now: Instant) -> bool {
		self.distrusted_until.is_some_and(|until| until > now)
	}
}

/// The hosts to pick from: those of the first of these that some fit.
const PREFERENCE: [fn(&State, Instant) -> bool; 3] = [
	|state, now| !state.is_distrusted(now) && !state.is_paused(now) && !state.is_full(),
	|state, now| !state.is_distrusted(now) && !state.is_paused(now),
	|state, now| !state.is_distrusted(now),
];

/// A host's report on itself.
struct Report {
	/// The models that it serves, with the maximum number of tokens of prompt and completion together.
	contexts: HashMap<String, u32>,
	/// When it came.
	at: Instant,
	/// Requests of other gateways that run or wait there.
	others: u64,
	/// Maximum number of requests that run or wait.
	capacity: u64,
}

/// The use of a model.
#[derive(Default)]
struct ModelState {
	first_tokens: FirstTokens,
	used: Option<Instant>,
}

#[derive(Default)]
struct States {
	hosts: HashMap<AccountId, State>,
	models: HashMap<String, ModelState>,
	prefixes: Prefixes,
	/// Number of requests that may be hedged now.
	hedges: f64,
	/// When hosts first and last rejected a request on a channel since they wanted to be paid for others first, with none between
	/// that they served or were paid for.
	refused: HashMap<ChannelId, (Instant, Instant)>,
}

/// Load and health of the hosts, as this gateway has seen them.
pub struct Router {
	started: Instant,
	random: RandomState,
	states: Mutex<States>,
}

impl Default for Router {
	fn default() -> Self {
		let states = States::default();
		Self { started: Instant::now(), random: states.prefixes.random(), states: Mutex::new(states) }
	}
}

/// The needs of a request.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
	/// Number of tokens of the prompt.
	pub prompt: u32,
	/// Maximum number of completion tokens.
	pub completion: u32,
	/// Maximum fee, in base units.
	pub max_fee: Balance,
	/// The beginnings of the prompt.
	pub beginnings: &'a Beginnings,
}

/// A picked host with the channel that pays it. It counts as a request in flight until it is dropped.
pub struct Route {
	/// The host.
	pub host: Arc<Host>,
	/// The channel.
	pub channel: Arc<ChannelView>,
	router: Arc<Router>,
}

impl Drop for Route {
	fn drop(&mut self) {
		if let Some(state) = self.router.lock().hosts.get_mut(&self.host.account) {
			state.in_flight = state.in_flight.saturating_sub(1);
		}
	}
}

/// Why no host can be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
	/// No host with a channel serves the model.
	NoHost,
	/// The channels to such hosts are being reconciled.
	NotInStep,
	/// No such channel holds enough.
	NoFunds,
	/// The longest context that such a host serves, in tokens: it is too short.
	TooLong(u32),
}

impl Router {
	/// The beginnings of a prompt, for [`Router::pick`].
	pub fn beginnings(&self, model: &Model, prompt: &[u32]) -> Beginnings {
		Prefixes::beginnings(&self.random, &model.name, prompt)
	}

	/// Picks a host for a request, but none of `tried`. A host that failed lately or is full is picked only if no other is left.
	pub fn pick(
		self: &Arc<Self>,
		snapshot: &Snapshot,
		ledger: &Ledger,
		model: &Model,
		need: Need<'_>,
		tried: &HashSet<AccountId>,
	) -> Result<Route, NoRoute> {
		let tokens = need.prompt.saturating_add(need.completion);
		let (mut poor, mut is_waiting, mut longest) = (false, false, None);
		let candidates: Vec<_> = snapshot
			.open_channels()
			.filter(|(_, host)| model.variant(host).is_some() && !tried.contains(&host.account))
			.filter(|(_, host)| {
				let context = self.context(model, host);
				longest = longest.max(context);
				context.is_none_or(|context| tokens <= context)
			})
			.filter(|(channel, _)| match ledger.available(channel) {
				Some(available) if available >= need.max_fee => true,
				Some(_) => {
					poor = true;
					false
				},
				None => {
					is_waiting = true;
					false
				},
			})
			.collect();
		let now = Instant::now();
		let mut states = self.lock();
		for (_, host) in &candidates {
			states.hosts.entry(host.account).or_default();
		}
		let mut pools = PREFERENCE.iter().map(|is_usable| {
			let usable = |host: &Host| states.hosts.get(&host.account).is_some_and(|state| is_usable(state, now));
			candidates.iter().filter(|(_, host)| usable(host)).collect::<Vec<_>>()
		});
		let pool = pools.find(|pool| !pool.is_empty()).unwrap_or_default();
		let hosts: Vec<&Host> = pool.iter().map(|(_, host)| &***host).collect();
		let Some((channel, host)) = states.choose(&hosts, need).and_then(|index| pool.get(index)) else {
			return Err(match longest.filter(|longest| tokens > *longest) {
				_ if poor => NoRoute::NoFunds,
				Some(longest) => NoRoute::TooLong(longest),
				None if is_waiting => NoRoute::NotInStep,
				None => NoRoute::NoHost,
			});
		};
		states.hedges = (states.hedges + 1.0 / HEDGE_EVERY).min(MAX_HEDGES);
		let state = states.hosts.entry(host.account).or_default();
		state.in_flight = state.in_flight.saturating_add(1);
		state.used = Some(now);
		Ok(Route { host: Arc::clone(host), channel: Arc::clone(channel), router: self.clone() })
	}

	/// Notes that a host rejects a request on a channel since it wants to be paid for others first.
	pub fn note_refused(&self, channel: ChannelId) {
		let now = Instant::now();
		self.lock().refused.entry(channel).or_insert((now, now)).1 = now;
	}

	/// Notes that a host has begun to serve a request on a channel, or was paid on it.
	pub fn note_served(&self, channel: ChannelId) {
		self.lock().refused.remove(&channel);
	}

	/// The times for which hosts rejected all requests, by channel. Forgets all channels but those that are `open`.
	pub fn refused(&self, open: &[&Arc<ChannelView>]) -> HashMap<ChannelId, Duration> {
		let mut states = self.lock();
		states.refused.retain(|id, _| open.iter().any(|channel| channel.id == *id));
		states.refused.iter().map(|(id, (first, last))| (*id, last.duration_since(*first))).collect()
	}

	/// Notes that a request for a model has come.
	pub fn demand(&self, model: &Model) {
		self.lock().models.entry(model.name.clone()).or_default().used = Some(Instant::now());
	}

	/// Time since the last request for a model, or since the start; `None` for one registration of several that was never
	/// requested by its own name.
	pub fn unused(&self, model: &Model) -> Option<Duration> {
		let used = self.lock().models.get(&model.name).and_then(|state| state.used);
		used.or_else(|| model.is_listed().then_some(self.started)).map(|used| used.elapsed())
	}

	/// Time since a host was last picked, or since the start.
	pub fn idle(&self, host: &AccountId) -> Duration {
		self.lock().hosts.get(host).and_then(|state| state.used).unwrap_or(self.started).elapsed()
	}

	/// Time since a host last responded; `None` if it was never needed.
	pub fn silent(&self, host: &AccountId) -> Option<Duration> {
		Some(self.lock().hosts.get(host)?.responded.elapsed())
	}

	/// The time after which a first token is late, and a second host should be dispatched to; `None` while that is not known.
	pub fn late(&self, model: &Model, prompt: u32) -> Option<Duration> {
		let states = self.lock();
		states.models.get(&model.name)?.first_tokens.usual(prompt).map(|usual| usual.max(MIN_HEDGE))
	}

	/// Whether one more request may be dispatched to a second host: hedges stay a small part of all requests.
	pub fn may_hedge(&self) -> bool {
		let mut states = self.lock();
		let may = states.hedges >= 1.0;
		if may {
			states.hedges -= 1.0;
		}
		may
	}

	/// Notes a host's report on itself. `before` is the number of requests that were in flight when it was queried.
	pub fn learn(&self, host: &AccountId, health: Health, before: u64) {
		let mut states = self.lock();
		let state = states.hosts.entry(*host).or_default();
		state.responded = Instant::now();
		state.trouble = None;
		let contexts = health.models.into_iter().map(|model| (model.name, model.context_length)).collect();
		let others = u64::from(health.load).saturating_sub(state.in_flight.max(before));
		let at = Instant::now();
		state.report = Some(Report { contexts, at, others, capacity: health.capacity.max(1).into() });
	}

	/// Notes that a host is needed, though it may not respond. Returns the number of requests in flight to it.
	pub fn expect(&self, host: &AccountId) -> u64 {
		self.lock().hosts.entry(*host).or_default().in_flight
	}

	/// The maximum number of tokens of prompt and completion together that a host serves of a model, if it is known.
	pub fn context(&self, model: &Model, host: &Host) -> Option<u32> {
		let name = String::from_utf8_lossy(&model.variant(host)?.name).into_owned();
		self.lock().hosts.get(&host.account)?.report.as_ref()?.contexts.get(&name).copied()
	}

	/// Notes that a host sent the first token after this time.
	pub fn began(&self, model: &Model, host: &AccountId, need: Need<'_>, time: Duration) {
		let mut states = self.lock();
		states.models.entry(model.name.clone()).or_default().first_tokens.add(need.prompt, time);
		let state = states.hosts.entry(*host).or_default();
		state.responded = Instant::now();
		state.speed.add_first(need.prompt, time);
		states.prefixes.note(need.beginnings, host);
	}

	/// Notes that a host had not sent the first token after this time, when another had.
	pub fn lagged(&self, host: &AccountId, prompt: u32, time: Duration) {
		self.lock().hosts.entry(*host).or_default().speed.add_first(prompt, time);
	}

	/// Notes that a host finished a request, with this time from token to token.
	pub fn succeeded(&self, host: &AccountId, pace: Option<Duration>) {
		if let Some(state) = self.lock().hosts.get_mut(host) {
			state.failures = 0;
			state.unreliability.0 *= FORGETTING;
			state.paused_until = None;
			state.trouble = None;
			if let Some(pace) = pace {
				state.speed.add_token(pace);
			}
		}
	}

	/// Notes that a request has ended before its host finished it, with this time from token to token until then.
	pub fn paced(&self, host: &AccountId, pace: Duration) {
		if let Some(state) = self.lock().hosts.get_mut(host) {
			state.speed.add_token(pace);
		}
	}

	/// Notes that a host did not respond, or broke off. `trouble` is a sentence that begins with the host.
	pub fn failed(&self, host: &AccountId, trouble: String) {
		let mut states = self.lock();
		let state = states.hosts.entry(*host).or_default();
		state.trouble = Some(trouble);
		// All that run when it goes down are one failure.
		if !state.is_paused(Instant::now()) {
			state.count_failure();
		}
		let pause = BACKOFF.saturating_mul(1 << state.failures.min(MAX_DOUBLINGS));
		state.failures = state.failures.saturating_add(1);
		state.paused_until = Instant::now().checked_add(pause);
	}

	/// Notes that a host rejected a request that another one served. Its share falls as after a failure, but it is not paused: to
	/// the requests of others it may respond.
	pub fn rejected_alone(&self, host: &AccountId) {
		self.lock().hosts.entry(*host).or_default().count_failure();
	}

	/// Notes that a host did not tell how it is. `trouble` is a sentence that begins with the host.
	pub fn not_told(&self, host: &AccountId, trouble: String) {
		self.lock().hosts.entry(*host).or_default().trouble = Some(trouble);
	}

	/// Why one of these hosts could not be used the last time, if all of them that were tried could not.
	pub fn trouble<'a>(&self, hosts: impl Iterator<Item = &'a Arc<Host>>) -> Option<String> {
		let states = self.lock();
		let tried: Vec<_> = hosts.filter_map(|host| states.hosts.get(&host.account)).collect();
		let troubles: Option<Vec<_>> = tried.iter().map(|state| state.trouble.clone()).collect();
		troubles?.pop()
	}

	/// Notes that a host signed a wrong receipt.
	pub fn distrust(&self, host: &AccountId) {
		self.lock().hosts.entry(*host).or_default().distrusted_until = Instant::now().checked_add(DISTRUST);
	}

	/// Whether the host is not paused.
	pub fn is_healthy(&self, host: &AccountId) -> bool {
		let now = Instant::now();
		let states = self.lock();
		states.hosts.get(host).is_none_or(|state| !state.is_paused(now) && !state.is_distrusted(now))
	}

	fn lock(&self) -> MutexGuard<'_, States> {
		self.states.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
	}
}

impl States {
	/// Chooses one of these hosts, all of which have a state.
	fn choose(&mut self, hosts: &[&Host], need: Need<'_>) -> Option<usize> {
		let states: Vec<&State> = hosts.iter().filter_map(|host| self.hosts.get(&host.account)).collect();
		let loads: Vec<u64> = states.iter().map(|state| state.load()).collect();
		let speeds: Vec<Speed> = states.iter().map(|state| state.speed).collect();
		let mut times = latency::expected(&speeds, need.prompt, need.completion.min(USUAL_COMPLETION));
		for (time, state) in times.iter_mut().zip(&states) {
			*time /= 1.0 - state.unreliability();
		}
		let known =
			self.prefixes.host(need.beginnings).and_then(|known| hosts.iter().position(|host| host.account == known));
		if let Some((load, time)) = known.and_then(|known| Some((loads.get(known)?, times.get(known)?))) {
			let others = loads.iter().sum::<u64>().saturating_sub(*load);
			let average = others / (loads.len() as u64).saturating_sub(1).max(1);
			let fastest = times.iter().copied().fold(*time, f64::min);
			if *load <= average.saturating_mul(2).saturating_add(1) && time - fastest <= fastest.max(MAX_DETOUR) {
				return known;
			}
		}
		let chance = |((host, load), time): ((&&Host, &u64), &f64)| {
			host.weight as f64 / load.saturating_add(1) as f64 / time.powi(2)
		};
		draw(hosts.iter().zip(&loads).zip(&times).map(chance).collect())
	}
}

/// Draws an index with probability in proportion to its weight.
fn draw(weights: Vec<f64>) -> Option<usize> {
	let total: f64 = weights.iter().sum();
	let mut point = fastrand::f64() * total;
	for (index, weight) in weights.iter().enumerate() {
		if point < *weight {
			return Some(index);
		}
		point -= weight;
	}
	weights.len().checked_sub(1)
}

#[cfg(test)]
mod tests;
