//! The migrations that this release needs.

use crate::*;
use frame_support::{migrations::RemovePallet, parameter_types};

parameter_types! {
	/// The pallet of release 0.1.0 that had a root key. Its state is the key.
	pub const Sudo: &'static str = "Sudo";
}

/// Run in this order in the first block of this runtime, before its pallets' own hooks. Each changes the state only if it has
/// the storage version that the migration begins with, or something to remove, so migrations of earlier releases may stay for
/// chains that skip one.
pub type Migrations =
	(pallet_amendments::migrations::ToV1<Runtime>, RemovePallet<Sudo, <Runtime as frame_system::Config>::DbWeight>);
