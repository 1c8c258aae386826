//! Sprint formats: the sizes of the sprint's Transformer. An epoch has one format.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// A named, frozen set of [`Params`].
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SprintFormat {
	/// 2.6 million operations a leaf: tests, CPU devnets.
	#[default]
	#[codec(index = 0)]
	Nano,
	/// 400 million weights, 103 billion operations a leaf: mainnet.
	#[codec(index = 1)]
	P400,
}

/// Right shifts of the matrix products, in bits: constants of a format.
///
/// They were frozen after the outputs were measured (`examples/collapse.rs`). The products of q, k, v, gate and up have a
/// deviation of 12·2^7.5 (Nano) and 12·2^9.5 (P400). q, k, v and gate round the exponent up, which leaves 0.05 % of them at
/// ±31. up rounds it down, which leaves 8 % at ±31; otherwise its product with the SiLU would use few of its bits. The
/// products of o and down enter the residual directly, with a deviation near 12·2⁴ a block. Nano's o shifts less, so that in
/// two layers the other tokens have enough influence on the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shifts {
	/// Query projection.
	pub q: u32,
	/// Key projection.
	pub k: u32,
	/// Value projection.
	pub v: u32,
	/// Attention's output projection, into the residual.
	pub o: u32,
	/// Gate projection.
	pub gate: u32,
	/// Up projection.
	pub up: u32,
	/// The product of the gate's SiLU and up.
	pub hidden: u32,
	/// Down projection, into the residual.
	pub down: u32,
}

/// Sizes and shifts of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
	/// Number of decoder blocks.
	pub layers: u16,
	/// Width d of the residual.
	pub width: usize,
	/// Number of attention heads, each `width / heads` wide.
	pub heads: usize,
	/// Width f of the feed-forward part.
	pub ffn: usize,
	/// Number of tokens in the vocabulary, a power of two.
	pub vocab: usize,
	/// Number of tokens T of an input.
	pub tokens: usize,
	/// Shifts of the matrix products.
	pub shifts: Shifts,
}

impl SprintFormat {
	/// Every format, in the order of its SCALE index.
	pub const ALL: [Self; 2] = [Self::Nano, Self::P400];

	/// Sizes and shifts.
	pub const fn params(self) -> Params {
		match self {
			Self::Nano => Params {
				layers: 2,
				width: 64,
				heads: 2,
				ffn: 128,
				vocab: 256,
				tokens: 16,
				shifts: Shifts { q: 8, k: 8, v: 8, o: 2, gate: 8, up: 7, hidden: 5, down: 2 },
			},
			Self::P400 => Params {
				layers: 24,
				width: 1024,
				heads: 16,
				ffn: 4096,
				vocab: 32768,
				tokens: 128,
				shifts: Shifts { q: 10, k: 10, v: 10, o: 5, gate: 10, up: 9, hidden: 5, down: 5 },
			},
		}
	}
}

impl Params {
	/// Width of one attention head.
	pub const fn head_width(&self) -> usize {
		match self.width.checked_div(self.heads) {
			Some(width) => width,
			None => 0,
		}
	}

	#[allow(clippy::arithmetic_side_effects, reason = "constants of a format, far below 2^64")]
	/// Number of operations of one leaf: two per weight and token, without attention's own products.
	pub const fn operations(&self) -> u64 {
		let block = 4 * self.width as u64 * self.width as u64 + 3 * self.width as u64 * self.ffn as u64;
		2 * self.layers as u64 * block * self.tokens as u64
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	/// Every partial sum of a format must fit the 24-bit significand of FP32 and TF32.
	#[test]
	fn every_partial_sum_is_exact() {
		for format in SprintFormat::ALL {
			let p = format.params();
			assert_eq!(p.width % p.heads, 0);
			assert!(p.vocab.is_power_of_two() && p.vocab <= 1 << 16);
			// Matrix products: inputs are width (embedding side) or ffn (down).
			assert!(31 * 31 * p.width.max(p.ffn) <= 1 << 23);
			// Scores of one head.
			assert!(31 * 31 * p.head_width() <= 1 << 23);
			// 2·Σ e·v and Σ e.
			assert!(2 * 127 * 31 * p.tokens <= 1 << 23);
			// A sum of width squares of the residual in i64; its 16·x is 2^19 at most.
			assert!((1i64 << 30).checked_mul(p.width as i64).is_some());
		}
	}

	#[test]
	fn the_operations_of_a_leaf_are_known() {
		assert_eq!(SprintFormat::Nano.params().operations(), 2_621_440);
		assert_eq!(SprintFormat::P400.params().operations(), 103_079_215_104);
	}
}
