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
pub use types::CollateralLedger;
pub use weights::WeightInfo;

/// The share of collateral that an offence costs.
pub trait SlashShare {
	/// The share of active and unbonding collateral. It is not used for equivocations, whose reports name the share.
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

		/// Number of epochs, from the first on, in which the whole compute weight counts without collateral.
		type GracePeriod: Get<EpochIndex>;

		/// Share of the compute weight that counts without collateral.
		type BaseShare: Get<Perbill>;

		/// Base units of collateral that back one leaf of compute weight. At least 1.
		type PerWeight: Get<Balance>;

		/// The share of collateral that an offence costs.
		type SlashShare: SlashShare;

		/// Dispatch weights of the calls.
		type WeightInfo: WeightInfo;
	}

	/// Collateral by host. Written by the calls and by slashes; removed when nothing is left. Blake: users choose accounts.
	#[pallet::storage]
	pub type Ledgers<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, CollateralLedger, ValueQuery>;

	/// Reasons for holds.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Collateral, active or unbonding.
		Collateral,
	}

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A host deposited collateral.
		Deposited {
			/// The host.
			host: T::AccountId,
			/// Base units added.
			amount: Balance,
		},
		/// A host withdrew collateral, which no longer counts.
		Withdrawn {
			/// The host.
			host: T::AccountId,
			/// Base units withdrawn.
			amount: Balance,
			/// First epoch in which they can be released.
			release: EpochIndex,
		},
		/// Withdrawn collateral was released.
		Released {
			/// The host.
			host: T::AccountId,
			/// Base units released.
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
		ZeroAmount,
		/// The host has less active collateral than the amount.
		NotEnoughCollateral,
		/// No withdrawal can be released yet: each waits until one whole epoch has passed.
		NothingToRelease,
		/// The maximum number of withdrawals wait. Release them first.
		LimitExceeded,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(T::PerWeight::get() > 0, "`PerWeight` is 0");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Deposits `amount` base units.
		///
		/// - Origin: signed, by the host.
		/// - Effects: the amount is put on hold and backs the host's weight. Event `Deposited`.
		/// - Errors: `ZeroAmount`; `TokenError` if the account has too little.
		/// - Cost: constant.
		#[pallet::call_index(0)]
		pub fn deposit(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let host = ensure_signed(origin)?;
			ensure!(amount > 0, Error::<T>::ZeroAmount);
			T::Currency::hold(&HoldReason::Collateral.into(), &host, amount)?;
			Ledgers::<T>::mutate(&host, |ledger| ledger.active = ledger.active.saturating_add(amount));
			Self::deposit_event(Event::Deposited { host, amount });
			Ok(())
		}

		/// Withdraws `amount` base units. They stop counting at once and can be released when one whole epoch has passed.
		///
		/// - Origin: signed, by the host.
		/// - Effects: the amount becomes unbonding. Event `Withdrawn`.
		/// - Errors: `ZeroAmount`, `NotEnoughCollateral`, `LimitExceeded`.
		/// - Cost: constant.
		#[pallet::call_index(1)]
		pub fn withdraw(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let host = ensure_signed(origin)?;
			ensure!(amount > 0, Error::<T>::ZeroAmount);
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

		/// Releases the withdrawals that have waited long enough.
		///
		/// - Origin: signed, by the host.
		/// - Effects: the hold on them ends. Event `Released`.
		/// - Errors: `NothingToRelease`.
		/// - Cost: constant.
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

		/// Burns `share` of the active and unbonding collateral of `host`.
		pub fn slash(host: &T::AccountId, share: Perbill, offence: Offence) {
			Self::burn(host, offence, |ledger| ledger.slash(share));
		}

		/// Burns `share`, which the report of an equivocation in `epoch` names. Of all equivocations of an epoch the largest
		/// share counts, once.
		pub fn slash_equivocation(host: &T::AccountId, epoch: EpochIndex, share: Perbill) {
			Self::burn(host, Offence::Equivocation, |ledger| ledger.slash_up_to(epoch, share));
		}

		fn burn(host: &T::AccountId, offence: Offence, take: impl FnOnce(&mut CollateralLedger) -> Balance) {
			let mut ledger = Ledgers::<T>::get(host);
			let amount = take(&mut ledger);
			let reason = HoldReason::Collateral.into();
			// The account holds what the ledger says, so the burn is exact.
			let burnt = T::Currency::burn_held(&reason, host, amount, Precision::BestEffort, Fortitude::Force);
			if amount > 0 && burnt.is_ok() {
				Self::put(host, ledger);
				Self::deposit_event(Event::Slashed { host: host.clone(), offence, amount });
			}
		}

		fn put(host: &T::AccountId, ledger: CollateralLedger) {
			if ledger.total() == 0 {
				Ledgers::<T>::remove(host);
			} else {
				Ledgers::<T>::insert(host, ledger);
			}
		}

		/// # Invariants
		/// 1. A host's ledger is exactly what is held in its account for this reason.
		/// 2. Withdrawals ascend by epoch, and each waits for at most two epochs.
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
	fn backed(host: &T::AccountId, epoch: EpochIndex, potential: u64) -> u64 {
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
