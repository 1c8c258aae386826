//! Queries of the runtime API.

use crate::*;
use alloc::vec::Vec;
use frame_support::traits::Get;
use gonka_primitives::{
	market::Price,
	traits::ModelRegistry,
	views::{ChannelView, MarketView, ModelView},
};

/// Maximum number of channels in a page.
pub const MAX_PAGE: u32 = 1_000;

impl<T: Config> Pallet<T> {
	/// All registered models, ascending by id. In the free period their prices are 0.
	pub fn models() -> Vec<ModelView> {
		let free = Self::is_free();
		let view = |(id, model): (ModelId, Model)| {
			let price = if free { Price::default() } else { model.price };
			model.view(id, price)
		};
		let mut models: Vec<_> = Models::<T>::iter().map(view).collect();
		models.sort_by_key(|model| model.id);
		models
	}

	/// One channel.
	pub fn channel(id: ChannelId) -> Option<ChannelView> {
		Channels::<T>::get(id).map(|channel| channel.view(id))
	}

	/// Up to `limit` channels of a developer, closing ones included, in storage order after `after`. At most [`MAX_PAGE`].
	pub fn channels(developer: &T::AccountId, after: Option<ChannelId>, limit: u32) -> Vec<ChannelView> {
		let keys = match after {
			Some(after) => {
				let start = DeveloperChannels::<T>::hashed_key_for(developer, after);
				DeveloperChannels::<T>::iter_key_prefix_from(developer, start)
			},
			None => DeveloperChannels::<T>::iter_key_prefix(developer),
		};
		keys.take(limit.min(MAX_PAGE) as usize).filter_map(Self::channel).collect()
	}

	/// Up to `limit` channels that pay a host, closing ones included, in storage order after `after`. At most
	/// [`MAX_PAGE`].
	pub fn host_channels(host: &T::AccountId, after: Option<ChannelId>, limit: u32) -> Vec<ChannelView> {
		let keys = match after {
			Some(after) => {
				let start = HostChannels::<T>::hashed_key_for(host, after);
				HostChannels::<T>::iter_key_prefix_from(host, start)
			},
			None => HostChannels::<T>::iter_key_prefix(host),
		};
		keys.take(limit.min(MAX_PAGE) as usize).filter_map(Self::channel).collect()
	}

	/// The rules of the market.
	pub fn market() -> MarketView {
		MarketView {
			window: T::WindowLength::get(),
			max_vouchers: T::MaxVouchers::get(),
			max_channels_per_call: T::MaxChannelsPerCall::get(),
			min_deposit: T::MinDeposit::get(),
			challenge_period: T::ChallengePeriod::get(),
		}
	}
}

impl<T: Config> ModelRegistry for Pallet<T> {
	fn is_registered(model: ModelId) -> bool {
		Models::<T>::contains_key(model)
	}
}
