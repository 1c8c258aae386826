//! Adding models; opening, closing and removing channels. The calls check the origins.

use crate::*;
use frame_support::{
	ensure,
	pallet_prelude::DispatchResult,
	traits::{Get, fungible::hold::Mutate, tokens::Precision},
};
use gonka_primitives::{PublicKey, market::Totals};

impl<T: Config> Pallet<T> {
	/// Stores a model under the next id.
	pub(crate) fn add_model(model: Model) -> DispatchResult {
		ensure!(model.is_well_formed(), Error::<T>::Malformed);
		ensure!(model.rule.allows(&model.price), Error::<T>::PriceOutOfBounds);
		ensure!(!ModelNames::<T>::contains_key(&model.name), Error::<T>::AlreadyExists);
		ensure!(Models::<T>::count() < T::MaxModels::get(), Error::<T>::LimitExceeded);
		let id = NextModelId::<T>::get();
		NextModelId::<T>::put(id.checked_add(1).ok_or(Error::<T>::Overflow)?);
		let name = model.name.clone();
		ModelNames::<T>::insert(&name, id);
		Models::<T>::insert(id, model);
		Self::deposit_event(Event::ModelRegistered { model: id, name });
		Ok(())
	}

	/// Stores a channel under the next id. The caller puts the deposit on hold.
	pub(crate) fn add_channel(
		developer: T::AccountId,
		host: T::AccountId,
		gateway: PublicKey,
		deposit: Balance,
	) -> DispatchResult {
		let parties = (developer.clone(), host.clone(), gateway);
		ensure!(!OpenChannels::<T>::contains_key(&parties), Error::<T>::AlreadyExists);
		let id = NextChannelId::<T>::get();
		NextChannelId::<T>::put(id.checked_add(1).ok_or(Error::<T>::Overflow)?);
		OpenChannels::<T>::insert(parties, id);
		DeveloperChannels::<T>::insert(&developer, id, ());
		HostChannels::<T>::insert(&host, id, ());
		let channel = Channel { developer, host, gateway, deposit, settled: Totals::default(), closes: None };
		Channels::<T>::insert(id, &channel);
		let Channel { developer, host, .. } = channel;
		Self::deposit_event(Event::ChannelOpened { channel: id, developer, host, gateway, deposit });
		Ok(())
	}

	/// Adds to a channel's deposit. The caller puts the amount on hold.
	pub(crate) fn add_deposit(developer: &T::AccountId, id: ChannelId, amount: Balance) -> DispatchResult {
		ensure!(amount > 0, Error::<T>::AmountTooLow);
		Channels::<T>::try_mutate(id, |channel| {
			let channel = channel.as_mut().ok_or(Error::<T>::NotFound)?;
			ensure!(channel.developer == *developer, Error::<T>::NotAuthorized);
			ensure!(channel.closes.is_none(), Error::<T>::AlreadyClosing);
			channel.deposit = channel.deposit.checked_add(amount).ok_or(Error::<T>::Overflow)?;
			Self::deposit_event(Event::ChannelToppedUp { channel: id, amount });
			Ok(())
		})
	}

	/// Starts a channel's challenge period.
	pub(crate) fn start_closing(who: &T::AccountId, id: ChannelId) -> DispatchResult {
		let mut channel = Channels::<T>::get(id).ok_or(Error::<T>::NotFound)?;
		ensure!(*who == channel.developer || *who == channel.host, Error::<T>::NotAuthorized);
		ensure!(channel.closes.is_none(), Error::<T>::AlreadyClosing);
		let closes = Self::now().saturating_add(T::ChallengePeriod::get());
		channel.closes = Some(closes);
		OpenChannels::<T>::remove((&channel.developer, &channel.host, channel.gateway));
		Channels::<T>::insert(id, channel);
		Self::deposit_event(Event::ChannelClosing { channel: id, closes });
		Ok(())
	}

	/// Removes a channel whose challenge period is over and releases the rest of its deposit. Its held fees stay on hold.
	pub(crate) fn remove_channel(id: ChannelId) -> DispatchResult {
		let channel = Channels::<T>::get(id).ok_or(Error::<T>::NotFound)?;
		ensure!(channel.closes.is_some_and(|closes| closes <= Self::now()), Error::<T>::NotClosed);
		let amount = channel.rest();
		let reason = HoldReason::ChannelDeposit.into();
		T::Currency::release(&reason, &channel.developer, amount, Precision::Exact)?;
		Channels::<T>::remove(id);
		DeveloperChannels::<T>::remove(channel.developer, id);
		HostChannels::<T>::remove(channel.host, id);
		Self::deposit_event(Event::ChannelWithdrawn { channel: id, amount });
		Ok(())
	}
}
