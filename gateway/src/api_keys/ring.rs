//! The keys of a running gateway: the hook between the server and the limits.
//!
//! [`KeyRing::authorise`] turns a header into a [`Spender`]. [`Spender::reserve`] reserves the maximum cost of a completion,
//! and [`Reservation::settle`] replaces it by the true cost. A reservation is in memory only, so it ends with the process. Usage
//! is written about once a second: a crash loses that of the last two seconds at most, a clean stop none.

use super::{
	account::{Account, Standing},
	calendar::{Clock, timestamp},
	file::{self, Key, KeyFile, KeyHash, Stamp, State as KeyState},
	limits::Limits,
	usage::{self, Counts, Usage, UsageLog},
};
use crate::{
	auth::{ApiKeys, bearer},
	gateway::Gateway,
	metrics::KeyMetrics,
	openai::errors::ApiError,
};
use anyhow::Context;
use gonka_primitives::Balance;
use std::{
	collections::{HashMap, HashSet},
	io,
	path::{Path, PathBuf},
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::Duration,
};
use subtle::ConstantTimeEq;
use tokio::{runtime::Handle, time::sleep};

/// Pause between two looks at the file of keys, and between two writes of the usage.
const PAUSE: Duration = Duration::from_secs(1);
/// The id and the name of clients without a key.
const ANONYMOUS: &str = "anonymous";
/// The beginning of the ids of keys of the settings.
const SETTINGS: &str = "settings:";

/// The keys. Clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

struct Inner {
	file: KeyFile,
	settings: ApiKeys,
	metrics: KeyMetrics,
	clock: Clock,
	state: Mutex<State>,
	seen: Mutex<Seen>,
	log: Mutex<UsageLog>,
}

/// States of the file of keys.
struct Seen {
	/// That when it was last read.
	read: Stamp,
	/// That when reading it last failed and was logged.
	failed: Option<Stamp>,
}

#[derive(Default)]
struct State {
	/// The keys of the file, by id.
	keys: HashMap<String, Arc<Key>>,
	/// The accounts of all keys that were ever used, by id.
	accounts: HashMap<String, Account>,
}

impl KeyRing {
	/// Reads the keys in a gateway's folder and their usage in the file `usage`, which no other gateway may use.
	pub fn open(
		folder: &Path,
		usage: PathBuf,
		settings: ApiKeys,
		metrics: KeyMetrics,
		clock: Clock,
	) -> anyhow::Result<Self> {
		let file = KeyFile::in_folder(folder);
		let stamp = file.stamp();
		let keys = file.read()?;
		let saved = usage::read(&usage).with_context(|| format!("cannot read {}", usage.display()))?;
		let accounts = saved.into_iter().map(|(id, usage)| (id, Account::new(usage))).collect();
		let state = State { keys: by_id(keys), accounts };
		let (state, log) = (Mutex::new(state), Mutex::new(UsageLog::new(usage.clone())));
		let seen = Mutex::new(Seen { read: stamp, failed: None });
		let ring = Self(Arc::new(Inner { file, settings, metrics, clock, state, seen, log }));
		ring.flush().with_context(|| format!("cannot write {}", usage.display()))?;
		Ok(ring)
	}

	/// Finds the key in an `Authorization` header. An unknown key may be a new one, so then the file is checked for a change.
	pub fn authorise(&self, authorization: Option<&str>) -> Result<Spender, ApiError> {
		let hash = authorization.and_then(bearer).map(file::hash);
		let find = || hash.as_ref().and_then(|hash| self.find(hash));
		let named = |name: &str| self.spender(format!("{SETTINGS}{name}"), name, None);
		let found = find().map(Ok).or_else(|| {
			let name = self.0.settings.name(authorization).filter(|_| !self.0.settings.is_empty())?;
			Some(Err(name))
		});
		let key = match found {
			Some(Ok(key)) => key,
			Some(Err(name)) => return Ok(named(name)),
			None => {
				self.refresh();
				match find() {
					Some(key) => key,
					None if self.0.settings.is_empty() => return Ok(self.spender(ANONYMOUS.into(), ANONYMOUS, None)),
					None if hash.is_none() => return Err(ApiError::missing_key()),
					None => return Err(ApiError::invalid_key()),
				}
			},
		};
		let Key { name, start, .. } = &*key;
		let lapsed = |how: &str, at: Option<u64>| {
			let at = timestamp(at.unwrap_or_default());
			ApiError::lapsed_key(format!(
				"The API key '{name}' ({start}…) {how} at {at}: ask the owner of this gateway for a new one."
			))
		};
		if self.0.settings.has_name(name) {
			return Err(ApiError::lapsed_key(format!(
				"The API key '{name}' ({start}…) has the name of another key in the settings of this gateway: ask its owner for one \
				 with a name of its own."
			)));
		}
		match key.state(self.now()) {
			KeyState::Active => Ok(self.spender(key.id(), name, Some(key.clone()))),
			KeyState::Expired => Err(lapsed("expired", key.limits.expires)),
			KeyState::Revoked => Err(lapsed("was revoked", key.revoked)),
		}
	}

	fn spender(&self, id: String, name: &str, key: Option<Arc<Key>>) -> Spender {
		Spender { ring: self.clone(), id: id.into(), name: name.into(), key }
	}

	fn find(&self, hash: &KeyHash) -> Option<Arc<Key>> {
		let key = self.state().keys.get(&file::id(hash)).cloned()?;
		bool::from(key.hash.ct_eq(hash)).then_some(key)
	}

	/// Reads the file of keys again if it has changed. If it cannot be read, the keys stay as they are.
	pub fn refresh(&self) {
		let mut seen = lock(&self.0.seen);
		let stamp = self.0.file.stamp();
		if seen.read == stamp {
			return;
		}
		match self.0.file.read() {
			Ok(keys) => {
				let keys = by_id(keys);
				let names: HashSet<&str> = keys.values().map(|key| key.name.as_str()).collect();
				let mut state = self.state();
				for key in state.keys.values() {
					if !names.contains(key.name.as_str()) && !self.0.settings.has_name(&key.name) {
						self.0.metrics.forget(&key.name);
					}
				}
				tracing::info!(keys = keys.len(), "the API keys have changed");
				state.keys = keys;
				*seen = Seen { read: stamp, failed: None };
			},
			Err(error) if seen.failed != Some(stamp) => {
				tracing::error!("the API keys stay as they were: {error}");
				seen.failed = Some(stamp);
			},
			Err(_) => {},
		}
	}

	/// Writes the usage that has changed. It is on disk when this returns.
	pub fn flush(&self) -> io::Result<()> {
		self.flush_after(|| {})
	}

	/// Does the same, and calls `settle` between reading the usage and writing it.
	fn flush_after(&self, settle: impl FnOnce()) -> io::Result<()> {
		let mut log = lock(&self.0.log);
		if log.is_rewrite_due() {
			let rows: Vec<_> = {
				let mut state = self.state();
				let now = self.now();
				let State { keys, accounts } = &mut *state;
				accounts.retain(|id, account| {
					account.usage.forget(now);
					let is_known = match id.strip_prefix(SETTINGS) {
						Some(name) => self.0.settings.has_name(name),
						None => keys.contains_key(id),
					};
					is_known || account.running() > 0 || !account.usage.days.is_empty()
				});
				accounts.values_mut().for_each(|account| {
					account.take_changed();
				});
				accounts.iter().flat_map(|(id, account)| account.usage.rows_since(id, 0)).collect()
			};
			settle();
			return log.rewrite(&rows);
		}
		let mut rows = Vec::new();
		for (id, account) in &mut self.state().accounts {
			if let Some(since) = account.take_changed() {
				rows.extend(account.usage.rows_since(id, since));
			}
		}
		if rows.is_empty() {
			return Ok(());
		}
		settle();
		log.append(&rows)
	}

	/// Charges a fee, in base units, to the key with this id: a host is paid for work of which none of its requests has the cost. A budget
	/// may be exceeded by it.
	pub fn charge(&self, id: &str, fee: Balance) {
		let (counts, now) = (Counts { cost: fee, ..Counts::default() }, self.now());
		let mut state = self.state();
		state.accounts.entry(id.to_owned()).or_default().record(&counts, now);
		let name = state.keys.get(id).map(|key| key.name.clone());
		drop(state);
		let name = name.as_deref().or(id.strip_prefix(SETTINGS)).unwrap_or(id);
		self.0.metrics.add(name, &counts);
	}

	/// Number of running completions of all keys.
	pub fn running(&self) -> usize {
		self.state().accounts.values().map(Account::running).sum()
	}

	fn now(&self) -> u64 {
		self.0.clock.now()
	}

	fn state(&self) -> MutexGuard<'_, State> {
		lock(&self.0.state)
	}
}

/// Notices changes of the file of keys, and writes the usage: after the ledger, which would charge receipts again of which only the usage
/// is on disk.
pub async fn supervise(gateway: Arc<Gateway>) {
	let mut is_failing = false;
	loop {
		sleep(PAUSE).await;
		let (gateway, runtime) = (gateway.clone(), Handle::current());
		let written = tokio::task::spawn_blocking(move || {
			gateway.keys.refresh();
			// A ledger that cannot be written ends the process.
			gateway.keys.flush_after(|| drop(runtime.block_on(gateway.ledger.store().write(Vec::new()))))
		});
		match written.await {
			Ok(Err(error)) if !is_failing => {
				tracing::error!(%error, "cannot write the usage of API keys; trying again every second");
				is_failing = true;
			},
			Ok(Ok(())) => is_failing = false,
			_ => {},
		}
	}
}

fn by_id(keys: Vec<Key>) -> HashMap<String, Arc<Key>> {
	keys.into_iter().map(|key| (key.id(), Arc::new(key))).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key that pays for a request.
#[derive(Clone)]
pub struct Spender {
	ring: KeyRing,
	id: Arc<str>,
	name: Arc<str>,
	/// As it was when the request was authorised; `None` for a key without limits.
	key: Option<Arc<Key>>,
}

impl Spender {
	/// The key's name.
	pub fn name(&self) -> &str {
		&self.name
	}

	/// A name that no other key ever has.
	pub fn id(&self) -> &str {
		&self.id
	}

	/// Whether it is a key of the file, and not one of the settings.
	pub fn is_of_file(&self) -> bool {
		self.key.is_some()
	}

	/// Checks that the key may use a model, given by the names that the request and the chain have for it.
	pub fn check_model(&self, names: &[&str]) -> Result<(), ApiError> {
		let Some(key) = self.key() else { return Ok(()) };
		let allowed = &key.limits.models;
		if allowed.is_empty() || names.iter().any(|name| allowed.iter().any(|model| model == name)) {
			return Ok(());
		}
		Err(ApiError::model_not_allowed(format!(
			"The API key '{}' may not use the model '{}', only: {}.",
			self.name,
			names.first().unwrap_or(&""),
			allowed.join(", ")
		)))
	}

	/// Counts a request, if the key may send one now.
	pub fn admit(&self) -> Result<(), ApiError> {
		let limit = self.key().and_then(|key| key.limits.requests_per_minute);
		let counts = Counts { requests: 1, ..Counts::default() };
		self.account(|account, now| {
			account.admit(limit, now)?;
			account.record(&counts, now);
			Ok(())
		})
		.map_err(|seconds| {
			let (name, limit) = (&self.name, limit.unwrap_or_default());
			let message =
				format!("The API key '{name}' may send {limit} requests a minute. Send the next one in {seconds} s.");
			ApiError::too_many_requests(message, seconds)
		})?;
		self.ring.0.metrics.add(&self.name, &counts);
		Ok(())
	}

	/// Reserves the maximum cost of a completion, in base units, and its maximum number of tokens, prompt included.
	pub fn reserve(&self, max_fee: Balance, max_tokens: u64) -> Result<Reservation, ApiError> {
		let limits = self.limits();
		self.account(|account, now| account.reserve(&limits, max_fee, max_tokens, now)).map_err(|exhausted| {
			let advice = if exhausted.is_passing() {
				"Try again when they have ended"
			} else {
				"Lower 'max_tokens' or shorten the prompt"
			};
			let message = format!(
				"The API key '{}' {exhausted} {advice}, or ask the owner of this gateway for a higher limit.",
				self.name
			);
			ApiError::over_budget(message, exhausted.is_passing())
		})?;
		Ok(Reservation { spender: self.clone(), fee: max_fee, tokens: max_tokens, is_open: true })
	}

	/// The key's usage and its budgets, and the time.
	pub fn standings(&self) -> (Usage, Vec<Standing>, u64) {
		let limits = self.limits();
		self.account(|account, now| (account.usage.clone(), account.standings(&limits, now), now))
	}

	/// The key's limits as of now.
	pub fn limits(&self) -> Limits {
		self.key().map(|key| key.limits.clone()).unwrap_or_default()
	}

	/// The key as of now, or as it was if it is gone.
	fn key(&self) -> Option<Arc<Key>> {
		let known = self.key.as_ref()?;
		Some(self.ring.state().keys.get(&*self.id).unwrap_or(known).clone())
	}

	fn account<T>(&self, act: impl FnOnce(&mut Account, u64) -> T) -> T {
		let now = self.ring.now();
		let mut state = self.ring.state();
		match state.accounts.get_mut(&*self.id) {
			Some(account) => act(account, now),
			None => act(state.accounts.entry(self.id.to_string()).or_default(), now),
		}
	}
}

/// The reserved cost of a running completion. Dropping it releases the reservation, as if the completion were free.
pub struct Reservation {
	spender: Spender,
	fee: Balance,
	tokens: u64,
	is_open: bool,
}

impl Reservation {
	/// The id of the API key.
	pub fn key(&self) -> &Arc<str> {
		&self.spender.id
	}

	/// Replaces the reservation by what was used.
	pub fn settle(mut self, fee: Balance, prompt_tokens: u32, completion_tokens: u32) {
		self.is_open = false;
		let counts = Counts {
			requests: 0,
			prompt_tokens: prompt_tokens.into(),
			completion_tokens: completion_tokens.into(),
			cost: fee,
		};
		self.spender.account(|account, now| {
			account.release(self.fee, self.tokens);
			account.record(&counts, now);
		});
		self.spender.ring.0.metrics.add(&self.spender.name, &counts);
	}
}

impl Drop for Reservation {
	fn drop(&mut self) {
		if self.is_open {
			self.spender.account(|account, _| account.release(self.fee, self.tokens));
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		api_keys::calendar::{DAY, Day},
		metrics::Metrics,
	};
	use std::sync::atomic::{AtomicU64, Ordering};

	struct Fixture {
		folder: tempfile::TempDir,
		time: Arc<AtomicU64>,
		metrics: Metrics,
	}

	impl Fixture {
		fn new() -> Self {
			let start = "2026-07-23".parse::<Day>().unwrap().start();
			let time = Arc::new(AtomicU64::new(start));
			Self { folder: tempfile::tempdir().unwrap(), time, metrics: Metrics::new().unwrap() }
		}

		fn ring(&self, settings: &str) -> KeyRing {
			let (time, usage) = (self.time.clone(), self.folder.path().join("usage.jsonl"));
			let clock = Clock::new(move || time.load(Ordering::SeqCst));
			let settings = ApiKeys::parse(settings).unwrap();
			KeyRing::open(self.folder.path(), usage, settings, self.metrics.keys.clone(), clock).unwrap()
		}

		fn file(&self) -> KeyFile {
			KeyFile::in_folder(self.folder.path())
		}

		fn create(&self, name: &str, limits: Limits) -> String {
			let secret = self.file().create(name, limits, self.time.load(Ordering::SeqCst)).unwrap().1;
			format!("Bearer {secret}")
		}

		fn pass(&self, seconds: u64) {
			self.time.fetch_add(seconds, Ordering::SeqCst);
		}
	}

	fn code<T>(outcome: Result<T, ApiError>) -> String {
		outcome.err().and_then(|error| error.body().error.code).unwrap_or_default()
	}

	#[test]
	fn keys_of_the_file_and_of_the_settings_are_known_and_no_others() {
		let fixture = Fixture::new();
		let ring = fixture.ring("alice:sk-a");
		assert_eq!(ring.authorise(Some("Bearer sk-a")).unwrap().name(), "alice");
		assert_eq!(code(ring.authorise(None)), "invalid_api_key");
		// A new key is known at its first request.
		let key = fixture.create("app", Limits::default());
		assert_eq!(ring.authorise(Some(&key)).unwrap().name(), "app");
		assert_eq!(code(ring.authorise(Some(&key[..key.len() - 1]))), "invalid_api_key");
		assert_eq!(code(ring.authorise(Some(&key.replace("Bearer", "Basic")))), "invalid_api_key");

		let namesake = fixture.create("alice", Limits::default());
		let error = ring.authorise(Some(&namesake)).err().unwrap();
		assert!(error.message().contains("the name of another key in the settings"), "{}", error.message());

		let open = fixture.ring("");
		assert_eq!(open.authorise(None).unwrap().name(), "anonymous");
		assert_eq!(open.authorise(Some("Bearer other")).unwrap().name(), "anonymous");
		assert_eq!(open.authorise(Some(&key)).unwrap().name(), "app");
		fixture.file().revoke("app", 7).unwrap();
		open.refresh();
		assert_eq!(code(open.authorise(Some(&key))), "invalid_api_key", "not anonymous");
	}

	#[test]
	fn a_lapsed_key_is_rejected_with_the_reason() {
		let fixture = Fixture::new();
		let now = fixture.time.load(Ordering::SeqCst);
		let key = fixture.create("app", Limits { expires: Some(now + DAY), ..Limits::default() });
		let ring = fixture.ring("alice:sk-a");
		fixture.pass(DAY - 1);
		assert!(ring.authorise(Some(&key)).is_ok());
		fixture.pass(1);
		let error = ring.authorise(Some(&key)).err().unwrap();
		assert!(error.message().contains("expired at 2026-07-24T00:00:00Z"), "{}", error.message());
		fixture.file().set("app", |limits| limits.expires = None).unwrap();
		ring.refresh();
		assert!(ring.authorise(Some(&key)).is_ok());
		fixture.file().revoke("app", now + DAY + 5).unwrap();
		ring.refresh();
		let error = ring.authorise(Some(&key)).err().unwrap();
		assert!(error.message().contains("was revoked at 2026-07-24T00:00:05Z"), "{}", error.message());
		assert_eq!((error.status.as_u16(), code::<()>(Err(error))), (401, "invalid_api_key".to_owned()));
	}

	#[test]
	fn limits_hold_as_they_are_at_each_request() {
		let fixture = Fixture::new();
		let limits = Limits { models: vec!["m".into()], requests_per_minute: Some(1), ..Limits::default() };
		let key = fixture.create("app", limits);
		let ring = fixture.ring("alice:sk-a");
		let spender = ring.authorise(Some(&key)).unwrap();
		spender.check_model(&["alias", "m"]).unwrap();
		let error = spender.check_model(&["n", "n"]).unwrap_err();
		assert_eq!((error.status.as_u16(), error.body().error.param.as_deref()), (403, Some("model")));
		spender.admit().unwrap();
		let error = spender.admit().unwrap_err();
		assert!(error.message().contains("Send the next one in 61 s"), "{}", error.message());
		fixture.file().set("app", |limits| *limits = Limits { tokens_per_day: Some(5), ..Limits::default() }).unwrap();
		ring.refresh();
		spender.check_model(&["n", "n"]).unwrap();
		spender.admit().unwrap();
		assert_eq!(code(spender.reserve(1, 6)), "insufficient_quota");
		let alice = ring.authorise(Some("Bearer sk-a")).unwrap();
		alice.reserve(Balance::MAX, u64::MAX).unwrap().settle(7, 1, 2);
		assert_eq!(alice.standings().0.day(Day::of(ring.now())).cost, 7);
	}

	#[test]
	fn a_reservation_is_released_or_settled() {
		let fixture = Fixture::new();
		let key = fixture.create("app", Limits { gnk_per_day: Some(10), ..Limits::default() });
		let ring = fixture.ring("");
		let spender = ring.authorise(Some(&key)).unwrap();
		let first = spender.reserve(6, 1).unwrap();
		let error = spender.reserve(6, 1).err().unwrap();
		assert!(error.message().contains("reserved by running requests"), "{}", error.message());
		assert_eq!(ring.running(), 1);
		drop(first);
		spender.reserve(6, 1).unwrap().settle(5, 3, 4);
		assert_eq!(ring.running(), 0);
		let (usage, standings, now) = spender.standings();
		let expected = Counts { requests: 0, prompt_tokens: 3, completion_tokens: 4, cost: 5 };
		assert_eq!((usage.day(Day::of(now)), standings[0].left()), (expected, 5));
		let text = fixture.metrics.render().unwrap();
		assert!(text.contains("gonka_gateway_key_tokens_total{key=\"app\",kind=\"completion\"} 4"), "{text}");
		fixture.file().revoke("app", 1).unwrap();
		fixture.create("app", Limits::default());
		ring.refresh();
		assert!(fixture.metrics.render().unwrap().contains("key=\"app\""), "the name is still a key's");
		std::fs::remove_file(fixture.file().path()).unwrap();
		ring.refresh();
		assert!(!fixture.metrics.render().unwrap().contains("key=\"app\""));
		assert_eq!(ring.authorise(Some(&key)).unwrap().name(), "anonymous");
	}

	#[test]
	fn usage_outlives_the_gateway_and_reservations_do_not() {
		let fixture = Fixture::new();
		let key = fixture.create("app", Limits { tokens_per_month: Some(100), ..Limits::default() });
		let used = |ring: &KeyRing| {
			let (_, standings, _) = ring.authorise(Some(&key)).unwrap().standings();
			(standings[0].used, standings[0].reserved)
		};
		let ring = fixture.ring("");
		let spender = ring.authorise(Some(&key)).unwrap();
		spender.reserve(1, 60).unwrap().settle(1, 20, 20);
		// It is written on the next day.
		fixture.pass(DAY);
		ring.flush().unwrap();
		let _running = spender.reserve(1, 60).unwrap();
		assert_eq!(used(&ring), (40, 60));
		let second = fixture.ring("");
		assert_eq!(used(&second), (40, 0));
		let day = Day::of(second.now()).minus(1);
		assert_eq!(second.authorise(Some(&key)).unwrap().standings().0.day(day).completion_tokens, 20);
		// A year later nothing is left of it, nor of keys that are gone.
		second.authorise(Some("Bearer x")).unwrap().admit().unwrap();
		fixture.pass(400 * DAY);
		let third = fixture.ring("");
		let ids: Vec<String> = third.state().accounts.keys().cloned().collect();
		assert_eq!(ids, [fixture.file().read().unwrap()[0].id()]);
		assert_eq!(third.authorise(Some(&key)).unwrap().standings().0, Usage::default());
	}

	#[test]
	fn a_damaged_file_leaves_the_keys_as_they_are() {
		let fixture = Fixture::new();
		let key = fixture.create("app", Limits::default());
		let ring = fixture.ring("alice:sk-a");
		std::fs::write(fixture.file().path(), "{").unwrap();
		ring.refresh();
		assert!(ring.authorise(Some(&key)).is_ok());
		std::fs::remove_file(fixture.file().path()).unwrap();
		ring.refresh();
		assert!(ring.authorise(Some(&key)).is_err());
	}
}
