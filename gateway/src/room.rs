//! Room in memory for what clients send or leave unread: long bodies, and pieces of completions.

use std::{
	collections::BTreeMap,
	sync::{Mutex, MutexGuard, PoisonError},
};

/// Maximum number of bytes that need no room.
pub const SHORT: usize = 8 << 10;
/// Maximum number of bytes of all rooms. A body may take minutes to arrive, and a client minutes to read.
const ROOM: usize = 256 << 20;
/// Maximum number of them of one API key.
pub const ROOM_OF_KEY: usize = ROOM / 4;

/// Room in memory for more than [`SHORT`] bytes, until it is dropped.
#[derive(Default)]
pub struct Room {
	key: String,
	bytes: usize,
}

/// The bytes of all rooms, by API key.
static ROOMS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
	/// The room of a client with the API key of this id, for nothing yet.
	pub fn of(key: &str) -> Self {
		Self { key: key.to_owned(), bytes: 0 }
	}

	/// Makes room for so many bytes. Returns false if the key has too much or too little is left.
	pub fn grow_to(&mut self, bytes: usize) -> bool {
		let more = bytes.saturating_sub(self.bytes);
		if bytes <= SHORT || more == 0 {
			return true;
		}
		let mut rooms = lock(&ROOMS);
		let all = rooms.values().fold(more, |sum, bytes| sum.saturating_add(*bytes));
		let own = rooms.get(&self.key).copied().unwrap_or(0).saturating_add(more);
		let is_left = all <= ROOM && own <= ROOM_OF_KEY;
		if is_left {
			rooms.insert(self.key.clone(), own);
			self.bytes = bytes;
		}
		is_left
	}

	/// Number of bytes of all rooms of an API key.
	#[cfg(test)]
	pub(crate) fn taken(key: &str) -> usize {
		lock(&ROOMS).get(key).copied().unwrap_or(0)
	}
}

impl Drop for Room {
	fn drop(&mut self) {
		let mut rooms = lock(&ROOMS);
		if let Some(own) = rooms.get_mut(&self.key) {
			*own = own.saturating_sub(self.bytes);
			if *own == 0 {
				rooms.remove(&self.key);
			}
		}
	}
}

/// The bytes of a completion that wait to be read, with their room.
pub struct Backlog(Mutex<(usize, Room)>);

impl Backlog {
	/// The backlog of a completion for the API key with this id.
	pub fn of(key: &str) -> Self {
		Self(Mutex::new((0, Room::of(key))))
	}

	/// Adds a piece. Returns false if there is no room for it.
	pub fn add(&self, bytes: usize) -> bool {
		let mut state = lock(&self.0);
		let (waiting, room) = &mut *state;
		*waiting = waiting.saturating_add(bytes);
		// In few steps: all rooms have one lock.
		room.grow_to(waiting.checked_next_power_of_two().unwrap_or(usize::MAX))
	}

	/// Removes a piece that was read.
	pub fn remove(&self, bytes: usize) {
		let mut state = lock(&self.0);
		state.0 = state.0.saturating_sub(bytes);
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const LONG: usize = 16 << 20;

	#[test]
	fn there_is_room_for_each_key_and_in_all() {
		let full = |key: &str| {
			let mut room = Room::of(key);
			(room.grow_to(LONG / 2) && room.grow_to(LONG)).then_some(room)
		};
		let mut rooms: Vec<_> = (0..4).map(|_| full("first").unwrap()).collect();
		assert!(full("first").is_none());
		for key in ["second", "third", "fourth"] {
			rooms.extend((0..4).map(|_| full(key).unwrap()));
		}
		assert!(full("fifth").is_none() && !Room::of("fifth").grow_to(SHORT + 1));
		assert!(Room::of("fifth").grow_to(SHORT), "little needs none");
		rooms.remove(0);
		rooms.push(full("fifth").unwrap());
		drop(rooms);
		assert!(ROOMS.lock().unwrap().is_empty());
	}

	#[test]
	fn a_backlog_takes_no_more_than_the_room_of_its_key_and_gives_it_back() {
		let (backlog, other) = (Backlog::of("slow"), Backlog::of("slow"));
		// A client that reads needs no room, however long the completion is.
		for _ in 0..1_000 {
			assert!(backlog.add(SHORT));
			backlog.remove(SHORT);
		}
		assert_eq!(Room::taken("slow"), 0);
		assert!(backlog.add(ROOM_OF_KEY / 2 + 1));
		assert_eq!(Room::taken("slow"), ROOM_OF_KEY);
		assert!(backlog.add(1) && other.add(SHORT), "it was rounded up");
		assert!(!other.add(1));
		drop(backlog);
		assert!(other.add(1));
		drop(other);
		assert_eq!(Room::taken("slow"), 0);
	}
}
