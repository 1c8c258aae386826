//! The tape: the noise that sampling adds to logits, public and fixed before a completion begins.
//!
//! `x = argmax(score + g)` with independent Gumbel noise `g` draws from the softmax of the scores. Here `g` is a
//! function of key, position and token. The key comes from the envelope, which the gateway signs, and from the host's
//! account. So the host cannot choose the noise, and a checker that knows the envelope can repeat the draw.
//!
//! Everything is integers, so that all processors agree to the last bit:
//!
//! - `state = H("gonka/tape" ‖ key ‖ position as u32)[..8]`, once a row of logits;
//! - `mix(state + (j + 1) φ)`, the output of SplitMix64, holds the uniforms of tokens `2j` (low half) and `2j + 1`;
//! - `g = −ln(−ln(1 − p))` for the uniform `r`, where `p = (r + ½) / 2³²`; in 2⁻¹⁶ nats, between −3.13 and 22.87.
//!
//! The noise is off by less than 2⁻¹⁶ nats. That changes a token only if the two best scores are as close. The
//! distribution equals the softmax of the scores up to a total variation of 5·10⁻⁵, plus `13 n / 2³²` for the grain of
//! `p` among `n` equally likely tokens (1.5·10⁻⁴ for 49,152; less if few tokens are likely).

use crate::{
	AccountId, Hash,
	hashing::{blake2_256, domain},
};

/// One nat in the unit of noise and scores.
pub const NAT: i32 = 1 << 16;
/// A token whose score is this far below the best has weight 0: 32 ln 2 nats, in 2⁻¹⁶ nats.
pub const REACH: u32 = 1_453_634;

/// The weight of the best token.
pub(crate) const ONE: u64 = 1 << 32;
/// 2⁶⁴ / the golden ratio: SplitMix64's stride.
pub(crate) const PHI: u64 = 0x9e37_79b9_7f4a_7c15;
/// ln 2 in 2⁻⁶⁴.
const LN_2: u128 = 0xb172_17f7_d1cf_79ac;
/// log₂ e in 2⁻³².
const LOG2_E: u64 = 0x1_7154_7653;

/// The key of the completion by `host` of the request whose envelope hashes to `envelope`.
pub fn tape_key(envelope: &Hash, host: &AccountId) -> Hash {
	blake2_256(&[domain::TAPE, envelope, host])
}

/// The key of a completion without an envelope: `H("gonka/tape" ‖ seed as u64)`.
pub fn seed_key(seed: u64) -> Hash {
	blake2_256(&[domain::TAPE, &seed.to_le_bytes()])
}

/// The tape at one position: noise for every token.
#[derive(Clone, Copy, Debug)]
pub struct TapeRow(u64);

impl TapeRow {
	/// The noise for the token at `position`, counted from the prompt's first.
	pub fn new(key: &Hash, position: u32) -> Self {
		Self(first_word(&blake2_256(&[domain::TAPE, key, &position.to_le_bytes()])))
	}

	/// The noise of `token`, in 2⁻¹⁶ nats.
	pub fn noise(&self, token: u32) -> i32 {
		let pair = u64::from(token / 2) + 1;
		let [low, high] = halves(mix(self.0.wrapping_add(PHI.wrapping_mul(pair))));
		gumbel(if token.is_multiple_of(2) { low } else { high })
	}

	/// The uniforms of all tokens in order, two at a time.
	pub(crate) fn pairs(self) -> impl Iterator<Item = [u32; 2]> {
		let states = core::iter::successors(Some(self.0), |state| Some(state.wrapping_add(PHI)));
		states.skip(1).map(|state| halves(mix(state)))
	}
}

/// The low and the high half.
fn halves(bits: u64) -> [u32; 2] {
	[bits as u32, (bits >> 32) as u32]
}

/// The first eight bytes of `hash`, little-endian.
pub(crate) fn first_word(hash: &Hash) -> u64 {
	let [a, b, c, d, e, f, g, h, ..] = *hash;
	u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The finaliser of SplitMix64.
pub(crate) fn mix(n: u64) -> u64 {
	let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
	let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
	n ^ (n >> 31)
}

/// `−ln(−ln(1 − p))` for `p = (uniform + ½) / 2³²`, in 2⁻¹⁶ nats. Never rises with `uniform`.
pub fn gumbel(uniform: u32) -> i32 {
	let odd = 2 * u64::from(uniform) + 1;
	let exact = if uniform < 1 << 31 {
		// For small p, −ln(1 − p) is p times a factor that changes slowly.
		nats((33 << 32) - log2(odd)) + correction(uniform)
	} else {
		let exponential = nats((33 << 32) - log2((1 << 33) - odd));
		nats((32 << 32) - log2(exponential as u64))
	};
	((exact + (1 << 15)) >> 16) as i32
}

/// The weight of a token relative to the best: `exp(−deficit)` in 2⁻³², for a `deficit` in 2⁻¹⁶ nats. 0 beyond
/// [`REACH`].
pub fn weight(deficit: u32) -> u64 {
	if deficit > REACH {
		return 0;
	}
	// In 2⁻⁴⁸: a whole number of halvings, 8 bits that index the table, and the way to its next entry.
	let bits = u64::from(deficit) * LOG2_E;
	let index = (bits >> 40) as usize & 255;
	let (high, low) = (EXP2[index], EXP2[index + 1]);
	let between = ((high - low) * (bits >> 8 & 0xffff_ffff)) >> 32;
	(high - between) >> (bits >> 48)
}

/// A number of halvings in 2⁻³², in 2⁻³² nats.
fn nats(halvings: i64) -> i64 {
	((i128::from(halvings) * LN_2 as i128) >> 64) as i64
}

/// Natural logarithm of a positive number, in 2⁻¹⁶ nats.
pub(crate) fn ln(n: u64) -> i64 {
	nats(log2(n)) >> 16
}

/// log₂ of a positive number, in 2⁻³².
fn log2(n: u64) -> i64 {
	let zeros = n.leading_zeros();
	let mantissa = n << zeros;
	let index = (mantissa >> 54) as usize & 511;
	let (low, high) = (LOG2[index], LOG2[index + 1]);
	let between = ((high - low) * (mantissa >> 22 & 0xffff_ffff)) >> 32;
	(i64::from(63 - zeros) << 32) + (low + between) as i64
}

/// `−ln(−ln(1 − p) / p)` for `p < ½`, in 2⁻³² nats.
fn correction(uniform: u32) -> i64 {
	let index = (uniform >> 22) as usize;
	let (start, end) = (CORRECTION[index], CORRECTION[index + 1]);
	start + (((end - start) * i64::from(uniform & 0x3f_ffff)) >> 22)
}

/// `2^(−i / 256)` in 2⁻³².
static EXP2: [u64; 257] = {
	// roots[k] = 2^(−2^−(k + 1)) in 2⁻⁶³.
	let mut roots = [0u128; 8];
	let mut root = 1u128 << 62;
	let mut k = 0;
	while k < 8 {
		root = (root << 63).isqrt();
		roots[k] = root;
		k += 1;
	}
	let mut table = [0; 257];
	let mut i = 0;
	while i < 256 {
		let mut power = 1u128 << 63;
		let mut k = 0;
		while k < 8 {
			if i >> (7 - k) & 1 == 1 {
				power = (power * roots[k]) >> 63;
			}
			k += 1;
		}
		table[i] = ((power + (1 << 30)) >> 31) as u64;
		i += 1;
	}
	table[256] = ONE / 2;
	table
};

/// `log₂(1 + i / 512)` in 2⁻³².
static LOG2: [u64; 513] = {
	let mut table = [0; 513];
	let mut i = 0;
	while i < 512 {
		table[i] = (precise_log2((512 + i as u128) << 53) + (1 << 7)) >> 8;
		i += 1;
	}
	table[512] = ONE;
	table
};

/// [`correction`] at `p = i / 1024`.
static CORRECTION: [i64; 513] = {
	let mut table = [0; 513];
	let mut i = 1;
	while i <= 512 {
		// −log₂(1 − p) in 2⁻⁴⁰, as nats over p in 2⁻⁶², a number between 1 and 1.39.
		let halvings = (1u128 << 40) - precise_log2((1024 - i as u128) << 53) as u128;
		let ratio = ((halvings * (LN_2 >> 4)) >> 38) * 1024 / i as u128;
		table[i] = -(((precise_log2(ratio) as u128 * (LN_2 >> 4)) >> 68) as i64);
		i += 1;
	}
	table
};

/// log₂ of a number in 2⁻⁶² from 1 to below 2, in 2⁻⁴⁰: a bit for every squaring.
const fn precise_log2(mut n: u128) -> u64 {
	let mut log = 0;
	let mut bit = 0;
	while bit < 40 {
		n = (n * n) >> 62;
		log <<= 1;
		if n >= 1 << 63 {
			n >>= 1;
			log |= 1;
		}
		bit += 1;
	}
	log
}
