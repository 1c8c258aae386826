//! Bytes on chain of the checking, from the encodings of the real messages.

use crate::population::SEGMENTS;
use codec::{Compact, Encode};
use gonka_primitives::{
	check::{DigestCommitment, DigestReveal, digest_hash},
	epoch::Schedule,
	host::{Commitment, SegmentCommitment},
};
use gonka_sprint::Tag;

/// Returns the bytes of a free transaction with this message and its signature.
pub fn transaction(message: &impl Encode) -> usize {
	// Version, the extensions' version, three extensions without data, pallet and call.
	let body = 1 + 1 + 3 + 2 + message.encoded_size() + size_of::<gonka_primitives::Signature>();
	Compact(body as u32).encoded_size() + body
}

/// Bytes of each of a host's transactions in an epoch in which nothing goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
	/// Commitment of a segment.
	pub commitment: usize,
	/// Commitment to the tags.
	pub digests: usize,
	/// Reveal of the tags.
	pub reveal: usize,
}

impl Bytes {
	/// Computes the bytes for a host that checks `sets` leaf sets.
	pub fn new(sets: usize) -> Self {
		let (host, epoch, tags): (_, _, Vec<Tag>) = ([7; 32], 1_000, vec![[1, 2, 3, 4]; sets]);
		let commitment = Commitment { count: 200_000, root: [9; 32] };
		Self {
			commitment: transaction(&SegmentCommitment { host, epoch, segment: 0, commitment }),
			digests: transaction(&DigestCommitment {
				checker: host,
				epoch,
				round: 0,
				hash: digest_hash(&host, epoch, 0, &tags),
			}),
			reveal: transaction(&DigestReveal { checker: host, epoch, round: 0, tags }),
		}
	}

	/// Returns the sum for a sprint, with a commitment for each segment.
	pub fn sprint(&self) -> usize {
		usize::from(SEGMENTS) * self.commitment + self.digests + self.reveal
	}

	/// Returns the sum for the round of a confirmation.
	pub fn confirmation(&self) -> usize {
		self.commitment + self.digests + self.reveal
	}

	/// Returns the sum for an epoch with as many confirmations as it has on average.
	pub fn epoch(&self) -> usize {
		self.sprint() + usize::from(Schedule::MAINNET.confirmations) * self.confirmation()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_full_committees_share_fits_the_budget() {
		// 9 seats with two sets each: what the average host checks if all committees are full.
		let bytes = Bytes::new(18);
		assert_eq!(bytes, Bytes { commitment: 150, digests: 142, reveal: 183 });
		assert_eq!((bytes.sprint(), bytes.confirmation(), bytes.epoch()), (1_075, 475, 2_500));
	}

	#[test]
	fn the_overhead_of_a_general_transaction_is_nine_bytes() {
		assert_eq!(transaction(&[0u8; 40]), 40 + 64 + 9);
	}
}
