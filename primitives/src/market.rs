//! The messages that settle requests: envelope, receipt, voucher, settlement (`docs/protocol.md#11-market`). Requests
//! themselves are off chain.

use crate::{
	AccountId, Balance, BlockNumber, ChannelId, Hash, ModelId, Signature,
	hashing::{blake2_256, domain, signing_payload},
	merkle_sum::{self, SumNode},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The price of a token, in base units.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Price {
	/// Base units per prompt token.
	pub input: Balance,
	/// Base units per completion token.
	pub output: Balance,
}

impl Price {
	/// The fee of a request in base units; `None` on overflow.
	pub fn fee(&self, prompt_tokens: u32, completion_tokens: u32) -> Option<Balance> {
		let input = self.input.checked_mul(prompt_tokens.into())?;
		input.checked_add(self.output.checked_mul(completion_tokens.into())?)
	}
}

/// A request's terms, signed by the gateway key of its channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Envelope {
	/// The channel that pays.
	pub channel: ChannelId,
	/// The requested model.
	pub model: ModelId,
	/// The request's number, unique within the channel and rising. A host serves each number once.
	pub sequence: u64,
	/// [`body_hash`] of the request body as sent.
	pub body: Hash,
	/// The sampling seed.
	pub seed: u64,
	/// The price that both sides use: that of the time of signing.
	pub price: Price,
	/// Maximum number of completion tokens that the gateway pays for.
	pub max_tokens: u32,
	/// Maximum fee that the gateway pays, in base units.
	pub max_fee: Balance,
	/// The last block at which the host may begin the completion.
	pub expires: BlockNumber,
}

impl Envelope {
	/// The payload that the gateway key signs. It also identifies the request everywhere else.
	pub fn hash(&self, genesis: &Hash) -> Hash {
		signing_payload(domain::ENVELOPE, genesis, self)
	}
}

/// The reason for which a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum FinishReason {
	/// The model ended the completion, or a stop string was reached.
	Stop,
	/// `max_tokens` or the context window was reached.
	Length,
	/// The gateway closed the connection. The tokens generated until then are charged.
	Cancelled,
}

/// A host's statement of what it generated for an envelope, signed by the worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Receipt {
	/// [`Envelope::hash`] of the request.
	pub envelope: Hash,
	/// [`output_hash`] of the token ids.
	pub output: Hash,
	/// The root over the fingerprints of the tokens.
	pub fingerprint: Hash,
	/// Tokens of the prompt.
	pub prompt_tokens: u32,
	/// Tokens of the completion.
	pub completion_tokens: u32,
	/// The reason for which the completion ended.
	pub finish: FinishReason,
	/// The fee by the envelope's price, in base units.
	pub fee: Balance,
}

impl Receipt {
	/// Work units: tokens of the prompt and of the completion.
	pub fn work(&self) -> u64 {
		u64::from(self.prompt_tokens).saturating_add(self.completion_tokens.into())
	}

	/// The leaf of the settlement's Merkle-sum tree for this request.
	pub fn leaf(&self) -> SumNode<Totals> {
		let sum = Totals { fee: self.fee, work: self.work(), receipts: 1 };
		self.using_encoded(|bytes| merkle_sum::leaf(bytes, sum))
	}
}

/// Sums over receipts.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct Totals {
	/// Fees in base units.
	pub fee: Balance,
	/// Work units.
	pub work: u64,
	/// Number of receipts.
	pub receipts: u64,
}

impl Totals {
	/// The sum of each component; `None` on overflow.
	pub fn checked_add(&self, other: &Self) -> Option<Self> {
		Some(Self {
			fee: self.fee.checked_add(other.fee)?,
			work: self.work.checked_add(other.work)?,
			receipts: self.receipts.checked_add(other.receipts)?,
		})
	}

	/// The difference of each component; `None` if one would be negative.
	pub fn checked_sub(&self, other: &Self) -> Option<Self> {
		Some(Self {
			fee: self.fee.checked_sub(other.fee)?,
			work: self.work.checked_sub(other.work)?,
			receipts: self.receipts.checked_sub(other.receipts)?,
		})
	}
}

impl merkle_sum::Sum for Totals {
	fn checked_add(&self, other: &Self) -> Option<Self> {
		self.checked_add(other)
	}
}

/// A cumulative promise to pay what a channel owes since it was opened, signed by the gateway key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Voucher {
	/// The channel that pays.
	pub channel: ChannelId,
	/// Sums over all acknowledged receipts of the channel.
	pub totals: Totals,
}

/// A signed envelope, as it travels in a request's header.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SignedEnvelope {
	/// The signed value.
	pub envelope: Envelope,
	/// The gateway key's signature over [`Envelope::hash`].
	pub signature: Signature,
}

/// A signed receipt, as it travels in the last event of a completion.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SignedReceipt {
	/// The signed value.
	pub receipt: Receipt,
	/// The worker key's signature over `signing_payload(RECEIPT, genesis, receipt)`.
	pub signature: Signature,
}

/// A signed voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SignedVoucher {
	/// The signed value.
	pub voucher: Voucher,
	/// The gateway key's signature over `signing_payload(VOUCHER, genesis, voucher)`.
	pub signature: Signature,
}

/// A host's statement of the receipts of one window, signed by the worker key. The growth of the vouchers since the
/// host's last settlement must sum to exactly `root.sum`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Settlement {
	/// The host.
	pub host: AccountId,
	/// The window's number: block number / window length. The window must have ended.
	pub window: u32,
	/// Root of the Merkle-sum tree over the window's receipts.
	pub root: SumNode<Totals>,
	/// The root's work units by model: ascending, none 0, at most `MAX_MODELS_PER_HOST` models.
	pub work: Vec<(ModelId, u64)>,
	/// One voucher per channel, ascending by channel.
	pub vouchers: Vec<SignedVoucher>,
}

/// Number of windows, back from the one that ended last, of which a settlement is accepted. A worker signs that of the
/// window that ended last; the other one is for a settlement on its way when a window ends.
pub const SETTLEABLE_WINDOWS: u32 = 2;

/// The offset within a window at which a host settles the window before: in the first quarter, and spread over the
/// hosts so that no block is filled with settlements. It comes from a hash, since not every bit of a key is random.
pub fn settling_offset(host: &AccountId, window_length: BlockNumber) -> BlockNumber {
	let draw = blake2_256(&[host]).first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
	draw.checked_rem(window_length / 4).unwrap_or(0)
}

/// The hash of output token ids that a receipt carries.
pub fn output_hash(tokens: &[u32]) -> Hash {
	tokens.using_encoded(|bytes| blake2_256(&[domain::OUTPUT, bytes]))
}

/// The hash of a request body that an envelope carries.
pub fn body_hash(body: &[u8]) -> Hash {
	blake2_256(&[domain::BODY, body])
}

#[cfg(test)]
mod tests {
	use super::settling_offset;

	#[test]
	fn hosts_settle_evenly_over_a_quarter_of_a_window() {
		let mut blocks = [0; 150];
		for host in 0..15_000u32 {
			// Keys of sr25519 are even numbers.
			let mut account = [0; 32];
			account[..4].copy_from_slice(&(2 * host).to_le_bytes());
			blocks[settling_offset(&account, 600) as usize] += 1;
		}
		assert!(blocks.iter().all(|hosts| (50..=160).contains(hosts)), "100 each, on average: {blocks:?}");
		assert_eq!(settling_offset(&[7; 32], 3), 0, "a window of fewer than four blocks has no offset");
	}
}
