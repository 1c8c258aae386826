//! The pallet's invariants.

use crate::*;
use alloc::collections::BTreeMap;
use frame_support::{
	ensure,
	traits::{Get, fungible::hold::Inspect},
};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks all invariants.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::try_state_models()?;
		Self::try_state_channels()?;
		Self::try_state_indices()?;
		Self::try_state_fees()?;
		Self::try_state_settlements()
	}

	/// # Invariants of models
	/// 1. There are at most `MaxModels`, each well formed, with an id that was given out.
	/// 2. Names lead to their models and only to these.
	/// 3. Prices are within their bounds, which are above 0.
	/// 4. Work is counted for registered models only.
	fn try_state_models() -> Result<(), TryRuntimeError> {
		ensure!(Models::<T>::count() <= T::MaxModels::get(), "models 1: too many");
		for (id, model) in Models::<T>::iter() {
			ensure!(id < NextModelId::<T>::get(), "models 1: id never given out");
			ensure!(model.is_well_formed(), "models 1: malformed");
			ensure!(ModelNames::<T>::get(&model.name) == Some(id), "models 2: name leads elsewhere");
			ensure!(model.rule.allows(&model.price), "models 3: price out of bounds");
		}
		ensure!(WindowWork::<T>::iter_keys().all(Models::<T>::contains_key), "models 4: work without model");
		ensure!(ModelNames::<T>::iter().count() == Models::<T>::count() as usize, "models 2: name without model");
		Ok(())
	}

	/// # Invariants of channels
	/// 1. A channel's id was given out.
	/// 2. No channel settled more than its deposit.
	/// 3. What a developer's account holds is the sum of its channels' deposits less what they settled, and of its fees that
	///    wait for a decision.
	fn try_state_channels() -> Result<(), TryRuntimeError> {
		let mut held = BTreeMap::<_, Balance>::new();
		for (id, channel) in Channels::<T>::iter() {
			ensure!(id < NextChannelId::<T>::get(), "channels 1: id never given out");
			ensure!(channel.settled.fee <= channel.deposit, "channels 2: overspent");
			let sum = held.entry(channel.developer.clone()).or_default();
			*sum = sum.checked_add(channel.rest()).ok_or("channels 3: overflow")?;
		}
		for fee in HeldFees::<T>::iter_values().flat_map(|held| held.fees) {
			let sum = held.entry(fee.developer).or_default();
			*sum = sum.checked_add(fee.amount).ok_or("channels 3: overflow")?;
		}
		for (developer, sum) in held {
			let hold = T::Currency::balance_on_hold(&HoldReason::ChannelDeposit.into(), &developer);
			ensure!(hold == sum, "channels 3: hold differs from the sum");
		}
		Ok(())
	}

	/// # Invariants of indices
	/// 1. `DeveloperChannels` has every channel under its developer, `HostChannels` under its host, and nothing else.
	/// 2. `OpenChannels` has every channel that is not closing under its parties, and nothing else.
	fn try_state_indices() -> Result<(), TryRuntimeError> {
		let (mut all, mut open) = (0usize, 0usize);
		for (id, channel) in Channels::<T>::iter() {
			all = all.saturating_add(1);
			ensure!(DeveloperChannels::<T>::contains_key(&channel.developer, id), "indices 1: channel missing");
			ensure!(HostChannels::<T>::contains_key(&channel.host, id), "indices 1: channel missing");
			if channel.closes.is_none() {
				open = open.saturating_add(1);
				let key = (channel.developer, channel.host, channel.gateway);
				ensure!(OpenChannels::<T>::get(key) == Some(id), "indices 2: channel missing");
			}
		}
		ensure!(DeveloperChannels::<T>::iter_keys().count() == all, "indices 1: no such channel");
		ensure!(HostChannels::<T>::iter_keys().count() == all, "indices 1: no such channel");
		ensure!(OpenChannels::<T>::iter_keys().count() == open, "indices 2: no such open channel");
		Ok(())
	}

	/// # Invariants of held fees
	/// 1. None is empty or 0, or below its charge; they ascend by channel, whose ids were given out.
	/// 2. Each is in `DueFees`, once, and nothing else is.
	/// 3. None is due before `OldestDue`, or before it is settled.
	fn try_state_fees() -> Result<(), TryRuntimeError> {
		let mut all = 0usize;
		for (host, window, held) in HeldFees::<T>::iter() {
			all = all.saturating_add(1);
			ensure!(!held.fees.is_empty() && held.fees.iter().all(|fee| fee.amount > 0), "fees 1: nothing held");
			ensure!(held.sum().is_some_and(|sum| sum >= held.charge), "fees 1: charge above the sum");
			ensure!(held.fees.is_sorted_by(|a, b| a.channel < b.channel), "fees 1: out of order");
			let next = NextChannelId::<T>::get();
			ensure!(held.fees.iter().all(|fee| fee.channel < next), "fees 1: id never given out");
			ensure!(DueFees::<T>::contains_key(held.due, (host, window)), "fees 2: never due");
			ensure!(held.due >= OldestDue::<T>::get(), "fees 3: forgotten");
			ensure!(window < held.since && held.since < held.due, "fees 3: windows out of order");
		}
		ensure!(DueFees::<T>::iter_keys().count() == all, "fees 2: nothing is due");
		Ok(())
	}

	/// # Invariants of settlements
	/// 1. A host's windows ascend, are not empty, and each has its root.
	/// 2. There are no other roots.
	fn try_state_settlements() -> Result<(), TryRuntimeError> {
		let mut roots = 0usize;
		for (host, windows) in SettledWindows::<T>::iter() {
			ensure!(!windows.is_empty(), "settlements 1: host without windows");
			ensure!(windows.is_sorted_by(|a, b| a < b), "settlements 1: windows out of order");
			for window in &windows {
				ensure!(Settlements::<T>::contains_key(window, &host), "settlements 1: root missing");
			}
			roots = roots.saturating_add(windows.len());
		}
		ensure!(Settlements::<T>::iter_keys().count() == roots, "settlements 2: root without window");
		Ok(())
	}
}
