//! Code that the pallets share.
//!
//! - [`pool`]: free transactions, and how the transaction pool validates them;
//! - `testing` (feature of that name): keys, recorded calls and test parameters of the pallets' mock runtimes;
//! - `benchmarking` (feature `runtime-benchmarks`): keys and signatures of the pallets' benchmarks.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

#[cfg(feature = "runtime-benchmarks")]
pub mod benchmarking;
pub mod pool;
#[cfg(feature = "testing")]
pub mod testing;
