//! Embeddings: vectors that stand for texts. A request for one is an envelope whose `max_tokens` is 0. Its receipt's `output` is the
//! hash of the [`bits`] of the vector, its `fingerprint` the root over one fingerprint, that of the vector, and its
//! `completion_tokens` 0.
//!
//! Hosts, checkers and gateways compare floating-point numbers here. The chain never does: it has the hash of their bits.

/// Maximum number of a vector's numbers.
pub const MAX_WIDTH: usize = 1 << 16;
/// Greatest difference of a vector's squared length from 1.
const TOLERANCE: f64 = 1e-3;

/// Minimum cosine of the angle between an embedding and the one that a check makes again: engines of a class, and even weights in
/// 4 bits, come closer.
const MIN_COSINE: f64 = 0.95;

/// The bits of a vector's numbers: those of 32-bit floats (IEEE 754).
pub fn bits(vector: &[f32]) -> Vec<u32> {
	vector.iter().map(|number| number.to_bits()).collect()
}

/// The vector with these [`bits`].
pub fn numbers(bits: &[u32]) -> Vec<f32> {
	bits.iter().copied().map(f32::from_bits).collect()
}

/// Whether a vector can be an embedding: it has at most [`MAX_WIDTH`] numbers, all finite, and the length 1, but for rounding.
pub fn is_embedding(vector: &[f32]) -> bool {
	let square: f64 = vector.iter().map(|number| f64::from(*number) * f64::from(*number)).sum();
	// NaN is no difference that is small enough.
	vector.len() <= MAX_WIDTH && (square - 1.0).abs() <= TOLERANCE
}

/// Whether two [embeddings](is_embedding) are of one text, but for rounding.
pub fn are_alike(one: &[f32], other: &[f32]) -> bool {
	let product: f64 = one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum();
	one.len() == other.len() && product >= MIN_COSINE
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn vectors_that_point_elsewhere_or_have_another_width_are_not_alike() {
		assert!(are_alike(&[0.6, 0.8], &[0.6, 0.8]) && are_alike(&[0.6, 0.8], &[0.62, 0.7846]));
		for other in [&[1.0, 0.0][..], &[-0.6, -0.8], &[0.6, 0.8, 0.0], &[f32::NAN, 0.8], &[]] {
			assert!(!are_alike(&[0.6, 0.8], other), "{other:?}");
		}
	}

	#[test]
	fn an_embedding_has_finite_numbers_and_the_length_one() {
		assert!(is_embedding(&[0.6, -0.8]) && is_embedding(&numbers(&bits(&[1.0]))));
		assert!(!is_embedding(&[1.0 / 257.0; 257 * 257]));
		for other in [&[][..], &[0.0], &[0.6, 0.7], &[f32::NAN, 1.0], &[f32::INFINITY], &[1e30]] {
			assert!(!is_embedding(other), "{other:?}");
		}
	}
}
