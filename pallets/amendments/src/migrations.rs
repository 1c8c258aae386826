//! Migrations of stored parameters.
//!
//! A release that narrows a parameter's bounds, changes the form of its value or removes it finds values in the state that
//! it does not accept. A value out of bounds would stay in force. One that does not decode would keep the default in force
//! and stay in the state for ever. Such a release raises this pallet's storage version and adds a `VersionedMigration` with
//! [`EnforceBounds`] to the runtime's `Migrations`.

use crate::*;
use alloc::vec::Vec;
use core::marker::PhantomData;
use polkadot_sdk::frame_support::{
	migrations::VersionedMigration,
	storage::{KeyPrefixIterator, StoragePrefixedMap, unhashed},
	traits::UncheckedOnRuntimeUpgrade,
	weights::Weight,
};
#[cfg(feature = "try-runtime")]
use polkadot_sdk::{frame_support::ensure, sp_runtime::TryRuntimeError};

/// From storage version 0, that of release 0.1.0, to version 1.
pub type ToV1<T> = VersionedMigration<0, 1, EnforceBounds<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// Bytes of the hash before a key: that of `Blake2_128Concat`.
const HASH: usize = 16;

/// A stored parameter as it lies in the state.
struct Stored<T: Config> {
	/// The storage key.
	raw: Vec<u8>,
	/// The parameter; `None` if the runtime has no such parameter.
	key: Option<KeyOf<T>>,
	/// Whether the runtime accepts the value.
	is_allowed: bool,
}

/// Removes stored and waiting values that the runtime does not accept, so that the defaults are in force. Visits every stored
/// parameter once: the state holds at most one of each that a runtime had.
pub struct EnforceBounds<T>(PhantomData<T>);

impl<T: Config> EnforceBounds<T> {
	fn stored() -> Vec<Stored<T>> {
		let prefix = pallet_parameters::Parameters::<T>::final_prefix().to_vec();
		let hashed = KeyPrefixIterator::<Vec<u8>>::new(prefix.clone(), prefix.clone(), |hashed| Ok(hashed.to_vec()));
		let stored = |hashed: Vec<u8>| {
			let raw = [prefix.as_slice(), hashed.as_slice()].concat();
			let key = hashed.get(HASH..).and_then(|mut key| KeyOf::<T>::decode_all(&mut key).ok());
			let value = unhashed::get_raw(&raw).and_then(|value| ValueOf::<T>::decode_all(&mut value.as_slice()).ok());
			let is_allowed = value.is_some() && key.as_ref().is_some_and(|key| Pallet::<T>::is_allowed(key, &value));
			Stored { raw, key, is_allowed }
		};
		hashed.map(stored).collect()
	}
}

impl<T: Config> UncheckedOnRuntimeUpgrade for EnforceBounds<T> {
	fn on_runtime_upgrade() -> Weight {
		let stored = Self::stored();
		let visited = stored.len() as u64;
		for Stored { raw, key, .. } in stored.into_iter().filter(|stored| !stored.is_allowed) {
			unhashed::kill(&raw);
			key.into_iter().for_each(|key| Pallet::<T>::deposit_event(Event::Reset { key }));
		}
		// Empty if the list does not decode.
		let mut pending = Pending::<T>::get();
		pending.retain(|(key, value)| {
			let is_allowed = Pallet::<T>::is_allowed(key, value);
			if !is_allowed {
				Pallet::<T>::deposit_event(Event::Reset { key: key.clone() });
			}
			is_allowed
		});
		Pending::<T>::put(pending);
		T::DbWeight::get().reads_writes(visited.saturating_mul(2).saturating_add(1), visited.saturating_add(1))
	}

	/// The number of parameters that are going to be left.
	#[cfg(feature = "try-runtime")]
	fn pre_upgrade() -> Result<Vec<u8>, TryRuntimeError> {
		let allowed = Self::stored().into_iter().filter(|stored| stored.is_allowed);
		Ok((allowed.count() as u32).encode())
	}

	#[cfg(feature = "try-runtime")]
	fn post_upgrade(before: Vec<u8>) -> Result<(), TryRuntimeError> {
		let expected =
			u32::decode_all(&mut before.as_slice()).map_err(|_| "the number of parameters does not decode")?;
		let stored = Self::stored();
		ensure!(stored.len() as u32 == expected, "other parameters are left than were allowed");
		ensure!(stored.iter().all(|stored| stored.is_allowed), "a parameter is left that is not allowed");
		Pallet::<T>::do_try_state()
	}
}
