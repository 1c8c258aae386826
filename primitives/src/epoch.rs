//! The clock of an epoch: which phase a block belongs to (PROTOCOL §2).

use crate::BlockNumber;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Lengths of the phases, in blocks. The work phase is what is left of `length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Schedule {
	/// Blocks for workers to expand the sprint's model.
	pub init: BlockNumber,
	/// Segments of the sprint.
	pub segments: u8,
	/// Blocks of one segment.
	pub segment: BlockNumber,
	/// Blocks after a segment's end in which its commitment is taken.
	pub grace: BlockNumber,
	/// Blocks of the check phase.
	pub check: BlockNumber,
	/// Blocks over which weights are settled, at most.
	pub settle: BlockNumber,
	/// Blocks of the epoch.
	pub length: BlockNumber,
}

/// A phase of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Phase {
	/// The model's seed is out; workers expand it.
	Init,
	/// Everybody computes this segment.
	Sprint(u8),
	/// Committees recompute samples.
	Check,
	/// Weights are settled.
	Settle,
	/// Inference.
	Work,
}

impl Schedule {
	/// 6 s blocks, one epoch a day.
	pub const MAINNET: Self =
		Self { init: 10, segments: 5, segment: 10, grace: 3, check: 40, settle: 100, length: 14_400 };
	/// 2 s blocks, one epoch in two minutes.
	pub const FAST: Self = Self { init: 3, segments: 5, segment: 3, grace: 3, check: 6, settle: 6, length: 60 };

	/// Offset of the first block of `segment`, at which its seed is drawn.
	pub const fn segment_start(&self, segment: u8) -> BlockNumber {
		self.init.saturating_add(self.segment.saturating_mul(segment as u32))
	}

	/// Offset of the first block after `segment`.
	pub const fn segment_end(&self, segment: u8) -> BlockNumber {
		self.segment_start(segment).saturating_add(self.segment)
	}

	/// Offset of the first block of the check phase: the end of the sprint.
	pub const fn check_start(&self) -> BlockNumber {
		self.segment_start(self.segments)
	}

	/// Offset of the first block of the settle phase.
	pub const fn settle_start(&self) -> BlockNumber {
		self.check_start().saturating_add(self.check)
	}

	/// Offset of the first block of the work phase.
	pub const fn work_start(&self) -> BlockNumber {
		self.settle_start().saturating_add(self.settle)
	}

	/// The segment whose seed is drawn at `offset`, if one is.
	pub const fn segment_starting_at(&self, offset: BlockNumber) -> Option<u8> {
		match self.phase(offset) {
			Phase::Sprint(segment) if self.segment_start(segment) == offset => Some(segment),
			_ => None,
		}
	}

	/// Whether a block at `offset` may carry a commitment of `segment`.
	pub const fn takes_commitment(&self, segment: u8, offset: BlockNumber) -> bool {
		let end = self.segment_end(segment);
		segment < self.segments && offset >= end && offset < end.saturating_add(self.grace)
	}

	/// The phase of the block at `offset` from the epoch's first.
	pub const fn phase(&self, offset: BlockNumber) -> Phase {
		if offset < self.init {
			Phase::Init
		} else if offset < self.check_start() {
			match offset.saturating_sub(self.init).checked_div(self.segment) {
				Some(segment) => Phase::Sprint(segment as u8),
				None => Phase::Check,
			}
		} else if offset < self.settle_start() {
			Phase::Check
		} else if offset < self.work_start() {
			Phase::Settle
		} else {
			Phase::Work
		}
	}

	/// Whether all phases fit into the epoch, none is empty, and the last commitments come before settling.
	pub const fn is_valid(&self) -> bool {
		self.init > 0
			&& self.segments > 0
			&& self.segment > 0
			&& self.grace > 0
			&& self.check >= self.grace
			&& self.settle > 0
			&& self.work_start() < self.length
	}
}
