//! The migrations that this release needs.

/// Run in the first block of this runtime. There is no release before it.
pub type Migrations = ();
