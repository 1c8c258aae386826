//! The pallets' parameters and how they know each other.

pub mod consensus;
mod gonka;
mod money;
pub mod system;
