#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod audit;
mod clock;
mod draw;
mod expiry;
pub mod math;
mod pool;
mod standing;
pub mod types;
mod views;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "try-runtime", test))]
mod try_state;

pub use gonka_primitives::validity::Poc as ValidityError;
pub use pallet::*;
pub use types::{Capped, Duty, Epoch, EpochWeights, FIRST_CANDIDATE, FIRST_NEW, Host, SetDuties, Standing, Traffic};
pub use views::GenesisHash;
pub use weights::WeightInfo;

use alloc::vec::Vec;
use gonka_primitives::{
	AccountId as Raw, BlockNumber, EpochIndex, Hash,
	epoch::Schedule,
	host::{Commitment, Registration, SegmentCommitment},
	traits::{Backing, Beacon, ModelRegistry, OnEpochClosed, OnEpochStart, OnHostRemoved, OnOffence},
};
use gonka_sprint::{ModelSeed, SprintFormat};
use polkadot_sdk::{
	frame_support::{
		self, BoundedVec,
		traits::{Contains, Get},
		weights::{Weight, WeightMeter},
	},
	frame_system,
	sp_runtime::{
		Perbill,
		traits::{UniqueSaturatedInto, Zero},
	},
};

#[frame_support::pallet]
#[allow(clippy::expect_used, reason = "the macro's own code")]
pub mod pallet {
	use super::*;
	use crate::types::{MAX_CONFIRMATIONS, MAX_GUARDIANS, MAX_SEGMENTS, Weighing};
	use frame_support::{pallet_prelude::*, traits::StorageVersion};
	use frame_system::{ensure_authorized, pallet_prelude::*};
	use gonka_pallet_support::pool::authorize;
	use gonka_primitives::{PublicKey, Signature};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config: frame_system::Config<AccountId: From<Raw> + Into<Raw>> {
		/// The phases of the epochs that start from now on.
		type Schedule: Get<Schedule>;
		/// The sprint format from the next epoch on.
		type SprintFormat: Get<SprintFormat>;
		/// Number of leading zero bits that a registration's proof of work needs at least.
		type RegistrationBits: Get<u32>;
		/// The source of the running hash from which seeds and draws follow.
		type Beacon: Beacon;
		/// The models that a host may declare.
		type Models: ModelRegistry;
		/// The accounts that can author blocks.
		type HasSessionKeys: Contains<Self::AccountId>;
		/// The part of a host's compute weight that counts.
		type Backing: Backing<Self::AccountId>;
		/// Called for hosts that missed duties and, by `pallet-sprint-check`, for convictions, to slash collateral.
		type OnOffence: OnOffence<Self::AccountId>;
		/// Called when an epoch can be paid.
		type OnEpochClosed: OnEpochClosed;
		/// Called when an epoch starts, before its parameters are read.
		type OnEpochStart: OnEpochStart;
		/// Called for hosts that expired, to remove what other pallets keep of them.
		type OnHostRemoved: OnHostRemoved<Self::AccountId>;
		/// Maximum share of one host in the capped sum of weights. At least 10 %.
		type MaxShare: Get<Perbill>;
		/// The share of the power that the genesis guardians together hold until the network is mature.
		type GuardianShare: Get<Perbill>;
		/// The total proven weight, in leaves, from which the network is mature.
		type MaturityThreshold: Get<u64>;
		/// Minimum share of its duties for which a host must do something in an epoch; below it, the host loses collateral.
		type MinPerformance: Get<Perbill>;
		/// Maximum number of registered hosts.
		#[pallet::constant]
		type MaxHosts: Get<u32>;
		/// Maximum number of validators.
		#[pallet::constant]
		type MaxValidators: Get<u32>;
		/// Maximum number of checkers of an epoch.
		#[pallet::constant]
		type MaxCheckers: Get<u32>;
		/// Minimum number of work units for each host with weight, on average, from which served work is compared.
		type MinWork: Get<u64>;
		/// Hosts whose weight is computed in a block.
		#[pallet::constant]
		type WeighBatch: Get<u32>;
		/// Weighed epochs without weight after which a host expires while less than half of the places are taken. At
		/// least 1.
		type HostExpiry: Get<EpochIndex>;
		/// Dispatch weights of calls and hooks.
		type WeightInfo: WeightInfo;
		/// Prepares state of other pallets for benchmarks.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper;
	}

	/// The hash of the genesis block. Written once, in block 1, since the system pallet removes it later.
	#[pallet::storage]
	pub type Genesis<T> = StorageValue<_, Hash, OptionQuery>;

	/// The running hash of the beacons of all blocks: the random value of this block. Written in each block.
	#[pallet::storage]
	pub type Mix<T> = StorageValue<_, Hash, ValueQuery>;

	/// The running epoch. Written at its start, at the start of each segment and at each draw.
	#[pallet::storage]
	pub type CurrentEpoch<T> = StorageValue<_, Epoch, OptionQuery>;

	/// Registered hosts, at most `MaxHosts`. Written by registrations and by the sweep.
	#[pallet::storage]
	pub type Hosts<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, Host>;

	/// The host of each worker key: the inverse map of `Hosts`.
	#[pallet::storage]
	pub type Workers<T: Config> = StorageMap<_, Blake2_128Concat, PublicKey, T::AccountId>;

	/// Commitments by epoch and host, ascending by segment. Written by `commit`; kept for two more epochs.
	#[pallet::storage]
	pub type Commitments<T: Config> = StorageDoubleMap<
		_,
		Twox64Concat,
		EpochIndex,
		Blake2_128Concat,
		T::AccountId,
		BoundedVec<(u8, Commitment), ConstU32<MAX_SEGMENTS>>,
		ValueQuery,
	>;

	/// The standings of participants, by epoch and host. Written by first commitments, checks, disputes and the weigh
	/// phase; kept for two more epochs.
	#[pallet::storage]
	pub type Standings<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Blake2_128Concat, T::AccountId, Standing, OptionQuery>;

	/// Participants by epoch and number: known hosts from 0 on, candidates from [`FIRST_CANDIDATE`] on, new hosts from
	/// [`FIRST_NEW`] on. Written by first commitments; kept for two more epochs.
	#[pallet::storage]
	pub type Participants<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Twox64Concat, u32, T::AccountId, OptionQuery>;

	/// Number of candidates among the participants of an epoch.
	#[pallet::storage]
	pub type CandidateCount<T> = StorageMap<_, Twox64Concat, EpochIndex, u32, ValueQuery>;

	/// Number of other known hosts among the participants of an epoch: see [`Pallet::is_known`].
	#[pallet::storage]
	pub type KnownCount<T> = StorageMap<_, Twox64Concat, EpochIndex, u32, ValueQuery>;

	/// Number of new hosts among the participants of an epoch.
	#[pallet::storage]
	pub type NewCount<T> = StorageMap<_, Twox64Concat, EpochIndex, u32, ValueQuery>;

	/// The epochs before the running one; kept for two more epochs.
	#[pallet::storage]
	pub type PastEpochs<T> = StorageMap<_, Twox64Concat, EpochIndex, Epoch, OptionQuery>;

	/// A sample of the hosts with proven weight in the last weighed epoch, all of them if there are no more than
	/// `MaxCheckers`, with the weights by which they check, descending. Those that take part in the next sprint check it.
	#[pallet::storage]
	pub type Candidates<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxCheckers>, ValueQuery>;

	/// The checkers of an epoch with the weights by which seats are drawn, then the other candidates that take part,
	/// with weight 0: they hold no seats, but have places before the other participants. Written at the draw; kept for
	/// two more epochs.
	#[pallet::storage]
	pub type Checkers<T: Config> =
		StorageMap<_, Twox64Concat, EpochIndex, BoundedVec<(T::AccountId, u64), T::MaxCheckers>, ValueQuery>;

	/// Whether a host without a committee has weight. Written at genesis.
	#[pallet::storage]
	pub type AllowUnchecked<T> = StorageValue<_, bool, ValueQuery>;

	/// The guardians, which together hold a share of the power until the network is mature. Written at genesis.
	#[pallet::storage]
	pub type Guardians<T: Config> = StorageValue<_, BoundedVec<T::AccountId, ConstU32<MAX_GUARDIANS>>, ValueQuery>;

	/// The total proven weight from which the network is mature, unless governance sets another. Written at
	/// genesis.
	#[pallet::storage]
	pub type Maturity<T> = StorageValue<_, u64, ValueQuery>;

	/// The weighing in progress, from the first block of the weigh phase until all participants are counted.
	#[pallet::storage]
	pub type WeighProgress<T: Config> =
		StorageValue<_, Weighing<T::AccountId, T::MaxValidators, T::MaxCheckers>, OptionQuery>;

	/// Totals and caps of weighed epochs; kept for two more epochs.
	#[pallet::storage]
	pub type WeighedEpochs<T> = StorageMap<_, Twox64Concat, EpochIndex, EpochWeights, OptionQuery>;

	/// The work that hosts settled while the weights of an epoch were in force. Written by settlements; kept for two
	/// more epochs.
	#[pallet::storage]
	pub type Served<T> = StorageMap<_, Twox64Concat, EpochIndex, Traffic, ValueQuery>;

	/// The epoch weighed last.
	#[pallet::storage]
	pub type LastWeighed<T> = StorageValue<_, EpochIndex, OptionQuery>;

	/// The power for the next session: normalised, at most `MaxValidators` entries. Written at genesis, when an epoch
	/// with proven weight is weighed, and after rounds of confirmation segments.
	#[pallet::storage]
	pub type Power<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxValidators>, ValueQuery>;

	/// Whether `Power` was written since the last session took it over.
	#[pallet::storage]
	pub type PowerChanged<T> = StorageValue<_, bool, ValueQuery>;

	/// The power of the next session's validators: `Power` at the time when that set was chosen.
	#[pallet::storage]
	pub type QueuedPower<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxValidators>, ValueQuery>;

	/// The power of the running session's validators.
	#[pallet::storage]
	pub type SessionPower<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxValidators>, ValueQuery>;

	/// The oldest epoch that may have items left to prune.
	#[pallet::storage]
	pub type PrunedTo<T> = StorageValue<_, EpochIndex, ValueQuery>;

	/// The host after which the sweep for expired hosts continues.
	#[pallet::storage]
	pub type SweptTo<T: Config> = StorageValue<_, T::AccountId, OptionQuery>;

	/// Hosts that expired while something open needed what other pallets keep of them. Written by the sweep; removed
	/// when all pallets are done. At most those of a few epochs.
	#[pallet::storage]
	pub type Expired<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, (), OptionQuery>;

	/// The host of `Expired` that was asked about last.
	#[pallet::storage]
	pub type AskedTo<T: Config> = StorageValue<_, T::AccountId, OptionQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// An epoch started.
		EpochStarted { epoch: EpochIndex, model_seed: Hash },
		/// A segment of the sprint started.
		SegmentStarted { epoch: EpochIndex, segment: u8, seed: Hash },
		/// A host registered or replaced its registration.
		HostRegistered { host: T::AccountId, worker: PublicKey },
		/// A host was removed because it had no weight for too long.
		HostExpired { host: T::AccountId },
		/// The committees of an epoch were drawn from `beacon`.
		CommitteesDrawn { epoch: EpochIndex, beacon: Hash, checkers: u32 },
		/// The leaf sets of a confirmation segment were drawn from `beacon`.
		RoundDrawn { epoch: EpochIndex, round: u8, beacon: Hash },
		/// Confirmations changed the validators' power.
		PowerFollowed { epoch: EpochIndex, round: u8 },
		/// A host committed to a segment.
		Committed { host: T::AccountId, epoch: EpochIndex, segment: u8, count: u64 },
		/// A host did nothing for more than `1 − MinPerformance` of its duties.
		DutiesMissed { host: T::AccountId, epoch: EpochIndex },
		/// The weights of an epoch are final.
		EpochWeighed { epoch: EpochIndex, weights: EpochWeights },
	}

	#[pallet::error]
	pub enum Error<T> {
		/// A list or string is longer than its bound.
		LimitExceeded,
	}

	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// Power before the first weighed epoch; validators that are not listed have 1.
		pub power: Vec<(T::AccountId, u64)>,
		/// Whether a host without a committee has weight, as in a network of one host.
		pub allow_unchecked: bool,
		/// The guardians, which together hold a share of the power until the network is mature. They need session keys.
		pub guardians: Vec<T::AccountId>,
		/// The total proven weight, in leaves, from which the network is mature.
		pub maturity: u64,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			let power = BoundedVec::<_, T::MaxValidators>::truncate_from(math::normalise(self.power.clone()));
			QueuedPower::<T>::put(&power);
			SessionPower::<T>::put(&power);
			Power::<T>::put(power);
			AllowUnchecked::<T>::put(self.allow_unchecked);
			assert!(self.guardians.len() <= MAX_GUARDIANS as usize, "at most {MAX_GUARDIANS} guardians");
			Guardians::<T>::put(BoundedVec::truncate_from(self.guardians.clone()));
			Maturity::<T>::put(self.maturity);
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			let now = now.unique_saturated_into();
			if now == 1 {
				Genesis::<T>::put(Self::hash_bytes(frame_system::Pallet::<T>::parent_hash()));
			}
			Self::mix_beacon();
			let (epoch, mut weight) = Self::tick(now);
			if epoch.offset(now) == epoch.schedule.weigh_start() {
				Self::close_previous(epoch.index);
				WeighProgress::<T>::put(Weighing::new(Self::beacon()));
			}
			if let Some(progress) = WeighProgress::<T>::take() {
				weight = weight.saturating_add(Self::weigh(&epoch, progress));
			}
			weight
		}

		fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
			let mut meter = WeightMeter::with_limit(limit);
			Self::prune(&mut meter);
			Self::sweep(&mut meter);
			Self::clean(&mut meter);
			meter.consumed()
		}

		fn integrity_test() {
			assert!(T::Schedule::get().is_valid(), "the phases of `Schedule` must fit into an epoch");
			let segments = u32::from(T::Schedule::get().segments);
			assert!(segments.saturating_add(MAX_CONFIRMATIONS) <= MAX_SEGMENTS, "`Schedule` has too many segments");
			assert!(T::MaxShare::get() >= types::MIN_CAP, "`MaxShare` must be at least 10 %");
			assert!(T::MaxValidators::get() > 0 && T::WeighBatch::get() > 0 && T::HostExpiry::get() > 0);
			assert!(
				T::MaxHosts::get() <= T::WeighBatch::get().saturating_mul(T::Schedule::get().weigh),
				"the weigh phase is too short for `MaxHosts`: raise `WeighBatch`"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Registers a host or replaces its registration.
		///
		/// Origin: a free transaction; `signature` is that of the host key over the registration, `worker_signature`
		/// that of the worker key over the host's account. Up to 8 times per host and epoch, with a proof of work. Cost:
		/// up to 16 model lookups and two signatures in the pool, then constant.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register())]
		#[pallet::authorize(|_, new, signature, worker_signature| {
			authorize(Self::validate_register(new, signature, worker_signature))
		})]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_register())]
		pub fn register(
			origin: OriginFor<T>,
			registration: Registration,
			_signature: Signature,
			_worker_signature: Signature,
		) -> DispatchResult {
			ensure_authorized(origin)?;
			let account = T::AccountId::from(registration.host);
			let old = Hosts::<T>::get(&account);
			// Another registration brings no time: the host must show weight as before.
			let (joined, weighed) = old.as_ref().map_or((registration.epoch, None), |old| (old.joined, old.weighed));
			let host = Host {
				worker: registration.worker,
				url: registration.url.try_into().map_err(|_| Error::<T>::LimitExceeded)?,
				models: registration.models.try_into().map_err(|_| Error::<T>::LimitExceeded)?,
				registered: registration.epoch,
				revision: registration.revision,
				joined,
				weighed,
			};
			if let Some(old) = old {
				Workers::<T>::remove(old.worker);
			}
			Workers::<T>::insert(host.worker, &account);
			Self::deposit_event(Event::HostRegistered { host: account.clone(), worker: host.worker });
			Hosts::<T>::insert(account, host);
			Ok(())
		}

		/// Commits to a host's leaves of one segment of the sprint or of a confirmation segment.
		///
		/// Origin: a free transaction; `signature` is that of the worker key over the commitment. Once per host,
		/// epoch and segment, within `grace` blocks after the segment. After the first `prompt` of them it counts less. Cost:
		/// constant.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::commit())]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_commit(new, signature)))]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_commit())]
		pub fn commit(origin: OriginFor<T>, commitment: SegmentCommitment, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let SegmentCommitment { host, epoch, segment, commitment } = commitment;
			let host = T::AccountId::from(host);
			Commitments::<T>::try_mutate(epoch, &host, |all| {
				let position = all.partition_point(|(other, _)| *other < segment);
				all.try_insert(position, (segment, commitment)).map_err(|_| Error::<T>::LimitExceeded)
			})?;
			let delay = Self::running_epoch().map_or(0, |running| {
				let now = frame_system::Pallet::<T>::block_number().unique_saturated_into();
				running.schedule.delay(segment, &running.confirmations, running.offset(now))
			});
			Standings::<T>::mutate(epoch, &host, |standing| {
				standing.get_or_insert_with(|| Self::enter(epoch, &host)).note_delay(segment, delay);
			});
			Self::deposit_event(Event::Committed { host, epoch, segment, count: commitment.count });
			Ok(())
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Makes a host a participant and gives it a number.
	fn enter(epoch: EpochIndex, host: &T::AccountId) -> Standing {
		let next = |count: &mut u32| core::mem::replace(count, count.saturating_add(1));
		let candidates = Candidates::<T>::get();
		let participant = if candidates.iter().any(|(candidate, _)| candidate == host) {
			CandidateCount::<T>::mutate(epoch, next).saturating_add(FIRST_CANDIDATE)
		} else if candidates.is_empty() || Self::is_known(host) {
			// Until some host has weight, nobody could be known.
			KnownCount::<T>::mutate(epoch, next)
		} else {
			NewCount::<T>::mutate(epoch, next).saturating_add(FIRST_NEW)
		};
		Participants::<T>::insert(epoch, participant, host);
		Standing { participant, ..Default::default() }
	}
}

/// The interface of the session handlers.
impl<T: Config> Pallet<T> {
	/// The validators of the session after the next, if they or their power changed: the hosts in `Power` that have
	/// session keys now. Never empty, since BABE needs an author.
	pub fn queue_power() -> Option<Vec<T::AccountId>> {
		if !PowerChanged::<T>::take() {
			return None;
		}
		let mut power = Power::<T>::get();
		power.retain(|(who, _)| T::HasSessionKeys::contains(who));
		if power.is_empty() {
			return None;
		}
		let validators = power.iter().map(|(who, _)| who.clone()).collect();
		QueuedPower::<T>::put(power);
		Some(validators)
	}

	/// Makes the queued validators those of the session.
	pub fn enact_power() {
		SessionPower::<T>::put(QueuedPower::<T>::get());
	}

	/// The power of `who` in `power`; 1 for a validator that is not listed.
	pub fn power_of(power: &[(T::AccountId, u64)], who: &T::AccountId) -> u64 {
		power.iter().find(|(other, _)| other == who).map_or(1, |(_, power)| *power)
	}
}
