//! Types and functions on which the chain, workers and gateways must agree byte for byte.
//!
//! - [`audit`]: draws, findings and rulings of sampled validation (`docs/protocol.md#15-sampled-validation`);
//! - [`check`]: the messages of the sprint's checkers and of disputes;
//! - [`epoch`]: the clock: the phases of an epoch;
//! - [`fingerprint`]: 16 bytes of a token's hidden state, their distance and their root;
//! - [`hashing`]: blake2b-256 and the payload of a signature (domain tag, genesis hash, body);
//! - [`host`]: the messages that a host and its worker send to the chain;
//! - [`market`]: envelope, receipt, voucher and settlement (`docs/protocol.md#11-market`);
//! - [`merkle_sum`]: the tree whose root carries the sums of its leaves;
//! - [`sampler`]: the choice of a token from logits, and the margin of a token that another host chose;
//! - [`tape`]: the noise of sampling, public and keyed by the envelope;
//! - [`traits`]: the interfaces between the pallets;
//! - [`validity`]: the codes with which the transaction pool rejects free transactions;
//! - [`views`]: the results of the runtime API.
//!
//! Golden-byte tests freeze the encodings. Integers are little-endian.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod audit;
pub mod check;
pub mod epoch;
pub mod fingerprint;
pub mod hashing;
pub mod host;
pub mod market;
pub mod merkle_sum;
pub mod sampler;
pub mod tape;
pub mod traits;
pub mod validity;
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
/// An epoch's index, from 0 at genesis.
pub type EpochIndex = u32;
/// A model's index in the on-chain registry.
pub type ModelId = u32;
/// A channel's index, never reused.
pub type ChannelId = u64;

/// Base units in one GNK.
pub const GNK: Balance = 1_000_000_000;
/// Maximum supply in base units: 680 M GNK mined, 120 M for the community fund, 200 M for the founders.
pub const TOTAL_SUPPLY: Balance = 1_000_000_000 * GNK;
/// The released networks, and networks of one's own with a local network's times: their names, by which the runtime's genesis
/// presets and the files of `chain-spec/networks` call them, and the SS58 prefixes of their addresses. Addresses of the first
/// begin with `gn`, those of the second with `gt`, and those of the last with `5`.
pub const NETWORKS: [(&str, u16); 3] = [("mainnet", 4_457), ("testnet", 4_458), ("custom", 42)];
/// Deposit for stored items such as preimages, proxies and multisigs: 0.01 GNK an item and 10⁻⁵ GNK a byte.
pub const fn storage_deposit(items: u32, bytes: u32) -> Balance {
	(GNK / 100).saturating_mul(items as Balance).saturating_add((GNK / 100_000).saturating_mul(bytes as Balance))
}
/// Maximum length of a host's URL, in bytes.
pub const MAX_URL: u32 = 128;
/// Maximum number of models that a host declares.
pub const MAX_MODELS_PER_HOST: u32 = 16;
