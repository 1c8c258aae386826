//! Seats, absence and statements as pure functions (`docs/protocol.md#9-power`).

use alloc::vec::Vec;
use codec::Encode;
use gonka_primitives::{BlockNumber, Hash, hashing::blake2_256};

/// Maximum number of seats. BABE's list is then not longer than one with each validator once, and a validator with 30 % of
/// the power tries 90 keys in a slot.
pub const MAX_SEATS: u16 = 300;
/// Seats for each validator, up to [`MAX_SEATS`]. A node signs once for each of its seats in a slot, so there are no more than
/// the shares need.
const SEATS_EACH: u16 = 4;
/// BABE's weight for each seat of a validator. Its first seat carries the weight of all; the others have 1.
pub const SEAT_WEIGHT: u64 = 1_000;
/// The unit in which blocks are expected: thousandths.
pub const THOUSAND: u32 = 1_000;
/// A validator is absent after this number of expected blocks, in thousandths, without one of its own. A validator that is
/// there misses so many with a probability of e^-10.
pub const ABSENT_AFTER: u32 = 10 * THOUSAND;
/// An absent validator counts this part of its power: a tenth.
const ABSENT_PART: u64 = 10;
/// Minimum power of an absent validator, if it has as much: 0.05 %. With less it would hardly get a seat to come back by.
/// Of at most 300 validators, absent ones that count so much have 15 % in all.
const ABSENT_LEAST: u64 = 500;

/// Number of seats in a network of this many validators. A single validator has one seat: nodes with a longer list make no
/// blocks before they have peers.
pub fn seats(validators: usize) -> u16 {
	match u16::try_from(validators) {
		Ok(0) => 0,
		Ok(1) => 1,
		Ok(validators) => validators.saturating_mul(SEATS_EACH).min(MAX_SEATS),
		Err(_) => MAX_SEATS,
	}
}

/// Deals `seats` in proportion to `power`, rounding at random: the mean over `shift` is the exact share. `shift` is a
/// fraction of a seat in units of 2⁻³². Returns the number of seats of each validator.
pub fn deal(power: &[u64], shift: u32, seats: u16) -> Vec<u16> {
	let total = power.iter().fold(0u128, |sum, power| sum.saturating_add((*power).into()));
	// The number of seats whose points lie below `power` of the total: the seats j with (j + shift) · total < power · seats.
	let below = |power: u128| {
		let scaled = power.saturating_mul(seats.into()).saturating_mul(1 << 32);
		let rest = scaled.saturating_sub(total.saturating_mul(shift.into()));
		let unit = total.saturating_mul(1 << 32).max(1);
		u16::try_from(rest.div_ceil(unit)).unwrap_or(seats).min(seats)
	};
	let mut passed = 0u128;
	let mut dealt = 0u16;
	let mut one = |power: u64| {
		passed = passed.saturating_add(power.into());
		let up_to = below(passed);
		let own = up_to.saturating_sub(dealt);
		dealt = up_to.max(dealt);
		own
	};
	power.iter().map(|power| one(*power)).collect()
}

/// Deals the seats of validators with this power, by a session's beacon. Returns the number of seats of each.
pub fn dealt<A: Encode>(power: &[(A, u64)], beacon: &Hash) -> Vec<u16> {
	// In an order that nobody can prepare identities for.
	let mut order: Vec<_> = power
		.iter()
		.enumerate()
		.map(|(position, (who, power))| {
			let rank = who.using_encoded(|who| blake2_256(&[b"gonka/seat", beacon, who]));
			(rank, position, *power)
		})
		.collect();
	order.sort_unstable();
	let shift = blake2_256(&[b"gonka/seats", beacon]);
	let shift = u32::from_le_bytes(shift.first_chunk().copied().unwrap_or_default());
	let in_order: Vec<_> = order.iter().map(|(_, _, power)| *power).collect();
	let mut all = alloc::vec![0; power.len()];
	for ((_, position, _), dealt) in order.iter().zip(deal(&in_order, shift, seats(power.len()))) {
		if let Some(own) = all.get_mut(*position) {
			*own = dealt;
		}
	}
	all
}

/// The power that an absent validator counts.
pub fn reduced(power: u64) -> u64 {
	power.min(power.checked_div(ABSENT_PART).unwrap_or(0).max(ABSENT_LEAST))
}

/// The blocks expected of a validator with `own` of `all` seats, or of the power, in a session of `blocks`, in thousandths.
pub fn expected(own: u64, all: u64, blocks: u32) -> u32 {
	let share = u128::from(own).saturating_mul(blocks.into()).saturating_mul(THOUSAND.into());
	share.checked_div(all.into()).and_then(|blocks| u32::try_from(blocks).ok()).unwrap_or(0)
}

/// Of statements with their weights, the highest number that two thirds have reached, and the highest that more than a
/// third has reached. `None` without any weight.
pub fn reached(mut statements: Vec<(BlockNumber, u64)>) -> Option<(BlockNumber, BlockNumber)> {
	statements.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
	let sum = |weight: u64, (_, other): &(BlockNumber, u64)| weight.saturating_add(*other);
	let total = statements.iter().fold(0, sum);
	let mut passed = 0u64;
	let (mut low, mut high) = (None, None);
	for (number, weight) in &statements {
		passed = passed.saturating_add(*weight);
		let tripled = passed.saturating_mul(3);
		if tripled > total {
			high = high.or(Some(*number));
		}
		if tripled >= total.saturating_mul(2) {
			low = low.or(Some(*number));
		}
	}
	low.zip(high).filter(|_| total > 0)
}
