//! Fingerprints: 16 bytes for each token of a completion, computed from the hidden state behind its logits. Other
//! weights, or the same weights in fewer bits, give other hidden states.
//!
//! `fingerprint = round(32 · R h / |h|)`, each number rounded to the nearest, ties to even, and clamped to a signed
//! byte. `h` is the state after the last norm (`d` numbers), and `R` is 16 rows of `d` signs. Each number of
//! `R h / |h|` has a standard deviation of 1, so a byte covers ±4 standard deviations in steps of 1/32.
//!
//! The signs depend on the completion's tape. With constant signs, a host could train a small model for just these 16
//! numbers.
//!
//! A receipt carries `root = H("gonka/fingerprint" ‖ number of tokens as u32 ‖ top)`, where `top` is that of the binary
//! tree with `leaf = H(0x00 ‖ fingerprint)`, `node = H(0x01 ‖ left ‖ right)`; the last node of an odd level moves up as
//! it is.

use crate::{
	Hash,
	hashing::{blake2_256, domain},
	tape::{PHI, first_word, mix},
};
use alloc::vec::Vec;

/// The fingerprint of one hidden state.
pub type Fingerprint = [i8; 16];

/// The bytes' steps in one standard deviation of the projection.
pub const SCALE: i8 = 32;

/// The signs of the projection of `width` numbers on the tape with `key`: one word for each number, bit `j` of which is
/// set where row `j` subtracts it. Word `i` is the `i % 4`th from the low end of `mix(state + (i / 4 + 1) φ)` with
/// `state = H("gonka/fingerprint" ‖ key)[..8]`: see [`tape`](crate::tape).
pub fn projection(key: &Hash, width: usize) -> Vec<u16> {
	let mut state = first_word(&blake2_256(&[domain::FINGERPRINT, key]));
	let mut signs = Vec::with_capacity(width.next_multiple_of(4));
	while signs.len() < width {
		state = state.wrapping_add(PHI);
		let bits = mix(state);
		signs.extend([bits as u16, (bits >> 16) as u16, (bits >> 32) as u16, (bits >> 48) as u16]);
	}
	signs.truncate(width);
	signs
}

/// The squared Euclidean distance: 0 to 1,040,400.
pub fn distance(a: &Fingerprint, b: &Fingerprint) -> u32 {
	a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
}

/// The root over the fingerprints of a completion.
pub fn root(fingerprints: &[Fingerprint]) -> Hash {
	let mut level = leaves(fingerprints);
	while level.len() > 1 {
		level = parents(&level);
	}
	seal(fingerprints.len(), &level.first().copied().unwrap_or_default())
}

/// The siblings on the path from leaf `index` to the root; `None` if there is no such leaf.
pub fn prove(fingerprints: &[Fingerprint], index: usize) -> Option<Vec<Hash>> {
	fingerprints.get(index)?;
	let (mut level, mut index, mut path) = (leaves(fingerprints), index, Vec::new());
	while level.len() > 1 {
		path.extend(level.get(index ^ 1));
		level = parents(&level);
		index /= 2;
	}
	Some(path)
}

/// Whether `path` shows that `fingerprint` is number `index` of the `count` under `root`.
pub fn verify(root: &Hash, count: usize, index: usize, fingerprint: &Fingerprint, path: &[Hash]) -> bool {
	if index >= count {
		return false;
	}
	let mut path = path.iter();
	let (mut node, mut index, mut length) = (leaf(fingerprint), index, count);
	while length > 1 {
		if index ^ 1 < length {
			let Some(sibling) = path.next() else { return false };
			node = if index % 2 == 0 { parent(&node, sibling) } else { parent(sibling, &node) };
		}
		index /= 2;
		length = length.div_ceil(2);
	}
	path.next().is_none() && seal(count, &node) == *root
}

fn leaf(fingerprint: &Fingerprint) -> Hash {
	blake2_256(&[&[0], &fingerprint.map(|byte| byte as u8)])
}

fn leaves(fingerprints: &[Fingerprint]) -> Vec<Hash> {
	fingerprints.iter().map(leaf).collect()
}

fn parents(level: &[Hash]) -> Vec<Hash> {
	level
		.chunks(2)
		.map(|pair| match pair {
			[left, right] => parent(left, right),
			single => single.first().copied().unwrap_or_default(),
		})
		.collect()
}

fn parent(left: &Hash, right: &Hash) -> Hash {
	blake2_256(&[&[1], left, right])
}

fn seal(count: usize, top: &Hash) -> Hash {
	blake2_256(&[domain::FINGERPRINT, &(count as u32).to_le_bytes(), top])
}
