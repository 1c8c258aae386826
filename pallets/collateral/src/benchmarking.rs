//! Benchmarks of the calls and of a slash.

use super::*;
use frame_benchmarking::v2::*;
use frame_support::traits::fungible::Mutate;
use frame_system::RawOrigin;
use gonka_primitives::GNK;

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benchmarks {
	use super::*;

	fn funded<T: Config>() -> T::AccountId
	where
		T::Currency: Mutate<T::AccountId>,
	{
		let host: T::AccountId = whitelisted_caller();
		let _ = T::Currency::mint_into(&host, 100 * GNK);
		host
	}

	#[benchmark]
	fn deposit() {
		let host = funded::<T>();
		#[extrinsic_call]
		_(RawOrigin::Signed(host.clone()), GNK);
		assert_eq!(Ledgers::<T>::get(host).active, GNK);
	}

	#[benchmark]
	fn withdraw() -> Result<(), BenchmarkError> {
		let host = funded::<T>();
		Pallet::<T>::deposit(RawOrigin::Signed(host.clone()).into(), GNK)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(host.clone()), GNK);
		assert_eq!(Ledgers::<T>::get(host).active, 0);
		Ok(())
	}

	#[benchmark]
	fn release() -> Result<(), BenchmarkError> {
		let host = funded::<T>();
		Pallet::<T>::deposit(RawOrigin::Signed(host.clone()).into(), GNK)?;
		Ledgers::<T>::mutate(&host, |ledger| {
			ledger.active = 0;
			let _ = ledger.unbonding.try_push((0, GNK));
		});
		#[extrinsic_call]
		_(RawOrigin::Signed(host.clone()));
		assert_eq!(Ledgers::<T>::get(host).total(), 0);
		Ok(())
	}

	#[benchmark]
	fn slash() -> Result<(), BenchmarkError> {
		let host = funded::<T>();
		Pallet::<T>::deposit(RawOrigin::Signed(host.clone()).into(), GNK)?;
		#[block]
		{
			Pallet::<T>::slash(&host, Perbill::from_percent(20), Offence::Fabrication);
		}
		assert_eq!(Ledgers::<T>::get(host).active, GNK / 5 * 4);
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::tests::new_test_ext(), crate::tests::Test);
}
