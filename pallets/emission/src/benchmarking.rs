//! Benchmarks of the hooks; there are no calls.

use super::*;
use alloc::vec::Vec;
use frame_benchmarking::v2::*;
use frame_support::traits::{Get, Hooks, fungible::Inspect};

extern crate alloc;

/// Sets up what the pallet cannot.
pub trait BenchmarkHelper<AccountId> {
	/// Makes `HostPower::page` of `epoch` return these hosts.
	fn set_power(epoch: EpochIndex, hosts: &[(AccountId, u64)]);
}

const EPOCH: EpochIndex = 1;

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn idle() {
		#[block]
		{
			Pallet::<T>::on_initialize(1u32.into());
		}
	}

	#[benchmark]
	fn pay(n: Linear<0, { T::MaxPayoutsPerBlock::get() }>) {
		let hosts: Vec<(T::AccountId, u64)> = (0..n).map(|index| (account("host", index, 0), 1_000_000)).collect();
		T::BenchmarkHelper::set_power(EPOCH, &hosts);
		Unmined::<T>::put(T::Cap::get());
		Pallet::<T>::on_epoch_closed(EPOCH, 1_000_000u64.saturating_mul(n.max(1).into()));

		#[block]
		{
			Pallet::<T>::on_initialize(1u32.into());
		}

		for (host, _) in hosts {
			assert!(T::Currency::balance(&host) > 0);
		}
	}

	#[benchmark]
	fn on_epoch_closed() {
		Unmined::<T>::put(T::Cap::get());
		for epoch in 0..T::MaxPending::get().saturating_sub(1) {
			Pallet::<T>::on_epoch_closed(epoch, 1);
		}
		let epoch = T::MaxPending::get();

		#[block]
		{
			Pallet::<T>::on_epoch_closed(epoch, 1);
		}

		assert_eq!(Pending::<T>::decode_len(), Some(T::MaxPending::get() as usize));
	}

	impl_benchmark_test_suite!(Pallet, crate::tests::mock::new_test_ext(), crate::tests::mock::Test);
}
