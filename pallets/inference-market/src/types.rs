//! What is stored, and the rules that need no storage.

use crate::PriceRule;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use gonka_primitives::{
	Balance, BlockNumber, ChannelId, Hash, ModelId, PublicKey,
	market::{Price, Totals},
	views::{ChannelView, ModelView},
};
use polkadot_sdk::frame_support::{BoundedVec, traits::ConstU32};
use polkadot_sdk::sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};
use scale_info::TypeInfo;

/// Longest name of a model, in bytes.
pub const MAX_NAME: u32 = 64;
/// Longest name of a quantisation, in bytes.
pub const MAX_QUANTISATION: u32 = 16;

/// A model's name, as developers ask for it: printable ASCII without spaces.
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
	/// How the weights are stored, such as `Q4_K_M` or `BF16`.
	pub quantisation: Quantisation,
	/// Tokens of prompt and answer together. Not 0.
	pub context_length: u32,
	/// Base units per token.
	pub price: Price,
	/// Memory that serving it needs, in MB (10⁶ bytes).
	pub memory_mb: u32,
	/// The oldest worker that serves it right: major · 10⁶ + minor · 10³ + patch.
	pub min_worker_version: u32,
	/// How its price moves, and between which bounds.
	pub rule: PriceRule,
}

impl Model {
	/// Whether the name and the quantisation are printable, the name is not empty, there is a context window and the price's
	/// bounds make sense.
	pub fn is_well_formed(&self) -> bool {
		let printable = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
		let named = !self.name.is_empty() && printable(&self.name) && printable(&self.quantisation);
		named && self.context_length > 0 && self.rule.is_well_formed()
	}

	/// What the runtime API says of it; `price` is today's.
	pub fn view(self, id: ModelId, price: Price) -> ModelView {
		ModelView {
			id,
			name: self.name.into_inner(),
			weights_hash: self.weights_hash,
			context_length: self.context_length,
			price,
		}
	}
}

/// A developer's money for one host, spent by what a gateway key signs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Channel<AccountId> {
	/// Who pays.
	pub developer: AccountId,
	/// Who is paid.
	pub host: AccountId,
	/// Whose signature binds the developer.
	pub gateway: PublicKey,
	/// Base units paid in since it was opened.
	pub deposit: Balance,
	/// Sums settled since it was opened.
	pub settled: Totals,
	/// The block from which the rest can be withdrawn, once closing.
	pub closes: Option<BlockNumber>,
}

impl<AccountId> Channel<AccountId> {
	/// Base units that can still be settled: held, but not as fees.
	pub fn rest(&self) -> Balance {
		self.deposit.saturating_sub(self.settled.fee)
	}

	/// What a voucher of `totals` adds to what is settled.
	pub fn growth(&self, totals: &Totals) -> Result<Totals, Refusal> {
		let growth = totals.checked_sub(&self.settled).ok_or(Refusal::TotalsBelowSettled)?;
		if growth == Totals::default() {
			return Err(Refusal::NothingNew);
		}
		if growth.fee > self.rest() {
			return Err(Refusal::DepositExceeded);
		}
		Ok(growth)
	}

	/// What the runtime API says of it.
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

/// Why the transaction pool refuses a settlement: the code of `InvalidTransaction::Custom`. Codes are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
	/// The list of vouchers is empty.
	NoVouchers = 100,
	/// More than `MaxVouchers` vouchers.
	TooManyVouchers = 101,
	/// The window has not ended.
	WindowNotEnded = 102,
	/// The host has settled this window or a newer one.
	WindowSettled = 103,
	/// Vouchers do not ascend by channel.
	VouchersNotAscending = 104,
	/// The host is not registered.
	HostNotRegistered = 105,
	/// Not signed by the host's worker key.
	BadWorkerSignature = 106,
	/// There is no such channel.
	ChannelNotFound = 107,
	/// The channel pays another host.
	ForeignChannel = 108,
	/// A voucher is below what its channel has settled.
	TotalsBelowSettled = 109,
	/// A voucher says what its channel has settled already.
	NothingNew = 110,
	/// A voucher promises more than its channel's deposit.
	DepositExceeded = 111,
	/// The vouchers' growth is not the root's sum.
	SumMismatch = 112,
	/// The host's account does not exist and the fees are below the existential deposit.
	HostCannotReceive = 113,
	/// A voucher is not signed by its channel's gateway key.
	BadGatewaySignature = 114,
	/// Work of more than `MAX_MODELS_PER_HOST` models.
	TooManyModels = 115,
	/// Work does not ascend by model, or is 0 for one.
	WorkNotAscending = 116,
	/// The models' work is not the root's.
	WorkMismatch = 117,
	/// A model's id was never given out.
	UnknownModel = 118,
}

impl From<Refusal> for TransactionValidityError {
	fn from(refusal: Refusal) -> Self {
		InvalidTransaction::Custom(refusal as u8).into()
	}
}
