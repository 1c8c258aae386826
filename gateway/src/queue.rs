//! Requests that wait while all hosts are busy: no more than can start before their patience ends.

use std::{
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

/// Number of requests that may wait whatever the hosts' speed.
const MIN_WAITING: u64 = 32;
/// Time over which starts are counted.
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
	waiting: u64,
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
pub struct Place(Queue);

impl Queue {
	/// Notes that a completion has begun.
	pub fn began(&self) {
		let mut state = self.lock();
		state.turn(Instant::now());
		state.starts = state.starts.saturating_add(1);
	}

	/// Takes a place, for a request that waits for `patience` at most. Returns `None` if as many wait as begin in that time.
	pub fn enter(&self, patience: Duration) -> Option<Place> {
		let mut state = self.lock();
		state.turn(Instant::now());
		let starts = state.starts.max(state.before);
		let limit = starts.saturating_mul(patience.as_secs()) / WINDOW.as_secs();
		if state.waiting >= limit.max(MIN_WAITING) {
			return None;
		}
		state.waiting = state.waiting.saturating_add(1);
		Some(Place(self.clone()))
	}

	fn lock(&self) -> MutexGuard<'_, State> {
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

impl Drop for Place {
	fn drop(&mut self) {
		let mut state = self.0.lock();
		state.waiting = state.waiting.saturating_sub(1);
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn as_many_wait_as_can_begin_in_time() {
		let queue = Queue::default();
		let enter = |patience| {
			let mut places: Vec<Place> = Vec::new();
			while let Some(place) = queue.enter(Duration::from_secs(patience)) {
				places.push(place);
			}
			places.len() as u64
		};
		assert_eq!(enter(30), MIN_WAITING);
		assert_eq!(enter(30), MIN_WAITING, "the places are free again");
		for _ in 0..1_000 {
			queue.began();
		}
		assert_eq!(enter(30), 3_000);
		queue.lock().turn(Instant::now() + WINDOW);
		assert_eq!(queue.lock().before, 1_000);
		queue.lock().turn(Instant::now() + 4 * WINDOW);
		assert_eq!(queue.lock().before, 0);
	}
}
