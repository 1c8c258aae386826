#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod channels;
mod fees;
mod forget;
mod genesis;
mod prices;
mod settlement;
#[cfg(any(feature = "try-runtime", test))]
mod try_state;
mod types;
mod views;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
#[cfg(test)]
mod tests;

use gonka_primitives::{
	Balance, ChannelId, MAX_MODELS_PER_HOST, ModelId,
	traits::{FeeDecisions, HostRegistry, OnServed, OnSettlement},
};
use polkadot_sdk::*;

pub use fees::{Held, HeldFee, TransactionFee};
pub use genesis::GenesisModel;
pub use gonka_primitives::validity::InferenceMarket as ValidityError;
pub use pallet::*;
pub use prices::{PriceRule, Steering};
pub use types::{Channel, Model, Name, Quantisation};
pub use views::MAX_PAGE;
pub use weights::WeightInfo;

// `expect` is what the macro itself writes for storage prefixes; there is none in the code below. A model has many fields.
#[allow(clippy::expect_used, clippy::too_many_arguments)]
#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use alloc::vec::Vec;
	use frame_support::{
		pallet_prelude::*,
		traits::fungible::{
			Inspect, Mutate,
			hold::{Inspect as InspectHold, Mutate as MutateHold},
		},
	};
	use frame_system::pallet_prelude::*;
	use gonka_pallet_support::pool::authorize;
	use gonka_primitives::{
		BlockNumber, EpochIndex, Hash, PublicKey, Signature,
		market::{Price, Settlement, Totals},
		merkle_sum::SumNode,
	};

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	pub trait Config: polkadot_sdk::frame_system::Config<AccountId: From<[u8; 32]> + Into<[u8; 32]>> {
		/// GNK.
		type Currency: MutateHold<Self::AccountId>
			+ InspectHold<Self::AccountId, Reason = Self::RuntimeHoldReason>
			+ Inspect<Self::AccountId, Balance = Balance>
			+ Mutate<Self::AccountId>;

		/// The runtime's reasons to hold money.
		type RuntimeHoldReason: From<HoldReason>;

		/// Hosts, their workers' keys, their models and their weights.
		type Hosts: HostRegistry<Self::AccountId>;

		/// The price of a settlement's block space.
		type TransactionFee: TransactionFee;

		/// Receives the work that hosts served and that counts.
		type OnServed: OnServed<Self::AccountId>;

		/// Hash of the genesis block, which every signature covers. `frame_system` forgets it after `BlockHashCount` blocks.
		type Genesis: Get<Hash>;

		/// Receives settlements, to draw audits from them.
		type OnSettlement: OnSettlement<Self::AccountId>;

		/// Decides by a window's audits whether its fees are released or refunded.
		type FeeDecisions: FeeDecisions<Self::AccountId>;

		/// The running PoC epoch.
		type Epoch: Get<EpochIndex>;

		/// Number of epochs, from the first on, in which inference is free of charge.
		type FreeEpochs: Get<EpochIndex>;

		/// How far use moves prices.
		type Steering: Get<Steering>;

		/// Origin that registers, prices and retires models.
		type RegisterOrigin: EnsureOrigin<Self::RuntimeOrigin>;

		/// Length of a settlement window in blocks. At least 1.
		#[pallet::constant]
		type WindowLength: Get<BlockNumber>;

		/// Number of blocks between the closing of a channel and its withdrawal. More than `WindowLength`, so that a host
		/// can settle the window in which it learns of the closing.
		type ChallengePeriod: Get<BlockNumber>;

		/// Minimum deposit of a channel, in base units.
		type MinDeposit: Get<Balance>;

		/// Maximum number of vouchers in a settlement.
		#[pallet::constant]
		type MaxVouchers: Get<u32>;

		/// Maximum number of channels in one opening or top-up.
		#[pallet::constant]
		type MaxChannelsPerCall: Get<u32>;

		/// Maximum number of registered models.
		#[pallet::constant]
		type MaxModels: Get<u32>;

		/// Number of roots kept per host. At least 1.
		#[pallet::constant]
		type KeptSettlements: Get<u32>;

		/// Maximum number of held fees on which a block decides, however full it is. The fees that are due in a window must
		/// fit into its blocks. At least `MaxVouchers`.
		#[pallet::constant]
		type MaxReleases: Get<u32>;

		/// Number of windows from settlement until the pallet first asks for a decision. At least 2: the rest of the running
		/// one and the whole next one.
		type MinHold: Get<u32>;

		/// Number of windows after which fees without a decision are released. At least `MinHold`.
		type MaxHold: Get<u32>;

		/// Dispatch weights of the calls and hooks.
		type WeightInfo: WeightInfo;

		/// Registers hosts.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
	}

	/// Reasons for holds.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// Deposits of payment channels and settled fees that are not released yet.
		ChannelDeposit,
	}

	/// The next model's id. Written by `register_model` and at genesis; never falls. One value.
	#[pallet::storage]
	pub type NextModelId<T: Config> = StorageValue<_, ModelId, ValueQuery>;

	/// The registered models. Written by `register_model`, `set_price`, `set_price_rule`, `retire_model`, at genesis and when
	/// prices move. At most `MaxModels`.
	/// TWOX-NOTE: a counter assigns the ids.
	#[pallet::storage]
	pub type Models<T: Config> = CountedStorageMap<_, Twox64Concat, ModelId, Model>;

	/// Ids of the registered models by name. Written with `Models`, same bound. Blake: users choose names.
	#[pallet::storage]
	pub type ModelNames<T: Config> = StorageMap<_, Blake2_128Concat, Name, ModelId>;

	/// Work units settled for a registered model since the running window began, as far as they count. Written by `settle`;
	/// removed when prices move and by `retire_model`. At most `MaxModels`. TWOX-NOTE: a counter assigns the ids.
	#[pallet::storage]
	pub type WindowWork<T: Config> = StorageMap<_, Twox64Concat, ModelId, u64, ValueQuery>;

	/// The next channel's id. Written by `open_channels`; never falls. One value.
	#[pallet::storage]
	pub type NextChannelId<T: Config> = StorageValue<_, ChannelId, ValueQuery>;

	/// Channels, closing ones included. Written by `open_channels`, `top_up`, `close_channel`, `settle`; removed by
	/// `withdraw`. Bounded by the supply divided by `MinDeposit`. TWOX-NOTE: a counter assigns the ids.
	#[pallet::storage]
	pub type Channels<T: Config> = StorageMap<_, Twox64Concat, ChannelId, Channel<T::AccountId>>;

	/// The channel of a developer, a host and a gateway, while it is not closing. Written by `open_channels`, removed by
	/// `close_channel`. At most as many as `Channels`. Blake: users choose accounts and keys.
	#[pallet::storage]
	pub type OpenChannels<T: Config> =
		StorageMap<_, Blake2_128Concat, (T::AccountId, T::AccountId, PublicKey), ChannelId>;

	/// A developer's channels, closing ones included. Written by `open_channels`, removed by `withdraw`. As many as
	/// `Channels`. Blake: users choose accounts. TWOX-NOTE: a counter assigns the ids.
	#[pallet::storage]
	pub type DeveloperChannels<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, ChannelId, ()>;

	/// The channels that pay a host, closing ones included. Written and bounded as `DeveloperChannels`.
	#[pallet::storage]
	pub type HostChannels<T: Config> = StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, ChannelId, ()>;

	/// Windows whose root is kept, by host, ascending. The last one is the window that the host settled last. Written by
	/// `settle`. At most `KeptSettlements` for each host that ever settled. Blake: users choose accounts.
	#[pallet::storage]
	pub type SettledWindows<T: Config> =
		StorageMap<_, Blake2_128Concat, T::AccountId, BoundedVec<u32, T::KeptSettlements>, ValueQuery>;

	/// Roots of settled windows, by window and host. Written by `settle`, which also removes the host's oldest. At most
	/// `KeptSettlements` a host. TWOX-NOTE: the clock numbers windows. Blake: users choose accounts.
	#[pallet::storage]
	pub type Settlements<T: Config> =
		StorageDoubleMap<_, Twox64Concat, u32, Blake2_128Concat, T::AccountId, SumNode<Totals>>;

	/// Fees that wait for a decision, by host and window. Written by `settle`; removed when they are released or refunded.
	/// Bounded by the settlements of `MaxHold` windows. Blake: users choose accounts. TWOX-NOTE: the clock numbers windows.
	#[pallet::storage]
	pub type HeldFees<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, u32, Held<T::AccountId, T::MaxVouchers>>;

	/// Keys of `HeldFees` by the window in which the pallet asks for a decision. Written with `HeldFees`, as many.
	/// TWOX-NOTE: the clock numbers windows. Blake: users choose accounts.
	#[pallet::storage]
	pub type DueFees<T: Config> = StorageDoubleMap<_, Twox64Concat, u32, Blake2_128Concat, (T::AccountId, u32), ()>;

	/// The first window in which fees may be due. Written by the hooks; never falls. One value.
	#[pallet::storage]
	pub type OldestDue<T: Config> = StorageValue<_, u32, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(crate) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A model was registered.
		ModelRegistered {
			/// Its id.
			model: ModelId,
			/// Its name.
			name: Name,
		},
		/// A model has a new price.
		PriceSet {
			/// The model.
			model: ModelId,
			/// Base units per token.
			price: Price,
		},
		/// A model has a new price rule.
		PriceRuleSet {
			/// The model.
			model: ModelId,
			/// Capacity and bounds.
			rule: PriceRule,
		},
		/// A price moved by use.
		PriceMoved {
			/// The model.
			model: ModelId,
			/// Base units per token.
			price: Price,
			/// Work units settled in the window that ended.
			work: u64,
		},
		/// A model was retired.
		ModelRetired {
			/// The model.
			model: ModelId,
		},
		/// A developer opened a channel.
		ChannelOpened {
			/// Its id.
			channel: ChannelId,
			/// The account that pays.
			developer: T::AccountId,
			/// The account that is paid.
			host: T::AccountId,
			/// The key that signs vouchers for the developer.
			gateway: PublicKey,
			/// Base units paid in.
			deposit: Balance,
		},
		/// A developer paid more into a channel.
		ChannelToppedUp {
			/// The channel.
			channel: ChannelId,
			/// Base units added.
			amount: Balance,
		},
		/// The challenge period of a channel began.
		ChannelClosing {
			/// The channel.
			channel: ChannelId,
			/// First block in which the rest can be withdrawn.
			closes: BlockNumber,
		},
		/// A channel was removed and its rest released to the developer.
		ChannelWithdrawn {
			/// The channel.
			channel: ChannelId,
			/// Base units released to the developer.
			amount: Balance,
		},
		/// A host settled a window; the fees are held.
		Settled {
			/// The host.
			host: T::AccountId,
			/// The window.
			window: u32,
			/// Growth of its vouchers.
			totals: Totals,
		},
		/// A host was paid for a window.
		FeesReleased {
			/// The host.
			host: T::AccountId,
			/// The window.
			window: u32,
			/// Base units.
			amount: Balance,
		},
		/// The fees of a host's window were refunded to the developers.
		FeesRefunded {
			/// The host.
			host: T::AccountId,
			/// The window.
			window: u32,
			/// Base units.
			amount: Balance,
		},
		/// The price of a settlement's block space was burnt.
		Charged {
			/// The host.
			host: T::AccountId,
			/// The window.
			window: u32,
			/// Base units.
			amount: Balance,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// There is no such model or channel, no fees are held, or the host is not registered.
		NotFound,
		/// A model of that name is registered, or the parties have an open channel.
		AlreadyExists,
		/// The sender is not a party of the channel that may do this.
		NotAuthorized,
		/// The maximum number is reached.
		LimitExceeded,
		/// A name is empty or not printable ASCII, the context length is 0, a minimum price is 0 or above the maximum.
		Malformed,
		/// A deposit is below the minimum, or a top-up is 0.
		AmountTooLow,
		/// The channel is closing.
		AlreadyClosing,
		/// The channel is open, or its challenge period is not over.
		NotClosed,
		/// An id or a sum overflows.
		Overflow,
		/// The settlement is not the one that was authorised. Cannot happen.
		InvalidSettlement,
		/// The price is not within the model's bounds.
		PriceOutOfBounds,
	}

	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// Models registered from the start.
		pub models: Vec<GenesisModel>,
		#[serde(skip)]
		#[doc(hidden)]
		pub _config: core::marker::PhantomData<T>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			for genesis in &self.models {
				let added = genesis.model().map(Pallet::<T>::add_model);
				assert!(matches!(added, Some(Ok(_))), "bad model in the genesis configuration: {genesis:?}");
			}
		}
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			let weight = T::WeightInfo::release_fees(Self::release_due(T::MaxReleases::get()));
			if Self::now().checked_rem(T::WindowLength::get()) != Some(0) {
				return weight;
			}
			// Use without charge says nothing about the value of the work.
			weight.saturating_add(T::WeightInfo::move_prices(Self::move_prices(Self::is_free())))
		}

		fn integrity_test() {
			assert!(T::WindowLength::get() > 0, "`WindowLength` is 0");
			assert!(T::ChallengePeriod::get() > T::WindowLength::get(), "`ChallengePeriod` is at most a window");
			assert!(T::KeptSettlements::get() > 0, "`KeptSettlements` is 0: the last window would be forgotten");
			assert!(T::MaxVouchers::get() > 0, "`MaxVouchers` is 0");
			assert!(T::MaxChannelsPerCall::get() > 0, "`MaxChannelsPerCall` is 0");
			assert!(T::Steering::get().is_sound(), "`Steering` leaves no room below, above or between its shares");
			Self::assert_limits();
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Registers a model under the next id. Its price moves by `rule`.
		///
		/// - Origin: `RegisterOrigin`.
		/// - Effects: hosts may declare to serve it. Event `ModelRegistered`.
		/// - Errors: `Malformed`, `PriceOutOfBounds`, `AlreadyExists` (the name), `LimitExceeded` (`MaxModels`), `Overflow`.
		/// - Cost: constant.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::register_model())]
		pub fn register_model(
			origin: OriginFor<T>,
			name: Name,
			weights_hash: Hash,
			tokenizer_hash: Hash,
			quantisation: Quantisation,
			context_length: u32,
			price: Price,
			memory_mb: u32,
			min_worker_version: u32,
			rule: PriceRule,
		) -> DispatchResult {
			T::RegisterOrigin::ensure_origin(origin)?;
			Self::add_model(Model {
				name,
				weights_hash,
				tokenizer_hash,
				quantisation,
				context_length,
				price,
				memory_mb,
				min_worker_version,
				rule,
			})
		}

		/// Removes a model and frees its name. Its id is never reused. Requests that were made before can still be settled.
		///
		/// - Origin: `RegisterOrigin`.
		/// - Effects: hosts can no longer declare it. Event `ModelRetired`.
		/// - Errors: `NotFound`.
		/// - Cost: constant.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::retire_model())]
		pub fn retire_model(origin: OriginFor<T>, model: ModelId) -> DispatchResult {
			T::RegisterOrigin::ensure_origin(origin)?;
			let removed = Models::<T>::take(model).ok_or(Error::<T>::NotFound)?;
			ModelNames::<T>::remove(removed.name);
			WindowWork::<T>::remove(model);
			Self::deposit_event(Event::ModelRetired { model });
			Ok(())
		}

		/// Sets a model's price, in base units per token. Envelopes signed before keep the price they carry.
		///
		/// - Origin: `RegisterOrigin`.
		/// - Effects: event `PriceSet`.
		/// - Errors: `NotFound`, `PriceOutOfBounds`.
		/// - Cost: constant.
		#[pallet::call_index(2)]
		#[pallet::weight(T::WeightInfo::set_price())]
		pub fn set_price(origin: OriginFor<T>, model: ModelId, price: Price) -> DispatchResult {
			T::RegisterOrigin::ensure_origin(origin)?;
			Models::<T>::try_mutate(model, |entry| {
				let entry = entry.as_mut().ok_or(Error::<T>::NotFound)?;
				ensure!(entry.rule.allows(&price), Error::<T>::PriceOutOfBounds);
				entry.price = price;
				Self::deposit_event(Event::PriceSet { model, price });
				Ok(())
			})
		}

		/// Opens channels to several hosts for one gateway key. The deposits, in base units, are put on hold.
		///
		/// - Origin: signed, by the developer.
		/// - Effects: all channels are opened, or none. Event `ChannelOpened` for each.
		/// - Errors: `AmountTooLow` (`MinDeposit`), `NotFound` (host), `AlreadyExists` (an open channel of the same
		///   developer, host and gateway), `Overflow`; `TokenError` if the account has too little.
		/// - Cost: linear in the number of channels.
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::open_channels(channels.len() as u32))]
		pub fn open_channels(
			origin: OriginFor<T>,
			gateway: PublicKey,
			channels: BoundedVec<(T::AccountId, Balance), T::MaxChannelsPerCall>,
		) -> DispatchResult {
			let developer = ensure_signed(origin)?;
			let mut sum = Balance::default();
			for (host, deposit) in channels {
				ensure!(deposit >= T::MinDeposit::get(), Error::<T>::AmountTooLow);
				ensure!(T::Hosts::worker(&host).is_some(), Error::<T>::NotFound);
				sum = sum.checked_add(deposit).ok_or(Error::<T>::Overflow)?;
				Self::add_channel(developer.clone(), host, gateway, deposit)?;
			}
			T::Currency::hold(&HoldReason::ChannelDeposit.into(), &developer, sum)
		}

		/// Adds to the deposits of channels, in base units.
		///
		/// - Origin: signed, by the channels' developer.
		/// - Effects: all are topped up, or none. Event `ChannelToppedUp` for each.
		/// - Errors: `AmountTooLow` (0), `NotFound`, `NotAuthorized`, `AlreadyClosing`, `Overflow`; `TokenError` if the account
		///   has too little.
		/// - Cost: linear in the number of channels.
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::top_up(amounts.len() as u32))]
		pub fn top_up(
			origin: OriginFor<T>,
			amounts: BoundedVec<(ChannelId, Balance), T::MaxChannelsPerCall>,
		) -> DispatchResult {
			let developer = ensure_signed(origin)?;
			let mut sum = Balance::default();
			for (id, amount) in amounts {
				sum = sum.checked_add(amount).ok_or(Error::<T>::Overflow)?;
				Self::add_deposit(&developer, id, amount)?;
			}
			T::Currency::hold(&HoldReason::ChannelDeposit.into(), &developer, sum)
		}

		/// Starts a channel's challenge period. The host can settle vouchers until the channel is withdrawn.
		///
		/// - Origin: signed, by the developer or the host.
		/// - Effects: the parties may open another channel. Event `ChannelClosing`.
		/// - Errors: `NotFound`, `NotAuthorized`, `AlreadyClosing`.
		/// - Cost: constant.
		#[pallet::call_index(5)]
		#[pallet::weight(T::WeightInfo::close_channel())]
		pub fn close_channel(origin: OriginFor<T>, id: ChannelId) -> DispatchResult {
			Self::start_closing(&ensure_signed(origin)?, id)
		}

		/// Removes a channel after its challenge period.
		///
		/// - Origin: signed, by anyone.
		/// - Effects: the rest of the deposit is released to the developer. Fees that wait for a decision stay on hold. Event
		///   `ChannelWithdrawn`.
		/// - Errors: `NotFound`, `NotClosed`.
		/// - Cost: constant.
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::withdraw())]
		pub fn withdraw(origin: OriginFor<T>, id: ChannelId) -> DispatchResult {
			ensure_signed(origin)?;
			Self::remove_channel(id)
		}

		/// Settles a window of a host. The call has no account nonce or signer: the worker's signature among its arguments
		/// authorises it. The host's account, or else the settled fees, pay for its block space.
		///
		/// - Origin: authorised; [`ValidityError`] names what the transaction pool rejects.
		/// - Effects: the channels' settled totals become the vouchers' totals, their fees wait for a decision, work is counted,
		///   the root is kept. Events `Settled`, and `Charged` if the host's account pays.
		/// - Errors: none after authorisation.
		/// - Cost: linear in the number of vouchers, with a signature check for each, and in the number of models.
		#[pallet::call_index(7)]
		#[pallet::weight((
			T::WeightInfo::settle(settlement.vouchers.len() as u32, settlement.work.len() as u32),
			DispatchClass::Normal,
			Pays::No
		))]
		#[pallet::weight_of_authorize(T::WeightInfo::authorize_settle(
			settlement.vouchers.len() as u32,
			settlement.work.len() as u32
		))]
		#[pallet::authorize(|_, settlement, signature| authorize(Self::validate_settle(settlement, signature)))]
		pub fn settle(origin: OriginFor<T>, settlement: Settlement, signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let _ = signature;
			Self::apply_settlement(&settlement)
		}

		/// Sets a model's capacity and the bounds of its price, and brings the price within them.
		///
		/// - Origin: `RegisterOrigin`.
		/// - Effects: events `PriceRuleSet`, and `PriceSet` if the price was out of bounds.
		/// - Errors: `NotFound`, `Malformed`.
		/// - Cost: constant.
		#[pallet::call_index(8)]
		#[pallet::weight(T::WeightInfo::set_price_rule())]
		pub fn set_price_rule(origin: OriginFor<T>, model: ModelId, rule: PriceRule) -> DispatchResult {
			T::RegisterOrigin::ensure_origin(origin)?;
			Self::change_rule(model, rule)
		}
	}
}
