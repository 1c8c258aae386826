//! Through these the pallets know each other; the runtime binds them.

use crate::{Balance, EpochIndex, Hash, ModelId, PublicKey};
use alloc::vec::Vec;

/// A public random value that nobody could know before the block it is read in.
pub trait Beacon {
	/// The value as of the parent block.
	fn randomness() -> Hash;
}

/// Hosts and the keys of their workers.
pub trait HostRegistry<AccountId> {
	/// The worker key of a registered host.
	fn worker(host: &AccountId) -> Option<PublicKey>;
}

/// The weights that an epoch settled.
pub trait HostPower<AccountId> {
	/// Up to `limit` hosts of `epoch` with their effective weights, in storage order, after `after`.
	fn page(epoch: EpochIndex, after: Option<&AccountId>, limit: u32) -> Vec<(AccountId, u64)>;
}

/// Told once when the weights of an epoch are final.
pub trait OnEpochSettled {
	/// `total` is the sum of the effective weights of all hosts.
	fn on_epoch_settled(epoch: EpochIndex, total: u64);
}

impl OnEpochSettled for () {
	fn on_epoch_settled(_: EpochIndex, _: u64) {}
}

/// The models that governance registered.
pub trait ModelRegistry {
	/// Whether hosts may declare to serve `model`.
	fn is_registered(model: ModelId) -> bool;
}

/// The supply of GNK that is still to be mined.
pub trait Unmined {
	/// Base units not yet minted.
	fn unmined() -> Balance;
}
