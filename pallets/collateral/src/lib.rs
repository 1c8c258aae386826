#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod equivocations;
pub mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;

use gonka_primitives::{
	Balance, EpochIndex,
	check::Offence,
	traits::{Backing, OnOffence, UnvestedPay},
	views::CollateralView,
};
use polkadot_sdk::{frame_support::traits::Get, sp_runtime::Perbill, *};

pub use equivocations::ReportError;
pub use pallet::*;
pub use types::CollateralLedger;
pub use weights::WeightInfo;

/// Number of a session of validators.
pub type SessionIndex = u32;

/// The shares of what a host has at stake that an offence costs. They are not used for equivocations, whose share follows
/// from the power of the offenders.
pub trait SlashShare {
	/// The share of active and unbonding collateral.
	fn of(offence: Offence) -> Perbill;
	/// The share of the pay that has not vested.
	fn of_pay(offence: Offence) -> Perbill;
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

	/// Maximum number of epochs that a withdrawal waits. It counts only when nobody takes part any more: the validators then
	/// keep the power of the epoch that was weighed last, and their equivocations can be reported for ever.
	pub const MAX_WAIT: EpochIndex = 28;

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

		/// The pay of hosts that has not vested. It backs weight beside collateral, and offences cost it.
		type UnvestedPay: UnvestedPay<Self::AccountId>;

		/// The shares of collateral and of unvested pay that an offence costs.
		type SlashShare: SlashShare;

		/// Minimum share that an equivocation costs.
		type MinEquivocationSlash: Get<Perbill>;

		/// Maximum number of validators that can equivocate with the power of one epoch.
		#[pallet::constant]
		type MaxValidators: Get<u32>;

		/// Dispatch weights of the calls.
		type WeightInfo: WeightInfo;
	}

	/// Collateral by host. Written by the calls and by slashes; removed when nothing is left. Blake: users choose accounts.
	#[pallet::storage]
	pub type Ledgers<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, CollateralLedger, ValueQuery>;

	/// The epoch whose weights gave the validators of a session their power. Written when a session is planned; removed when
	/// its equivocations can no longer be reported, so there are a few more than the sessions that can be reported.
	/// TWOX-NOTE: sessions are numbered.
	#[pallet::storage]
	pub type Sessions<T: Config> = StorageMap<_, Twox64Concat, SessionIndex, EpochIndex>;

	/// The oldest session in `Sessions`. Written with it. One value.
	#[pallet::storage]
	pub type OldestSession<T: Config> = StorageValue<_, SessionIndex, OptionQuery>;

	/// The validators that were reported for an equivocation with the power of an epoch, with their shares of the power.
	/// Written by reports; removed with the epoch's last session. At most `MaxValidators` an epoch.
	/// TWOX-NOTE: epochs are numbered.
	#[pallet::storage]
	pub type Equivocators<T: Config> =
		StorageMap<_, Twox64Concat, EpochIndex, BoundedVec<(T::AccountId, Perbill), T::MaxValidators>, ValueQuery>;

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
			/// The last epoch whose weights they may have backed.
			epoch: EpochIndex,
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
		/// No withdrawal can be released yet: each waits until no dispute and no report about an epoch that it backed is
		/// possible.
		NothingToRelease,
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

		/// Withdraws `amount` base units. They stop counting at once and can be released when no offence can be punished any
		/// more that was committed with weight or power which they backed.
		///
		/// - Origin: signed, by the host.
		/// - Effects: the amount becomes unbonding. Event `Withdrawn`.
		/// - Errors: `ZeroAmount`, `NotEnoughCollateral`.
		/// - Cost: constant.
		#[pallet::call_index(1)]
		pub fn withdraw(origin: OriginFor<T>, amount: Balance) -> DispatchResult {
			let host = ensure_signed(origin)?;
			ensure!(amount > 0, Error::<T>::ZeroAmount);
			let epoch = T::Epoch::get();
			Ledgers::<T>::try_mutate(&host, |ledger| {
				ledger.active = ledger.active.checked_sub(amount).ok_or(Error::<T>::NotEnoughCollateral)?;
				ledger.unbond(epoch, amount);
				DispatchResult::Ok(())
			})?;
			Self::deposit_event(Event::Withdrawn { host, amount, epoch });
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
			Self::release_before(host, Self::released_before())
		}
	}

	impl<T: Config> Pallet<T> {
		/// A host's collateral, for clients.
		pub fn view(host: &T::AccountId) -> CollateralView {
			let ledger = Ledgers::<T>::get(host);
			CollateralView {
				active: ledger.active,
				unbonding: ledger.unbonding.into_inner(),
				released_before: Self::released_before(),
				unvested: T::UnvestedPay::unvested(host),
				per_weight: T::PerWeight::get(),
				needed_from: T::GracePeriod::get(),
			}
		}

		/// Collateral withdrawn in earlier epochs than this one can be released: all disputes about an epoch that it backed are
		/// over, and no equivocation with power that it backed can be reported any more.
		pub fn released_before() -> EpochIndex {
			let running = T::Epoch::get();
			let undisputed = running.saturating_sub(1);
			undisputed.min(Self::reported_from()).max(running.saturating_add(1).saturating_sub(MAX_WAIT))
		}

		/// Releases what `host` withdrew before the epoch.
		pub(crate) fn release_before(host: T::AccountId, epoch: EpochIndex) -> DispatchResult {
			let mut ledger = Ledgers::<T>::get(&host);
			let amount = ledger.release(epoch);
			ensure!(amount > 0, Error::<T>::NothingToRelease);
			T::Currency::release(&HoldReason::Collateral.into(), &host, amount, Precision::Exact)?;
			Self::put(&host, ledger);
			Self::deposit_event(Event::Released { host, amount });
			Ok(())
		}

		/// Burns `share` of the active and unbonding collateral of `host`, and `share_of_pay` of its unvested pay.
		pub fn slash(host: &T::AccountId, share: Perbill, share_of_pay: Perbill, offence: Offence) {
			let mut ledger = Ledgers::<T>::get(host);
			let amount = ledger.slash(share);
			let reason = HoldReason::Collateral.into();
			// The account holds what the ledger says, so the burn is exact.
			let burnt = T::Currency::burn_held(&reason, host, amount, Precision::BestEffort, Fortitude::Force);
			if amount > 0 && burnt.is_ok() {
				Self::put(host, ledger);
				Self::deposit_event(Event::Slashed { host: host.clone(), offence, amount });
			}
			if !share_of_pay.is_zero() {
				T::UnvestedPay::burn(host, share_of_pay.mul_floor(T::UnvestedPay::unvested(host)));
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
		/// 2. Withdrawals ascend by epoch, and none is of the future.
		/// 3. The sessions on record follow each other, the epochs of their power ascend, and no equivocation is kept longer.
		#[cfg(any(feature = "try-runtime", test))]
		pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
			for (host, ledger) in Ledgers::<T>::iter() {
				let held = T::Currency::balance_on_hold(&HoldReason::Collateral.into(), &host);
				ensure!(held == ledger.total(), "1: ledger and hold differ");
				ensure!(ledger.unbonding.is_sorted_by(|(a, _), (b, _)| a < b), "2: withdrawals out of order");
				let last = T::Epoch::get();
				ensure!(ledger.unbonding.iter().all(|(epoch, _)| *epoch <= last), "2: a withdrawal of the future");
			}
			Self::try_state_sessions()
		}
	}
}

impl<T: Config> Backing<T::AccountId> for Pallet<T> {
	fn backed(host: &T::AccountId, epoch: EpochIndex, potential: u64) -> u64 {
		if epoch < T::GracePeriod::get() {
			return potential;
		}
		let base = T::BaseShare::get().mul_floor(potential);
		// Both can be slashed, so both back.
		let at_stake = Ledgers::<T>::get(host).active.saturating_add(T::UnvestedPay::unvested(host));
		let backed = at_stake.checked_div(T::PerWeight::get()).unwrap_or(0);
		let rest = potential.saturating_sub(base);
		base.saturating_add(rest.min(u64::try_from(backed).unwrap_or(u64::MAX)))
	}
}

impl<T: Config> OnOffence<T::AccountId> for Pallet<T> {
	fn on_offence(host: &T::AccountId, _: EpochIndex, offence: Offence) {
		Self::slash(host, T::SlashShare::of(offence), T::SlashShare::of_pay(offence), offence);
	}
}
