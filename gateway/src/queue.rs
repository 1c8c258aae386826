//! Requests that wait while all hosts are busy: no more than can start before their patience ends, and no more than three quarters
//! of these with one API key.

use crate::openai::sampling::MAX_COMPLETIONS;
use std::{
	collections::HashMap,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

/// Number of completions that may wait whatever the hosts' speed. A key's part has room for one request of any size.
const MIN_WAITING: u64 = 2 * MAX_COMPLETIONS as u64;
/// Time over which starts are counted.
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
	waiting: u64,
	/// Those of each key.
	of_keys: HashMap<Arc<str>, u64>,
	/// The beginning of the running window.
	window: Option<Instant>,
	/// Completions that began in the running window and in the one before.
	starts: u64,
	before: u64,
}

impl State {
	/// Moves on to the window of `now`.
	fn turn(&mut self, now: Instant) {
		let windows = self.window.map_or(2, |window| now.duration_since(window).as_secs() / WINDOW.as_secs());
		if windows > 0 {
			self.before = if windows == 1 { self.starts } else { 0 };
			(self.starts, self.window) = (0, Some(now));
		}
	}
}

/// The queue of a gateway.
#[derive(Clone, Default)]
pub struct Queue(Arc<Mutex<State>>);

/// A place in the queue. Dropping it leaves the queue.
pub struct Place {
	queue: Queue,
	key: Arc<str>,
}

impl Queue {
	/// Notes that a completion has begun.
	pub fn began(&self) {
		let mut state = self.lock();
		state.turn(Instant::now());
		state.starts = state.starts.saturating_add(1);
	}

	/// Takes a place, for a request with an API key that waits for `patience` at most. Returns `None` if as many wait as begin in that
	/// time, or three quarters as many of this key.
	pub fn enter(&self, key: &Arc<str>, patience: Duration) -> Option<Place> {
		let mut state = self.lock();
		state.turn(Instant::now());
		let starts = state.starts.max(state.before);
		let limit = (starts.saturating_mul(patience.as_secs()) / WINDOW.as_secs()).max(MIN_WAITING);
		let of_key = state.of_keys.get(key).copied().unwrap_or_default();
		if state.waiting >= limit || of_key >= limit.saturating_mul(3) / 4 {
			return None;
		}
		state.waiting = state.waiting.saturating_add(1);
		state.of_keys.insert(key.clone(), of_key.saturating_add(1));
		Some(Place { queue: self.clone(), key: key.clone() })
	}

	fn lock(&self) -> MutexGuard<'_, State> {
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

impl Drop for Place {
	fn drop(&mut self) {
		let mut state = self.queue.lock();
		state.waiting = state.waiting.saturating_sub(1);
		match state.of_keys.get_mut(&self.key) {
			Some(of_key) if *of_key > 1 => *of_key -= 1,
			_ => drop(state.of_keys.remove(&self.key)),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn as_many_wait_as_can_begin_in_time() {
		let queue = Queue::default();
		let (one, other) = (Arc::from("one"), Arc::from("other"));
		let enter = |keys: &[&Arc<str>]| {
			let mut places: Vec<Place> = Vec::new();
			for key in keys {
				while let Some(place) = queue.enter(key, Duration::from_secs(30)) {
					places.push(place);
				}
			}
			places.len() as u64
		};
		assert_eq!(enter(&[&one]), MIN_WAITING / 4 * 3, "others find places");
		assert_eq!(enter(&[&one, &other]), MIN_WAITING, "the places are free again");
		assert!(queue.lock().of_keys.is_empty());
		for _ in 0..1_000 {
			queue.began();
		}
		assert_eq!(enter(&[&one, &other]), 3_000);
		queue.lock().turn(Instant::now() + WINDOW);
		assert_eq!(queue.lock().before, 1_000);
		queue.lock().turn(Instant::now() + 4 * WINDOW);
		assert_eq!(queue.lock().before, 0);
	}
}
