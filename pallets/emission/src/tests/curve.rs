//! The factor, and the supply over 40 years.

use super::mock::CAP;
use crate::math::{FACTOR, ONE, emission, share};
use polkadot_sdk::sp_core::U256;

/// `⌊(1 − e^−x) · 2^192⌋` within a few units of the last place, for x = 19/40000, by the Taylor series.
fn one_minus_exp() -> U256 {
	let (numerator, denominator) = (U256::from(19), U256::from(40_000));
	let (mut term, mut sum) = (U256::one() << 192, U256::zero());
	for n in 1u32.. {
		term = term * numerator / (denominator * U256::from(n));
		if term.is_zero() {
			break;
		}
		sum = if n % 2 == 1 { sum + term } else { sum - term };
	}
	sum
}

#[test]
fn the_factor_is_the_rounded_taylor_series() {
	let exact = one_minus_exp();
	// x is 0.000475 indeed, and the series agrees with the platform's float to float's precision.
	assert_eq!(19 * 1_000_000, 475 * 40_000);
	let float = -(-0.000475f64).exp_m1();
	assert!(((exact >> 128).as_u64() as f64 / 2f64.powi(64) - float).abs() < 1e-18);

	let rounded = ((exact >> 127) + U256::one()) >> 1;
	assert_eq!(rounded, U256::from(FACTOR));
	// The fraction is 0.139, far from where rounding could differ.
	let thousandths = ((exact & ((U256::one() << 128) - 1)) * U256::from(1_000)) >> 128;
	assert_eq!(thousandths, U256::from(139));
}

#[test]
fn the_first_epoch_mints_322_923_gnk() {
	assert_eq!(emission(CAP, FACTOR), 322_923_299_644_703);
}

#[test]
fn half_is_mined_in_1459_epochs_and_never_more_than_the_cap() {
	let (mut unmined, mut minted, mut half) = (CAP, 0, None);
	let exact = one_minus_exp();
	for epoch in 1..=40 * 365 {
		let before = unmined;
		let amount = emission(unmined, FACTOR);
		assert!(amount > 0 && amount <= before);
		// With 192 fractional bits instead of 64.
		assert!(amount.abs_diff(((U256::from(before) * exact) >> 192).as_u128()) <= 1);
		unmined -= amount;
		minted += amount;
		assert!(minted <= CAP);
		if half.is_none() && minted * 2 >= CAP {
			half = Some(epoch);
		}
	}
	assert!((1_458..=1_460).contains(&half.unwrap()), "{half:?}");
	assert_eq!(minted + unmined, CAP);
	// By an independent computation with rationals.
	assert_eq!(unmined, 661_723_686_727_048);
}

#[test]
fn the_curve_ends_above_zero() {
	let mut unmined = 10_000u128;
	while emission(unmined, FACTOR) > 0 {
		unmined -= emission(unmined, FACTOR);
	}
	assert!(unmined > 2_000 && unmined < 2_110);
	assert_eq!(emission(0, FACTOR), 0);
	assert!(emission(u128::MAX, FACTOR) < u128::MAX / 2_000);
	assert_eq!(emission(ONE, FACTOR), FACTOR.into());
}

#[test]
fn shares_are_proportional_and_bounded() {
	assert_eq!(share(1_000, 1, 3), 333);
	assert_eq!(share(1_000, 3, 3), 1_000);
	assert_eq!(share(u128::MAX, u64::MAX, u64::MAX), u128::MAX);
	// Weights that contradict the total cannot mint more than there is.
	assert_eq!(share(1_000, 5, 3), 1_000);
	assert_eq!(share(1_000, 5, 0), 0);
}
