//! The `gonka` command line. Tests use it as a library: they start local networks with [`devnet::Devnet`].

#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod amount;
pub mod commands;
pub mod devnet;
