//! Code that worker, gateway and command line share: the chain client, keys, the HTTP server, the worker's HTTP API, logs and
//! traces.

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod chain;
pub mod evidence;
pub mod json;
pub mod keys;
pub mod listen;
pub mod peer_http;
pub mod process;
pub mod request_id;
pub mod telemetry;
pub mod worker_api;
