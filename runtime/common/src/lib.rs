//! Shared parts of the runtimes: types, times, amounts, versions, dispatch weights, the sessions that give validators their
//! power, and the runtime API for clients.
//!
//! The folder `shared` beside `src` is not part of this crate. Its modules implement the pallets' `Config` traits, the runtime
//! APIs and the genesis for `crate::Runtime`. A trait of another crate can be implemented for a runtime only in the crate of
//! that runtime, so each runtime compiles these modules as its own, by `#[path]`. What differs between the chains, they take
//! from the modules `configs::consensus`, `configs::migrations` and `genesis` of the runtime.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod api;
pub mod power;
pub mod tracks;
pub mod version;
pub mod weights;

use gonka_primitives::{EpochIndex, epoch::Schedule};
use polkadot_sdk::{
	frame_support::weights::{Weight, WeightToFee as Fee},
	sp_runtime::{
		MultiAddress, MultiSignature, generic,
		traits::{BlakeTwo256, IdentifyAccount, Verify},
	},
};

pub use gonka_primitives::{Balance, BlockNumber, GNK};

/// A signature of any of the kinds that accounts may have.
pub type Signature = MultiSignature;
/// An account's identifier.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// Number of transactions that an account has sent.
pub type Nonce = u32;
/// A hash of a block or of state.
pub type Hash = polkadot_sdk::sp_core::H256;
/// An account as transactions name it.
pub type Address = MultiAddress<AccountId, ()>;
/// A block's header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;

/// Minimum balance of an account, in base units: 0.001 GNK.
pub const EXISTENTIAL_DEPOSIT: Balance = GNK / 1_000;

/// The times of a chain, and the defaults that depend on them. The feature `fast-runtime` chooses one of two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
	/// Length of a slot, and so the block time, in milliseconds.
	pub slot_ms: u64,
	/// Length of a session (BABE's epoch), in blocks. Authorities do not change within it.
	pub session: u64,
	/// Phases of a PoC epoch.
	pub schedule: Schedule,
	/// Length of a settlement window, in blocks.
	pub window: BlockNumber,
	/// Number of blocks in which a host may appeal against a judgement about its completions.
	pub appeal: BlockNumber,
	/// Number of blocks between the closing of a channel and its withdrawal.
	pub challenge_period: BlockNumber,
	/// Leading zero bits of a registration's proof of work.
	pub registration_bits: u32,
	/// Number of epochs, from the first on, in which inference is free of charge.
	pub free_epochs: EpochIndex,
	/// Base units of collateral that back one leaf of compute weight.
	pub collateral_per_weight: Balance,
	/// Number of whole sessions without a final block after which finality stalls.
	pub stall_sessions: u32,
	/// Number of them after which a third of the power is enough to go on.
	pub long_stall_sessions: u32,
	/// Number of blocks from the announcement of a forced change of GRANDPA's set to its effect. No node may then have a
	/// chain without the announcement: more blocks than ever get replaced.
	pub force_delay: BlockNumber,
}

impl Time {
	/// 6 s blocks, one epoch a day.
	pub const MAINNET: Self = Self {
		slot_ms: 6_000,
		session: 600,
		schedule: Schedule::MAINNET,
		window: 600,
		// Half a day, so that an operator who sleeps can still appeal.
		appeal: 7_200,
		challenge_period: 1_200,
		registration_bits: 22,
		free_epochs: 90,
		// An estimate until GPUs are measured: an H100 at 35 % of its peak computes about 2 million leaves a sprint.
		collateral_per_weight: GNK / 1_000,
		stall_sessions: 2,
		long_stall_sessions: 24,
		force_delay: 100,
	};
	/// 2 s blocks, one epoch in 160 seconds: for local networks and tests.
	pub const FAST: Self = Self {
		slot_ms: 2_000,
		session: 10,
		schedule: Schedule::FAST,
		window: 20,
		appeal: 20,
		challenge_period: 40,
		registration_bits: 12,
		free_epochs: 0,
		collateral_per_weight: GNK / 10,
		// Longer than finality lags on a busy machine.
		stall_sessions: 9,
		long_stall_sessions: 18,
		force_delay: 5,
	};
	/// Number of sessions of a PoC epoch.
	pub const fn sessions(&self) -> u32 {
		self.schedule.length / self.session as u32
	}

	/// Number of sessions for which equivocations can be reported: those of two PoC epochs. Withdrawn collateral is held
	/// until no session of whose power it backed can be reported, also when governance changed the length of epochs.
	pub const fn reportable_sessions(&self) -> u32 {
		2 * self.sessions()
	}

	/// The times of this build.
	pub const THIS: Self = if cfg!(feature = "fast-runtime") { Self::FAST } else { Self::MAINNET };
}

/// Maximum number of participants weighed in a block.
pub const WEIGH_BATCH: u32 = 100;
/// Maximum number of registered hosts: all of them can be weighed within the weigh phase.
pub const MAX_HOSTS: u32 = WEIGH_BATCH * Time::THIS.schedule.weigh;
/// Maximum number of checkers: all hosts with proven weight, or a sample of them.
pub const MAX_CHECKERS: u32 = 1_024;
/// Maximum number of leaf sets of one checker: two for each of at most 12 · 64 seats, or for each of the 10 · 64 participants
/// that a small network can check.
pub const MAX_TAGS: u32 = 12 * 64 * 2;
/// Minimum work (tokens) of an epoch, on average over the hosts with weight. Below it no host loses pay for serving little.
/// It is about a thousand long completions for each host: with so many, a host does not serve less than a fifth of its
/// share by accident. An H100 that is busy all day serves a hundred times as much; a local network serves far less.
pub const MIN_WORK: u64 = 1_000_000;
/// Maximum number of validators.
pub const MAX_VALIDATORS: u32 = 300;

/// Charges a thousandth of a base unit per picosecond of computation: a transfer costs about 0.0002 GNK.
pub struct WeightToFee;

impl Fee for WeightToFee {
	type Balance = Balance;

	fn weight_to_fee(weight: &Weight) -> Balance {
		Balance::from(weight.ref_time()) / 1_000
	}
}
