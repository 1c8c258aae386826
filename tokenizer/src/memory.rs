//! Texts that were split into tokens lately. A chat comes back with each of its turns, and with a template's own texts between
//! them, so most of a prompt has been split before. To split it again takes milliseconds for a long one. Most words of a new text
//! have been split before, too.

use std::{
	collections::HashMap,
	mem,
	sync::{Arc, Mutex, PoisonError},
};

use crate::tokenizer::Encoder;

/// Maximum number of bytes of a generation: of its texts and ids.
const GENERATION: usize = 8 << 20;
/// Maximum number of bytes of a text that is remembered. A longer one would displace too many others.
pub const LONGEST: usize = GENERATION / 8;
/// Bytes that an entry takes besides its text and ids.
const OVERHEAD: usize = 96;

/// An encoder that remembers what it has split. It gives the same ids as the one within.
pub struct Remembering {
	encoder: Box<dyn Encoder>,
	/// Maximum number of bytes of a text.
	longest: usize,
	memory: Mutex<Memory>,
}

type Entries = HashMap<Box<str>, Arc<[u32]>>;

/// Two generations: when the younger one is full, it becomes the older one, which is forgotten.
#[derive(Default)]
struct Memory {
	young: Entries,
	old: Entries,
	/// Bytes of the younger one.
	bytes: usize,
}

impl Memory {
	fn get(&mut self, text: &str) -> Option<Arc<[u32]>> {
		if let Some(ids) = self.young.get(text) {
			return Some(ids.clone());
		}
		let (text, ids) = self.old.remove_entry(text)?;
		self.put(text, ids.clone());
		Some(ids)
	}

	fn put(&mut self, text: Box<str>, ids: Arc<[u32]>) {
		let bytes = OVERHEAD + text.len() + mem::size_of_val(&*ids);
		if self.bytes + bytes > GENERATION {
			self.old = mem::take(&mut self.young);
			self.bytes = 0;
		}
		self.bytes += bytes;
		self.young.insert(text, ids);
	}
}

impl Remembering {
	/// Makes one around an encoder, for texts of at most so many bytes, of at most [`LONGEST`].
	pub fn new(encoder: Box<dyn Encoder>, longest: usize) -> Self {
		Self { encoder, longest: longest.min(LONGEST), memory: Mutex::default() }
	}

	fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
		work(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
	}
}

impl Encoder for Remembering {
	fn append(&self, text: &str, ids: &mut Vec<u32>) {
		if text.len() > self.longest {
			return self.encoder.append(text, ids);
		}
		if let Some(known) = self.with(|memory| memory.get(text)) {
			return ids.extend_from_slice(&known);
		}
		// Not under the lock: others go on meanwhile.
		let before = ids.len();
		self.encoder.append(text, ids);
		let new = ids[before..].into();
		self.with(|memory| memory.put(text.into(), new));
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::sync::atomic::{AtomicUsize, Ordering};

	/// Encodes each byte as itself, and counts.
	struct Counting(Arc<AtomicUsize>);

	impl Encoder for Counting {
		fn append(&self, text: &str, ids: &mut Vec<u32>) {
			self.0.fetch_add(1, Ordering::Relaxed);
			ids.extend(text.bytes().map(u32::from));
		}
	}

	#[test]
	fn a_text_is_split_once_until_too_many_others_came() {
		let count = Arc::new(AtomicUsize::new(0));
		let encoder = Remembering::new(Box::new(Counting(count.clone())), LONGEST);
		let encode = |text: &str| {
			let mut ids = vec![7];
			encoder.append(text, &mut ids);
			assert_eq!(ids, [7].into_iter().chain(text.bytes().map(u32::from)).collect::<Vec<_>>());
			count.load(Ordering::Relaxed)
		};
		assert_eq!((encode("ab"), encode("ab"), encode("a"), encode("")), (1, 1, 2, 3));
		// A fifth of a generation each, with four bytes for each id. Texts that are used stay.
		let large = |index: u8| char::from(b'A' + index).to_string().repeat(GENERATION / 25);
		for index in 0..30 {
			encode(&large(index));
			assert_eq!(encode("ab"), 4 + usize::from(index), "{index}");
		}
		assert_eq!(encode("a"), 34, "it was forgotten");
		assert!(encoder.with(|memory| memory.bytes) <= GENERATION);
		let longest = "x".repeat(LONGEST + 1);
		assert_eq!((encode(&longest), encode(&longest)), (35, 36));
	}
}
