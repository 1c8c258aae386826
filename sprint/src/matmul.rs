//! The matrix product, which takes nearly all of the time.
//!
//! Integers below 2²³ add exactly in any order, so each path here gives the same bits.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "numeric kernel over checked shapes")]

use crate::arith::dot;

/// `out[t][r] = Σ_c weights[r][c]·x[t][c]`: `weights` is `[rows × columns]`, `x` `[tokens × columns]`, `out`
/// `[tokens × rows]`, all row-major.
pub(crate) fn matmul(weights: &[i8], x: &[i8], columns: usize, out: &mut [i32]) {
	let (rows, tokens) = (weights.len() / columns, x.len() / columns);
	assert!(out.len() == rows * tokens, "shapes are made from one format");
	#[cfg(all(feature = "std", target_arch = "x86_64"))]
	if avx2::matmul(weights, x, columns, out) {
		return;
	}
	portable(weights, x, columns, out);
}

/// One dot product for each element; compilers vectorise it.
fn portable(weights: &[i8], x: &[i8], columns: usize, out: &mut [i32]) {
	let rows = weights.len() / columns;
	for (r, weights) in weights.chunks_exact(columns).enumerate() {
		for (t, x) in x.chunks_exact(columns).enumerate() {
			out[t * rows + r] = dot(weights, x);
		}
	}
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[allow(unsafe_code, reason = "unaligned vector loads, inside slices whose length is checked")]
mod avx2 {
	use core::arch::x86_64::*;

	/// Number of rows of weights and of activations in one pass of the kernel: 8 sums in registers.
	const ROWS: usize = 4;
	const TOKENS: usize = 2;
	/// Number of weights multiplied by one instruction.
	const STEP: usize = 16;

	/// Returns false, without a product, if the processor has no AVX2 or the shapes do not fit the kernel.
	pub(super) fn matmul(weights: &[i8], x: &[i8], columns: usize, out: &mut [i32]) -> bool {
		let (rows, tokens) = (weights.len() / columns, x.len() / columns);
		let fits = rows.is_multiple_of(ROWS) && tokens.is_multiple_of(TOKENS) && columns.is_multiple_of(STEP);
		if !fits || !is_x86_feature_detected!("avx2") {
			return false;
		}
		for (block, weights) in weights.chunks_exact(ROWS * columns).enumerate() {
			for (pair, x) in x.chunks_exact(TOKENS * columns).enumerate() {
				// SAFETY: AVX2 was detected just above.
				let sums = unsafe { kernel(weights, x, columns) };
				for (token, sums) in sums.into_iter().enumerate() {
					let at = (pair * TOKENS + token) * rows + block * ROWS;
					out[at..at + ROWS].copy_from_slice(&sums);
				}
			}
		}
		true
	}

	/// The products of 4 rows of weights with 2 rows of activations, each `columns` long, a multiple of 16.
	#[target_feature(enable = "avx2")]
	fn kernel(weights: &[i8], x: &[i8], columns: usize) -> [[i32; ROWS]; TOKENS] {
		assert!(weights.len() == ROWS * columns && x.len() == TOKENS * columns && columns.is_multiple_of(STEP));
		let mut sums = [[_mm256_setzero_si256(); TOKENS]; ROWS];
		for column in (0..columns).step_by(STEP) {
			// SAFETY: `column + STEP <= columns`, and both slices hold whole rows of `columns` (asserted above).
			let load = |slice: &[i8], row: usize| unsafe {
				_mm256_cvtepi8_epi16(_mm_loadu_si128(slice.as_ptr().add(row * columns + column).cast()))
			};
			let x: [__m256i; TOKENS] = core::array::from_fn(|token| load(x, token));
			for (row, sums) in sums.iter_mut().enumerate() {
				let weights = load(weights, row);
				for (sum, x) in sums.iter_mut().zip(x) {
					*sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(weights, x));
				}
			}
		}
		core::array::from_fn(|token| core::array::from_fn(|row| horizontal(sums[row][token])))
	}

	#[target_feature(enable = "avx2")]
	fn horizontal(sum: __m256i) -> i32 {
		let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
		let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
		_mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum)))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(64))]
		#[test]
		fn every_path_gives_the_same_bits(rows in 1usize..10, tokens in 1usize..6, columns in 1usize..100, seed in any::<u64>()) {
			let mut state = seed;
			let mut next = || {
				state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
				((state >> 40) % 63) as i8 - 31
			};
			for (rows, tokens, columns) in [(rows, tokens, columns), (rows * 4, tokens * 2, columns * 16)] {
				let weights: Vec<i8> = (0..rows * columns).map(|_| next()).collect();
				let x: Vec<i8> = (0..tokens * columns).map(|_| next()).collect();
				let (mut fast, mut plain) = (vec![0; rows * tokens], vec![0; rows * tokens]);
				matmul(&weights, &x, columns, &mut fast);
				portable(&weights, &x, columns, &mut plain);
				prop_assert_eq!(fast, plain);
			}
		}
	}
}
