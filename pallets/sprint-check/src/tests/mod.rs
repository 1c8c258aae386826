//! Tests at the level of calls and hooks, over real leaves of the Nano profile.

mod accusations;
mod challenges;
mod checks;
mod closing;
pub(crate) mod mock;
mod players;
mod random;
mod refusals;
mod weights;
mod world;
