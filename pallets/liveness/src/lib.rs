#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod math;
mod presence;
mod stall;
pub mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "try-runtime", test))]
mod try_state;

pub use pallet::*;
pub use types::{Change, Outlook, Plan, Validator};
pub use weights::WeightInfo;

use alloc::vec::Vec;
use gonka_primitives::BlockNumber;
use polkadot_sdk::{
	frame_support::{
		self, BoundedVec, ConsensusEngineId,
		inherent::InherentIdentifier,
		traits::{FindAuthor, Get},
	},
	frame_system,
	sp_runtime::traits::UniqueSaturatedInto,
};

/// The identifier of the inherent by which a node provides the number of the last final block that it knows.
pub const INHERENT_IDENTIFIER: InherentIdentifier = *b"gnkfinal";

#[frame_support::pallet]
#[allow(clippy::expect_used, reason = "the macro's own code")]
pub mod pallet {
	use super::*;
	use crate::types::MAX_STARTS;
	use frame_support::{inherent::MakeFatalError, pallet_prelude::*, traits::StorageVersion};
	use frame_system::pallet_prelude::*;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	/// Accounts with their power.
	pub(crate) type PowerOf<T> =
		BoundedVec<(<T as frame_system::Config>::AccountId, u64), <T as Config>::MaxValidators>;

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config: frame_system::Config {
		/// Finds the seat by whose right a block was written.
		type FindSeat: FindAuthor<u32>;
		/// Number of epochs that have been weighed.
		type Weighings: Get<u32>;
		/// Maximum number of validators.
		#[pallet::constant]
		type MaxValidators: Get<u32>;
		/// Finality stalls when no block of this number of whole sessions is final.
		#[pallet::constant]
		type StallSessions: Get<u32>;
		/// Number of sessions without a final block after which a third of the power may force a change.
		#[pallet::constant]
		type LongStallSessions: Get<u32>;
		/// Dispatch weights of the inherent and the hook.
		type WeightInfo: WeightInfo;
	}

	/// The validators of the running session, in the order of `pallet-session`, at most `MaxValidators`. Written by every
	/// block and at a change of session.
	#[pallet::storage]
	pub type Validators<T: Config> = StorageValue<_, BoundedVec<Validator<T::AccountId>, T::MaxValidators>, ValueQuery>;

	/// The seats of the next session's validators, in their order. Written at a change of session.
	#[pallet::storage]
	pub type NextSeats<T: Config> = StorageValue<_, BoundedVec<u16, T::MaxValidators>, ValueQuery>;

	/// The first blocks of the last sessions, ascending, at most `LongStallSessions` and one. Written at a change of
	/// session.
	#[pallet::storage]
	pub type Starts<T> = StorageValue<_, BoundedVec<BlockNumber, ConstU32<MAX_STARTS>>, ValueQuery>;

	/// The block with the last statement about finality. Written by `note_finalized`.
	#[pallet::storage]
	pub type StatedIn<T> = StorageValue<_, BlockNumber, ValueQuery>;

	/// What validators stated about finality up to the end of the last session; `None` if nobody stated anything.
	#[pallet::storage]
	pub type Finality<T> = StorageValue<_, Outlook, OptionQuery>;

	/// The last announced change of GRANDPA's set. Written at a change of session.
	#[pallet::storage]
	pub type LastChange<T> = StorageValue<_, Change, ValueQuery>;

	/// The set of the last announced change, with the weights of votes. Written with `LastChange`.
	#[pallet::storage]
	pub type Voters<T: Config> = StorageValue<_, PowerOf<T>, ValueQuery>;

	/// The set before that of the last announced change. Written with `LastChange`.
	#[pallet::storage]
	pub type FormerVoters<T: Config> = StorageValue<_, PowerOf<T>, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A validator is absent and counts a tenth of its power.
		Absent {
			/// The validator.
			validator: T::AccountId,
		},
		/// An absent validator wrote a block and counts in full from the next change of session on.
		Returned {
			/// The validator.
			validator: T::AccountId,
		},
		/// Finality stalls. A new set takes over in block `at` without being final.
		FinalityForced {
			/// The block in which the set takes over.
			at: BlockNumber,
			/// A block that is final.
			finalized: BlockNumber,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The block has a statement already.
		AlreadyStated,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			let digest = frame_system::Pallet::<T>::digest();
			if let Some(seat) = T::FindSeat::find_author(digest.logs.iter().filter_map(|log| log.as_pre_runtime())) {
				Self::note_block(seat, now.unique_saturated_into());
			}
			T::WeightInfo::note_block()
		}

		fn integrity_test() {
			let (stall, long) = (T::StallSessions::get(), T::LongStallSessions::get());
			assert!(
				stall > 0 && stall <= long && long < MAX_STARTS,
				"a stall lasts some sessions, a long one no fewer"
			);
			assert!(T::MaxValidators::get() <= math::MAX_SEATS.into(), "absent validators could have too much power");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// States the number of the last final block that the author's node knows.
		///
		/// Origin: none; an inherent of the block's author, once a block. A number that is not below the block's own, or is
		/// lower than what the author stated before, is brought within these bounds. Cost: constant.
		#[pallet::call_index(0)]
		#[pallet::weight((T::WeightInfo::note_finalized(), DispatchClass::Mandatory))]
		pub fn note_finalized(origin: OriginFor<T>, number: BlockNumber) -> DispatchResult {
			ensure_none(origin)?;
			let now: BlockNumber = frame_system::Pallet::<T>::block_number().unique_saturated_into();
			ensure!(StatedIn::<T>::get() != now, Error::<T>::AlreadyStated);
			StatedIn::<T>::put(now);
			Self::state(number.min(now.saturating_sub(1)), now);
			Ok(())
		}
	}

	#[pallet::inherent]
	impl<T: Config> ProvideInherent for Pallet<T> {
		type Call = Call<T>;
		type Error = MakeFatalError<()>;

		const INHERENT_IDENTIFIER: InherentIdentifier = INHERENT_IDENTIFIER;

		fn create_inherent(data: &InherentData) -> Option<Call<T>> {
			let number = data.get_data::<BlockNumber>(&INHERENT_IDENTIFIER).ok().flatten()?;
			Some(Call::note_finalized { number })
		}

		fn is_inherent(call: &Call<T>) -> bool {
			matches!(call, Call::note_finalized { .. })
		}
	}
}
