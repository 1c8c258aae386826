#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod math;
mod pool;
pub mod types;
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
pub use types::{Epoch, Host, Refusal, Settled};
pub use weights::WeightInfo;

use alloc::vec::Vec;
use gonka_primitives::{
	AccountId as Raw, BlockNumber, EpochIndex, Hash,
	epoch::{Phase, Schedule},
	host::{Commitment, Registration, SegmentCommitment},
	traits::{Beacon, HostPower, HostRegistry, ModelRegistry, OnEpochSettled},
	views::{EpochView, HostView},
};
use gonka_sprint::{ModelSeed, Profile};
use polkadot_sdk::{
	frame_support::{
		self, BoundedVec,
		traits::{Contains, Get},
		weights::{Weight, WeightMeter},
	},
	frame_system,
	sp_runtime::traits::{UniqueSaturatedInto, Zero},
};

/// Epochs whose commitments and weights are kept, besides the running one.
const KEPT_EPOCHS: EpochIndex = 2;
/// Hosts looked at per block to find those that expired.
const SWEEP_BATCH: usize = 4;

#[frame_support::pallet]
#[allow(clippy::expect_used, reason = "the macro's own code")]
pub mod pallet {
	use super::*;
	use crate::types::{MAX_SEGMENTS, Settling};
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
		#[pallet::constant]
		type Schedule: Get<Schedule>;
		/// The sprint's model format from the next epoch on.
		type Profile: Get<Profile>;
		/// Leading zero bits that a registration's proof of work needs.
		#[pallet::constant]
		type RegistrationBits: Get<u32>;
		/// Where seeds come from.
		type Beacon: Beacon;
		/// The models a host may declare.
		type Models: ModelRegistry;
		/// The accounts that can author blocks.
		type HasSessionKeys: Contains<Self::AccountId>;
		/// Told when weights are final.
		type OnEpochSettled: OnEpochSettled;
		/// Most registered hosts.
		#[pallet::constant]
		type MaxHosts: Get<u32>;
		/// Most validators.
		#[pallet::constant]
		type MaxValidators: Get<u32>;
		/// Hosts settled per block.
		#[pallet::constant]
		type SettleBatch: Get<u32>;
		/// Epochs without registration or commitment after which a host is forgotten.
		#[pallet::constant]
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

	/// Raw weights by epoch and host, in leaves. Written while settling, kept for two epochs after.
	#[pallet::storage]
	pub type RawWeights<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Blake2_128Concat, T::AccountId, u64, ValueQuery>;

	/// The settlement that is under way, from the first block of the settle phase until all hosts are counted.
	#[pallet::storage]
	pub type Progress<T: Config> = StorageValue<_, Settling<T::AccountId, T::MaxValidators>, OptionQuery>;

	/// The outcome of settled epochs, kept for two epochs after.
	#[pallet::storage]
	pub type Outcomes<T> = StorageMap<_, Twox64Concat, EpochIndex, Settled, OptionQuery>;

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
		/// A host committed to a segment.
		Committed { host: T::AccountId, epoch: EpochIndex, segment: u8, count: u64 },
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
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			let power = BoundedVec::<_, T::MaxValidators>::truncate_from(math::normalise(self.power.clone()));
			QueuedPower::<T>::put(&power);
			SessionPower::<T>::put(&power);
			Power::<T>::put(power);
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(now: BlockNumberFor<T>) -> Weight {
			let now = now.unique_saturated_into();
			if now == 1 {
				Genesis::<T>::put(Self::hash_bytes(frame_system::Pallet::<T>::parent_hash()));
			}
			let epoch = Self::tick(now);
			let mut weight = T::WeightInfo::tick();
			if epoch.offset(now) == epoch.schedule.settle_start() {
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
			assert!(u32::from(T::Schedule::get().segments) <= MAX_SEGMENTS, "too many segments");
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

		/// Commits to what a host computed in one segment.
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

/// The clock and what it drives.
impl<T: Config> Pallet<T> {
	/// Brings the epoch up to block `now`: starts the next one when it is due, and draws a segment's seed.
	fn tick(now: BlockNumber) -> Epoch {
		let mut epoch = match CurrentEpoch::<T>::get() {
			Some(epoch) if epoch.offset(now) < epoch.schedule.length => epoch,
			previous => Self::start_epoch(previous.map_or(0, |epoch| epoch.index.saturating_add(1)), now),
		};
		if let Some(segment) = epoch.schedule.segment_starting_at(epoch.offset(now)) {
			let seed = ModelSeed(epoch.model_seed).segment(segment, &T::Beacon::randomness()).0;
			if epoch.segment_seeds.try_push(seed).is_ok() {
				Self::deposit_event(Event::SegmentStarted { epoch: epoch.index, segment, seed });
			}
			CurrentEpoch::<T>::put(&epoch);
		}
		epoch
	}

	fn start_epoch(index: EpochIndex, now: BlockNumber) -> Epoch {
		let profile = T::Profile::get();
		let model_seed = ModelSeed::derive(&Self::genesis_hash(), index, profile, &T::Beacon::randomness()).0;
		let epoch = Epoch {
			index,
			start: now,
			schedule: T::Schedule::get(),
			profile,
			model_seed,
			segment_seeds: Default::default(),
		};
		CurrentEpoch::<T>::put(&epoch);
		Self::deposit_event(Event::EpochStarted { epoch: index, model_seed });
		epoch
	}

	/// Counts the next batch of hosts in; finishes when there are no more.
	fn settle(epoch: &Epoch, mut progress: types::Settling<T::AccountId, T::MaxValidators>) -> Weight {
		let batch = T::SettleBatch::get() as usize;
		let mut rest = match &progress.after {
			Some(after) => {
				Commitments::<T>::iter_prefix_from(epoch.index, Commitments::<T>::hashed_key_for(epoch.index, after))
			},
			None => Commitments::<T>::iter_prefix(epoch.index),
		};
		let mut visited = 0u32;
		for (host, commitments) in rest.by_ref().take(batch) {
			visited = visited.saturating_add(1);
			let counts: Vec<u64> = commitments.iter().map(|(_, commitment)| commitment.count).collect();
			let weight = math::raw_weight(&counts, epoch.schedule.segments);
			if weight > 0 {
				RawWeights::<T>::insert(epoch.index, &host, weight);
				let has_keys = T::HasSessionKeys::contains(&host);
				progress.add(host.clone(), weight, has_keys);
			}
			progress.after = Some(host);
		}
		if (visited as usize) < batch {
			Self::finish(epoch.index, progress);
		} else {
			Progress::<T>::put(progress);
		}
		T::WeightInfo::settle(visited)
	}

	/// Fixes the cap and the power.
	fn finish(epoch: EpochIndex, progress: types::Settling<T::AccountId, T::MaxValidators>) {
		let cap = math::cap(&progress.heaviest, progress.total, progress.hosts);
		let total = math::capped_total(&progress.heaviest, progress.total, cap);
		let settled = Settled { total, cap, hosts: progress.hosts };
		Outcomes::<T>::insert(epoch, settled);
		LastSettled::<T>::put(epoch);
		if !progress.validators.is_empty() {
			let weights = progress.validators.into_iter().map(|(who, weight)| (who, weight.min(cap))).collect();
			Power::<T>::put(BoundedVec::<_, T::MaxValidators>::truncate_from(math::normalise(weights)));
			PowerChanged::<T>::put(true);
		}
		Self::deposit_event(Event::EpochSettled { epoch, settled });
		T::OnEpochSettled::on_epoch_settled(epoch, total);
	}

	/// Removes what is left of the oldest epoch, a few items a block.
	fn prune(meter: &mut WeightMeter) {
		let Some(epoch) = CurrentEpoch::<T>::get() else { return };
		let oldest = PrunedTo::<T>::get();
		if oldest.saturating_add(KEPT_EPOCHS) >= epoch.index {
			return;
		}
		let cost = T::WeightInfo::prune();
		let room = meter.remaining().checked_div_per_component(&cost.saturating_mul(2)).unwrap_or(0);
		let limit = u32::try_from(room).unwrap_or(u32::MAX).min(T::SettleBatch::get());
		if limit == 0 {
			return;
		}
		let commitments = Commitments::<T>::clear_prefix(oldest, limit, None);
		let weights = RawWeights::<T>::clear_prefix(oldest, limit, None);
		meter.consume(cost.saturating_mul(commitments.loops.saturating_add(weights.loops).saturating_add(1).into()));
		if commitments.maybe_cursor.is_none() && weights.maybe_cursor.is_none() {
			Outcomes::<T>::remove(oldest);
			PrunedTo::<T>::put(oldest.saturating_add(1));
		}
	}

	/// Forgets hosts that did nothing for `HostExpiry` epochs, looking at a few a block.
	fn sweep(meter: &mut WeightMeter) {
		let cost = T::WeightInfo::prune().saturating_mul(SWEEP_BATCH as u64);
		if meter.try_consume(cost).is_err() {
			return;
		}
		let Some(epoch) = CurrentEpoch::<T>::get() else { return };
		let hosts = match SweptTo::<T>::take() {
			Some(after) => Hosts::<T>::iter_from(Hosts::<T>::hashed_key_for(&after)),
			None => Hosts::<T>::iter(),
		};
		let mut seen: Vec<_> = hosts.take(SWEEP_BATCH).collect();
		if seen.len() == SWEEP_BATCH {
			SweptTo::<T>::set(seen.last().map(|(account, _)| account.clone()));
		}
		seen.retain(|(_, host)| host.active.saturating_add(T::HostExpiry::get()) < epoch.index);
		for (account, host) in seen {
			Workers::<T>::remove(host.worker);
			Hosts::<T>::remove(&account);
			Self::deposit_event(Event::HostExpired { host: account });
		}
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

/// What others read.
impl<T: Config> Pallet<T> {
	/// The hash of the genesis block, part of everything that is signed.
	pub fn genesis_hash() -> Hash {
		Genesis::<T>::get().unwrap_or_else(|| {
			Self::hash_bytes(frame_system::Pallet::<T>::block_hash(
				frame_system::pallet_prelude::BlockNumberFor::<T>::zero(),
			))
		})
	}

	/// The effective weight of `host` in a settled epoch, in leaves; 0 if it has none.
	pub fn weight(epoch: EpochIndex, host: &T::AccountId) -> u64 {
		Outcomes::<T>::get(epoch).map_or(0, |settled| RawWeights::<T>::get(epoch, host).min(settled.cap))
	}

	/// The running epoch, for clients.
	pub fn epoch_view() -> Option<EpochView> {
		let epoch = CurrentEpoch::<T>::get()?;
		let block = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		Some(EpochView {
			index: epoch.index,
			start: epoch.start,
			block,
			phase: epoch.phase(block),
			schedule: epoch.schedule,
			profile: epoch.profile,
			model_seed: epoch.model_seed,
			segment_seeds: epoch.segment_seeds.into_inner(),
			registration_bits: T::RegistrationBits::get(),
		})
	}

	/// A host, for clients.
	pub fn host_view(account: &T::AccountId) -> Option<HostView> {
		Hosts::<T>::get(account).map(|host| Self::view(account.clone(), host))
	}

	/// Up to `limit` hosts after `after` in storage order, for clients.
	pub fn host_views(after: Option<T::AccountId>, limit: u32) -> Vec<HostView> {
		let hosts = match after {
			Some(after) => Hosts::<T>::iter_from(Hosts::<T>::hashed_key_for(&after)),
			None => Hosts::<T>::iter(),
		};
		hosts.take(limit as usize).map(|(account, host)| Self::view(account, host)).collect()
	}

	fn view(account: T::AccountId, host: Host) -> HostView {
		HostView {
			weight: LastSettled::<T>::get().map_or(0, |epoch| Self::weight(epoch, &account)),
			account: account.into(),
			worker: host.worker,
			url: host.url.into_inner(),
			models: host.models.into_inner(),
			registered: host.registered,
		}
	}

	/// The phase of the current block.
	pub fn phase() -> Option<Phase> {
		let block = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		CurrentEpoch::<T>::get().map(|epoch| epoch.phase(block))
	}

	fn hash_bytes(hash: T::Hash) -> Hash {
		let mut bytes = Hash::default();
		bytes.iter_mut().zip(hash.as_ref()).for_each(|(byte, from)| *byte = *from);
		bytes
	}
}

/// The genesis hash as a configuration value of other pallets.
pub struct GenesisHash<T>(core::marker::PhantomData<T>);

impl<T: Config> Get<Hash> for GenesisHash<T> {
	fn get() -> Hash {
		Pallet::<T>::genesis_hash()
	}
}

impl<T: Config> HostRegistry<T::AccountId> for Pallet<T> {
	fn worker(host: &T::AccountId) -> Option<gonka_primitives::PublicKey> {
		Hosts::<T>::get(host).map(|host| host.worker)
	}
}

impl<T: Config> HostPower<T::AccountId> for Pallet<T> {
	fn page(epoch: EpochIndex, after: Option<&T::AccountId>, limit: u32) -> Vec<(T::AccountId, u64)> {
		let Some(settled) = Outcomes::<T>::get(epoch) else { return Vec::new() };
		let hosts = match after {
			Some(after) => RawWeights::<T>::iter_prefix_from(epoch, RawWeights::<T>::hashed_key_for(epoch, after)),
			None => RawWeights::<T>::iter_prefix(epoch),
		};
		hosts.take(limit as usize).map(|(host, weight)| (host, weight.min(settled.cap))).collect()
	}
}
