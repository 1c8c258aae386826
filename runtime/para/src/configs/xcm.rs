//! Messages to and from the relay chain and its asset hub (XCM).
//!
//! This chain is the reserve of GNK: GNK that leaves stays here on the account of the receiving parachain, and only that can
//! send it back. Nothing is teleported, no other asset is accepted, and no other chain can dispatch calls here, the relay chain
//! included. The sender of a message pays for its execution in GNK. The relay chain has no account here: GNK that was sent there
//! would be lost.

use super::{
	consensus::{MAX_BLOCK, WeightToFee},
	governance::EnsureEmergency,
};
use crate::*;
use cumulus_primitives_core::{AggregateMessageOrigin, ParaId};
use frame_support::{
	parameter_types,
	traits::{ConstU32, Contains, Disabled, Equals, Everything, Nothing, TransformOrigin},
	weights::Weight,
};
use frame_system::{EnsureRoot, EnsureRootWithSuccess};
use parachains_common::message_queue::{NarrowOriginToSibling, ParaIdToSibling};
use polkadot_parachain_primitives::primitives::Sibling;
use polkadot_runtime_common::xcm_sender::ExponentialPrice;
use staging_xcm::latest::prelude::*;
use staging_xcm_builder::{
	AccountId32Aliases, AllowHrmpNotificationsFromRelayChain, AllowKnownQueryResponses, AllowSubscriptionsFrom,
	AllowTopLevelPaidExecutionFrom, EnsureXcmOrigin, FixedWeightBounds, FrameTransactionalProcessor, FungibleAdapter,
	IsConcrete, SiblingParachainConvertsVia, SignedToAccountId32, TakeWeightCredit, TrailingSetTopicAsId,
	UsingComponents, WithComputedOrigin, WithUniqueTopic, XcmFeeManagerFromComponents,
};
use staging_xcm_executor::XcmExecutor;

/// The relay chain. Its name matters only for messages that cross bridges, which this chain neither sends nor accepts, so other
/// relay chains do as well.
const RELAY: NetworkId = NetworkId::Polkadot;
/// The number of the asset hub, on all relay chains.
pub const ASSET_HUB: u32 = 1_000;
/// Maximum number of instructions in a message.
const MAX_INSTRUCTIONS: u32 = 100;

parameter_types! {
	/// This chain, and so GNK, seen from here.
	pub const GnkLocation: Location = Location::here();
	pub const RelayNetwork: Option<NetworkId> = Some(RELAY);
	pub UniversalLocation: InteriorLocation =
		[GlobalConsensus(RELAY), Parachain(ParachainInfo::parachain_id().into())].into();
	/// The asset GNK.
	pub GnkId: AssetId = AssetId(Location::here());
	/// Dispatch weight of an instruction: more than any takes, since instructions are not measured.
	pub const InstructionWeight: Weight = Weight::from_parts(1_000_000_000, 16 * 1024);
	/// Dispatch weight of a call of `pallet-xcm`, likewise. A call that sends a message proves a page of the queue.
	pub const CallWeight: Weight = Weight::from_parts(1_000_000_000, 128 * 1024);
	/// Base units for sending a message, while the queue is short: 0.01 GNK.
	pub const DeliveryFee: Balance = GNK / 100;
	/// Base units for each byte of it.
	pub const DeliveryByteFee: Balance = 1_000;
	/// Dispatch weight of a block that the execution of messages may take.
	pub MessageWeight: Option<Weight> = Some(MAX_BLOCK.saturating_div(5));
}

/// The accounts of other parachains, and those that messages name as beneficiaries.
pub type Accounts = (SiblingParachainConvertsVia<Sibling, AccountId>, AccountId32Aliases<RelayNetwork, AccountId>);

/// The asset hub, and accounts there.
pub struct AssetHub;

impl Contains<Location> for AssetHub {
	fn contains(location: &Location) -> bool {
		matches!(location.unpack(), (1, [Parachain(ASSET_HUB), ..]))
	}
}

/// The chains that are told when this chain knows a newer version of messages.
pub struct Subscribers;

impl Contains<Location> for Subscribers {
	fn contains(location: &Location) -> bool {
		matches!(location.unpack(), (1, [] | [Parachain(ASSET_HUB)]))
	}
}

/// The messages that are executed. Local ones, of this chain's own accounts, come with weight that is paid for already.
pub type Barrier = TrailingSetTopicAsId<(
	TakeWeightCredit,
	AllowKnownQueryResponses<PolkadotXcm>,
	WithComputedOrigin<
		(
			AllowTopLevelPaidExecutionFrom<AssetHub>,
			AllowSubscriptionsFrom<Subscribers>,
			AllowHrmpNotificationsFromRelayChain,
		),
		UniversalLocation,
		ConstU32<8>,
	>,
)>;

/// Moves GNK.
pub type Gnk = FungibleAdapter<Balances, IsConcrete<GnkLocation>, Accounts, AccountId, ()>;
/// Weighs messages.
pub type Weigher = FixedWeightBounds<InstructionWeight, RuntimeCall, ConstU32<MAX_INSTRUCTIONS>>;
/// The fee for a message, which rises while the queue `F` is long.
type Price<F> = ExponentialPrice<GnkId, DeliveryFee, DeliveryByteFee, F>;
/// Sends messages to the relay chain and to parachains with which there is a channel.
pub type Router = WithUniqueTopic<(
	cumulus_primitives_utility::ParentAsUmp<ParachainSystem, PolkadotXcm, Price<ParachainSystem>>,
	XcmpQueue,
)>;

/// The configuration of the executor.
pub struct Config;

impl staging_xcm_executor::Config for Config {
	type Aliasers = Nothing;
	type AssetExchanger = ();
	type AssetLocker = ();
	type AssetTransactor = Gnk;
	type AssetTrap = PolkadotXcm;
	type Barrier = Barrier;
	type CallDispatcher = RuntimeCall;
	// Fees are burnt, as those of transactions. The chain itself pays none.
	type FeeManager = XcmFeeManagerFromComponents<Equals<GnkLocation>, ()>;
	type HrmpChannelAcceptedHandler = ();
	type HrmpChannelClosingHandler = ();
	type HrmpNewChannelOpenRequestHandler = ();
	type IsReserve = ();
	type IsTeleporter = ();
	type MaxAssetsIntoHolding = ConstU32<8>;
	type MessageExporter = ();
	// No origin for `Transact`.
	type OriginConverter = ();
	type PalletInstancesInfo = AllPalletsWithSystem;
	type ResponseHandler = PolkadotXcm;
	type RuntimeCall = RuntimeCall;
	// And no call for it, either.
	type SafeCallFilter = Nothing;
	type SubscriptionService = PolkadotXcm;
	type Trader = UsingComponents<WeightToFee, GnkLocation, AccountId, Balances, ()>;
	type TransactionalProcessor = FrameTransactionalProcessor;
	type UniversalAliases = Nothing;
	type UniversalLocation = UniversalLocation;
	type Weigher = Weigher;
	type XcmEventEmitter = PolkadotXcm;
	type XcmRecorder = PolkadotXcm;
	type XcmSender = Router;
}

/// Dispatch weights of `pallet-xcm`, which comes without measured ones.
pub struct XcmWeights;

/// Writes a constant for each call, and one with a part for each byte or item.
macro_rules! constant_weights {
	($($call:ident)+; $($sized:ident: $each:literal)+) => {
		impl pallet_xcm::WeightInfo for XcmWeights {
			$(fn $call() -> Weight {
				CallWeight::get()
			})+
			$(fn $sized(number: u32) -> Weight {
				CallWeight::get().saturating_add(Weight::from_parts($each, 0).saturating_mul(number.into()))
			})+
		}
	};
}
constant_weights! {
	send teleport_assets reserve_transfer_assets transfer_assets execute force_xcm_version force_default_xcm_version
	force_subscribe_version_notify force_unsubscribe_version_notify force_suspension migrate_supported_version
	migrate_version_notifiers already_notified_target notify_current_targets notify_target_migration_fail
	migrate_version_notify_targets migrate_and_notify_old_targets new_query take_response add_authorized_alias
	remove_authorized_alias;
	claim_assets: 1_000_000_000
	weigh_message: 200_000
	decode_xcm: 50_000
}

impl pallet_xcm::Config for Runtime {
	type AdminOrigin = EnsureRoot<AccountId>;
	type AdvertisedXcmVersion = pallet_xcm::CurrentXcmVersion;
	// Nobody acts for another location.
	type AuthorizedAliasConsideration = Disabled;
	type Currency = Balances;
	type CurrencyMatcher = IsConcrete<GnkLocation>;
	type ExecuteXcmOrigin = EnsureXcmOrigin<RuntimeOrigin, SignedToAccountId32<RuntimeOrigin, AccountId, RelayNetwork>>;
	type MaxLockers = ConstU32<0>;
	type MaxRemoteLockConsumers = ConstU32<0>;
	type RemoteLockConsumerIdentifier = ();
	type RuntimeCall = RuntimeCall;
	type RuntimeEvent = RuntimeEvent;
	type RuntimeOrigin = RuntimeOrigin;
	// The track of upgrades speaks for the chain, for example to open a channel. Nobody else sends what it likes.
	type SendXcmOrigin = EnsureRootWithSuccess<AccountId, GnkLocation>;
	type SovereignAccountOf = Accounts;
	type TrustedLockers = ();
	type UniversalLocation = UniversalLocation;
	type Weigher = Weigher;
	type WeightInfo = XcmWeights;
	// Accounts use the calls for transfers.
	type XcmExecuteFilter = Nothing;
	type XcmExecutor = XcmExecutor<Config>;
	type XcmReserveTransferFilter = Everything;
	type XcmRouter = Router;
	type XcmTeleportFilter = Nothing;
	const VERSION_DISCOVERY_QUEUE_SIZE: u32 = 16;
}

impl cumulus_pallet_xcm::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type XcmExecutor = XcmExecutor<Config>;
}

impl cumulus_pallet_xcmp_queue::Config for Runtime {
	type ChannelInfo = ParachainSystem;
	// Stops the execution of messages in an emergency.
	type ControllerOrigin = EnsureEmergency;
	type ControllerOriginConverter = ();
	type MaxActiveOutboundChannels = ConstU32<16>;
	type MaxInboundSuspended = ConstU32<16>;
	type MaxPageSize = ConstU32<{ 103 * 1024 }>;
	type PriceForSiblingDelivery = Price<XcmpQueue>;
	type RuntimeEvent = RuntimeEvent;
	type VersionWrapper = PolkadotXcm;
	type WeightInfo = cumulus_pallet_xcmp_queue::weights::SubstrateWeight<Runtime>;
	type XcmpQueue = TransformOrigin<MessageQueue, AggregateMessageOrigin, ParaId, ParaIdToSibling>;
}

impl pallet_message_queue::Config for Runtime {
	type HeapSize = ConstU32<{ 103 * 1024 }>;
	type IdleMaxServiceWeight = ();
	type MaxStale = ConstU32<8>;
	#[cfg(feature = "runtime-benchmarks")]
	type MessageProcessor = pallet_message_queue::mock_helpers::NoopMessageProcessor<AggregateMessageOrigin>;
	#[cfg(not(feature = "runtime-benchmarks"))]
	type MessageProcessor =
		staging_xcm_builder::ProcessXcmMessage<AggregateMessageOrigin, XcmExecutor<Config>, RuntimeCall>;
	type QueueChangeHandler = NarrowOriginToSibling<XcmpQueue>;
	type QueuePausedQuery = NarrowOriginToSibling<XcmpQueue>;
	type RuntimeEvent = RuntimeEvent;
	type ServiceWeight = MessageWeight;
	type Size = u32;
	type WeightInfo = pallet_message_queue::weights::SubstrateWeight<Runtime>;
}
