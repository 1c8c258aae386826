//! The program of a developer: an OpenAI-style HTTP API in front of the Gonka network. Usage: `docs/gateway.md`.
//!
//! Path of a request: [`server`] reads it in the time that [`arrival`] allows and [`api_keys`] tell whose it is,
//! [`openai::request`] validates it, [`metering`] reserves its cost within the key's limits, [`relay`] dispatches it to a host
//! that [`router`] picks, with an envelope from the [`ledger`], which [`numbers`] numbers, over [`worker_client`]; while all hosts
//! are busy it waits in the [`queue`]. Tokens go back as they arrive, or wait in the client's [`room`]. The receipt at the end is checked by [`receipts`] and
//! recorded in the [`ledger`] and its [`store`]; [`vouchers`] acknowledges it. After a crash, [`reconcile`] compares each channel with its worker. Meanwhile, [`snapshot`]
//! follows the chain, [`channels`] opens, tops up and closes channels, [`tokenizers`] fetches the models' tokenizers, and
//! [`health`] what hosts say of themselves.
//!
//! [`gateway::Gateway`] is the state that all of them share; [`app`] builds it and starts the tasks.

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod anthropic;
pub mod api_keys;
pub mod app;
pub mod arrival;
pub mod auth;
pub mod bound;
pub mod chain_view;
pub mod channels;
pub mod chat;
pub mod config;
pub mod gateway;
pub mod guard;
pub mod health;
pub mod ledger;
pub mod metering;
pub mod metrics;
pub mod numbers;
pub mod openai;
pub mod queue;
pub mod receipts;
pub mod reconcile;
pub mod relay;
pub mod room;
pub mod router;
pub mod server;
pub mod snapshot;
pub mod store;
pub mod tokenizers;
pub mod vouchers;
pub mod worker_client;
