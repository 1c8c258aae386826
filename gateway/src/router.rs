//! The choice of a host for a request.
//!
//! Candidates serve the model, respond, and have enough funds in their channel. One is drawn with probability in
//! proportion to effective weight ÷ (requests in flight + 1): an idle network is loaded by weight, a busy one evenly.

use crate::{
	ledger::Ledger,
	snapshot::{Host, Model, Snapshot},
};
use gonka_primitives::{AccountId, Balance, views::ChannelView};
use std::{
	collections::{HashMap, HashSet},
	sync::{Arc, Mutex, MutexGuard},
	time::{Duration, Instant},
};

/// Pause of a host after its first failure. It doubles with every further failure in a row.
const BACKOFF: Duration = Duration::from_secs(1);
/// Maximum number of doublings, for a pause of 64 s.
const MAX_DOUBLINGS: u32 = 6;
/// Pause of a host after a wrong receipt.
const DISTRUST: Duration = Duration::from_secs(600);

#[derive(Default)]
struct State {
	in_flight: u64,
	failures: u32,
	paused_until: Option<Instant>,
	distrusted_until: Option<Instant>,
	/// The models that it serves by its own word, with the maximum number of tokens of prompt and completion together.
	contexts: Option<HashMap<String, u32>>,
}

/// Load and health of the hosts, as this gateway has seen them.
#[derive(Default)]
pub struct Router {
	hosts: Mutex<HashMap<AccountId, State>>,
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
		if let Some(state) = self.router.lock().get_mut(&self.host.account) {
			state.in_flight = state.in_flight.saturating_sub(1);
		}
	}
}

/// Why no host can be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
	/// No host with a channel in step serves the model.
	NoHost,
	/// No such channel holds enough.
	NoFunds,
	/// The longest context that such a host serves, in tokens: it is too short.
	TooLong(u32),
}

impl Router {
	/// Picks a host for a request of so many `tokens` of prompt and completion that costs up to `max_fee` base units, but none of
	/// `tried`. A host that failed lately is picked only if no other is left.
	pub fn pick(
		self: &Arc<Self>,
		snapshot: &Snapshot,
		ledger: &Ledger,
		model: &Model,
		(tokens, max_fee): (u32, Balance),
		tried: &HashSet<AccountId>,
	) -> Result<Route, NoRoute> {
		let (mut poor, mut longest) = (false, None);
		let candidates: Vec<_> = snapshot
			.open_channels()
			.filter(|(_, host)| model.variant(host).is_some() && !tried.contains(&host.account))
			.filter(|(_, host)| {
				let context = self.context(model, host);
				longest = longest.max(context);
				context.is_none_or(|context| tokens <= context)
			})
			.filter(|(channel, _)| match ledger.available(channel) {
				Some(available) if available >= max_fee => true,
				Some(_) => {
					poor = true;
					false
				},
				None => false,
			})
			.collect();
		let now = Instant::now();
		let mut states = self.lock();
		let usable = |pause: &dyn Fn(&State) -> Option<Instant>| -> Vec<_> {
			let awake = |host: &Host| states.get(&host.account).and_then(pause).is_none_or(|until| until <= now);
			candidates.iter().filter(|(_, host)| awake(host)).collect()
		};
		let mut pool = usable(&|state| state.paused_until.max(state.distrusted_until));
		if pool.is_empty() {
			pool = usable(&|state| state.distrusted_until);
		}
		let weights = pool.iter().map(|(_, host)| {
			let in_flight = states.get(&host.account).map_or(0, |state| state.in_flight);
			host.weight as f64 / in_flight.saturating_add(1) as f64
		});
		let Some((channel, host)) = draw(weights.collect()).and_then(|index| pool.get(index)) else {
			return Err(match longest.filter(|longest| tokens > *longest) {
				_ if poor => NoRoute::NoFunds,
				Some(longest) => NoRoute::TooLong(longest),
				None => NoRoute::NoHost,
			});
		};
		let state = states.entry(host.account).or_default();
		state.in_flight = state.in_flight.saturating_add(1);
		Ok(Route { host: Arc::clone(host), channel: Arc::clone(channel), router: self.clone() })
	}

	/// Notes which models a host serves, with their contexts.
	pub fn learn(&self, host: &AccountId, contexts: HashMap<String, u32>) {
		self.lock().entry(*host).or_default().contexts = Some(contexts);
	}

	/// The maximum number of tokens of prompt and completion together that a host serves of a model, if it is known.
	pub fn context(&self, model: &Model, host: &Host) -> Option<u32> {
		let name = String::from_utf8_lossy(&model.variant(host)?.name).into_owned();
		self.lock().get(&host.account)?.contexts.as_ref()?.get(&name).copied()
	}

	/// Notes that a host finished a request.
	pub fn succeeded(&self, host: &AccountId) {
		if let Some(state) = self.lock().get_mut(host) {
			state.failures = 0;
			state.paused_until = None;
		}
	}

	/// Notes that a host did not respond, or broke off.
	pub fn failed(&self, host: &AccountId) {
		let mut states = self.lock();
		let state = states.entry(*host).or_default();
		let pause = BACKOFF.saturating_mul(1 << state.failures.min(MAX_DOUBLINGS));
		state.failures = state.failures.saturating_add(1);
		state.paused_until = Instant::now().checked_add(pause);
	}

	/// Notes that a host signed a wrong receipt.
	pub fn distrust(&self, host: &AccountId) {
		self.lock().entry(*host).or_default().distrusted_until = Instant::now().checked_add(DISTRUST);
	}

	/// Whether the host is not paused.
	pub fn is_healthy(&self, host: &AccountId) -> bool {
		let now = Instant::now();
		let awake = |until: Option<Instant>| until.is_none_or(|until| until <= now);
		let states = self.lock();
		states.get(host).is_none_or(|state| awake(state.paused_until) && awake(state.distrusted_until))
	}

	fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, State>> {
		self.hosts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
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
mod tests {
	use super::*;

	#[test]
	fn draws_follow_the_weights() {
		let mut counts = [0u32; 3];
		for _ in 0..30_000 {
			counts[draw(vec![1.0, 3.0, 6.0]).unwrap()] += 1;
		}
		for (count, share) in counts.iter().zip([0.1, 0.3, 0.6]) {
			assert!((f64::from(*count) / 30_000.0 - share).abs() < 0.02, "{counts:?}");
		}
		assert_eq!(draw(vec![]), None);
	}

	#[test]
	fn the_context_of_a_host_is_that_of_its_registration() {
		let view = |id, name: &str| gonka_primitives::views::ModelView {
			id,
			name: name.into(),
			weights_hash: [0; 32],
			tokenizer_hash: [0; 32],
			context_length: 100,
			price: Default::default(),
		};
		let models = Model::by_name([view(1, "m"), view(2, "m@fast")]);
		let host = |id| Host { account: [1; 32], worker: [0; 32], url: String::new(), models: vec![id], weight: 1 };
		let router = Router::default();
		assert_eq!(router.context(&models["m"], &host(2)), None);
		router.learn(&[1; 32], [("m".into(), 30), ("m@fast".into(), 50)].into());
		assert_eq!(router.context(&models["m"], &host(1)), Some(30));
		assert_eq!(router.context(&models["m"], &host(2)), Some(50));
		assert_eq!(router.context(&models["m@fast"], &host(1)), None);
	}

	#[test]
	fn a_host_is_paused_after_a_failure_until_it_succeeds_but_after_a_wrong_receipt_longer() {
		let router = Router::default();
		assert!(router.is_healthy(&[1; 32]));
		for _ in 0..=MAX_DOUBLINGS {
			router.failed(&[1; 32]);
		}
		assert!(!router.is_healthy(&[1; 32]), "it is paused for 64 s");
		router.succeeded(&[1; 32]);
		assert!(router.is_healthy(&[1; 32]));
		router.distrust(&[1; 32]);
		router.succeeded(&[1; 32]);
		assert!(!router.is_healthy(&[1; 32]));
	}
}
