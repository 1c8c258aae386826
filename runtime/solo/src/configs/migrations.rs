//! The migrations that this release needs.

use crate::*;

/// Run in this order in the first block of this runtime, before its pallets' own hooks. Each changes the state only if it has
/// the storage version that the migration begins with, so migrations of earlier releases may stay for chains that skip one.
pub type Migrations = (pallet_amendments::migrations::ToV1<Runtime>,);
