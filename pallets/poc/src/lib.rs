#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod clock;
mod draw;
pub mod math;
mod pool;
mod sampling;
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

pub use pallet::*;
pub use types::{Duty, Epoch, Host, Refusal, Settled, Standing, Traffic};
pub use views::GenesisHash;
pub use weights::WeightInfo;

use alloc::vec::Vec;
use gonka_primitives::{
	AccountId as Raw, BlockNumber, EpochIndex, Hash,
	epoch::Schedule,
	host::{Commitment, Registration, SegmentCommitment},
	traits::{Backing, Beacon, ModelRegistry, OnEpochClosed, OnEpochStart, OnOffence},
};
use gonka_sprint::{ModelSeed, Profile};
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
	use crate::types::{MAX_CONFIRMATIONS, MAX_GUARDIANS, MAX_SEGMENTS, Settling};
	use frame_support::{pallet_prelude::*, traits::StorageVersion};
	use frame_system::{ensure_authorized, pallet_prelude::*};
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
		/// The sprint's model format from the next epoch on.
		type Profile: Get<Profile>;
		/// Leading zero bits that a registration's proof of work needs.
		type RegistrationBits: Get<u32>;
		/// Where seeds come from.
		type Beacon: Beacon;
		/// The models a host may declare.
		type Models: ModelRegistry;
		/// The accounts that can author blocks.
		type HasSessionKeys: Contains<Self::AccountId>;
		/// What of a host's weight counts.
		type Backing: Backing<Self::AccountId>;
		/// Told of hosts that missed duties and, by `pallet-sprint-check`, of convictions: to take collateral.
		type OnOffence: OnOffence<Self::AccountId>;
		/// Told when an epoch can be paid.
		type OnEpochClosed: OnEpochClosed;
		/// Told when an epoch starts, before the parameters above are read for it.
		type OnEpochStart: OnEpochStart;
		/// The largest share of all weight that one host may have. Not below 10 %.
		type MaxShare: Get<Perbill>;
		/// The share of the consensus power that the genesis guardians together keep on a young network.
		type GuardianShare: Get<Perbill>;
		/// The total effective weight, in leaves, from which on the network is mature.
		type MaturityThreshold: Get<u64>;
		/// A host that met less of its duties in an epoch loses collateral.
		type LeastPerformance: Get<Perbill>;
		/// Most registered hosts.
		#[pallet::constant]
		type MaxHosts: Get<u32>;
		/// Most validators.
		#[pallet::constant]
		type MaxValidators: Get<u32>;
		/// Most checkers.
		#[pallet::constant]
		type MaxCheckers: Get<u32>;
		/// Work units, on average over the hosts with weight, from which on what hosts served is compared.
		type LeastWork: Get<u64>;
		/// Hosts settled per block.
		#[pallet::constant]
		type SettleBatch: Get<u32>;
		/// Epochs without registration or commitment after which a host is forgotten.
		type HostExpiry: Get<EpochIndex>;
		/// What calls and hooks cost.
		type WeightInfo: WeightInfo;
		/// Registers models.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper;
	}

	/// Hash of the genesis block. Written once, in block 1: the system pallet forgets it after a while.
	#[pallet::storage]
	pub type Genesis<T> = StorageValue<_, Hash, OptionQuery>;

	/// The running epoch. Written at its start and at the start of each segment.
	#[pallet::storage]
	pub type CurrentEpoch<T> = StorageValue<_, Epoch, OptionQuery>;

	/// Registered hosts, at most `MaxHosts`. Written by registrations, first commitments and expiry.
	#[pallet::storage]
	pub type Hosts<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, Host>;

	/// The host of each worker key: the inverse of `Hosts`.
	#[pallet::storage]
	pub type Workers<T: Config> = StorageMap<_, Blake2_128Concat, PublicKey, T::AccountId>;

	/// Commitments by epoch and host, ascending by segment. Written by `commit`, kept for two epochs after.
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

	/// How those that raced stand, by epoch and host. Written by first commitments, checks, disputes and while settling;
	/// kept for two epochs after.
	#[pallet::storage]
	pub type Standings<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Blake2_128Concat, T::AccountId, Standing, OptionQuery>;

	/// Those that raced, by epoch and number. Written by first commitments, kept for two epochs after.
	#[pallet::storage]
	pub type Racers<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Twox64Concat, u32, T::AccountId, OptionQuery>;

	/// How many raced, by epoch.
	#[pallet::storage]
	pub type RacerCount<T> = StorageMap<_, Twox64Concat, EpochIndex, u32, ValueQuery>;

	/// The epochs before the running one, kept for two epochs after.
	#[pallet::storage]
	pub type PastEpochs<T> = StorageMap<_, Twox64Concat, EpochIndex, Epoch, OptionQuery>;

	/// The heaviest hosts of the last settled epoch with weight, descending: the next epoch's checkers, if they race.
	#[pallet::storage]
	pub type Candidates<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxCheckers>, ValueQuery>;

	/// The checkers of an epoch with the weights that seats are drawn by. Written at the draw, kept for two epochs after.
	#[pallet::storage]
	pub type Checkers<T: Config> =
		StorageMap<_, Twox64Concat, EpochIndex, BoundedVec<(T::AccountId, u64), T::MaxCheckers>, ValueQuery>;

	/// Whether a host that nobody can check has weight. Written at genesis.
	#[pallet::storage]
	pub type AllowUnchecked<T> = StorageValue<_, bool, ValueQuery>;

	/// Those that together keep 34 % of the power until the network is mature. Written at genesis.
	#[pallet::storage]
	pub type Guardians<T: Config> = StorageValue<_, BoundedVec<T::AccountId, ConstU32<MAX_GUARDIANS>>, ValueQuery>;

	/// The total effective weight from which on the network is mature, unless governance says otherwise. Written at
	/// genesis.
	#[pallet::storage]
	pub type Maturity<T> = StorageValue<_, u64, ValueQuery>;

	/// The settlement that is under way, from the first block of the settle phase until all hosts are counted.
	#[pallet::storage]
	pub type Progress<T: Config> =
		StorageValue<_, Settling<T::AccountId, T::MaxValidators, T::MaxCheckers>, OptionQuery>;

	/// The outcome of settled epochs, kept for two epochs after.
	#[pallet::storage]
	pub type Outcomes<T> = StorageMap<_, Twox64Concat, EpochIndex, Settled, OptionQuery>;

	/// What hosts served while the weights of an epoch were in force. Written when hosts settle, kept for two epochs after.
	#[pallet::storage]
	pub type Served<T> = StorageMap<_, Twox64Concat, EpochIndex, Traffic, ValueQuery>;

	/// The epoch settled last.
	#[pallet::storage]
	pub type LastSettled<T> = StorageValue<_, EpochIndex, OptionQuery>;

	/// The consensus power for the next session: normalised, at most `MaxValidators` entries. Written at genesis and
	/// when an epoch with weight is settled.
	#[pallet::storage]
	pub type Power<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxValidators>, ValueQuery>;

	/// Whether `Power` was written since a session took it over.
	#[pallet::storage]
	pub type PowerChanged<T> = StorageValue<_, bool, ValueQuery>;

	/// The power of the next session's validators: `Power` as it was when that set was chosen.
	#[pallet::storage]
	pub type QueuedPower<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxValidators>, ValueQuery>;

	/// The power of the running session's validators.
	#[pallet::storage]
	pub type SessionPower<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxValidators>, ValueQuery>;

	/// The oldest epoch of which something may be left.
	#[pallet::storage]
	pub type PrunedTo<T> = StorageValue<_, EpochIndex, ValueQuery>;

	/// Where the sweep for expired hosts goes on.
	#[pallet::storage]
	pub type SweptTo<T: Config> = StorageValue<_, T::AccountId, OptionQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// An epoch started.
		EpochStarted { epoch: EpochIndex, model_seed: Hash },
		/// A segment of the sprint started.
		SegmentStarted { epoch: EpochIndex, segment: u8, seed: Hash },
		/// A host registered or changed what it said of itself.
		HostRegistered { host: T::AccountId, worker: PublicKey },
		/// A host was forgotten after doing nothing for `HostExpiry` epochs.
		HostExpired { host: T::AccountId },
		/// Committees are drawn from `beacon`.
		CommitteesDrawn { epoch: EpochIndex, beacon: Hash, checkers: u32 },
		/// A host committed to a segment.
		Committed { host: T::AccountId, epoch: EpochIndex, segment: u8, count: u64 },
		/// A host missed more than 5 % of its duties.
		DutiesMissed { host: T::AccountId, epoch: EpochIndex },
		/// The weights of an epoch are final.
		EpochSettled { epoch: EpochIndex, settled: Settled },
	}

	#[pallet::error]
	pub enum Error<T> {
		/// A list or string is longer than its bound.
		LimitExceeded,
		/// No such host is registered.
		NotFound,
	}

	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// Consensus power before the first settled epoch; validators not named here have 1.
		pub power: Vec<(T::AccountId, u64)>,
		/// Whether a host that nobody can check has weight: a network of one.
		pub allow_unchecked: bool,
		/// Those that together keep 34 % of the power until the network is mature; they need session keys.
		pub guardians: Vec<T::AccountId>,
		/// The total effective weight, in leaves, from which on the network is mature.
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
			let (epoch, mut weight) = Self::tick(now);
			if epoch.offset(now) == epoch.schedule.settle_start() {
				Self::close_previous(epoch.index);
				Progress::<T>::put(Settling::default());
			}
			if let Some(progress) = Progress::<T>::take() {
				weight = weight.saturating_add(Self::settle(&epoch, progress));
			}
			weight
		}

		fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
			let mut meter = WeightMeter::with_limit(limit);
			Self::prune(&mut meter);
			Self::sweep(&mut meter);
			meter.consumed()
		}

		fn integrity_test() {
			assert!(T::Schedule::get().is_valid(), "the schedule's phases must fit into the epoch");
			let segments = u32::from(T::Schedule::get().segments);
			assert!(segments.saturating_add(MAX_CONFIRMATIONS) <= MAX_SEGMENTS, "too many segments");
			assert!(T::MaxShare::get() >= types::LEAST_CAP, "more hosts than are kept could exceed the cap");
			assert!(T::MaxValidators::get() > 0 && T::SettleBatch::get() > 0 && T::HostExpiry::get() > 0);
			assert!(
				T::MaxHosts::get() <= T::SettleBatch::get().saturating_mul(T::Schedule::get().settle),
				"all hosts must be settled within the settle phase"
			);
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Adds a host or replaces what it said of itself.
		///
		/// Origin: a general transaction; `signature` is the host key's over the registration. Free, once per host and
		/// epoch, with a proof of work. Cost: up to 16 model look-ups and one signature in the pool, then constant.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register())]
		#[pallet::authorize(Pallet::<T>::authorize_register)]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_register())]
		pub fn register(origin: OriginFor<T>, registration: Registration, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let account = T::AccountId::from(registration.host);
			let host = Host {
				worker: registration.worker,
				url: registration.url.try_into().map_err(|_| Error::<T>::LimitExceeded)?,
				models: registration.models.try_into().map_err(|_| Error::<T>::LimitExceeded)?,
				registered: registration.epoch,
				active: registration.epoch,
			};
			if let Some(old) = Hosts::<T>::get(&account) {
				Workers::<T>::remove(old.worker);
			}
			Workers::<T>::insert(host.worker, &account);
			Self::deposit_event(Event::HostRegistered { host: account.clone(), worker: host.worker });
			Hosts::<T>::insert(account, host);
			Ok(())
		}

		/// Commits to what a host computed in one segment of the sprint, or in a confirmation segment.
		///
		/// Origin: a general transaction; `signature` is the worker key's over the commitment. Free, once per host, epoch
		/// and segment, within `grace` blocks of the segment's end. Cost: constant.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::commit())]
		#[pallet::authorize(Pallet::<T>::authorize_commit)]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_commit())]
		pub fn commit(origin: OriginFor<T>, commitment: SegmentCommitment, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let SegmentCommitment { host, epoch, segment, commitment } = commitment;
			let host = T::AccountId::from(host);
			Commitments::<T>::try_mutate(epoch, &host, |all| {
				let position = all.partition_point(|(other, _)| *other < segment);
				all.try_insert(position, (segment, commitment)).map_err(|_| Error::<T>::LimitExceeded)
			})?;
			Standings::<T>::mutate(epoch, &host, |standing| {
				standing.get_or_insert_with(|| Self::enter(epoch, &host));
			});
			let mut stored = Hosts::<T>::get(&host).ok_or(Error::<T>::NotFound)?;
			if stored.active != epoch {
				stored.active = epoch;
				Hosts::<T>::insert(&host, stored);
			}
			Self::deposit_event(Event::Committed { host, epoch, segment, count: commitment.count });
			Ok(())
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Gives a host its number among those that race.
	fn enter(epoch: EpochIndex, host: &T::AccountId) -> Standing {
		let racer = RacerCount::<T>::get(epoch);
		RacerCount::<T>::insert(epoch, racer.saturating_add(1));
		Racers::<T>::insert(epoch, racer, host);
		Standing { racer, ..Default::default() }
	}
}

/// What the session handlers need.
impl<T: Config> Pallet<T> {
	/// The validators of the session after the next, if they or their power changed: those of `Power` that have
	/// session keys now. Never empty: BABE could not go on.
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

	/// The queued validators become the session's.
	pub fn enact_power() {
		SessionPower::<T>::put(QueuedPower::<T>::get());
	}

	/// The power of `who` in `power`; 1 for a validator that has none, as on a chain that starts without.
	pub fn power_of(power: &[(T::AccountId, u64)], who: &T::AccountId) -> u64 {
		power.iter().find(|(other, _)| other == who).map_or(1, |(_, power)| *power)
	}
}
