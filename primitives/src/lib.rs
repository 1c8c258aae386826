//! What chain, worker and gateway must agree on, byte for byte.
//!
//! - [`check`]: the messages of the sprint's checkers and of disputes;
//! - [`epoch`]: the clock: phases of an epoch;
//! - [`fingerprint`]: 16 bytes of a token's hidden state, their distance and their root;
//! - [`hashing`]: blake2b-256 and the payload of a signature (domain tag, genesis hash, body);
//! - [`host`]: the messages a host's worker sends to the chain;
//! - [`market`]: envelope, receipt, voucher, settlement: PROTOCOL §6;
//! - [`merkle_sum`]: the tree whose root carries the sums of its leaves;
//! - [`sampler`]: from logits to a token, and back: how far a token is from the one that was due;
//! - [`sampling`]: sampled validation: draws, findings, rulings: PROTOCOL §7;
//! - [`tape`]: the noise of sampling, public and keyed by the envelope;
//! - [`traits`]: the small interfaces through which the pallets know each other.
//! - [`views`]: the answers of the runtime API.
//!
//! The encodings are frozen by golden-byte tests. Integers are little-endian.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod check;
pub mod epoch;
pub mod fingerprint;
pub mod hashing;
pub mod host;
pub mod market;
pub mod merkle_sum;
pub mod sampler;
pub mod sampling;
pub mod tape;
pub mod traits;
pub mod views;

/// A blake2b-256 hash.
pub type Hash = [u8; 32];
/// An account's public key (sr25519).
pub type AccountId = [u8; 32];
/// A worker's or gateway's hot public key (sr25519).
pub type PublicKey = [u8; 32];
/// An sr25519 signature.
pub type Signature = [u8; 64];
/// An amount in base units: 10⁻⁹ GNK.
pub type Balance = u128;
/// A block's number.
pub type BlockNumber = u32;
/// A PoC epoch's index, from 0 at genesis.
pub type EpochIndex = u32;
/// A model's index in the on-chain registry.
pub type ModelId = u32;
/// A channel's index, never reused.
pub type ChannelId = u64;

/// Base units in one GNK.
pub const GNK: Balance = 1_000_000_000;
/// Base units that exist in the end: 680 M GNK mined, 120 M community fund, 200 M founders.
pub const TOTAL_SUPPLY: Balance = 1_000_000_000 * GNK;
/// Longest URL a host may register, in bytes.
pub const MAX_URL: u32 = 128;
/// Most models a host may declare.
pub const MAX_MODELS_PER_HOST: u32 = 16;
