//! The state of other pallets that the benchmarks of pallets need.

use crate::*;
use alloc::vec::Vec;
use frame_support::{
	BoundedVec,
	traits::{Get, fungible::Mutate},
};
use gonka_primitives::{EpochIndex, MAX_MODELS_PER_HOST, ModelId, PublicKey, market::Price, merkle_sum::SumNode};

impl frame_system_benchmarking::Config for Runtime {}
impl pallet_transaction_payment::BenchmarkConfig for Runtime {}

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
				[2; 32],
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

	fn leave_records(host: &gonka_primitives::AccountId) {
		let host = AccountId::from(*host);
		let windows: Vec<u32> = (0..<Runtime as pallet_inference_market::Config>::KeptSettlements::get()).collect();
		for window in &windows {
			pallet_inference_market::Settlements::<Runtime>::insert(window, &host, SumNode::default());
		}
		pallet_inference_market::SettledWindows::<Runtime>::insert(&host, BoundedVec::truncate_from(windows));
		pallet_sampling_validation::Records::<Runtime>::insert(&host, pallet_sampling_validation::Record::default());
		for model in 0..64 {
			let suspicion = pallet_sampling_validation::types::Suspicion::new(None);
			pallet_sampling_validation::Suspicions::<Runtime>::insert(&host, model, suspicion);
		}
	}
}

/// Makes an epoch weighed. `duties` are those of every host.
fn weigh(epoch: EpochIndex, hosts: &[(AccountId, u64)], duties: (u32, u32)) {
	let mut total = 0u64;
	for (host, weight) in hosts {
		let (due, met) = duties;
		let duties = pallet_poc::SetDuties { due, revealed: met, met };
		let standing = pallet_poc::Standing { duties, ..pallet_poc::Standing::of_weight(0, *weight) };
		pallet_poc::Standings::<Runtime>::insert(epoch, host, standing);
		total = total.saturating_add(*weight);
	}
	let settled = pallet_poc::EpochWeights::of_total(total, hosts.len() as u32);
	pallet_poc::WeighedEpochs::<Runtime>::insert(epoch, settled);
}

impl pallet_emission::BenchmarkHelper<AccountId> for Helper {
	/// Hosts are paid, and lose collateral because they missed a tenth of their duties.
	fn set_weights(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
		weigh(epoch, hosts, (20, 18));
		let past = pallet_poc::Epoch {
			index: epoch,
			start: 1,
			schedule: <Runtime as pallet_poc::Config>::Schedule::get(),
			format: <Runtime as pallet_poc::Config>::SprintFormat::get(),
			model_seed: Default::default(),
			segment_seeds: Default::default(),
			confirmations: Default::default(),
			beacon: None,
			round_beacons: Default::default(),
		};
		pallet_poc::PastEpochs::<Runtime>::insert(epoch, past);
		for (host, _) in hosts {
			let _ = Balances::mint_into(host, GNK.saturating_mul(2));
			let _ = Collateral::deposit(RuntimeOrigin::signed(host.clone()), GNK);
		}
	}
}

impl pallet_governance::BenchmarkHelper<AccountId> for Helper {
	fn weigh(epoch: EpochIndex, hosts: &[(AccountId, u64)]) {
		weigh(epoch, hosts, (0, 0));
		pallet_poc::LastWeighed::<Runtime>::put(epoch);
	}
}

impl pallet_treasury::ArgumentsFactory<(), AccountId> for Helper {
	fn create_asset_kind(_: u32) {}

	/// An account that can take the small sums of the benchmarks, and a community fund that can pay them.
	fn create_beneficiary(seed: [u8; 32]) -> AccountId {
		let beneficiary = AccountId::from(seed);
		for account in [&beneficiary, &genesis::Treasury::get()] {
			let _ = Balances::mint_into(account, GNK);
		}
		beneficiary
	}
}

impl pallet_inference_market::BenchmarkHelper<AccountId> for Helper {
	fn register_host(host: &AccountId, worker: PublicKey) {
		let url = Default::default();
		// Work counts only under models that the host declares and that have a profile.
		let models = (0..MAX_MODELS_PER_HOST).collect::<Vec<ModelId>>().try_into().unwrap_or_default();
		if let Some((_, profile)) = crate::genesis::profiles().next() {
			(0..MAX_MODELS_PER_HOST)
				.for_each(|model| pallet_sampling_validation::Profiles::<Runtime>::insert(model, profile));
		}
		let registered = pallet_poc::Host { worker, url, models, ..Default::default() };
		pallet_poc::Workers::<Runtime>::insert(worker, host);
		pallet_poc::Hosts::<Runtime>::insert(host, registered);
		// It needs weight for its work to count.
		weigh(0, &[(host.clone(), 1)], (0, 0));
		pallet_poc::LastWeighed::<Runtime>::put(0);
	}
}
