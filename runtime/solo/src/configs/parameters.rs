//! The numbers that governance changes, with their defaults and bounds. `docs/governance.md` has the table.

use crate::*;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
	dynamic_params::{dynamic_pallet_params, dynamic_params},
	parameter_types,
	traits::{Contains, EnsureOriginWithArg, Get},
};
use gonka_primitives::{EpochIndex, check::Offence, epoch::Schedule};
use gonka_runtime_common::{EXISTENTIAL_DEPOSIT, LEAST_WORK, MAX_HOSTS, SETTLE_BATCH, Time};
use pallet_governance::EnsureTrack;
use pallet_inference_market::Steering;
use pallet_poc::types::{LEAST_CAP, MAX_CONFIRMATIONS, MAX_SEGMENTS};
use scale_info::TypeInfo;
use sp_runtime::Perbill;

/// Since when workers must have which version.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct WorkerVersion {
	/// major · 10⁶ + minor · 10³ + patch.
	pub version: u32,
	/// The first block in which an older one is too old.
	pub from: BlockNumber,
}

/// Shorter, as these stand for percentages in the table below.
const fn percent(share: u32) -> Perbill {
	Perbill::from_percent(share)
}

#[dynamic_params(RuntimeParameters, pallet_parameters::Parameters::<Runtime>)]
pub mod dynamic {
	use super::*;

	/// What backs weight, and what offences cost.
	#[dynamic_pallet_params]
	#[codec(index = 0)]
	pub mod collateral {
		/// Epochs, from the first on, in which weight needs no backing.
		#[codec(index = 0)]
		pub static GracePeriod: EpochIndex = 180;
		/// The share of weight that needs none.
		#[codec(index = 1)]
		pub static BaseShare: Perbill = percent(20);
		/// Base units that back one leaf.
		#[codec(index = 2)]
		pub static PerWeight: Balance = Time::THIS.collateral_per_weight;
		/// The share that fraud costs.
		#[codec(index = 3)]
		pub static FraudSlash: Perbill = percent(20);
		/// The share that false digests and missed duties cost.
		#[codec(index = 4)]
		pub static DutySlash: Perbill = percent(10);
	}

	/// What is mined.
	#[dynamic_pallet_params]
	#[codec(index = 1)]
	pub mod emission {
		/// The part of the unmined supply that an epoch may mint, in parts of 2⁶⁴.
		#[codec(index = 0)]
		pub static Rate: u64 = pallet_emission::math::FACTOR;
	}

	/// Epochs, hosts and power.
	#[dynamic_pallet_params]
	#[codec(index = 2)]
	pub mod poc {
		/// The phases of an epoch.
		#[codec(index = 0)]
		pub static Phases: Schedule = Time::THIS.schedule;
		/// Leading zero bits of a registration's proof of work.
		#[codec(index = 1)]
		pub static RegistrationBits: u32 = Time::THIS.registration_bits;
		/// Epochs after which an idle host is forgotten.
		#[codec(index = 2)]
		pub static HostExpiry: EpochIndex = 7;
		/// The largest share of all weight that one host may have.
		#[codec(index = 3)]
		pub static MaxShare: Perbill = percent(30);
		/// The share of consensus power that the genesis guardians keep on a young network.
		#[codec(index = 4)]
		pub static GuardianShare: Perbill = percent(34);
		/// The total effective weight from which on the network is mature; genesis says it at first.
		#[codec(index = 5)]
		pub static MaturityThreshold: u64 = pallet_poc::Maturity::<Runtime>::get();
		/// A host that met less of its duties loses collateral.
		#[codec(index = 6)]
		pub static LeastPerformance: Perbill = percent(95);
		/// Work units, on average over the hosts with weight, from which on what hosts served is compared.
		#[codec(index = 7)]
		pub static LeastWork: u64 = LEAST_WORK;
	}

	/// Channels, fees and prices.
	#[dynamic_pallet_params]
	#[codec(index = 3)]
	pub mod market {
		/// Epochs, from the first on, in which inference costs nothing.
		#[codec(index = 0)]
		pub static FreeEpochs: EpochIndex = Time::THIS.free_epochs;
		/// Least deposit of a channel.
		#[codec(index = 1)]
		pub static MinDeposit: Balance = GNK / 10;
		/// Blocks between a channel's closing and its withdrawal.
		#[codec(index = 2)]
		pub static ChallengePeriod: BlockNumber = Time::THIS.challenge_period;
		/// Use below this share of capacity lowers prices.
		#[codec(index = 3)]
		pub static LowUse: Perbill = percent(40);
		/// Use above this share of capacity raises prices.
		#[codec(index = 4)]
		pub static HighUse: Perbill = percent(60);
		/// The most that a price moves in a window.
		#[codec(index = 5)]
		pub static MaxPriceStep: Perbill = percent(2);
		/// Windows for which fees are held at least.
		#[codec(index = 6)]
		pub static MinHold: u32 = 2;
		/// Windows for which fees without a verdict are held.
		#[codec(index = 7)]
		pub static MaxHold: u32 = 4;
	}

	/// What workers must be.
	#[dynamic_pallet_params]
	#[codec(index = 4)]
	pub mod worker {
		/// The oldest version.
		#[codec(index = 0)]
		pub static MinVersion: WorkerVersion = WorkerVersion::default();
	}
}
use dynamic::{collateral, emission, market, poc, worker};

/// Writes [`present`] for these parameters.
macro_rules! present {
	($($module:ident $group:ident: $($name:ident)+;)+) => {
		/// All parameters as they are in force.
		pub fn present() -> Vec<RuntimeParameters> {
			let mut all = Vec::new();
			$($(
				let value = Some($module::$name::get());
				all.push(RuntimeParameters::$group($module::Parameters::$name($module::$name, value)));
			)+)+
			all
		}
	};
}
present! {
	collateral Collateral: GracePeriod BaseShare PerWeight FraudSlash DutySlash;
	emission Emission: Rate;
	poc Poc: Phases RegistrationBits HostExpiry MaxShare GuardianShare MaturityThreshold LeastPerformance LeastWork;
	market Market: FreeEpochs MinDeposit ChallengePeriod LowUse HighUse MaxPriceStep MinHold MaxHold;
	worker Worker: MinVersion;
}

/// What governance may set a parameter to. The bounds of two never contradict each other.
pub struct Bounds;

impl Contains<RuntimeParameters> for Bounds {
	fn contains(parameter: &RuntimeParameters) -> bool {
		let years = |epochs: &EpochIndex| *epochs <= 3_650;
		let between = |share: &Perbill, least, most| (percent(least)..=percent(most)).contains(share);
		match parameter {
			RuntimeParameters::Collateral(parameter) => match parameter {
				collateral::Parameters::GracePeriod(_, Some(epochs)) => years(epochs),
				collateral::Parameters::BaseShare(_, Some(share)) => between(share, 5, 100),
				collateral::Parameters::PerWeight(_, Some(amount)) => (1..=1_000 * GNK).contains(amount),
				collateral::Parameters::FraudSlash(_, Some(share)) => between(share, 5, 100),
				collateral::Parameters::DutySlash(_, Some(share)) => between(share, 1, 50),
				_ => true,
			},
			RuntimeParameters::Emission(emission::Parameters::Rate(_, rate)) => {
				rate.is_none_or(|rate| (MIN_RATE..=MAX_RATE).contains(&rate))
			},
			RuntimeParameters::Poc(parameter) => match parameter {
				poc::Parameters::Phases(_, Some(schedule)) => is_possible(schedule),
				poc::Parameters::RegistrationBits(_, Some(bits)) => (8..=40).contains(bits),
				poc::Parameters::HostExpiry(_, Some(epochs)) => (2..=365).contains(epochs),
				poc::Parameters::MaxShare(_, Some(share)) => (LEAST_CAP..=percent(33)).contains(share),
				poc::Parameters::GuardianShare(_, Some(share)) => between(share, 0, 40),
				poc::Parameters::MaturityThreshold(_, Some(leaves)) => *leaves <= 1 << 60,
				poc::Parameters::LeastPerformance(_, Some(share)) => between(share, 50, 100),
				poc::Parameters::LeastWork(_, Some(work)) => (1_000..=1_000_000_000_000).contains(work),
				_ => true,
			},
			RuntimeParameters::Market(parameter) => match parameter {
				market::Parameters::FreeEpochs(_, Some(epochs)) => years(epochs),
				market::Parameters::MinDeposit(_, Some(amount)) => (EXISTENTIAL_DEPOSIT..=1_000 * GNK).contains(amount),
				market::Parameters::ChallengePeriod(_, Some(blocks)) => {
					(2 * Time::THIS.window..=240 * Time::THIS.window).contains(blocks)
				},
				market::Parameters::LowUse(_, Some(share)) => between(share, 5, 50),
				market::Parameters::HighUse(_, Some(share)) => between(share, 50, 95),
				market::Parameters::MaxPriceStep(_, Some(share)) => (*share <= percent(10)) && !share.is_zero(),
				market::Parameters::MinHold(_, Some(windows)) => (2..=4).contains(windows),
				market::Parameters::MaxHold(_, Some(windows)) => (4..=64).contains(windows),
				_ => true,
			},
			RuntimeParameters::Worker(worker::Parameters::MinVersion(_, required)) => {
				required.is_none_or(|required| required.version < 1_000_000_000)
			},
		}
	}
}

/// A sixteenth of the emission that the supply was designed for, and four times as much.
const MIN_RATE: u64 = pallet_emission::math::FACTOR / 16;
const MAX_RATE: u64 = pallet_emission::math::FACTOR * 4;

/// Whether epochs can be like this: as a whole, for power's way to the validators, and for what is kept of them. From
/// an epoch of four sessions up to a week of mainnet's.
pub fn is_possible(schedule: &Schedule) -> bool {
	let segments = u32::from(schedule.segments).saturating_add(MAX_CONFIRMATIONS);
	let hosts = schedule.settle.saturating_mul(SETTLE_BATCH);
	schedule.is_valid()
		&& segments <= MAX_SEGMENTS
		&& u32::from(schedule.confirmations) <= MAX_CONFIRMATIONS
		&& hosts >= MAX_HOSTS
		&& (4 * Time::THIS.session..=7 * 14_400).contains(&schedule.length.into())
}

/// Nobody writes to the store of parameters directly, not even root.
pub struct Nobody;

impl<Key> EnsureOriginWithArg<RuntimeOrigin, Key> for Nobody {
	type Success = ();

	fn try_origin(origin: RuntimeOrigin, _: &Key) -> Result<(), RuntimeOrigin> {
		Err(origin)
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn try_successful_origin(_: &Key) -> Result<RuntimeOrigin, ()> {
		Err(())
	}
}

impl pallet_parameters::Config for Runtime {
	type AdminOrigin = Nobody;
	type RuntimeEvent = RuntimeEvent;
	type RuntimeParameters = RuntimeParameters;
	type WeightInfo = ();
}

parameter_types! {
	pub const Track: pallet_governance::Origin = pallet_governance::Origin::Parameters;
}

impl pallet_amendments::Config for Runtime {
	type AmendOrigin = frame_support::traits::EitherOfDiverse<frame_system::EnsureRoot<AccountId>, EnsureTrack<Track>>;
	type Bounds = Bounds;
	type MaxPending = frame_support::traits::ConstU32<32>;
	type WeightInfo = pallet_amendments::weights::SubstrateWeight<Runtime>;
}

#[cfg(feature = "runtime-benchmarks")]
impl Default for RuntimeParameters {
	fn default() -> Self {
		Self::Collateral(collateral::Parameters::GracePeriod(collateral::GracePeriod, Some(100)))
	}
}

/// What offences cost.
pub struct SlashShares;
impl pallet_collateral::SlashShare for SlashShares {
	fn of(offence: Offence) -> Perbill {
		match offence {
			Offence::Fabrication | Offence::FalseAccusation | Offence::WrongInference => collateral::FraudSlash::get(),
			Offence::FalseDigest | Offence::MissedDuties => collateral::DutySlash::get(),
			// As its report says, and `Collateral::slash_equivocation` takes.
			Offence::Equivocation => Perbill::zero(),
		}
	}
}

/// How use moves prices.
pub struct PriceSteering;
impl Get<Steering> for PriceSteering {
	fn get() -> Steering {
		Steering { low: market::LowUse::get(), high: market::HighUse::get(), most: market::MaxPriceStep::get() }
	}
}
