//! What worker, gateway and command line share.

#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod chain;
pub mod evidence;
pub mod keys;
pub mod wire;
