//! Which host has read the beginning of a prompt before, and may have it in its cache.

use gonka_primitives::AccountId;
use schnellru::{ByLength, LruMap};
use std::{
	collections::hash_map::RandomState,
	hash::{BuildHasher, Hash, Hasher},
};

/// Tokens of a block. Beginnings are compared by whole blocks.
const BLOCK: usize = 64;
/// Maximum number of blocks that are compared: 8,192 tokens.
const MAX_BLOCKS: usize = 128;
/// Maximum number of remembered beginnings, some 4 MiB.
const MAX_BEGINNINGS: u32 = 1 << 16;

/// The beginnings of a prompt, from the shortest: a hash for each number of whole blocks.
#[derive(Clone, Debug, Default)]
pub struct Beginnings(Vec<u64>);

/// The hosts that read beginnings last. The least recently used are forgotten.
pub struct Prefixes {
	/// Nobody can make two prompts that collide: its keys are random.
	random: RandomState,
	hosts: LruMap<u64, AccountId>,
}

impl Default for Prefixes {
	fn default() -> Self {
		Self { random: RandomState::new(), hosts: LruMap::new(ByLength::new(MAX_BEGINNINGS)) }
	}
}

impl Prefixes {
	/// The beginnings of a prompt for a model.
	pub fn beginnings(random: &RandomState, model: &str, prompt: &[u32]) -> Beginnings {
		let mut hasher = random.build_hasher();
		model.hash(&mut hasher);
		let blocks = prompt.chunks_exact(BLOCK).take(MAX_BLOCKS).map(|block| {
			block.hash(&mut hasher);
			hasher.finish()
		});
		Beginnings(blocks.collect())
	}

	/// The keys of the hashes.
	pub fn random(&self) -> RandomState {
		self.random.clone()
	}

	/// The host that read the longest of these beginnings last.
	pub fn host(&mut self, beginnings: &Beginnings) -> Option<AccountId> {
		beginnings.0.iter().rev().find_map(|beginning| self.hosts.get(beginning).copied())
	}

	/// Notes that a host has read a prompt.
	pub fn note(&mut self, beginnings: &Beginnings, host: &AccountId) {
		for beginning in &beginnings.0 {
			self.hosts.insert(*beginning, *host);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_longest_common_beginning_counts() {
		let mut prefixes = Prefixes::default();
		let random = prefixes.random();
		let of = |model: &str, prompt: &[u32]| Prefixes::beginnings(&random, model, prompt);
		let system: Vec<u32> = (0..200).collect();
		let with = |more: u32| [&system[..], &[more; 100]].concat();
		prefixes.note(&of("m", &system), &[1; 32]);
		assert_eq!(prefixes.host(&of("m", &with(7))), Some([1; 32]));
		assert_eq!(prefixes.host(&of("other", &with(7))), None);
		prefixes.note(&of("m", &with(7)), &[2; 32]);
		prefixes.note(&of("m", &system), &[3; 32]);
		assert_eq!(prefixes.host(&of("m", &with(7))), Some([2; 32]));
		assert_eq!(prefixes.host(&of("m", &with(8))), Some([3; 32]));
		assert_eq!(prefixes.host(&of("m", &system[..BLOCK - 1])), None, "less than a block");
		assert_eq!(prefixes.host(&of("m", &system[1..])), None);
	}

	#[test]
	fn memory_is_bounded() {
		let mut prefixes = Prefixes::default();
		let random = prefixes.random();
		for index in 0..1000 {
			prefixes.note(&Prefixes::beginnings(&random, "m", &[index; 20_000]), &[1; 32]);
		}
		assert!(prefixes.hosts.len() <= MAX_BEGINNINGS as usize);
	}
}
