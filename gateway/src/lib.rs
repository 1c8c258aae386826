//! The sidecar that a developer runs: an OpenAI-style API in front of the Gonka network. `docs/gateway.md` tells how
//! to use it.
//!
//! A request's way: [`server`] reads it, [`openai`] makes it a job, [`relay`] asks hosts that [`router`] picks, with
//! an envelope from [`ledger`] over [`worker_client`]; tokens go back as they come. The receipt at the end goes
//! through [`receipts`] into the [`ledger`] and its [`store`]; [`settle`] acknowledges it with a voucher. After a
//! crash [`reconcile`] brings each channel in step with its worker. Beside all that [`snapshot`] follows the chain
//! and [`channels`] opens and fills channels.

#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod auth;
pub mod chain_view;
pub mod channels;
pub mod config;
pub mod gateway;
pub mod ledger;
pub mod metrics;
pub mod openai;
pub mod receipts;
pub mod reconcile;
pub mod relay;
pub mod router;
pub mod server;
pub mod settle;
pub mod snapshot;
pub mod store;
pub mod worker_client;
