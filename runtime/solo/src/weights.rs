//! Measured dispatch weights of what only this chain has. Those of the other pallets are in `gonka_runtime_common::weights`.

pub mod pallet_sudo;
