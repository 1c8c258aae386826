//! The pallets that the benchmark command measures, and the state of other pallets that their benchmarks need.

use crate::*;
use alloc::vec::Vec;
use gonka_primitives::{EpochIndex, ModelId, PublicKey, market::Price};

polkadot_sdk::frame_benchmarking::define_benchmarks!(
	[frame_system, SystemBench::<Runtime>]
	[frame_system_extensions, SystemExtensionsBench::<Runtime>]
	[pallet_amendments, Amendments]
	[pallet_balances, Balances]
	[pallet_collateral, Collateral]
	[pallet_emission, Emission]
	[pallet_governance, ConvictionVoting]
	[pallet_inference_market, InferenceMarket]
	[pallet_multisig, Multisig]
	[pallet_poc, Poc]
	[pallet_preimage, Preimage]
	[pallet_proxy, Proxy]
	[pallet_referenda, Referenda]
	[pallet_scheduler, Scheduler]
	[pallet_sampling_validation, SamplingValidation]
	[pallet_sprint_check, SprintCheck]
	[pallet_sudo, Sudo]
	[pallet_timestamp, Timestamp]
	[pallet_treasury, Treasury]
	[pallet_utility, Utility]
);

impl frame_system_benchmarking::Config for Runtime {}

/// Sets up models, hosts and weights for benchmarks.
pub struct Helper;

impl pallet_poc::BenchmarkHelper for Helper {
	fn register_models(count: u32) -> Vec<ModelId> {
		for index in 0..count {
			let name = alloc::format!("model-{index}").into_bytes();
			let _ = InferenceMarket::register_model(
				RuntimeOrigin::root(),
				name.try_into().unwrap_or_default(),
				[1; 32],
				Default::default(),
				1_024,
				Price { input: 1, output: 1 },
				1,
				0,
				Default::default(),
			);
		}
		let mut ids: Vec<_> = InferenceMarket::models().into_iter().map(|model| model.id).collect();
		ids.truncate(count as usize);
		ids
	}
}

impl pallet_emission::BenchmarkHelper<AccountId> for Helper {
	fn set_weights(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
		let mut total = 0u64;
		for (host, weight) in hosts {
			let standing = pallet_poc::Standing { compute: *weight, backed: *weight, ..Default::default() };
			pallet_poc::Standings::<Runtime>::insert(epoch, host, standing);
			total = total.saturating_add(*weight);
		}
		let settled = pallet_poc::EpochWeights { total, cap: u64::MAX, hosts: hosts.len() as u32 };
		pallet_poc::WeighedEpochs::<Runtime>::insert(epoch, settled);
	}
}

impl pallet_governance::BenchmarkHelper<AccountId> for Helper {
	fn weigh(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
		<Self as pallet_emission::BenchmarkHelper<AccountId>>::set_weights(epoch, hosts);
		pallet_poc::LastWeighed::<Runtime>::put(epoch);
	}
}

impl pallet_inference_market::BenchmarkHelper<AccountId> for Helper {
	fn register_host(host: &AccountId, worker: PublicKey) {
		let url = Default::default();
		let models = Default::default();
		let registered = pallet_poc::Host { worker, url, models, registered: 0, active: 0 };
		pallet_poc::Workers::<Runtime>::insert(worker, host);
		pallet_poc::Hosts::<Runtime>::insert(host, registered);
		// It needs weight for its work to count.
		<Self as pallet_emission::BenchmarkHelper<_>>::set_weights(0, &[(host.clone(), 1)]);
		pallet_poc::LastWeighed::<Runtime>::put(0);
	}
}
