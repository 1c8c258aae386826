//! The stored types, and the rules that need no storage.

use crate::{PriceRule, ValidityError};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{
	Balance, BlockNumber, ChannelId, Hash, ModelId, PublicKey,
	market::{Price, Totals},
	views::{ChannelView, ModelView},
};
use polkadot_sdk::frame_support::{BoundedVec, traits::ConstU32};
use scale_info::TypeInfo;

/// Maximum length of a model's name, in bytes.
pub const MAX_NAME: u32 = 64;
/// Maximum length of a quantisation's name, in bytes.
pub const MAX_QUANTISATION: u32 = 16;

/// A model's name in requests: printable ASCII without spaces.
pub type Name = BoundedVec<u8, ConstU32<MAX_NAME>>;
/// A quantisation's name: printable ASCII without spaces.
pub type Quantisation = BoundedVec<u8, ConstU32<MAX_QUANTISATION>>;

/// A model that hosts may serve.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Model {
	/// Its name. Unique.
	pub name: Name,
	/// SHA-256 of the weights' file.
	pub weights_hash: Hash,
	/// SHA-256 of the tokenizer's file: vocabulary, rules and chat template in GGUF, without weights.
	pub tokenizer_hash: Hash,
	/// Format of the weights, such as `Q4_K_M` or `BF16`.
	pub quantisation: Quantisation,
	/// Maximum number of tokens of prompt and completion together. Not 0.
	pub context_length: u32,
	/// Base units per token.
	pub price: Price,
	/// Memory that serving it needs, in MB (10⁶ bytes).
	pub memory_mb: u32,
	/// Minimum version of workers that serve it: major · 10⁶ + minor · 10³ + patch.
	pub min_worker_version: u32,
	/// Capacity, and bounds of the price.
	pub rule: PriceRule,
}

impl Model {
	/// Whether the name and the quantisation are printable, the name is not empty, the context length is not 0 and the
	/// bounds of the price are well formed.
	pub fn is_well_formed(&self) -> bool {
		let printable = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
		let named = !self.name.is_empty() && printable(&self.name) && printable(&self.quantisation);
		named && self.context_length > 0 && self.rule.is_well_formed()
	}

	/// The model for clients, with the price that applies now.
	pub fn view(self, id: ModelId, price: Price) -> ModelView {
		ModelView {
			id,
			name: self.name.into_inner(),
			weights_hash: self.weights_hash,
			tokenizer_hash: self.tokenizer_hash,
			context_length: self.context_length,
			price,
		}
	}
}

/// A developer's deposit for one host, spent by the vouchers that a gateway key signs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Channel<AccountId> {
	/// The account that pays.
	pub developer: AccountId,
	/// The account that is paid.
	pub host: AccountId,
	/// The key that signs vouchers for the developer.
	pub gateway: PublicKey,
	/// Base units paid in since it was opened.
	pub deposit: Balance,
	/// Totals settled since it was opened.
	pub settled: Totals,
	/// First block in which the rest can be withdrawn; `None` while the channel is open.
	pub closes: Option<BlockNumber>,
}

impl<AccountId> Channel<AccountId> {
	/// Base units of the deposit that are not settled.
	pub fn rest(&self) -> Balance {
		self.deposit.saturating_sub(self.settled.fee)
	}

	/// What a voucher of `totals` adds to the settled totals.
	pub fn growth(&self, totals: &Totals) -> Result<Totals, ValidityError> {
		let growth = totals.checked_sub(&self.settled).ok_or(ValidityError::TotalsBelowSettled)?;
		if growth.receipts == 0 {
			return Err(ValidityError::NothingNew);
		}
		if growth.fee > self.rest() {
			return Err(ValidityError::DepositExceeded);
		}
		Ok(growth)
	}

	/// The channel for clients.
	pub fn view(self, id: ChannelId) -> ChannelView
	where
		AccountId: Into<[u8; 32]>,
	{
		ChannelView {
			id,
			developer: self.developer.into(),
			host: self.host.into(),
			gateway: self.gateway,
			deposit: self.deposit,
			settled: self.settled,
			closes: self.closes,
		}
	}
}
