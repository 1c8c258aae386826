#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;

use gonka_primitives::{
	Balance, EpochIndex,
	check::Offence,
	traits::{Backing, OnOffence},
	views::CollateralView,
};
use polkadot_sdk::{frame_support::traits::Get, sp_runtime::Perbill, *};

pub use pallet::*;
pub use types::Ledger;
pub use weights::WeightInfo;

/// The share of collateral that an offence costs.
pub trait SlashShare {
	/// Of everything that is held, active or unbonding. Not asked of equivocations, whose reports name it.
	fn of(offence: Offence) -> Perbill;
}

// `expect` is what the macro itself writes for storage prefixes; there is none in the code below.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use frame_support::{
		pallet_prelude::*,
		traits::{
			fungible::{
				Inspect,
				hold::{Inspect as InspectHold, Mutate as MutateHold},
			},
			tokens::{Fortitude, Precision},
		},
	};
	use frame_system::pallet_prelude::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: polkadot_sdk::frame_system::Config {
		/// GNK.
		type Currency: MutateHold<Self::AccountId>
			+ InspectHold<Self::AccountId, Reason = Self::RuntimeHoldReason>
			+ Inspect<Self::AccountId, Balance = Balance>;

		/// The runtime's reasons to hold money.
		type RuntimeHoldReason: From<HoldReason>;

		/// The running PoC epoch.
		type Epoch: Get<EpochIndex>;

		/// Epochs, from the first on, in which weight needs no backing.
		type GracePeriod: Get<EpochIndex>;

		/// The share of weight that needs no backing.
		type BaseShare: Get<Perbill>;

		/// Base units that back one leaf of weight. At least 1.
		type PerWeight: Get<Balance>;

		/// What offences cost.
		type SlashShare: SlashShare;

		/// Weights of the calls.
		type WeightInfo: WeightInfo;
	}

	/// Collateral by host. Written by the calls and by slashes; removed when nothing is left.
	#[pallet::storage]
	pub type Ledgers<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Ledger, ValueQuery>;

	/// Why money is held.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// It backs a host's weight, or did until an epoch ago.
		Collateral,
	}

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A host pledged more.
		Deposited {
			/// The host.
			host: T::AccountId,
			/// Base units added.
			amount: Balance,
		},
		/// A host withdrew; the amount no longer counts.
		Withdrawn {
			/// The host.
			host: T::AccountId,
			/// Base units.
			amount: Balance,
			/// The epoch from which they can be released.
			release: EpochIndex,
		},
		/// Withdrawn collateral is free.
		Released {
			/// The host.
			host: T::AccountId,
			/// Base units.
			amount: Balance,
		},
		/// Collateral was burnt for an offence.
		Slashed {
			/// The host.
			host: T::AccountId,
			/// The offence.
			offence: Offence,
			/// Base units burnt.
			amount: Balance,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The amount is 0.
		NothingToDo,
		/// More than is pledged and not withdrawn yet.
		NotEnoughCollateral,
		/// Nothing can be released yet: withdrawals wait until one whole epoch has passed.
		NothingToRelease,
		/// Too many withdrawals wait: release them first.
		LimitExceeded,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(T::PerWeight::get() > 0, "collateral must be able to back weight");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Pledges `amount` base units more. Origin: the host's account. Cost: constant.
		#[pallet::call_index(0)]
		pub fn deposit(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let host = ensure_signed(origin)?;
			ensure!(amount > 0, Error::<T>::NothingToDo);
			T::Currency::hold(&HoldReason::Collateral.into(), &host, amount)?;
			Ledgers::<T>::mutate(&host, |ledger| ledger.active = ledger.active.saturating_add(amount));
			Self::deposit_event(Event::Deposited { host, amount });
			Ok(())
		}

		/// Takes back `amount` base units: they stop counting at once and can be released when one whole epoch has
		/// passed. Origin: the host's account. Cost: constant.
		#[pallet::call_index(1)]
		pub fn withdraw(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let host = ensure_signed(origin)?;
			ensure!(amount > 0, Error::<T>::NothingToDo);
			let release = T::Epoch::get().saturating_add(2);
			Ledgers::<T>::try_mutate(&host, |ledger| {
				ledger.active = ledger.active.checked_sub(amount).ok_or(Error::<T>::NotEnoughCollateral)?;
				match ledger.unbonding.iter_mut().find(|(epoch, _)| *epoch == release) {
					Some((_, waiting)) => *waiting = waiting.saturating_add(amount),
					None => {
						ledger.unbonding.try_push((release, amount)).map_err(|_| Error::<T>::LimitExceeded)?;
					},
				}
				DispatchResult::Ok(())
			})?;
			Self::deposit_event(Event::Withdrawn { host, amount, release });
			Ok(())
		}

		/// Frees what was withdrawn and has waited long enough. Origin: the host's account. Cost: constant.
		#[pallet::call_index(2)]
		pub fn release(origin: OriginFor<T>) -> DispatchResult {
			let host = ensure_signed(origin)?;
			let mut ledger = Ledgers::<T>::get(&host);
			let amount = ledger.release(T::Epoch::get());
			ensure!(amount > 0, Error::<T>::NothingToRelease);
			T::Currency::release(&HoldReason::Collateral.into(), &host, amount, Precision::Exact)?;
			Self::put(&host, ledger);
			Self::deposit_event(Event::Released { host, amount });
			Ok(())
		}
	}

	impl<T: Config> Pallet<T> {
		/// A host's collateral, for clients.
		pub fn view(host: &T::AccountId) -> CollateralView {
			let ledger = Ledgers::<T>::get(host);
			CollateralView {
				active: ledger.active,
				unbonding: ledger.unbonding.into_inner(),
				per_weight: T::PerWeight::get(),
				needed_from: T::GracePeriod::get(),
			}
		}

		/// Burns `share` of everything that `host` has pledged or withdrawn and not released yet.
		pub fn slash(host: &T::AccountId, share: Perbill, offence: Offence) {
			Self::burn(host, offence, |ledger| ledger.slash(share));
		}

		/// The same for an equivocation in `epoch`, whose report says the share. Of an epoch's equivocations the largest
		/// share counts, once.
		pub fn slash_equivocation(host: &T::AccountId, epoch: EpochIndex, share: Perbill) {
			Self::burn(host, Offence::Equivocation, |ledger| ledger.slash_up_to(epoch, share));
		}

		fn burn(host: &T::AccountId, offence: Offence, take: impl FnOnce(&mut Ledger) -> Balance) {
			let mut ledger = Ledgers::<T>::get(host);
			let amount = take(&mut ledger);
			let reason = HoldReason::Collateral.into();
			// The ledger says what is held, so all of it is there.
			let burnt = T::Currency::burn_held(&reason, host, amount, Precision::BestEffort, Fortitude::Force);
			if amount > 0 && burnt.is_ok() {
				Self::put(host, ledger);
				Self::deposit_event(Event::Slashed { host: host.clone(), offence, amount });
			}
		}

		fn put(host: &T::AccountId, ledger: Ledger) {
			if ledger.total() == 0 {
				Ledgers::<T>::remove(host);
			} else {
				Ledgers::<T>::insert(host, ledger);
			}
		}

		/// 1. Every host's ledger is exactly what is held in its account for this reason.
		/// 2. Withdrawals ascend by epoch, none is empty of meaning: each waits for at most two epochs.
		#[cfg(any(feature = "try-runtime", test))]
		pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
			for (host, ledger) in Ledgers::<T>::iter() {
				let held = T::Currency::balance_on_hold(&HoldReason::Collateral.into(), &host);
				ensure!(held == ledger.total(), "1: ledger and hold differ");
				ensure!(ledger.unbonding.is_sorted_by(|(a, _), (b, _)| a < b), "2: withdrawals out of order");
				let last = T::Epoch::get().saturating_add(2);
				ensure!(ledger.unbonding.iter().all(|(epoch, _)| *epoch <= last), "2: a withdrawal waits too long");
			}
			Ok(())
		}
	}
}

impl<T: Config> Backing<T::AccountId> for Pallet<T> {
	fn effective(host: &T::AccountId, epoch: EpochIndex, potential: u64) -> u64 {
		if epoch < T::GracePeriod::get() {
			return potential;
		}
		let base = T::BaseShare::get().mul_floor(potential);
		let backed = Ledgers::<T>::get(host).active.checked_div(T::PerWeight::get()).unwrap_or(0);
		let rest = potential.saturating_sub(base);
		base.saturating_add(rest.min(u64::try_from(backed).unwrap_or(u64::MAX)))
	}
}

impl<T: Config> OnOffence<T::AccountId> for Pallet<T> {
	fn on_offence(host: &T::AccountId, _: EpochIndex, offence: Offence) {
		Self::slash(host, T::SlashShare::of(offence), offence);
	}
}
