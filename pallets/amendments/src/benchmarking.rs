//! Benchmarks of the call and of an epoch's start.

use super::*;
use polkadot_sdk::{frame_benchmarking::v2::*, frame_support::traits::EnsureOrigin};

#[benchmarks(where T::RuntimeParameters: Default)]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn amend() -> Result<(), BenchmarkError> {
		let origin = T::AmendOrigin::try_successful_origin().map_err(|()| BenchmarkError::Weightless)?;
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, T::RuntimeParameters::default());
		assert_eq!(Pending::<T>::get().len(), 1);
		Ok(())
	}

	#[benchmark]
	fn apply(n: Linear<0, { T::MaxPending::get() }>) {
		for _ in 0..n {
			let _ = Pending::<T>::try_mutate(|pending| pending.try_push(T::RuntimeParameters::default().into_parts()));
		}
		#[block]
		{
			Pallet::<T>::on_epoch_start(1);
		}
		assert!(Pending::<T>::get().is_empty());
	}
}
