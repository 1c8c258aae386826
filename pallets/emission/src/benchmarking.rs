//! Benchmarks of the hooks and of claiming.

use super::*;
use alloc::vec::Vec;
use frame_benchmarking::v2::*;
use frame_support::traits::{
	Get, Hooks,
	fungible::{Inspect, Mutate},
};

extern crate alloc;

/// Sets up state of other pallets for the benchmarks.
pub trait BenchmarkHelper<AccountId> {
	/// Makes `PaidWeights::page` of `epoch` return these hosts.
	fn set_weights(epoch: EpochIndex, hosts: &[(AccountId, u64)]);
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
		T::BenchmarkHelper::set_weights(EPOCH, &hosts);
		Unmined::<T>::put(T::Cap::get());
		Pallet::<T>::on_epoch_closed(EPOCH, 1_000_000u64.saturating_mul(n.max(1).into()));

		#[block]
		{
			Pallet::<T>::on_initialize(1u32.into());
		}

		for (host, _) in hosts {
			assert!(Vestings::<T>::contains_key(host));
		}
	}

	/// A host that is `n` epochs behind, each with a grant that ends.
	#[benchmark]
	fn claim(n: Linear<0, { T::MaxVestingSteps::get() }>) -> Result<(), BenchmarkError> {
		let host: T::AccountId = account("host", 0, 0);
		let now = T::Epoch::get();
		let amount = 1_000_000_000_000u128;
		let grants = Balance::from(n).saturating_add(1);
		let _ = T::Currency::mint_into(&Pallet::<T>::pot(), amount.saturating_mul(grants).saturating_mul(2));
		for back in 0..=n {
			let ended = now.saturating_sub(back).saturating_sub(T::VestingEpochs::get());
			Grants::<T>::insert(&host, ended, amount);
		}
		let vesting = Vesting {
			updated: now.saturating_sub(n),
			rate: amount.saturating_mul(grants),
			rest: 0,
			vested: amount,
			locked: amount.saturating_mul(grants),
			burnt: 0,
		};
		Vestings::<T>::insert(&host, vesting);
		#[extrinsic_call]
		_(frame_system::RawOrigin::Authorized, host.clone());
		assert!(T::Currency::balance(&host) > 0);
		Ok(())
	}

	#[benchmark]
	fn authorize_claim() -> Result<(), BenchmarkError> {
		use frame_support::pallet_prelude::{Authorize, TransactionSource};
		let host: T::AccountId = account("host", 0, 0);
		let vesting = Vesting { rate: 1, locked: 1, ..Default::default() };
		Vestings::<T>::insert(&host, vesting);
		let call = Call::<T>::claim { host };
		#[block]
		{
			let _ = call.authorize(TransactionSource::External).ok_or("the call has an authorisation")?;
		}
		Ok(())
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
}
