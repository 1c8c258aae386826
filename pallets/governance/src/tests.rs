//! Tests of the pallet, on a runtime with the real referenda.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod delegation;
mod mock;
mod random;
mod snapshots;
mod votes;
