//! What a host runs beside its node: it runs sprints, serves inference and settles what it earned.
//!
//! - [`chain`]: the chain, followed block by block;
//! - [`store`]: what must survive a crash;
//! - [`registration`]: what the chain says of this host;
//! - [`sprint`]: *seed → leaves → commitment*;
//! - [`server`]: *envelope → tokens → receipt → voucher*;
//! - [`question`]: *envelope and body → what the engine is asked*;
//! - [`openings`]: *position → opening*;
//! - [`check`]: *duties → tags*, accusations and disputes;
//! - [`sampling`]: *samples → findings*, and rulings in cases;
//! - [`settle`]: *vouchers and receipts → settlement*;
//! - [`version`]: whether governance asks for a newer worker;
//! - [`cli`], [`app`], [`program`]: the program around them.

#![deny(missing_docs)]

pub mod app;
pub mod chain;
pub mod check;
pub mod cli;
#[cfg(feature = "hostile")]
pub mod hostile;
pub mod openings;
pub mod program;
pub mod question;
pub mod registration;
pub mod sampling;
pub mod server;
pub mod settle;
pub mod sprint;
pub mod store;
pub mod telemetry;
pub mod version;
