//! The types of the pallet's storage and answers.

use codec::{Decode, Encode, MaxEncodedLen};
use gonka_primitives::BlockNumber;
use scale_info::TypeInfo;

/// Maximum number of sessions whose first blocks are remembered.
pub const MAX_STARTS: u32 = 64;

/// A validator of the running session.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Validator<AccountId> {
	/// Its account.
	pub account: AccountId,
	/// Its seats in this session.
	pub seats: u16,
	/// Blocks that it wrote in this session.
	pub blocks: u32,
	/// The last block that it wrote; 0 for none.
	pub last: BlockNumber,
	/// The highest final block that it stated.
	pub finalized: BlockNumber,
	/// The block of its last statement; 0 for none.
	pub stated: BlockNumber,
	/// Blocks that were expected of it in the sessions since its last, in thousandths.
	pub missed: u32,
	/// Set while it is absent: the number of epochs that must have been weighed before a block brings it back.
	pub absent: Option<u32>,
}

impl<AccountId> Validator<AccountId> {
	/// A validator that has not been seen yet.
	pub fn new(account: AccountId, seats: u16) -> Self {
		Self { account, seats, blocks: 0, last: 0, finalized: 0, stated: 0, missed: 0, absent: None }
	}
}

/// What validators state about finality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Outlook {
	/// The highest final block that two thirds have reached.
	pub low: BlockNumber,
	/// The highest final block that more than a third has reached.
	pub high: BlockNumber,
	/// Number of whole sessions, back from the last, of which no block is final.
	pub lag: u32,
}

/// The last announced change of GRANDPA's set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Change {
	/// The block in which it takes effect.
	pub at: BlockNumber,
	/// Whether it takes effect without being final.
	pub forced: bool,
}

/// What to do about GRANDPA's set when a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
	/// Nothing.
	Keep,
	/// Announce a change that takes effect when it is final.
	Announce,
	/// Force a change: finality stalls, and this block is final.
	Force(BlockNumber),
}
