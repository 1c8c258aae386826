//! Measured dispatch weights, one module for each pallet. Written by `scripts/weights`; the `configs` of runtimes name them.

pub mod frame_system;
pub mod frame_system_extensions;
pub mod pallet_amendments;
pub mod pallet_balances;
pub mod pallet_collateral;
pub mod pallet_emission;
pub mod pallet_governance;
pub mod pallet_inference_market;
pub mod pallet_liveness;
pub mod pallet_multisig;
pub mod pallet_poc;
pub mod pallet_preimage;
pub mod pallet_proxy;
pub mod pallet_referenda;
pub mod pallet_sampling_validation;
pub mod pallet_scheduler;
pub mod pallet_sprint_check;
pub mod pallet_timestamp;
pub mod pallet_transaction_payment;
pub mod pallet_treasury;
pub mod pallet_tx_pause;
pub mod pallet_utility;
pub mod pallet_vesting;
