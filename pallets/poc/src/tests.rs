//! Tests of calls and hooks. `math` tests the pure functions.

mod checks;
mod clock;
mod host;
mod math;
pub(crate) mod mock;
mod served;
mod weigh;
