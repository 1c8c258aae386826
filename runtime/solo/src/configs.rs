//! The configurations of the pallets.

pub mod consensus;
mod gonka;
pub mod governance;
mod migrations;
pub mod money;
pub mod parameters;
pub mod system;
