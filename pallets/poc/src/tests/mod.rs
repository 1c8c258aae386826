//! Tests at the level of calls and hooks; `math` has its own.

mod checks;
mod clock;
mod host;
mod math;
pub(crate) mod mock;
mod served;
mod settle;
