//! The clock of an epoch: the phase that each block belongs to (`docs/protocol.md#1-clock`).

use crate::BlockNumber;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Maximum number of turns of a dispute after its opening: see [`crate::check`]. A challenge has eight. An accusation
/// waits [`REFUTER_DRAW`] blocks, has a [`REFUTATION_TURNS`] long term and then at most four turns. Both leave time to
/// close, even if a turn has one block.
pub const MAX_TURNS: BlockNumber = 9;
/// Blocks from an accusation to the draw of its refuters. The beacon of that draw is unknown when the accusation is
/// included.
pub const REFUTER_DRAW: BlockNumber = 2;
/// Turns from that draw on in which a refutation may begin. Nothing prolongs this term.
pub const REFUTATION_TURNS: BlockNumber = 2;

const _: () = assert!(REFUTER_DRAW + REFUTATION_TURNS + 4 < MAX_TURNS);

/// Lengths of the phases, in blocks. The work phase is the rest of `length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Schedule {
	/// Blocks in which workers expand the sprint's model.
	pub init: BlockNumber,
	/// Number of segments of the sprint.
	pub segments: u8,
	/// Blocks of one segment.
	pub segment: BlockNumber,
	/// Blocks after a segment in which its commitments are accepted.
	pub grace: BlockNumber,
	/// The first of them, in which a commitment counts in full. Later it counts as if the segment had been longer.
	pub prompt: BlockNumber,
	/// Blocks of the check phase.
	pub check: BlockNumber,
	/// Blocks from a draw on in which openings may be requested on chain.
	pub request: BlockNumber,
	/// Blocks that a host has to answer such a request.
	pub answer: BlockNumber,
	/// Blocks from a draw on in which checkers commit to their digests. They reveal them in the rest of the check phase,
	/// or of the round.
	pub digest: BlockNumber,
	/// Blocks that a player of a dispute has for its turn.
	pub turn: BlockNumber,
	/// Average number of confirmation segments in an epoch.
	pub confirmations: u8,
	/// Maximum number of blocks in which weights are counted.
	pub weigh: BlockNumber,
	/// Blocks of the epoch.
	pub length: BlockNumber,
}

/// A phase of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Phase {
	/// Workers expand the model from its seed.
	Init,
	/// Hosts compute this segment.
	Sprint(u8),
	/// Committees recompute leaf sets.
	Check,
	/// The chain computes weights.
	Weigh,
	/// The rest of the epoch, with confirmation segments.
	Work,
}

impl Schedule {
	/// 6 s blocks, one epoch a day.
	pub const MAINNET: Self = Self {
		init: 10,
		segments: 5,
		segment: 30,
		grace: 20,
		prompt: 2,
		check: 72,
		request: 10,
		answer: 10,
		digest: 31,
		turn: 10,
		confirmations: 3,
		weigh: 100,
		length: 14_400,
	};
	/// 2 s blocks, one epoch in 160 seconds.
	pub const FAST: Self = Self {
		init: 3,
		segments: 5,
		segment: 3,
		grace: 3,
		prompt: 3,
		check: 20,
		request: 4,
		answer: 4,
		digest: 12,
		turn: 4,
		confirmations: 3,
		weigh: 6,
		length: 80,
	};

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

	/// Offset of the block in which committees are drawn. Between it and the last commitments lies a block without any,
	/// whose author fixes the beacon. So the author of a block with commitments cannot know the draw.
	pub const fn draw(&self) -> BlockNumber {
		self.check_start().saturating_add(self.grace).saturating_add(1)
	}

	/// Blocks from a draw to the last reveals.
	pub const fn checking(&self) -> BlockNumber {
		self.check.saturating_sub(self.grace).saturating_sub(1)
	}

	/// Offset of the first block in which digests are revealed. Commitments to digests end before it.
	pub const fn reveal_start(&self) -> BlockNumber {
		self.draw().saturating_add(self.digest)
	}

	/// Offset of the first block of the weigh phase.
	pub const fn weigh_start(&self) -> BlockNumber {
		self.check_start().saturating_add(self.check)
	}

	/// Offset of the first block of the work phase.
	pub const fn work_start(&self) -> BlockNumber {
		self.weigh_start().saturating_add(self.weigh)
	}

	/// The segment whose seed is drawn at `offset`, if one is.
	pub const fn segment_starting_at(&self, offset: BlockNumber) -> Option<u8> {
		match self.phase(offset) {
			Phase::Sprint(segment) if self.segment_start(segment) == offset => Some(segment),
			_ => None,
		}
	}

	/// Offset of the first block of a segment. From number [`Schedule::segments`] on, segments are confirmation
	/// segments; `confirmations` holds the offsets of those that were called.
	pub fn start_of(&self, segment: u8, confirmations: &[BlockNumber]) -> Option<BlockNumber> {
		match segment.checked_sub(self.segments) {
			None => Some(self.segment_start(segment)),
			Some(number) => confirmations.get(usize::from(number)).copied(),
		}
	}

	/// Number of blocks of the grace before `offset`, if a block there may carry a commitment of `segment`, numbered as in
	/// [`Schedule::start_of`].
	fn waited(&self, segment: u8, confirmations: &[BlockNumber], offset: BlockNumber) -> Option<BlockNumber> {
		let end = self.start_of(segment, confirmations)?.saturating_add(self.segment);
		offset.checked_sub(end).filter(|waited| *waited < self.grace)
	}

	/// Whether a block at `offset` may carry a commitment of `segment`, numbered as in [`Schedule::start_of`].
	pub fn takes_commitment(&self, segment: u8, confirmations: &[BlockNumber], offset: BlockNumber) -> bool {
		self.waited(segment, confirmations, offset).is_some()
	}

	/// Number of blocks by which a commitment of `segment` at `offset` is late: leaves could be computed in these blocks,
	/// too, so it counts as if the segment had been longer by them.
	pub fn delay(&self, segment: u8, confirmations: &[BlockNumber], offset: BlockNumber) -> BlockNumber {
		let waited = self.waited(segment, confirmations, offset).unwrap_or(0);
		waited.saturating_add(1).saturating_sub(self.prompt)
	}

	/// The segments that a round checks. Round 0 checks the sprint, round r the r-th confirmation segment.
	pub const fn segments_of(&self, round: u8) -> core::ops::Range<u8> {
		match round.checked_sub(1) {
			None => 0..self.segments,
			Some(number) => {
				let segment = self.segments.saturating_add(number);
				segment..segment.saturating_add(1)
			},
		}
	}

	/// Offset of the block in which the beacon of a round is drawn: for a confirmation segment as long after it as
	/// [`Schedule::draw`] is after the sprint. `None` if that segment was not called.
	pub fn draw_of(&self, round: u8, confirmations: &[BlockNumber]) -> Option<BlockNumber> {
		let Some(number) = round.checked_sub(1) else { return Some(self.draw()) };
		let start = confirmations.get(usize::from(number))?;
		Some(start.saturating_add(self.segment).saturating_add(self.grace).saturating_add(1))
	}

	/// Blocks from the first of a confirmation segment to the last in which its digests are revealed.
	pub const fn round(&self) -> BlockNumber {
		self.segment.saturating_add(self.check)
	}

	/// Whether a confirmation segment may begin at `offset`: in the work phase, after the round before, and so early that
	/// a turn's time is left for challenges when its round is over.
	pub fn may_confirm(&self, confirmations: &[BlockNumber], offset: BlockNumber) -> bool {
		let free = confirmations.last().is_none_or(|last| offset >= last.saturating_add(self.round()));
		let end = offset.saturating_add(self.round()).saturating_add(self.turn);
		free && offset >= self.work_start() && end <= self.length
	}

	/// Number of blocks of an epoch in which [`Schedule::may_confirm`] can be true; at least 1.
	pub const fn confirmation_blocks(&self) -> BlockNumber {
		let end = self.length.saturating_sub(self.round()).saturating_sub(self.turn).saturating_add(1);
		let blocks = end.saturating_sub(self.work_start());
		if blocks == 0 { 1 } else { blocks }
	}

	/// Whether a block at `offset` may carry a checker's commitment to its digests in the round of this `draw`.
	pub const fn takes_digest(&self, draw: BlockNumber, offset: BlockNumber) -> bool {
		offset >= draw && offset < draw.saturating_add(self.digest)
	}

	/// Whether a block at `offset` may carry a checker's digests in the round of this `draw`.
	pub const fn takes_reveal(&self, draw: BlockNumber, offset: BlockNumber) -> bool {
		offset >= draw.saturating_add(self.digest) && offset < draw.saturating_add(self.checking())
	}

	/// Whether a block at `offset` may carry a request for openings in the round of this `draw`.
	pub const fn takes_request(&self, draw: BlockNumber, offset: BlockNumber) -> bool {
		offset >= draw && offset < draw.saturating_add(self.request)
	}

	/// The phase of the block at `offset`.
	pub const fn phase(&self, offset: BlockNumber) -> Phase {
		if offset < self.init {
			Phase::Init
		} else if offset < self.check_start() {
			match offset.saturating_sub(self.init).checked_div(self.segment) {
				Some(segment) => Phase::Sprint(segment as u8),
				None => Phase::Check,
			}
		} else if offset < self.weigh_start() {
			Phase::Check
		} else if offset < self.work_start() {
			Phase::Weigh
		} else {
			Phase::Work
		}
	}

	/// Whether all phases and a confirmation's round fit into the epoch and none is empty; whether commitments count in full
	/// for a part of the grace; whether the last commitments and reveals come before the weigh phase; whether a checker has
	/// as much time to recompute leaves after the last opening answers as a host had to answer; and whether a dispute
	/// opened in an epoch's last block is over before the next epoch's weigh phase, when the first epoch is paid.
	pub const fn is_valid(&self) -> bool {
		self.init > 0
			&& self.segments > 0
			&& self.segment > 0
			&& self.prompt > 0
			&& self.prompt <= self.grace
			&& self.grace <= u8::MAX as BlockNumber
			&& self.request > 0
			&& self.answer > 0
			&& self.request.saturating_add(self.answer.saturating_mul(2)) <= self.digest
			&& self.digest < self.checking()
			&& self.turn > 0
			&& self.turn.saturating_mul(MAX_TURNS) <= self.weigh_start()
			&& self.weigh > 0
			&& self.work_start().saturating_add(self.round()).saturating_add(self.turn) <= self.length
	}
}
