//! The pallets that the benchmark command measures.

#[path = "../../common/shared/benchmarks.rs"]
mod shared;

pub use shared::Helper;

polkadot_sdk::frame_benchmarking::define_benchmarks!(
	[frame_system, SystemBench::<Runtime>]
	[frame_system_extensions, SystemExtensionsBench::<Runtime>]
	[pallet_amendments, Amendments]
	[pallet_balances, Balances]
	[pallet_collateral, Collateral]
	[pallet_emission, Emission]
	[pallet_governance, ConvictionVoting]
	[pallet_inference_market, InferenceMarket]
	[pallet_liveness, Liveness]
	[pallet_multisig, Multisig]
	[pallet_poc, Poc]
	[pallet_preimage, Preimage]
	[pallet_proxy, Proxy]
	[pallet_referenda, Referenda]
	[pallet_scheduler, Scheduler]
	[pallet_sampling_validation, SamplingValidation]
	[pallet_sprint_check, SprintCheck]
	[pallet_timestamp, Timestamp]
	[pallet_transaction_payment, TransactionPayment]
	[pallet_treasury, Treasury]
	[pallet_tx_pause, TxPause]
	[pallet_utility, Utility]
	[pallet_vesting, Vesting]
);
