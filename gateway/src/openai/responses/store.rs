//! Responses that clients may come back to, one file each, in a folder for each owner.
//!
//! A file is written before its response ends, so that the next request can name it. It is not forced to the disk: a power cut
//! may lose the last ones.

use super::ids::Id;
use crate::openai::errors::ApiError;
use anyhow::Context;
use gonka_primitives::hashing::blake2_256;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
	collections::HashMap,
	fs, io,
	path::{Path, PathBuf},
	sync::{
		Arc, Mutex,
		atomic::{AtomicU64, Ordering},
	},
	time::{Duration, SystemTime},
};

/// Maximum number of bytes of all files together. The oldest of the owner with the most bytes go first.
const MAX_BYTES: u64 = 1 << 30;
/// Number of bytes of a block of a disk: a file takes whole ones.
const BLOCK: u64 = 4096;

/// A response with what a following one needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
	/// The id of the API key that made it. Others do not see it.
	pub owner: String,
	/// The response as the client got it.
	pub response: Value,
	/// The items of its own input.
	pub input: Vec<Value>,
	/// The items of the conversation before it.
	pub before: Vec<Value>,
}

impl Stored {
	/// The items of the conversation up to its end.
	pub fn conversation(self) -> Vec<Value> {
		let output = self.response.get("output").and_then(Value::as_array).cloned().unwrap_or_default();
		self.before.into_iter().chain(self.input).chain(output).collect()
	}

	/// The item of its own input or of its output that has this id.
	pub fn item(&self, id: &str) -> Option<&Value> {
		let output = self.response.get("output").and_then(Value::as_array);
		let mut items = self.input.iter().chain(output.into_iter().flatten());
		items.find(|item| item.get("id").is_some_and(|known| known == id))
	}
}

/// The store.
#[derive(Clone, Debug)]
pub struct Responses {
	folder: PathBuf,
	max_age: Duration,
	max_bytes: u64,
	/// Number of bytes of all files together. Those that were deleted count until the next cleaning.
	bytes: Arc<AtomicU64>,
	/// Held by whoever cleans.
	cleaning: Arc<Mutex<()>>,
}

impl Responses {
	/// Opens the store in a folder.
	///
	/// # Errors
	/// The folder cannot be made.
	pub fn open(folder: PathBuf, max_age: Duration) -> anyhow::Result<Self> {
		fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
		#[cfg(unix)]
		{
			use std::os::unix::fs::PermissionsExt;
			fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
				.with_context(|| format!("cannot protect {}", folder.display()))?;
		}
		Ok(Self { folder, max_age, max_bytes: MAX_BYTES, bytes: Arc::default(), cleaning: Arc::default() })
	}

	/// The file of an owner's response. `None` if this is no id of this store: it may come from a path.
	fn path(&self, id: &str, owner: &str) -> Option<PathBuf> {
		let owner: String = hex::encode(blake2_256(&[owner.as_bytes()])).chars().take(32).collect();
		Id::parse(id).map(|id| self.folder.join(owner).join(format!("{id}.json")))
	}

	/// Writes a response, and makes room for it. This blocks.
	///
	/// # Errors
	/// 500 when the file cannot be written.
	pub fn put(&self, id: &str, stored: &Stored) -> Result<(), ApiError> {
		let failed = |error: &dyn std::fmt::Display| {
			ApiError::internal(format!("The response cannot be stored: {error}. Send 'store': false to do without."))
		};
		let path = self.path(id, &stored.owner).ok_or_else(|| failed(&"its id is malformed"))?;
		let part = path.with_extension("part");
		let text = serde_json::to_vec(stored).map_err(|error| failed(&error))?;
		let length = on_disk(text.len() as u64);
		// Cleaning removes folders that are empty.
		let write = || path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&part, &text));
		write().or_else(|_| write()).and_then(|()| fs::rename(&part, &path)).map_err(|error| failed(&error))?;
		let bytes = self.bytes.fetch_add(length, Ordering::Relaxed).saturating_add(length);
		// Somewhat less, so that not every response has the folders read.
		if bytes > self.max_bytes
			&& let Err(error) = self.clean_to(self.max_bytes / 8 * 7)
		{
			tracing::warn!(%error, "cannot make room for responses");
		}
		Ok(())
	}

	/// Reads a response of an owner. This blocks.
	///
	/// # Errors
	/// 404 when there is none, or it is another owner's.
	#[expect(clippy::disallowed_methods, reason = "the file is the gateway's own")]
	pub fn get(&self, id: &str, owner: &str) -> Result<Stored, ApiError> {
		let read = self.path(id, owner).and_then(|path| {
			let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
			if self.is_old(modified) {
				return None;
			}
			serde_json::from_slice::<Stored>(&fs::read(path).ok()?).ok()
		});
		read.filter(|stored| stored.owner == owner).ok_or_else(|| ApiError::response_not_found(id))
	}

	/// Deletes a response of an owner. This blocks.
	///
	/// # Errors
	/// As [`get`](Self::get).
	pub fn delete(&self, id: &str, owner: &str) -> Result<(), ApiError> {
		self.get(id, owner)?;
		let path = self.path(id, owner).ok_or_else(|| ApiError::response_not_found(id))?;
		match fs::remove_file(path) {
			// Another request has deleted it.
			Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ApiError::response_not_found(id)),
			deleted => deleted.map_err(|error| ApiError::internal(format!("The response cannot be deleted: {error}."))),
		}
	}

	fn is_old(&self, modified: SystemTime) -> bool {
		modified.elapsed().is_ok_and(|age| age > self.max_age)
	}

	/// Deletes the responses that are too old, and the oldest beyond the maximum number of bytes. This blocks.
	pub fn clean(&self) -> io::Result<()> {
		self.clean_to(self.max_bytes)
	}

	fn clean_to(&self, max_bytes: u64) -> io::Result<()> {
		// One at a time; the others need not wait.
		let Ok(_cleaning) = self.cleaning.try_lock() else { return Ok(()) };
		let counted = self.bytes.load(Ordering::Relaxed);
		let (mut owners, mut bytes) = (HashMap::new(), 0u64);
		for entry in fs::read_dir(&self.folder)? {
			let entry = entry?;
			let folder = entry.path();
			if !entry.file_type()?.is_dir() {
				// Earlier versions had all files here, where they are not found any more.
				remove(&folder);
				continue;
			}
			let (mut files, mut sum) = (Vec::new(), 0u64);
			for entry in fs::read_dir(&folder)? {
				let entry = entry?;
				let Ok(metadata) = entry.metadata() else { continue };
				let modified = metadata.modified()?;
				if !(self.is_old(modified) && remove(&entry.path())) {
					let length = on_disk(metadata.len());
					sum = sum.saturating_add(length);
					files.push((modified, length, entry.path()));
				}
			}
			// The last is the oldest.
			files.sort_by(|(left, ..), (right, ..)| right.cmp(left));
			bytes = bytes.saturating_add(sum);
			if files.is_empty() {
				// A new file may have come in between: then it stays.
				let _ = fs::remove_dir(&folder);
			}
			owners.insert(folder, (sum, files));
		}
		while bytes > max_bytes {
			let Some((sum, files)) = owners.values_mut().max_by_key(|(sum, _)| *sum) else { break };
			let Some((_, length, path)) = files.pop() else { break };
			*sum = sum.saturating_sub(length);
			if remove(&path) {
				bytes = bytes.saturating_sub(length);
			}
		}
		// Others may have been written meanwhile.
		self.bytes.fetch_sub(counted, Ordering::Relaxed);
		self.bytes.fetch_add(bytes, Ordering::Relaxed);
		Ok(())
	}
}

/// The number of bytes that a file takes.
fn on_disk(length: u64) -> u64 {
	length.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}

/// Removes a file. Returns whether it is gone.
fn remove(path: &Path) -> bool {
	match fs::remove_file(path) {
		Err(error) if error.kind() != io::ErrorKind::NotFound => {
			tracing::warn!(%error, path = %path.display(), "cannot delete a response");
			false
		},
		_ => true,
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn stored(owner: &str, text: &str) -> Stored {
		let response = json!({"output": [{"type": "message", "role": "assistant", "content": text}]});
		Stored { owner: owner.into(), response, input: vec![json!("input")], before: vec![json!("before")] }
	}

	fn id(number: u32) -> String {
		format!("resp_{number:032x}")
	}

	#[test]
	fn a_response_is_its_owners_alone() {
		let folder = tempfile::tempdir().unwrap();
		let store = Responses::open(folder.path().join("responses"), Duration::from_secs(1000)).unwrap();
		store.put(&id(1), &stored("alice", "a")).unwrap();
		assert_eq!(store.get(&id(1), "alice").unwrap(), stored("alice", "a"));
		assert_eq!(store.get(&id(1), "alice").unwrap().conversation().len(), 3);
		assert!(store.get(&id(1), "bob").is_err() && store.delete(&id(1), "bob").is_err());
		for other in ["", "resp_", "resp_../../secret", "../x", &id(2)] {
			assert_eq!(store.get(other, "alice").unwrap_err().status, 404, "{other}");
		}
		store.delete(&id(1), "alice").unwrap();
		assert!(store.get(&id(1), "alice").is_err());
	}

	#[test]
	fn old_responses_go_and_the_oldest_of_whoever_has_the_most_make_room() {
		let folder = tempfile::tempdir().unwrap();
		let mut store = Responses::open(folder.path().into(), Duration::from_secs(1000)).unwrap();
		let length = on_disk(serde_json::to_vec(&stored("a", "x")).unwrap().len() as u64);
		let files = [(1, "a", 2000), (2, "b", 950), (3, "a", 900), (4, "a", 100), (5, "a", 10)];
		for (number, owner, age) in files {
			store.put(&id(number), &stored(owner, "x")).unwrap();
			let file = fs::File::options().write(true).open(store.path(&id(number), owner).unwrap()).unwrap();
			file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
		}
		let left = |store: &Responses| {
			let exists = |number, owner| store.path(&id(number), owner).unwrap().exists();
			files
				.iter()
				.filter(|(number, owner, _)| exists(*number, owner))
				.map(|(number, ..)| *number)
				.collect::<Vec<_>>()
		};
		assert!(
			store.get(&id(1), "a").is_err() && left(&store).contains(&1),
			"it is too old, though it is still there"
		);
		store.clean_to(3 * length).unwrap();
		assert_eq!(left(&store), [2, 4, 5], "that of another is older");
		store.max_bytes = 3 * length + 1;
		store.put(&id(6), &stored("a", "x")).unwrap();
		assert_eq!(left(&store), [2], "room is made at once, and some more");
		assert!(store.get(&id(6), "a").is_ok());
		Responses { max_age: Duration::ZERO, ..store.clone() }.clean().unwrap();
		assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
	}
}
