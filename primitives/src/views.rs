//! What the runtime API answers to clients.

use crate::{
	AccountId, Balance, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, PublicKey,
	epoch::{Phase, Schedule},
	market::{Price, Totals},
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use gonka_sprint::Profile;
use scale_info::TypeInfo;

/// The running epoch as of a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct EpochView {
	/// The epoch's index.
	pub index: EpochIndex,
	/// Its first block.
	pub start: BlockNumber,
	/// The block this is the state of.
	pub block: BlockNumber,
	/// The phase of that block.
	pub phase: Phase,
	/// The lengths of the phases.
	pub schedule: Schedule,
	/// The sprint's model format.
	pub profile: Profile,
	/// `seed1`: the sprint's model.
	pub model_seed: Hash,
	/// `seed2` of the segments that have begun.
	pub segment_seeds: Vec<Hash>,
	/// Leading zero bits that a registration's proof of work needs.
	pub registration_bits: u32,
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct HostView {
	/// Its account.
	pub account: AccountId,
	/// Its worker's key.
	pub worker: PublicKey,
	/// Where its worker is reached.
	pub url: Vec<u8>,
	/// The models it serves, ascending.
	pub models: Vec<ModelId>,
	/// The epoch of its last registration.
	pub registered: EpochIndex,
	/// Its effective weight of the last settled epoch; 0 if it had none.
	pub weight: u64,
}

/// A registered model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ModelView {
	/// Its id.
	pub id: ModelId,
	/// Its name, as developers ask for it.
	pub name: Vec<u8>,
	/// SHA-256 of the weights' file.
	pub weights_hash: Hash,
	/// Tokens of prompt and answer together.
	pub context_length: u32,
	/// Today's price.
	pub price: Price,
}

/// A payment channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ChannelView {
	/// Its id.
	pub id: ChannelId,
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

/// The rules of the market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct MarketView {
	/// Blocks of a settlement window.
	pub window: BlockNumber,
	/// Most vouchers in one settlement.
	pub max_vouchers: u32,
	/// Most channels in one opening or top-up.
	pub max_channels_per_call: u32,
	/// Least deposit of a channel, in base units.
	pub min_deposit: Balance,
	/// Blocks between closing and withdrawal.
	pub challenge_period: BlockNumber,
}

/// Where all GNK are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SupplyView {
	/// Base units in existence.
	pub issued: Balance,
	/// Base units still to be mined.
	pub unmined: Balance,
	/// Base units the last settled epoch may mint.
	pub last_emission: Balance,
}
