//! Results of checks, and signed messages of checks and disputes.

use super::{Result, decode};
use crate::chain::CheckMessage;
use codec::{Decode, Encode};
use gonka_primitives::{AccountId, EpochIndex, Hash, Signature};
use gonka_sprint::{LaneProof, LeafOpening, Tag};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// (epoch, round) → [`StoredTags`].
const TAGS: TableDefinition<(u32, u8), &[u8]> = TableDefinition::new("tags");
/// (epoch, round, host, set) → [`StoredSet`].
const SETS: TableDefinition<(u32, u8, &[u8; 32], u8), &[u8]> = TableDefinition::new("sets");
/// (epoch, host) → [`Suspect`].
const SUSPECTS: TableDefinition<(u32, &[u8; 32]), &[u8]> = TableDefinition::new("suspects");
/// (epoch, slot) → [`StoredMessage`].
const MESSAGES: TableDefinition<(u32, &[u8; 32]), &[u8]> = TableDefinition::new("messages");

/// A round of an epoch's checks.
pub type Round = (EpochIndex, u8);

/// The tags of a round: the worker commits to them, and reveals them later.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredTags {
	/// Beacon from which the leaf sets were drawn.
	pub beacon: Hash,
	/// Tags in the order of the duties.
	pub tags: Vec<Tag>,
}

/// A leaf set that was recomputed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredSet {
	/// Beacon from which the set was drawn.
	pub beacon: Hash,
	/// Leaves in the order of their positions.
	pub leaves: Vec<StoredLeaf>,
}

impl StoredSet {
	/// Returns the digests of its leaves.
	pub fn digests(&self) -> Vec<Hash> {
		self.leaves.iter().map(|leaf| leaf.digest).collect()
	}
}

/// A leaf of a set.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredLeaf {
	/// Proof of its lane.
	pub lane: LaneProof,
	/// Digest of its residual.
	pub digest: Hash,
}

/// A wrong leaf of a host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Suspect {
	/// Segment of the leaf.
	pub segment: u8,
	/// Position in the segment's commitment.
	pub position: u64,
	/// Opening of the leaf that the host committed to.
	pub opening: LeafOpening,
}

/// A signed message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredMessage {
	/// The message.
	pub message: CheckMessage,
	/// Signature of the worker key.
	pub signature: Signature,
	/// Whether it was included.
	pub taken: bool,
	/// Number of attempts that failed.
	pub failures: u8,
}

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(TAGS)?;
	tx.open_table(SETS)?;
	tx.open_table(SUSPECTS)?;
	tx.open_table(MESSAGES)?;
	Ok(())
}

/// Returns the tags of a round, if they belong to `beacon`.
pub fn tags(tx: &ReadTransaction, round: Round, beacon: &Hash) -> Result<Option<Vec<Tag>>> {
	let stored: Option<StoredTags> =
		tx.open_table(TAGS)?.get(round)?.map(|stored| decode(stored.value())).transpose()?;
	Ok(stored.filter(|stored| stored.beacon == *beacon).map(|stored| stored.tags))
}

/// Stores a round's tags, unless it has some of the same beacon. Returns the stored tags.
pub fn put_tags(tx: &WriteTransaction, round: Round, new: &StoredTags) -> Result<Vec<Tag>> {
	let mut tags = tx.open_table(TAGS)?;
	let known: Option<StoredTags> = tags.get(round)?.map(|known| decode(known.value())).transpose()?;
	if let Some(known) = known.filter(|known| known.beacon == new.beacon) {
		return Ok(known.tags);
	}
	tags.insert(round, new.encode().as_slice())?;
	Ok(new.tags.clone())
}

/// Returns a leaf set, if it was recomputed.
pub fn set(tx: &ReadTransaction, round: Round, host: &AccountId, set: u8) -> Result<Option<StoredSet>> {
	tx.open_table(SETS)?.get((round.0, round.1, host, set))?.map(|stored| decode(stored.value())).transpose()
}

/// Stores a leaf set.
pub fn put_set(tx: &WriteTransaction, round: Round, host: &AccountId, set: u8, new: &StoredSet) -> Result<()> {
	tx.open_table(SETS)?.insert((round.0, round.1, host, set), new.encode().as_slice())?;
	Ok(())
}

/// Returns the hosts of an epoch with a wrong leaf each.
pub fn suspects(tx: &ReadTransaction, epoch: EpochIndex) -> Result<Vec<(AccountId, Suspect)>> {
	let all = tx.open_table(SUSPECTS)?;
	let all = all.range((epoch, &[0; 32])..=(epoch, &[u8::MAX; 32]))?;
	all.map(|entry| {
		let (key, suspect) = entry?;
		Ok((*key.value().1, decode(suspect.value())?))
	})
	.collect()
}

/// Stores a wrong leaf, unless the host has one in that epoch.
pub fn put_suspect(tx: &WriteTransaction, epoch: EpochIndex, host: &AccountId, new: &Suspect) -> Result<()> {
	let mut suspects = tx.open_table(SUSPECTS)?;
	if suspects.get((epoch, host))?.is_none() {
		suspects.insert((epoch, host), new.encode().as_slice())?;
	}
	Ok(())
}

/// Deletes a wrong leaf, which is on an abandoned fork or whose host is convicted.
pub fn drop_suspect(tx: &WriteTransaction, epoch: EpochIndex, host: &AccountId) -> Result<()> {
	tx.open_table(SUSPECTS)?.remove((epoch, host))?;
	Ok(())
}

/// Returns the message of a slot.
pub fn message(tx: &ReadTransaction, epoch: EpochIndex, slot: &Hash) -> Result<Option<StoredMessage>> {
	tx.open_table(MESSAGES)?.get((epoch, slot))?.map(|stored| decode(stored.value())).transpose()
}

/// Stores a signed message, or a new signature of the same message. A slot's message never changes: if it has another one,
/// nothing is stored. Returns the stored one, which alone may be sent.
pub fn put_message(
	tx: &WriteTransaction,
	epoch: EpochIndex,
	slot: &Hash,
	message: CheckMessage,
	signature: Signature,
) -> Result<StoredMessage> {
	let mut messages = tx.open_table(MESSAGES)?;
	let known: Option<StoredMessage> = messages.get((epoch, slot))?.map(|known| decode(known.value())).transpose()?;
	let new = match known {
		Some(known) if known.message != message => return Ok(known),
		Some(known) => StoredMessage { signature, ..known },
		None => StoredMessage { message, signature, taken: false, failures: 0 },
	};
	messages.insert((epoch, slot), new.encode().as_slice())?;
	Ok(new)
}

/// Notes the outcome of an attempt to send a message: whether it was included, or else the `failures` to add.
pub fn note_sent(tx: &WriteTransaction, epoch: EpochIndex, slot: &Hash, taken: bool, failures: u8) -> Result<()> {
	let mut messages = tx.open_table(MESSAGES)?;
	let known: Option<StoredMessage> = messages.get((epoch, slot))?.map(|known| decode(known.value())).transpose()?;
	if let Some(mut known) = known {
		known.taken |= taken;
		known.failures = if taken { known.failures } else { known.failures.saturating_add(failures) };
		messages.insert((epoch, slot), known.encode().as_slice())?;
	}
	Ok(())
}

/// Notes that the chain dropped the claim of a message that was included, so that it is signed and sent again.
pub fn note_dropped(tx: &WriteTransaction, epoch: EpochIndex, slot: &Hash) -> Result<()> {
	let mut messages = tx.open_table(MESSAGES)?;
	let known: Option<StoredMessage> = messages.get((epoch, slot))?.map(|known| decode(known.value())).transpose()?;
	if let Some(known) = known.filter(|known| known.taken) {
		let dropped = StoredMessage { taken: false, failures: known.failures.max(1), ..known };
		messages.insert((epoch, slot), dropped.encode().as_slice())?;
	}
	Ok(())
}

/// Deletes all that belongs to epochs before `epoch`.
pub fn prune(tx: &WriteTransaction, epoch: EpochIndex) -> Result<()> {
	let first = &[0; 32];
	tx.open_table(TAGS)?.retain_in(..(epoch, 0), |_, _| false)?;
	tx.open_table(SETS)?.retain_in(..(epoch, 0, first, 0), |_, _| false)?;
	tx.open_table(SUSPECTS)?.retain_in(..(epoch, first), |_, _| false)?;
	tx.open_table(MESSAGES)?.retain_in(..(epoch, first), |_, _| false)?;
	Ok(())
}
