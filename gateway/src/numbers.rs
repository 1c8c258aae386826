//! The sequence numbers of a channel's envelopes.
//!
//! An envelope is sent before it is on disk, so that no request waits for the disk. Two rules keep the ledger right after a crash:
//! - Numbers are reserved on disk in blocks. After a start, only numbers beyond the reserved ones are given out, so none is
//!   used twice.
//! - Envelopes reach the disk in the order of their numbers, and before the receipts that answer them. Those at or above the
//!   last number on disk were lost in the crash: no voucher can cover them, so a receipt that the worker shows for one is due.
//!
//! The worker takes each number once, so at most one receipt of a number is paid.

use crate::store::Written;
use codec::{Decode, Encode};
use gonka_primitives::Hash;
use std::ops::Range;

/// Numbers that are reserved at a time.
const BLOCK: u64 = 1024;
/// Numbers by which a worker may be ahead: more is no number that anybody gave out.
pub const MAX_AHEAD: u64 = 1 << 32;
/// Maximum number of ranges without a record. Beyond it, receipts of the lowest are not paid any more.
const MAX_UNRECORDED: usize = 1024;
/// Workers reject a number that is so far below the highest one, whoever sent it.
pub const WINDOW: u64 = 256;

/// The part that changes rarely, as it is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Reservation {
	/// Numbers below it may have been given out.
	pub end: u64,
	/// Ranges of numbers, ascending, of which this store has no record: another store gave them out, or they were lost in a crash.
	pub unrecorded: Vec<(u64, u64)>,
	/// The last envelopes of this store for which nothing is due, by number, ascending. Another store with the same key may have
	/// used their numbers, too.
	pub void: Vec<(u64, Hash)>,
}

impl Reservation {
	/// Adds a range, and joins it with those that it touches.
	fn add(&mut self, range: Range<u64>) {
		if range.is_empty() {
			return;
		}
		let (mut start, mut end) = (range.start, range.end);
		self.unrecorded.retain(|(other, until)| {
			let touches = *other <= end && *until >= start;
			if touches {
				(start, end) = (start.min(*other), end.max(*until));
			}
			!touches
		});
		let at = self.unrecorded.partition_point(|(other, _)| *other < start);
		self.unrecorded.insert(at, (start, end));
		let excess = self.unrecorded.len().saturating_sub(MAX_UNRECORDED);
		self.unrecorded.drain(..excess);
	}

	/// Whether a receipt for the envelope `hash` of this number may be due, although the envelope is not in this store.
	fn may_owe(&self, number: u64, hash: &Hash) -> bool {
		self.unrecorded.iter().any(|(start, end)| (*start..*end).contains(&number))
			|| self.void.iter().any(|(used, own)| *used == number && own != hash)
	}

	/// Notes that nothing more is due for a number.
	fn remove(&mut self, number: u64) {
		self.void.retain(|(used, _)| *used != number);
		if let Some(at) = self.unrecorded.iter().position(|(start, end)| (*start..*end).contains(&number)) {
			let (start, end) = self.unrecorded.remove(at);
			self.add(start..number);
			self.add(number.saturating_add(1)..end);
		}
	}
}

/// The sequence numbers of a channel.
#[derive(Debug, Default)]
pub struct Numbers {
	/// The next free number.
	next: u64,
	/// Numbers below it are reserved on disk.
	durable: u64,
	/// The reservation that was submitted last.
	latest: Reservation,
	/// The end of a reservation that is being written.
	pending: Option<(u64, Written)>,
}

impl Numbers {
	/// The numbers after a start, from what is on disk: the reservation, and the number after the last recorded one.
	pub fn after_start(mut latest: Reservation, recorded: u64) -> Self {
		latest.add(recorded..latest.end);
		Self { next: latest.end.max(recorded), durable: latest.end, latest, pending: None }
	}

	/// The next free number.
	pub fn next(&self) -> u64 {
		self.next
	}

	/// Whether any number was ever reserved.
	pub fn is_known(&self) -> bool {
		self.latest.end > 0
	}

	/// Whether a receipt for the envelope `hash` of this number may be due, although the envelope is not in this store: another
	/// store issued it, or a crash lost it.
	pub fn may_owe(&self, number: u64, hash: &Hash) -> bool {
		self.latest.may_owe(number, hash)
	}

	/// Takes the next number; `None` if it must be reserved first.
	pub fn take(&mut self) -> Option<u64> {
		if let Some((end, written)) = &mut self.pending
			&& written.try_recv().is_ok()
		{
			self.durable = self.durable.max(*end);
			self.pending = None;
		}
		let number = self.next;
		self.next = number.checked_add(1).filter(|next| *next <= self.durable)?;
		Some(number)
	}

	/// Whether the next block should be reserved now, before this one ends.
	pub fn is_low(&self) -> bool {
		self.pending.is_none() && self.latest.end.saturating_sub(self.next) < BLOCK / 2
	}

	/// Goes on at `next`, or at the next free number if that is higher. Returns the reservation to submit: before anything else
	/// is.
	pub fn reserve(&mut self, next: u64) -> Reservation {
		self.latest.add(self.next..next);
		self.next = self.next.max(next);
		self.latest.end = self.latest.end.max(self.next.saturating_add(BLOCK));
		self.latest.clone()
	}

	/// Notes that nothing is due for this store's envelope `hash` of this number. Returns the reservation to submit.
	pub fn void(&mut self, number: u64, hash: Hash) -> Reservation {
		let at = self.latest.void.partition_point(|(other, _)| *other < number);
		self.latest.void.insert(at, (number, hash));
		let excess = self.latest.void.len().saturating_sub(WINDOW as usize);
		self.latest.void.drain(..excess);
		self.latest.clone()
	}

	/// Notes that nothing more is due for a number of which there was no record. Returns the reservation to submit.
	pub fn settle(&mut self, number: u64) -> Reservation {
		self.latest.remove(number);
		self.latest.clone()
	}

	/// Lets the end of a reservation count once it is written.
	pub fn expect(&mut self, end: u64, written: Written) {
		self.pending = Some((end, written));
	}

	/// Notes that a reservation up to `end` is on disk.
	pub fn reserved(&mut self, end: u64) {
		self.durable = self.durable.max(end);
	}

	/// Gives back the numbers that were not taken. Returns the reservation to submit.
	pub fn rest(&mut self) -> Reservation {
		(self.durable, self.latest.end, self.pending) = (self.next, self.next, None);
		self.latest.clone()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use tokio::sync::oneshot;

	const OURS: Hash = [1; 32];
	const OTHER: Hash = [2; 32];

	fn from(next: u64) -> Numbers {
		let mut numbers = Numbers::default();
		let end = numbers.reserve(next).end;
		assert_eq!(numbers.take(), None, "it is not on disk yet");
		numbers.reserved(end);
		numbers
	}

	#[test]
	fn numbers_are_given_out_once_whatever_was_lost() {
		let mut numbers = from(3);
		let taken: Vec<_> = (0..10).map(|_| numbers.take().unwrap()).collect();
		assert_eq!(taken, (3..13).collect::<Vec<_>>());
		// The disk has the envelopes up to number 7.
		let mut after = Numbers::after_start(numbers.latest.clone(), 8);
		assert_eq!(after.take(), None, "it must be reserved");
		assert_eq!(after.next(), 3 + BLOCK);
		for (number, is_unrecorded) in [(0, true), (2, true), (3, false), (7, false), (8, true), (12, true)] {
			assert_eq!(after.may_owe(number, &OTHER), is_unrecorded, "{number}");
		}
		assert!(!after.may_owe(3 + BLOCK, &OTHER));
		// After a clean end nothing is.
		let after = Numbers::after_start(numbers.rest(), 13);
		assert!(after.next() == 13 && !after.may_owe(12, &OTHER));
	}

	#[test]
	fn a_block_is_reserved_before_the_last_one_ends() {
		let mut numbers = from(1);
		while !numbers.is_low() {
			numbers.take().unwrap();
		}
		let (sender, written) = oneshot::channel();
		let end = numbers.reserve(0).end;
		numbers.expect(end, written);
		assert!(!numbers.is_low());
		while numbers.take().is_some() {}
		assert_eq!(numbers.next(), 1 + BLOCK, "none is given out that is not on disk");
		sender.send(()).unwrap();
		assert_eq!(numbers.take(), Some(1 + BLOCK));
	}

	#[test]
	fn numbers_that_another_gateway_gave_out_are_unrecorded() {
		let mut numbers = from(1);
		numbers.take();
		numbers.reserve(9);
		for (number, is_unrecorded) in [(0, true), (1, false), (2, true), (9, false)] {
			assert_eq!(numbers.may_owe(number, &OTHER), is_unrecorded, "{number}");
		}
		assert_eq!(numbers.take(), Some(9));
		assert!(!numbers.may_owe(9, &OTHER));
		// The worker has not seen our envelope of number 1, so it may have another.
		numbers.void(1, OURS);
		assert!(numbers.may_owe(1, &OTHER) && !numbers.may_owe(1, &OURS));
		// It has, and that is paid once.
		numbers.settle(1);
		assert!(!numbers.may_owe(1, &OTHER));
		assert_eq!(numbers.settle(4).unrecorded, [(0, 1), (2, 4), (5, 9)]);
		for _ in 0..2 * MAX_UNRECORDED {
			let next = numbers.next() + 1;
			numbers.reserve(next);
			numbers.reserved(next + BLOCK);
			numbers.take();
		}
		assert_eq!(numbers.latest.unrecorded.len(), MAX_UNRECORDED);
		for number in 0..2 * WINDOW {
			numbers.void(number, OURS);
		}
		assert_eq!(numbers.latest.void.len() as u64, WINDOW);
		assert!(numbers.may_owe(2 * WINDOW - 1, &OTHER) && !numbers.may_owe(WINDOW - 1, &OTHER));
	}
}
