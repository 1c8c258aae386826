//! Tests of the whole runtime: indices, presets, documents, and how weights reach power, pay and votes.

mod audit;
mod chain;
pub(crate) mod docs;
mod governance;
mod offences;
mod parameters;
mod power;
mod served;
mod shape;
