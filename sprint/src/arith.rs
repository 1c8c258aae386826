//! The integer operations of a decoder block. All are exact; divisions floor toward −∞.

/// Maximum absolute value of activations and weights.
pub const MAX: i32 = 31;
/// Maximum absolute value of the residual.
pub const RESIDUAL_MAX: i32 = 1 << 15;

/// `clamp((z + 2^(s−1)) >> s, −31, 31)`; only the clamp if `shift` is 0. `shift` must be below 31.
#[inline]
pub const fn requant(z: i32, shift: u32) -> i8 {
	let half = 1i32.wrapping_shl(shift) >> 1;
	clamp(z.saturating_add(half) >> (shift & 31))
}

/// `x + (z >> shift)`, clamped to ±2¹⁵: an update of the residual.
#[inline]
pub const fn update(x: i32, z: i32, shift: u32) -> i32 {
	let sum = x.saturating_add(z >> (shift & 31));
	if sum > RESIDUAL_MAX {
		RESIDUAL_MAX
	} else if sum < -RESIDUAL_MAX {
		-RESIDUAL_MAX
	} else {
		sum
	}
}

/// Clamps to [-31, 31].
#[inline]
pub const fn clamp(z: i32) -> i8 {
	if z > MAX {
		MAX as i8
	} else if z < -MAX {
		-MAX as i8
	} else {
		z as i8
	}
}

/// `⌊a / b⌋` for `b` > 0; 0 for any other `b`.
#[inline]
pub const fn div_floor(a: i32, b: i32) -> i32 {
	if b <= 0 { 0 } else { a.div_euclid(b) }
}

/// `⌊√(mean of squares)⌋`, at least 1. The mean is floored, too. `x` may have any length; |x| ≤ 2¹⁵.
pub fn root_mean_square(x: &[i32]) -> i32 {
	let sum = x.iter().fold(0i64, |sum, x| sum.saturating_add(i64::from(*x).saturating_mul(i64::from(*x))));
	let mean = sum.checked_div(x.len() as i64).unwrap_or(0);
	(mean.isqrt() as i32).max(1)
}

/// `out = clamp((16·x) div_floor max(1, isqrt(mean(x²))), −31, 31)`. `x` and `out` have the same length.
pub fn normalise(x: &[i32], out: &mut [i8]) {
	let root = root_mean_square(x);
	for (out, x) in out.iter_mut().zip(x) {
		*out = clamp(div_floor(x.saturating_mul(16), root));
	}
}

/// `Σ a[i]·b[i]` over the common length. The runtime computes it to decide one disputed value.
///
/// Exact in any order for up to 4096 values in [-31, 31].
#[inline]
#[allow(clippy::arithmetic_side_effects, reason = "an i8 product has 15 bits and the sum wraps on purpose")]
pub fn dot(a: &[i8], b: &[i8]) -> i32 {
	a.iter().zip(b).fold(0i32, |sum, (a, b)| sum.wrapping_add(i32::from(*a) * i32::from(*b)))
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn rounding_follows_the_documentation() {
		assert_eq!([requant(15, 5), requant(16, 5), requant(-16, 5), requant(-17, 5)], [0, 1, 0, -1]);
		assert_eq!([requant(100_000, 5), requant(-100_000, 5), requant(7, 0)], [31, -31, 7]);
		assert_eq!([div_floor(7, 2), div_floor(-7, 2), div_floor(-1, 100), div_floor(1, 0)], [3, -4, -1, 0]);
		assert_eq!([update(32_760, 100, 2), update(-32_768, -1, 2), update(5, -1, 2)], [32_768, -32_768, 4]);
		assert_eq!([root_mean_square(&[]), root_mean_square(&[0, 0]), root_mean_square(&[3, 4])], [1, 1, 3]);
	}

	proptest! {
		#[test]
		fn matches_the_formulas_in_wide_integers(z in -(1i32 << 23)..=1 << 23, s in 1u32..16, b in 1i32..40_000) {
			let wide = i64::from(z);
			prop_assert_eq!(i64::from(requant(z, s)), ((wide + (1 << (s - 1))) >> s).clamp(-31, 31));
			prop_assert_eq!(div_floor(z, b), (f64::from(z) / f64::from(b)).floor() as i32);
		}

		#[test]
		fn the_order_of_a_sum_does_not_matter(
			mut pairs in prop::collection::vec((-31i8..=31, -31i8..=31), 1..4096),
			rotate in any::<prop::sample::Index>(),
		) {
			let sum = |pairs: &[(i8, i8)]| {
				let (a, b): (Vec<i8>, Vec<i8>) = pairs.iter().copied().unzip();
				dot(&a, &b)
			};
			let forward = sum(&pairs);
			let single = pairs.iter().map(|(a, b)| f32::from(*a) * f32::from(*b)).sum::<f32>();
			prop_assert_eq!(forward as f32, single);
			let middle = rotate.index(pairs.len());
			pairs.rotate_left(middle);
			pairs.reverse();
			prop_assert_eq!(forward, sum(&pairs));
		}
	}
}
