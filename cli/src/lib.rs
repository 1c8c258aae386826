//! The `gonka` command line, and as a library what tests drive a local network with: [`devnet::Devnet`].

#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod amount;
pub mod commands;
pub mod devnet;
