//! The removal of what is left of hosts that are no longer registered.

use crate::*;
use gonka_primitives::traits::OnHostRemoved;

/// Held fees and channels are money: they stay until they are released.
impl<T: Config> OnHostRemoved<T::AccountId> for Pallet<T> {
	/// While fees are held, the list of settled windows keeps the host from settling one of them again.
	fn is_done(host: &T::AccountId) -> bool {
		HeldFees::<T>::iter_key_prefix(host).next().is_none()
	}

	fn on_host_removed(host: &T::AccountId) -> bool {
		for window in SettledWindows::<T>::take(host) {
			Settlements::<T>::remove(window, host);
		}
		true
	}
}
