//! Evidence for auditors: what shows that completions are the model's.
//!
//! It is written with the receipt, and kept until the settlement that has the receipt is
//! [`KEPT_EPOCHS`](crate::settlement::KEPT_EPOCHS) epochs old, or more where epochs are so short that appeals outlast
//! them. Evidence of a receipt that is never settled is deleted with its channel.

use super::{Result, decode, market};
use codec::{Decode, Encode};
use gonka_primitives::{
	AccountId, EpochIndex, Hash,
	fingerprint::Fingerprint,
	market::{SignedEnvelope, SignedReceipt, Totals},
	merkle_sum::SumNode,
};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};

/// Envelope hash → [`StoredEvidence`].
const EVIDENCE: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("evidence");
/// Total size of the evidence, in bytes.
const BYTES: TableDefinition<(), u64> = TableDefinition::new("evidence_bytes");
/// Envelope hash → developer. Evidence that an older version of this program stored has none.
const DEVELOPERS: TableDefinition<&[u8; 32], &[u8; 32]> = TableDefinition::new("evidence_developers");
/// Developer → size of its evidence, in bytes.
const SHARES: TableDefinition<&[u8; 32], u64> = TableDefinition::new("evidence_shares");
/// Window → [`StoredTree`].
const TREES: TableDefinition<u32, &[u8]> = TableDefinition::new("trees");

/// A completion with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredEvidence {
	/// The request's envelope.
	pub envelope: SignedEnvelope,
	/// The receipt.
	pub receipt: SignedReceipt,
	/// The request's body, as it was sent.
	pub body: Vec<u8>,
	/// Token ids of the completion.
	pub output: Vec<u32>,
	/// Fingerprint of each token.
	pub fingerprints: Vec<Fingerprint>,
}

/// The tree of a settlement.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredTree {
	/// Epoch in which the settlement was signed.
	pub epoch: EpochIndex,
	/// Leaves in their order, with the envelope hashes of their receipts.
	pub leaves: Vec<(Hash, SumNode<Totals>)>,
}

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(EVIDENCE)?;
	tx.open_table(BYTES)?;
	tx.open_table(DEVELOPERS)?;
	tx.open_table(SHARES)?;
	tx.open_table(TREES)?;
	Ok(())
}

/// Stores the evidence of a receipt, which a channel of `developer` pays. A second call for the same envelope changes nothing.
pub fn put(tx: &WriteTransaction, envelope: &Hash, developer: &AccountId, new: &StoredEvidence) -> Result<()> {
	let mut evidence = tx.open_table(EVIDENCE)?;
	if evidence.get(envelope)?.is_some() {
		return Ok(());
	}
	let new = new.encode();
	evidence.insert(envelope, new.as_slice())?;
	tx.open_table(DEVELOPERS)?.insert(envelope, developer)?;
	let mut shares = tx.open_table(SHARES)?;
	let share = shares.get(developer)?.map_or(0, |bytes| bytes.value());
	shares.insert(developer, share.saturating_add(new.len() as u64))?;
	count(tx, |bytes| bytes.saturating_add(new.len() as u64))
}

/// Returns the evidence of an envelope's receipt.
pub fn get(tx: &ReadTransaction, envelope: &Hash) -> Result<Option<StoredEvidence>> {
	tx.open_table(EVIDENCE)?.get(envelope)?.map(|stored| decode(stored.value())).transpose()
}

/// Returns the total size of the evidence in bytes, without the overhead of the file format.
pub fn bytes(tx: &ReadTransaction) -> Result<u64> {
	Ok(tx.open_table(BYTES)?.get(())?.map_or(0, |bytes| bytes.value()))
}

/// Returns the size of a developer's evidence in bytes, of all its channels together.
pub fn share(tx: &ReadTransaction, developer: &AccountId) -> Result<u64> {
	Ok(tx.open_table(SHARES)?.get(developer)?.map_or(0, |bytes| bytes.value()))
}

/// Stores the tree of a window's settlement. It replaces that of one which can no longer be included.
pub fn put_tree(tx: &WriteTransaction, window: u32, tree: &StoredTree) -> Result<()> {
	tx.open_table(TREES)?.insert(window, tree.encode().as_slice())?;
	Ok(())
}

/// Returns the tree of a window's settlement.
pub fn tree(tx: &ReadTransaction, window: u32) -> Result<Option<StoredTree>> {
	tx.open_table(TREES)?.get(window)?.map(|stored| decode(stored.value())).transpose()
}

/// Deletes the trees of settlements that were signed before `epoch`, with the evidence of their receipts. Those of an
/// abandoned settlement may be in a later one, or not settled yet; then their evidence stays.
pub fn prune(tx: &WriteTransaction, epoch: EpochIndex) -> Result<()> {
	let mut trees = tx.open_table(TREES)?;
	let mut old = Vec::new();
	for entry in trees.iter()? {
		let (window, tree) = entry?;
		let tree: StoredTree = decode(tree.value())?;
		// Windows and epochs ascend together.
		if tree.epoch >= epoch {
			break;
		}
		old.push((window.value(), tree));
	}
	if old.is_empty() {
		return Ok(());
	}
	for (window, _) in &old {
		trees.remove(*window)?;
	}
	let mut kept = in_trees(&trees)?;
	kept.extend(market::unsettled(tx)?);
	let envelopes = old.iter().flat_map(|(_, tree)| &tree.leaves).map(|(envelope, _)| envelope);
	remove(tx, envelopes.filter(|envelope| !kept.contains(*envelope)))
}

/// Deletes the evidence of these receipts, except of those that are in a tree.
pub fn forget(tx: &WriteTransaction, envelopes: &[Hash]) -> Result<()> {
	let settled = in_trees(&tx.open_table(TREES)?)?;
	remove(tx, envelopes.iter().filter(|envelope| !settled.contains(*envelope)))
}

fn in_trees(trees: &impl ReadableTable<u32, &'static [u8]>) -> Result<BTreeSet<Hash>> {
	let mut envelopes = BTreeSet::new();
	for entry in trees.iter()? {
		let tree: StoredTree = decode(entry?.1.value())?;
		envelopes.extend(tree.leaves.into_iter().map(|(envelope, _)| envelope));
	}
	Ok(envelopes)
}

fn remove<'a>(tx: &WriteTransaction, envelopes: impl Iterator<Item = &'a Hash>) -> Result<()> {
	let mut evidence = tx.open_table(EVIDENCE)?;
	let mut developers = tx.open_table(DEVELOPERS)?;
	let (mut freed, mut freed_of) = (0u64, BTreeMap::<AccountId, u64>::new());
	for envelope in envelopes {
		let Some(gone) = evidence.remove(envelope)? else { continue };
		let size = gone.value().len() as u64;
		freed = freed.saturating_add(size);
		if let Some(developer) = developers.remove(envelope)? {
			let of_developer = freed_of.entry(*developer.value()).or_default();
			*of_developer = of_developer.saturating_add(size);
		}
	}
	let mut shares = tx.open_table(SHARES)?;
	for (developer, freed) in freed_of {
		let share = shares.get(&developer)?.map_or(0, |bytes| bytes.value()).saturating_sub(freed);
		match share {
			0 => drop(shares.remove(&developer)?),
			_ => drop(shares.insert(&developer, share)?),
		}
	}
	count(tx, |bytes| bytes.saturating_sub(freed))
}

fn count(tx: &WriteTransaction, change: impl FnOnce(u64) -> u64) -> Result<()> {
	let mut table = tx.open_table(BYTES)?;
	let bytes = table.get(())?.map_or(0, |bytes| bytes.value());
	table.insert((), change(bytes))?;
	Ok(())
}
