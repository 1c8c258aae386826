//! The removal of what is left of hosts that are no longer registered.

use crate::*;
use gonka_primitives::traits::{HostRegistry, OnHostRemoved};

/// Suspicions that are removed at a time.
const SUSPICIONS: u32 = 64;

impl<T: Config> OnHostRemoved<T::AccountId> for Pallet<T> {
	/// A settlement can still be audited, a case and a mute need the record, and a list of audits ends with an entry in it.
	/// The refund of held fees needs it, too; the market is not done before.
	fn is_done(host: &T::AccountId) -> bool {
		let is_muted = Records::<T>::get(host).is_some_and(|record| record.is_muted(Self::epoch()));
		let mut lists = OldestAssigned::<T>::get()..=Self::running();
		!is_muted
			&& !Cases::<T>::contains_key(host)
			&& !Self::has_batches(host)
			&& !lists.any(|window| Assigned::<T>::contains_key(window, host))
	}

	fn on_host_removed(host: &T::AccountId) -> bool {
		Records::<T>::remove(host);
		Suspicions::<T>::clear_prefix(host, SUSPICIONS, None).maybe_cursor.is_none()
	}
}

impl<T: Config> Pallet<T> {
	fn has_batches(host: &T::AccountId) -> bool {
		Batches::<T>::iter_key_prefix(host).next().is_some()
	}

	/// Whether nothing is left of a host that is no longer registered. Then it gets no record any more.
	pub(crate) fn is_forgotten(host: &T::AccountId) -> bool {
		let is_registered = || <Poc<T> as HostRegistry<T::AccountId>>::worker(host).is_some();
		!Records::<T>::contains_key(host) && !is_registered() && !Self::has_batches(host)
	}
}
