//! The interfaces between the pallets. The runtime binds them.

use crate::{Balance, EpochIndex, Hash, ModelId, PublicKey, check::Offence, market::Totals, merkle_sum::SumNode};
use alloc::vec::Vec;

/// A public random value that nobody knows before the block that brings it.
pub trait Beacon {
	/// The value as of the parent block.
	fn randomness() -> Hash;
}

/// Hosts, the keys of their workers, and what else other pallets ask about them.
pub trait HostRegistry<AccountId> {
	/// The worker key of a registered host.
	fn worker(host: &AccountId) -> Option<PublicKey>;
	/// The models that a registered host declared, ascending.
	fn models(host: &AccountId) -> Vec<ModelId>;
	/// A host's proven weight in the last weighed epoch, in leaves; 0 if it has none. Its free transactions have
	/// priority by it.
	fn rank(host: &AccountId) -> u64;
}

/// The paid weights of epochs.
pub trait PaidWeights<AccountId> {
	/// Up to `limit` hosts of `epoch` with their paid weights, in storage order, after `after`.
	fn page(epoch: EpochIndex, after: Option<&AccountId>, limit: u32) -> Vec<(AccountId, u64)>;
	/// Called once for each host of a page after it was paid: `epoch` is over for it.
	fn on_turn(_epoch: EpochIndex, _host: &AccountId) {}
}

/// The weights of weighed epochs that carry votes, and the draws of auditors and arbiters: the part of the effective
/// weights that was proven in this epoch and the one before.
pub trait EffectiveWeights<AccountId> {
	/// The epoch weighed last and the sum of these weights; `None` before the first.
	fn last_weighed() -> Option<(EpochIndex, u64)>;
	/// A host's weight in a recent weighed epoch; 0 if it has none.
	fn weight(epoch: EpochIndex, host: &AccountId) -> u64;
	/// Up to `limit` hosts of such an epoch with their weights, in storage order, after `after`.
	fn page(epoch: EpochIndex, after: Option<&AccountId>, limit: u32) -> Vec<(AccountId, u64)>;
}

/// Called for each settlement, to draw audits from it.
pub trait OnSettlement<AccountId> {
	/// Whether receipts of `model` are audited. Work of other models does not count.
	fn is_audited(model: ModelId) -> bool;
	/// `host` settled `window`. `root` is over the receipts, ascending by model; `work` is the work of each model.
	fn on_settlement(host: &AccountId, window: u32, root: &SumNode<Totals>, work: &[(ModelId, u64)]);
}

/// Nothing is audited.
impl<AccountId> OnSettlement<AccountId> for () {
	fn is_audited(_: ModelId) -> bool {
		false
	}

	fn on_settlement(_: &AccountId, _: u32, _: &SumNode<Totals>, _: &[(ModelId, u64)]) {}
}

/// Called once when an epoch can be paid: its confirmation segments and disputes are over.
pub trait OnEpochClosed {
	/// `total` is the sum of the proven weights of all hosts. The sum of their paid weights may be less.
	fn on_epoch_closed(epoch: EpochIndex, total: u64);
}

impl OnEpochClosed for () {
	fn on_epoch_closed(_: EpochIndex, _: u64) {}
}

/// Called in an epoch's first block, before any parameter of the epoch is read.
pub trait OnEpochStart {
	/// Handles the start of `epoch`.
	fn on_epoch_start(epoch: EpochIndex);
}

impl OnEpochStart for () {
	fn on_epoch_start(_: EpochIndex) {}
}

/// Called for each offence, to slash collateral.
pub trait OnOffence<AccountId> {
	/// Handles an offence of `host` in `epoch`.
	fn on_offence(host: &AccountId, epoch: EpochIndex, offence: Offence);
}

impl<AccountId> OnOffence<AccountId> for () {
	fn on_offence(_: &AccountId, _: EpochIndex, _: Offence) {}
}

/// Called for hosts that are no longer registered, to remove what a pallet keeps of them.
pub trait OnHostRemoved<AccountId> {
	/// Whether nothing open needs what the pallet keeps of `host`.
	fn is_done(host: &AccountId) -> bool;
	/// Removes what the pallet keeps of `host`, except for money, or a part of it if it is much. Returns whether nothing
	/// is left. Called only when all pallets are done.
	fn on_host_removed(host: &AccountId) -> bool;
}

impl<AccountId> OnHostRemoved<AccountId> for () {
	fn is_done(_: &AccountId) -> bool {
		true
	}
	fn on_host_removed(_: &AccountId) -> bool {
		true
	}
}

/// Asks both and calls both, one after the other.
impl<AccountId, A: OnHostRemoved<AccountId>, B: OnHostRemoved<AccountId>> OnHostRemoved<AccountId> for (A, B) {
	fn is_done(host: &AccountId) -> bool {
		A::is_done(host) && B::is_done(host)
	}
	fn on_host_removed(host: &AccountId) -> bool {
		let (first, second) = (A::on_host_removed(host), B::on_host_removed(host));
		first && second
	}
}

/// Called for the work that hosts settle.
pub trait OnServed<AccountId> {
	/// `host` settled `work` more work units that count.
	fn on_served(host: &AccountId, work: u64);
}

impl<AccountId> OnServed<AccountId> for () {
	fn on_served(_: &AccountId, _: u64) {}
}

/// Calls both, one after the other.
impl<AccountId, A: OnOffence<AccountId>, B: OnOffence<AccountId>> OnOffence<AccountId> for (A, B) {
	fn on_offence(host: &AccountId, epoch: EpochIndex, offence: Offence) {
		A::on_offence(host, epoch, offence);
		B::on_offence(host, epoch, offence);
	}
}

/// The models that governance registered.
pub trait ModelRegistry {
	/// Whether hosts may declare `model`.
	fn is_registered(model: ModelId) -> bool;
}

/// The supply of GNK that is not mined yet.
pub trait Unmined {
	/// Base units not yet minted.
	fn unmined() -> Balance;
}

/// The pay of hosts that has not vested. It backs weight as collateral does, and offences cost it.
pub trait UnvestedPay<AccountId> {
	/// Base units that a host has earned and that have not vested.
	fn unvested(host: &AccountId) -> Balance;
	/// Burns at most `amount` of them. Returns the amount burnt.
	fn burn(host: &AccountId, amount: Balance) -> Balance;
}

/// No host has unvested pay.
impl<AccountId> UnvestedPay<AccountId> for () {
	fn unvested(_: &AccountId) -> Balance {
		0
	}

	fn burn(_: &AccountId, _: Balance) -> Balance {
		0
	}
}

/// The part of a host's compute weight that counts.
pub trait Backing<AccountId> {
	/// The backed weight of a host in `epoch`, at most `compute_weight`. Both are in leaves.
	fn backed(host: &AccountId, epoch: EpochIndex, compute_weight: u64) -> u64;
}

/// All compute weight counts.
impl<AccountId> Backing<AccountId> for () {
	fn backed(_: &AccountId, _: EpochIndex, compute_weight: u64) -> u64 {
		compute_weight
	}
}

/// The decision about the held fees of a host's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeDecision {
	/// The host gets the fees.
	Release,
	/// The developers get the fees back.
	Refund,
}

/// The decisions about held fees, by the audits of a host's window.
pub trait FeeDecisions<AccountId> {
	/// The decision about a window's fees; `None` while audits or a case are open. Called when the fees have been
	/// held for a whole window, and then once in each window.
	fn decision(host: &AccountId, window: u32) -> Option<FeeDecision>;
}

/// Without audits, hosts get their fees at the first decision.
impl<AccountId> FeeDecisions<AccountId> for () {
	fn decision(_: &AccountId, _: u32) -> Option<FeeDecision> {
		Some(FeeDecision::Release)
	}
}
