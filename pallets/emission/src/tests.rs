#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod mock;

mod conservation;
mod curve;
mod payouts;
mod vesting;
