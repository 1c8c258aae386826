//! Benchmarks of the inherent, the hook and a change of session, with lists as long as they can be.

use super::*;
use crate::math::MAX_SEATS;
use frame_benchmarking::v2::*;
use frame_system::RawOrigin;
use polkadot_sdk::frame_benchmarking;

fn validators<T: Config>(count: u32) -> Vec<T::AccountId> {
	let accounts: Vec<T::AccountId> = (0..count).map(|index| account("validator", index, 0)).collect();
	Starts::<T>::kill();
	Pallet::<T>::deal(accounts.iter().map(|who| (who.clone(), 1_000)).collect(), &Default::default());
	Pallet::<T>::start_session(accounts.clone(), 1);
	accounts
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn note_block() {
		validators::<T>(T::MaxValidators::get());
		#[block]
		{
			Pallet::<T>::note_block(u32::from(MAX_SEATS).saturating_sub(1), 2);
		}
		assert!(Validators::<T>::get().iter().any(|validator| validator.last == 2));
	}

	#[benchmark]
	fn note_finalized() {
		validators::<T>(T::MaxValidators::get());
		frame_system::Pallet::<T>::set_block_number(9u32.into());
		Pallet::<T>::note_block(u32::from(MAX_SEATS).saturating_sub(1), 9);
		#[extrinsic_call]
		_(RawOrigin::None, 5);
		assert_eq!(StatedIn::<T>::get(), 9);
	}

	#[benchmark]
	fn change_session(n: Linear<1, 300>) {
		let accounts = validators::<T>(n);
		Validators::<T>::mutate(|all| all.iter_mut().for_each(|validator| validator.stated = 1));
		#[block]
		{
			Pallet::<T>::end_session();
			Pallet::<T>::start_session(accounts.clone(), 2);
			Pallet::<T>::deal(accounts.iter().map(|who| (who.clone(), 1_000)).collect(), &Default::default());
			Pallet::<T>::plan(true);
			Pallet::<T>::mark_missing();
			Pallet::<T>::note_change(Change::default(), accounts.into_iter().map(|who| (who, 1_000)).collect(), false);
		}
		assert_eq!(Voters::<T>::get().len() as u32, n);
	}
}
