//! Sequence numbers, receipts and vouchers.
//!
//! A receipt is stored when it is signed (`RECEIPTS`, `UNACKNOWLEDGED`). A voucher acknowledges it, which moves it to the
//! channel's `ACKNOWLEDGED` log, in the order of acknowledgement. At last it is settled on chain. The settled part of the
//! log is not stored: the channel's settled totals on chain equal those after one entry of the log, and so name it.

use super::{Result, StoreError, decode};
use codec::{Decode, Encode};
use gonka_client::worker_api::{Error, ErrorCode};
use gonka_primitives::{
	Balance, ChannelId, Hash, ModelId,
	market::{SignedEnvelope, SignedReceipt, SignedVoucher, Totals},
	merkle_sum::SumNode,
	views::ChannelView,
};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet};

/// Channel → [`ChannelRecord`].
const CHANNELS: TableDefinition<u64, &[u8]> = TableDefinition::new("channels");
/// Envelope hash → [`StoredReceipt`].
const RECEIPTS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("receipts");
/// (channel, sequence) → envelope hash of a receipt that no voucher acknowledges yet.
const UNACKNOWLEDGED: TableDefinition<(u64, u64), &[u8; 32]> = TableDefinition::new("unacknowledged");
/// (channel, number from 0) → [`LogEntry`].
const ACKNOWLEDGED: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("acknowledged");
/// (epoch, channel) → entries of the channel's log that were seen settled in that epoch.
const SETTLED: TableDefinition<(u32, u64), u64> = TableDefinition::new("settled");
/// Window → [`StoredSettlement`].
pub(super) const SETTLEMENTS: TableDefinition<u32, &[u8]> = TableDefinition::new("settlements");

/// Record of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ChannelRecord {
	/// Used sequence numbers.
	pub sequences: Sequences,
	/// Settled totals on chain when this worker first used the channel. The log starts after them.
	pub base: Totals,
	/// Sum of `base` and the log, which are the totals of the last voucher.
	pub acknowledged: Totals,
	/// Number of entries of the log.
	pub entries: u64,
	/// Number of entries that were seen settled.
	pub settled: u64,
	/// Sum of the receipts that no voucher acknowledges.
	pub unacknowledged: Totals,
	/// The last voucher.
	pub voucher: Option<SignedVoucher>,
}

/// Paid requests of a channel for which its credit grows by one.
const PAID_PER_CREDIT: u64 = 8;
/// The largest credit, as a multiple of the initial one.
const MAX_CREDIT: u64 = 8;

/// Used sequence numbers. Numbers that are 256 or more below the highest count as used; the others are recorded one by
/// one, so that concurrent requests may arrive in another order than they were signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Sequences {
	/// Highest used number; 0 if none was used.
	pub highest: u64,
	/// Bit `i` of word `w` tells whether `highest − (64·w + i)` was used.
	seen: [u64; 4],
}

impl Sequences {
	/// Width of the window below the highest number.
	pub const WINDOW: u64 = 256;

	/// Marks `sequence` as used. Returns false if it was used before.
	pub fn take(&mut self, sequence: u64) -> bool {
		if let Some(above) = sequence.checked_sub(self.highest).filter(|above| *above > 0) {
			let moved: Vec<u64> = (0..Self::WINDOW).rev().filter(|back| self.is_seen(*back)).collect();
			self.seen = [0; 4];
			self.highest = sequence;
			for back in moved.into_iter().filter_map(|back| back.checked_add(above)) {
				self.mark(back);
			}
			self.mark(0);
			return true;
		}
		let back = self.highest - sequence;
		let free = back < Self::WINDOW && !self.is_seen(back);
		if free {
			self.mark(back);
		}
		free
	}

	fn is_seen(&self, back: u64) -> bool {
		self.seen.get((back / 64) as usize).is_some_and(|word| word >> (back % 64) & 1 == 1)
	}

	fn mark(&mut self, back: u64) {
		if let Some(word) = self.seen.get_mut((back / 64) as usize) {
			*word |= 1 << (back % 64);
		}
	}
}

/// A receipt with its envelope.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StoredReceipt {
	/// The envelope.
	pub envelope: SignedEnvelope,
	/// The receipt.
	pub receipt: SignedReceipt,
}

/// An acknowledged receipt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct LogEntry {
	envelope: Hash,
	leaf: SumNode<Totals>,
	/// Totals of the channel with this receipt.
	cumulative: Totals,
}

/// The unsettled part of a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
	/// The last voucher.
	pub voucher: SignedVoucher,
	/// Difference between the voucher's totals and the settled ones.
	pub growth: Totals,
	/// Unsettled receipts in the order of acknowledgement. Their leaves sum to `growth`.
	pub receipts: Vec<DueReceipt>,
	/// Work of the receipts, by model.
	pub work: BTreeMap<ModelId, u64>,
}

/// An unsettled receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueReceipt {
	/// Model of the completion.
	pub model: ModelId,
	/// Hash of the envelope.
	pub envelope: Hash,
	/// Leaf in the settlement's tree.
	pub leaf: SumNode<Totals>,
}

/// Returns the totals of one receipt.
fn sums(receipt: &SignedReceipt) -> Totals {
	receipt.receipt.leaf().sum
}

/// Rejects a request; nothing was written.
fn reject<T>(code: ErrorCode, message: impl Into<String>) -> Result<std::result::Result<T, Error>> {
	Ok(Err(Error { code, message: message.into() }))
}

pub(super) fn create_tables(tx: &WriteTransaction) -> Result<()> {
	tx.open_table(CHANNELS)?;
	tx.open_table(RECEIPTS)?;
	tx.open_table(UNACKNOWLEDGED)?;
	tx.open_table(ACKNOWLEDGED)?;
	tx.open_table(SETTLED)?;
	tx.open_table(SETTLEMENTS)?;
	Ok(())
}

/// Returns the record of `channel`, if it was ever used.
pub fn channel(tx: &ReadTransaction, channel: ChannelId) -> Result<Option<ChannelRecord>> {
	tx.open_table(CHANNELS)?.get(channel)?.map(|record| decode(record.value())).transpose()
}

/// Returns all channels with a record, in ascending order.
pub fn channels(tx: &ReadTransaction) -> Result<Vec<ChannelId>> {
	tx.open_table(CHANNELS)?.iter()?.map(|entry| Ok(entry?.0.value())).collect()
}

/// Returns the receipts of `channel` that no voucher acknowledges, with their envelopes, by sequence number.
pub fn unacknowledged(tx: &ReadTransaction, channel: ChannelId) -> Result<Vec<StoredReceipt>> {
	let receipts = tx.open_table(RECEIPTS)?;
	let mut found = Vec::new();
	for entry in tx.open_table(UNACKNOWLEDGED)?.range((channel, 0)..=(channel, u64::MAX))? {
		if let Some(receipt) = receipts.get(entry?.1.value())? {
			found.push(decode(receipt.value())?);
		}
	}
	Ok(found)
}

/// Returns whether there are receipts of `channel` for all of these envelopes, and each has its voucher.
pub fn are_acknowledged(tx: &ReadTransaction, channel: ChannelId, envelopes: &[Hash]) -> Result<bool> {
	let (receipts, open) = (tx.open_table(RECEIPTS)?, tx.open_table(UNACKNOWLEDGED)?);
	for envelope in envelopes {
		let Some(stored) = receipts.get(envelope)? else { return Ok(false) };
		let request = decode::<StoredReceipt>(stored.value())?.envelope.envelope;
		let is_open = open.get((channel, request.sequence))?.is_some_and(|hash| hash.value() == envelope);
		if request.channel != channel || is_open {
			return Ok(false);
		}
	}
	Ok(true)
}

/// Terms of a request's admission that are not in the store.
#[derive(Clone, Debug)]
pub struct Terms {
	/// The channel, as it is on chain.
	pub channel: ChannelView,
	/// Sum of the maximum fees of the channel's running requests, in base units.
	pub running_fees: Balance,
	/// Number of the channel's running requests.
	pub running: u64,
	/// Maximum number of running requests and receipts without a voucher together, on a channel that has paid for nothing yet.
	pub credit: u64,
	/// Sequence number of the request.
	pub sequence: u64,
	/// Maximum fee of the request, in base units.
	pub max_fee: Balance,
}

/// The credit of a channel that has paid for so many requests: what a gateway can leave unpaid grows with what it paid, by one for
/// every [`PAID_PER_CREDIT`], up to [`MAX_CREDIT`] times the initial credit. Requests beyond the initial credit must not cost more
/// than that part of what was paid, with all that is unpaid.
fn credit(initial: u64, paid: u64) -> u64 {
	initial.saturating_add(paid / PAID_PER_CREDIT).min(initial.saturating_mul(MAX_CREDIT))
}

/// Takes the request's sequence number, if the channel's deposit and the host's credit cover the request.
pub fn admit(tx: &WriteTransaction, terms: &Terms) -> Result<std::result::Result<(), Error>> {
	let mut channels = tx.open_table(CHANNELS)?;
	let mut record = load(&channels, &terms.channel)?;
	let open = record.unacknowledged.receipts.saturating_add(terms.running);
	if !record.sequences.clone().take(terms.sequence) {
		let highest = record.sequences.highest;
		let message = format!("sequence number {} was used before; the highest so far is {highest}", terms.sequence);
		return reject(ErrorCode::Replayed, message);
	}
	let credit = credit(terms.credit, record.acknowledged.receipts);
	let unpaid = record.unacknowledged.fee.saturating_add(terms.running_fees).saturating_add(terms.max_fee);
	let is_backed = unpaid.saturating_mul(PAID_PER_CREDIT.into()) <= record.acknowledged.fee;
	if open >= credit || open >= terms.credit && !is_backed {
		let message = format!(
			"{open} requests are running or wait for a voucher, and {credit} may, more than {} only as far as they cost an eighth of \
			 what the channel has paid: send a voucher first",
			terms.credit
		);
		return reject(ErrorCode::Unacknowledged, message);
	}
	let owed = record.acknowledged.fee.max(terms.channel.settled.fee);
	let owed = owed.saturating_add(record.unacknowledged.fee).saturating_add(terms.running_fees);
	if terms.channel.deposit.checked_sub(owed).is_none_or(|rest| rest < terms.max_fee) {
		let message = format!(
			"the deposit of {} covers the {owed} owed so far, but not {} more: top up the channel",
			terms.channel.deposit, terms.max_fee
		);
		return reject(ErrorCode::InsufficientFunds, message);
	}
	record.sequences.take(terms.sequence);
	channels.insert(terms.channel.id, record.encode().as_slice())?;
	Ok(Ok(()))
}

/// Stores a signed receipt. A second one for the same envelope changes nothing.
pub fn finish(tx: &WriteTransaction, channel: &ChannelView, envelope: &Hash, stored: &StoredReceipt) -> Result<()> {
	let mut receipts = tx.open_table(RECEIPTS)?;
	if receipts.get(envelope)?.is_some() {
		return Ok(());
	}
	receipts.insert(envelope, stored.encode().as_slice())?;
	let sequence = stored.envelope.envelope.sequence;
	tx.open_table(UNACKNOWLEDGED)?.insert((channel.id, sequence), envelope)?;
	let mut channels = tx.open_table(CHANNELS)?;
	let mut record = load(&channels, channel)?;
	record.sequences.take(sequence);
	record.unacknowledged = add(&record.unacknowledged, &sums(&stored.receipt))?;
	channels.insert(channel.id, record.encode().as_slice())?;
	Ok(())
}

/// Takes a voucher whose signature was verified. `receipts` are envelope hashes. Returns the number of newly acknowledged
/// receipts: 0 if the voucher was taken before.
pub fn acknowledge(
	tx: &WriteTransaction,
	channel: &ChannelView,
	voucher: &SignedVoucher,
	receipts: &[Hash],
) -> Result<std::result::Result<u64, Error>> {
	let mut channels = tx.open_table(CHANNELS)?;
	let mut open = tx.open_table(UNACKNOWLEDGED)?;
	let mut record = load(&channels, channel)?;
	let (mut totals, mut new, mut listed) = (record.acknowledged, Vec::new(), BTreeSet::new());
	{
		let table = tx.open_table(RECEIPTS)?;
		for envelope in receipts.iter().filter(|envelope| listed.insert(**envelope)) {
			let Some(stored) = table.get(envelope)? else {
				let message = format!("there is no receipt for envelope 0x{}", hex::encode(envelope));
				return reject(ErrorCode::WrongTotals, message);
			};
			let stored: StoredReceipt = decode(stored.value())?;
			let request = &stored.envelope.envelope;
			if request.channel != channel.id {
				let message = format!("envelope 0x{} belongs to channel {}", hex::encode(envelope), request.channel);
				return reject(ErrorCode::WrongTotals, message);
			}
			if open.get((channel.id, request.sequence))?.is_some_and(|hash| hash.value() == envelope) {
				totals = add(&totals, &sums(&stored.receipt))?;
				let entry = LogEntry { envelope: *envelope, leaf: stored.receipt.receipt.leaf(), cumulative: totals };
				new.push((request.sequence, entry));
			}
		}
	}
	let claimed = &voucher.voucher.totals;
	if new.is_empty() && totals.checked_sub(claimed).is_some() {
		return Ok(Ok(0));
	}
	if totals != *claimed {
		let message = format!(
			"the voucher has fee {}, work {}, receipts {}; the last one and these receipts sum to fee {}, work {}, \
			 receipts {}",
			claimed.fee, claimed.work, claimed.receipts, totals.fee, totals.work, totals.receipts
		);
		return reject(ErrorCode::WrongTotals, message);
	}
	if totals.fee > channel.deposit {
		let message = format!("the deposit of {} does not cover {}", channel.deposit, totals.fee);
		return reject(ErrorCode::InsufficientFunds, message);
	}
	let mut log = tx.open_table(ACKNOWLEDGED)?;
	for (sequence, entry) in &new {
		open.remove((channel.id, *sequence))?;
		log.insert((channel.id, record.entries), entry.encode().as_slice())?;
		record.entries = record.entries.saturating_add(1);
		record.unacknowledged = record.unacknowledged.checked_sub(&entry.leaf.sum).unwrap_or_default();
	}
	record.acknowledged = totals;
	record.voucher = Some(*voucher);
	channels.insert(channel.id, record.encode().as_slice())?;
	Ok(Ok(new.len() as u64))
}

/// The chain's settled totals of a channel are not among those that this host has signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
	"channel {channel} is settled up to fee {}, work {}, receipts {}, which this worker did not sign: was its store lost, \
	 or does another worker use its key?", settled.fee, settled.work, settled.receipts
)]
pub struct UnknownTotals {
	/// The channel.
	pub channel: ChannelId,
	/// Its settled totals on chain.
	pub settled: Totals,
}

/// Returns what `channel` has to settle beyond its settled totals on chain, if anything.
pub fn due(tx: &ReadTransaction, channel: &ChannelView) -> Result<std::result::Result<Option<Due>, UnknownTotals>> {
	let Some(record) = self::channel(tx, channel.id)? else { return Ok(Ok(None)) };
	let Some(voucher) = record.voucher else { return Ok(Ok(None)) };
	let log = tx.open_table(ACKNOWLEDGED)?;
	let entry = |number: u64| -> Result<Option<LogEntry>> {
		log.get((channel.id, number))?.map(|entry| decode(entry.value())).transpose()
	};
	let settled = channel.settled.receipts.checked_sub(record.base.receipts);
	let known = match settled {
		Some(0) => Some(record.base),
		Some(number) => entry(number.saturating_sub(1))?.map(|entry| entry.cumulative),
		None => None,
	};
	let (Some(settled), true) = (settled, known == Some(channel.settled)) else {
		return Ok(Err(UnknownTotals { channel: channel.id, settled: channel.settled }));
	};
	let receipts = tx.open_table(RECEIPTS)?;
	let (mut due, mut work) = (Vec::new(), BTreeMap::<ModelId, u64>::new());
	for number in settled..record.entries {
		let Some(entry) = entry(number)? else { continue };
		// Receipts are kept until they are settled.
		let Some(receipt) = receipts.get(&entry.envelope)? else { continue };
		let model = decode::<StoredReceipt>(receipt.value())?.envelope.envelope.model;
		due.push(DueReceipt { model, envelope: entry.envelope, leaf: entry.leaf });
		let of_model = work.entry(model).or_default();
		*of_model = of_model.saturating_add(entry.leaf.sum.work);
	}
	work.retain(|_, work| *work > 0);
	let growth = voucher.voucher.totals.checked_sub(&channel.settled).unwrap_or_default();
	Ok(Ok((!due.is_empty()).then_some(Due { voucher, growth, receipts: due, work })))
}

/// Notes in `epoch` how far the totals on chain say that `channel` is settled. Returns the number of newly settled
/// receipts.
pub fn note_settled(tx: &WriteTransaction, channel: &ChannelView, epoch: u32) -> Result<u64> {
	let mut channels = tx.open_table(CHANNELS)?;
	let Some(mut record) = get(&channels, channel.id)? else { return Ok(0) };
	let settled = channel.settled.receipts.saturating_sub(record.base.receipts).min(record.entries);
	let new = settled.saturating_sub(record.settled);
	if new > 0 {
		record.settled = settled;
		channels.insert(channel.id, record.encode().as_slice())?;
		tx.open_table(SETTLED)?.insert((epoch, channel.id), settled)?;
	}
	Ok(new)
}

/// Returns the envelope hashes of all acknowledged receipts that were not seen settled.
pub(super) fn unsettled(tx: &WriteTransaction) -> Result<BTreeSet<Hash>> {
	let (channels, log) = (tx.open_table(CHANNELS)?, tx.open_table(ACKNOWLEDGED)?);
	let mut found = BTreeSet::new();
	for entry in channels.iter()? {
		let (channel, record) = entry?;
		let (channel, settled) = (channel.value(), decode::<ChannelRecord>(record.value())?.settled);
		for entry in log.range((channel, settled)..=(channel, u64::MAX))? {
			found.insert(decode::<LogEntry>(entry?.1.value())?.envelope);
		}
	}
	Ok(found)
}

/// Deletes receipts that were settled before `epoch`. Returns their number.
pub fn prune_settled(tx: &WriteTransaction, epoch: u32) -> Result<u64> {
	let mut settled = tx.open_table(SETTLED)?;
	let mut log = tx.open_table(ACKNOWLEDGED)?;
	let mut receipts = tx.open_table(RECEIPTS)?;
	let mut forgotten = 0u64;
	let old: Vec<(u64, u64)> = settled
		.extract_from_if(..(epoch, 0), |_, _| true)?
		.map(|entry| entry.map(|(key, settled)| (key.value().1, settled.value())))
		.collect::<std::result::Result<_, _>>()?;
	for (channel, settled) in old {
		// The last settled entry stays: its totals are compared with those on chain.
		let end = settled.saturating_sub(1);
		for entry in log.extract_from_if((channel, 0)..(channel, end), |_, _| true)? {
			let entry: LogEntry = decode(entry?.1.value())?;
			receipts.remove(&entry.envelope)?;
			forgotten = forgotten.saturating_add(1);
		}
	}
	Ok(forgotten)
}

/// Deletes all that belongs to a channel that is no longer on chain. Returns the envelope hashes of its receipts, which
/// may have [evidence](super::evidence).
pub fn forget(tx: &WriteTransaction, channel: ChannelId) -> Result<Vec<Hash>> {
	let mut receipts = tx.open_table(RECEIPTS)?;
	let all = (channel, 0)..=(channel, u64::MAX);
	let mut envelopes = Vec::new();
	for entry in tx.open_table(ACKNOWLEDGED)?.extract_from_if(all.clone(), |_, _| true)? {
		envelopes.push(decode::<LogEntry>(entry?.1.value())?.envelope);
	}
	for entry in tx.open_table(UNACKNOWLEDGED)?.extract_from_if(all, |_, _| true)? {
		envelopes.push(*entry?.1.value());
	}
	for envelope in &envelopes {
		receipts.remove(envelope)?;
	}
	tx.open_table(CHANNELS)?.remove(channel)?;
	Ok(envelopes)
}

fn get(channels: &impl ReadableTable<u64, &'static [u8]>, channel: ChannelId) -> Result<Option<ChannelRecord>> {
	channels.get(channel)?.map(|record| decode(record.value())).transpose()
}

/// Returns the record, or a new one that starts from the settled totals on chain.
fn load(channels: &impl ReadableTable<u64, &'static [u8]>, channel: &ChannelView) -> Result<ChannelRecord> {
	let fresh = || ChannelRecord { base: channel.settled, acknowledged: channel.settled, ..Default::default() };
	Ok(get(channels, channel.id)?.unwrap_or_else(fresh))
}

fn add(a: &Totals, b: &Totals) -> Result<Totals> {
	a.checked_add(b).ok_or_else(|| StoreError::Inconsistent("the totals of a channel overflow"))
}
