//! blake2b-256, and the ChaCha8 stream that every pseudo-random choice of the sprint reads.

use chacha20::{
	ChaCha8,
	cipher::{KeyIvInit, StreamCipher},
};

/// A blake2b-256 hash.
pub type Hash = [u8; 32];

/// blake2b-256 over the concatenation of `parts`.
pub(crate) fn blake2_256(parts: &[&[u8]]) -> Hash {
	let mut state = blake2b_simd::Params::new().hash_length(32).to_state();
	for part in parts {
		state.update(part);
	}
	let mut out = [0; 32];
	out.copy_from_slice(state.finalize().as_bytes());
	out
}

/// The ChaCha8 key stream (RFC 8439 layout, nonce 0, counter from 0) under `key`.
pub(crate) struct Stream(ChaCha8);

impl Stream {
	pub(crate) fn new(key: &Hash) -> Self {
		Self(ChaCha8::new(key.into(), &[0; 12].into()))
	}

	/// Fills `out` with the next bytes. A key gives 256 GiB; no user reads more than a few KiB.
	pub(crate) fn fill(&mut self, out: &mut [u8]) {
		out.fill(0);
		self.0.apply_keystream(out);
	}

	/// The next 8 bytes as a little-endian number.
	pub(crate) fn next_u64(&mut self) -> u64 {
		let mut bytes = [0; 8];
		self.fill(&mut bytes);
		u64::from_le_bytes(bytes)
	}
}
