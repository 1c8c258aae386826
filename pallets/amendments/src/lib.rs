#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use weights::WeightInfo;

use gonka_primitives::{EpochIndex, traits::OnEpochStart};
use polkadot_sdk::{
	frame_support::{
		self,
		dispatch::DispatchClass,
		traits::{Contains, Get, dynamic_params::AggregatedKeyValue},
	},
	frame_system, pallet_parameters,
};

/// Names a parameter.
pub type KeyOf<T> = <<T as pallet_parameters::Config>::RuntimeParameters as AggregatedKeyValue>::Key;
/// A parameter's value.
pub type ValueOf<T> = <<T as pallet_parameters::Config>::RuntimeParameters as AggregatedKeyValue>::Value;

// `expect` is what the macro itself writes for storage prefixes; there is none in the code below.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use frame_support::pallet_prelude::*;
	use frame_system::pallet_prelude::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config: pallet_parameters::Config {
		/// Who may amend.
		type AmendOrigin: EnsureOrigin<Self::RuntimeOrigin>;

		/// The values that make sense. Each must do so with all others that do.
		type Bounds: Contains<Self::RuntimeParameters>;

		/// Most amendments that wait. At least 1.
		#[pallet::constant]
		type MaxPending: Get<u32>;

		/// What calls and hooks cost.
		type WeightInfo: WeightInfo;
	}

	/// What comes into force when the next epoch starts: a value, or the default. Written by `amend`, emptied then.
	#[pallet::storage]
	pub type Pending<T: Config> =
		StorageValue<_, BoundedVec<(KeyOf<T>, Option<ValueOf<T>>), T::MaxPending>, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A parameter changes when the next epoch starts.
		Amended {
			/// The parameter.
			key: KeyOf<T>,
			/// Its value from then on; `None`: the runtime's default.
			value: Option<ValueOf<T>>,
		},
		/// A parameter has changed.
		InForce {
			/// The parameter.
			key: KeyOf<T>,
			/// Its value; `None`: the runtime's default.
			value: Option<ValueOf<T>>,
			/// The epoch that starts.
			epoch: EpochIndex,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The value makes no sense: the protocol's documentation lists the bounds.
		OutOfBounds,
		/// As many parameters as can wait do.
		LimitExceeded,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(T::MaxPending::get() > 0, "nothing could be amended");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Changes a parameter from the next epoch on.
		///
		/// - Origin: `AmendOrigin`.
		/// - Effects: replaces an amendment of the same parameter that waits. Event `Amended`.
		/// - Errors: `OutOfBounds`, `LimitExceeded`.
		/// - Cost: constant.
		#[pallet::call_index(0)]
		pub fn amend(origin: OriginFor<T>, parameter: T::RuntimeParameters) -> DispatchResult {
			T::AmendOrigin::ensure_origin(origin)?;
			ensure!(T::Bounds::contains(&parameter), Error::<T>::OutOfBounds);
			let (key, value) = parameter.into_parts();
			Pending::<T>::try_mutate(|pending| match pending.iter_mut().find(|(other, _)| *other == key) {
				Some(waiting) => {
					waiting.1 = value.clone();
					Ok(())
				},
				None => pending.try_push((key.clone(), value.clone())),
			})
			.map_err(|_| Error::<T>::LimitExceeded)?;
			Self::deposit_event(Event::Amended { key, value });
			Ok(())
		}
	}

	impl<T: Config> Pallet<T> {
		/// 1. No parameter waits twice.
		#[cfg(any(feature = "try-runtime", test))]
		pub fn do_try_state() -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			let pending = Pending::<T>::get();
			for (position, (key, _)) in pending.iter().enumerate() {
				let earlier = pending.iter().take(position).any(|(other, _)| other == key);
				ensure!(!earlier, "1: a parameter waits twice");
			}
			Ok(())
		}
	}
}

impl<T: Config> OnEpochStart for Pallet<T> {
	fn on_epoch_start(epoch: EpochIndex) {
		let pending = Pending::<T>::take();
		let weight = <T as Config>::WeightInfo::apply(pending.len() as u32);
		for (key, value) in pending {
			pallet_parameters::Parameters::<T>::set(&key, value.clone());
			Self::deposit_event(Event::InForce { key, value, epoch });
		}
		frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
	}
}
