//! Dispatch weights of `pallet_inference_market`.
//!
//! Estimated from database operations and the measured cost of an sr25519 verification (50 µs); to be replaced by the
//! output of `frame-omni-bencher v1 benchmark pallet --pallet pallet_inference_market --extrinsic '*'`.

#![allow(missing_docs)]

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of `pallet_inference_market`.
pub trait WeightInfo {
	fn register_model() -> Weight;
	fn retire_model() -> Weight;
	fn set_price() -> Weight;
	/// `n`: channels.
	fn open_channels(n: u32) -> Weight;
	/// `n`: channels.
	fn top_up(n: u32) -> Weight;
	fn close_channel() -> Weight;
	fn withdraw() -> Weight;
	/// `v`: vouchers, `m`: models.
	fn settle(v: u32, m: u32) -> Weight;
	/// `v`: vouchers, `m`: models.
	fn authorize_settle(v: u32, m: u32) -> Weight;
	fn set_price_rule() -> Weight;
	/// `n`: models.
	fn move_prices(n: u32) -> Weight;
	/// `n`: fees, each of another settlement.
	fn release_fees(n: u32) -> Weight;
}

/// Dispatch weights of `pallet_inference_market` with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	/// Storage: `InferenceMarket::ModelNames` (r:1 w:1)
	/// Storage: `InferenceMarket::CounterForModels` (r:1 w:1)
	/// Storage: `InferenceMarket::NextModelId` (r:1 w:1)
	/// Storage: `InferenceMarket::Models` (r:1 w:1)
	fn register_model() -> Weight {
		Weight::from_parts(12_000_000, 3_600)
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `InferenceMarket::Models` (r:1 w:1)
	/// Storage: `InferenceMarket::CounterForModels` (r:1 w:1)
	/// Storage: `InferenceMarket::ModelNames` (r:0 w:1)
	/// Storage: `InferenceMarket::WindowWork` (r:0 w:1)
	fn retire_model() -> Weight {
		Weight::from_parts(12_000_000, 3_600)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `InferenceMarket::Models` (r:1 w:1)
	fn set_price() -> Weight {
		Weight::from_parts(9_000_000, 3_600)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `InferenceMarket::NextChannelId` (r:1 w:1)
	/// Storage: `Poc` host's worker (r:n w:0)
	/// Storage: `InferenceMarket::OpenChannels` (r:n w:n)
	/// Storage: `InferenceMarket::DeveloperChannels` (r:0 w:n)
	/// Storage: `InferenceMarket::HostChannels` (r:0 w:n)
	/// Storage: `InferenceMarket::Channels` (r:0 w:n)
	fn open_channels(n: u32) -> Weight {
		Weight::from_parts(30_000_000, 5_300)
			.saturating_add(Weight::from_parts(18_000_000, 5_400).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(4))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(3))
			.saturating_add(T::DbWeight::get().writes(4).saturating_mul(n.into()))
	}
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `InferenceMarket::Channels` (r:n w:n)
	fn top_up(n: u32) -> Weight {
		Weight::from_parts(30_000_000, 5_300)
			.saturating_add(Weight::from_parts(8_000_000, 2_700).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(n.into()))
	}
	/// Storage: `InferenceMarket::Channels` (r:1 w:1)
	/// Storage: `InferenceMarket::OpenChannels` (r:0 w:1)
	fn close_channel() -> Weight {
		Weight::from_parts(14_000_000, 3_700)
			.saturating_add(T::DbWeight::get().reads(2))
			.saturating_add(T::DbWeight::get().writes(2))
	}
	/// Storage: `InferenceMarket::Channels` (r:1 w:1)
	/// Storage: `Balances::Holds` (r:1 w:1)
	/// Storage: `System::Account` (r:1 w:1)
	/// Storage: `InferenceMarket::DeveloperChannels` (r:0 w:1)
	/// Storage: `InferenceMarket::HostChannels` (r:0 w:1)
	fn withdraw() -> Weight {
		Weight::from_parts(35_000_000, 5_300)
			.saturating_add(T::DbWeight::get().reads(3))
			.saturating_add(T::DbWeight::get().writes(4))
	}
	/// Storage: `System::Account` host (r:1 w:1)
	/// Storage: `Balances::TotalIssuance` (r:1 w:1)
	/// Storage: `Poc` epoch, host's models and weight (r:5 w:0)
	/// Storage: `Poc` weighing, host's standing and served work (r:3 w:2)
	/// Storage: `InferenceMarket::SettledWindows` (r:1 w:1)
	/// Storage: `InferenceMarket::Settlements` (r:0 w:2)
	/// Storage: `InferenceMarket::HeldFees` (r:0 w:1)
	/// Storage: `InferenceMarket::DueFees` (r:0 w:1)
	/// Storage: `InferenceMarket::Channels` (r:v w:v)
	/// Storage: `InferenceMarket::Models` (r:m w:0)
	/// Storage: `InferenceMarket::WindowWork` (r:m w:m)
	/// Storage: `SamplingValidation::Profiles` (r:m w:0)
	/// Storage: `SamplingValidation::Batches` (r:0 w:1)
	/// Storage: `SamplingValidation::Posted` (r:0 w:1)
	/// Storage: `Poc::LastWeighed`, `WeighProgress`, `WeighedEpochs` (r:3 w:0)
	/// Storage: `Poc::Standings`, `Served` (r:2 w:2)
	fn settle(v: u32, m: u32) -> Weight {
		Weight::from_parts(65_000_000, 60_000)
			.saturating_add(Weight::from_parts(6_000_000, 2_700).saturating_mul(v.into()))
			.saturating_add(Weight::from_parts(5_000_000, 5_300).saturating_mul(m.into()))
			.saturating_add(T::DbWeight::get().reads(17))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(3).saturating_mul(m.into()))
			.saturating_add(T::DbWeight::get().writes(11))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().writes(1).saturating_mul(m.into()))
	}
	/// Storage: `Poc` host's worker (r:1 w:0)
	/// Storage: `InferenceMarket::SettledWindows` (r:1 w:0)
	/// Storage: `InferenceMarket::NextModelId` (r:1 w:0)
	/// Storage: `System::Account` host (r:1 w:0)
	/// Storage: `Poc` epoch and host's weight (r:4 w:0)
	/// Storage: `SamplingValidation::Profiles` (r:m w:0)
	/// Storage: `InferenceMarket::Channels` (r:v w:0)
	fn authorize_settle(v: u32, m: u32) -> Weight {
		Weight::from_parts(75_000_000, 12_000)
			.saturating_add(Weight::from_parts(55_000_000, 2_700).saturating_mul(v.into()))
			.saturating_add(Weight::from_parts(1_000_000, 2_700).saturating_mul(m.into()))
			.saturating_add(T::DbWeight::get().reads(9))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(v.into()))
			.saturating_add(T::DbWeight::get().reads(1).saturating_mul(m.into()))
	}
	/// Storage: `InferenceMarket::Models` (r:1 w:1)
	fn set_price_rule() -> Weight {
		Weight::from_parts(10_000_000, 3_700)
			.saturating_add(T::DbWeight::get().reads(1))
			.saturating_add(T::DbWeight::get().writes(1))
	}
	/// Storage: `Poc` epoch (r:1 w:0)
	/// Storage: `InferenceMarket::Models` (r:n+1 w:n)
	/// Storage: `InferenceMarket::WindowWork` (r:n w:n)
	fn move_prices(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 3_700)
			.saturating_add(Weight::from_parts(8_000_000, 6_300).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(5))
			.saturating_add(T::DbWeight::get().reads(2).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2).saturating_mul(n.into()))
	}
	/// Storage: `InferenceMarket::OldestDue` (r:1 w:1)
	/// Storage: `InferenceMarket::DueFees` (r:n+1 w:n)
	/// Storage: `InferenceMarket::HeldFees` (r:n+1 w:n)
	/// Storage: decision (r:4n w:0)
	/// Storage: `System::Account` host (r:n w:n)
	/// Storage: `Balances::Holds` (r:n w:n)
	/// Storage: `System::Account` developer (r:n w:n)
	/// Storage: `Balances::TotalIssuance` (r:1 w:1)
	fn release_fees(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 25_000)
			.saturating_add(Weight::from_parts(45_000_000, 30_000).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(6))
			.saturating_add(T::DbWeight::get().reads(12).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().writes(2))
			.saturating_add(T::DbWeight::get().writes(5).saturating_mul(n.into()))
	}
}
