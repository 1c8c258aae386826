#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod cases;
mod draw;
mod forget;
mod judgements;
mod pool;
mod prune;
mod report;
mod table;
pub mod types;
mod views;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "try-runtime", test))]
mod try_state;

pub use gonka_primitives::validity::SamplingValidation as ValidityError;
pub use pallet::*;
pub use types::{Batch, Case, Record};
pub use weights::WeightInfo;

use gonka_primitives::{
	Balance, BlockNumber, EpochIndex, ModelId,
	audit::{AuditReport, AuditRules, CalibrationProfile, Outcome, Ruling},
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
	use crate::types::{Assignment, Build, Draw, Hearing, Row, Suspicion};
	use alloc::vec::Vec;
	use frame_support::{
		pallet_prelude::*,
		traits::{EnsureOrigin, StorageVersion},
	};
	use frame_system::{ensure_authorized, pallet_prelude::*};
	use gonka_pallet_support::pool::authorize;
	use gonka_primitives::Signature;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config:
		pallet_poc::Config + pallet_inference_market::Config<RuntimeHoldReason: From<HoldReason>>
	{
		/// Base units that a host deposits for an appeal.
		#[pallet::constant]
		type AppealDeposit: Get<Balance>;
		/// The parameters of audits and cases.
		#[pallet::constant]
		type AuditRules: Get<AuditRules>;
		/// Maximum number of audits of a checker in a window.
		#[pallet::constant]
		type MaxAssigned: Get<u32>;
		/// Maximum number of cases that are heard at a time. At most half of them, rounded up, are appeals.
		#[pallet::constant]
		type MaxCases: Get<u32>;
		/// Maximum number of settlements that a block draws from.
		#[pallet::constant]
		type MaxBatches: Get<u32>;
		/// Number of checkers tried after which a block draws from no further settlement.
		#[pallet::constant]
		type MaxLookups: Get<u32>;
		/// Maximum number of hosts that a block adds to the tables.
		#[pallet::constant]
		type TableBatch: Get<u32>;
		/// Maximum number of checkers' lists that a block closes.
		#[pallet::constant]
		type CloseBatch: Get<u32>;
		/// Number of windows for which settlements are kept, so that cases can draw from them. More than
		/// `AuditRules::report_windows` + 1.
		#[pallet::constant]
		type KeptWindows: Get<u32>;
		/// Dispatch weights of calls and hooks.
		type WeightInfo: WeightInfo;
	}

	/// Reasons for holds.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// The deposit of an appeal.
		Appeal,
	}

	/// Calibration profiles by model. Written at genesis and by `set_profile`, for registered models only, so bounded
	/// by governance.
	#[pallet::storage]
	pub type Profiles<T> = StorageMap<_, Twox64Concat, ModelId, CalibrationProfile, OptionQuery>;

	/// Settlements by host and window. Written when a host settles work of a model with a profile, when audits are
	/// drawn, and by reports; kept for `KeptWindows`.
	#[pallet::storage]
	pub type Batches<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, u32, Batch, OptionQuery>;

	/// The keys of `Batches` by the window in which they were posted. Written together with them.
	#[pallet::storage]
	pub type Posted<T: Config> =
		StorageDoubleMap<_, Twox64Concat, u32, Blake2_128Concat, (T::AccountId, u32), (), OptionQuery>;

	/// The oldest window that may have an entry in `Posted`.
	#[pallet::storage]
	pub type OldestPosted<T> = StorageValue<_, u32, ValueQuery>;

	/// The draw in progress. Written from a block near a window's beginning until the draw is done, at the latest until the
	/// window ends.
	#[pallet::storage]
	pub type Drawing<T: Config> = StorageValue<_, Draw<T::AccountId>, OptionQuery>;

	/// Assigned audits, by the window in which they were drawn and by checker. Written by draws and reports; removed
	/// when the deadline has passed.
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

	/// The oldest window that may have open lists.
	#[pallet::storage]
	pub type OldestAssigned<T> = StorageValue<_, u32, ValueQuery>;

	/// Hosts that serve a model, by weighed epoch, model and number: at most the registered hosts. Written while a
	/// table is built; kept until no draw needs it.
	#[pallet::storage]
	pub type TableRows<T: Config> = StorageNMap<
		_,
		(NMapKey<Twox64Concat, EpochIndex>, NMapKey<Twox64Concat, ModelId>, NMapKey<Twox64Concat, u32>),
		Row<T::AccountId>,
		OptionQuery,
	>;

	/// Number of rows and total weight of a table, by weighed epoch and model. Written with `TableRows`.
	#[pallet::storage]
	pub type Tables<T> = StorageDoubleMap<_, Twox64Concat, EpochIndex, Twox64Concat, ModelId, (u32, u64), ValueQuery>;

	/// The tables in progress.
	#[pallet::storage]
	pub type Building<T: Config> = StorageValue<_, Build<T::AccountId>, OptionQuery>;

	/// The last weighed epoch whose tables are complete.
	#[pallet::storage]
	pub type LastBuilt<T> = StorageValue<_, EpochIndex, OptionQuery>;

	/// The epoch of the newest complete tables that are not empty. Checkers are drawn from them.
	#[pallet::storage]
	pub type TableEpoch<T> = StorageValue<_, EpochIndex, OptionQuery>;

	/// The oldest epoch that may have tables left to prune.
	#[pallet::storage]
	pub type OldestTable<T> = StorageValue<_, EpochIndex, ValueQuery>;

	/// Records of hosts: reputation, duties and mutes. Written when a host settles, checks, arbitrates or is judged;
	/// one for each host that ever did.
	#[pallet::storage]
	pub type Records<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Record, OptionQuery>;

	/// Suspicions by host and model. Written by reports, and when a case gives way; removed when a case is opened. At most
	/// one for each model of a host that ever settled.
	#[pallet::storage]
	pub type Suspicions<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		Twox64Concat,
		ModelId,
		Suspicion<T::AccountId>,
		OptionQuery,
	>;

	/// Cases, at most one for each host: those that are heard, and those that are decided and can be appealed. Written by
	/// reports, hooks, rulings and appeals.
	#[pallet::storage]
	pub type Cases<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, CaseOf<T>, OptionQuery>;

	/// The queue of the cases that are heard. Written together with them.
	#[pallet::storage]
	pub type OpenCases<T: Config> = StorageValue<_, BoundedVec<Hearing<T::AccountId>, T::MaxCases>, ValueQuery>;

	/// The hosts whose cases can be appealed, by the last block that may carry the appeal. Written when a case is decided
	/// against its host, at most a few in a block; removed by appeals and by hooks.
	#[pallet::storage]
	pub type Terms<T: Config> =
		StorageDoubleMap<_, Twox64Concat, BlockNumber, Blake2_128Concat, T::AccountId, (), OptionQuery>;

	/// The oldest block that may have an entry in `Terms`.
	#[pallet::storage]
	pub type OldestTerm<T> = StorageValue<_, BlockNumber, ValueQuery>;

	/// The next case's number. It never decreases.
	#[pallet::storage]
	pub type NextCase<T> = StorageValue<_, u32, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A model's profile was set or removed.
		ProfileSet { model: ModelId, profile: Option<CalibrationProfile> },
		/// The tables of an epoch are complete.
		TableBuilt { epoch: EpochIndex },
		/// The audits of a settlement were drawn.
		AuditsDrawn { host: T::AccountId, window: u32, audits: u32 },
		/// A checker reported on `audits` audits that were drawn in a window.
		FindingsSubmitted { checker: T::AccountId, window: u32, audits: u32 },
		/// A checker's list of a window was closed. The checker reported on `met` of `total` audits.
		AuditsClosed { checker: T::AccountId, window: u32, total: u32, met: u32 },
		/// A case was opened: findings about a host reached the alarm.
		CaseOpened { case: u32, host: T::AccountId, model: ModelId },
		/// The arbiters of a case were drawn, each with a number of seats.
		ArbitersDrawn {
			case: u32,
			arbiters: BoundedVec<(T::AccountId, u32), ConstU32<{ gonka_primitives::audit::MAX_SEATS }>>,
		},
		/// An arbiter ruled.
		Ruled { case: u32, arbiter: T::AccountId, outcome: Outcome },
		/// A case or an appeal was closed. The outcome is final.
		CaseClosed { case: u32, host: T::AccountId, outcome: Outcome },
		/// A checker or arbiter had a clear finding opposite to what the arbiters found. It lost its reputation and
		/// is muted.
		Discredited { host: T::AccountId, case: u32 },
		/// A case was decided against its host. The judgement takes effect after block `until`, unless the host appeals.
		Judged { case: u32, host: T::AccountId, outcome: Outcome, until: BlockNumber },
		/// A host appealed. The appeal has a number of its own.
		Appealed { case: u32, host: T::AccountId, appeal: u32 },
		/// A case gave way to one about a heavier host, or to an appeal. Its suspicion stays.
		CaseDisplaced { case: u32, host: T::AccountId },
	}

	#[pallet::error]
	pub enum Error<T> {
		/// There is no such model.
		UnknownModel,
		/// The profile's edges or thresholds are out of order.
		Malformed,
		/// An authorised call's subject does not exist. Cannot happen.
		NotFound,
		/// A list is longer than its bound. Cannot happen.
		LimitExceeded,
		/// The sender has no case of this number that was decided against it and not appealed.
		NoJudgement,
		/// The term of the appeal has passed.
		TermOver,
		/// All hosts that serve the model were arbiters of the case.
		NoLargerDraw,
		/// Too many appeals are heard. Try again when one of them is over.
		TooManyAppeals,
	}

	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// Profiles of models that are registered from the start.
		pub profiles: Vec<(ModelId, CalibrationProfile)>,
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
			let weight = Self::build_table().saturating_add(Self::advance_cases());
			weight.saturating_add(Self::draw_audits()).saturating_add(Self::close_lists())
		}

		fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
			let mut meter = WeightMeter::with_limit(limit);
			Self::prune(&mut meter);
			meter.consumed()
		}

		fn integrity_test() {
			let (rules, window) = (T::AuditRules::get(), T::WindowLength::get());
			assert!(rules.draw_blocks >= 2, "the author of a block knows its beacon in advance");
			let heard = rules.draw_blocks.saturating_add(1)..window;
			assert!(heard.contains(&rules.case_blocks), "a case must be drawn and be over within a window");
			assert!(rules.recovery > 0 && rules.max_audits > 0 && rules.guilty > 0 && rules.innocent > 0);
			assert!(rules.clear > 0, "`clear` must not be 0");
			assert!(
				T::MaxHold::get() >= rules.windows_held(window),
				"fees would be released before cases and appeals about them are over"
			);
			let [few, some, many] = rules.seats;
			assert!(few <= some && some <= many && many < rules.appeal_seats, "an appeal needs the most seats");
			assert!(rules.appeal_seats <= gonka_primitives::audit::MAX_SEATS, "too many seats");
			assert!(
				[few, some, many, rules.appeal_seats].iter().all(|seats| seats % 2 == 1),
				"an even number of seats"
			);
			assert!(rules.shares.is_sorted() && rules.appeal_blocks > 0);
			assert!(
				T::KeptWindows::get() > rules.report_windows.saturating_add(1),
				"`KeptWindows` must outlast reports"
			);
			assert!(T::MaxAssigned::get() > 0 && T::MaxAssigned::get() <= u32::from(u16::MAX));
			assert!(T::MaxCases::get() > 0 && T::MaxBatches::get() > 0 && T::MaxLookups::get() > 0);
			assert!(T::TableBatch::get() > 0 && T::CloseBatch::get() > 0);
			// The bounds on proofs count the nodes that all reads share for each read again: their sum may be larger.
			let block = T::BlockWeights::get().max_block;
			let limit = Weight::from_parts(block.ref_time() / 4, block.proof_size() / 3 * 2);
			let lookups = T::MaxLookups::get().saturating_add(rules.max_audits.saturating_mul(table::ATTEMPTS));
			let rows = T::TableBatch::get().saturating_mul(gonka_primitives::MAX_MODELS_PER_HOST);
			let building = <T as Config>::WeightInfo::build(T::TableBatch::get(), rows);
			let drawing = <T as Config>::WeightInfo::draw(T::MaxBatches::get(), lookups);
			let rest = <T as Config>::WeightInfo::close(T::CloseBatch::get()).saturating_add(
				<T as Config>::WeightInfo::draw_arbiters()
					.max(<T as Config>::WeightInfo::close_case())
					.saturating_mul(cases::PER_BLOCK.into()),
			);
			assert!(building.saturating_add(rest).all_lte(limit), "building needs more than a quarter of a block");
			assert!(drawing.saturating_add(rest).all_lte(limit), "drawing needs more than a quarter of a block");
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Sets or removes a model's calibration profile. The model is audited from the next tables on.
		///
		/// Origin: the market's `RegisterOrigin`. Errors: `UnknownModel`, `Malformed`. Cost: constant.
		#[pallet::call_index(0)]
		#[pallet::weight(<T as Config>::WeightInfo::set_profile())]
		pub fn set_profile(
			origin: OriginFor<T>,
			model: ModelId,
			profile: Option<CalibrationProfile>,
		) -> DispatchResult {
			<T as pallet_inference_market::Config>::RegisterOrigin::ensure_origin(origin)?;
			Self::try_set_profile(model, profile)?;
			Self::deposit_event(Event::ProfileSet { model, profile });
			Ok(())
		}

		/// Reports a checker's findings about its audits.
		///
		/// Origin: a free transaction; `signature` is that of the checker's worker key. Once per audit, in the window
		/// of the draw and `AuditRules::report_windows` more. Cost: linear in the findings, and in the cases that
		/// they open.
		#[pallet::call_index(1)]
		#[pallet::weight({
			let findings = report.findings.len() as u32;
			<T as Config>::WeightInfo::submit_report(findings, findings.min(T::MaxCases::get()))
		})]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_report(new, signature)))]
		#[pallet::weight_of_authorize(
			<T as Config>::WeightInfo::authorize_submit_report(report.findings.len() as u32)
		)]
		pub fn submit_report(
			origin: OriginFor<T>,
			report: AuditReport,
			_signature: Signature,
		) -> DispatchResultWithPostInfo {
			ensure_authorized(origin)?;
			let findings = report.findings.len() as u32;
			let opened = Self::apply_report(report)?;
			Ok(Some(<T as Config>::WeightInfo::submit_report(findings, opened)).into())
		}

		/// Rules in a case.
		///
		/// Origin: a free transaction; `signature` is that of the arbiter's worker key. Once per arbiter and case,
		/// until the case's deadline. Cost: constant; at most 48 findings.
		#[pallet::call_index(2)]
		#[pallet::weight(<T as Config>::WeightInfo::rule())]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_rule(new, signature)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_rule())]
		pub fn rule(origin: OriginFor<T>, ruling: Ruling, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			Self::note_ruling(ruling)
		}

		/// Appeals against the judgement of a case. More arbiters are drawn, and only if they acquit the host is the
		/// judgement reversed; otherwise the deposit is burnt.
		///
		/// Origin: signed, by the host of the case. Errors: `NoJudgement`, `TermOver`, `NoLargerDraw`,
		/// `TooManyAppeals`; `TokenError` if the account has less than `AppealDeposit`. Cost: constant.
		#[pallet::call_index(3)]
		pub fn appeal(origin: OriginFor<T>, case: u32) -> DispatchResult {
			let host = ensure_signed(origin)?;
			Self::try_appeal(host, case)
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Sets or removes a profile.
	fn try_set_profile(model: ModelId, profile: Option<CalibrationProfile>) -> Result<(), Error<T>> {
		if let Some(profile) = &profile {
			ensure!(Market::<T>::is_registered(model), Error::<T>::UnknownModel);
			ensure!(profile.is_well_formed(), Error::<T>::Malformed);
		}
		Profiles::<T>::set(model, profile);
		Ok(())
	}

	/// The block that is executed; in the pool, the block after the best one.
	pub(crate) fn now() -> BlockNumber {
		frame_system::Pallet::<T>::block_number().unique_saturated_into()
	}

	/// The running window.
	pub(crate) fn running() -> u32 {
		Self::now().checked_div(T::WindowLength::get()).unwrap_or_default()
	}

	/// The running epoch.
	pub(crate) fn epoch() -> EpochIndex {
		Poc::<T>::running_epoch().map_or(0, |epoch| epoch.index)
	}

	/// A host's record as of the running epoch.
	pub fn record(host: &T::AccountId) -> Record {
		let (epoch, rules) = (Self::epoch(), T::AuditRules::get());
		Records::<T>::get(host).map_or(Record { epoch, ..Default::default() }, |record| record.at(epoch, &rules))
	}

	/// Updates a host's record, unless the host is forgotten. This marks the host as active in the running epoch.
	pub(crate) fn update_record(host: &T::AccountId, change: impl FnOnce(&mut Record)) {
		if Self::is_forgotten(host) {
			return;
		}
		let mut record = Self::record(host);
		change(&mut record);
		Records::<T>::insert(host, record);
	}
}
