#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod origin;
mod snapshots;
pub mod types;
mod voting;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "try-runtime", test))]
mod try_state;

pub use origin::EnsureTrack;
pub use pallet::*;
pub use types::{Ballot, Finality, Poll, Snapshot, Stance, Tally, Votes};
pub use weights::WeightInfo;

use gonka_primitives::{
	Balance, EpochIndex,
	check::Offence,
	traits::{EffectiveWeights, OnOffence},
};
use polkadot_sdk::{
	frame_support::{self, dispatch::DispatchClass, traits::Polling},
	frame_system,
};

/// Number of a poll: a referendum's index.
pub type PollIndex = u32;
/// Class of a poll: a referendum's track.
pub type Class = u16;
/// The votes or the delegation of an account in a class.
pub type StanceOf<T> =
	Stance<<T as frame_system::Config>::AccountId, <T as Config>::MaxVotes, <T as Config>::MaxDelegators>;

// `expect` is what the macro itself writes for storage prefixes; there is none in the code below.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use frame_support::{pallet_prelude::*, weights::WeightMeter};
	use frame_system::pallet_prelude::*;
	use polkadot_sdk::{pallet_conviction_voting::Conviction, sp_runtime::traits::StaticLookup};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: polkadot_sdk::frame_system::Config {
		/// The polls: referenda.
		type Polls: Polling<Tally<Self>, Index = PollIndex, Votes = Votes, Class = Class>;

		/// Number of polls opened so far.
		type PollCount: Get<PollIndex>;

		/// The effective weights, which are the votes.
		type Electorate: EffectiveWeights<Self::AccountId>;

		/// Origin that may end a stall of finality.
		type EmergencyOrigin: EnsureOrigin<Self::RuntimeOrigin>;

		/// Finality, which may have stalled.
		type Finality: Finality<BlockNumberFor<Self>>;

		/// Maximum number of blocks between the end of a stall and its enforcement. No set of validators changes meanwhile.
		#[pallet::constant]
		type MaxStallDelay: Get<BlockNumberFor<Self>>;

		/// Maximum number of ballots of an account in a class. At least 1.
		#[pallet::constant]
		type MaxVotes: Get<u32>;

		/// Maximum number of delegators of an account in a class. At least 1.
		#[pallet::constant]
		type MaxDelegators: Get<u32>;

		/// Number of blocks for which a vote locks money. Votes lock none; the constant is there for clients.
		#[pallet::constant]
		type VoteLockingPeriod: Get<BlockNumberFor<Self>>;

		/// Maximum number of effective weights copied or removed in a block. At least 1.
		#[pallet::constant]
		type CopyBatch: Get<u32>;

		/// Dispatch weights of the calls and hooks.
		type WeightInfo: WeightInfo;

		/// Sets effective weights.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
	}

	/// Maximum number of epochs whose weights are kept: more than a referendum can last.
	pub const MAX_SNAPSHOTS: u32 = 64;

	/// Origins with which referenda dispatch proposals.
	#[pallet::origin]
	#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
	pub enum Origin {
		/// The track of parameters.
		#[codec(index = 1)]
		Parameters,
		/// The track of models.
		#[codec(index = 2)]
		Models,
		/// The track of spending.
		#[codec(index = 3)]
		Treasury,
		/// The track for emergencies.
		#[codec(index = 4)]
		Emergency,
	}

	/// Votes and delegations by account and class. Written by the calls, by convictions and when polls have ended; removed for
	/// an account without ballots and delegations. Blake: users choose accounts. TWOX-NOTE: classes are the tracks.
	#[pallet::storage]
	pub type Stances<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, Class, StanceOf<T>, ValueQuery>;

	/// The votes that a poll's tally contains, by account: those of voters and of their delegators. Written with `Stances`;
	/// removed in batches when the poll has ended. TWOX-NOTE: polls are numbered. Blake: users choose accounts.
	#[pallet::storage]
	pub type CountedVotes<T: Config> =
		StorageDoubleMap<_, Twox64Concat, PollIndex, Blake2_128Concat, T::AccountId, Votes, OptionQuery>;

	/// Polls that were open at their last check. Written by the hooks. At most as many as referenda with deposits.
	/// TWOX-NOTE: polls are numbered.
	#[pallet::storage]
	pub type OpenPolls<T: Config> = StorageMap<_, Twox64Concat, PollIndex, Poll, OptionQuery>;

	/// The first poll that is not recorded yet. Written by the hooks; never falls. One value.
	#[pallet::storage]
	pub type NextPoll<T: Config> = StorageValue<_, PollIndex, ValueQuery>;

	/// The epochs whose weights open polls use, in the order of their first poll. Written by the hooks. At most
	/// `MAX_SNAPSHOTS`.
	#[pallet::storage]
	pub type Snapshots<T: Config> =
		StorageValue<_, BoundedVec<Snapshot<T::AccountId>, ConstU32<MAX_SNAPSHOTS>>, ValueQuery>;

	/// Effective weights by epoch and host, of the epochs in `Snapshots`. Written and removed by the hooks in batches.
	/// TWOX-NOTE: epochs are numbered. Blake: users choose accounts.
	#[pallet::storage]
	pub type SnapshotWeights<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

	/// Convicted hosts with the last epoch in whose polls they have no votes. Written by convictions; removed by the hooks
	/// when no such poll can be open. Blake: users choose accounts.
	#[pallet::storage]
	pub type Barred<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, EpochIndex, OptionQuery>;

	/// The poll after which the search for ended polls continues. One value.
	#[pallet::storage]
	pub type PollCursor<T: Config> = StorageValue<_, PollIndex, OptionQuery>;

	/// The host after which the search for hosts that are no longer barred continues. One value.
	#[pallet::storage]
	pub type BarredCursor<T: Config> = StorageValue<_, T::AccountId, OptionQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// An account delegated its votes in a class.
		Delegated {
			/// The delegator.
			who: T::AccountId,
			/// The delegate.
			target: T::AccountId,
			/// The class.
			class: Class,
		},
		/// A delegation ended.
		Undelegated {
			/// The delegator.
			who: T::AccountId,
			/// The class.
			class: Class,
		},
		/// An account voted or changed its vote.
		Voted {
			/// The voter.
			who: T::AccountId,
			/// The vote.
			vote: Ballot,
			/// The poll.
			poll_index: PollIndex,
		},
		/// A vote was removed.
		VoteRemoved {
			/// The voter.
			who: T::AccountId,
			/// The removed vote.
			vote: Ballot,
			/// The poll.
			poll_index: PollIndex,
		},
		/// A convicted host lost its votes in polls of epochs up to `until`.
		Barred {
			/// The host.
			host: T::AccountId,
			/// The last epoch in whose polls it has no votes.
			until: EpochIndex,
		},
		/// The validators of the next session finalise from the last finalised block on, whether those before have taken part
		/// or not.
		StallEnded {
			/// Number of blocks until then, from the start of the next session on.
			delay: BlockNumberFor<T>,
			/// The last finalised block.
			finalized: BlockNumberFor<T>,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The poll is not open.
		NotOngoing,
		/// The account did not vote in this poll.
		NotVoter,
		/// The account delegates in this class. It must undelegate first.
		AlreadyDelegating,
		/// The account has votes in open polls of this class. It must remove them first.
		AlreadyVoting,
		/// The account does not delegate in this class.
		NotDelegating,
		/// The delegate itself delegates in this class: delegation goes one step only.
		TargetDelegates,
		/// The delegate has the maximum number of delegators, and none is lighter than the account.
		TooManyDelegators,
		/// An account cannot delegate to itself.
		Nonsense,
		/// The account has the maximum number of votes in this class.
		MaxVotesReached,
		/// To vote, the account or its delegators need weight in the poll's epoch; to delegate, the account needs weight now.
		NoPower,
		/// The amounts of a split vote are all 0, or their sum overflows.
		Malformed,
		/// The poll has ended, so the call must name its class.
		ClassNeeded,
		/// There is no such class.
		BadClass,
		/// The last finalised block is not older than this one, or the delay is longer than `MaxStallDelay`.
		NoStall,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			let noted = T::WeightInfo::note(Self::note_polls());
			let copied = T::WeightInfo::copy(Self::copy_weights());
			T::WeightInfo::idle().saturating_add(noted).saturating_add(copied)
		}

		fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
			let mut meter = WeightMeter::with_limit(limit);
			Self::close_polls(&mut meter);
			Self::drop_weights(&mut meter);
			Self::sweep_barred(&mut meter);
			meter.consumed()
		}

		fn integrity_test() {
			assert!(T::MaxVotes::get() > 0 && T::MaxDelegators::get() > 0 && T::CopyBatch::get() > 0);
			let polls = T::MaxVotes::get().saturating_mul(T::Polls::classes().len() as u32);
			let max = T::WeightInfo::withdraw_from_class(polls, T::MaxDelegators::get());
			assert!(max.all_lte(T::BlockWeights::get().max_block / 2), "a conviction needs more than half a block");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Votes in a poll, or changes a vote.
		///
		/// The vote counts with the effective weights, in the epoch that was weighed last when the poll was opened, of the
		/// account and its delegators. The balance and the conviction of a standard vote have no effect; the amounts of a split
		/// vote are its proportions.
		///
		/// - Origin: signed.
		/// - Effects: changes the poll's tally. Event `Voted`.
		/// - Errors: `Malformed`, `NotOngoing`, `AlreadyDelegating`, `MaxVotesReached`, `NoPower`.
		/// - Cost: linear in the number of the account's delegators.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::vote(T::MaxDelegators::get()))]
		pub fn vote(
			origin: OriginFor<T>,
			#[pallet::compact] poll_index: PollIndex,
			vote: Ballot,
		) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let counted = Self::try_vote(&who, poll_index, vote)?;
			Ok(Some(T::WeightInfo::vote(counted.saturating_sub(1))).into())
		}

		/// Delegates the account's votes in a class, open polls included. Conviction and balance have no effect.
		///
		/// - Origin: signed.
		/// - Effects: changes the tallies of polls in which the delegate voted. Delegations to the account end. If the
		///   delegate's list is full, the account replaces the lightest delegator. Event `Delegated`.
		/// - Errors: `Nonsense`, `BadClass`, `NoPower`, `AlreadyDelegating`, `AlreadyVoting`, `TargetDelegates`,
		///   `TooManyDelegators`.
		/// - Cost: linear in `MaxVotes` and `MaxDelegators`.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::delegate(T::MaxVotes::get()))]
		pub fn delegate(
			origin: OriginFor<T>,
			class: Class,
			to: <T::Lookup as StaticLookup>::Source,
			conviction: Conviction,
			balance: Balance,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let _ = (conviction, balance);
			Self::try_delegate(&who, class, T::Lookup::lookup(to)?)
		}

		/// Ends a delegation.
		///
		/// - Origin: signed.
		/// - Effects: changes the tallies of polls in which the delegate voted. Event `Undelegated`.
		/// - Errors: `NotDelegating`.
		/// - Cost: linear in `MaxVotes`.
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::undelegate(T::MaxVotes::get()))]
		pub fn undelegate(origin: OriginFor<T>, class: Class) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			ensure!(matches!(Stances::<T>::get(&who, class), Stance::Delegating(_)), Error::<T>::NotDelegating);
			let (polls, _) = Self::withdraw_from_class(&who, class);
			Ok(Some(T::WeightInfo::undelegate(polls)).into())
		}

		/// Removes a vote, and with it the votes of the account's delegators in that poll.
		///
		/// - Origin: signed.
		/// - Effects: changes the poll's tally if it is open. Event `VoteRemoved`.
		/// - Errors: `ClassNeeded`, `NotVoter`.
		/// - Cost: linear in the number of the account's delegators.
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::remove_vote(T::MaxDelegators::get()))]
		pub fn remove_vote(origin: OriginFor<T>, class: Option<Class>, index: PollIndex) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let counted = Self::try_remove_vote(&who, class, index)?;
			Ok(Some(T::WeightInfo::remove_vote(counted.saturating_sub(1))).into())
		}

		/// Ends a stall of finality: the validators of the next session take over although the present ones did not finalise
		/// the change.
		///
		/// `delay` is the number of blocks, from the start of that session on, after which nodes take this as final. It has to
		/// be longer than the chain can be expected to fork. `finalized` is the last block that nodes have finalised.
		///
		/// - Origin: `EmergencyOrigin`.
		/// - Effects: those of `Finality`. Event `StallEnded`.
		/// - Errors: `NoStall`.
		/// - Cost: constant.
		#[pallet::call_index(17)]
		#[pallet::weight(T::WeightInfo::end_stall())]
		pub fn end_stall(
			origin: OriginFor<T>,
			delay: BlockNumberFor<T>,
			finalized: BlockNumberFor<T>,
		) -> DispatchResult {
			T::EmergencyOrigin::ensure_origin(origin)?;
			let is_older = finalized < frame_system::Pallet::<T>::block_number();
			ensure!(is_older && delay <= T::MaxStallDelay::get(), Error::<T>::NoStall);
			T::Finality::end_stall(delay, finalized)?;
			Self::deposit_event(Event::StallEnded { delay, finalized });
			Ok(())
		}
	}
}
