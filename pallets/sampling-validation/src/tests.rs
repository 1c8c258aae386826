//! Tests at the level of calls and hooks, with settlements that the market took.

mod cases;
mod draws;
mod duties;
mod judgements;
pub(crate) mod mock;
mod random;
mod report;
mod validity;
mod weights;
mod world;
