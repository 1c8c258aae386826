//! The worker of a host, which runs beside its node: it computes sprints, serves inference, checks other hosts and
//! settles.
//!
//! The parts of a worker:
//! - [`registration`]: keeps the host's registration on chain up to date;
//! - [`sprint`]: turns seeds into leaves and commitments, and [`openings`] shows single leaves;
//! - [`server`]: serves gateways and checkers over HTTP;
//! - [`settlement`]: turns vouchers and receipts into settlements;
//! - [`check`]: checks leaves of other hosts, and takes its turns in disputes;
//! - [`audit`]: audits settled receipts of other hosts, and rules in cases;
//! - [`version_watch`]: warns when governance requires a newer worker.
//!
//! Shared parts:
//! - [`chain`]: a snapshot of the chain that follows the best block;
//! - [`store`]: the file with all that must survive a crash;
//! - [`peer`]: the client of other hosts' workers;
//! - [`models`]: the models that it serves, with their engines;
//! - [`prompt`]: the engine's request for an envelope and its body;
//! - [`tasks`]: work that is done block by block;
//! - [`conduct`]: the points at which tests make a worker cheat.
//!
//! [`worker`] puts the parts together. [`program`], [`cli`], [`app`] and [`engines`] make the program `gonka-worker` of
//! it.

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod app;
pub mod audit;
pub mod chain;
pub mod check;
pub mod cli;
pub mod conduct;
pub mod engines;
mod model_hash;
pub mod models;
pub mod openings;
pub mod peer;
pub mod program;
pub mod prometheus;
pub mod prompt;
mod pruning;
pub mod registration;
pub mod server;
pub mod settlement;
pub mod sprint;
pub mod store;
pub mod tasks;
pub mod tokenizer;
pub mod version;
pub mod version_watch;
pub mod worker;
