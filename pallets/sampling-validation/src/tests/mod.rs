//! Tests at the level of calls and hooks, with settlements that the market took.

mod cases;
mod draws;
mod duties;
pub(crate) mod mock;
mod random;
mod refusals;
mod verdicts;
mod weights;
mod world;
