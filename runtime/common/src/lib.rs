//! What the runtimes share: types, time, money, the session handlers that weigh validators by compute, and the runtime
//! API that clients read the chain through.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod api;
pub mod offences;
pub mod power;
pub mod tracks;

use gonka_primitives::{BlockNumber, EpochIndex, epoch::Schedule};
use polkadot_sdk::{
	frame_support::weights::{Weight, WeightToFee as Fee},
	sp_runtime::{
		MultiSignature,
		traits::{IdentifyAccount, Verify},
	},
};

pub use gonka_primitives::{Balance, GNK};

/// A signature of any kind that accounts may have.
pub type Signature = MultiSignature;
/// An account.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// Transactions an account has sent.
pub type Nonce = u32;

/// The least an account may hold, in base units: 0.001 GNK.
pub const EXISTENTIAL_DEPOSIT: Balance = GNK / 1_000;

/// How long things take. One of the two is compiled in: feature `fast-runtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
	/// Milliseconds from block to block.
	pub slot_ms: u64,
	/// Blocks of a session (BABE's epoch), in which authorities do not change.
	pub session: u64,
	/// The phases of a PoC epoch.
	pub schedule: Schedule,
	/// Blocks of a settlement window.
	pub window: BlockNumber,
	/// Blocks between a channel's closing and its withdrawal.
	pub challenge_period: BlockNumber,
	/// Leading zero bits of a registration's proof of work.
	pub registration_bits: u32,
	/// Epochs, from the first on, in which inference is free of charge.
	pub free_epochs: EpochIndex,
	/// Base units of collateral that back one leaf of weight. An epoch's leaves are worth more where they are dearer.
	pub collateral_per_weight: Balance,
}

impl Time {
	/// 6 s blocks, one epoch a day.
	pub const MAINNET: Self = Self {
		slot_ms: 6_000,
		session: 600,
		schedule: Schedule::MAINNET,
		window: 600,
		challenge_period: 1_200,
		registration_bits: 22,
		free_epochs: 90,
		// An estimate, until GPUs are measured: an H100 at 35 % of its peak makes about 2 million leaves a sprint.
		collateral_per_weight: GNK / 1_000,
	};
	/// 2 s blocks, one epoch in two minutes: for local networks and tests.
	pub const FAST: Self = Self {
		slot_ms: 2_000,
		session: 10,
		schedule: Schedule::FAST,
		window: 20,
		challenge_period: 40,
		registration_bits: 12,
		free_epochs: 0,
		collateral_per_weight: GNK / 10,
	};
	/// Sessions of a PoC epoch.
	pub const fn sessions(&self) -> u32 {
		self.schedule.length / self.session as u32
	}

	/// Sessions of two PoC epochs: for as long as withdrawn collateral is held, equivocations can be reported.
	pub const fn reportable_sessions(&self) -> u32 {
		2 * self.sessions()
	}

	/// What this build uses.
	pub const THIS: Self = if cfg!(feature = "fast-runtime") { Self::FAST } else { Self::MAINNET };
}

/// Hosts settled per block.
pub const SETTLE_BATCH: u32 = 100;
/// Most registered hosts: all are settled within the settle phase.
pub const MAX_HOSTS: u32 = SETTLE_BATCH * Time::THIS.schedule.settle;
/// Most checkers: the heaviest hosts.
pub const MAX_CHECKERS: u32 = 1_024;
/// Most leaf sets of one checker: two for each of at most 12 · 64 seats, or for each of the 10 · 64 racers that a small
/// network can check.
pub const MAX_TAGS: u32 = 12 * 64 * 2;
/// Work units (tokens) of an epoch, on average over the hosts with weight, from which on what hosts served is compared.
/// About a thousand long answers each: that a host was asked for less than a fifth of its part is no accident then. An
/// H100 that is busy all day does a hundred times as much; a local network comes nowhere near.
pub const LEAST_WORK: u64 = 1_000_000;
/// Most validators.
pub const MAX_VALIDATORS: u32 = 300;

/// A thousandth of a base unit per picosecond of computation: a transfer costs about 0.0002 GNK.
pub struct WeightToFee;

impl Fee for WeightToFee {
	type Balance = Balance;

	fn weight_to_fee(weight: &Weight) -> Balance {
		Balance::from(weight.ref_time()) / 1_000
	}
}
