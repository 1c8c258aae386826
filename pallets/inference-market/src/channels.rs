//! Models and channels come to be here; the calls say who may.

use crate::*;
use frame_support::{ensure, pallet_prelude::DispatchResult, traits::Get};
use gonka_primitives::{PublicKey, market::Totals};

impl<T: Config> Pallet<T> {
	/// Stores a model under the next id.
	pub(crate) fn add_model(model: Model) -> DispatchResult {
		ensure!(model.is_well_formed(), Error::<T>::Malformed);
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

	/// Stores a channel under the next id. The caller holds the deposit.
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
}
