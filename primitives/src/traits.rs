//! Through these the pallets know each other; the runtime binds them.

use crate::{Balance, EpochIndex, Hash, ModelId, PublicKey, check::Offence, market::Totals, merkle_sum::SumNode};
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

/// The weights that an epoch pays.
pub trait HostPower<AccountId> {
	/// Up to `limit` hosts of `epoch` with the weights they are paid for, in storage order, after `after`.
	fn page(epoch: EpochIndex, after: Option<&AccountId>, limit: u32) -> Vec<(AccountId, u64)>;
	/// Told once of each host of a page when it had its turn: the epoch is over for it.
	fn on_turn(_epoch: EpochIndex, _host: &AccountId) {}
}

/// The effective weights of settled epochs: who votes, who checks inference, and who arbitrates.
pub trait HostWeights<AccountId> {
	/// The epoch settled last, and the sum of its weights; `None` before the first.
	fn last_settled() -> Option<(EpochIndex, u64)>;
	/// A host's weight in a settled epoch that is not long past; 0 if it has none.
	fn weight(epoch: EpochIndex, host: &AccountId) -> u64;
	/// Up to `limit` hosts of such an epoch with their weights, in storage order, after `after`.
	fn page(epoch: EpochIndex, after: Option<&AccountId>, limit: u32) -> Vec<(AccountId, u64)>;
}

/// Told of each settlement, to draw samples from it.
pub trait OnSettled<AccountId> {
	/// `host` settled `window`: `root` is over its receipts, ascending by model; `work` says how much each model did.
	fn on_settled(host: &AccountId, window: u32, root: &SumNode<Totals>, work: &[(ModelId, u64)]);
}

impl<AccountId> OnSettled<AccountId> for () {
	fn on_settled(_: &AccountId, _: u32, _: &SumNode<Totals>, _: &[(ModelId, u64)]) {}
}

/// Told once when an epoch can be paid: its confirmations and disputes are over.
pub trait OnEpochClosed {
	/// `total` is the sum of the effective weights of all hosts; what they are paid for may be less.
	fn on_epoch_closed(epoch: EpochIndex, total: u64);
}

impl OnEpochClosed for () {
	fn on_epoch_closed(_: EpochIndex, _: u64) {}
}

/// Told in an epoch's first block, before anything of the epoch is read.
pub trait OnEpochStart {
	/// `epoch` starts.
	fn on_epoch_start(epoch: EpochIndex);
}

impl OnEpochStart for () {
	fn on_epoch_start(_: EpochIndex) {}
}

/// Told of each offence, to take collateral.
pub trait OnOffence<AccountId> {
	/// `host` committed `offence` in the sprint of `epoch`.
	fn on_offence(host: &AccountId, epoch: EpochIndex, offence: Offence);
}

impl<AccountId> OnOffence<AccountId> for () {
	fn on_offence(_: &AccountId, _: EpochIndex, _: Offence) {}
}

/// Told what hosts serve.
pub trait OnServed<AccountId> {
	/// `host` settled so many work units more.
	fn on_served(host: &AccountId, work: u64);
}

impl<AccountId> OnServed<AccountId> for () {
	fn on_served(_: &AccountId, _: u64) {}
}

/// Told one after the other.
impl<AccountId, A: OnOffence<AccountId>, B: OnOffence<AccountId>> OnOffence<AccountId> for (A, B) {
	fn on_offence(host: &AccountId, epoch: EpochIndex, offence: Offence) {
		A::on_offence(host, epoch, offence);
		B::on_offence(host, epoch, offence);
	}
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

/// What of a host's weight counts.
pub trait Backing<AccountId> {
	/// The effective weight, at most `potential`, of a host in the sprint of `epoch`.
	fn effective(host: &AccountId, epoch: EpochIndex, potential: u64) -> u64;
}

/// All of it.
impl<AccountId> Backing<AccountId> for () {
	fn effective(_: &AccountId, _: EpochIndex, potential: u64) -> u64 {
		potential
	}
}

/// What becomes of the fees of a host's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
	/// The host is paid.
	Release,
	/// The developers get them back.
	Refund,
}

/// Whether the answers that were sampled of a host's window were right.
pub trait SampleVerdicts<AccountId> {
	/// Asked when the fees were held for a whole window, and then once a window. `None` while samples are checked.
	fn verdict(host: &AccountId, window: u32) -> Option<Verdict>;
}

/// Nothing is sampled: hosts are paid at the first look.
impl<AccountId> SampleVerdicts<AccountId> for () {
	fn verdict(_: &AccountId, _: u32) -> Option<Verdict> {
		Some(Verdict::Release)
	}
}
