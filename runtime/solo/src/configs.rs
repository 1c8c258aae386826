//! The configurations of the pallets.

pub mod consensus;
mod gonka;
pub mod governance;
mod money;
pub mod parameters;
pub mod system;
