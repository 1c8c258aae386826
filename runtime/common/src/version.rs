//! The version of the runtime: the only place where these constants stand.
//!
//! `sp_version::runtime_version` reads literals only, so the build scripts of the runtimes include this file and write the
//! runtime's `VERSION` from it.

/// Name of the rules of the solo chain. An upgrade to code with another name is rejected.
pub const SPEC_NAME: &str = "gonka";
/// The same for the parachain.
pub const PARA_SPEC_NAME: &str = "gonka-para";
/// Version of the chain's rules. Raise it with every release of the runtime: an upgrade needs a higher one.
pub const SPEC_VERSION: u32 = 1;
/// Version of the implementation of the same rules.
pub const IMPL_VERSION: u32 = 1;
/// Version of block authoring. A node authors blocks only if its own runtime has the same one.
pub const AUTHORING_VERSION: u32 = 1;
/// Version of the encoding of transactions. Raise it when an index, an argument or an extension changes.
pub const TRANSACTION_VERSION: u32 = 1;
/// Version of the layout of the state trie and of the extrinsics' root.
pub const SYSTEM_VERSION: u8 = 1;
