//! Leaves and commitments of the sprint.

use super::{Result, decode};
use codec::{Decode, Encode};
use gonka_primitives::{EpochIndex, Hash, Signature, host::SegmentCommitment};
use gonka_sprint::Profile;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// (epoch, segment) → [`SegmentRecord`].
const SEGMENTS: TableDefinition<(u32, u8), &[u8]> = TableDefinition::new("segments");
/// (epoch, segment, lane, index of the first leaf) → hashes of leaves, one after the other.
const LEAVES: TableDefinition<(u32, u8, u16, u64), &[u8]> = TableDefinition::new("leaves");
/// (epoch, segment) → [`StoredCommitment`].
const COMMITMENTS: TableDefinition<(u32, u8), &[u8]> = TableDefinition::new("commitments");

/// What a segment's leaves were computed from: enough to compute each again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SegmentRecord {
	/// The sprint's model format.
	pub profile: Profile,
	/// seed1.
	pub model_seed: Hash,
	/// seed2.
	pub segment_seed: Hash,
	/// When the segment was first seen, in milliseconds since 1970.
	pub started: u64,
}

/// A commitment as it was signed: there is never a second one for its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredCommitment {
	/// What was signed.
	pub commitment: SegmentCommitment,
	/// The worker key's signature.
	pub signature: Signature,
	/// Whether the chain has it.
	pub included: bool,
}

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(SEGMENTS)?;
	tx.open_table(LEAVES)?;
	tx.open_table(COMMITMENTS)?;
	Ok(())
}

/// Begins or resumes a segment. Leaves of other seeds, from a fork that was left, are forgotten. Returns the record as
/// it now stands: of a resumed segment, with its first start.
pub fn begin_segment(
	tx: &WriteTransaction,
	epoch: EpochIndex,
	segment: u8,
	record: &SegmentRecord,
) -> Result<SegmentRecord> {
	let mut segments = tx.open_table(SEGMENTS)?;
	let known: Option<SegmentRecord> =
		segments.get((epoch, segment))?.map(|known| decode(known.value())).transpose()?;
	if let Some(known) = known
		&& (SegmentRecord { started: record.started, ..known }) == *record
	{
		return Ok(known);
	}
	segments.insert((epoch, segment), record.encode().as_slice())?;
	let all = (epoch, segment, 0, 0)..=(epoch, segment, u16::MAX, u64::MAX);
	tx.open_table(LEAVES)?.retain_in(all, |_, _| false)?;
	Ok(*record)
}

/// Adds `hashes` as the leaves `first..` of a lane.
pub fn add_leaves(
	tx: &WriteTransaction,
	(epoch, segment, lane): (EpochIndex, u8, u16),
	first: u64,
	hashes: &[Hash],
) -> Result<()> {
	let bytes = hashes.concat();
	tx.open_table(LEAVES)?.insert((epoch, segment, lane, first), bytes.as_slice())?;
	Ok(())
}

/// The leaves 0, 1, 2 … of a lane, up to the first gap.
pub fn leaves(tx: &ReadTransaction, epoch: EpochIndex, segment: u8, lane: u16) -> Result<Vec<Hash>> {
	let mut found: Vec<Hash> = Vec::new();
	let all = (epoch, segment, lane, 0)..=(epoch, segment, lane, u64::MAX);
	for entry in tx.open_table(LEAVES)?.range(all)? {
		let (key, hashes) = entry?;
		if key.value().3 != found.len() as u64 {
			break;
		}
		found.extend_from_slice(hashes.value().as_chunks().0);
	}
	Ok(found)
}

/// The segment's record.
pub fn segment(tx: &ReadTransaction, epoch: EpochIndex, segment: u8) -> Result<Option<SegmentRecord>> {
	tx.open_table(SEGMENTS)?.get((epoch, segment))?.map(|record| decode(record.value())).transpose()
}

/// The segment's commitment, once signed.
pub fn commitment(tx: &ReadTransaction, epoch: EpochIndex, segment: u8) -> Result<Option<StoredCommitment>> {
	tx.open_table(COMMITMENTS)?.get((epoch, segment))?.map(|stored| decode(stored.value())).transpose()
}

/// Keeps a signed commitment, unless there is one: the one that stands is returned, and it alone may be sent.
pub fn commit(tx: &WriteTransaction, stored: &StoredCommitment) -> Result<StoredCommitment> {
	let mut commitments = tx.open_table(COMMITMENTS)?;
	let slot = (stored.commitment.epoch, stored.commitment.segment);
	let known = commitments.get(slot)?.map(|known| decode(known.value())).transpose()?;
	if let Some(known) = known {
		return Ok(known);
	}
	commitments.insert(slot, stored.encode().as_slice())?;
	Ok(*stored)
}

/// Notes that the chain has the commitment of a segment.
pub fn note_included(tx: &WriteTransaction, epoch: EpochIndex, segment: u8) -> Result<()> {
	let mut commitments = tx.open_table(COMMITMENTS)?;
	let known: Option<StoredCommitment> =
		commitments.get((epoch, segment))?.map(|known| decode(known.value())).transpose()?;
	if let Some(known) = known {
		let known = StoredCommitment { included: true, ..known };
		commitments.insert((epoch, segment), known.encode().as_slice())?;
	}
	Ok(())
}

/// Forgets everything of the epochs before `epoch`.
pub fn prune(tx: &WriteTransaction, epoch: EpochIndex) -> Result<()> {
	tx.open_table(SEGMENTS)?.retain_in(..(epoch, 0), |_, _| false)?;
	tx.open_table(LEAVES)?.retain_in(..(epoch, 0, 0, 0), |_, _| false)?;
	tx.open_table(COMMITMENTS)?.retain_in(..(epoch, 0), |_, _| false)?;
	Ok(())
}
