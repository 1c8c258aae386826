//! The places of a server's connections. When all are taken, those who have the most make room.

use std::{
	collections::HashMap,
	net::{IpAddr, Ipv6Addr},
	sync::{
		Arc, Mutex, MutexGuard, PoisonError,
		atomic::{AtomicUsize, Ordering},
	},
	time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Time for which a connection without a request keeps its place in any case: it may be about to send one.
const GRACE: Duration = Duration::from_secs(1);

/// Number of requests that may run for each place, all connections together: their responses may be in memory until clients read
/// them.
const REQUESTS_PER_PLACE: usize = 4;

/// The places. Clones share them.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
	max: usize,
	grace: Duration,
	state: Mutex<State>,
	/// Notified when a place becomes free.
	freed: Notify,
	/// Requests of all connections whose response has not ended.
	running: AtomicUsize,
}

#[derive(Default)]
struct State {
	next: u64,
	taken: HashMap<u64, Arc<Connection>>,
}

/// The place of a connection. Dropping it makes it free.
pub(super) struct Place {
	places: Places,
	id: u64,
	connection: Arc<Connection>,
}

struct Connection {
	network: IpAddr,
	use_: Mutex<Use>,
	/// Notified when the place was given to another.
	lost: Notify,
}

/// The use of a connection.
struct Use {
	/// Requests whose response has not ended.
	running: usize,
	/// Whether there was a request.
	has_requested: bool,
	/// The beginning of the connection, or of the time without a request.
	since: Instant,
}

/// A request that runs. Dropping it notes its end.
pub(super) struct Running {
	places: Places,
	connection: Arc<Connection>,
}

impl Places {
	pub(super) fn new(max: usize) -> Self {
		Self::with_grace(max, GRACE)
	}

	fn with_grace(max: usize, grace: Duration) -> Self {
		Self(Arc::new(Shared {
			max,
			grace,
			state: Mutex::default(),
			freed: Notify::new(),
			running: AtomicUsize::new(0),
		}))
	}

	/// Takes a place for a connection from an address. If none is free, another connection loses its own: of those from the
	/// networks with the most connections, the one that is without a request for the longest time, or else the newest.
	///
	/// Returns `None` if the newcomer's network has the most itself, and each of its connections is in use.
	pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
		let network = network(address);
		let mut state = lock(&self.0.state);
		if state.taken.len() >= self.0.max {
			let id = state.victim(network, self.0.grace)?;
			state.taken.remove(&id)?.lost.notify_one();
		}
		let id = state.next;
		state.next += 1;
		let use_ = Mutex::new(Use { running: 0, has_requested: false, since: Instant::now() });
		let connection = Arc::new(Connection { network, use_, lost: Notify::new() });
		state.taken.insert(id, connection.clone());
		Some(Place { places: self.clone(), id, connection })
	}

	/// Waits until a place may be free.
	pub(super) async fn freed(&self) {
		let _ = tokio::time::timeout(self.0.grace, self.0.freed.notified()).await;
	}
}

impl State {
	fn victim(&self, newcomer: IpAddr, grace: Duration) -> Option<u64> {
		let mut counts = HashMap::<IpAddr, usize>::new();
		for connection in self.taken.values() {
			*counts.entry(connection.network).or_default() += 1;
		}
		let most = counts.values().copied().max()?;
		let has_most = counts.get(&newcomer) == Some(&most);
		let may_lose =
			|network: &IpAddr| if has_most { *network == newcomer } else { counts.get(network) == Some(&most) };
		let candidates = || self.taken.iter().filter(|(_, connection)| may_lose(&connection.network));
		let idle = candidates().filter_map(|(id, connection)| Some((connection.idle_since()?, *id)));
		let idle = idle.filter(|(since, _)| since.elapsed() >= grace).min();
		let newest = || candidates().map(|(id, _)| *id).max().filter(|_| !has_most);
		idle.map(|(_, id)| id).or_else(newest)
	}
}

impl Connection {
	fn idle_since(&self) -> Option<Instant> {
		let use_ = lock(&self.use_);
		(use_.running == 0).then_some(use_.since)
	}
}

impl Place {
	/// Notes that a request runs, until the value is dropped. Returns `None` if too many do, those of other connections included.
	pub(super) fn request(&self) -> Option<Running> {
		let shared = &self.places.0;
		let max = shared.max.saturating_mul(REQUESTS_PER_PLACE);
		let begun = shared.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
			running.checked_add(1).filter(|running| *running <= max)
		});
		begun.ok()?;
		let mut use_ = lock(&self.connection.use_);
		use_.running += 1;
		use_.has_requested = true;
		Some(Running { places: self.places.clone(), connection: self.connection.clone() })
	}

	/// Resolves when the place was given to another connection.
	pub(super) async fn lost(&self) {
		self.connection.lost.notified().await;
	}

	/// Resolves when the connection had no request for `first` since its beginning, or for `next` since the last one.
	pub(super) async fn idle(&self, first: Duration, next: Duration) {
		loop {
			let wait = {
				let use_ = lock(&self.connection.use_);
				let limit = if use_.has_requested { next } else { first };
				if use_.running > 0 { limit } else { limit.saturating_sub(use_.since.elapsed()) }
			};
			if wait.is_zero() {
				return;
			}
			tokio::time::sleep(wait).await;
		}
	}
}

impl Drop for Place {
	fn drop(&mut self) {
		lock(&self.places.0.state).taken.remove(&self.id);
		self.places.0.freed.notify_one();
	}
}

impl Drop for Running {
	fn drop(&mut self) {
		self.places.0.running.fetch_sub(1, Ordering::Relaxed);
		let mut use_ = lock(&self.connection.use_);
		use_.running = use_.running.saturating_sub(1);
		use_.since = Instant::now();
	}
}

/// The addresses that one party has for the asking: an IPv4 address, or 2⁸⁰ IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
	match address.to_canonical() {
		IpAddr::V6(address) => {
			let [a, b, c, ..] = address.segments();
			Ipv6Addr::from([a, b, c, 0, 0, 0, 0, 0]).into()
		},
		address => address,
	}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
	use super::*;
	use futures::FutureExt;

	fn address(text: &str) -> IpAddr {
		text.parse().unwrap()
	}

	fn is_lost(place: &Place) -> bool {
		place.lost().now_or_never().is_some()
	}

	#[test]
	fn addresses_with_many_connections_make_room_for_others() {
		let places = Places::with_grace(4, Duration::ZERO);
		let one = address("192.0.2.1");
		let many: Vec<_> = (0..3).map(|_| places.take(one).unwrap()).collect();
		let other = places.take(address("192.0.2.2")).unwrap();
		let running = [many[0].request().unwrap(), many[2].request().unwrap()];
		let third = places.take(address("192.0.2.3")).unwrap();
		assert_eq!(many.iter().map(is_lost).collect::<Vec<_>>(), [false, true, false], "it had no request");
		assert!(!is_lost(&other));
		assert!(places.take(one).is_none(), "a request runs on both of its connections");
		let fourth = places.take(address("192.0.2.4")).unwrap();
		assert_eq!(many.iter().map(is_lost).collect::<Vec<_>>(), [false, false, true], "it is the newest");
		drop(running);
		drop((third, fourth));
		let again: Vec<_> = (0..2).map(|_| places.take(one).unwrap()).collect();
		assert!(!is_lost(&many[0]));
		let last = places.take(one).unwrap();
		assert!(is_lost(&many[0]), "its own connection that is idle for the longest time");
		assert!(!is_lost(&last) && !again.iter().any(is_lost) && !is_lost(&other));
	}

	#[test]
	fn a_party_has_one_ipv4_address_or_many_of_ipv6() {
		let same = [("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2::3", "2001:db8:1:ffff::")];
		for (left, right) in same {
			assert_eq!(network(address(left)), network(address(right)));
		}
		let different = [("192.0.2.1", "192.0.2.2"), ("2001:db8:1::", "2001:db8:2::")];
		for (left, right) in different {
			assert_ne!(network(address(left)), network(address(right)));
		}
	}

	#[tokio::test]
	async fn a_connection_is_idle_when_its_time_without_a_request_is_over() {
		let places = Places::new(1);
		let place = places.take(address("::1")).unwrap();
		let (short, long) = (Duration::ZERO, Duration::from_secs(3600));
		assert!(place.idle(short, long).now_or_never().is_some(), "it has never had one");
		let running = place.request().unwrap();
		assert!(place.idle(long, Duration::from_millis(1)).now_or_never().is_none(), "one runs");
		drop(running);
		assert!(place.idle(short, long).now_or_never().is_none());
		assert!(place.idle(long, short).now_or_never().is_some());
	}

	#[test]
	fn requests_of_all_connections_are_bounded() {
		let places = Places::new(2);
		let connections = ["::1", "192.0.2.1"].map(|text| places.take(address(text)).unwrap());
		let mut running: Vec<_> = (0..2 * REQUESTS_PER_PLACE).map(|_| connections[0].request().unwrap()).collect();
		assert!(connections[1].request().is_none());
		running.pop();
		assert!(connections[1].request().is_some());
	}
}
