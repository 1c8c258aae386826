//! Leaves and commitments of the sprint.

use super::{Result, decode};
use codec::{Decode, Encode};
use gonka_primitives::{EpochIndex, Hash, Signature, host::SegmentCommitment};
use gonka_sprint::SprintFormat;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// (epoch, segment) → [`SegmentRecord`].
const SEGMENTS: TableDefinition<(u32, u8), &[u8]> = TableDefinition::new("segments");
/// (epoch, segment, lane, index of the first leaf) → concatenated hashes of leaves.
const LEAVES: TableDefinition<(u32, u8, u16, u64), &[u8]> = TableDefinition::new("leaves");
/// (epoch, segment) → [`StoredCommitment`].
const COMMITMENTS: TableDefinition<(u32, u8), &[u8]> = TableDefinition::new("commitments");

/// Sources of a segment's leaves: they suffice to compute each leaf again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SegmentRecord {
	/// Format of the sprint's model.
	pub format: SprintFormat,
	/// Seed of the model.
	pub model_seed: Hash,
	/// Seed of the segment.
	pub segment_seed: Hash,
	/// Time at which the worker began the segment, in milliseconds since 1970.
	pub started: u64,
}

/// A signed commitment. There is never a second one for its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredCommitment {
	/// The commitment.
	pub commitment: SegmentCommitment,
	/// Signature of the worker key.
	pub signature: Signature,
	/// Whether it is on chain.
	pub included: bool,
}

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(SEGMENTS)?;
	tx.open_table(LEAVES)?;
	tx.open_table(COMMITMENTS)?;
	Ok(())
}

/// Begins a segment, or continues it if the seeds are the same. Leaves of other seeds belong to an abandoned fork and are
/// deleted. Returns the record; that of a continued segment has its first start.
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

/// Adds the leaves `first..` of a lane.
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

/// Returns the leaves 0, 1, 2 … of a lane, up to the first gap.
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

/// Returns the segment's record.
pub fn segment(tx: &ReadTransaction, epoch: EpochIndex, segment: u8) -> Result<Option<SegmentRecord>> {
	tx.open_table(SEGMENTS)?.get((epoch, segment))?.map(|record| decode(record.value())).transpose()
}

/// Returns the segment's commitment, once signed.
pub fn commitment(tx: &ReadTransaction, epoch: EpochIndex, segment: u8) -> Result<Option<StoredCommitment>> {
	tx.open_table(COMMITMENTS)?.get((epoch, segment))?.map(|stored| decode(stored.value())).transpose()
}

/// Stores a signed commitment, unless the segment has one. Returns the stored one, which alone may be sent.
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

/// Notes that a segment's commitment is on chain.
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

/// Deletes all that belongs to epochs before `epoch`.
pub fn prune(tx: &WriteTransaction, epoch: EpochIndex) -> Result<()> {
	tx.open_table(SEGMENTS)?.retain_in(..(epoch, 0), |_, _| false)?;
	tx.open_table(LEAVES)?.retain_in(..(epoch, 0, 0, 0), |_, _| false)?;
	tx.open_table(COMMITMENTS)?.retain_in(..(epoch, 0), |_, _| false)?;
	Ok(())
}
