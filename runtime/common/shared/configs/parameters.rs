//! The parameters that governance can change, with their defaults and bounds: `docs/parameters.md` is made from them.

use crate::*;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::ops::RangeInclusive;
use frame_support::{
	dynamic_params::{dynamic_pallet_params, dynamic_params},
	parameter_types,
	traits::{Contains, EnsureOriginWithArg, Get},
};
use gonka_primitives::{EpochIndex, check::Offence, epoch::Schedule};
use gonka_runtime_common::{EXISTENTIAL_DEPOSIT, MAX_HOSTS, MIN_WORK, Time, WEIGH_BATCH};
use pallet_governance::EnsureTrack;
use pallet_inference_market::Steering;
use pallet_poc::types::{MAX_CONFIRMATIONS, MAX_SEGMENTS, MIN_CAP};
use scale_info::TypeInfo;
use sp_runtime::Perbill;

/// The version that workers must have, and from which block on.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct WorkerVersion {
	/// major · 10⁶ + minor · 10³ + patch.
	pub version: u32,
	/// The first block from which an older worker is too old.
	pub from: BlockNumber,
}

pub(crate) const fn percent(share: u32) -> Perbill {
	Perbill::from_percent(share)
}

// A parameter's doc comment is its meaning in `docs/parameters.md`.
#[dynamic_params(RuntimeParameters, pallet_parameters::Parameters::<Runtime>)]
pub mod dynamic {
	use super::*;

	/// Collateral and slashes.
	#[dynamic_pallet_params]
	#[codec(index = 0)]
	pub mod collateral {
		/// Number of epochs, from the first on, in which the whole compute weight counts without collateral.
		#[codec(index = 0)]
		pub static GracePeriod: EpochIndex = 180;
		/// Share of the compute weight that counts without collateral after the grace period.
		#[codec(index = 1)]
		pub static BaseShare: Perbill = percent(20);
		/// Collateral that backs one leaf of compute weight.
		#[codec(index = 2)]
		pub static PerWeight: Balance = Time::THIS.collateral_per_weight;
		/// Share of a host's collateral that is burnt for fabrication, a false accusation or wrong inference, and of its
		/// unvested pay for wrong inference.
		#[codec(index = 3)]
		pub static FraudSlash: Perbill = percent(20);
		/// Share of a host's collateral that is burnt for a false digest or missed duties, and of its unvested pay for a false
		/// digest.
		#[codec(index = 4)]
		pub static DutySlash: Perbill = percent(10);
	}

	/// Emission.
	#[dynamic_pallet_params]
	#[codec(index = 1)]
	pub mod emission {
		/// Share of the unmined supply that an epoch may mint.
		#[codec(index = 0)]
		pub static Rate: u64 = pallet_emission::math::FACTOR;
	}

	/// Epochs, hosts and power.
	#[dynamic_pallet_params]
	#[codec(index = 2)]
	pub mod poc {
		/// Lengths of an epoch and its phases.
		#[codec(index = 0)]
		pub static Phases: Schedule = Time::THIS.schedule;
		/// Leading zero bits that the proof of work of a registration needs at least.
		#[codec(index = 1)]
		pub static RegistrationBits: u32 = Time::THIS.registration_bits;
		/// Number of weighed epochs after which a host without weight is removed, while there is room.
		#[codec(index = 2)]
		pub static HostExpiry: EpochIndex = 7;
		/// Maximum share of the total effective weight for one host.
		#[codec(index = 3)]
		pub static MaxShare: Perbill = percent(30);
		/// Share of the power that guardians keep until the network is mature.
		#[codec(index = 4)]
		pub static GuardianShare: Perbill = percent(34);
		/// Total proven weight from which on the network is mature. The genesis names the default.
		#[codec(index = 5)]
		pub static MaturityThreshold: u64 = pallet_poc::Maturity::<Runtime>::get();
		/// Minimum performance in an epoch. A host below it loses collateral.
		#[codec(index = 6)]
		pub static MinPerformance: Perbill = percent(95);
		/// Minimum work of an epoch, on average over the hosts with weight. Below it no host loses pay for serving little.
		#[codec(index = 7)]
		pub static MinWork: u64 = MIN_WORK;
	}

	/// Channels, fees and prices.
	#[dynamic_pallet_params]
	#[codec(index = 3)]
	pub mod market {
		/// Number of epochs, from the first on, in which inference is free of charge.
		#[codec(index = 0)]
		pub static FreeEpochs: EpochIndex = Time::THIS.free_epochs;
		/// Minimum deposit of a channel.
		#[codec(index = 1)]
		pub static MinDeposit: Balance = GNK / 10;
		/// Number of blocks between the closing of a channel and its withdrawal.
		#[codec(index = 2)]
		pub static ChallengePeriod: BlockNumber = Time::THIS.challenge_period;
		/// Share of a model's capacity below which its use lowers the price.
		#[codec(index = 3)]
		pub static LowUse: Perbill = percent(40);
		/// Share of a model's capacity above which its use raises the price.
		#[codec(index = 4)]
		pub static HighUse: Perbill = percent(60);
		/// Maximum change of a price in a window.
		#[codec(index = 5)]
		pub static MaxPriceStep: Perbill = percent(2);
		/// Number of windows after a settlement in which its fees are held in any case.
		#[codec(index = 6)]
		pub static MinHold: u32 = 2;
		/// Number of windows after a settlement from which on its fees are released without a decision.
		#[codec(index = 7)]
		pub static MaxHold: u32 = 20;
	}

	/// Workers.
	#[dynamic_pallet_params]
	#[codec(index = 4)]
	pub mod worker {
		/// Minimum version of workers, major · 10⁶ + minor · 10³ + patch, and the block from which on it holds.
		#[codec(index = 0)]
		pub static MinVersion: WorkerVersion = WorkerVersion::default();
	}
}
use dynamic::{collateral, emission, market, poc, worker};

/// The values that a parameter may have.
trait Limits<T> {
	fn allow(&self, value: &T) -> bool;
}

impl<T: PartialOrd> Limits<T> for RangeInclusive<T> {
	fn allow(&self, value: &T) -> bool {
		self.contains(value)
	}
}

/// A number of settlement windows, for a parameter in blocks.
pub(crate) struct Windows(pub RangeInclusive<u32>);

impl Limits<BlockNumber> for Windows {
	fn allow(&self, blocks: &BlockNumber) -> bool {
		let blocks_of = |windows: &u32| windows.saturating_mul(Time::THIS.window);
		(blocks_of(self.0.start())..=blocks_of(self.0.end())).contains(blocks)
	}
}

/// Worker versions, from any block on.
pub(crate) struct Versions(pub RangeInclusive<u32>);

impl Limits<WorkerVersion> for Versions {
	fn allow(&self, required: &WorkerVersion) -> bool {
		self.0.contains(&required.version)
	}
}

/// Schedules that fit the session, the maximum number of hosts and what is stored of an epoch.
pub(crate) struct Schedules;

impl Schedules {
	/// Minimum length of an epoch: four sessions, so that new power reaches the validators within it.
	pub const MIN_LENGTH: u64 = 4 * Time::THIS.session;
	/// Maximum length of an epoch: a week of mainnet's blocks.
	pub const MAX_LENGTH: u64 = 7 * 14_400;
}

impl Limits<Schedule> for Schedules {
	fn allow(&self, schedule: &Schedule) -> bool {
		let segments = u32::from(schedule.segments).saturating_add(MAX_CONFIRMATIONS);
		let hosts = schedule.weigh.saturating_mul(WEIGH_BATCH);
		schedule.is_valid()
			&& segments <= MAX_SEGMENTS
			&& u32::from(schedule.confirmations) <= MAX_CONFIRMATIONS
			&& hosts >= MAX_HOSTS
			&& (Self::MIN_LENGTH..=Self::MAX_LENGTH).contains(&schedule.length.into())
	}
}

/// The values that governance may set parameters to. No allowed value contradicts an allowed value of another parameter.
pub struct Bounds;

/// Calls the macro `$then` with all parameters, their units and their limits.
macro_rules! for_parameters {
	($then:ident) => {
		$then! {
			collateral Collateral {
				GracePeriod: "epochs", 0..=3_650;
				BaseShare: "%", percent(5)..=percent(100);
				PerWeight: "GNK", 1..=1_000 * GNK;
				FraudSlash: "%", percent(5)..=percent(100);
				DutySlash: "%", percent(1)..=percent(50);
			}
			emission Emission {
				// From a sixteenth of the emission that the supply was designed for to four times as much.
				Rate: "2⁻⁶⁴", pallet_emission::math::FACTOR / 16..=pallet_emission::math::FACTOR * 4;
			}
			poc Poc {
				Phases: "blocks", Schedules;
				RegistrationBits: "bits", 8..=40;
				HostExpiry: "epochs", 2..=365;
				MaxShare: "%", MIN_CAP..=percent(33);
				GuardianShare: "%", percent(0)..=percent(40);
				MaturityThreshold: "leaves", 0..=1 << 60;
				MinPerformance: "%", percent(50)..=percent(100);
				MinWork: "tokens", 1_000..=1_000_000_000_000;
			}
			market Market {
				FreeEpochs: "epochs", 0..=3_650;
				MinDeposit: "GNK", EXISTENTIAL_DEPOSIT..=1_000 * GNK;
				ChallengePeriod: "blocks", Windows(2..=240);
				LowUse: "%", percent(5)..=percent(50);
				HighUse: "%", percent(50)..=percent(95);
				MaxPriceStep: "%", Perbill::from_parts(1)..=percent(10);
				MinHold: "windows", 2..=4;
				// Cases and appeals are over after 18 windows: `AuditRules::windows_held`.
				MaxHold: "windows", 18..=64;
			}
			worker Worker {
				MinVersion: "version", Versions(0..=999_999_999);
			}
		}
	};
}
#[cfg(test)]
#[allow(unused_imports, reason = "the test of one runtime makes the documents")]
pub(crate) use for_parameters;

/// Writes [`present`] and [`Bounds`] for the parameters. The compiler sees to it that no parameter is missing.
macro_rules! limit {
	($($module:ident $group:ident { $($name:ident: $unit:literal, $limits:expr;)+ })+) => {
		/// All parameters with their present values.
		pub fn present() -> Vec<RuntimeParameters> {
			let mut all = Vec::new();
			$($(
				let value = Some($module::$name::get());
				all.push(RuntimeParameters::$group($module::Parameters::$name($module::$name, value)));
			)+)+
			all
		}

		impl Contains<RuntimeParameters> for Bounds {
			fn contains(parameter: &RuntimeParameters) -> bool {
				match parameter {
					$(RuntimeParameters::$group(parameter) => match parameter {
						$($module::Parameters::$name(_, value) => {
							value.as_ref().is_none_or(|value| Limits::allow(&$limits, value))
						},)+
					},)+
				}
			}
		}
	};
}
for_parameters!(limit);

/// Rejects every origin, root included: only `Amendments.amend`, which checks the bounds, changes parameters.
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
	type WeightInfo = gonka_runtime_common::weights::pallet_amendments::WeightInfo<Runtime>;
}

#[cfg(feature = "runtime-benchmarks")]
impl Default for RuntimeParameters {
	fn default() -> Self {
		Self::Collateral(collateral::Parameters::GracePeriod(collateral::GracePeriod, Some(100)))
	}
}

/// The shares of collateral and of unvested pay that each offence costs.
pub struct SlashShares;
impl pallet_collateral::SlashShare for SlashShares {
	fn of(offence: Offence) -> Perbill {
		match offence {
			Offence::Fabrication | Offence::FalseAccusation | Offence::WrongInference => collateral::FraudSlash::get(),
			Offence::FalseDigest | Offence::MissedDuties => collateral::DutySlash::get(),
			// The share follows from the offenders' power, and `Collateral::punish` takes it.
			Offence::Equivocation => Perbill::zero(),
		}
	}

	fn of_pay(offence: Offence) -> Perbill {
		match offence {
			// The chain itself computed that the host was wrong, so no host with sound machines loses its pay by it.
			Offence::Fabrication | Offence::FalseAccusation => Perbill::one(),
			// Arbiters decided. They judge by samples, and some of them may lie.
			Offence::WrongInference | Offence::FalseDigest => Self::of(offence),
			// Absence is no fraud. It costs pay by the performance of the epoch, and a host that was cut off for an hour
			// must not lose what it earned in weeks.
			Offence::MissedDuties | Offence::Equivocation => Perbill::zero(),
		}
	}
}

/// How the use of a model moves its price.
pub struct PriceSteering;
impl Get<Steering> for PriceSteering {
	fn get() -> Steering {
		Steering { low: market::LowUse::get(), high: market::HighUse::get(), max_step: market::MaxPriceStep::get() }
	}
}
