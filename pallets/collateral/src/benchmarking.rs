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
		// At the start no epoch's withdrawals are free.
		#[block]
		{
			Pallet::<T>::release_before(host.clone(), 1)?;
		}
		assert_eq!(Ledgers::<T>::get(host).total(), 0);
		Ok(())
	}

	#[benchmark]
	fn slash() -> Result<(), BenchmarkError> {
		let host = funded::<T>();
		Pallet::<T>::deposit(RawOrigin::Signed(host.clone()).into(), GNK)?;
		#[block]
		{
			let share = Perbill::from_percent(20);
			Pallet::<T>::slash(&host, share, share, Offence::Fabrication);
		}
		assert_eq!(Ledgers::<T>::get(host).active, GNK / 5 * 4);
		Ok(())
	}

	/// The last of `n` equivocations, which raises the share of all.
	#[benchmark]
	fn punish(n: Linear<1, 30>) -> Result<(), BenchmarkError> {
		Pallet::<T>::plan_session(0, Some(0));
		let mut last = None;
		for index in 0..n {
			let host: T::AccountId = account("host", index, 0);
			let _ = T::Currency::mint_into(&host, 100 * GNK);
			Pallet::<T>::deposit(RawOrigin::Signed(host.clone()).into(), GNK)?;
			let earlier = last.replace(host);
			if let Some(host) = earlier {
				Pallet::<T>::punish(0, &host, Perbill::from_percent(1)).map_err(|_| "it is new")?;
			}
		}
		let host = last.ok_or("at least one")?;
		#[block]
		{
			let _ = Pallet::<T>::punish(0, &host, Perbill::from_percent(10));
		}
		assert!(Ledgers::<T>::get(host).active < GNK);
		Ok(())
	}
}
