//! The file of keys, `api-keys.json` in the gateway's folder. It holds hashes of keys and no key. Commands change it under a
//! lock and replace it as a whole, so that a gateway that reads it meanwhile finds the former file or the new one.

use super::{
	calendar::timestamp,
	limits::{Limits, MAX_MODEL_NAME, MAX_MODELS},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
	fs,
	io::{self, Write},
	os::unix::fs::{MetadataExt, OpenOptionsExt},
	path::{Path, PathBuf},
};

/// Maximum number of keys.
pub const MAX_KEYS: usize = 10_000;
/// Maximum length of a key's name, in bytes.
pub const MAX_NAME: usize = 64;
/// Names of keys that no command makes.
const RESERVED: [&str; 2] = ["own", "anonymous"];
/// The beginning of every key.
const PREFIX: &str = "sk-gonka-";
/// Number of a key's digits that are shown: 24 of its 256 bits.
const SHOWN: usize = 6;
/// Form of the file.
const VERSION: u32 = 1;

/// The SHA-256 of a key. A key has 256 random bits, so its hash reveals nothing about it.
pub type KeyHash = [u8; 32];

/// Returns the hash of a key.
pub fn hash(key: &str) -> KeyHash {
	Sha256::digest(key).into()
}

/// Returns the id of the key with this hash, under which its usage is recorded: half of the hash, in hex.
pub fn id(hash: &KeyHash) -> String {
	hex::encode(hash).chars().take(32).collect()
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
	/// Its name, unique among all keys of the file.
	pub name: String,
	/// The key's first characters, by which its owner recognises it.
	pub start: String,
	/// The key's hash.
	#[serde(with = "hex_hash")]
	pub hash: KeyHash,
	/// When it was made, in seconds since 1970.
	pub created: u64,
	/// When it was revoked, in seconds since 1970.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub revoked: Option<u64>,
	/// Its limits.
	#[serde(default)]
	pub limits: Limits,
}

/// Whether a key is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
	/// It is valid.
	Active,
	/// Its time is over.
	Expired,
	/// Its owner revoked it.
	Revoked,
}

impl State {
	/// Its name.
	pub fn name(self) -> &'static str {
		match self {
			Self::Active => "active",
			Self::Expired => "expired",
			Self::Revoked => "revoked",
		}
	}
}

impl Key {
	/// The id under which its usage is recorded.
	pub fn id(&self) -> String {
		id(&self.hash)
	}

	/// Whether it is valid.
	pub fn state(&self, now: u64) -> State {
		match (self.revoked, self.limits.expires) {
			(Some(_), _) => State::Revoked,
			(None, Some(expires)) if expires <= now => State::Expired,
			_ => State::Active,
		}
	}
}

mod hex_hash {
	use super::KeyHash;
	use serde::{Deserialize, Deserializer, Serializer, de::Error};

	pub fn serialize<S: Serializer>(hash: &KeyHash, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.serialize_str(&hex::encode(hash))
	}

	pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyHash, D::Error> {
		let mut hash = KeyHash::default();
		hex::decode_to_slice(String::deserialize(deserializer)?, &mut hash).map_err(D::Error::custom)?;
		Ok(hash)
	}
}

#[derive(Serialize, Deserialize)]
struct Contents {
	version: u32,
	keys: Vec<Key>,
}

/// Why keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
	/// The file cannot be read.
	#[error("cannot read {}: {cause}", path.display())]
	Read {
		/// The file.
		path: PathBuf,
		/// The cause.
		cause: io::Error,
	},
	/// The file is not what a command wrote.
	#[error("{} is damaged ({cause}): restore it from a backup, or move it away and make new keys", path.display())]
	Malformed {
		/// The file.
		path: PathBuf,
		/// The cause.
		cause: String,
	},
	/// The file cannot be written.
	#[error("cannot write {}: {cause}; nothing was changed", path.display())]
	Write {
		/// The file.
		path: PathBuf,
		/// The cause.
		cause: io::Error,
	},
	/// The system has no randomness.
	#[error("the system has no randomness for a key: {0}")]
	Randomness(String),
	/// The name cannot be that of a key.
	#[error(
		"'{0}' cannot be a key's name: use up to {MAX_NAME} letters, digits, '.', '_' and '-', with a letter or a digit first"
	)]
	Name(String),
	/// The name is that of a key which the gateway makes.
	#[error("'{0}' is the name of a key that the gateway makes itself: choose another name")]
	Reserved(String),
	/// Another key has the name.
	#[error("there is a key '{0}' already: choose another name, change its limits with `key set`, or revoke it first")]
	Taken(String),
	/// No key has the name.
	#[error("there is no key '{0}': `gonka-gateway key list` shows the keys, and --base-path says whose")]
	Unknown(String),
	/// The key is revoked.
	#[error("the key '{name}' was revoked at {}: make a new one with `key create {name}`", timestamp(*at))]
	Revoked {
		/// Its name.
		name: String,
		/// When it was revoked.
		at: u64,
	},
	/// There are too many keys.
	#[error("there are {MAX_KEYS} keys, which is the maximum: revoke one that is not needed first")]
	Full,
	/// There are too many models, or one has too long a name.
	#[error("a key can be limited to {MAX_MODELS} models with names of up to {MAX_MODEL_NAME} bytes")]
	Models,
}

/// The state of the file by which a change of it is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Option<(u64, u64, i64, i64)>);

/// The file of keys.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
	/// The file in a gateway's folder. It need not exist.
	pub fn in_folder(folder: &Path) -> Self {
		Self(folder.join("api-keys.json"))
	}

	/// Its path.
	pub fn path(&self) -> &Path {
		&self.0
	}

	/// Its state. Each change gives it another one.
	pub fn stamp(&self) -> Stamp {
		let data = fs::metadata(&self.0).ok();
		Stamp(data.map(|data| (data.ino(), data.len(), data.ctime(), data.ctime_nsec())))
	}

	/// Reads all keys, in the order in which they were made; none if there is no file.
	pub fn read(&self) -> Result<Vec<Key>, Error> {
		let path = || self.0.clone();
		let bytes = match fs::read(&self.0) {
			Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
			bytes => bytes.map_err(|cause| Error::Read { path: path(), cause })?,
		};
		let malformed = |cause| Error::Malformed { path: path(), cause };
		#[expect(clippy::disallowed_methods, reason = "the file is the gateway's own")]
		let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
		match contents {
			Contents { version: VERSION, keys } if keys.len() <= MAX_KEYS => Ok(keys),
			Contents { version: VERSION, .. } => Err(malformed(format!("it has more than {MAX_KEYS} keys"))),
			Contents { version, .. } => Err(malformed(format!("its version is {version}, not {VERSION}"))),
		}
	}

	/// Makes a key with this name. Returns it and its secret, which is kept nowhere. The key takes the place of a revoked one
	/// with this name; if the file is full, that of the one that was revoked first.
	pub fn create(&self, name: &str, limits: Limits, now: u64) -> Result<(Key, String), Error> {
		check_name(name)?;
		check_models(&limits)?;
		let mut random = [0; 32];
		getrandom::getrandom(&mut random).map_err(|error| Error::Randomness(error.to_string()))?;
		let secret = format!("{PREFIX}{}", hex::encode(random));
		let start = secret.chars().take(PREFIX.len().saturating_add(SHOWN)).collect();
		let (name, hash) = (name.to_owned(), hash(&secret));
		let key = Key { name, start, hash, created: now, revoked: None, limits };
		self.change(|keys| {
			match keys.iter().position(|other| other.name == key.name) {
				Some(index) if keys.get(index).is_some_and(|other| other.revoked.is_some()) => {
					keys.remove(index);
				},
				Some(_) => return Err(Error::Taken(key.name.clone())),
				None if keys.len() >= MAX_KEYS => {
					let revoked = keys.iter().enumerate().filter_map(|(index, key)| Some((key.revoked?, index)));
					keys.remove(revoked.min().ok_or(Error::Full)?.1);
				},
				None => {},
			}
			keys.push(key.clone());
			Ok((key, secret))
		})
	}

	/// Revokes a key. Returns it as it is then; a key that was revoked before stays as it is.
	pub fn revoke(&self, name: &str, now: u64) -> Result<Key, Error> {
		self.change(|keys| {
			let key = find(keys, name)?;
			key.revoked.get_or_insert(now);
			Ok(key.clone())
		})
	}

	/// Changes the limits of a key that is not revoked. Returns it as it is then.
	pub fn set(&self, name: &str, change: impl FnOnce(&mut Limits)) -> Result<Key, Error> {
		self.change(|keys| {
			let key = find(keys, name)?;
			if let Some(at) = key.revoked {
				return Err(Error::Revoked { name: name.to_owned(), at });
			}
			change(&mut key.limits);
			check_models(&key.limits)?;
			Ok(key.clone())
		})
	}

	/// Reads the keys, changes them and writes them, while no other command does.
	fn change<T>(&self, change: impl FnOnce(&mut Vec<Key>) -> Result<T, Error>) -> Result<T, Error> {
		let failed = |cause| Error::Write { path: self.0.clone(), cause };
		if let Some(folder) = self.0.parent() {
			fs::create_dir_all(folder).map_err(failed)?;
		}
		let path = self.0.with_extension("lock");
		let lock = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
		let lock = lock.map_err(failed)?;
		lock.lock().map_err(failed)?;
		let mut keys = self.read()?;
		let changed = change(&mut keys)?;
		let text = serde_json::to_vec_pretty(&Contents { version: VERSION, keys });
		replace(&self.0, &text.map_err(|error| failed(error.into()))?).map_err(failed)?;
		Ok(changed)
	}
}

/// Replaces a file by one with these contents, which only its owner may read. A crash leaves the former file or the new one.
/// Nothing else may replace it at the same time. Returns the file, open at its end.
pub(super) fn replace(path: &Path, contents: &[u8]) -> io::Result<fs::File> {
	let temporary = path.with_extension("tmp");
	// A process that was killed may have left one.
	let _ = fs::remove_file(&temporary);
	let replaced = (|| {
		let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
		file.write_all(contents)?;
		file.sync_all()?;
		fs::rename(&temporary, path)?;
		let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
		fs::File::open(folder)?.sync_all()?;
		Ok(file)
	})();
	if replaced.is_err() {
		let _ = fs::remove_file(&temporary);
	}
	replaced
}

fn find<'a>(keys: &'a mut [Key], name: &str) -> Result<&'a mut Key, Error> {
	keys.iter_mut().find(|key| key.name == name).ok_or_else(|| Error::Unknown(name.to_owned()))
}

fn check_name(name: &str) -> Result<(), Error> {
	let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
	let is_plain = name.chars().all(|each| each.is_ascii_alphanumeric() || ".-_".contains(each));
	if name.len() > MAX_NAME || !starts_well || !is_plain {
		return Err(Error::Name(name.chars().take(MAX_NAME).collect()));
	}
	if RESERVED.contains(&name) {
		return Err(Error::Reserved(name.to_owned()));
	}
	Ok(())
}

fn check_models(limits: &Limits) -> Result<(), Error> {
	let models = &limits.models;
	let is_name = |model: &String| !model.is_empty() && model.len() <= MAX_MODEL_NAME;
	if models.len() > MAX_MODELS || !models.iter().all(is_name) {
		return Err(Error::Models);
	}
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::os::unix::fs::PermissionsExt;

	const NOW: u64 = 1_800_000_000;

	fn folder() -> (tempfile::TempDir, KeyFile) {
		let folder = tempfile::tempdir().unwrap();
		let file = KeyFile::in_folder(&folder.path().join("new"));
		(folder, file)
	}

	#[test]
	fn a_key_is_kept_as_a_hash_that_only_the_owner_reads() {
		let (_folder, file) = folder();
		assert_eq!((file.read().unwrap(), file.stamp()), (Vec::new(), Stamp::default()));
		let (key, secret) = file.create("app", Limits::default(), NOW).unwrap();
		assert!(secret.starts_with("sk-gonka-") && secret.len() == 9 + 64);
		assert_eq!((key.hash, key.start.as_str()), (hash(&secret), &secret[..15]));
		assert_eq!(file.read().unwrap(), [key]);
		let text = fs::read_to_string(file.path()).unwrap();
		assert!(!text.contains(&secret[..20]) && !text.contains(&secret[20..]));
		assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
	}

	#[test]
	fn a_name_is_used_once_until_its_key_is_revoked() {
		let (_folder, file) = folder();
		let (first, _) = file.create("app", Limits::default(), NOW).unwrap();
		assert!(matches!(file.create("app", Limits::default(), NOW), Err(Error::Taken(_))));
		assert!(matches!(file.revoke("other", NOW), Err(Error::Unknown(_))));
		assert_eq!(file.revoke("app", NOW + 1).unwrap().revoked, Some(NOW + 1));
		assert_eq!(file.revoke("app", NOW + 2).unwrap().revoked, Some(NOW + 1));
		assert!(matches!(file.set("app", |_| ()), Err(Error::Revoked { .. })));
		let (second, _) = file.create("app", Limits::default(), NOW + 3).unwrap();
		assert_ne!(first.id(), second.id());
		assert_eq!(file.read().unwrap(), [second]);
	}

	#[test]
	fn limits_are_changed_and_every_change_gives_another_stamp() {
		let (_folder, file) = folder();
		file.create("app", Limits::default(), NOW).unwrap();
		let mut stamps = vec![file.stamp()];
		for tokens in 0..50 {
			file.set("app", |limits| limits.tokens_per_day = Some(100 + tokens)).unwrap();
			assert!(!stamps.contains(&file.stamp()) || stamps.last() != Some(&file.stamp()));
			stamps.push(file.stamp());
		}
		assert_eq!(file.read().unwrap()[0].limits.tokens_per_day, Some(149));
	}

	#[test]
	fn names_and_models_are_bounded() {
		let (_folder, file) = folder();
		for bad in ["", "-app", "a b", "a/b", "ä", &"a".repeat(65), "a\n"] {
			assert!(matches!(file.create(bad, Limits::default(), NOW), Err(Error::Name(_))), "{bad}");
		}
		for bad in RESERVED {
			assert!(matches!(file.create(bad, Limits::default(), NOW), Err(Error::Reserved(_))), "{bad}");
		}
		for models in [vec!["m".to_owned(); 65], vec!["m".repeat(129)], vec![String::new()]] {
			assert!(matches!(file.create("a", Limits { models, ..Limits::default() }, NOW), Err(Error::Models)));
		}
		file.create(&"a".repeat(64), Limits { models: vec!["m".repeat(128); 64], ..Limits::default() }, NOW).unwrap();
	}

	#[test]
	fn in_a_full_file_the_key_that_was_revoked_first_gives_way() {
		let (_folder, file) = folder();
		file.create("first", Limits::default(), NOW).unwrap();
		let mut keys = file.read().unwrap();
		for index in 1..MAX_KEYS {
			keys.push(Key { name: format!("k{index}"), ..keys[0].clone() });
		}
		let text = serde_json::to_vec(&Contents { version: VERSION, keys }).unwrap();
		fs::write(file.path(), text).unwrap();
		assert!(matches!(file.create("new", Limits::default(), NOW), Err(Error::Full)));
		file.revoke("k7", NOW + 1).unwrap();
		file.revoke("k5", NOW + 2).unwrap();
		file.create("new", Limits::default(), NOW + 3).unwrap();
		let names: Vec<String> = file.read().unwrap().into_iter().map(|key| key.name).collect();
		assert_eq!(names.len(), MAX_KEYS);
		assert!(!names.contains(&"k7".to_owned()) && names.contains(&"k5".to_owned()));
	}

	#[test]
	fn commands_at_the_same_time_lose_no_key() {
		let (_folder, file) = folder();
		std::thread::scope(|scope| {
			for thread in 0..8 {
				let file = &file;
				scope.spawn(move || {
					for index in 0..8 {
						file.create(&format!("key-{thread}-{index}"), Limits::default(), NOW).unwrap();
					}
				});
			}
		});
		assert_eq!(file.read().unwrap().len(), 64);
	}

	#[test]
	fn what_a_killed_command_left_goes_with_the_next_change() {
		let (_folder, file) = folder();
		file.create("app", Limits::default(), NOW).unwrap();
		fs::write(file.path().with_extension("tmp"), "{\"version\":1,\"keys\":[").unwrap();
		assert_eq!(file.read().unwrap().len(), 1, "it is never read");
		file.create("other", Limits::default(), NOW).unwrap();
		assert_eq!(file.read().unwrap().len(), 2);
		let folder = fs::read_dir(file.path().parent().unwrap()).unwrap();
		let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
		names.sort();
		assert_eq!(names, ["api-keys.json", "api-keys.lock"]);
		assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600, "whatever mode that had");
	}

	#[test]
	fn a_damaged_file_is_an_error_and_stays() {
		let (_folder, file) = folder();
		file.create("app", Limits::default(), NOW).unwrap();
		for text in ["", "{", r#"{"version":2,"keys":[]}"#] {
			fs::write(file.path(), text).unwrap();
			assert!(matches!(file.read(), Err(Error::Malformed { .. })), "{text}");
			assert!(file.create("other", Limits::default(), NOW).is_err());
			assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
		}
	}
}
