//! The curve and the shares, in integers.

use gonka_primitives::Balance;
use polkadot_sdk::sp_runtime::{Rounding, helpers_128bit::multiply_by_rational_with_rounding};

/// `round((1 − e^−0.000475) · 2^64)`: the share of the unmined supply that one epoch may mint. The crate's README derives
/// it.
pub const FACTOR: u64 = 8_760_122_741_152_456;

/// The denominator of [`FACTOR`].
pub const ONE: Balance = 1 << 64;

/// Base units that an epoch may mint when `available` are left: `⌊available · rate / 2^64⌋`.
pub fn emission(available: Balance, rate: u64) -> Balance {
	floor_mul_div(available, rate.into(), ONE)
}

/// Base units that a host of `weight` gets of `emission`: `⌊emission · weight / total⌋`, at most `emission`.
pub fn share(emission: Balance, weight: u64, total: u64) -> Balance {
	floor_mul_div(emission, weight.min(total).into(), total.into())
}

/// `⌊a · b / c⌋` for `b ≤ c`, exact for all of u128; 0 if `c` is 0.
fn floor_mul_div(a: Balance, b: Balance, c: Balance) -> Balance {
	multiply_by_rational_with_rounding(a, b, c, Rounding::Down).unwrap_or_default()
}
