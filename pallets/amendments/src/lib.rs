#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod migrations;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use weights::WeightInfo;

use alloc::vec::Vec;
use codec::{DecodeAll, Encode};
use gonka_primitives::{EpochIndex, traits::OnEpochStart};
use polkadot_sdk::{
	frame_support::{
		self,
		dispatch::DispatchClass,
		traits::{Contains, Get, dynamic_params::AggregatedKeyValue},
	},
	frame_system, pallet_parameters,
};

/// The key of a parameter.
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

	/// Version 1: no stored or waiting value is out of the bounds of this release. See [`migrations`].
	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config: pallet_parameters::Config {
		/// Origin that may amend parameters.
		type AmendOrigin: EnsureOrigin<Self::RuntimeOrigin>;

		/// The allowed values. No allowed value may contradict an allowed value of another parameter.
		type Bounds: Contains<Self::RuntimeParameters>;

		/// Maximum number of waiting amendments. At least 1.
		#[pallet::constant]
		type MaxPending: Get<u32>;

		/// Dispatch weights of the call and of an epoch's start.
		type WeightInfo: WeightInfo;
	}

	/// Amendments that come into force when the next epoch starts: a value, or `None` for the default. Written by `amend`;
	/// emptied when an epoch starts. At most `MaxPending`.
	#[pallet::storage]
	pub type Pending<T: Config> =
		StorageValue<_, BoundedVec<(KeyOf<T>, Option<ValueOf<T>>), T::MaxPending>, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A parameter will change when the next epoch starts.
		Amended {
			/// The parameter.
			key: KeyOf<T>,
			/// Its value from then on; `None` for the runtime's default.
			value: Option<ValueOf<T>>,
		},
		/// A parameter changed.
		InForce {
			/// The parameter.
			key: KeyOf<T>,
			/// Its value; `None` for the runtime's default.
			value: Option<ValueOf<T>>,
			/// The epoch that starts.
			epoch: EpochIndex,
		},
		/// A runtime upgrade changed a parameter's bounds or form, and removed what was stored of it or waited.
		Reset {
			/// The parameter.
			key: KeyOf<T>,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The value is out of bounds: `docs/parameters.md` lists the bounds.
		OutOfBounds,
		/// The maximum number of parameters wait. Amend again in the next epoch.
		LimitExceeded,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(T::MaxPending::get() > 0, "`MaxPending` is 0");
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
		/// - Effects: the value waits for the next epoch and replaces a waiting one of the same parameter. Event `Amended`.
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
		/// Whether a value is allowed; false if the key has no such value.
		pub(crate) fn is_allowed(key: &KeyOf<T>, value: &Option<ValueOf<T>>) -> bool {
			// A parameter is encoded as its key and an optional value. The encoding of a value begins with its key.
			let mut bytes = key.encode();
			let value: Option<Vec<u8>> = value.as_ref().map(|value| value.encode().split_off(bytes.len()));
			bytes.push(u8::from(value.is_some()));
			bytes.extend(value.unwrap_or_default());
			T::RuntimeParameters::decode_all(&mut bytes.as_slice())
				.is_ok_and(|parameter| T::Bounds::contains(&parameter))
		}

		/// # Invariants
		/// 1. No parameter waits twice.
		/// 2. Every stored and every waiting value is allowed.
		#[cfg(any(feature = "try-runtime", test))]
		pub fn do_try_state() -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			let pending = Pending::<T>::get();
			for (position, (key, _)) in pending.iter().enumerate() {
				let earlier = pending.iter().take(position).any(|(other, _)| other == key);
				ensure!(!earlier, "1: a parameter waits twice");
			}
			let stored = pallet_parameters::Parameters::<T>::iter().map(|(key, value)| (key, Some(value)));
			let all = stored.chain(pending).all(|(key, value)| Self::is_allowed(&key, &value));
			ensure!(all, "2: a value is out of bounds");
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
