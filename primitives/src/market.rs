//! Requests are off chain; what settles them is here: envelope, receipt, voucher, settlement (PROTOCOL §6).

use crate::{
	AccountId, Balance, BlockNumber, ChannelId, Hash, ModelId, Signature,
	hashing::{blake2_256, domain, signing_payload},
	merkle_sum::{self, SumNode},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What one token costs, in base units.
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
	/// Fee in base units of a request of that many tokens; `None` if it does not fit.
	pub fn fee(&self, prompt_tokens: u32, completion_tokens: u32) -> Option<Balance> {
		let input = self.input.checked_mul(prompt_tokens.into())?;
		input.checked_add(self.output.checked_mul(completion_tokens.into())?)
	}
}

/// A request, signed by the gateway key of its channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Envelope {
	/// The channel that pays.
	pub channel: ChannelId,
	/// The model that answers.
	pub model: ModelId,
	/// Unique within the channel and rising: a host serves each number once.
	pub sequence: u64,
	/// [`body_hash`] of the request body as sent.
	pub body: Hash,
	/// The sampling seed.
	pub seed: u64,
	/// The price both sides go by, as it was when the gateway signed.
	pub price: Price,
	/// Most completion tokens the gateway will pay for.
	pub max_tokens: u32,
	/// Most the gateway will pay, in base units.
	pub max_fee: Balance,
	/// The last block at which the request may be started.
	pub expires: BlockNumber,
}

impl Envelope {
	/// What the gateway key signs; also the request's name everywhere else.
	pub fn hash(&self, genesis: &Hash) -> Hash {
		signing_payload(domain::ENVELOPE, genesis, self)
	}
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum FinishReason {
	/// The model ended its answer, or a stop string was met.
	Stop,
	/// `max_tokens` or the context window was reached.
	Length,
	/// The gateway hung up; the tokens made until then are due.
	Cancelled,
}

/// An answer, signed by the worker key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Receipt {
	/// [`Envelope::hash`] of the request.
	pub envelope: Hash,
	/// [`output_hash`] of the token ids.
	pub output: Hash,
	/// Root over the fingerprints of the tokens.
	pub fingerprint: Hash,
	/// Tokens read.
	pub prompt_tokens: u32,
	/// Tokens made.
	pub completion_tokens: u32,
	/// Why it ended.
	pub finish: FinishReason,
	/// The fee by the envelope's price, in base units.
	pub fee: Balance,
}

impl Receipt {
	/// Work units: tokens read and made.
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
	/// Component-wise sum; `None` if one does not fit.
	pub fn checked_add(&self, other: &Self) -> Option<Self> {
		Some(Self {
			fee: self.fee.checked_add(other.fee)?,
			work: self.work.checked_add(other.work)?,
			receipts: self.receipts.checked_add(other.receipts)?,
		})
	}

	/// Component-wise difference; `None` if one would be negative.
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

/// A cumulative promise to pay everything a channel owes since it was opened, signed by the gateway key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Voucher {
	/// The channel that pays.
	pub channel: ChannelId,
	/// Sums over all receipts acknowledged so far.
	pub totals: Totals,
}

/// A signed envelope, as it travels in a request's header.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SignedEnvelope {
	/// What is signed.
	pub envelope: Envelope,
	/// The gateway key's signature over [`Envelope::hash`].
	pub signature: Signature,
}

/// A signed receipt, as it travels in the last event of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SignedReceipt {
	/// What is signed.
	pub receipt: Receipt,
	/// The worker key's signature over `signing_payload(RECEIPT, genesis, receipt)`.
	pub signature: Signature,
}

/// A signed voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SignedVoucher {
	/// What is signed.
	pub voucher: Voucher,
	/// The gateway key's signature over `signing_payload(VOUCHER, genesis, voucher)`.
	pub signature: Signature,
}

/// What a host claims for one window, signed by the worker key. The vouchers' growth since the last settlement must
/// sum to `root.sum` exactly.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Settlement {
	/// The host that is paid.
	pub host: AccountId,
	/// The window, counted from genesis: block number / window length. It must have ended.
	pub window: u32,
	/// Root of the Merkle-sum tree over the window's receipts.
	pub root: SumNode<Totals>,
	/// The root's work units by the model that did them: ascending, none 0, at most `MAX_MODELS_PER_HOST`.
	pub work: Vec<(ModelId, u64)>,
	/// One voucher per channel, ascending by channel.
	pub vouchers: Vec<SignedVoucher>,
}

/// Blocks into a window at which a host settles the one before: within the first quarter, and different for different
/// hosts, so that not all settlements want into the same block. From a hash, since not every bit of a key is random.
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
	fn hosts_settle_at_all_blocks_of_a_quarter_alike() {
		let mut blocks = [0; 150];
		for host in 0..15_000u32 {
			// Keys of sr25519 are even numbers.
			let mut account = [0; 32];
			account[..4].copy_from_slice(&(2 * host).to_le_bytes());
			blocks[settling_offset(&account, 600) as usize] += 1;
		}
		assert!(blocks.iter().all(|hosts| (50..=160).contains(hosts)), "100 each, on average: {blocks:?}");
		assert_eq!(settling_offset(&[7; 32], 3), 0, "a window too short to be spread over");
	}
}
