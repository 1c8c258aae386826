//! The pallets that the benchmark command measures. The solo chain measures those that both chains have.

#[path = "../../common/shared/benchmarks.rs"]
mod shared;

pub use shared::Helper;

polkadot_sdk::frame_benchmarking::define_benchmarks!(
	[frame_system, SystemBench::<Runtime>]
	[frame_system_extensions, SystemExtensionsBench::<Runtime>]
	[cumulus_pallet_parachain_system, ParachainSystem]
	[cumulus_pallet_xcmp_queue, XcmpQueue]
	[pallet_message_queue, MessageQueue]
);
