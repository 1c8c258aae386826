//! The pallets' parameters and how they know each other.

pub mod consensus;
mod gonka;
pub mod governance;
mod money;
pub mod parameters;
pub mod system;
