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
pub use types::{Ballot, Poll, Snapshot, Stance, Tally, Votes};
pub use weights::WeightInfo;

use gonka_primitives::{
	Balance, EpochIndex,
	check::Offence,
	traits::{HostWeights, OnOffence},
};
use polkadot_sdk::{
	frame_support::{self, dispatch::DispatchClass, traits::Polling},
	frame_system,
};

/// The number of a poll: a referendum's index.
pub type PollIndex = u32;
/// The class of a poll: a referendum's track.
pub type Class = u16;
/// What an account does in a class.
pub type StanceOf<T> =
	Stance<<T as frame_system::Config>::AccountId, <T as Config>::MaxVotes, <T as Config>::MaxDelegators>;

// `expect` is what the macro itself writes for storage prefixes; there is none in the code below.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use alloc::boxed::Box;
	use frame_support::{
		dispatch::{GetDispatchInfo, PostDispatchInfo},
		pallet_prelude::*,
		weights::WeightMeter,
	};
	use frame_system::pallet_prelude::*;
	use polkadot_sdk::{
		pallet_conviction_voting::Conviction,
		sp_runtime::traits::{Dispatchable, StaticLookup},
	};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: polkadot_sdk::frame_system::Config {
		/// The polls: referenda.
		type Polls: Polling<Tally<Self>, Index = PollIndex, Votes = Votes, Class = Class>;

		/// How many polls were opened so far.
		type PollCount: Get<PollIndex>;

		/// Whose votes weigh how much.
		type Electorate: HostWeights<Self::AccountId>;

		/// Who may have a call dispatched as root.
		type EmergencyOrigin: EnsureOrigin<Self::RuntimeOrigin>;

		/// The runtime's calls.
		type RuntimeCall: Parameter
			+ GetDispatchInfo
			+ Dispatchable<RuntimeOrigin = Self::RuntimeOrigin, PostInfo = PostDispatchInfo>;

		/// Most ballots that an account may have in a class. At least 1.
		#[pallet::constant]
		type MaxVotes: Get<u32>;

		/// Most delegators that an account may have in a class. At least 1.
		#[pallet::constant]
		type MaxDelegators: Get<u32>;

		/// Blocks for which a vote locks money: none, for it costs none. Clients ask.
		#[pallet::constant]
		type VoteLockingPeriod: Get<BlockNumberFor<Self>>;

		/// Weights copied or forgotten per block. At least 1.
		#[pallet::constant]
		type CopyBatch: Get<u32>;

		/// What calls and hooks cost.
		type WeightInfo: WeightInfo;

		/// Sets weights.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
	}

	/// Most epochs whose weights are kept. More epochs than a referendum can take.
	pub const MAX_SNAPSHOTS: u32 = 64;

	/// What referenda dispatch proposals with.
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

	/// What accounts do in classes. Written by the calls, by convictions and when polls have ended; nothing is kept for
	/// an account without ballots and delegations. Blake: accounts are chosen. TWOX-NOTE: classes are the tracks.
	#[pallet::storage]
	pub type Stances<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, Class, StanceOf<T>, ValueQuery>;

	/// The votes that a poll's tally contains, by account: of those that voted, and of their delegators with power. Written
	/// with `Stances`; removed a batch a block when the poll has ended. TWOX-NOTE: polls are numbered. Blake: accounts are
	/// chosen.
	#[pallet::storage]
	pub type Counted<T: Config> =
		StorageDoubleMap<_, Twox64Concat, PollIndex, Blake2_128Concat, T::AccountId, Votes, OptionQuery>;

	/// Polls that were open when they were looked at last. Written by the hooks. As many as referenda with deposits.
	/// TWOX-NOTE: polls are numbered.
	#[pallet::storage]
	pub type OpenPolls<T: Config> = StorageMap<_, Twox64Concat, PollIndex, Poll, OptionQuery>;

	/// The first poll that was not looked at yet. Written by the hooks; never falls.
	#[pallet::storage]
	pub type NextPoll<T: Config> = StorageValue<_, PollIndex, ValueQuery>;

	/// The epochs in which open polls were opened, in the order of the first of these. Written by the hooks.
	#[pallet::storage]
	pub type Snapshots<T: Config> =
		StorageValue<_, BoundedVec<Snapshot<T::AccountId>, ConstU32<MAX_SNAPSHOTS>>, ValueQuery>;

	/// Weights by epoch and host, of the epochs in `Snapshots`. Written and removed by the hooks, a batch a block. TWOX-NOTE:
	/// epochs are numbered. Blake: accounts are chosen.
	#[pallet::storage]
	pub type Weights<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

	/// Convicted hosts, with the last epoch of whose polls they have no votes. Written by convictions; removed by the hooks
	/// when no such poll can be open. Blake: accounts are chosen.
	#[pallet::storage]
	pub type Barred<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, EpochIndex, OptionQuery>;

	/// Where the search for ended polls goes on.
	#[pallet::storage]
	pub type SweptTo<T: Config> = StorageValue<_, PollIndex, OptionQuery>;

	/// Where the search for hosts that are barred no more goes on.
	#[pallet::storage]
	pub type SweptBarred<T: Config> = StorageValue<_, T::AccountId, OptionQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// An account lets its power follow another one's votes.
		Delegated {
			/// Who delegates.
			who: T::AccountId,
			/// Whom it follows.
			target: T::AccountId,
			/// In which class.
			class: Class,
		},
		/// A delegation ended.
		Undelegated {
			/// Who delegated.
			who: T::AccountId,
			/// In which class.
			class: Class,
		},
		/// An account voted, or changed its vote.
		Voted {
			/// Who voted.
			who: T::AccountId,
			/// What it said.
			vote: Ballot,
			/// In which poll.
			poll_index: PollIndex,
		},
		/// A vote no longer counts.
		VoteRemoved {
			/// Who voted.
			who: T::AccountId,
			/// What it had said.
			vote: Ballot,
			/// In which poll.
			poll_index: PollIndex,
		},
		/// A convicted host has no votes in polls of epochs up to this one.
		Barred {
			/// The host.
			host: T::AccountId,
			/// The last such epoch.
			until: EpochIndex,
		},
		/// A call was dispatched as root.
		DispatchedAsRoot {
			/// How it went.
			result: DispatchResult,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The poll is not open.
		NotOngoing,
		/// The account did not vote in this poll.
		NotVoter,
		/// The account delegates in this class: it has to end that first.
		AlreadyDelegating,
		/// The account has votes in open polls of this class: it has to remove them first.
		AlreadyVoting,
		/// The account does not delegate in this class.
		NotDelegating,
		/// The other account delegates itself: power follows one step only.
		TargetDelegates,
		/// The other account has as many delegators as it can have, and none is lighter.
		TooManyDelegators,
		/// One cannot delegate to oneself.
		Nonsense,
		/// The account has as many votes in this class as it can have.
		MaxVotesReached,
		/// Neither the account nor its delegators had weight when the poll was opened, or the account has none now.
		NoPower,
		/// A split vote of nothing, or of amounts that cannot be added up.
		Malformed,
		/// The poll has ended: its class must be given.
		ClassNeeded,
		/// There is no such class.
		BadClass,
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
			let most = T::WeightInfo::silence(polls, T::MaxDelegators::get());
			assert!(most.all_lte(T::BlockWeights::get().max_block / 2), "a conviction needs more than half a block");
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
		/// The vote weighs what the account's effective weight was in the epoch that had been settled last when the poll was
		/// opened, with that of its delegators. The balance and the conviction of a standard vote mean nothing; the amounts
		/// of a split vote say in which proportions it is split.
		///
		/// - Origin: signed.
		/// - Effects: the poll's tally. Event `Voted`.
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

		/// Lets the account's power follow the votes of another one in polls of a class, open ones too. Conviction and
		/// balance mean nothing.
		///
		/// - Origin: signed.
		/// - Effects: the tallies of polls in which the other one voted. Who delegated to the account delegates no more. Of a
		///   full list of delegators the lightest gives way to a heavier one. Event `Delegated`.
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
		/// - Effects: the tallies of polls in which the other one voted. Event `Undelegated`.
		/// - Errors: `NotDelegating`.
		/// - Cost: linear in `MaxVotes`.
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::undelegate(T::MaxVotes::get()))]
		pub fn undelegate(origin: OriginFor<T>, class: Class) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			ensure!(matches!(Stances::<T>::get(&who, class), Stance::Delegating(_)), Error::<T>::NotDelegating);
			let (polls, _) = Self::silence(&who, class);
			Ok(Some(T::WeightInfo::undelegate(polls)).into())
		}

		/// Takes a vote back, with the power that follows it.
		///
		/// - Origin: signed.
		/// - Effects: the poll's tally, if it is open. Event `VoteRemoved`.
		/// - Errors: `ClassNeeded`, `NotVoter`.
		/// - Cost: linear in the number of the account's delegators.
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::remove_vote(T::MaxDelegators::get()))]
		pub fn remove_vote(origin: OriginFor<T>, class: Option<Class>, index: PollIndex) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let counted = Self::try_remove_vote(&who, class, index)?;
			Ok(Some(T::WeightInfo::remove_vote(counted.saturating_sub(1))).into())
		}

		/// Dispatches a call as root.
		///
		/// - Origin: `EmergencyOrigin`.
		/// - Effects: the call's, or none if it fails. Event `DispatchedAsRoot`.
		/// - Errors: none of its own.
		/// - Cost: the call's.
		#[pallet::call_index(16)]
		#[pallet::weight({
			let info = call.get_dispatch_info();
			(T::WeightInfo::dispatch_as_root().saturating_add(info.call_weight), info.class)
		})]
		pub fn dispatch_as_root(origin: OriginFor<T>, call: Box<<T as Config>::RuntimeCall>) -> DispatchResult {
			T::EmergencyOrigin::ensure_origin(origin)?;
			let result = call.dispatch(frame_system::RawOrigin::Root.into());
			Self::deposit_event(Event::DispatchedAsRoot { result: result.map(|_| ()).map_err(|error| error.error) });
			Ok(())
		}
	}
}
