#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod cases;
mod draw;
mod pool;
mod prune;
mod table;
pub mod types;
mod verdicts;
mod views;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "try-runtime", test))]
mod try_state;

pub use pallet::*;
pub use types::{Batch, Case, Record, Refusal};
pub use weights::WeightInfo;

use gonka_primitives::{
	BlockNumber, EpochIndex, ModelId,
	sampling::{Outcome, Profile, Rules, Ruling, Verdicts},
	traits::ModelRegistry,
};
use pallet_inference_market::Pallet as Market;
use pallet_poc::Pallet as Poc;
use polkadot_sdk::{
	frame_support::{
		self, BoundedVec, ensure,
		traits::Get,
		weights::{Weight, WeightMeter},
	},
	frame_system,
	sp_runtime::traits::UniqueSaturatedInto,
};

/// A case against a host.
pub type CaseOf<T> = Case<<T as frame_system::Config>::AccountId>;

#[frame_support::pallet]
#[allow(clippy::expect_used, reason = "the macro's own code")]
pub mod pallet {
	use super::*;
	use crate::types::{Assignment, Build, Draw, Row, Suspicion};
	use alloc::vec::Vec;
	use frame_support::{
		pallet_prelude::*,
		traits::{EnsureOrigin, StorageVersion},
	};
	use frame_system::{ensure_authorized, pallet_prelude::*};
	use gonka_primitives::Signature;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config: pallet_poc::Config + pallet_inference_market::Config {
		/// Rates, thresholds and deadlines.
		#[pallet::constant]
		type Rules: Get<Rules>;
		/// Most samples of a checker in one window.
		#[pallet::constant]
		type MaxAssigned: Get<u32>;
		/// Most open cases.
		#[pallet::constant]
		type MaxCases: Get<u32>;
		/// Settlements that a block draws from.
		#[pallet::constant]
		type MaxBatches: Get<u32>;
		/// Look-ups of checkers after which a block draws from no other settlement.
		#[pallet::constant]
		type MaxProbes: Get<u32>;
		/// Hosts that a block enters into the tables.
		#[pallet::constant]
		type TableBatch: Get<u32>;
		/// Checkers' lists that a block closes.
		#[pallet::constant]
		type CloseBatch: Get<u32>;
		/// Windows for which settlements are kept, for cases to draw from. More than `Rules::verdict_windows` + 1.
		#[pallet::constant]
		type KeptWindows: Get<u32>;
		/// What calls and hooks cost.
		type WeightInfo: WeightInfo;
	}

	/// Models' calibration profiles. Written at genesis and by `set_profile`, for registered models only, so bounded by governance.
	#[pallet::storage]
	pub type Profiles<T> = StorageMap<_, Twox64Concat, ModelId, Profile, OptionQuery>;

	/// Settlements by host and window. Written when a host settles work of a model with a profile, when samples are drawn
	/// and answered for; kept for `KeptWindows`.
	#[pallet::storage]
	pub type Batches<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, u32, Batch, OptionQuery>;

	/// The keys of `Batches` by the window in which they were posted. Written with them, as many.
	#[pallet::storage]
	pub type Posted<T: Config> =
		StorageDoubleMap<_, Twox64Concat, u32, Blake2_128Concat, (T::AccountId, u32), (), OptionQuery>;

	/// The oldest window of which something may be posted.
	#[pallet::storage]
	pub type OldestPosted<T> = StorageValue<_, u32, ValueQuery>;

	/// The draw that is under way. Written in a window's second block and until it is done, at most to the window's end.
	#[pallet::storage]
	pub type Drawing<T: Config> = StorageValue<_, Draw<T::AccountId>, OptionQuery>;

	/// Samples to check, by the window in which they were drawn and by checker. Written by draws and verdicts, removed when
	/// the deadline has passed.
	#[pallet::storage]
	pub type Assigned<T: Config> = StorageDoubleMap<
		_,
		Twox64Concat,
		u32,
		Blake2_128Concat,
		T::AccountId,
		BoundedVec<Assignment<T::AccountId>, T::MaxAssigned>,
		ValueQuery,
	>;

	/// The oldest window of which lists may be open.
	#[pallet::storage]
	pub type OldestAssigned<T> = StorageValue<_, u32, ValueQuery>;

	/// Those that serve a model, by settled epoch, model and number: at most the registered hosts. Written while a table is
	/// built, kept until no draw needs it.
	#[pallet::storage]
	pub type Table<T: Config> = StorageNMap<
		_,
		(NMapKey<Twox64Concat, EpochIndex>, NMapKey<Twox64Concat, ModelId>, NMapKey<Twox64Concat, u32>),
		Row<T::AccountId>,
		OptionQuery,
	>;

	/// Rows and total weight of a table, by settled epoch and model. Written with `Table`.
	#[pallet::storage]
	pub type Tables<T> = StorageDoubleMap<_, Twox64Concat, EpochIndex, Twox64Concat, ModelId, (u32, u64), ValueQuery>;

	/// The table that is being built.
	#[pallet::storage]
	pub type Building<T: Config> = StorageValue<_, Build<T::AccountId>, OptionQuery>;

	/// The last settled epoch whose weights were entered.
	#[pallet::storage]
	pub type Built<T> = StorageValue<_, EpochIndex, OptionQuery>;

	/// The epoch of the newest table that is complete and not empty: who checks now.
	#[pallet::storage]
	pub type TableEpoch<T> = StorageValue<_, EpochIndex, OptionQuery>;

	/// The oldest epoch of which a table may be left.
	#[pallet::storage]
	pub type OldestTable<T> = StorageValue<_, EpochIndex, ValueQuery>;

	/// How far hosts are trusted. Written when they settle, check, arbitrate and are judged: one a host that ever did.
	#[pallet::storage]
	pub type Records<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Record, OptionQuery>;

	/// What speaks against hosts, by host and model. Written by verdicts, removed when a case is opened: at most one for each
	/// model of a host that ever settled.
	#[pallet::storage]
	pub type Suspicions<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, ModelId, Suspicion<T::AccountId>, ValueQuery>;

	/// Open cases, at most one a host. Written by verdicts, hooks and rulings.
	#[pallet::storage]
	pub type Cases<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, CaseOf<T>, OptionQuery>;

	/// The hosts of `Cases`, each with the block from which on there is something to do.
	#[pallet::storage]
	pub type OpenCases<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, BlockNumber), T::MaxCases>, ValueQuery>;

	/// The next case's number. It never falls.
	#[pallet::storage]
	pub type NextCase<T> = StorageValue<_, u32, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A model has a profile, or has none any more.
		ProfileSet { model: ModelId, profile: Option<Profile> },
		/// The table of those that check is complete.
		TableBuilt { epoch: EpochIndex },
		/// Samples of a settlement are drawn.
		Sampled { host: T::AccountId, window: u32, samples: u32 },
		/// A checker answered for so many samples that were drawn in a window.
		Answered { checker: T::AccountId, window: u32, samples: u32 },
		/// A window's samples can no longer be answered for: a checker did for `met` of `total`.
		ListClosed { checker: T::AccountId, window: u32, total: u32, met: u32 },
		/// Findings about a host add up to a case.
		CaseOpened { case: u32, host: T::AccountId, model: ModelId },
		/// Arbiters are drawn.
		ArbitersDrawn {
			case: u32,
			arbiters: BoundedVec<T::AccountId, ConstU32<{ gonka_primitives::sampling::ARBITERS }>>,
		},
		/// An arbiter ruled.
		Ruled { case: u32, arbiter: T::AccountId, outcome: Outcome },
		/// A case is closed.
		CaseClosed { case: u32, host: T::AccountId, outcome: Outcome },
		/// A host said the clear opposite of what arbiters found: its reputation is gone, and nobody listens to it for a while.
		Struck { host: T::AccountId, case: u32 },
	}

	#[pallet::error]
	pub enum Error<T> {
		/// There is no such model.
		UnknownModel,
		/// The profile's edges or thresholds are out of order.
		Malformed,
		/// What was authorised is not there. Cannot happen.
		NotFound,
		/// A list is longer than its bound. Cannot happen.
		LimitExceeded,
	}

	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// Profiles of models that are registered from the start.
		pub profiles: Vec<(ModelId, Profile)>,
		#[serde(skip)]
		#[doc(hidden)]
		pub _config: core::marker::PhantomData<T>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			for (model, profile) in &self.profiles {
				let set = Pallet::<T>::try_set_profile(*model, Some(*profile));
				assert!(set.is_ok(), "bad profile of model {model} in the genesis configuration: {set:?}");
			}
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			let weight = Self::build_table().saturating_add(Self::go_on_with_cases());
			weight.saturating_add(Self::draw_samples()).saturating_add(Self::close_lists())
		}

		fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
			let mut meter = WeightMeter::with_limit(limit);
			Self::prune(&mut meter);
			meter.consumed()
		}

		fn integrity_test() {
			let (rules, window) = (T::Rules::get(), T::WindowLength::get());
			assert!(window > 2, "seeds are drawn in a window's second block");
			assert!((1..window).contains(&rules.case_blocks), "a case must be over within a window");
			assert!(rules.recovery > 0 && rules.most > 0 && rules.guilty > 0 && rules.innocent > 0);
			assert!(rules.clear > 0, "a finding that weighs nothing is not clear");
			let held = rules.verdict_windows.saturating_add(3);
			assert!(T::MaxHold::get() >= held, "fees would be released before cases about them are over");
			assert!(T::KeptWindows::get() > rules.verdict_windows.saturating_add(1), "samples outlive settlements");
			assert!(T::MaxAssigned::get() > 0 && T::MaxAssigned::get() <= u32::from(u16::MAX));
			assert!(T::MaxCases::get() > 0 && T::MaxBatches::get() > 0 && T::MaxProbes::get() > 0);
			assert!(T::TableBatch::get() > 0 && T::CloseBatch::get() > 0);
			let quarter = T::BlockWeights::get().max_block / 4;
			let probes = T::MaxProbes::get().saturating_add(rules.most.saturating_mul(table::ATTEMPTS));
			let rows = T::TableBatch::get().saturating_mul(gonka_primitives::MAX_MODELS_PER_HOST);
			let building = <T as Config>::WeightInfo::build(T::TableBatch::get(), rows);
			let drawing = <T as Config>::WeightInfo::draw(T::MaxBatches::get(), probes);
			let rest = <T as Config>::WeightInfo::close(T::CloseBatch::get())
				.saturating_add(<T as Config>::WeightInfo::draw_arbiters(cases::PER_BLOCK))
				.saturating_add(<T as Config>::WeightInfo::close_cases(0));
			assert!(building.saturating_add(rest).all_lte(quarter), "building needs more than a quarter of a block");
			assert!(drawing.saturating_add(rest).all_lte(quarter), "drawing needs more than a quarter of a block");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Registers or removes a model's calibration profile. From the next table on, the model is sampled.
		///
		/// Origin: that of the market's models. Errors: `UnknownModel`, `Malformed`. Cost: constant.
		#[pallet::call_index(0)]
		#[pallet::weight(<T as Config>::WeightInfo::set_profile())]
		pub fn set_profile(origin: OriginFor<T>, model: ModelId, profile: Option<Profile>) -> DispatchResult {
			<T as pallet_inference_market::Config>::RegisterOrigin::ensure_origin(origin)?;
			Self::try_set_profile(model, profile)?;
			Self::deposit_event(Event::ProfileSet { model, profile });
			Ok(())
		}

		/// Answers for samples.
		///
		/// Origin: a general transaction; `signature` is the checker's worker key's. Free, once per sample, in the window of
		/// the draw and `Rules::verdict_windows` more. Cost: linear in the findings, and in the cases that they open.
		#[pallet::call_index(1)]
		#[pallet::weight({
			let findings = verdicts.findings.len() as u32;
			<T as Config>::WeightInfo::submit_verdicts(findings, findings.min(T::MaxCases::get()))
		})]
		#[pallet::authorize(Pallet::<T>::authorize_verdicts)]
		#[pallet::weight_of_authorize(
			<T as Config>::WeightInfo::authorize_submit_verdicts(verdicts.findings.len() as u32)
		)]
		pub fn submit_verdicts(
			origin: OriginFor<T>,
			verdicts: Verdicts,
			_signature: Signature,
		) -> DispatchResultWithPostInfo {
			ensure_authorized(origin)?;
			let findings = verdicts.findings.len() as u32;
			let opened = Self::hear(verdicts)?;
			Ok(Some(<T as Config>::WeightInfo::submit_verdicts(findings, opened)).into())
		}

		/// Rules in a case.
		///
		/// Origin: a general transaction; `signature` is the arbiter's worker key's. Free, once per arbiter and case, until
		/// the case's deadline. Cost: constant; at most 48 findings.
		#[pallet::call_index(2)]
		#[pallet::weight(<T as Config>::WeightInfo::rule())]
		#[pallet::authorize(Pallet::<T>::authorize_rule)]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_rule())]
		pub fn rule(origin: OriginFor<T>, ruling: Ruling, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			Self::note_ruling(ruling)
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Registers or removes a profile.
	fn try_set_profile(model: ModelId, profile: Option<Profile>) -> Result<(), Error<T>> {
		if let Some(profile) = &profile {
			ensure!(Market::<T>::is_registered(model), Error::<T>::UnknownModel);
			ensure!(profile.is_well_formed(), Error::<T>::Malformed);
		}
		Profiles::<T>::set(model, profile);
		Ok(())
	}

	/// The block that is executed; in the pool, the one after the best.
	pub(crate) fn now() -> BlockNumber {
		frame_system::Pallet::<T>::block_number().unique_saturated_into()
	}

	/// The window that runs.
	pub(crate) fn running() -> u32 {
		Self::now().checked_div(T::WindowLength::get()).unwrap_or_default()
	}

	/// The epoch that runs.
	pub(crate) fn epoch() -> EpochIndex {
		Poc::<T>::running_epoch().map_or(0, |epoch| epoch.index)
	}

	/// How far a host is trusted now.
	pub fn record(host: &T::AccountId) -> Record {
		let (epoch, rules) = (Self::epoch(), T::Rules::get());
		Records::<T>::get(host).map_or(Record { epoch, ..Default::default() }, |record| record.at(epoch, &rules))
	}

	/// Notes that a host did something in the running epoch.
	pub(crate) fn touch(host: &T::AccountId, change: impl FnOnce(&mut Record)) {
		let mut record = Self::record(host);
		change(&mut record);
		Records::<T>::insert(host, record);
	}
}
