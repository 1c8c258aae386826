//! Tests of the whole runtime: indices, presets, documents, and how weights reach power, pay and votes.

mod attacks;
mod audit;
#[cfg(feature = "runtime-benchmarks")]
pub(crate) mod benchmarks;
mod chain;
mod docs;
mod governance;
#[path = "../../common/shared/metadata_hash.rs"]
mod metadata_hash;
mod migrations;
mod offences;
mod parameters;
mod power;
mod served;
mod shape;
#[cfg(feature = "try-runtime")]
#[path = "../../common/shared/upgrade.rs"]
mod upgrade;
