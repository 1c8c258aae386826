#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that goes wrong must end")]
// The SDK's runtime macro nests deeply.
#![recursion_limit = "512"]

pub mod audit;
pub mod chain;
pub mod epoch;
pub mod network;
#[allow(missing_docs, reason = "the runtime macro's own code")]
pub mod per_request;
pub mod report;
pub mod throughput;
