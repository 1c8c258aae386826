#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod math;
mod types;
mod vesting;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
#[cfg(test)]
mod tests;

use gonka_primitives::{
	Balance, EpochIndex,
	traits::{self, OnEpochClosed, PaidWeights, UnvestedPay},
	views::{SupplyView, VestingView},
};
use polkadot_sdk::*;

pub use gonka_primitives::validity::Emission as ValidityError;
pub use pallet::*;
pub use types::{Closed, Payout};
pub use vesting::Vesting;
pub use weights::WeightInfo;

// `expect` is what the macro itself writes for storage prefixes; there is none in the code below.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use frame_support::{
		pallet_prelude::*,
		traits::fungible::{Inspect, Mutate},
	};
	use frame_system::{ensure_authorized, pallet_prelude::*};
	use gonka_pallet_support::pool::{authorize, valid};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: polkadot_sdk::frame_system::Config {
		/// GNK.
		type Currency: Mutate<Self::AccountId> + Inspect<Self::AccountId, Balance = Balance>;

		/// The paid weights of the hosts.
		type Weights: PaidWeights<Self::AccountId>;

		/// Share of the unmined supply that one epoch may mint, in units of 2⁻⁶⁴.
		type Rate: Get<u64>;

		/// Maximum number of base units that are mined in all.
		#[pallet::constant]
		type Cap: Get<Balance>;

		/// Maximum number of hosts paid in a block. At least 1.
		#[pallet::constant]
		type MaxPayoutsPerBlock: Get<u32>;

		/// Maximum number of epochs that wait to be paid. At least 1.
		#[pallet::constant]
		type MaxPending: Get<u32>;

		/// The running PoC epoch.
		type Epoch: Get<EpochIndex>;

		/// Number of epochs over which a grant vests. At least 1.
		#[pallet::constant]
		type VestingEpochs: Get<u32>;

		/// Maximum number of epochs of vesting that one claim processes. At least 1.
		#[pallet::constant]
		type MaxVestingSteps: Get<u32>;

		/// Account of the community fund.
		type Treasury: Get<Self::AccountId>;

		/// Id of the account from which grants vest.
		#[pallet::constant]
		type PalletId: Get<frame_support::PalletId>;

		/// Dispatch weights of the hooks and calls.
		type WeightInfo: WeightInfo;

		/// Gives hosts paid weight.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
	}

	/// Base units not yet minted. Written at genesis and by `on_initialize` when it mints; never rises. One value.
	#[pallet::storage]
	pub type Unmined<T: Config> = StorageValue<_, Balance, ValueQuery>;

	/// Epochs to be paid, oldest first; the front one is being paid. Written when an epoch closes and by
	/// `on_initialize`. At most `MaxPending`.
	#[pallet::storage]
	pub type Pending<T: Config> = StorageValue<_, BoundedVec<Payout<T::AccountId>, T::MaxPending>, ValueQuery>;

	/// The epoch that was closed last. Written when an epoch closes. One value.
	#[pallet::storage]
	pub type LastClosed<T: Config> = StorageValue<_, Closed>;

	/// Vesting state by host. Written when a host is paid and when vested amounts are paid out; removed when all is paid out.
	/// Blake: users choose accounts.
	#[pallet::storage]
	pub type Vestings<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Vesting, OptionQuery>;

	/// Grants that are vesting, by host and epoch of the grant: at most `VestingEpochs` a host. Blake: users choose accounts.
	/// TWOX-NOTE: epochs are numbered.
	#[pallet::storage]
	pub type Grants<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, EpochIndex, Balance, ValueQuery>;

	/// Progress of the payouts by idle blocks. Written by `on_idle`. One value.
	#[pallet::storage]
	pub type IdleRound<T: Config> = StorageValue<_, vesting::Round<T::AccountId>, OptionQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// An epoch closed and its payout waits in the queue.
		Queued {
			/// The epoch.
			epoch: EpochIndex,
			/// Maximum number of base units that will be minted for it.
			emission: Balance,
		},
		/// The queue was full: the epoch's emission stays unmined.
		Skipped {
			/// The epoch.
			epoch: EpochIndex,
			/// Maximum number of base units that it would have minted.
			emission: Balance,
		},
		/// A host was paid for an epoch. The amount vests from now on.
		Paid {
			/// The epoch whose weight was paid.
			epoch: EpochIndex,
			/// The host.
			host: T::AccountId,
			/// Base units minted for it.
			amount: Balance,
		},
		/// Vested amounts were paid out to a host.
		Claimed {
			/// The host.
			host: T::AccountId,
			/// Base units paid out.
			amount: Balance,
		},
		/// The payout of an epoch is complete.
		Minted {
			/// The epoch.
			epoch: EpochIndex,
			/// Base units minted for it.
			minted: Balance,
			/// Base units that it could have minted and that stay unmined.
			forfeited: Balance,
			/// Number of hosts paid.
			hosts: u32,
		},
		/// Unvested pay was burnt for an offence.
		Burnt {
			/// The host.
			host: T::AccountId,
			/// Base units burnt.
			amount: Balance,
		},
	}

	#[pallet::genesis_config]
	pub struct GenesisConfig<T: Config> {
		/// Base units to be mined, at most `Cap`.
		pub unmined: Balance,
		#[serde(skip)]
		#[doc(hidden)]
		pub _config: core::marker::PhantomData<T>,
	}

	impl<T: Config> Default for GenesisConfig<T> {
		fn default() -> Self {
			Self { unmined: T::Cap::get(), _config: Default::default() }
		}
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			assert!(self.unmined <= T::Cap::get(), "unmined supply above the cap");
			Unmined::<T>::put(self.unmined);
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			match Self::pay_front() {
				Some((hosts, steps)) => {
					// `pay` includes one step for each host.
					let more = T::DbWeight::get().reads_writes(1, 1).saturating_mul(steps.saturating_sub(hosts).into());
					T::WeightInfo::pay(hosts).saturating_add(more)
				},
				None => T::WeightInfo::idle(),
			}
		}

		fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
			let mut meter = frame_support::weights::WeightMeter::with_limit(limit);
			Self::pay_out_idle(&mut meter);
			meter.consumed()
		}

		fn integrity_test() {
			assert!(T::VestingEpochs::get() > 0, "`VestingEpochs` is 0");
			assert!(T::MaxVestingSteps::get() > 0, "`MaxVestingSteps` is 0");
			assert!(T::MaxPayoutsPerBlock::get() > 0, "`MaxPayoutsPerBlock` is 0");
			assert!(T::MaxPending::get() > 0, "`MaxPending` is 0");
			let block = T::BlockWeights::get().max_block;
			assert!(
				T::WeightInfo::pay(T::MaxPayoutsPerBlock::get()).all_lte(block / 4),
				"payouts need more than a quarter of a block"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Pays out to `host` what has vested.
		///
		/// - Origin: authorised. Anybody may send the call, without a signature and free of charge, while the host is behind
		///   the running epoch. Blocks with room do the same by themselves.
		/// - Effects: the vested amount goes to the host's account. Event `Claimed`.
		/// - Cost: linear in the number of epochs processed, at most `MaxVestingSteps`.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::claim(T::MaxVestingSteps::get()))]
		#[pallet::authorize(|_, host| authorize(Self::validate_claim(host)))]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_claim())]
		pub fn claim(origin: OriginFor<T>, host: T::AccountId) -> DispatchResultWithPostInfo {
			ensure_authorized(origin)?;
			let steps = Self::pay_out(&host)?;
			Ok(Some(T::WeightInfo::claim(steps)).into())
		}
	}

	impl<T: Config> Pallet<T> {
		fn validate_claim(host: &T::AccountId) -> Result<ValidTransaction, ValidityError> {
			let is_behind = Vestings::<T>::get(host).is_some_and(|vesting| vesting.updated < T::Epoch::get());
			ensure!(is_behind, ValidityError::NothingVested);
			Ok(valid("gonka/claim", [host], 32u32))
		}

		/// Base units that the epoch closed last may mint.
		pub fn last_emission() -> Balance {
			LastClosed::<T>::get().map_or(0, |closed| closed.emission)
		}

		/// The supply by place, for clients.
		pub fn supply() -> SupplyView {
			SupplyView {
				issued: T::Currency::total_issuance(),
				unmined: Unmined::<T>::get(),
				last_emission: Self::last_emission(),
				vesting: T::Currency::balance(&Self::pot()),
				treasury: T::Currency::balance(&T::Treasury::get()),
			}
		}

		/// Pays the next hosts of the front payout. Returns the number of hosts that had their turn and the number of epochs of
		/// vesting that were processed for them; `None` if no payout waits.
		fn pay_front() -> Option<(u32, u32)> {
			let mut pending = Pending::<T>::get();
			let payout = pending.iter_mut().next()?;
			let limit = T::MaxPayoutsPerBlock::get();
			let mut unmined = Unmined::<T>::get();
			let (mut turns, mut steps) = (0u32, 0u32);
			let page = T::Weights::page(payout.epoch, payout.after.as_ref(), limit);
			// A host with many unprocessed epochs of vesting costs more: the other hosts then wait for the next block.
			let is_last = page.len() < limit as usize;
			let mut page = page.into_iter().take(limit as usize).peekable();
			while let Some((host, weight)) = page.next_if(|_| steps <= limit) {
				let amount = payout.share(weight).min(unmined);
				if amount > 0 && T::Currency::mint_into(&Self::pot(), amount).is_ok() {
					steps = steps.saturating_add(Self::grant(&host, amount));
					unmined = unmined.saturating_sub(amount);
					payout.minted = payout.minted.saturating_add(amount);
					payout.hosts = payout.hosts.saturating_add(1);
					Self::deposit_event(Event::Paid { epoch: payout.epoch, host: host.clone(), amount });
				}
				T::Weights::on_turn(payout.epoch, &host);
				payout.after = Some(host);
				turns = turns.saturating_add(1);
			}
			Unmined::<T>::put(unmined);

			// If a full page was the last one, the next block finds an empty page.
			if is_last && page.peek().is_none() {
				let Payout { epoch, minted, hosts, .. } = *payout;
				let forfeited = payout.outstanding();
				pending.remove(0);
				Self::deposit_event(Event::Minted { epoch, minted, forfeited, hosts });
			}
			Pending::<T>::put(pending);
			Some((turns, steps))
		}

		/// # Invariants
		/// 1. `Unmined` is at most `Cap`.
		/// 2. Waiting payouts ascend by epoch and none is newer than `LastClosed`.
		/// 3. No payout minted more than its emission, none has total weight 0, and only the front one has begun.
		/// 4. Promised emission that is not minted yet is covered by `Unmined`.
		#[cfg(any(feature = "try-runtime", test))]
		pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
			let unmined = Unmined::<T>::get();
			let pending = Pending::<T>::get();
			ensure!(unmined <= T::Cap::get(), "1: unmined above cap");

			let last = LastClosed::<T>::get().map(|closed| closed.epoch);
			ensure!(pending.is_sorted_by(|a, b| a.epoch < b.epoch), "2: payouts out of order");
			ensure!(pending.last().is_none_or(|payout| Some(payout.epoch) <= last), "2: payout of the future");

			ensure!(pending.iter().all(|payout| payout.minted <= payout.emission), "3: paid too much");
			ensure!(pending.iter().all(|payout| payout.total > 0), "3: payout without weight");
			ensure!(
				pending.iter().skip(1).all(|payout| payout.minted == 0 && payout.after.is_none()),
				"3: payout begun out of turn"
			);

			let promised =
				pending.iter().try_fold(Balance::default(), |sum, payout| sum.checked_add(payout.outstanding()));
			ensure!(promised.is_some_and(|promised| promised <= unmined), "4: promised more than is left");
			Self::try_state_vesting()
		}
	}

	impl<T: Config> OnEpochClosed for Pallet<T> {
		fn on_epoch_closed(epoch: EpochIndex, total: u64) {
			if LastClosed::<T>::get().is_some_and(|last| epoch <= last.epoch) {
				return;
			}
			let mut emission = 0;
			if total > 0 {
				let mut pending = Pending::<T>::get();
				let promised =
					pending.iter().fold(Balance::default(), |sum, payout| sum.saturating_add(payout.outstanding()));
				emission = math::emission(Unmined::<T>::get().saturating_sub(promised), T::Rate::get());
				if pending.try_push(Payout::new(epoch, emission, total)).is_ok() {
					Pending::<T>::put(pending);
					Self::deposit_event(Event::Queued { epoch, emission });
				} else {
					Self::deposit_event(Event::Skipped { epoch, emission });
					emission = 0;
				}
			}
			LastClosed::<T>::put(Closed { epoch, emission });
		}
	}

	impl<T: Config> UnvestedPay<T::AccountId> for Pallet<T> {
		fn unvested(host: &T::AccountId) -> Balance {
			Vestings::<T>::get(host).map_or(0, |vesting| vesting.unvested())
		}

		fn burn(host: &T::AccountId, amount: Balance) -> Balance {
			Self::burn_unvested(host, amount)
		}
	}

	impl<T: Config> traits::Unmined for Pallet<T> {
		fn unmined() -> Balance {
			Unmined::<T>::get()
		}
	}
}
