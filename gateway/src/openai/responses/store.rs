//! Responses that clients may come back to, one file each.
//!
//! A file is written before its response ends, so that the next request can name it. It is not forced to the disk: a power cut
//! may lose the last ones.

use super::ids::Id;
use crate::openai::errors::ApiError;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
	fs, io,
	path::{Path, PathBuf},
	time::{Duration, SystemTime},
};

/// Maximum number of bytes of all files together. The oldest go first.
const MAX_BYTES: u64 = 1 << 30;

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
		Ok(Self { folder, max_age })
	}

	/// The file of a response. `None` if this is no id of this store: it may come from a path.
	fn path(&self, id: &str) -> Option<PathBuf> {
		Id::parse(id).map(|id| self.folder.join(format!("{id}.json")))
	}

	/// Writes a response. This blocks.
	///
	/// # Errors
	/// 500 when the file cannot be written.
	pub fn put(&self, id: &str, stored: &Stored) -> Result<(), ApiError> {
		let failed = |error: &dyn std::fmt::Display| {
			ApiError::internal(format!("The response cannot be stored: {error}. Send 'store': false to do without."))
		};
		let path = self.path(id).ok_or_else(|| failed(&"its id is malformed"))?;
		let part = path.with_extension("part");
		let text = serde_json::to_vec(stored).map_err(|error| failed(&error))?;
		fs::write(&part, text).and_then(|()| fs::rename(&part, &path)).map_err(|error| failed(&error))
	}

	/// Reads a response of an owner. This blocks.
	///
	/// # Errors
	/// 404 when there is none, or it is another owner's.
	pub fn get(&self, id: &str, owner: &str) -> Result<Stored, ApiError> {
		let read = self.path(id).and_then(|path| {
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
		let path = self.path(id).ok_or_else(|| ApiError::response_not_found(id))?;
		fs::remove_file(path).map_err(|error| ApiError::internal(format!("The response cannot be deleted: {error}.")))
	}

	fn is_old(&self, modified: SystemTime) -> bool {
		modified.elapsed().is_ok_and(|age| age > self.max_age)
	}

	/// Deletes the responses that are too old, and the oldest beyond the maximum number of bytes. This blocks.
	pub fn clean(&self) -> io::Result<()> {
		self.clean_to(MAX_BYTES)
	}

	fn clean_to(&self, max_bytes: u64) -> io::Result<()> {
		let mut files = Vec::new();
		for entry in fs::read_dir(&self.folder)? {
			let entry = entry?;
			let metadata = entry.metadata()?;
			files.push((metadata.modified()?, metadata.len(), entry.path()));
		}
		files.sort_by(|(left, ..), (right, ..)| right.cmp(left));
		let mut bytes = 0u64;
		for (modified, length, path) in files {
			bytes = bytes.saturating_add(length);
			if bytes > max_bytes || self.is_old(modified) {
				remove(&path)?;
			}
		}
		Ok(())
	}
}

/// Removes a file that may be gone.
fn remove(path: &Path) -> io::Result<()> {
	match fs::remove_file(path) {
		Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
		_ => Ok(()),
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
	fn old_responses_go_and_the_oldest_make_room() {
		let folder = tempfile::tempdir().unwrap();
		let store = Responses::open(folder.path().into(), Duration::from_secs(1000)).unwrap();
		let length = serde_json::to_vec(&stored("a", "x")).unwrap().len() as u64;
		for (number, age) in [(1, 2000), (2, 900), (3, 100), (4, 10)] {
			store.put(&id(number), &stored("a", "x")).unwrap();
			let file = fs::File::options().write(true).open(store.path(&id(number)).unwrap()).unwrap();
			file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
		}
		assert!(store.get(&id(1), "a").is_err(), "it is too old, though it is still there");
		store.clean_to(2 * length).unwrap();
		let left: Vec<_> = (1..=4).filter(|number| store.path(&id(*number)).unwrap().exists()).collect();
		assert_eq!(left, [3, 4]);
		Responses { max_age: Duration::from_secs(50), ..store.clone() }.clean().unwrap();
		assert!(!store.path(&id(3)).unwrap().exists() && store.path(&id(4)).unwrap().exists());
	}
}
