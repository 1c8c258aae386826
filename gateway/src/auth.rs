//! API keys of the settings, which have no limits. Only their hashes are kept, so no log or memory dump reveals a key. Keys
//! with limits are those of [`crate::api_keys`].

use gonka_primitives::{Hash, hashing::blake2_256};
use std::collections::HashMap;

/// The API keys that a gateway accepts, by hash.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(HashMap<Hash, String>);

/// Why an API key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an API key is written `name:key`")]
pub struct KeyError;

/// A line of a file of API keys that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct LineError {
	/// The line's number, from 1.
	pub line: usize,
	/// Why it cannot be read.
	pub cause: KeyError,
}

impl ApiKeys {
	/// Reads lines `name:key`. Empty lines and lines that start with `#` are skipped.
	pub fn parse(text: &str) -> Result<Self, LineError> {
		let mut keys = Self::default();
		for (index, line) in text.lines().enumerate() {
			let line = line.trim();
			if line.is_empty() || line.starts_with('#') {
				continue;
			}
			keys.add(line).map_err(|cause| LineError { line: index.saturating_add(1), cause })?;
		}
		Ok(keys)
	}

	/// Adds a key, written `name:key`.
	pub fn add(&mut self, entry: &str) -> Result<(), KeyError> {
		match entry.split_once(':') {
			Some((name, key)) if !name.trim().is_empty() && !key.trim().is_empty() => {
				self.0.insert(hash(key.trim()), name.trim().to_owned());
				Ok(())
			},
			_ => Err(KeyError),
		}
	}

	/// Whether there are no keys, so that every client may use the gateway.
	pub fn is_empty(&self) -> bool {
		self.0.is_empty()
	}

	/// The name of the key in an `Authorization` header; `None` if the key is not accepted.
	pub fn name(&self, authorization: Option<&str>) -> Option<&str> {
		if self.is_empty() {
			return Some("anonymous");
		}
		self.0.get(&hash(bearer(authorization?)?)).map(String::as_str)
	}

	/// Whether a key has this name.
	pub fn has_name(&self, name: &str) -> bool {
		self.0.values().any(|other| other == name)
	}
}

/// The key in an `Authorization` header.
pub fn bearer(authorization: &str) -> Option<&str> {
	let (scheme, key) = authorization.split_once(' ')?;
	scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

fn hash(key: &str) -> Hash {
	blake2_256(&[b"gonka/gateway/api-key", key.as_bytes()])
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_key_is_accepted_only_whole_and_as_a_bearer_token() {
		let keys = ApiKeys::parse("# ours\nalice: sk-a:b \n\nbob:sk-b\n").unwrap();
		assert_eq!(keys.name(Some("Bearer sk-a:b")), Some("alice"));
		assert_eq!(keys.name(Some("bearer sk-b")), Some("bob"));
		assert_eq!(keys.name(Some("Bearer sk-")), None);
		assert_eq!(keys.name(Some("Basic sk-b")), None);
		assert_eq!(keys.name(None), None);
		assert_eq!(ApiKeys::default().name(None), Some("anonymous"));
		assert!(!format!("{keys:?}").contains("sk-b"));
	}

	#[test]
	fn an_unreadable_line_is_named_by_its_number() {
		assert!(ApiKeys::parse("a:b\nnonsense").unwrap_err() == LineError { line: 2, cause: KeyError });
	}
}
