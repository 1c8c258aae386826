//! Conversion between GNK and base units, 10⁻⁹ GNK.

use gonka_primitives::{Balance, GNK};
use serde::Serializer;

/// Number of decimals of an amount in GNK.
const DECIMALS: usize = 9;

/// Parses an amount in GNK with at most 9 decimals into base units.
pub fn parse_gnk(text: &str) -> Result<Balance, String> {
	let bad = || format!("`{text}` is not an amount in GNK: write 10 or 0.5, with at most {DECIMALS} decimals");
	let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
	let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
	if whole.is_empty() || decimals.len() > DECIMALS || !digits(whole) || !digits(decimals) {
		return Err(bad());
	}
	let whole: Balance = whole.parse().map_err(|_| bad())?;
	let decimals: Balance = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| bad())?;
	whole.checked_mul(GNK).and_then(|units| units.checked_add(decimals)).ok_or_else(bad)
}

/// Formats base units as GNK, with thousands separators and without trailing zeros.
pub fn gnk(units: Balance) -> String {
	let whole = (units / GNK).to_string();
	let mut out = String::new();
	for (position, digit) in whole.chars().enumerate() {
		if position > 0 && (whole.len() - position).is_multiple_of(3) {
			out.push(',');
		}
		out.push(digit);
	}
	let decimals = format!("{:0DECIMALS$}", units % GNK);
	let decimals = decimals.trim_end_matches('0');
	if decimals.is_empty() { out } else { format!("{out}.{decimals}") }
}

/// Serialises base units as text, since many readers of JSON round large numbers.
pub fn units<S: Serializer>(units: &Balance, serializer: S) -> Result<S::Ok, S::Error> {
	serializer.collect_str(units)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn amounts_are_parsed() {
		assert_eq!(parse_gnk("10"), Ok(10 * GNK));
		assert_eq!(parse_gnk("0.000000001"), Ok(1));
		assert_eq!(parse_gnk("1.5"), Ok(GNK + GNK / 2));
		for bad in ["", ".", "-1", "1e3", ".5", "1,000", "0.0000000001", "999999999999999999999999999999999999999"] {
			assert!(parse_gnk(bad).is_err(), "{bad}");
		}
	}

	#[test]
	fn amounts_are_formatted() {
		assert_eq!(gnk(0), "0");
		assert_eq!(gnk(1), "0.000000001");
		assert_eq!(gnk(999 * GNK), "999");
		assert_eq!(gnk(1_234_567 * GNK + GNK / 2), "1,234,567.5");
	}
}
