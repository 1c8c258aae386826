//! Tests of the whole runtime: what differs from the solo chain. The tests of what both have are the solo chain's.

mod beacon;
mod chain;
#[path = "../../common/shared/metadata_hash.rs"]
mod metadata_hash;
mod money;
mod seats;
mod shape;
#[cfg(feature = "try-runtime")]
#[path = "../../common/shared/upgrade.rs"]
mod upgrade;
mod xcm;
