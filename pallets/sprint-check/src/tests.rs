//! Tests at the level of calls and hooks, over real leaves of the Nano format.

mod accusations;
mod challenges;
mod checks;
mod closing;
pub(crate) mod mock;
mod places;
mod players;
mod queue;
mod random;
mod validity;
mod weights;
mod world;
