//! Bearer keys. Only their hashes are kept, so neither memory dumps nor logs tell a key.

use gonka_primitives::{Hash, hashing::blake2_256};
use std::collections::HashMap;

/// The API keys that a gateway takes, by hash.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(HashMap<Hash, String>);

impl ApiKeys {
	/// Reads lines `name:key`; empty lines and those that start with `#` do not count.
	pub fn parse(text: &str) -> Result<Self, String> {
		let mut keys = Self::default();
		for (index, line) in text.lines().enumerate() {
			let line = line.trim();
			if line.is_empty() || line.starts_with('#') {
				continue;
			}
			keys.add(line).map_err(|error| format!("line {}: {error}", index.saturating_add(1)))?;
		}
		Ok(keys)
	}

	/// Adds one `name:key`.
	pub fn add(&mut self, entry: &str) -> Result<(), String> {
		match entry.split_once(':') {
			Some((name, key)) if !name.trim().is_empty() && !key.trim().is_empty() => {
				self.0.insert(hash(key.trim()), name.trim().to_owned());
				Ok(())
			},
			_ => Err("an API key is written `name:key`".to_owned()),
		}
	}

	/// Whether none is set, so that everybody who reaches the gateway may use it.
	pub fn is_empty(&self) -> bool {
		self.0.is_empty()
	}

	/// The name of the key in an `Authorization` header; `None` if it is not one of ours.
	pub fn name(&self, authorization: Option<&str>) -> Option<&str> {
		if self.is_empty() {
			return Some("anonymous");
		}
		let (scheme, key) = authorization?.split_once(' ')?;
		if !scheme.eq_ignore_ascii_case("bearer") {
			return None;
		}
		self.0.get(&hash(key.trim())).map(String::as_str)
	}
}

fn hash(key: &str) -> Hash {
	blake2_256(&[b"gonka/gateway/api-key", key.as_bytes()])
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn keys_are_matched_whole_and_by_scheme() {
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
	fn a_line_without_a_key_is_refused_by_number() {
		assert!(ApiKeys::parse("a:b\nnonsense").unwrap_err().starts_with("line 2"));
	}
}
